"""The Eliashberg function of crystals whose moments are predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.physics.allen_dynes import MU_STAR, MU_STAR_HIGH, allen_dynes_tc_K
from onnes.physics.spectral_shape import alpha2f_of_moments, empirical_dos
from onnes.potentials.force_constants import phonons_of
from onnes.potentials.potential import load_potential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch

    Floats = NDArray[np.float64]


def with_spectra(
    predicted: Mapping[str, Floats], batch: CrystalBatch, potential: str | None, *, device: str = "cpu"
) -> dict[str, Floats]:
    """Add ``alpha2f`` to predicted moments, and make the two agree.

    Parameters
    ----------
    predicted
        ``lambda_``, ``omega_log_K``, ``omega2_K``, ``debye_K``, ``tc_K``, ``tc_lo_K``, ``tc_hi_K``, ``tc_mu016_K``, all
        of shape (B,).
    batch
        The B crystals.
    potential
        Whose phonons give the shape; None for the empirical shape. A crystal whose phonons fail keeps the latter.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict
        With ``alpha2f`` of shape (B, 101) on `onnes.physics.spectra.ALPHA2F_GRID_MEV`. Moments that no spectrum on this
        grid has are replaced by the nearest that one has, and Tc follows.
    """
    shape = empirical_dos(batch, predicted["debye_K"])
    if potential is not None:
        found = phonons_of(batch, load_potential(potential, device=device))
        with_phonons = [i for i, one in enumerate(found) if not isinstance(one, str)]
        shape = shape.replaced(with_phonons, [one.dos for one in found if not isinstance(one, str)])
    fit = alpha2f_of_moments(shape, predicted["lambda_"], predicted["omega_log_K"], predicted["omega2_K"])
    moved = fit.adjusted
    result = {**predicted, "alpha2f": fit.alpha2f}
    for name in ("lambda_", "omega_log_K", "omega2_K"):
        result[name] = np.where(moved, getattr(fit.moments, name), predicted[name])
    for name, mu_star in (("tc_K", MU_STAR), ("tc_mu016_K", MU_STAR_HIGH)):
        tc = allen_dynes_tc_K(result["lambda_"], result["omega_log_K"], result["omega2_K"], mu_star=mu_star)
        result[name] = np.where(moved, tc, predicted[name])
    result["tc_lo_K"] = np.minimum(predicted["tc_lo_K"], result["tc_K"])
    result["tc_hi_K"] = np.maximum(predicted["tc_hi_K"], result["tc_K"])
    return result
