"""Thermal properties of harmonic phonons: free energy, entropy and heat capacity against temperature."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.physics.phonons import ACOUSTIC_NOISE_THZ

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from onnes.physics.phonons import Phonons

    Floats = NDArray[np.float64]

ROOM_TEMPERATURE_K = 300.0
TEMPERATURES_K = tuple(float(t) for t in range(0, 1001, 20))


@dataclass(frozen=True, eq=False)
class ThermalProperties:
    """Thermal properties at constant volume, of one mole of cells.

    Attributes
    ----------
    temperatures_K
        Shape (n,).
    free_energy_kJ_per_mol_cell, entropy_J_per_mol_cell_K, heat_capacity_J_per_mol_cell_K
        Of the vibrations, zero-point energy included, shape (n,).
    n_atoms
        Atoms in the cell.
    left_out_share
        Share of the modes that are imaginary and not counted; with more than a trace of them the numbers mean little.
    """

    temperatures_K: Floats
    free_energy_kJ_per_mol_cell: Floats
    entropy_J_per_mol_cell_K: Floats
    heat_capacity_J_per_mol_cell_K: Floats
    n_atoms: int
    left_out_share: float

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers; units are in the names, everything for one mole of cells."""
        return {
            "n_atoms": self.n_atoms,
            "left_out_share": round(self.left_out_share, 5),
            "temperatures_K": self.temperatures_K.tolist(),
            "free_energy_kJ_per_mol_cell": self.free_energy_kJ_per_mol_cell.round(5).tolist(),
            "entropy_J_per_mol_cell_K": self.entropy_J_per_mol_cell_K.round(5).tolist(),
            "heat_capacity_J_per_mol_cell_K": self.heat_capacity_J_per_mol_cell_K.round(5).tolist(),
        }


def thermal_properties(phonons: Phonons, temperatures_K: ArrayLike = TEMPERATURES_K) -> ThermalProperties:
    """Sum over the modes of the mesh, each a quantum harmonic oscillator.

    F = sum of (hbar omega / 2 + k T ln(1 - exp(-hbar omega / k T))), S = -dF/dT, C = T dS/dT (Born and Huang, Dynamical
    Theory of Crystal Lattices (1954)), as phonopy evaluates them. Imaginary modes are left out, as are the three
    acoustic ones at q = 0.

    Parameters
    ----------
    phonons
        From `onnes.physics.phonons.phonon_dos`.
    temperatures_K
        Not negative, shape (n,).

    Examples
    --------
    >>> from onnes.crystals.batch import CrystalBatch
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.force_constants import phonons_of
    >>> from onnes.potentials.potential import load_potential
    >>> aluminium = CrystalBatch.from_structures([known_crystal("Al", primitive=True)])
    >>> [phonons] = phonons_of(aluminium, load_potential(), min_length_A=8.0)
    >>> bool(22 < thermal_properties(phonons, [300.0]).heat_capacity_J_per_mol_cell_K[0] < 24.9)
    True
    """
    phonopy = phonons.displaced.phonopy
    temperatures = np.atleast_1d(np.asarray(temperatures_K, float))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = phonopy.run_thermal_properties(temperatures=temperatures, exclude_gamma_acoustic=True)
    left_out = float(phonopy.mesh.weights @ (phonopy.mesh.frequencies < 0).mean(1) / phonopy.mesh.weights.sum())
    return ThermalProperties(
        temperatures,
        np.asarray(made.free_energy, float),
        np.asarray(made.entropy, float),
        np.asarray(made.heat_capacity, float),
        len(phonopy.primitive),
        left_out if phonons.min_phonon_THz < -ACOUSTIC_NOISE_THZ else 0.0,
    )


def heat_capacity_J_per_mol_cell_K(phonons: Phonons, temperature_K: float = ROOM_TEMPERATURE_K) -> float:
    """Heat capacity at constant volume of one mole of cells (J/(mol K)); see `thermal_properties`."""
    return float(thermal_properties(phonons, [temperature_K]).heat_capacity_J_per_mol_cell_K[0])
