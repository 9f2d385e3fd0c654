"""Phonons by finite displacements: the supercells to evaluate, and the density of states from their forces.

The only module that imports phonopy. The forces come from elsewhere, see `onnes.potentials.force_constants`.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import constants

from onnes.errors import CrystalError
from onnes.physics.spectral_shape import PhononDos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Crystal = tuple[Floats, Floats, NDArray[np.int64]]

MEV_PER_THZ: float = constants.h / constants.e * 1e15
"""meV in one THz, 4.13567."""
ACOUSTIC_NOISE_THZ = 0.1
"""Modes down to minus this frequency are no instability: so far the acoustic branches near q = 0 can fall below 0
because the force constants end at the supercell and carry the potential's rounding errors."""
MIN_LENGTH_A = 10.0
DISPLACEMENT_A = 0.01
MAX_SUPERCELL_ATOMS = 512

_POINTS = 401
_SAME_LENGTH_A = 1e-3


@dataclass(frozen=True, eq=False)
class DisplacedSupercells:
    """The supercells whose forces make the force constants of one crystal.

    Attributes
    ----------
    phonopy
        The ``Phonopy`` object; `phonon_dos` gives it its force constants.
    supercells
        Supercells with one atom displaced each: (lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,)).
    repeats
        Repetitions of the cell along a, b and c.
    displacement_A
        Length of the displacements.
    """

    phonopy: Any
    supercells: list[Crystal]
    repeats: tuple[int, int, int]
    displacement_A: float

    @property
    def cell(self) -> Crystal:
        """The cell that is repeated: lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,)."""
        cell = self.phonopy.primitive
        return cell.cell, cell.scaled_positions, cell.numbers.astype(np.int64)

    @property
    def n_atoms(self) -> int:
        """Atoms in each supercell."""
        return len(self.supercells[0][2])

    @property
    def length_A(self) -> float:
        """Shortest distance between an atom and its images (angstrom)."""
        return _shortest_vector(self.supercells[0][0])

    @property
    def label(self) -> str:
        """Repetitions in words, such as ``4x4x4``."""
        return "x".join(map(str, self.repeats))


@dataclass(frozen=True, eq=False)
class Phonons:
    """Phonons of one crystal on a mesh of wave vectors.

    Attributes
    ----------
    dos
        Density of states of the real modes, modes per meV and cell.
    min_phonon_THz
        Lowest frequency on the mesh; an imaginary one is negative. Values above ``-ACOUSTIC_NOISE_THZ`` are noise.
    imaginary_share
        Share of all modes that lie below ``-ACOUSTIC_NOISE_THZ``; they are not in ``dos``.
    mesh
        Divisions of the mesh, with q = 0.
    displaced
        The supercells; its ``phonopy`` holds the force constants.
    """

    dos: PhononDos
    min_phonon_THz: float
    imaginary_share: float
    mesh: tuple[int, int, int]
    displaced: DisplacedSupercells

    @property
    def highest_meV(self) -> float:
        """The highest phonon on the mesh (meV)."""
        return self.dos.highest_meV


def displaced_supercells(
    lattice: ArrayLike,
    frac_coords: ArrayLike,
    numbers: ArrayLike,
    *,
    min_length_A: float = MIN_LENGTH_A,
    displacement_A: float = DISPLACEMENT_A,
    symprec: float = 1e-3,
    max_atoms: int = MAX_SUPERCELL_ATOMS,
    even: bool = False,
    shorten: bool = False,
) -> DisplacedSupercells:
    """Make the displaced supercells of a crystal, as few as its symmetry allows.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom. The given cell is used as it is; a primitive one costs least.
    frac_coords, numbers
        Fractional coordinates, shape (n, 3), and atomic numbers, shape (n,).
    min_length_A
        Shortest distance between an atom and its images at least; see `supercell_repeats`.
    displacement_A
        How far one atom is moved; the opposite direction is added where symmetry does not imply it.
    symprec
        Tolerance of the symmetry search (angstrom).
    max_atoms
        Largest supercell allowed.
    even, shorten
        See `supercell_repeats`.

    Raises
    ------
    CrystalError
        When the supercell would be too large, or phonopy cannot treat the crystal.

    Examples
    --------
    >>> cell = displaced_supercells(4.05 * np.eye(3), [[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]], [13] * 4)
    >>> cell.repeats, cell.n_atoms, len(cell.supercells)
    ((3, 3, 3), 108, 1)
    """
    from ase.data import atomic_masses
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell = np.asarray(lattice, float).reshape(3, 3)
    z = np.asarray(numbers, int)
    a, b, c = supercell_repeats(cell, len(z), min_length_A, max_atoms=max_atoms, even=even, shorten=shorten)
    try:
        frac = np.asarray(frac_coords, float).reshape(-1, 3)
        # phonopy has no mass for elements without a stable isotope; ASE has one.
        unit = PhonopyAtoms(cell=cell, scaled_positions=frac, numbers=z, masses=atomic_masses[z])
        phonopy = Phonopy(unit, np.diag([a, b, c]), primitive_matrix="P", symprec=symprec)
        phonopy.generate_displacements(distance=displacement_A)
    except Exception as error:
        raise CrystalError(
            f"phonopy cannot make displacements ({type(error).__name__}: {error}); "
            "check the crystal for atoms that coincide, or change symprec"
        ) from error
    made = phonopy.supercells_with_displacements or []
    supercells = [(one.cell, one.scaled_positions, one.numbers.astype(np.int64)) for one in made if one is not None]
    return DisplacedSupercells(phonopy, supercells, (a, b, c), displacement_A)


def supercell_repeats(
    lattice: ArrayLike,
    n_atoms: int,
    min_length_A: float = MIN_LENGTH_A,
    *,
    max_atoms: int = MAX_SUPERCELL_ATOMS,
    even: bool = False,
    shorten: bool = False,
) -> tuple[int, int, int]:
    """How often a cell is repeated along a, b and c.

    The shortest edge of the supercell is lengthened until every vector between an atom and its images is long enough: in a
    skewed cell some are shorter than the edges. Edges of one length stay so, which keeps the symmetry.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom.
    n_atoms
        Atoms in the cell.
    min_length_A
        Shortest vector of the lattice of the supercell at least.
    max_atoms
        Largest supercell allowed.
    even
        Only 1 and even numbers, so that the modes at the boundary of the Brillouin zone fit into the supercell, where their
        frequencies are exact. An edge that is long enough alone stays alone.
    shorten
        Take the largest supercell allowed when it is too short.

    Raises
    ------
    CrystalError
        When the supercell would be too large.

    Examples
    --------
    >>> supercell_repeats(3.9 * np.eye(3), 5), supercell_repeats(3.9 * np.eye(3), 5, even=True)
    ((3, 3, 3), (4, 4, 4))
    >>> supercell_repeats(3.9 * np.eye(3), 5, even=True, max_atoms=200, shorten=True)
    (2, 2, 2)
    """
    cell = np.asarray(lattice, float).reshape(3, 3)
    edges = np.linalg.norm(cell, axis=1)
    fits: tuple[int, int, int] | None = None
    length = 0.0
    while True:
        repeats = np.maximum(1, np.ceil(length / edges)).astype(int)
        if even:
            repeats += (repeats > 1) & (repeats % 2 == 1)
        a, b, c = repeats.tolist()
        if a * b * c * n_atoms > max_atoms:
            break
        fits = (a, b, c)
        if _shortest_vector(repeats[:, None] * cell) >= min_length_A - _SAME_LENGTH_A:
            return fits
        length = float((repeats * edges).min()) + _SAME_LENGTH_A
    if fits is not None and shorten:
        return fits
    raise CrystalError(
        f"the {a}x{b}x{c} supercell of this {n_atoms}-atom cell has {a * b * c * n_atoms} atoms, more than {max_atoms}; "
        "give a primitive cell, lower min_length_A or raise max_atoms"
    )


def _shortest_vector(lattice: Floats) -> float:
    """Length of the shortest vector of a lattice (angstrom)."""
    from ase.geometry import minkowski_reduce

    return float(np.linalg.norm(minkowski_reduce(lattice)[0], axis=1).min())


def standard_primitive(
    lattice: ArrayLike, frac_coords: ArrayLike, numbers: ArrayLike, symprec: float = 1e-2
) -> Crystal:
    """Primitive cell in the standard setting, its symmetry exact; the cell as given where no symmetry is found.

    Parameters
    ----------
    lattice, frac_coords, numbers
        Row vectors, shape (3, 3), angstrom; fractional coordinates, shape (n, 3); atomic numbers, shape (n,).
    symprec
        Tolerance of the symmetry search (angstrom); atoms move by up to this much onto their sites.

    Examples
    --------
    >>> aluminium = standard_primitive(4.05 * np.eye(3), [[0, 0, 0], [0, .5, .5], [.5, 0, .5], [.5, .5, 0]], [13] * 4)
    >>> len(aluminium[2]), round(float(np.linalg.norm(aluminium[0][0])), 3)
    (1, 2.864)
    """
    import moyopy

    cell = np.asarray(lattice, float).reshape(3, 3)
    frac, z = np.asarray(frac_coords, float).reshape(-1, 3), np.asarray(numbers, np.int64)
    # It warns for each supercell whose lattice is less symmetric than its crystal; that is no fault here.
    logging.getLogger("moyo").setLevel(logging.ERROR)
    try:
        found = moyopy.MoyoDataset(moyopy.Cell(cell.tolist(), frac.tolist(), z.tolist()), symprec=symprec)
    except (ValueError, RuntimeError):
        return cell, frac, z
    small = found.prim_std_cell
    return np.array(small.basis), np.array(small.positions), np.array(small.numbers, np.int64)


def phonon_dos(
    displaced: DisplacedSupercells,
    forces_eV_per_A: Sequence[Floats],
    *,
    mesh_length: float = 60.0,
    smearing_THz: float | None = None,
) -> Phonons:
    """Phonon density of states from the forces on the displaced supercells.

    The force constants are made to obey the acoustic sum rule and to be symmetric. Forces that the crystal has without
    displacement need not be subtracted: every displacement has its opposite, among the supercells or by symmetry, and in
    the difference of the two they cancel.

    Parameters
    ----------
    displaced
        From `displaced_supercells`. Its ``phonopy`` is changed.
    forces_eV_per_A
        Forces on each supercell, in their order, each of shape (n_atoms, 3).
    mesh_length
        Fineness of the mesh (angstrom): an axis with reciprocal length |b| (no 2 pi) is divided into about
        ``mesh_length * |b|`` parts.
    smearing_THz
        Standard deviation of a Gaussian for each mode; by default linear tetrahedra. The density ends at the highest
        mode either way.

    Raises
    ------
    CrystalError
        When the forces do not fit the supercells, are not finite, or leave no real mode.
    """
    forces = np.asarray(forces_eV_per_A, float)
    if forces.shape != (len(displaced.supercells), displaced.n_atoms, 3):
        wanted = (len(displaced.supercells), displaced.n_atoms, 3)
        raise CrystalError(f"forces of shape {forces.shape} do not fit displaced supercells of shape {wanted}")
    if not np.isfinite(forces).all():
        raise CrystalError("the forces on the displaced supercells are not finite; the potential fails on this crystal")
    phonopy = displaced.phonopy
    phonopy.forces = forces
    phonopy.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    phonopy.symmetrize_force_constants(show_drift=False)
    with warnings.catch_warnings():
        # It warns where the cell needs a mesh along other axes, and takes one.
        warnings.simplefilter("ignore")
        phonopy.run_mesh(mesh_length, is_gamma_center=True)
    frequencies, weights = phonopy.mesh.frequencies, phonopy.mesh.weights
    share = float(weights @ (frequencies < -ACOUSTIC_NOISE_THZ).mean(1) / weights.sum())
    n1, n2, n3 = (int(n) for n in phonopy.mesh.mesh_numbers)
    highest = float(frequencies.max())
    if highest <= ACOUSTIC_NOISE_THZ:
        raise CrystalError(f"no real phonon: the highest frequency is {highest:.3f} THz; the crystal is no minimum")
    dos = _density(phonopy, highest, smearing_THz)
    return Phonons(dos, float(frequencies.min()), share, (n1, n2, n3), displaced)


def _density(phonopy: Any, highest_THz: float, smearing_THz: float | None) -> PhononDos:
    pitch = highest_THz / (_POINTS - 1)
    # phonopy adds points up to freq_max; half a step more keeps the last one in spite of rounding.
    phonopy.run_total_dos(sigma=smearing_THz, freq_min=0.0, freq_max=highest_THz + pitch / 2, freq_pitch=pitch)
    per_THz = phonopy.total_dos.dos[:_POINTS]
    omega = np.linspace(0, highest_THz, _POINTS) * MEV_PER_THZ
    return PhononDos(omega, np.maximum(per_THz, 0) / MEV_PER_THZ)
