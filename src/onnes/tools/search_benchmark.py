"""Benchmark of random search: how many relaxations until the known crystal, or one as low, is found."""

from __future__ import annotations

import hashlib
import json
import os
import time
import tomllib
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_entry, read_entries
from onnes.errors import ConfigError
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.propose.random_crystals import RandomSettings
from onnes.propose.search import random_search
from onnes.training.benchmarks.report import Benchmark
from onnes.training.feature_cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pymatgen.core import Structure

    from onnes.crystals.known import KnownCrystal
    from onnes.potentials.potential import Potential

RELAXATIONS = 200
"""Of random crystals, those that were given up early and the final relaxations included."""
DRAWN = 180
MAX_ATOMS = 10
TOLERANCE_EV_PER_ATOM = 0.002
FMAX_EV_PER_A = 0.02
_VERSION = "1"  # changes when the same settings give other crystals
# Formula and its known crystals by their names in the lists.
FORMULAS: dict[str, tuple[str, ...]] = {
    "Si": ("Si",), "Al": ("Al",), "NaCl": ("NaCl",), "MgO": ("MgO",), "TiN": ("TiN",), "CsCl": ("CsCl",),
    "ZnS": ("ZnS", "ZnS-wurtzite"), "MgB2": ("MgB2",), "NbC": ("NbC",), "TiO2": ("TiO2-rutile", "TiO2-anatase"),
    "CaF2": ("CaF2",), "NiAl": ("NiAl",), "Cu3Au": ("Cu3Au",), "Nb3Sn": ("Nb3Sn",), "SrTiO3": ("SrTiO3",),
    "Fe2O3": ("Fe2O3",),
}  # fmt: skip
_COLUMNS = (
    "formula", "known crystal", "found", "random crystals needed", "relaxations in all", "lowest - known / meV/atom",
    "found crystal", "CPU s", "no symmetry: found", "no symmetry: relaxations", "no symmetry: lowest - known / meV/atom",
    "no symmetry: CPU s",
)  # fmt: skip
WAYS = {
    "search": RandomSettings(max_atoms=MAX_ATOMS),
    "no symmetry": RandomSettings(max_atoms=MAX_ATOMS, space_groups=(1,)),
}
"""How the random crystals are drawn: as the search does by default, and with all atoms anywhere, the baseline."""


@dataclass(frozen=True)
class Outcome:
    """One formula.

    Attributes
    ----------
    lowest_known, known_eV_per_atom
        Name and energy of the lowest known crystal, relaxed by the same potential.
    found_eV_per_atom, prototype
        Of the lowest crystal of the search; None when there is none.
    matches
        Known crystal that it is by pymatgen's StructureMatcher, None otherwise.
    place
        The how-manyeth random crystal it came from.
    drawn, refined, evaluations
        See `onnes.propose.search.SearchResult`.
    """

    formula: str
    lowest_known: str
    known_eV_per_atom: float
    found_eV_per_atom: float | None
    prototype: str | None
    matches: str | None
    place: int | None
    drawn: int
    refined: int
    evaluations: int
    failures: dict[str, int]
    trace: list[tuple[int, float]]
    cpu_s: float

    @property
    def relaxations(self) -> int:
        """Random crystals and refinements."""
        return self.drawn + self.refined

    @property
    def excess_meV(self) -> float:
        """Lowest energy found less that of the lowest known crystal, meV/atom; infinite when nothing was found."""
        return np.inf if self.found_eV_per_atom is None else 1e3 * (self.found_eV_per_atom - self.known_eV_per_atom)

    @property
    def success(self) -> bool:
        """As low as the known crystal, or the known crystal, within the relaxations allowed."""
        found = self.excess_meV <= 1e3 * TOLERANCE_EV_PER_ATOM or self.matches is not None
        return found and self.relaxations <= RELAXATIONS


def benchmark_search(
    *,
    names: Sequence[str] | None = None,
    potential: str = DEFAULT_POTENTIAL,
    seeds: int = 1,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Search for sixteen well-known crystals from their formula alone.

    The search is told the formula and the largest cell, 10 atoms; neither structure nor volume. It stops as soon as a
    relaxed crystal is within 2 meV/atom of the known one. The baseline draws the same number of crystals without any
    symmetry. Finished searches are kept in the cache folder.

    Parameters
    ----------
    names
        Formulas; all of `FORMULAS` by default.
    potential
        Its name.
    seeds
        Searches of each formula, from different seeds; the first is the one that is shown. The baseline has one.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of random crystals done since the last call.

    Raises
    ------
    ConfigError
        For a formula that is not in the list.
    """
    wanted = list(FORMULAS if names is None else names)
    unknown = [name for name in wanted if name not in FORMULAS]
    if unknown:
        raise ConfigError(f"no known crystal for {', '.join(unknown)}; there are {', '.join(FORMULAS)}")
    loaded = load_potential(potential, device=device)
    report = on_rows or (lambda _: None)
    outcomes = {
        formula: {
            "search": [_outcome(formula, "search", loaded, seed, report) for seed in range(seeds)],
            "no symmetry": [_outcome(formula, "no symmetry", loaded, 0, report)],
        }
        for formula in wanted
    }
    found = {way: sum(ways[way][0].success for ways in outcomes.values()) for way in WAYS}
    always = sum(all(outcome.success for outcome in ways["search"]) for ways in outcomes.values())
    notes = [
        f"{found['search']} of {len(wanted)} found within {RELAXATIONS} relaxations (random crystals and refinements counted), {always} of them "
        f"from each of {seeds} seed(s); {found['no symmetry']} without symmetry",
        f"given: the formula and at most {MAX_ATOMS} atoms in the cell; found: within {1e3 * TOLERANCE_EV_PER_ATOM:.0f} meV/atom of the lowest "
        f"known crystal relaxed by the same potential (fmax {FMAX_EV_PER_A} eV/Å), or that crystal by StructureMatcher; stops early",
        "space groups, formula units and volumes of the random crystals follow statistics of Materials Project crystals in the training "
        "buckets, in which some of these compounds occur; no symmetry: space group P1, the same volumes and rungs",
        f"{potential}, seed 0 shown; random crystals in rounds of 16; seconds of processor time on {device}",
    ]
    values = {f"found: {way}": float(count) for way, count in found.items()} | {"formulas": float(len(wanted))}
    for formula, ways in outcomes.items():
        for way, searches in ways.items():
            values[f"{formula}: {way}: excess_meV"] = searches[0].excess_meV
            values[f"{formula}: {way}: relaxations"] = float(searches[0].relaxations)
            values[f"{formula}: {way}: found share"] = float(np.mean([search.success for search in searches]))
    rows = [_cells(ways["search"], ways["no symmetry"]) for ways in outcomes.values()]
    return Benchmark("Random search for known crystals", _COLUMNS, rows, notes, values)


def known_structures(formula: str) -> dict[str, Structure]:
    """Known crystals of a formula of the list in their primitive cells, by name.

    Examples
    --------
    >>> sorted(known_structures("TiO2"))
    ['TiO2-anatase', 'TiO2-rutile']
    """
    return {name: _entry(name).structure(primitive=True) for name in FORMULAS[formula]}


def _entry(name: str) -> KnownCrystal:
    text = files("onnes.tools").joinpath("data/search_crystals.toml").read_text(encoding="utf-8")
    own = read_entries(tomllib.loads(text))
    return own[name] if name in own else known_entry(name)


def _outcome(formula: str, way: str, potential: Potential, seed: int, report: Callable[[int], None]) -> Outcome:
    path = _cached(formula, way, potential.name, seed)
    if path.is_file():
        return Outcome(**json.loads(path.read_text(encoding="utf-8")))
    outcome = _search(formula, WAYS[way], potential, seed, report)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
    temporary.replace(path)
    return outcome


def _cached(formula: str, way: str, potential: str, seed: int) -> Path:
    about = (_VERSION, potential_sha256(potential), DRAWN, WAYS[way], FMAX_EV_PER_A, TOLERANCE_EV_PER_ATOM, seed)
    key = hashlib.sha256(repr(about).encode()).hexdigest()[:16]
    return cache_folder() / "search" / f"{formula}-{key}.json"


def _search(
    formula: str, crystals: RandomSettings, potential: Potential, seed: int, report: Callable[[int], None]
) -> Outcome:
    from pymatgen.core.structure_matcher import StructureMatcher

    start = time.process_time()
    known = known_structures(formula)
    batch = CrystalBatch.from_structures(known.values())
    relaxed = relax_batch(batch, potential, RelaxSettings(fmax_eV_per_A=FMAX_EV_PER_A))
    energies = dict(zip(known, relaxed.energies_eV / batch.n_atoms, strict=True))
    lowest = min(energies, key=lambda name: energies[name])
    result = random_search(
        formula,
        potential=potential,
        n=DRAWN,
        keep=1,
        crystals=crystals,
        fmax_eV_per_A=FMAX_EV_PER_A,
        target_energy_eV_per_atom=energies[lowest] + TOLERANCE_EV_PER_ATOM,
        seed=seed,
        on_rows=report,
    )
    best = CrystalBatch.from_table(result.table).to_structures()
    matcher = StructureMatcher(scale=False)
    references = dict(zip(known, relaxed.batch.to_structures(), strict=True))
    matches = [name for name, structure in references.items() if best and matcher.fit(best[0], structure)]
    row = result.table.slice(0, 1).to_pylist()
    return Outcome(
        formula=formula,
        lowest_known=lowest,
        known_eV_per_atom=float(energies[lowest]),
        found_eV_per_atom=row[0]["energy_eV_per_atom"] if row else None,
        prototype=row[0]["prototype"] if row else None,
        matches=matches[0] if matches else None,
        place=result.places[0] if row else None,
        drawn=result.drawn,
        refined=result.refined,
        evaluations=result.evaluations,
        failures=dict(result.failures),
        trace=result.trace,
        cpu_s=time.process_time() - start,
    )


def _cells(searches: Sequence[Outcome], baseline: Sequence[Outcome]) -> tuple[str, ...]:
    shown, other = searches[0], baseline[0]
    match = f" = {_entry(shown.matches).structure_type}" if shown.matches else ""
    return (
        shown.formula,
        _entry(shown.lowest_known).structure_type,
        _share(searches),
        str(shown.place or "-") if shown.success else "-",
        str(shown.relaxations),
        f"{shown.excess_meV:+.1f}",
        f"{shown.prototype}{match}",
        f"{shown.cpu_s:.0f}",
        _share(baseline),
        str(other.relaxations),
        f"{other.excess_meV:+.1f}",
        f"{other.cpu_s:.0f}",
    )


def _share(searches: Sequence[Outcome]) -> str:
    """Say how many searches found it: yes or no for one."""
    count = sum(search.success for search in searches)
    return f"{count} of {len(searches)}" if len(searches) > 1 else ("yes" if count else "no")
