"""Where known crystals for a reference come from, besides files: dumps and databases on the network."""
