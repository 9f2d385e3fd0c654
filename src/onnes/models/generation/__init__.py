"""Generation of crystals by diffusion over the parameters that symmetry leaves free."""
