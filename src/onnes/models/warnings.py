"""Why a crystal lies outside what a superconductivity model was trained for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.models.composition import experimental_families
from onnes.models.superconductivity import MAGNETIC_MUB
from onnes.physics.spectra import K_PER_MEV

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch

PRESSURE_GPA = 1.0
HIGH_PHONON_MEV = 100.0
_HYDRIDE_SHARE = 0.5  # of the atoms
_UNCONVENTIONAL = ("cuprate", "iron-based")


def domain_warnings(
    batch: CrystalBatch,
    pressures_GPa: NDArray[np.float64],
    predicted: Mapping[str, NDArray[np.float64]],
    elements: frozenset[int],
    max_atoms: int,
) -> list[list[str]]:
    """Reasons to distrust the prediction of each crystal; an empty list where there is none.

    Parameters
    ----------
    batch
        B crystals.
    pressures_GPa
        Shape (B,); NaN where unknown.
    predicted
        ``domain_distance``, ``magmom_max_muB`` and ``omega2_K``, shape (B,).
    elements, max_atoms
        Atomic numbers and largest cell that the model is meant for.
    """
    from ase.data import chemical_symbols

    families = experimental_families([_composition(numbers) for _, _, numbers in batch])
    result: list[list[str]] = []
    for i, (_, _, numbers) in enumerate(batch):
        found: list[str] = []
        if predicted["domain_distance"][i] > 1:
            found.append(f"unlike the training crystals (distance {predicted['domain_distance'][i]:.2f}, edge 1)")
        foreign = sorted(set(numbers.tolist()) - elements)
        if foreign:
            found.append("elements not in the training data: " + ", ".join(chemical_symbols[z] for z in foreign))
        if len(numbers) > max_atoms:
            found.append(f"{len(numbers)} atoms, trained up to {max_atoms}")
        if predicted["magmom_max_muB"][i] > MAGNETIC_MUB:
            found.append(f"magnetic (CHGNet moment {predicted['magmom_max_muB'][i]:.1f} muB)")
        if families[i] in _UNCONVENTIONAL:
            found.append(f"{families[i]} by its elements: phonons alone do not explain its pairing")
        if (numbers == 1).mean() >= _HYDRIDE_SHARE:
            found.append("hydride: few in the training data, none under pressure")
        if (mean := predicted["omega2_K"][i] / K_PER_MEV) > HIGH_PHONON_MEV:
            found.append(
                f"mean phonon (omega2) at {mean:.0f} meV, hardly any above {HIGH_PHONON_MEV:g} in the training data"
            )
        if np.isfinite(pressures_GPa[i]) and abs(pressures_GPa[i]) > PRESSURE_GPA:
            found.append(f"at {pressures_GPa[i]:g} GPa, trained at ambient pressure")
        result.append(found)
    return result


def _composition(numbers: NDArray[np.int64]) -> dict[int, int]:
    kinds, counts = np.unique(numbers, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))
