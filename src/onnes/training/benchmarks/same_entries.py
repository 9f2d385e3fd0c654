"""Energies above the hull of one set of crystals, from one energy each: two sources of energies meet the same competitors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from onnes.physics.hull import Hull, chemical_system
from onnes.physics.reference import SCHEMA, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ON_HULL_eV = 1e-6


def hull_of_entries(formulas: Sequence[str], formation_eV_per_atom: Floats) -> Hull:
    """Hull of crystals with formation energies, shape (P,), and of their elements at zero; NaN is left out."""
    good = np.flatnonzero(np.isfinite(formation_eV_per_atom)).tolist()
    elements = sorted({e for i in good for e in chemical_system(formulas[i])})
    names = [Composition(formulas[i]).reduced_formula for i in good] + elements
    energies = [float(formation_eV_per_atom[i]) for i in good] + [0.0] * len(elements)
    columns = {"id": [str(i) for i in good] + elements, "reduced_formula": names, "energy_eV_per_atom": energies}
    table = pa.table(
        {field.name: pa.array(columns.get(field.name, [None] * len(names)), field.type) for field in SCHEMA}
    )
    return Hull(Reference("entries", "given", "", "formation energies", table, "", {}))


def above_hull(hull: Hull, formulas: Sequence[str], formation_eV_per_atom: Floats) -> Floats:
    """Energy above the hull in eV/atom, shape (B,); NaN where there is no energy."""
    placed = hull.place_all(formulas, formation_eV_per_atom)
    return np.array([p.e_above_hull_eV_per_atom if p is not None else np.nan for p in placed])


def above_competitors(
    hull: Hull,
    formulas: Sequence[str],
    formation_eV_per_atom: Floats,
    *,
    on_rows: Callable[[int], None] | None = None,
) -> Floats:
    """Energy above the hull of the other formulas in eV/atom, shape (B,): negative for a crystal that they do not reach.

    The decomposition energy of Bartel et al., npj Comput. Mater. 6, 97 (2020). It is also what a screening computes for
    a new formula.
    """
    formulas = [Composition(formula).reduced_formula for formula in formulas]
    above = above_hull(hull, formulas, formation_eV_per_atom)
    of_formula: dict[str, float] = {}
    for row, formula in enumerate(formulas):
        # a formula above the hull does not shape it
        if formula not in of_formula:
            lowest = hull.reference.lowest.get(formula)
            on_hull = lowest is not None and above_hull(hull, [formula], np.array([lowest[0]]))[0] < _ON_HULL_eV
            of_formula[formula] = _gap_of(hull, formula) if on_hull else 0.0
        above[row] += of_formula[formula]
        if on_rows:
            on_rows(1)
    return above


def _gap_of(hull: Hull, formula: str) -> float:
    """How far the hull without a formula that lies on it is above it, as a negative number (eV/atom)."""
    entries = [
        PDEntry(composition, phase.energy_eV_per_atom * composition.num_atoms)
        for phase in hull.phases(chemical_system(formula))
        if (composition := Composition(phase.formula)).reduced_formula != formula or len(composition.elements) == 1
    ]
    rest = PhaseDiagram(entries).get_hull_energy_per_atom(Composition(formula))
    return hull.reference.lowest[formula][0] - float(rest)
