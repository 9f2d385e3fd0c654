"""The steps of a verification, with their inputs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from onnes.errors import VerificationError
from onnes.verify.geometry import last_geometry
from onnes.verify.inputs import (
    DYN,
    PREFIX,
    SYMPREC_A,
    Grids,
    Namelists,
    grids,
    matdyn_namelists,
    namelist_text,
    ph_namelists,
    primitive_atoms,
    pw_namelists,
    pw_text,
    q2r_namelists,
)
from onnes.verify.phonon_output import read_q_list, read_qpoint
from onnes.verify.pw_output import XML, read_pw
from onnes.verify.saved import check_saved
from onnes.verify.steps import OUTPUT, PSEUDO, SCRATCH, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ase import Atoms

    from onnes.verify.pseudopotentials import Pseudopotential
    from onnes.verify.settings import Grid, Level, VerifySettings

_OUT = f"../../{SCRATCH}"
_PSEUDO = f"../../{PSEUDO}"
ELPH = "elph_dir"
_NSCF_THRESHOLD_RY = 1e-6
_FIRST_CUBIC = 195
_POINTS_PER_INVERSE_A = 20


@dataclass(frozen=True)
class Recipe:
    """Steps of one crystal with one choice of grids and pseudopotentials.

    Attributes
    ----------
    atoms
        Primitive cell.
    grids
        Of q and k points.
    pseudos
        By element.
    settings, level
        What is computed and how well.
    pressure_GPa
        Target of the relaxation.
    before
        Key of the relaxation that the cell comes from.
    """

    atoms: Atoms
    grids: Grids
    pseudos: Mapping[str, Pseudopotential]
    settings: VerifySettings
    level: Level
    pressure_GPa: float = 0.0
    before: str = ""

    def at(self, atoms: Atoms, before: str) -> Recipe:
        """Return the same for the relaxed cell."""
        cell = primitive_atoms(atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
        given = any((self.settings.q_grid, self.settings.k_grid, self.settings.dense_k_grid))
        chosen = self.grids if given else grids(cell, self.settings, self.level)
        return replace(self, atoms=cell, grids=chosen, before=before)

    def described(self) -> dict[str, Any]:
        """Grids and cut-offs, as the result names them."""
        system = self._pw("scf")["system"]
        return {
            "k_grid": self.grids.k, "dense_k_grid": self.grids.dense, "ecutwfc_Ry": system["ecutwfc"], "ecutrho_Ry": system["ecutrho"],
        }  # fmt: skip

    def q_grids(self) -> list[Grid]:
        """Grids of phonon wave vectors, the finest last."""
        q = self.grids.q
        a, b, c = (max(d for d in range(1, max(n, 2)) if k % d == 0) for n, k in zip(q, self.grids.k, strict=True))
        return [(a, b, c), q] if self.level.coarse and (a, b, c) != q else [q]

    @property
    def keeps_cell(self) -> bool:
        """Whether a relaxation moves the atoms alone.

        With GTH pseudopotentials `pw.x` 6.7 gives a right pressure, but wrong differences between the directions: for hexagonal
        aluminium (a = 4.62, c = 3.36 Å) energies give -91 kbar along c and the stress -54. In cubic crystals nothing but the
        pressure counts.
        """
        import spglib

        cell = (self.atoms.cell.array.tolist(), self.atoms.get_scaled_positions().tolist(), self.atoms.numbers.tolist())
        found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC_A)
        cubic = found is not None and found.number >= _FIRST_CUBIC
        return not cubic and any(pseudo.provider == "gth" for pseudo in self.pseudos.values())

    def relax(self) -> Step:
        """Relax atoms and cell."""
        calculation = "relax" if self.keeps_cell else "vc-relax"
        return self._pw_step("relax", calculation, self.grids.k, self.before, result=_whole_relaxation)

    def scf(self) -> Step:
        """Density for bands on a denser grid."""
        return self._pw_step("scf", "scf", self.grids.k, self.before)

    def nscf(self, before: str) -> Step:
        """Bands on the dense grid."""
        return self._pw_step("nscf", "nscf", self.grids.dense, before, result=_whole_bands, spoils=("scf",))

    def scf_dense(self) -> Step:
        """Dense grid: what the double-delta sums read."""
        return self._pw_step("scf_dense", "scf", self.grids.dense, self.before, la2F=True, spoils=("scf_coarse",))

    def scf_coarse(self, before: str) -> Step:
        """Coarse grid: what the phonons start from."""
        return self._pw_step("scf_coarse", "scf", self.grids.k, before)

    def bands(self, before: str) -> Step:
        """Bands along the path of high symmetry."""
        path = self.atoms.cell.bandpath(density=_POINTS_PER_INVERSE_A)
        namelists = self._pw("bands")
        namelists["electrons"]["diago_thr_init"] = _NSCF_THRESHOLD_RY

        def text(changed: Namelists, _: Path | None) -> str:
            return pw_text(changed, self.atoms, self.pseudos, path=path)

        return Step(
            "bands", "pw", "bands", namelists, text, before, spoils=("scf_coarse",), collect=self._collect, check=_whole_bands,
        )  # fmt: skip

    def phonons(self, grid: Grid, number: int, before: str) -> Step:
        """One q point of a grid."""
        name = f"phonons_{'x'.join(map(str, grid))}_{number:02d}"
        return Step(
            name, "ph", "elph", ph_namelists(grid, number, self.level, scratch=_OUT), lambda changed, _: namelist_text(changed),
            before, prepare=_clear_phonons, check=partial(self._whole_phonons, number=number),
        )  # fmt: skip

    def interpolation(self, grid: Grid, place: Callable[[str], Path], before: str) -> list[Step]:
        """`q2r.x` and `matdyn.x`, in one folder each."""
        names = [
            self.phonons(grid, i, "").name for i in range(1, self.count(place(self.phonons(grid, 1, "").name)) + 1)
        ]
        q2r = Step(
            "q2r", "q2r", "q2r", q2r_namelists(), lambda changed, _: namelist_text(changed), before,
            prepare=lambda folder: _gather([place(name) for name in names], folder), check=partial(_there, name="force_constants"),
        )  # fmt: skip
        matdyn = Step(
            "matdyn", "matdyn", "matdyn", matdyn_namelists(grid), lambda changed, _: namelist_text(changed), before,
            prepare=lambda folder: _gather([place("q2r")], folder), check=partial(_there, name="lambda"),
        )  # fmt: skip
        return [q2r, matdyn]

    def count(self, first: Path) -> int:
        """Number of q points of a grid from the folder of its first one."""
        return len(read_q_list(first / f"{DYN}0")[1])

    def elph_file(self, folder: Path, number: int) -> Path:
        """File with the coupling of one q point."""
        return folder / ELPH / f"elph.inp_lambda.{number}"

    def _pw(self, calculation: str, *, la2F: bool = False) -> Namelists:
        return pw_namelists(
            calculation, self.pseudos, self.settings, self.level, n_atoms=len(self.atoms), scratch=_OUT, pseudo_folder=_PSEUDO,
            pressure_GPa=self.pressure_GPa, la2F=la2F,
        )  # fmt: skip

    def _pw_step(
        self, name: str, calculation: str, kpts: Grid, before: str, *, la2F: bool = False,
        result: Callable[[Path], object] | None = None, spoils: tuple[str, ...] = (),
    ) -> Step:  # fmt: skip
        namelists = self._pw(calculation, la2F=la2F)
        if calculation == "nscf":
            namelists["electrons"]["diago_thr_init"] = _NSCF_THRESHOLD_RY

        def text(changed: Namelists, last: Path | None) -> str:
            atoms = self.atoms if last is None else last_geometry(last) or self.atoms
            return pw_text(changed, atoms, self.pseudos, kpts=kpts)

        leaves = (f"{PREFIX}.a2Fsave",) if la2F else (f"{PREFIX}.save/{XML}",)
        return Step(
            name, "pw", calculation, namelists, text, before, leaves=leaves, spoils=spoils, collect=partial(self._collect, la2F=la2F),
            check=result or (lambda folder: read_pw(folder / XML)),
        )  # fmt: skip

    def _collect(self, folder: Path, *, la2F: bool = False) -> None:
        """Keep what `pw.x` found in the step's folder: the scratch folder is used again by the next."""
        scratch = folder / _OUT
        if problem := check_saved(scratch, PREFIX, a2f=la2F):
            raise VerificationError(problem.message)
        shutil.copyfile(scratch / f"{PREFIX}.save" / XML, folder / XML)

    def _whole_phonons(self, folder: Path, number: int) -> None:
        read_qpoint(folder / OUTPUT, self.elph_file(folder, number))
        if not (folder / f"{DYN}{number}").is_file():
            raise VerificationError(f"{DYN}{number} is missing")


def _whole_relaxation(folder: Path) -> None:
    read_pw(folder / XML, self_consistent=False)


def _whole_bands(folder: Path) -> None:
    read_pw(folder / XML, self_consistent=False)


def _there(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise VerificationError(f"{name} is missing")


def _clear_phonons(folder: Path) -> None:
    """Take away what an interrupted run left: restarts of `ph.x` 6.7 cannot be relied on."""
    shutil.rmtree(folder / _OUT / "_ph0", ignore_errors=True)
    shutil.rmtree(folder / ELPH, ignore_errors=True)
    (folder / ELPH).mkdir()
    for path in folder.glob(f"{DYN}*"):
        path.unlink()


def _gather(places: list[Path], folder: Path) -> None:
    """Copy what the programs after the phonons read into one folder."""
    (folder / ELPH).mkdir(exist_ok=True)
    for place in places:
        for path in [
            *place.glob(f"{DYN}*"),
            *place.glob("force_constants*"),
            *place.glob(f"{ELPH}/*"),
            *place.glob("a2F*"),
        ]:
            if path.is_file():
                shutil.copyfile(path, folder / path.relative_to(place))
