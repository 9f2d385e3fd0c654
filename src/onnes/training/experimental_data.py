"""Measured superconductors for training: positives, presumed negatives, crystals, and the splits.

Positives are compositions with a reported Tc; their label is the median of the reports. Negatives are presumed, not
measured: Materials Project formulas that the superconductor tables do not list (``background``). A Tc of zero in those
tables mostly means that none was reported, so such compositions (``unreported``) have no label. The few whose report
says zero in a table that lists measurements (``measured zero``) are never trained on and only scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from onnes.crystals.schema import floats, values
from onnes.models.composition import composition_features, experimental_families
from onnes.models.experimental import STRUCTURAL_NAMES, structural_features
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, bucket, buckets, read_data

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

COMPOSITIONS, REPORTS, STRUCTURES, BACKGROUND = (
    "tc_exp_by_composition", "tc_exp_supercon_tables", "tc_exp_3dsc_mp", "mp_structures",
)  # fmt: skip
KINDS = ("superconductor", "background", "unreported", "measured zero")

_RESERVED_FROM = 90
_NO_MEASUREMENTS = "supercon_stanev2018"  # its zeros stand for no report
_METAL_GAP_EV = 0.05
_MAX_VOLUME_A3 = 100.0
_STOICHIOMETRIC_ATOMS = 30


@dataclass(frozen=True, eq=False)
class ExperimentalData:
    """P rows: every composition once without structure, then one row for each of its crystals.

    Attributes
    ----------
    features, structural
        Of the composition (P, F) and of the crystal (P, S); NaN where the row has no crystal.
    ln_tc_K
        Shape (P,); NaN unless a superconductor.
    label
        1 superconductor, 0 background, NaN the other two of `KINDS`; shape (P,).
    kind, family
        Of `KINDS` and `onnes.models.composition.EXPERIMENTAL_FAMILIES`, shape (P,).
    is_metal
        Background formula that has an entry with a PBE(+U) gap below 0.05 eV, shape (P,).
    stoichiometric
        Formula of whole numbers with at most 30 atoms, shape (P,).
    weight
        1 for a composition, 1 / (number of crystals) for a crystal, shape (P,).
    buckets, system_buckets
        Split numbers 0-99 of the formula and of the chemical system, shape (P,).
    groups, systems
        Numbers of the composition and of the chemical system, shape (P,).
    file, file_row
        Where the row's crystal stands in the data files, shape (P,); empty and -1 without.
    pooled
        Pooled potential features of the crystals, shape (P, G), where the caller adds them (`dataclasses.replace`).
    label_noise
        Mean absolute deviation of ln Tc of a report from the median of its composition, over compositions with several
        reports that are not all the same.
    """

    features: NDArray[np.float32]
    structural: NDArray[np.float32]
    ln_tc_K: Floats
    label: Floats
    kind: NDArray[np.str_]
    family: NDArray[np.str_]
    is_metal: Bools
    stoichiometric: Bools
    weight: Floats
    buckets: NDArray[np.int64]
    system_buckets: NDArray[np.int64]
    groups: NDArray[np.int64]
    systems: NDArray[np.int64]
    file: NDArray[np.str_]
    file_row: NDArray[np.int64]
    pooled: NDArray[np.float32] | None = None
    label_noise: float = np.nan

    @property
    def has_structure(self) -> Bools:
        """Rows with a crystal."""
        return np.asarray(self.file != "")


@dataclass(frozen=True, eq=False)
class Split:
    """Rows to train on and rows to score, disjoint."""

    name: str
    train: Bools
    score: Bools


def composition_split(data: ExperimentalData) -> Split:
    """Train below composition bucket 80, score 80-89. Neighbours in doping may stand on both sides."""
    return Split("composition", np.isin(data.buckets, TRAINING_BUCKETS), np.isin(data.buckets, VALIDATION_BUCKETS))


def system_split(data: ExperimentalData) -> Split:
    """Share no chemical system (set of elements) between training and scoring.

    Train where the system's bucket and the composition's are both below 80, score where the system's is 80 or more
    and the composition's is not reserved.
    """
    new = data.system_buckets >= TRAINING_BUCKETS.stop
    return Split(
        "chemical system", ~new & np.isin(data.buckets, TRAINING_BUCKETS), new & (data.buckets < _RESERVED_FROM)
    )


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass
class _Rows:
    """Columns in the making."""

    formula: list[str] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    tc_K: list[float] = field(default_factory=list)
    is_metal: list[bool] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    file: list[str] = field(default_factory=list)
    file_row: list[int] = field(default_factory=list)

    def add(self, **row: Any) -> None:
        for name, value in row.items():
            getattr(self, name).append(value)


def composition_key(formula: str) -> str:
    """Fractions in alphabetical order, rounded to 1e-4: equal for the same composition however it is written.

    Examples
    --------
    >>> composition_key("MgB2")
    'B:0.6667|Mg:0.3333'
    """
    from pymatgen.core import Composition

    amounts = Composition(formula).fractional_composition.get_el_amt_dict()
    return "|".join(f"{element}:{amounts[element]:.4f}" for element in sorted(amounts))


def load_experimental_data(
    *, structures: bool = False, on_rows: Callable[[int], None] | None = None
) -> ExperimentalData:
    """Read the tables; raises ConfigError without the data.

    Reserved composition buckets (90 and above) are left out of the background too, because superconductors with those
    formulas are not in the tables.

    Parameters
    ----------
    structures
        Whether the crystals are read and described as well.
    on_rows
        Called with the number of crystals described since the last call.
    """
    rows = _Rows()
    listed = _read_superconductors(rows)
    background = read_data(BACKGROUND)
    background = background.append_column("file_row", [np.arange(background.num_rows)])
    background = background.filter(~pc.field("duplicate_id") & (pc.field("md5_bucket") < _RESERVED_FROM))
    keys = _read_background(rows, background, set(listed))
    n_compositions = len(rows.key)
    crystals: list[tuple[Any, Any, Any]] = []
    if structures:
        crystals = _read_crystals(rows, listed, background, keys)
    described = [np.full((n_compositions, len(STRUCTURAL_NAMES)), np.nan, np.float32)]
    for start in range(0, len(crystals), 1000):
        described.append(structural_features(crystals[start : start + 1000]))
        if on_rows:
            on_rows(len(described[-1]))
    return replace(_data(rows, np.concatenate(described)), label_noise=_label_noise())


def _label_noise() -> float:
    """See `ExperimentalData.label_noise`; equal numbers are mostly one measurement told twice, and are left out."""
    reports = read_data(REPORTS).filter((pc.field("tc_K") > 0) & ~pc.field("tc_suspicious"))
    keys = np.unique(values(reports, "comp_key"), return_inverse=True)[1]
    ln_tc = np.log(floats(reports, "tc_K"))
    order = np.argsort(keys, kind="stable")
    parts = np.split(ln_tc[order], np.flatnonzero(np.diff(keys[order])) + 1)
    deviations = [np.abs(part - np.median(part)) for part in parts if len(part) > 1 and np.ptp(part) > 0]
    return float(np.concatenate(deviations).mean()) if deviations else np.nan


def _read_superconductors(rows: _Rows) -> dict[str, tuple[str, float]]:
    """Add the tables' compositions; kind and Tc by composition key."""
    reports = read_data(REPORTS)
    reports = reports.filter((pc.field("tc_K") == 0) & (pc.field("source") != _NO_MEASUREMENTS))
    zeros = set(values(reports, "comp_key"))
    table = read_data(COMPOSITIONS)
    listed: dict[str, tuple[str, float]] = {}
    columns = (values(table, c) for c in ("comp_key", "reduced_formula", "label_superconductor", "tc_median_K"))
    for key, formula, superconducts, tc_K in zip(*columns, strict=True):
        positive = superconducts and tc_K > 0
        kind = "superconductor" if positive else "measured zero" if key in zeros else "unreported"
        listed[key] = (kind, tc_K if positive else np.nan)
        rows.add(formula=formula, key=key, kind=kind, tc_K=listed[key][1], is_metal=False, weight=1.0, file="",
                 file_row=-1)  # fmt: skip
    return listed


def _read_background(rows: _Rows, table: pa.Table, listed: set[str]) -> list[str]:
    """Add the formulas that the superconductor tables do not list; the key of every row of the table."""
    formulas = values(table, "reduced_formula")
    known = {formula: composition_key(formula) for formula in set(formulas)}
    metals = {f for f, gap in zip(formulas, floats(table, "band_gap_eV"), strict=True) if gap < _METAL_GAP_EV}
    tabulated = set(rows.formula)
    for formula in sorted(known):
        if known[formula] not in listed and formula not in tabulated:
            rows.add(formula=formula, key=known[formula], kind="background", tc_K=np.nan, is_metal=formula in metals,
                     weight=1.0, file="", file_row=-1)  # fmt: skip
    return [known[formula] for formula in formulas]


def _read_crystals(
    rows: _Rows, listed: dict[str, tuple[str, float]], background: pa.Table, keys: Sequence[str]
) -> list[tuple[Any, Any, Any]]:
    """Add crystals of superconductors (3DSC) and of the background, and return them."""
    crystals: list[tuple[Any, Any, Any]] = []
    presumed = {key for key, kind in zip(rows.key, rows.kind, strict=True) if kind == "background"}
    metals = {key for key, is_metal in zip(rows.key, rows.is_metal, strict=True) if is_metal}
    table = read_data(STRUCTURES)
    names = ("comp_key", "reduced_formula", "lattice", "frac_coords", "site_atomic_numbers", "site_occupancies", "tc_K",
             "sample_weight")  # fmt: skip
    for row, (key, formula, lattice, coords, species, shares, tc_K, weight) in enumerate(
        zip(*(values(table, name) for name in names), strict=True)
    ):
        sites = [dict(zip(z, share, strict=True)) for z, share in zip(species, shares, strict=True)]
        n_atoms = sum(sum(site.values()) for site in sites)
        roomy = abs(np.linalg.det(np.reshape(lattice, (3, 3)))) > _MAX_VOLUME_A3 * n_atoms
        kind, median_K = listed.get(key, ("", np.nan))
        if kind == "superconductor" and tc_K > 0 and not roomy:
            crystals.append((lattice, coords, sites))
            rows.add(formula=formula, key=key, kind=kind, tc_K=median_K, is_metal=False, weight=weight,
                     file=STRUCTURES, file_row=row)  # fmt: skip
    counts = dict(zip(*np.unique(keys, return_counts=True), strict=True))
    names = ("reduced_formula", "lattice", "frac_coords", "atomic_numbers", "file_row")
    for key, (formula, lattice, coords, numbers, row) in zip(
        keys, zip(*(values(background, name) for name in names), strict=True), strict=True
    ):
        if key in presumed:
            crystals.append((lattice, coords, numbers))
            rows.add(formula=formula, key=key, kind="background", tc_K=np.nan, is_metal=key in metals,
                     weight=1 / counts[key], file=BACKGROUND, file_row=row)  # fmt: skip
    return crystals


def _data(rows: _Rows, structural: NDArray[np.float32]) -> ExperimentalData:
    """Columns to arrays; a crystal that could not be described is left out."""
    crystal = np.array(rows.file) != ""
    good = ~crystal | np.isfinite(structural).all(1)
    kind = np.array(rows.kind)
    features = composition_features(rows.formula)
    systems = ["-".join(sorted(part.split(":")[0] for part in key.split("|"))) for key in rows.key]
    whole = np.array(["." not in formula for formula in rows.formula])
    atoms = np.array(
        [_formula_atoms(formula) if ok else np.inf for formula, ok in zip(rows.formula, whole, strict=True)]
    )
    system_bucket = {system: bucket(system) for system in set(systems)}
    return ExperimentalData(
        features[good],
        structural[good],
        np.log(np.array(rows.tc_K, float))[good],
        np.select([kind == "superconductor", kind == "background"], [1.0, 0.0], np.nan)[good],
        kind[good],
        np.array(experimental_families(rows.formula))[good],
        np.array(rows.is_metal)[good],
        (atoms <= _STOICHIOMETRIC_ATOMS)[good],
        np.array(rows.weight, float)[good],
        buckets(rows.formula)[good],
        np.array([system_bucket[system] for system in systems])[good],
        np.unique(rows.key, return_inverse=True)[1][good],
        np.unique(systems, return_inverse=True)[1][good],
        np.array(rows.file)[good],
        np.array(rows.file_row, np.int64)[good],
    )


def _formula_atoms(formula: str) -> float:
    from pymatgen.core import Composition

    return Composition(formula).num_atoms
