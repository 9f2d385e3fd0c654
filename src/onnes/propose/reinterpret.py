"""A reported composition without a trustworthy structure: every structure type that fits it, relaxed and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import concat, floats, is_open, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.propose.periodic import NOBLE_GASES, atomic_number
from onnes.propose.prototypes import COLLECTIONS, decorations, prototype, prototype_names
from onnes.propose.rows import failed_formula, proposal_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from onnes.physics.diffraction import PowderPattern
    from onnes.potentials.potential import Potential
    from onnes.potentials.relaxation import RelaxSettings
    from onnes.propose.structure_type import Prototype

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

SOURCE = "reinterpret"
MAX_ATOMS = 16
NO_POTENTIAL = "none"
_WIDER_DEG = 5.0  # simulated beyond the measured range, for peaks that scaling brings in

Rank = Literal["auto", "energy", "pattern"]


def reinterpret_candidates(
    composition: str,
    *,
    prototypes: Sequence[str] | None = None,
    collections: Sequence[str] = COLLECTIONS,
    max_atoms: int = MAX_ATOMS,
    potential: Potential | None = None,
    relax: RelaxSettings | None = None,
    pattern: PowderPattern | str | Path | None = None,
    radiation: str | float = "CuKa",
    rank: Rank = "auto",
    limit: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Try a composition in every structure type of its stoichiometry, with every assignment of the elements.

    Parameters
    ----------
    composition
        Formula in whole numbers, such as "Nb3Sn".
    prototypes
        Names of structure types; all of ``collections`` by default.
    collections
        Some of `onnes.propose.prototypes.COLLECTIONS`, where no types are named.
    max_atoms
        Types with a larger primitive cell are left out.
    potential
        Who relaxes the crystals; without one they keep the volume that atomic radii suggest.
    relax
        How; defaults to `onnes.potentials.relaxation.RelaxSettings`.
    pattern
        A powder pattern to compare with, or a file that holds one (`onnes.physics.diffraction.read_pattern`).
    radiation
        Of a pattern that is read from a file: a name such as CuKa or the wavelength in angstrom.
    rank
        Which come first: the lowest in energy, the most alike to the pattern, or ("auto") by the pattern where there is
        one.
    limit
        Most candidates: the best ones.
    on_rows
        Called with the number of crystals relaxed since the last call.

    Returns
    -------
    Crystal table, best first, rows with ``error`` (one that did not relax among them) last. ``how`` makes the crystal
    before relaxation again (`replay_reinterpret`), ``proposal_score`` is what ranks it: similarity, or minus energy. With
    a pattern there are the columns ``pattern_similarity`` and ``pattern_scale`` of
    `onnes.physics.diffraction.pattern_similarity`.

    Raises
    ------
    ConfigError
        For a composition that is not in whole numbers or fits no structure type, an unknown type, a pattern that cannot
        be read, or a rank by what is not there.

    Examples
    --------
    >>> found = reinterpret_candidates("Nb3Sn", prototypes=["A15", "L1_2", "C15"])
    >>> found["space_group"].to_pylist()
    [223, 221]
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit counts crystals; give 1 or more, or leave it out")
    if rank not in get_args(Rank):
        raise ConfigError(f"structure types are ranked by {', '.join(get_args(Rank))}, not by {rank}")
    if (rank == "energy" and potential is None) or (rank == "pattern" and pattern is None):
        raise ConfigError(f"a rank by {rank} needs a {'potential' if rank == 'energy' else 'pattern'}")
    if isinstance(pattern, str | Path):
        from onnes.physics.diffraction import read_pattern

        pattern = read_pattern(pattern, radiation=radiation)
    amounts = _amounts(composition)
    types = [prototype(name) for name in (prototype_names(collections) if prototypes is None else prototypes)]
    proposals = [
        kind.decorated(row, op=SOURCE)
        for kind in types
        if len(kind.frac_coords) <= max_atoms
        for row in _fitting(kind, amounts)
    ]
    if not proposals:
        raise ConfigError(f"no structure type with at most {max_atoms} atoms has the stoichiometry of {composition}")
    table = proposal_table(proposals, source=SOURCE)
    if potential is not None:
        from onnes.potentials.tables import relax_table

        table = relax_table(table, potential, relax, on_rows=on_rows)
    if pattern is not None:
        table = with_pattern(table, pattern)
    return _ranked(table, rank, limit)


def requested(
    *,
    formulas: Sequence[str],
    potential: str = DEFAULT_POTENTIAL,
    limit: int | None = None,
    on_rows: Callable[[int], None] | None = None,
    **settings: Any,
) -> pa.Table:
    """`reinterpret_candidates` for one or several compositions, with the potential by name.

    Parameters
    ----------
    formulas
        Compositions; their candidates stand together. One that cannot be tried is a row with ``error``.
    potential
        Name of the potential that relaxes, or "none" to leave the crystals as they are.
    limit
        Most candidates in all: the best one of each composition, the second best, and so on.
    on_rows
        Called with the number of crystals relaxed since the last call.
    **settings
        As for `reinterpret_candidates`.

    Raises
    ------
    ConfigError
        When no composition can be tried.
    """
    loaded = None
    if potential != NO_POTENTIAL:
        from onnes.potentials.potential import load_potential

        loaded = load_potential(potential)
    tables: list[pa.Table] = []
    faults: dict[str, ConfigError] = {}
    for formula in list(dict.fromkeys(formulas))[:limit]:
        try:
            tables.append(reinterpret_candidates(formula, potential=loaded, limit=limit, on_rows=on_rows, **settings))
        except ConfigError as error:
            faults[formula] = error
    if not tables:
        raise next(iter(faults.values()))
    places = np.concatenate([np.arange(table.num_rows) for table in tables])
    kept = np.sort(np.argsort(places, kind="stable")[:limit])
    failed = [failed_formula(formula, source=SOURCE, error=str(error)) for formula, error in faults.items()]
    return concat([concat(tables).take(pa.array(kept)), *failed])


def replay_reinterpret(how: str) -> Structure:
    """Make a candidate again, as it was before relaxation, from its ``how``.

    Examples
    --------
    >>> how = '{"elements":{"A":"Nb","B":"Sn"},"op":"reinterpret","prototype":"A15"}'
    >>> replay_reinterpret(how).composition.reduced_formula
    'Nb3Sn'
    """
    operation = json.loads(how)
    kind = prototype(operation["prototype"])
    numbers = np.array([atomic_number(operation["elements"][label]) for label in kind.species])
    made = kind.decorated(numbers, op=SOURCE)
    return CrystalBatch.of([(made.lattice, made.frac_coords, made.atomic_numbers)]).to_structures()[0]


def with_pattern(table: pa.Table, pattern: PowderPattern) -> pa.Table:
    """Add ``pattern_similarity`` and ``pattern_scale`` to every open row; null where a crystal has no peak in range."""
    from onnes.physics.diffraction import pattern_similarity, simulated_pattern

    first, last = pattern.two_theta_deg[[0, -1]].tolist()
    window = (max(first - _WIDER_DEG, 1.0), min(last + _WIDER_DEG, 179.0))
    rows = np.flatnonzero(is_open(table))
    found = np.full((2, table.num_rows), np.nan)
    for row, crystal in zip(rows.tolist(), CrystalBatch.from_table(table.take(rows)), strict=True):
        try:
            peaks = simulated_pattern(*crystal, radiation=pattern.wavelength_A, two_theta_deg=window)
            found[:, row] = pattern_similarity(peaks, pattern)
        except CrystalError:
            continue
    for name, numbers in zip(("pattern_similarity", "pattern_scale"), found, strict=True):
        table = table.append_column(name, pa.array(numbers, mask=np.isnan(numbers)))
    return table


def _amounts(composition: str) -> dict[int, int]:
    """Atomic number to whole number, without a common divisor."""
    from pymatgen.core import Composition

    try:
        formula = Composition(composition)
    except ValueError as error:
        raise ConfigError(f"{composition!r} is no formula; write it as in Nb3Sn") from error
    reduced, _ = formula.get_reduced_composition_and_factor()
    amounts = {symbol: float(n) for symbol, n in reduced.get_el_amt_dict().items()}
    if not amounts or any(abs(n - round(n)) > 1e-6 for n in amounts.values()):
        raise ConfigError(
            f"{composition!r} has fractions; make ordered cells of a mixed crystal, or write whole numbers"
        )
    noble = sorted(NOBLE_GASES & set(amounts))
    if noble:
        raise ConfigError(f"noble gases make no metals; leave out {', '.join(noble)}")
    return {atomic_number(symbol): round(n) for symbol, n in amounts.items()}


def _fitting(kind: Prototype, amounts: dict[int, int]) -> Ints:
    """Assignments of the elements to the kinds of sites that give the composition, shape (k, species)."""
    counts = kind.counts
    if len(counts) != len(amounts) or counts.sum() % sum(amounts.values()):
        return np.empty((0, len(counts)), np.int64)
    units = counts.sum() // sum(amounts.values())
    if sorted(counts.tolist()) != sorted(int(units) * n for n in amounts.values()):
        return np.empty((0, len(counts)), np.int64)
    rows = decorations(kind, sorted(amounts))
    wanted = np.array([[int(units) * amounts[z] for z in row] for row in rows.tolist()]).reshape(rows.shape)
    return rows[(wanted == counts).all(axis=1)]


def _ranked(table: pa.Table, rank: str, limit: int | None) -> pa.Table:
    """Best first: sound rows by similarity or energy, then the others in the order of the types."""
    by_pattern = rank == "pattern" or (rank == "auto" and "pattern_similarity" in table.column_names)
    scores = -floats(table, "pattern_similarity") if by_pattern else floats(table, "energy_eV_per_atom")
    scores = np.where(np.isnan(scores), np.inf, scores)
    order = np.lexsort((scores, ~is_open(table)))
    return with_columns(table, {"proposal_score": np.where(np.isinf(scores), np.nan, -scores)}).take(order[:limit])
