"""Corrections that take energies of a potential to the formation energies of the Materials Project.

A potential of MPtrj speaks raw PBE(+U). The Materials Project corrects compounds of anions and of transition metals with a
Hubbard U (Wang et al., Sci. Rep. 11, 15496 (2021)). The corrections here are linear in the composition likewise, but
their values are fitted, so that they take up what the potential itself has wrong of an element on average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.neighbours import neighbour_edges
from onnes.crystals.symbols import atomic_number, symbols

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch

    Floats = NDArray[np.float64]

ANIONS = ("F", "Cl", "Br", "I", "S", "Se", "Te", "N", "Sb", "Si", "H")
"""Anions with a correction beside oxygen, as in the Materials Project."""
U_METALS = ("V", "Cr", "Mn", "Fe", "Co", "Ni", "Mo", "W")
"""Metals with a Hubbard U in oxides and fluorides of the Materials Project."""
PEROXIDE_A, SUPEROXIDE_A = 1.65, 1.40
"""Longest O-O distance of a peroxide and of a superoxide."""
_TURNS = 20
_TUNED_TO = 1.345  # in robust standard deviations: 95 % efficiency on normal errors
_Z_MAX = 119


@dataclass(frozen=True, eq=False)
class Composition:
    """Atomic fractions of B crystals.

    Attributes
    ----------
    fractions
        By atomic number, shape (B, 119).
    """

    fractions: Floats

    @classmethod
    def of(cls, batch: CrystalBatch) -> Composition:
        """Count the atoms of a batch."""
        counts = np.zeros((len(batch), _Z_MAX))
        np.add.at(counts, (batch.owners, batch.atomic_numbers), 1)
        return cls(counts / batch.n_atoms[:, None])

    @property
    def compound(self) -> NDArray[np.bool_]:
        """Crystals of more than one element, shape (B,)."""
        return (self.fractions > 0).sum(1) > 1

    def mean(self, per_element: Mapping[str, float]) -> Floats:
        """Mean over the atoms of a number by element, shape (B,); NaN where an element has none."""
        values = np.full(_Z_MAX, np.nan)
        for element, value in per_element.items():
            values[atomic_number(element)] = value
        known = np.isfinite(values)
        missing = (self.fractions[:, ~known] > 0).any(1)
        return np.where(missing, np.nan, self.fractions[:, known] @ values[known])


def correction_terms(batch: CrystalBatch) -> tuple[tuple[str, ...], Floats]:
    """What each correction is multiplied by.

    An element counts as the anion of a compound when it is the most electronegative one there (Pauling). It then has a
    correction of its own instead of that of its element. Oxygen's is that of oxides, peroxides or superoxides, by the
    shortest O-O distance.

    Parameters
    ----------
    batch
        B crystals.

    Returns
    -------
    names
        Length K: elements, anions (``S anion``) and metals with a Hubbard U (``Fe +U``).
    terms
        Atomic fractions, shape (B, K); zero for elements, which are corrected by nothing.
    """
    fractions = Composition.of(batch).fractions
    anion = _most_electronegative(fractions)
    share = np.where(np.arange(_Z_MAX) == anion[:, None], fractions, 0.0)
    rest = fractions - share
    oxygen = share[:, 8]
    kind = _oxygen_kind(batch)
    columns = {name: oxygen * (kind == name) for name in ("oxide", "peroxide", "superoxide")}
    columns |= {f"{a} anion": share[:, atomic_number(a)] for a in ANIONS}
    corrected = {8, *(atomic_number(a) for a in ANIONS)}
    polar = (share[:, 8] + share[:, 9]) > 0
    columns |= {f"{m} +U": fractions[:, atomic_number(m)] * polar for m in U_METALS}
    for z in np.flatnonzero((fractions > 0).any(0)):
        columns[symbols()[z]] = rest[:, z] if int(z) in corrected else fractions[:, z]
    compound = (fractions > 0).sum(1) > 1
    return tuple(columns), np.stack(list(columns.values()), axis=1) * compound[:, None]


def _most_electronegative(fractions: Floats) -> NDArray[np.int64]:
    from onnes.models.composition import PROPERTIES, element_properties

    properties = element_properties()
    scale = np.full(_Z_MAX, -np.inf)
    values = properties[:, PROPERTIES.index("electronegativity")]
    scale[1 : 1 + len(values)] = np.nan_to_num(values, nan=-np.inf)
    return np.where(fractions > 0, scale, -np.inf).argmax(1)


def _oxygen_kind(batch: CrystalBatch) -> NDArray[np.str_]:
    """Kind of oxide of each crystal, shape (B,)."""
    shortest = np.full(len(batch), np.inf)
    rows = np.flatnonzero(np.bincount(batch.owners[batch.atomic_numbers == 8], minlength=len(batch)) > 0)
    oxides = batch.select(rows)
    pairs, vectors, owners = neighbour_edges(oxides, PEROXIDE_A)
    both = (oxides.atomic_numbers[pairs] == 8).all(0)
    np.minimum.at(shortest, rows[owners[both]], np.linalg.norm(vectors[both], axis=1))
    return np.select([shortest < SUPEROXIDE_A, shortest < PEROXIDE_A], ["superoxide", "peroxide"], "oxide")


@dataclass(frozen=True, eq=False)
class Corrections:
    """Fitted corrections in eV per atom of the element, by name."""

    values: Mapping[str, float]

    def of(self, names: tuple[str, ...], terms: Floats) -> Floats:
        """Correction of each crystal in eV/atom, shape (B,); a term that was not fitted counts nothing."""
        return terms @ np.array([self.values.get(name, 0.0) for name in names])


def published_corrections() -> dict[str, float]:
    """Corrections of the Materials Project in eV per atom of the element, named as here (Wang et al. 2021).

    Examples
    --------
    >>> published_corrections()["oxide"]
    -0.687
    """
    from pymatgen.entries.compatibility import MaterialsProject2020Compatibility

    scheme = MaterialsProject2020Compatibility()
    found = {n: scheme.comp_correction[n] for n in ("oxide", "peroxide", "superoxide")}
    found |= {f"{a} anion": scheme.comp_correction[a] for a in ANIONS}
    return found | {f"{m} +U": scheme.u_corrections["O"][m] for m in U_METALS}


def fit_corrections(
    names: tuple[str, ...], terms: Floats, missing_eV_per_atom: Floats, *, ridge: float = 0.03
) -> Corrections:
    """Fit corrections, little moved by the few crystals on which the potential fails.

    Ridge regression, reweighted with Huber's weights (Ann. Math. Stat. 35, 73 (1964)) until they settle.

    Parameters
    ----------
    names, terms
        From `correction_terms`; terms of shape (P, K).
    missing_eV_per_atom
        What the energies lack, shape (P,).
    ridge
        Penalty on the squared corrections, in units of the squared error of one row.
    """
    weights = np.ones(len(terms))
    found = np.zeros(terms.shape[1])
    for _ in range(_TURNS):
        weighted = terms * weights[:, None]
        found = np.linalg.solve(weighted.T @ terms + ridge * np.eye(len(found)), weighted.T @ missing_eV_per_atom)
        residual = np.abs(missing_eV_per_atom - terms @ found)
        scale = max(float(np.median(residual)) / 0.6745, 1e-6)
        weights = np.minimum(1.0, _TUNED_TO * scale / np.maximum(residual, 1e-12))
    return Corrections({name: float(x) for name, x in zip(names, found, strict=True)})
