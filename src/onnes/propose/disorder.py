"""Ordered cells of crystals with partly occupied sites."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from math import log10
from random import Random
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from onnes.crystals.parquet import PARTLY_OCCUPIED
from onnes.crystals.schema import concat, floats, values, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.propose.average_crystal import AverageCrystal, replay_disorder, species_text
from onnes.propose.orderings import MAX_LABELINGS, Ordering, enumerated, log10_labelings, quasi_random
from onnes.propose.rows import Proposal, encode, proposal_table

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["disorder_candidates", "is_disordered", "opened", "replay_disorder"]

SOURCE = "disorder"
MAX_CELL_ATOMS = 24
LIMIT = 20
_AS_GOOD = 0.005  # occupancies that differ by less are the same

Method = Literal["enumerate", "sqs"]
Rank = Literal["auto", "ewald", "energy", "size"]


@dataclass(frozen=True)
class _Settings:
    method: Method
    rank: Rank
    potential: Potential | None
    max_cell_atoms: int
    min_distance_A: float
    limit: int | None
    seed: int


def is_disordered(table: pa.Table) -> NDArray[np.bool_]:
    """Rows that nothing but their partly occupied sites keeps out of the race, shape (n,)."""
    columns = zip(values(table, "site_occupancies"), values(table, "error"), values(table, "rejected_by"), strict=True)
    return np.array(
        [
            sites is not None and stopped is None and (error is None or error.endswith(PARTLY_OCCUPIED))
            for sites, error, stopped in columns
        ],
        bool,
    )


def opened(table: pa.Table) -> pa.Table:
    """Take the error off rows that are only partly occupied, so that a funnel hands them to the stage ``order``."""
    free = is_disordered(table)
    errors = [None if is_free else error for is_free, error in zip(free, values(table, "error"), strict=True)]
    return with_columns(table, {"error": errors})


def disorder_candidates(
    parents: pa.Table,
    *,
    method: Method = "enumerate",
    rank: Rank = "auto",
    potential: Potential | None = None,
    max_cell_atoms: int = MAX_CELL_ATOMS,
    min_distance_A: float = 1.0,
    limit: int | None = LIMIT,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Make ordered cells of crystals with partly occupied sites; vacancies are a species like any other.

    Parameters
    ----------
    parents
        Crystal table with ``site_occupancies``, as `onnes.crystals.readers.read_crystals` gives it (where the partly
        occupied rows have an ``error`` for that reason). Rejected rows are skipped.
    method
        "enumerate": all cells that the symmetry of the average crystal does not make equal
        (`onnes.propose.orderings.enumerated`), size by size until there are ``limit``; "sqs": quasi-random cells of
        the largest size (`onnes.propose.orderings.quasi_random`).
    rank
        Which come first, and are kept when there are too many: the lowest in Ewald energy ("ewald", with oxidation
        states guessed for the whole cell), the lowest in the potential's energy at these sites ("energy"), or none, by
        size and drawn at random ("size"). "auto" takes Ewald where oxidation states can be guessed, else size. One average
        charge for an element is crude: in YBa2Cu3O6.5 it puts the empty chain sites apart, where SevenNet-0 has full and
        empty chains in turn, as they are.
    potential
        Whose energy ranks.
    max_cell_atoms
        Largest cell. Sizes whose occupancies come nearest to the given ones are used.
    min_distance_A
        Cells with atoms closer than this are left out: sites split by disorder are not both occupied.
    limit
        Most cells of one parent; None for all.
    seed
        Of random choices: the same seed and parents give the same table.
    on_rows
        Called with the number of parents done since the last call.

    Returns
    -------
    Crystal table, the cells of each parent together, best first. ``how`` holds, besides what `replay_disorder` needs,
    ``degeneracy``, in how many ways the average crystal contains this cell, and ``of``, that of all cells that were
    found (their quotient is the weight in a random alloy); ``deviation``, the largest change of an occupancy. ``notes``
    says the same in words, ``proposal_score`` is minus the energy that ranks. Parents that cannot be used come first, with their ``error``.

    Raises
    ------
    ConfigError
        For a bad limit or distance, a rank by energy without a potential, or when icet is not installed.

    Examples
    --------
    >>> from onnes.crystals.table import crystal_table
    >>> from onnes.crystals.batch import CrystalBatch
    >>> bcc = CrystalBatch.of([(3.31 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [41, 41])])
    >>> sites = [[{"Z": 41, "occupancy": 0.75}, {"Z": 40, "occupancy": 0.25}]] * 2
    >>> table = with_columns(crystal_table(bcc, ids=["alloy"], source="docs"), {"site_occupancies": [sites]})
    >>> found = disorder_candidates(table, max_cell_atoms=4)
    >>> found.num_rows, set(found["reduced_formula"].to_pylist())
    (7, {'ZrNb3'})
    """
    if limit is not None and limit < 1:
        raise ConfigError("limit counts cells; give 1 or more, or leave it out")
    if rank not in get_args(Rank) or method not in get_args(Method):
        raise ConfigError(
            f"ordered cells are ranked by {', '.join(get_args(Rank))} and found by {' or '.join(get_args(Method))}, "
            f"not {rank} and {method}"
        )
    if (rank == "energy") != (potential is not None):
        raise ConfigError("a rank by energy needs a potential, and no other rank does")
    settings = _Settings(method, rank, potential, max_cell_atoms, min_distance_A, limit, seed)
    stopped = [by is not None for by in values(parents, "rejected_by")]
    usable = is_disordered(parents)
    made: list[pa.Table] = []
    unusable: list[pa.Table] = []
    for index in range(parents.num_rows):
        row = parents.slice(index, 1)
        if usable[index]:
            try:
                made.append(ordered_cells(row, settings))
            except CrystalError as error:
                unusable.append(_with_error(row, error))
        elif values(row, "error")[0] is not None:
            unusable.append(row)
        elif not stopped[index]:
            unusable.append(_with_error(row, CrystalError("no partly occupied site, so there is nothing to order")))
        if on_rows:
            on_rows(1)
    return concat([*unusable, *made] or [parents.slice(0, 0)])


def requested(
    *,
    parents: pa.Table,
    rank: Rank = "auto",
    potential: str | None = None,
    on_rows: Callable[[int], None] | None = None,
    **settings: Any,
) -> pa.Table:
    """`disorder_candidates` with the potential by name; the default one where a rank by energy names none."""
    loaded = None
    if rank == "energy" or potential is not None:
        from onnes.potentials.potential import load_potential

        loaded = load_potential(potential or DEFAULT_POTENTIAL)
    return disorder_candidates(parents, rank=rank, potential=loaded, on_rows=on_rows, **settings)


def ordered_cells(row: pa.Table, settings: _Settings) -> pa.Table:
    """Ordered cells of one parent; raises CrystalError when there are none."""
    crystal = AverageCrystal.from_row(row)
    sizes = _sizes(crystal, settings.max_cell_atoms)
    found = _orderings(crystal, sizes, settings)
    cells = [crystal.ordered(one.cell, one.species) for one in found]
    sound = [_apart(lattice, frac) >= settings.min_distance_A for lattice, frac, _ in cells]
    if not any(sound):
        raise CrystalError(
            f"every ordered cell has atoms closer than {settings.min_distance_A:g} A; correct the sites, or lower "
            "min_distance_A"
        )
    kept = [(cell, one) for cell, one, good in zip(cells, found, sound, strict=True) if good]
    total = sum(one.degeneracy for _, one in kept)
    parent_id = values(row, "id")[0]
    proposals: list[Proposal] = []
    notes: list[str] = []
    for cell, one in kept:
        n_cells = abs(round(float(np.linalg.det(one.cell))))
        _, deviation = crystal.deviations(n_cells)
        operation = {
            "op": SOURCE,
            "method": settings.method,
            "cell": one.cell.tolist(),
            "species": species_text(one.species),
            "degeneracy": one.degeneracy,
            "of": total,
            "deviation": round(deviation, 4),
        }
        proposals.append(Proposal(*cell, parent_id, encode(operation)))
        share = f", weight {one.degeneracy}/{total}" if settings.method == "enumerate" else ""
        notes.append(f"{n_cells} primitive cells, occupancies changed by up to {deviation:.3f}{share}")
    table = with_columns(proposal_table(proposals, source=SOURCE), {"notes": notes})
    return _ranked(_once(table) if settings.method == "sqs" else table, settings)


def _sizes(crystal: AverageCrystal, max_cell_atoms: int) -> list[int]:
    """Numbers of primitive cells that come nearest to the composition, ascending."""
    sizes: list[int] = []
    n_cells = 1
    while crystal.n_atoms(n_cells) <= max_cell_atoms:
        sizes.append(n_cells)
        n_cells += 1
    if not sizes:
        raise CrystalError(f"{crystal.n_atoms(1)} atoms in the smallest cell, more than {max_cell_atoms}")
    # The composition first, then the occupancies of the sites.
    for part in (0, 1):
        off = {n_cells: crystal.deviations(n_cells)[part] for n_cells in sizes}
        sizes = [n_cells for n_cells in sizes if off[n_cells] <= min(off.values()) + _AS_GOOD]
    return sizes


def _orderings(crystal: AverageCrystal, sizes: list[int], settings: _Settings) -> list[Ordering]:
    if settings.method == "sqs":
        return quasi_random(crystal, sizes[-1], n=settings.limit or LIMIT, seed=settings.seed)
    found: list[Ordering] = []
    for n_cells in sizes:
        too_many = log10_labelings(crystal, n_cells) > log10(MAX_LABELINGS)
        if found and (too_many or (settings.limit is not None and len(found) >= settings.limit)):
            break
        found += enumerated(crystal, n_cells)
    return found


def _apart(lattice: Floats, frac: Floats) -> float:
    """Smallest distance in angstrom between two atoms of one cell; a cell's own images are farther."""
    if len(frac) < 2:
        return np.inf
    apart = frac[:, None] - frac[None]
    distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=2)
    return float(distances[np.triu_indices(len(frac), k=1)].min())


def _once(table: pa.Table) -> pa.Table:
    """Leave out a crystal that was found before, as quasi-random ones are."""
    first = {content: row for row, content in reversed(list(enumerate(values(table, "crystal_hash"))))}
    return table.take(sorted(first.values()))


def _ranked(table: pa.Table, settings: _Settings) -> pa.Table:
    """Best first, at most ``limit``."""
    if settings.potential is not None:
        from onnes.potentials.tables import evaluate_table

        table = evaluate_table(table, settings.potential)
        return _lowest(table, floats(table, "energy_eV_per_atom"), settings.limit)
    scores = _ewald_eV_per_atom(table) if settings.rank in ("auto", "ewald") else None
    if scores is not None:
        lowest = np.nanmin(scores)
        said = [
            f"{note}, Ewald energy {s - lowest:.3f} eV/atom above the lowest"
            for note, s in zip(values(table, "notes"), scores, strict=True)
        ]
        return _lowest(with_columns(table, {"notes": said}), scores, settings.limit)
    if settings.rank == "ewald":
        raise CrystalError("no oxidation states can be guessed for this composition; rank by energy or by size")
    if settings.limit is None or table.num_rows <= settings.limit:
        return table
    return table.take(sorted(Random(settings.seed).sample(range(table.num_rows), settings.limit)))


def _lowest(table: pa.Table, energies: Floats, limit: int | None) -> pa.Table:
    order = np.argsort(energies, kind="stable")[:limit]
    return with_columns(table, {"proposal_score": -energies}).take(order)


def _ewald_eV_per_atom(table: pa.Table) -> Floats | None:
    """Ewald energies with guessed oxidation states, shape (n,); None where none balance the charge.

    A cell that failed validation has NaN.
    """
    from pymatgen.core.ewald import EwaldSummation

    from onnes.crystals.table import to_structures

    energies = np.full(table.num_rows, np.nan)
    for index, (structure, error) in enumerate(zip(to_structures(table), values(table, "error"), strict=True)):
        if structure is None or error is not None:
            continue
        guesses = structure.composition.oxi_state_guesses(max_sites=-1)
        if not guesses or not any(guesses[0].values()):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            structure.add_oxidation_state_by_element({str(element): float(q) for element, q in guesses[0].items()})
            energies[index] = EwaldSummation(structure).total_energy / len(structure)
    return energies if np.isfinite(energies).any() else None


def _with_error(row: pa.Table, error: CrystalError) -> pa.Table:
    name = values(row, "id")[0]
    return with_columns(row, {"error": [f"parent {name}: {error}"]})
