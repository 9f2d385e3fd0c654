"""A pool with known answers: measured superconductors hidden among metals of which nothing is reported.

The hidden ones are ordered crystals of the validation buckets with a measured Tc, the others metals of the same buckets.
The crystals of both come from the Materials Project; 3DSC (Sommer et al., Sci. Data 2023) matched those of the
superconductors to the measurements by composition, so that which polymorph was measured is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, values
from onnes.crystals.symbols import symbols
from onnes.errors import ConfigError
from onnes.models.composition import experimental_families
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, buckets, read_data
from onnes.training.experimental_data import composition_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Names = NDArray[np.str_]

SUPERCONDUCTORS, METALS = "tc_exp_3dsc_mp", "mp_structures"
REPORTS = ("tc_exp_by_composition", "tc_exp_supercon_tables", SUPERCONDUCTORS)
COMPUTED = ("epc_dft_alexandria", "epc_dft_jarvis3d")
HYDRIDES = "tc_dft_jarvis_hydrides_nostructure"
MIN_TC_K = 4.0
RATIO = 10
"""Unlabelled metals for each hidden superconductor."""
MAX_ATOMS = 20
N_ELEMENTS = (2, 3)
"""Atoms in the cell and elements that the metals at hand have; see `Candidates.alike`."""
_MAX_VOLUME_A3 = 100.0  # a cell with more for each atom is no crystal of the measured compound
_GEOMETRY = ("lattice", "frac_coords", "atomic_numbers")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Crystals that pools are drawn from; a formula may have several.

    Attributes
    ----------
    table
        n rows: lattice, frac_coords, atomic_numbers, reduced_formula.
    tc_K
        Measured, shape (n,); NaN where nothing is reported.
    systems
        Chemical system of each row, such as ``"Nb-Sn"``, shape (n,).
    """

    table: pa.Table
    tc_K: Floats
    systems: Names

    @property
    def superconducts(self) -> Bools:
        """Rows with a measured Tc, shape (n,)."""
        return np.isfinite(self.tc_K)

    @property
    def formulas(self) -> Names:
        """Reduced formulas, shape (n,)."""
        return np.array(values(self.table, "reduced_formula"), dtype=np.str_)

    @property
    def cuprate(self) -> Bools:
        """Rows that are cuprates by the rule of `onnes.models.composition.experimental_families`, shape (n,)."""
        return np.array(experimental_families(self.formulas.tolist())) == "cuprate"

    @property
    def alike(self) -> Bools:
        """Rows with as many atoms and elements as the metals at hand, shape (n,).

        The metals are binary and ternary and have at most 20 atoms in the cell. A superconductor beyond that could be told
        by its size alone.
        """
        sizes = np.array([len(numbers) for numbers in values(self.table, "atomic_numbers")])
        elements = np.char.count(self.systems, "-") + 1
        return (sizes <= MAX_ATOMS) & np.isin(elements, N_ELEMENTS)


@dataclass(frozen=True, eq=False)
class Pool:
    """One crystal a formula, in random order.

    Attributes
    ----------
    rows
        Row numbers in the `Candidates`, shape (m,).
    hidden
        Which of them superconduct, shape (m,).
    """

    rows: NDArray[np.int64]
    hidden: Bools

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, kept: Bools) -> Pool:
        """The pool without the rows that are False in ``kept``, shape (m,)."""
        return Pool(self.rows[kept], self.hidden[kept])


def draw_pool(candidates: Candidates, allowed: Bools, *, ratio: int = RATIO, seed: int = 0) -> Pool:
    """Draw a pool: all superconductors that may enter, and ``ratio`` times as many metals; of each formula one crystal.

    Parameters
    ----------
    candidates
        n crystals.
    allowed
        Rows that may enter, shape (n,).
    ratio
        Metals for each superconductor.
    seed
        Of the draws of metals, of crystals of a formula, and of the order.

    Raises
    ------
    ConfigError
        When no superconductor may enter, or too few metals.
    """
    rng = np.random.default_rng(seed)
    formulas = candidates.formulas
    hidden, others = (
        _rows_by_formula(formulas, np.flatnonzero(rows))
        for rows in (allowed & candidates.superconducts, allowed & ~candidates.superconducts)
    )
    if not hidden or len(others) < ratio * len(hidden):
        raise ConfigError(
            f"{len(hidden)} superconductors cannot be hidden among {ratio} times as many of {len(others)} metals; "
            "lower the ratio or give more crystals"
        )
    metals = rng.choice(len(others), ratio * len(hidden), replace=False)
    rows = [rng.choice(polymorphs) for polymorphs in (*hidden, *(others[i] for i in metals))]
    order = rng.permutation(len(rows))
    return Pool(np.array(rows, np.int64)[order], (np.arange(len(rows)) < len(hidden))[order])


def _rows_by_formula(formulas: Names, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Row numbers of each formula that occurs in the chosen rows, formulas in alphabetical order."""
    number = np.unique(formulas[rows], return_inverse=True)[1]
    order = np.argsort(number, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(number[order])) + 1) if len(rows) else []


# --- chemical systems ------------------------------------------------------------------------------------------------


def chemical_system(elements: Iterable[str]) -> str:
    """Join the symbols of elements in alphabetical order.

    Examples
    --------
    >>> chemical_system(["Sn", "Nb"])
    'Nb-Sn'
    """
    return "-".join(sorted(set(elements)))


def formula_systems(formulas: Iterable[str]) -> Names:
    """Chemical systems of formulas, shape (n,); deuterium counts as hydrogen."""
    found = {}
    names = list(formulas)
    for name in set(names):
        elements = (part.split(":")[0] for part in composition_key(name).split("|"))
        found[name] = chemical_system("H" if element in ("D", "T") else element for element in elements)
    return np.array([found[name] for name in names], dtype=np.str_)


def within(systems: Iterable[str], others: Iterable[str]) -> Bools:
    """Whether all elements of a system occur in one of the other systems: the same one, or one with more elements.

    A doped relative of a compound is in such a system.

    Examples
    --------
    >>> within(["Nb-Sn", "Pb"], ["Nb-Sn-Ta"]).tolist()
    [True, False]
    """
    larger = [frozenset(other.split("-")) for other in set(others)]
    wanted = [frozenset(system.split("-")) for system in systems]
    return np.array([any(one <= other for other in larger) for one in wanted], dtype=bool)


def training_systems() -> dict[str, frozenset[str]]:
    """Chemical systems that occur in the training buckets, by the kind of data.

    Returns
    -------
    dict
        ``reports`` of measurements (with or without a Tc), ``computed`` electron-phonon labels, ``background`` formulas that are
        presumed not to superconduct.
    """
    kinds = {"reports": REPORTS, "computed": COMPUTED, "background": (METALS,)}
    return {
        kind: frozenset(system for file in files for system in _systems_in(file, TRAINING_BUCKETS).tolist())
        for kind, files in kinds.items()
    }


def superconducting_systems() -> frozenset[str]:
    """Chemical systems of the training buckets in which a superconductor is reported."""
    table = read_data(REPORTS[0])
    return frozenset(_systems_in(REPORTS[0], TRAINING_BUCKETS, values(table, "label_superconductor")).tolist())


def _systems_in(file: str, wanted: range, mask: list[bool] | None = None) -> Names:
    table = read_data(file)
    inside = np.isin(buckets(values(table, "reduced_formula")), wanted)
    if mask is not None:
        inside &= np.array(mask, bool)
    return np.unique(formula_systems(values(table.filter(inside), "reduced_formula")))


# --- reading ---------------------------------------------------------------------------------------------------------


def load_candidates() -> Candidates:
    """Read the superconductors and the metals of the validation buckets; raises ConfigError without the data.

    Superconductors: ordered crystals of 3DSC with a measured Tc of at least 4 K and at most 100 cubic angstrom for each atom.
    Metals: crystals of the Materials Project with a band gap of zero whose composition no table lists, of measurements
    or of computed electron-phonon coupling, with a Tc or without.
    """
    known = _superconductors()
    listed = _listed()
    metals = read_data(METALS)
    metals = metals.filter(
        np.isin(buckets(values(metals, "reduced_formula")), VALIDATION_BUCKETS)
        & (floats(metals, "band_gap_eV") == 0)
        & ~np.array(values(metals, "duplicate_id"), bool)
    )
    keys = {formula: composition_key(formula) for formula in set(values(metals, "reduced_formula"))}
    metals = metals.filter(np.array([keys[formula] not in listed for formula in values(metals, "reduced_formula")]))
    columns = [*_GEOMETRY, "reduced_formula"]
    geometry = pa.schema([
        ("lattice", pa.list_(pa.float64())), ("frac_coords", pa.list_(pa.float64())),
        ("atomic_numbers", pa.list_(pa.int16())), ("reduced_formula", pa.string()),
    ])  # fmt: skip
    table = pa.concat_tables([part.select(columns).cast(geometry) for part in (known, metals)])
    names = symbols()
    systems = [chemical_system(names[z] for z in numbers) for _, _, numbers in CrystalBatch.from_table(table)]
    tc = np.concatenate([floats(known, "tc_K"), np.full(metals.num_rows, np.nan)])
    return Candidates(table, tc, np.array(systems, dtype=np.str_))


def _superconductors() -> pa.Table:
    table = read_data(SUPERCONDUCTORS)
    table = table.filter(
        np.isin(buckets(values(table, "reduced_formula")), VALIDATION_BUCKETS)
        & np.array(values(table, "is_ordered"), bool)
        & (floats(table, "tc_K") >= MIN_TC_K)
    )
    batch = CrystalBatch.from_table(table)
    return table.filter(batch.volumes <= _MAX_VOLUME_A3 * batch.n_atoms)


def _listed() -> set[str]:
    """Keys of all compositions in the tables of superconductivity."""
    keys = {key for file in REPORTS for key in values(read_data(file), "comp_key")}
    formulas = {formula for file in (*COMPUTED, HYDRIDES) for formula in values(read_data(file), "reduced_formula")}
    return keys | {composition_key(formula) for formula in formulas}
