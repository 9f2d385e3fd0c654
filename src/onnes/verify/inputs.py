"""Inputs of the programs, written through ASE."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.symbols import symbols
from onnes.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms
    from numpy.typing import ArrayLike

    from onnes.verify.pseudopotentials import Pseudopotential
    from onnes.verify.settings import Grid, Level, VerifySettings

Namelists = dict[str, dict[str, Any]]
PREFIX = "onnes"
DYN = "dyn"
N_SIGMAS, SIGMA_STEP_RY = 10, 0.005
SYMPREC_A = 0.01  # geometries of potentials are good to this; a larger tolerance would move atoms
_MIXING = 0.4
_MAX_SCF_STEPS = 100
_KBAR_PER_GPA = 10.0


@dataclass(frozen=True)
class Grids:
    """Grids of one verification: phonon wave vectors, k points, and k points of the dense sum."""

    q: Grid
    k: Grid
    dense: Grid


def primitive_atoms(lattice: ArrayLike, frac_coords: ArrayLike, atomic_numbers: ArrayLike) -> Atoms:
    """Return the symmetrised primitive cell (spglib), whose symmetry the programs use.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), Å.
    frac_coords, atomic_numbers
        Shapes (n, 3) and (n,).

    Examples
    --------
    >>> lattice = [[4.05, 0, 0], [0, 4.05, 0], [0, 0, 4.05]]
    >>> len(primitive_atoms(lattice, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [13] * 4))
    1
    """
    import spglib
    from ase import Atoms

    given = (
        np.asarray(lattice, float).reshape(3, 3),
        np.asarray(frac_coords, float).reshape(-1, 3),
        np.asarray(atomic_numbers, int).ravel(),
    )
    found = spglib.standardize_cell(given, to_primitive=True, no_idealize=False, symprec=SYMPREC_A)  # pyright: ignore[reportArgumentType]
    cell, frac, numbers = found if found is not None else given
    return Atoms(numbers=numbers, cell=cell, scaled_positions=frac, pbc=True)


def grids(atoms: Atoms, settings: VerifySettings, level: Level) -> Grids:
    """Choose the grids: what the settings give, else by the level's distances, each a multiple of the one before.

    Raises
    ------
    VerificationError
        When a given grid is not a multiple of the one that it must be a multiple of.
    """
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(atoms.cell.array).T, axis=1)
    q = settings.q_grid or (_counts(lengths, level.q_distance) if level.phonons else (1, 1, 1))
    k = settings.k_grid or _counts(lengths, level.k_distance, q)
    if level.phonons:
        dense = settings.dense_k_grid or _times(k, level.dense_factor)
    else:
        dense = settings.dense_k_grid or _counts(lengths, level.dense_k_distance)
    for name, grid, base in (("k", k, q), ("dense k", dense, k if level.phonons else (1, 1, 1))):
        if any(n % b for n, b in zip(grid, base, strict=True)):
            raise VerificationError(
                f"the {name} grid {grid} is not a multiple of {base}; give multiples in each direction"
            )
    return Grids(q, k, dense)


def _counts(lengths: Sequence[float], distance: float, multiple: Grid = (1, 1, 1)) -> Grid:
    a, b, c = (
        int(np.ceil(max(np.ceil(length / distance - 1e-6), 1) / base) * base)
        for length, base in zip(lengths, multiple, strict=True)
    )
    return (a, b, c)


def _times(grid: Grid, factor: int) -> Grid:
    return (grid[0] * factor, grid[1] * factor, grid[2] * factor)


def pw_namelists(
    calculation: str,
    pseudos: Mapping[str, Pseudopotential],
    settings: VerifySettings,
    level: Level,
    *,
    n_atoms: int,
    scratch: str,
    pseudo_folder: str,
    pressure_GPa: float = 0.0,
    la2F: bool = False,
) -> Namelists:
    """Return the namelists of a `pw.x` run.

    Parameters
    ----------
    calculation
        ``scf``, ``nscf``, ``bands``, ``relax`` or ``vc-relax``.
    pseudos
        By element.
    settings, level
        Cut-offs, smearing, thresholds.
    n_atoms
        Of the cell: thresholds grow with it.
    scratch, pseudo_folder
        Relative to the folder that the program runs in.
    pressure_GPa
        Target of a relaxation.
    la2F
        Whether to write what the double-delta sums over the dense grid need.
    """
    system: dict[str, Any] = {
        "ecutwfc": settings.ecutwfc_Ry or max(pseudo.ecutwfc_Ry for pseudo in pseudos.values()),
        "occupations": "smearing",
        "smearing": level.smearing,
        "degauss": level.degauss_Ry,
    }
    system["ecutrho"] = max(4 * system["ecutwfc"], *(pseudo.ecutrho_Ry for pseudo in pseudos.values())) if not (
        settings.ecutwfc_Ry
    ) else system["ecutwfc"] * max(pseudo.ecutrho_Ry / pseudo.ecutwfc_Ry for pseudo in pseudos.values())  # fmt: skip
    if la2F:
        system["la2F"] = True
    control: dict[str, Any] = {
        "calculation": calculation, "prefix": PREFIX, "outdir": scratch, "pseudo_dir": pseudo_folder,
        "verbosity": "high" if calculation == "bands" else "low",
    }  # fmt: skip
    if calculation in ("scf", "relax", "vc-relax"):
        control |= {"tstress": True, "tprnfor": True}
    found: Namelists = {
        "control": control,
        "system": system,
        "electrons": {
            "conv_thr": level.scf_threshold_Ry * n_atoms, "mixing_beta": _MIXING, "electron_maxstep": _MAX_SCF_STEPS,
        },
    }  # fmt: skip
    if calculation in ("relax", "vc-relax"):
        control |= {"etot_conv_thr": 1e-5 * n_atoms, "forc_conv_thr": 1e-4, "nstep": 40}
        found["ions"] = {"ion_dynamics": "bfgs"}
    if calculation == "vc-relax":
        found["cell"] = {
            "cell_dynamics": "bfgs", "press": float(pressure_GPa) * _KBAR_PER_GPA, "press_conv_thr": level.relax_threshold_kbar,
        }  # fmt: skip
    return found


def pw_text(
    namelists: Namelists,
    atoms: Atoms,
    pseudos: Mapping[str, Pseudopotential],
    *,
    kpts: Grid | None = None,
    path: Any = None,
) -> str:
    """Write a `pw.x` input.

    Raises
    ------
    VerificationError
        When ``la2F`` was asked for and is not in the text: ASE drops keys that it does not know.
    """
    from ase.io.espresso import write_espresso_in

    file = StringIO()
    names = {element: pseudo.safe_name for element, pseudo in pseudos.items()}
    points = path if path is not None else list(kpts or (1, 1, 1))
    write_espresso_in(file, atoms, input_data=copy.deepcopy(namelists), pseudopotentials=names, kpts=points)
    text = file.getvalue()
    if namelists["system"].get("la2F") and "la2f" not in text.lower():
        raise VerificationError("la2F was lost while the input was written")
    return text


def ph_namelists(grid: Grid, q: int, level: Level, *, scratch: str) -> Namelists:
    """Return the namelist of `ph.x` for the q point with this number (from 1) of the grid."""
    inputph: dict[str, Any] = {
        "prefix": PREFIX, "outdir": scratch, "fildyn": DYN, "fildvscf": "dvscf", "ldisp": True, "trans": True,
        "nq1": grid[0], "nq2": grid[1], "nq3": grid[2], "start_q": q, "last_q": q, "tr2_ph": level.phonon_threshold,
        "electron_phonon": "interpolated", "el_ph_sigma": SIGMA_STEP_RY, "el_ph_nsigma": N_SIGMAS,
    }  # fmt: skip
    return {"inputph": inputph}


def q2r_namelists() -> Namelists:
    """Return the namelist of `q2r.x`."""
    return {"input": {"fildyn": DYN, "flfrc": "force_constants", "zasr": "simple", "la2F": True}}


def matdyn_namelists(grid: Grid) -> Namelists:
    """Return the namelist of `matdyn.x` for the coupling on a fine grid."""
    fine = dict(zip(("nk1", "nk2", "nk3"), (max(4 * n, 12) for n in grid), strict=True))
    return {
        "input": {
            "asr": "simple", "flfrc": "force_constants", "flfrq": "frequencies", "la2F": True, "dos": True,
            "fldos": "phonon_dos", "ndos": 400, **fine,
        }
    }  # fmt: skip


def namelist_text(namelists: Namelists) -> str:
    """Write the input of a program other than `pw.x`."""
    from ase.io.espresso_namelist.namelist import Namelist

    return "".join(Namelist(copy.deepcopy(namelists)).to_string())


def elements_of(atoms: Atoms) -> list[str]:
    """Symbols of the elements, sorted by atomic number."""
    return [symbols()[int(z)] for z in sorted(set(atoms.numbers))]
