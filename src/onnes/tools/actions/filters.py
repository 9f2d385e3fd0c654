"""Which rows of a table a search wants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.schema import floats, is_open, values
from onnes.errors import ConfigError, CrystalError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_ELEMENT = re.compile(r"[A-Z][a-z]?")
_LABEL = re.compile(r"[A-Z0-9]+_[a-z][A-Z]\d+_\d+_\w+")
MEASURED = "measured_tc_K"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a search asks for; see `onnes.tools.actions.finding.search`. Empty and None ask for nothing."""

    elements: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    formulas: tuple[str, ...] = ()
    max_elements: int | None = None
    max_atoms: int | None = None
    structure_type: str | None = None
    superconductors: bool = False
    min_tc_K: float | None = None
    max_e_above_hull_eV_per_atom: float | None = None
    only_new: bool = False
    only_in_domain: bool = False
    only_open: bool = True

    def of_kind(self, table: pa.Table) -> pa.Table:
        """Rows of the composition, size and structure type that are asked for."""
        table = table.filter(self.compositions(table))
        if self.max_atoms is not None:
            table = table.filter(floats(table, "n_atoms") <= self.max_atoms)
        if self.structure_type is not None:
            labels = labels_of_type(self.structure_type)
            table = table.filter(np.array([_anonymous(one) in labels for one in values(table, "prototype")], bool))
        return table

    def with_values(self, table: pa.Table) -> pa.Table:
        """Rows that have the values that are asked for; one without a value has it not."""
        keep = is_open(table) if self.only_open else np.ones(table.num_rows, bool)
        if self.superconductors:
            keep &= np.isfinite(floats(table, MEASURED))
        if self.min_tc_K is not None:
            predicted = floats(table, "tc_K")
            keep &= np.where(np.isnan(predicted), floats(table, MEASURED), predicted) >= self.min_tc_K
        if self.max_e_above_hull_eV_per_atom is not None:
            keep &= floats(table, "e_above_hull_eV_per_atom") <= self.max_e_above_hull_eV_per_atom
        for column, asked in (("is_novel", self.only_new), ("in_domain", self.only_in_domain)):
            if asked:
                keep &= np.array([one is True for one in values(table, column)], bool)
        return table.filter(keep)

    def compositions(self, table: pa.Table) -> Mask:
        """Which rows have the elements and formulas that are asked for."""
        allowed, required, exclude = set(self.elements), set(self.required), set(self.exclude)
        formulas = {reduced(one) for one in self.formulas}
        keep = np.zeros(table.num_rows, bool)
        for row, formula in enumerate(values(table, "reduced_formula")):
            found = set(_ELEMENT.findall(formula or ""))
            keep[row] = (
                bool(found)
                and (not allowed or found <= allowed)
                and required <= found
                and not exclude & found
                and (self.max_elements is None or len(found) <= self.max_elements)
                and (not formulas or formula in formulas)
            )
        return keep


def elements_of(table: pa.Table) -> list[frozenset[str]]:
    """Elements of each row, from its formula."""
    return [frozenset(_ELEMENT.findall(formula or "")) for formula in values(table, "reduced_formula")]


def reduced(formula: str) -> str:
    """Reduced formula as the tables write it.

    Examples
    --------
    >>> reduced("Sn2Nb6")
    'Nb3Sn'
    """
    from pymatgen.core import Composition

    from onnes.crystals.symbols import atomic_numbers

    try:
        composition = Composition(formula)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{formula!r} is no formula ({error}); write it as in Nb3Sn") from None
    unknown = [str(one) for one in composition if str(one) not in atomic_numbers()]  # pymatgen takes X for a dummy
    if unknown or not composition:
        raise ConfigError(f"{formula!r} is no formula; write it with real elements, as in Nb3Sn")
    return composition.reduced_formula


@lru_cache(maxsize=256)
def labels_of_type(name: str) -> frozenset[str]:
    """Prototype labels without elements that a name stands for: a motif, a structure type, or a label itself.

    Raises
    ------
    ConfigError
        For an unknown name.

    Examples
    --------
    >>> labels_of_type("A15") == labels_of_type("A3B_cP8_223_c_a")
    True
    >>> len(labels_of_type("laves"))
    3
    """
    from onnes.crystals.symmetry import prototype_of
    from onnes.propose.motifs import motif_names, motif_prototypes
    from onnes.propose.prototypes import prototype

    head = name.partition(":")[0]
    if _LABEL.fullmatch(head):
        elements = "-".join(chr(ord("A") + i) for i in range(head.count("_") - 2))
        label = _anonymous(f"{head}:{elements}")
        if label is None:
            raise ConfigError(
                f"{name[:60]!r} is no prototype label; write it as in A3B_cP8_223_c_a, or a name such as A15"
            )
        return frozenset({label})
    names = motif_prototypes(name) if name.lower() in motif_names() else [name]
    labels = set()
    for kind in map(prototype, names):
        made = kind.decorated(np.arange(21, 21 + len(kind.species)))  # any different elements
        labels.add(_anonymous(prototype_of(made.lattice, made.frac_coords, made.atomic_numbers)))
    return frozenset(labels - {None})


def _anonymous(label: str | None) -> str | None:
    from onnes.crystals.prototype_label import anonymous_prototype

    if label is None:
        return None
    try:
        return anonymous_prototype(label)[0].label
    except (CrystalError, ValueError, KeyError):
        return None
