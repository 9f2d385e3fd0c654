"""Crystals with DFT formation energies, and what a potential says of the same crystals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats
from onnes.training.benchmarks.corrections import Composition, correction_terms, fit_corrections
from onnes.training.benchmarks.energies import cached_energies
from onnes.training.benchmarks.mp_energies import element_energies, mp_crystals
from onnes.training.data import buckets, read_data

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.training.benchmarks.corrections import Corrections

    Floats = NDArray[np.float64]
    Mask = NDArray[np.bool_]

UNSEEN = "wbm_equilibrium_sample"


@dataclass(frozen=True, eq=False)
class Formation:
    """Formation energies of P crystals in eV/atom.

    Attributes
    ----------
    formulas
        Reduced formulas, length P.
    buckets
        Composition buckets, shape (P,).
    dft
        Of the Materials Project, its corrections included, shape (P,).
    potential
        From the energies of the potential, its own elements taken off, shape (P,); NaN where it has none.
    names, terms
        Of the corrections, `onnes.training.benchmarks.corrections.correction_terms`; terms of shape (P, K).
    compound
        Crystals of more than one element, shape (P,).
    """

    formulas: list[str]
    buckets: NDArray[np.int64]
    dft: Floats
    potential: Floats
    names: tuple[str, ...]
    terms: Floats
    compound: Mask

    def inside(self, chosen: range) -> Mask:
        """Compounds of some buckets for which the potential has an energy, shape (P,)."""
        return np.isin(self.buckets, chosen) & self.compound & np.isfinite(self.potential)

    def corrections(self, fitted_on: range) -> Corrections:
        """Corrections that take the potential to the Materials Project, fitted on some buckets."""
        rows = self.inside(fitted_on)
        return fit_corrections(self.names, self.terms[rows], (self.dft - self.potential)[rows])

    def corrected(self, corrections: Corrections) -> Floats:
        """Corrected formation energies in eV/atom, shape (P,)."""
        return self.potential + corrections.of(self.names, self.terms)


def mp_formation(
    potential: str, max_atoms: int, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> Formation:
    """Materials Project crystals of up to ``max_atoms`` atoms; their energies are computed, or found in the cache."""
    table = mp_crystals(max_atoms)
    return _formation(table, "formation_energy_eV_per_atom", potential, device, on_rows)


def unseen_formation(potential: str, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None) -> Formation:
    """Crystals of WBM (Wang, Botti, Marques, npj Comput. Mater. 7, 12 (2021)), which no potential of MPtrj has seen."""
    return _formation(read_data(UNSEEN), "corrected_formation_energy_eV_per_atom", potential, device, on_rows)


def _formation(
    table: pa.Table, column: str, potential: str, device: str, on_rows: Callable[[int], None] | None
) -> Formation:
    batch = CrystalBatch.from_table(table)
    elements = element_energies(potential, device=device, on_rows=on_rows)
    energies = cached_energies(batch, potential, device=device, on_rows=on_rows)
    composition = Composition.of(batch)
    names, terms = correction_terms(batch)
    formulas = table["reduced_formula"].to_pylist()
    return Formation(
        formulas, buckets(formulas), floats(table, column), energies - composition.mean(elements), names, terms,
        composition.compound,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class UnseenEnergies:
    """Total energies of the WBM crystals in eV/atom, shape (P,): raw and corrected DFT, and of the potential."""

    raw: Floats
    corrected: Floats
    potential: Floats


def unseen_energies(
    potential: str, *, device: str = "cpu", on_rows: Callable[[int], None] | None = None
) -> UnseenEnergies:
    """Total energies at the published geometry."""
    table = read_data(UNSEEN)
    atoms = floats(table, "n_atoms")
    found = cached_energies(CrystalBatch.from_table(table), potential, device=device, on_rows=on_rows)
    return UnseenEnergies(floats(table, "energy_eV") / atoms, floats(table, "corrected_energy_eV") / atoms, found)
