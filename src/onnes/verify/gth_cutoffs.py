"""Plane-wave cut-offs of GTH pseudopotentials: measured with `pw.x` on one atom a cell, and the table made from the measurements."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from onnes.errors import VerificationError
from onnes.flow.shards import write_bytes
from onnes.verify.gth import gth_entries, read_gth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

CUTOFFS_RY = (24, 32, 40, 50, 60, 70, 80, 100, 120, 150)
"""Measured for every entry."""
HIGHER_CUTOFFS_RY = (200, 250, 300, 350)
"""Measured one after the other until the pressure stands still; above them another pseudopotential is the better choice."""
ELECTRONIC_EV, ELECTRONIC_KBAR = 1.0, 500.0
"""Errors of energy per atom and of pressure below which a density of states at a given geometry may be computed. They are wide
because states at the Fermi level converge long before energies do, which semicore states dominate: 3d metals at 120 to 150 Ry,
hundreds of kbar away from convergence, have N(E_F) within 5 %."""
STRUCTURAL_KBAR = 5.0
"""Error of the pressure below which cells are relaxed and phonons computed."""
_SOFT_ENOUGH_RY = 200
_MOLECULES = frozenset({"H", "He", "N", "O", "F", "Ne", "Cl"})
_RY_EV, _BOHR_A = 13.605693, 0.529177
_INPUT = """&control
  calculation='scf', prefix='x', outdir='./out', pseudo_dir='.', tstress=.true., disk_io='none'
/
&system
  ibrav=2, celldm(1)={celldm:.6f}, nat=1, ntyp=1, ecutwfc={cutoff}, occupations='smearing', smearing='gaussian', degauss=0.03
/
&electrons
  conv_thr=1e-7, mixing_beta=0.3, electron_maxstep=150
/
ATOMIC_SPECIES
{element} 1.0 {file}
ATOMIC_POSITIONS alat
{element} 0 0 0
K_POINTS automatic
2 2 2 1 1 1
"""


class CutoffScan(BaseModel):
    """Energy and pressure of one pseudopotential at growing cut-offs.

    Attributes
    ----------
    name
        Entry or file that was measured.
    vol
        Volume of the face-centred cubic cell of one atom, Å³.
    rows
        Of each cut-off in Ry, the energy per atom in Ry and the pressure in kbar; None where the calculation failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    vol: float
    rows: dict[int, tuple[float, float] | None]

    def errors(self) -> dict[int, tuple[float, float]]:
        """Return the errors of energy (eV per atom) and pressure (kbar) against the highest cut-off, by cut-off."""
        done = {cutoff: row for cutoff, row in sorted(self.rows.items()) if row}
        if not done:
            return {}
        energy, pressure = done[max(done)]
        return {cutoff: (_RY_EV * (row[0] - energy), row[1] - pressure) for cutoff, row in done.items()}

    def lowest(self, max_eV: float, max_kbar: float) -> int | None:
        """Find the lowest cut-off that is good enough, and from which on all higher ones are.

        The highest one is never the answer: nothing above it shows that it is good enough.

        Examples
        --------
        >>> rows = {40: (-1.0, 90.0), 50: (-1.1, 4.0), 60: (-1.11, 20.0), 70: (-1.12, 2.0), 80: (-1.12, 1.0)}
        >>> scan = CutoffScan(name="GTH-PBE-q3", vol=16.6, rows=rows)
        >>> scan.lowest(0.5, 5.0), scan.lowest(0.5, 30.0), scan.lowest(0.5, 0.1)
        (70, 50, None)
        """
        answer = None
        for cutoff, (energy, pressure) in reversed(list(self.errors().items())[:-1]):
            if abs(energy) > max_eV or abs(pressure) > max_kbar:
                break
            answer = cutoff
        return answer


class RecommendedCutoff(BaseModel):
    """What the table says about one element; cut-offs in Ry, None where no measured one is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """Entry of the tables of pseudopotentials."""
    electronic_Ry: int | None = None
    electronic_error_kbar: float | None = None
    """Error of the pressure of one atom in its own volume at that cut-off."""
    structural_Ry: int | None = None
    structural_error_kbar: float | None = None

    @classmethod
    def from_scan(cls, scan: CutoffScan) -> RecommendedCutoff:
        """Choose both cut-offs from a measurement."""
        errors = scan.errors()
        electronic = scan.lowest(ELECTRONIC_EV, ELECTRONIC_KBAR)
        structural = scan.lowest(ELECTRONIC_EV, STRUCTURAL_KBAR)
        return cls(
            name=scan.name,
            electronic_Ry=electronic,
            electronic_error_kbar=round(errors[electronic][1], 1) if electronic else None,
            structural_Ry=structural,
            structural_error_kbar=round(errors[structural][1], 1) if structural else None,
        )


def measure_cutoffs(
    elements: Sequence[str],
    folder: Path,
    *,
    family: str = "PBE",
    command: Sequence[str] = ("pw.x",),
    max_seconds: float = 180.0,
    progress: Callable[[str, int, int, int], None] | None = None,
) -> dict[str, CutoffScan]:
    """Measure how energy and pressure of an element converge with the cut-off.

    One atom in a face-centred cubic cell of the volume that it has in its element, k points on a shifted 2×2×2 mesh,
    Gaussian smearing of 0.03 Ry. Every result is kept in `folder` as soon as it is there, and what is there is not
    computed again. Where the entry that the tables recommend stays hard (above 200 Ry), softer entries of the same
    element, which keep fewer electrons, are measured too.

    Parameters
    ----------
    elements
        Symbols.
    folder
        Of the results, ``<element>.<entry>.json``; files of the same layout named ``<element>.json`` are read as well.
    family
        Of the pseudopotentials.
    command
        How to call `pw.x`.
    max_seconds
        Limit of one calculation.
    progress
        Called before each calculation with the element, the cut-off in Ry, the number of elements that are finished
        and the number of all elements.

    Returns
    -------
    dict
        Of each file, by its name without suffix, the measurement.

    Raises
    ------
    VerificationError
        When `pw.x` or the tables are missing, or an element is not in them.
    """
    if shutil.which(command[0]) is None:
        raise VerificationError(f"{command[0]} is not installed or not on the PATH")
    found: dict[str, CutoffScan] = {}
    for done, element in enumerate(elements):
        names = gth_entries(element, family)
        for name in names:
            potential = read_gth(element, family, name=name)
            if name != names[0] and potential.valence >= read_gth(element, family).valence:
                continue
            path = folder / f"{element}.{name}.json"
            if name == names[0] and not path.exists() and (folder / f"{element}.json").exists():
                path = folder / f"{element}.json"
            scan = measure_scan(
                element,
                name,
                (f"{element}.gth", potential.as_psp10().encode()),
                path,
                command=command,
                max_seconds=max_seconds,
                progress=(lambda cutoff, e=element, d=done: progress(e, cutoff, d, len(elements)))
                if progress
                else None,
            )
            found[path.stem] = scan
            if (scan.lowest(ELECTRONIC_EV, STRUCTURAL_KBAR) or _SOFT_ENOUGH_RY + 1) <= _SOFT_ENOUGH_RY:
                break
    return found


def measure_scan(
    element: str,
    name: str,
    file: tuple[str, bytes],
    path: Path,
    *,
    command: Sequence[str] = ("pw.x",),
    max_seconds: float = 180.0,
    cutoffs: Sequence[int] = CUTOFFS_RY,
    higher: Sequence[int] = HIGHER_CUTOFFS_RY,
    progress: Callable[[int], None] | None = None,
) -> CutoffScan:
    """Measure one pseudopotential, of any format, and keep the result in a file.

    Parameters
    ----------
    element
        Symbol.
    name
        Of the pseudopotential, as it stands in the result.
    file
        Name and content of its file.
    path
        Of the result (JSON). What it has is not computed again; `pw.x` runs in the folder of the same name without suffix.
    command, max_seconds
        As in `measure_cutoffs`.
    cutoffs
        In Ry, all measured.
    higher
        In Ry, measured until the pressure stands still.
    progress
        Called with the cut-off before each calculation.
    """
    scan = _read_scan(path) if path.exists() else CutoffScan(name=name, vol=atomic_volume(element), rows={})
    if scan.name != name:
        raise VerificationError(f"{path} is a measurement of {scan.name}, not of {name}; move it away")
    for cutoff in (*cutoffs, *higher):
        enough = cutoff in higher and scan.lowest(ELECTRONIC_EV, STRUCTURAL_KBAR) is not None
        if cutoff in scan.rows or enough:
            continue
        if progress:
            progress(cutoff)
        row = _run(_input(element, file[0], scan.vol, cutoff), file, path.with_suffix(""), command, max_seconds)
        scan = scan.model_copy(update={"rows": {**scan.rows, cutoff: row}})
        write_bytes(scan.model_dump_json().encode(), path)
        if cutoff in higher and row is None:
            break
    return scan


def _input(element: str, file: str, volume: float, cutoff: int) -> str:
    return _INPUT.format(celldm=(4 * volume) ** (1 / 3) / _BOHR_A, cutoff=cutoff, element=element, file=file)


def _run(
    text: str, file: tuple[str, bytes], folder: Path, command: Sequence[str], max_seconds: float
) -> tuple[float, float] | None:
    """Energy in Ry and pressure in kbar; None when the calculation fails or takes too long."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file[0]).write_bytes(file[1])
    (folder / "pw.in").write_text(text, encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - a program that the caller named, no shell
            [*command, "-in", "pw.in"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    energy = re.findall(r"^!\s+total energy\s+=\s+(\S+)", done.stdout, re.MULTILINE)
    pressure = re.findall(r"\bP=\s*(\S+)", done.stdout)
    if done.returncode != 0 or not energy or not pressure:
        return None
    try:
        return float(energy[-1]), float(pressure[-1])
    except ValueError:
        return None


def atomic_volume(element: str) -> float:
    """Volume of an atom in its element, Å³, between 9 and 60; 10 for elements of molecules and H, He, Ne.

    Examples
    --------
    >>> round(atomic_volume("Al"), 1), atomic_volume("N")
    (16.6, 10.0)
    """
    from pymatgen.core import Element
    from scipy.constants import N_A

    if element in _MOLECULES:
        return 10.0
    molar = Element(element).molar_volume
    return min(max(float(molar) * 1e24 / N_A, 9.0), 60.0) if molar else 20.0


def _read_scan(path: Path) -> CutoffScan:
    try:
        return CutoffScan.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise VerificationError(f"{path} is no measurement of cut-offs: {error.errors()[0]['msg']}") from error


def recommend_cutoffs(folder: Path) -> dict[str, RecommendedCutoff]:
    """Choose, for each element measured in a folder, the entry and its cut-offs.

    The entry that the tables recommend (``<element>.json`` or the one with most electrons) is kept where it converges up
    to 200 Ry; else the entry with the most electrons that does; else the recommended one.
    """
    scans: dict[str, list[RecommendedCutoff]] = {}
    for path in sorted(folder.glob("*.json")):
        scans.setdefault(path.name.split(".")[0], []).append(RecommendedCutoff.from_scan(_read_scan(path)))
    chosen = {}
    for element, entries in sorted(scans.items()):
        entries.sort(key=lambda entry: -int(entry.name.rsplit("-q", 1)[1]))
        soft = [entry for entry in entries if entry.structural_Ry and entry.structural_Ry <= _SOFT_ENOUGH_RY]
        chosen[element] = (soft or entries)[0]
    return chosen


def write_cutoffs(folder: Path, path: Path) -> Path:
    """Write the table of recommended cut-offs from the measurements in a folder.

    Raises
    ------
    VerificationError
        When the folder has no measurement.
    """
    import tomlkit

    document = tomlkit.document()
    for line in (
        "Plane-wave cut-offs of GTH-PBE pseudopotentials, made by onnes.verify.gth_cutoffs from its own runs of pw.x:",
        "one atom, face-centred cubic, volume of the element, shifted 2x2x2 k mesh; errors against the highest cut-off.",
        f"electronic: energy within {ELECTRONIC_EV} eV/atom and pressure within {ELECTRONIC_KBAR:g} kbar,",
        "which is enough for N(E_F): 3d metals have it within 5 % at 120 to 150 Ry;",
        f"structural: pressure within {STRUCTURAL_KBAR:g} kbar; from there on for all higher cut-offs.",
        f"An accuracy that is missing was not reached with {HIGHER_CUTOFFS_RY[-2]} Ry.",
    ):
        document.add(tomlkit.comment(line))
    table = recommend_cutoffs(folder)
    if not table:
        raise VerificationError(f"{folder} has no measurement of cut-offs")
    for element, entry in table.items():
        row = tomlkit.inline_table()
        row.update(entry.model_dump(exclude_none=True))
        document.add(element, row)
    write_bytes(tomlkit.dumps(document).encode(), path)
    return path


@lru_cache(maxsize=1)
def load_cutoffs() -> dict[str, RecommendedCutoff]:
    """Read the table that comes with the package."""
    text = files("onnes.verify").joinpath("data/gth_cutoffs.toml").read_text(encoding="utf-8")
    return {element: RecommendedCutoff.model_validate(row) for element, row in tomllib.loads(text).items()}


def summary(scan: CutoffScan) -> str:
    """One line with the errors of a measurement, for a person.

    Examples
    --------
    >>> summary(CutoffScan(name="GTH-PBE-q3", vol=16.6, rows={24: (-4.0, 90.0), 32: (-4.1, 4.0), 40: None}))
    'GTH-PBE-q3: 24 Ry 1.361 eV +86.0 kbar, 32 Ry 0.000 eV +0.0 kbar, 40 Ry failed'
    """
    errors = scan.errors()
    words = []
    for cutoff in sorted(scan.rows):
        if cutoff in errors:
            words.append(f"{cutoff} Ry {errors[cutoff][0]:.3f} eV {errors[cutoff][1]:+.1f} kbar")
        else:
            words.append(f"{cutoff} Ry failed")
    return f"{scan.name}: {', '.join(words)}"
