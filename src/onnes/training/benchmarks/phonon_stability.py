"""Benchmark of the grade of phonons: crystals known to be dynamically stable, and crystals known not to be."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.orbits import expand
from onnes.crystals.symbols import atomic_numbers
from onnes.physics.phonon_grade import PhononCheck, graded
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.phonon_grades import GradedPhonons, grade_phonons
from onnes.potentials.phonon_settings import FollowSettings, GradeSettings
from onnes.potentials.potential import load_potential
from onnes.potentials.soft_mode_children import follow_soft_modes
from onnes.training.benchmarks.report import Benchmark
from onnes.training.feature_cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnes.physics.phonon_grade import Grade
    from onnes.physics.phonons import Crystal

_VERSION = "1"  # changes when the same crystals and settings get other grades
GRADES: tuple[Grade, ...] = ("stable", "doubtful", "unstable")


@dataclass(frozen=True, eq=False)
class JudgedCrystal:
    """One crystal of the lists.

    Attributes
    ----------
    name
        As in the list.
    is_stable
        Which list.
    crystal
        Primitive cell: lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,).
    citation
        Where its stability, or instability, was published.
    """

    name: str
    is_stable: bool
    crystal: Crystal
    citation: str


@dataclass(frozen=True)
class _Outcome:
    """What was computed for one crystal; ``child`` says in words what its soft mode leads to."""

    checks: tuple[PhononCheck, ...] = ()
    reason: str = ""
    child: str | None = None
    error: str | None = None

    def grade(self, settings: GradeSettings) -> Grade | None:
        return graded(self.checks, settings.tolerances)[0] if self.checks else None

    def first_alone(self, settings: GradeSettings) -> Grade | None:
        return self.checks[0].grade(settings.tolerances) if self.checks else None


def judged_crystals() -> list[JudgedCrystal]:
    """Read the two lists of the package: 30 stable crystals, then 12 unstable ones.

    Examples
    --------
    >>> crystals = judged_crystals()
    >>> len(crystals), sum(one.is_stable for one in crystals)
    (42, 30)
    """
    text = files("onnes.training.benchmarks").joinpath("dynamic.toml").read_text(encoding="utf-8")
    lists = tomllib.loads(text)
    found = [
        JudgedCrystal(name, True, _packed(known_crystal(name, primitive=True)), citation)
        for name, citation in lists["stable"].items()
    ]
    for name, facts in lists["unstable"].items():
        sites = [(atomic_numbers()[site[0]], site[1:]) for site in facts["sites"]]
        crystal = expand(facts["space_group"], facts["cell"], sites, primitive=True)
        found.append(JudgedCrystal(name, False, crystal, facts["citation"]))
    return found


def _packed(structure: Any) -> Crystal:
    return CrystalBatch.from_structures([structure]).crystal(0)


def benchmark_phonon_stability(
    *,
    crystals: Sequence[JudgedCrystal] | None = None,
    settings: GradeSettings | None = None,
    follow: str | None = "cubic BaTiO3",
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Grade crystals whose dynamic stability is known.

    Parameters
    ----------
    crystals
        Defaults to `judged_crystals`.
    settings
        Defaults to `onnes.potentials.phonon_settings.GradeSettings`.
    follow
        Name of the crystal whose soft modes are followed; None for none.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with 1 after each crystal; finished ones are kept in the cache folder.

    Examples
    --------
    >>> print(benchmark_phonon_stability().markdown())  # doctest: +SKIP
    """
    settings = settings or GradeSettings()
    judged = list(judged_crystals() if crystals is None else crystals)
    outcomes: list[_Outcome] = []
    for one in judged:
        outcomes.append(_cached(one, settings, device, follow=one.name == follow))
        if on_rows:
            on_rows(1)
    return _report(judged, outcomes, settings)


def _cached(one: JudgedCrystal, settings: GradeSettings, device: str, *, follow: bool) -> _Outcome:
    folder = cache_folder() / "phonon-grades"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_key(one, settings, follow=follow)}.json"
    if path.exists():
        data = json.loads(path.read_text(encoding="utf-8"))
        checks = tuple(
            PhononCheck(**{**check, **{q: tuple(check[q]) for q in ("exact_q", "interpolated_q")}})
            for check in data["checks"]
        )
        return _Outcome(checks, data["reason"], data["child"])
    found = _computed(one, settings, device, follow=follow)
    if found.error is None:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        data = {"checks": [vars(check) for check in found.checks], "reason": found.reason, "child": found.child}
        temporary.write_text(json.dumps(data), encoding="utf-8")
        temporary.replace(path)
    return found


def _key(one: JudgedCrystal, settings: GradeSettings, *, follow: bool) -> str:
    names = [settings.potential] if settings.refine == "never" else [settings.potential, settings.sibling]
    digest = hashlib.sha256(f"{_VERSION} {follow} {[potential_sha256(name) for name in names]}".encode())
    digest.update(json.dumps(settings.model_dump(), sort_keys=True).encode())
    for array, kind in zip(one.crystal, (float, float, np.int64), strict=True):
        digest.update(np.ascontiguousarray(array, kind).tobytes())
    return digest.hexdigest()[:24]


def _computed(one: JudgedCrystal, settings: GradeSettings, device: str, *, follow: bool) -> _Outcome:
    [found] = grade_phonons(CrystalBatch.of([one.crystal]), settings, device=device)
    if not isinstance(found, GradedPhonons):
        return _Outcome(error=found)
    child = None
    if follow:
        potential = load_potential(settings.potential, device=device)
        followed = follow_soft_modes(found.phonons, potential, FollowSettings())
        child = "; ".join(filter(None, (*(one.words for one in followed.children[:1]), followed.remark)))
    return _Outcome(tuple(found.checks), found.reason, child)


def _report(judged: list[JudgedCrystal], outcomes: list[_Outcome], settings: GradeSettings) -> Benchmark:
    rows: list[tuple[str, ...]] = []
    numbers: dict[str, float] = {}
    for words, stable in (("known to be stable", True), ("known to be unstable", False)):
        mine = [outcome for one, outcome in zip(judged, outcomes, strict=True) if one.is_stable is stable]
        for label, grade_of in (("", _Outcome.grade), (f", {settings.potential} alone, once", _Outcome.first_alone)):
            grades = [grade_of(outcome, settings) for outcome in mine]
            counts = [grades.count(grade) for grade in GRADES]
            rows.append((words + label, str(len(mine)), *map(str, counts), str(grades.count(None))))
            numbers |= {f"{words}{label}: {grade}": float(n) for grade, n in zip(GRADES, counts, strict=True)}
            numbers[f"{words}{label}: failed"] = float(grades.count(None))
    notes = [
        f"{settings.potential}; second potential {settings.sibling}, asked about crystals: {settings.refine}",
        f"each potential at its own minimum; even repetitions of at least {settings.min_length_A:g} A and at most "
        f"{settings.max_supercell_atoms} atoms; displacements of {settings.displacement_A:g} A, where not stable again of "
        f"{settings.second_displacement_A or 0:g} A; noise {settings.exact_THz:g} THz where exact, "
        f"{settings.interpolated_THz:g} THz where interpolated",
        "the lists with their citations were written before anything was computed; the potentials were trained on crystals "
        "of the Materials Project, among which are most of the stable ones and some of the unstable ones",
        "metals are computed without temperature and without magnetism",
    ]
    for one, outcome in zip(judged, outcomes, strict=True):
        wrong = outcome.grade(settings) != ("stable" if one.is_stable else "unstable")
        if wrong:
            kind = "stable" if one.is_stable else "unstable"
            notes.append(
                f"{one.name} (known to be {kind}: {one.citation}) is {outcome.grade(settings) or 'failed'}: "
                f"{outcome.error or outcome.reason}"
            )
        if outcome.child is not None:
            notes.append(f"{one.name}, child: {outcome.child}")
    return Benchmark(
        f"Grade of the phonons of {len(judged)} crystals of known dynamic stability",
        ("crystals", "number", *GRADES, "failed"),
        rows,
        notes,
        numbers,
    )
