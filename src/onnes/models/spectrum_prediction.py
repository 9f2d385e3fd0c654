"""The columns of the crystal table that a `spectrum` model fills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.models.spectrum import N_BINS, ensemble_columns, moments_tc_K
from onnes.models.superconductivity import TC_THRESHOLD_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, binned_moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch
    from onnes.models.spectrum import SpectrumModel

    Floats = NDArray[np.float64]

INTERVAL = 0.9


def spectrum_columns(
    model: SpectrumModel,
    batch: CrystalBatch,
    site_phonon_dos: NDArray[np.floating] | None = None,
    *,
    device: str = "cpu",
) -> dict[str, Floats]:
    """Predict the columns of the crystal table.

    Parameters
    ----------
    model
        Of M members.
    batch
        B crystals, N atoms in all.
    site_phonon_dos
        For a phonon-informed model: see `onnes.models.spectrum.SpectrumModel.member_spectra`.
    device
        ``cpu`` or ``cuda``.

    Returns
    -------
    dict
        ``lambda_``, ``omega_log_K``, ``omega2_K`` and ``tc_K``, each with its spread over the members (``lambda_std``,
        ``omega_log_K_std``, ...), ``mu_star``, ``tc_mu016_K``, ``tc_lo_K``, ``tc_hi_K``, ``tc_above_5K_probability``
        and ``domain_distance``, all of shape (B,); ``alpha2f`` of shape (B, 101) on
        `onnes.physics.spectra.ALPHA2F_GRID_MEV`, 0 above the 51 bins of the model.

    Raises
    ------
    ModelError
        When densities of states are missing, superfluous or of a wrong shape.

    Notes
    -----
    The interval runs from the 5 % to the 95 % quantile of the members' Tc, and always holds ``tc_K``, the Tc of the mean
    spectrum. ``tc_above_5K_probability`` is the share of the members with a Tc above 5 K. Neither is calibrated: the
    members differ by their bootstrap samples only, so the interval is too narrow, and the share is a multiple of 1/M.
    ``domain_distance`` is NaN: these models have no measure of distance to their training crystals.
    """
    spectra = model.member_spectra(batch, site_phonon_dos, device=device)
    columns = ensemble_columns(spectra)
    columns.pop("alpha2f_std")
    tc = moments_tc_K(binned_moments(spectra))
    low, high = np.quantile(tc, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
    return {
        **columns,
        "alpha2f": np.pad(columns["alpha2f"], ((0, 0), (0, len(ALPHA2F_GRID_MEV) - N_BINS))),
        "tc_lo_K": np.minimum(low, columns["tc_K"]),
        "tc_hi_K": np.maximum(high, columns["tc_K"]),
        "tc_above_5K_probability": (tc > TC_THRESHOLD_K).mean(0),
        "domain_distance": np.full(len(batch), np.nan),
    }
