"""The chain of steps that verifies one crystal, and what comes out of it."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import VerificationError
from onnes.flow.shards import key_sha256, write_bytes
from onnes.verify.coupling import coupling_of
from onnes.verify.dos import MIN_DOS_PER_ATOM, MIN_GAP_EV, TRAINING_SCALE, FermiLevel, fermi_level
from onnes.verify.inputs import elements_of, grids, primitive_atoms
from onnes.verify.interpolated import IMAGINARY, interpolated_coupling
from onnes.verify.judgement import judge_coupling
from onnes.verify.kept import kept_coupling
from onnes.verify.phonon_output import read_qpoint
from onnes.verify.programs import INSTALL, missing_programs, version_of
from onnes.verify.pseudopotentials import find_pseudopotentials
from onnes.verify.pw_output import XML, PwResult, read_pw
from onnes.verify.recipe import Recipe
from onnes.verify.result import StepSummary, Verification
from onnes.verify.retries import load_policy
from onnes.verify.settings import RunSettings
from onnes.verify.steps import PSEUDO, RedoError, Runner, StepFailedError, opened, read_state
from onnes.verify.verdict import Judgement, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import ArrayLike

    from onnes.verify.phonon_output import QPoint
    from onnes.verify.pseudopotentials import Pseudopotential
    from onnes.verify.result import Coupling
    from onnes.verify.settings import Grid, Level, VerifySettings
    from onnes.verify.steps import Step, StepState

_MORE = ("interpolate", "bands", "mu_stars")
"""Settings that add to a result and change nothing before."""
RESULT, REQUEST = "result.json", "request.json"
_FOREVER_S = 3600 * 24 * 365.0
_GTH_REMARK = "GTH pseudopotentials: no non-linear core correction, hard cores"
_CELL_REMARK = "the cell is the input's: the stress of pw.x with GTH pseudopotentials relaxes cubic cells only"


@dataclass(frozen=True)
class Crystal:
    """One crystal to be verified.

    Attributes
    ----------
    lattice, frac_coords, atomic_numbers
        Shapes (3, 3) in Å, (n, 3), (n,); any cell.
    pressure_GPa
        Target of a relaxation.
    """

    lattice: ArrayLike
    frac_coords: ArrayLike
    atomic_numbers: ArrayLike
    pressure_GPa: float = 0.0


def verify(
    crystal: Crystal,
    settings: VerifySettings,
    folder: Path,
    *,
    run: RunSettings | None = None,
    on_step: Callable[[StepState], None] = lambda _: None,
) -> Verification:
    """Verify one crystal by first principles; go on where an earlier run in the same folder stopped.

    Parameters
    ----------
    crystal
        What is computed: its symmetrised primitive cell.
    settings
        Level, pseudopotentials, grids.
    folder
        Folder of folders: the work lies in ``folder/<key>``, named by crystal, settings and pseudopotentials.
    run
        Programs, ranks, time.
    on_step
        Called whenever the state of a step changes.

    Returns
    -------
    Verification
        Always: what goes wrong becomes the verdict ``failed`` or ``not_available`` with its reason.

    Raises
    ------
    VerificationError
        When another process works on the same crystal.
    """
    run = run or RunSettings()
    level = settings.of_level()
    atoms = primitive_atoms(crystal.lattice, crystal.frac_coords, crystal.atomic_numbers)
    found = _Found(atoms, settings, level, crystal.pressure_GPa)
    if len(atoms) > settings.max_atoms:
        reason = f"the primitive cell has {len(atoms)} atoms, more than {settings.max_atoms}"
        return found.result("", Judgement(Verdict.NOT_AVAILABLE, "", reason, "raise max_atoms if you can afford it"))
    needed = ["pw", *(["ph"] if level.phonons else []), *(["q2r", "matdyn"] if level.interpolate else [])]
    if missing := missing_programs(run, needed):
        reason = f"Quantum ESPRESSO is not there: {', '.join(missing)} not found"
        return found.result("", Judgement(Verdict.NOT_AVAILABLE, "", reason, f"install it: {INSTALL}"))
    try:
        directory = None if settings.pseudos is None else _folder(settings.pseudos)
        accuracy = "dos" if level.accuracy == "electronic" and not level.relax else "final"
        found.pseudos = find_pseudopotentials(elements_of(atoms), directory, settings.functional, level=accuracy)
        found.recipe = Recipe(
            atoms, grids(atoms, settings, level), found.pseudos, settings, level, crystal.pressure_GPa
        )
    except VerificationError as error:
        return found.result("", Judgement(Verdict.NOT_AVAILABLE, "", str(error)))
    found.programs = {name: version_of(getattr(run, f"{name}_command")) for name in needed}
    place = folder / _key(found)
    with opened(place):
        return _verified(found, place, run, on_step)


def _folder(name: str) -> Path:
    from pathlib import Path

    return Path(name).expanduser()


def _key(found: _Found) -> str:
    atoms = found.atoms
    return key_sha256(
        lattice=atoms.cell.array.round(6).tolist(), frac=(atoms.get_scaled_positions().round(6) % 1).tolist(),
        numbers=atoms.numbers.tolist(), pressure=found.pressure_GPa,
        settings=found.settings.model_dump(mode="json", exclude={"pseudos", "max_atoms", *_MORE}),
        pseudos={element: pseudo.sha256 for element, pseudo in found.pseudos.items()},
        cutoffs={element: pseudo.ecutwfc_Ry for element, pseudo in found.pseudos.items()},
        level=found.level.model_dump(mode="json", exclude=set(_MORE)),
    )[:16]  # fmt: skip


@dataclass
class _Found:
    """What is known so far."""

    atoms: Atoms
    settings: VerifySettings
    level: Level
    pressure_GPa: float
    pseudos: Mapping[str, Pseudopotential] = field(default_factory=dict)
    recipe: Recipe | None = None
    programs: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    steps: list[StepSummary] = field(default_factory=list)

    def result(self, key: str, judgement: Judgement) -> Verification:
        """Put all that is known into a result."""
        used = tuple(pseudo.used() for pseudo in self.pseudos.values())
        values: dict[str, Any] = {
            "lattice": tuple(self.atoms.cell.array.ravel().tolist()),
            "frac_coords": tuple(self.atoms.get_scaled_positions().ravel().tolist()),
            "atomic_numbers": tuple(self.atoms.numbers.tolist()),
        }
        if self.recipe is not None:
            values |= self.recipe.described()
        return Verification(
            key=key, level=self.settings.level, verdict=judgement.verdict, step=judgement.step, reason=judgement.reason,
            advice=judgement.advice, formula=self.atoms.get_chemical_formula(mode="metal"), n_atoms=len(self.atoms),
            pressure_GPa=self.pressure_GPa, functional=used[0].functional if used else (self.settings.functional or ""), pseudopotentials=used, programs=self.programs,
            lower_confidence=self._remarks(),
            steps=tuple(self.steps), wall_s=sum(s.wall_s for s in self.steps), cpu_s=sum(s.cpu_s for s in self.steps),
            **(values | self.values),
        )  # fmt: skip

    def _remarks(self) -> tuple[str, ...]:
        remarks = [_GTH_REMARK] if any(pseudo.lower_confidence for pseudo in self.pseudos.values()) else []
        if self.recipe is not None and self.level.relax and self.recipe.keeps_cell:
            remarks.append(_CELL_REMARK)
        return tuple(remarks)


def _verified(found: _Found, place: Path, run: RunSettings, on_step: Callable[[StepState], None]) -> Verification:
    """Run the chain, and keep its result."""
    assert found.recipe is not None  # noqa: S101 - set by the only caller
    for pseudo in found.pseudos.values():
        pseudo.write(place / PSEUDO)
    request = found.settings.model_dump_json(indent=1)
    if (place / REQUEST).is_file() and (place / REQUEST).read_text(encoding="utf-8") != request:
        (place / RESULT).unlink(missing_ok=True)  # it answers another request
    write_bytes(request.encode(), place / REQUEST)
    hours = run.hours
    runner = Runner(
        place, run, load_policy(run.retries), {e: p.sha256 for e, p in found.pseudos.items()},
        time.monotonic() + (_FOREVER_S if hours is None else 3600 * hours), on_step,
    )  # fmt: skip
    chain = _Chain(found, runner)
    try:
        judgement = chain.judged()
    except StepFailedError as error:
        judgement = Judgement(Verdict.FAILED, error.step, error.fault.message, error.fault.advice)
    except VerificationError as error:
        judgement = Judgement(Verdict.FAILED, chain.at, str(error), "see the outputs in the folder of the step")
    except Exception as error:  # noqa: BLE001 - what was computed must be kept, whatever happened afterwards
        reason = f"{type(error).__name__}: {error}"
        judgement = Judgement(Verdict.FAILED, chain.at, reason, "see the outputs in the folder of the step")
    if judgement.verdict is Verdict.FAILED and found.values.get("coupling") is not None:
        found.values["coarse_coupling"] = found.values.pop("coupling")  # of the grid before the one that failed
    found.steps = chain.summaries()
    result = found.result(place.name, judgement)
    write_bytes(result.model_dump_json(indent=1).encode(), place / RESULT)
    if judgement.verdict is not Verdict.FAILED and not run.keep_scratch:
        shutil.rmtree(runner.scratch, ignore_errors=True)
    return result


class _Chain:
    """The order of the steps."""

    def __init__(self, found: _Found, runner: Runner) -> None:
        assert found.recipe is not None  # noqa: S101 - set by the only caller
        self.found, self.runner, self.recipe = found, runner, found.recipe
        self.level = found.level
        self.at = ""
        self.names: list[str] = []

    def judged(self) -> Judgement:
        """Do all that the level asks for; the first thing that decides ends it."""
        if self.level.relax:
            step = self.recipe.relax()
            self.found.values["relaxed"] = not self.recipe.keeps_cell
            self.recipe = self.found.recipe = self.recipe.at(self.do(step).atoms, before=self.key(step))
            self.found.atoms = self.recipe.atoms
        if not self.level.phonons:
            return self.level_dos()
        dense = self.recipe.scf_dense()
        coarse = self.recipe.scf_coarse(self.key(dense))
        metal = self._dos(self.do(dense))
        if metal is not None:
            return metal
        self._reached(coarse)
        judgement = None
        for grid in self.recipe.q_grids():
            judgement = self._phonons(dense, coarse, grid)
            if judgement.verdict is Verdict.UNSTABLE:
                return judgement
        assert judgement is not None  # noqa: S101 - there is at least one grid
        if self.level.interpolate:
            judgement = self._interpolated(coarse) or judgement
        if self.level.bands:
            self._bands(coarse)
        return judgement

    def do(self, step: Step, *, scratch_needed: bool = False) -> PwResult:
        """Do a step of `pw.x` and read its result."""
        self._complete(step, scratch_needed=scratch_needed)
        return read_pw(self.runner.place(step.name) / XML, self_consistent=step.calculation != "nscf")

    def key(self, step: Step) -> str:
        """Key of a step, from which the keys of those after it are made."""
        return step.key(self.runner.pseudo_sha256)

    def summaries(self) -> list[StepSummary]:
        """Return the steps so far, in order."""
        states = [(name, read_state(self.runner.place(name))) for name in self.names]
        return [
            StepSummary(
                name=name, state=state.state, tries=len(state.tries), wall_s=state.wall_s, cpu_s=state.cpu_s,
                message=state.tries[-1].message if state.tries else "",
            )
            for name, state in states
            if state is not None
        ]  # fmt: skip

    def level_dos(self) -> Judgement:
        """Density, then bands on the dense grid."""
        density, dense = self.recipe.scf(), self.recipe.nscf(self.key(self.recipe.scf()))
        self._energy(self.do(density, scratch_needed=not self.runner.is_done(dense)))
        bands = self.do(dense)
        level = self._fermi(bands)
        self.found.values["dos_ef_training_scale_states_per_eV"] = TRAINING_SCALE * level.dos_states_per_eV
        per_atom = level.dos_states_per_eV / len(self.found.atoms)
        seen = f"N(E_F) = {per_atom:.3f} states/eV and atom, both spins"
        if level.gap_eV >= MIN_GAP_EV or per_atom < MIN_DOS_PER_ATOM:
            return Judgement(Verdict.NOT_METALLIC, "nscf", f"{seen}, gap {level.gap_eV:.2f} eV")
        return Judgement(Verdict.METALLIC, "nscf", seen, "level smoke looks for phonons and Tc")

    def _complete(self, step: Step, *, scratch_needed: bool = False, redone: RedoError | None = None) -> None:
        self._reached(step)
        change, history = (redone.change, redone.history) if redone else (None, ())
        try:
            self.runner.complete(step, scratch_needed=scratch_needed, change=change, history=history)
        except RedoError as error:
            self._redo(error)
            self._complete(step, scratch_needed=scratch_needed, redone=error)

    def _reached(self, step: Step) -> None:
        self.at = step.name
        if step.name not in self.names:
            self.names.append(step.name)

    def _redo(self, error: RedoError) -> None:
        """Do an earlier step again, and those between it and the one that failed; what they are called stays."""
        dense = self.recipe.scf_dense()
        coarse = self.recipe.scf_coarse(self.key(dense))
        again = [dense, coarse] if error.step == dense.name else [coarse]
        for step in again:
            self.runner.complete(step, scratch_needed=True, change=error.change)

    def _phonons(self, dense: Step, coarse: Step, grid: Grid) -> Judgement:
        """All q points of a grid, and what they add up to."""
        points: list[QPoint] = []
        sources: list[Path] = []
        number, count = 1, 1
        while number <= count:
            step = self.recipe.phonons(grid, number, self.key(coarse))
            if not self.runner.is_done(step):
                self._ready(dense, coarse)
            self._complete(step)
            place = self.runner.place(step.name)
            count = self.recipe.count(self.runner.place(self.recipe.phonons(grid, 1, "").name))
            sources += [place / "output", self.recipe.elph_file(place, number)]
            points.append(read_qpoint(*sources[-2:]))
            number += 1
        self.at = "collect"
        mu_stars = self.found.settings.mu_stars
        coupling = kept_coupling(
            self.runner.folder / f"coupling_{'x'.join(map(str, grid))}.json", sources, mu_stars,
            lambda: coupling_of(points, grid, n_atoms=len(self.found.atoms), mu_stars=mu_stars),
        )  # fmt: skip
        values = self.found.values
        if values.get("coupling") is not None:
            values["coarse_coupling"] = values["coupling"]
        values["coupling"] = coupling
        lowest = [np.where(one.is_acoustic & ~one.is_unstable, np.inf, one.frequencies_THz).min() for one in points]
        values["min_phonon_THz"] = (
            min(float(frequency) for frequency in lowest if np.isfinite(frequency))
            if np.isfinite(lowest).any()
            else 0.0
        )
        values["max_phonon_THz"] = max(float(point.frequencies_THz.max()) for point in points)
        judgement = judge_coupling(points, coupling)
        return judgement if judgement.verdict is not Verdict.UNSTABLE else _without_tc(judgement, values)

    def _ready(self, dense: Step, coarse: Step) -> None:
        """See to it that what `ph.x` reads is there."""
        if not self.runner.is_done(coarse, scratch_needed=True) or not self.runner.is_done(dense, scratch_needed=True):
            self._complete(dense, scratch_needed=True)
            self._complete(coarse, scratch_needed=True)

    def _dos(self, result: PwResult) -> Judgement | None:
        """Energy and Fermi level; a judgement when the crystal is no metal."""
        self._energy(result)
        level = self._fermi(result)
        per_atom = level.dos_states_per_eV / len(self.found.atoms)
        if level.gap_eV < MIN_GAP_EV and per_atom >= MIN_DOS_PER_ATOM:
            return None
        reason = f"N(E_F) = {per_atom:.3f} states/eV and atom, both spins; gap {level.gap_eV:.2f} eV"
        return Judgement(
            Verdict.NOT_METALLIC, "scf_dense", reason, "a semiconductor needs doping before phonons can pair electrons"
        )

    def _energy(self, result: PwResult) -> None:
        assert result.energy_eV is not None  # noqa: S101 - of a self-consistent run
        self.found.values |= {
            "energy_eV_per_atom": result.energy_eV / len(result.atomic_numbers),
            "stress_pressure_GPa": result.pressure_GPa,
        }

    def _fermi(self, result: PwResult) -> FermiLevel:
        level = fermi_level(result)
        self.found.values |= {
            "fermi_eV": level.fermi_eV, "dos_ef_states_per_eV": level.dos_states_per_eV, "gap_eV": level.gap_eV,
        }  # fmt: skip
        return level

    def _interpolated(self, coarse: Step) -> Judgement | None:
        """Fourier interpolation; its failure leaves the result on the grid, imaginary modes leave no Tc."""
        grid = self.recipe.q_grids()[-1]
        values = self.found.values
        try:
            for step in self.recipe.interpolation(grid, self.runner.place, self.key(coarse)):
                self._complete(step)
            place = self.runner.place(self.at)
            mu_stars = self.found.settings.mu_stars
            coupling: Coupling = kept_coupling(
                self.runner.folder / "coupling_interpolated.json", [place / "lambda", *sorted(place.glob("a2F.dos*"))], mu_stars,
                lambda: interpolated_coupling(place, grid, mu_stars=mu_stars),
            )  # fmt: skip
        except (StepFailedError, VerificationError) as error:
            values["coupling"] = values["coupling"].model_copy(
                update={"remarks": (*values["coupling"].remarks, f"no interpolation: {error}")}
            )
            return None
        values["interpolated_coupling"] = coupling
        imaginary = [remark for remark in coupling.remarks if remark.startswith(IMAGINARY)]
        if not imaginary:
            return None
        advice = "a finer q grid tells whether the crystal is unstable between the computed wave vectors"
        return _without_tc(Judgement(Verdict.NOT_CONVERGED, self.at, imaginary[0], advice), values)

    def _bands(self, coarse: Step) -> None:
        """Bands along the path of high symmetry; their failure leaves the result as it is."""
        try:
            step = self.recipe.bands(self.key(coarse))
            if not self.runner.is_done(step):
                self._ready(self.recipe.scf_dense(), coarse)
            self._complete(step)
        except (
            VerificationError,
            RedoError,
            RuntimeError,
            ValueError,
        ) as error:  # also: ASE knows no path for this lattice
            coupling = self.found.values["coupling"]
            remarks = (*coupling.remarks, f"no bands: {error}")
            self.found.values["coupling"] = coupling.model_copy(update={"remarks": remarks})


def _without_tc(judgement: Judgement, values: dict[str, Any]) -> Judgement:
    """Leave no Tc behind: what the stable modes add up to belongs to no crystal."""
    for name in ("coupling", "coarse_coupling"):
        coupling = values.get(name)
        if coupling is not None:
            values[name] = coupling.model_copy(
                update={
                    "lambda_": None, "lambda_std": None, "omega_log_K": None, "omega2_K": None, "tc_allen_dynes_K": (),
                    "tc_eliashberg_K": (), "tc_lo_K": None, "tc_hi_K": None, "alpha2f": None, "plateau_Ry": None,
                }
            )  # fmt: skip
    return judgement
