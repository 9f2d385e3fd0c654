"""Symmetry of a crystal: space group, prototype label and content hash (moyopy)."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import product
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.symbols import atomic_numbers, symbols
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

SYMPREC_A = 0.1
FALLBACK_SYMPREC_A = (0.01, 1e-3)

# Rounding of the content hash, and a shift that keeps round numbers such as 3/16 or 3.165 off the edges of the bins.
_LENGTH_STEP_A = 0.01
_ANGLE_STEP_DEG = 0.1
_FRAC_STEP = 0.001
_OFF_EDGE = 0.137

_CORNERS = np.array([v for v in product((-1, 0, 1), repeat=3) if any(v)])

# For each element, in alphabetical order: how many orbits sit on each Wyckoff letter.
_Orbits = tuple[tuple[tuple[str, int], ...], ...]


@dataclass(frozen=True)
class CrystalIdentity:
    """What a crystal is, apart from the way in which it was written down.

    Attributes
    ----------
    space_group
        International number, 1 to 230.
    prototype
        Protostructure label with elements, for example ``A2B_hP3_191_c_b:B-Mg``.
    crystal_hash
        32 hexadecimal characters; equal for the same crystal in another setting.
    """

    space_group: int
    prototype: str
    crystal_hash: str


def describe(
    lattice: ArrayLike, frac_coords: ArrayLike, atomic_numbers: ArrayLike, symprec: float = SYMPREC_A
) -> CrystalIdentity:
    """Find space group, prototype label and content hash.

    The label is the one of ``pymatgen.analysis.prototypes.get_protostructure_label_from_moyopy`` (Goodall et al.,
    Sci. Adv. 8, eabn4117 (2022)); importing that module takes seconds, so the label is built here. Where the
    symmetry search fails at `symprec`, 0.01 and 0.001 A are tried.

    The hash is made of the space group, the Niggli cell of the symmetrised primitive crystal (0.01 A, 0.1 degree)
    and the coordinates (0.001), the least of all choices of origin atom and of lattice axes. It does not depend on
    the order of the atoms, on the choice of the cell, on translation, rotation or reflection. It does not
    guarantee that two nearly equal crystals (another relaxation, another number of digits) share a hash, because
    a number near the edge of a rounding bin may fall to either side: compare prototypes or use a structure matcher
    for that. Mirror images share a hash, except in the eleven pairs of enantiomorphic space groups.

    Parameters
    ----------
    lattice
        Row vectors, shape (3, 3), angstrom.
    frac_coords
        Shape (n, 3).
    atomic_numbers
        Shape (n,).
    symprec
        Tolerance of the symmetry search, angstrom.

    Raises
    ------
    CrystalError
        If no tolerance gives a consistent space group.

    Examples
    --------
    >>> describe(4.05 * np.eye(3), [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [13] * 4).prototype
    'A_cF4_225_a:Al'
    """
    moyopy = _moyopy()
    basis = np.asarray(lattice, float).reshape(3, 3)
    coords = np.asarray(frac_coords, float).reshape(-1, 3)
    numbers = [int(z) for z in np.asarray(atomic_numbers).ravel()]
    cell = moyopy.Cell(basis.tolist(), (coords - np.floor(coords)).tolist(), numbers)
    trouble = ""
    for tolerance in (symprec, *(s for s in FALLBACK_SYMPREC_A if s < symprec)):
        try:
            dataset = moyopy.MoyoDataset(cell, symprec=tolerance)
            label = _label(dataset, numbers)
            return CrystalIdentity(dataset.number, label, _content_hash(dataset))
        except (ValueError, RuntimeError, KeyError, CrystalError) as error:
            trouble = f"{type(error).__name__}: {error}"
    raise CrystalError(f"no symmetry found ({trouble}). Check the coordinates, or give another cell of this crystal")


@cache
def _moyopy() -> Any:
    import moyopy  # not needed to read crystals

    # It warns for each supercell whose lattice is less symmetric than its crystal; our results do not suffer.
    logging.getLogger("moyo").setLevel(logging.ERROR)
    return moyopy


# --- prototype label -------------------------------------------------------------------------------------------------


def _label(dataset: Any, numbers: Sequence[int]) -> str:
    elements: dict[str, list[str]] = {}
    for atom, orbit in enumerate(dataset.orbits):
        letters = elements.setdefault(symbols()[numbers[atom]], [])
        if orbit == atom:
            letters.append(dataset.wyckoffs[atom])
    names = tuple(sorted(elements))
    orbits = tuple(tuple(sorted(Counter(elements[name]).items())) for name in names)
    counts = Counter(numbers)
    amounts = tuple(counts[atomic_numbers()[name]] for name in names)
    formula, wyckoffs = _anonymous(amounts), _canonical(orbits, dataset.number)
    multiplicity = _wyckoff_data()[0][str(dataset.number)]
    found = [sum(multiplicity[letter] * n for letter, n in orbit) for orbit in orbits]
    if _lowest_terms(found) != _lowest_terms(amounts):
        raise CrystalError(f"the Wyckoff positions {wyckoffs} of space group {dataset.number} do not add up")
    return f"{formula}_{dataset.pearson_symbol}_{dataset.number}_{wyckoffs}:{'-'.join(names)}"


def _lowest_terms(amounts: Sequence[int]) -> list[int]:
    divisor = gcd(*amounts)
    return [n // divisor for n in amounts]


def _anonymous(amounts: Sequence[int]) -> str:
    terms = zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", _lowest_terms(amounts), strict=False)
    return "".join(letter + (str(n) if n > 1 else "") for letter, n in terms)


@lru_cache(maxsize=65536)
def _canonical(orbits: _Orbits, space_group: int) -> str:
    """Choose among the equivalent origins the one with the least sum of letters, as aviary and pymatgen do."""
    best: tuple[int, str] | None = None
    for relabelling in _wyckoff_data()[1][str(space_group)]:
        score, words = 0, []
        for orbit in orbits:
            renamed = sorted((relabelling[letter], n) for letter, n in orbit)
            words.append("".join(letter if n == 1 else f"{n}{letter}" for letter, n in renamed))
            score += sum(0 if letter == "A" else ord(letter) - 96 for letter, _ in renamed)
        candidate = (score, "_".join(words))
        best = candidate if best is None else min(best, candidate)
    if best is None:
        raise CrystalError(f"space group {space_group} has no Wyckoff data")
    return best[1]


@cache
def _wyckoff_data() -> tuple[dict[str, dict[str, int]], dict[str, list[dict[str, str]]]]:
    """Multiplicity of each Wyckoff letter, and its names at equivalent origins, both by space group.

    pymatgen's data files are read without importing its module, which decodes a 10 second library beside them.
    """
    spec = find_spec("pymatgen.analysis")
    if spec is None or not spec.submodule_search_locations:
        raise CrystalError("pymatgen is not installed completely. Install pymatgen again")
    folder = Path(next(iter(spec.submodule_search_locations))) / "prototypes"
    multiplicities, relabellings = (
        json.loads(gzip.decompress((folder / f"wyckoff-position-{name}.json.gz").read_bytes()))
        for name in ("multiplicities", "relabelings")
    )
    named = {
        group: [{chr(int(old)): new for old, new in one.items()} for one in many]
        for group, many in relabellings.items()
    }
    return multiplicities, named


# --- content hash ----------------------------------------------------------------------------------------------------


def _content_hash(dataset: Any) -> str:
    cell = dataset.prim_std_cell
    reduced, transformation = _moyopy().niggli_reduce(cell.basis)
    basis = np.array(reduced)
    numbers = np.array(cell.numbers, dtype=np.int64)
    # rows: new basis = T^t old basis, hence new coordinates = old coordinates (T^t)^-1
    coords = np.linalg.solve(np.array(transformation, dtype=float), np.array(cell.positions).T).T
    counts = np.bincount(numbers)
    rarest = min(set(numbers.tolist()), key=lambda z: (counts[z], z))
    origins = coords[numbers == rarest]
    moved = coords[None, :, :] - origins[:, None, :]
    axes = _equivalent_axes(basis)
    turned = np.einsum("onk,akj->aonj", moved, np.linalg.inv(axes))
    steps = np.floor((turned - np.floor(turned)) / _FRAC_STEP + 0.5 + _OFF_EDGE).astype(np.int64) % 1000
    codes = np.sort(numbers * 10**9 + steps @ np.array([10**6, 10**3, 1]), axis=2)
    parameters = np.repeat(_rounded_parameters(axes @ basis), len(origins), axis=0)
    candidates = np.concatenate([parameters, codes.reshape(len(parameters), -1)], axis=1)
    text = json.dumps([dataset.number, *_least_row(candidates).tolist()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _least_row(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """First row in lexicographic order."""
    left = np.arange(len(rows))
    for k in range(rows.shape[1]):
        values = rows[left, k]
        left = left[values == values.min()]
        if len(left) == 1:
            break
    return rows[left[0]]


def _equivalent_axes(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integer matrices that map the basis on one of the same shape within 0.003 A, shape (k, 3, 3).

    A Niggli cell needs no entries beyond -1, 0, 1 for that.
    """
    vectors = _CORNERS @ basis
    lengths = np.linalg.norm(vectors, axis=1)
    own = np.linalg.norm(basis, axis=1)
    tolerance = 0.003
    first, second, third = (np.flatnonzero(np.abs(lengths - length) < tolerance) for length in own)
    i, j, k = (grid.ravel() for grid in np.meshgrid(first, second, third, indexing="ij"))
    dots = vectors @ vectors.T
    wanted = basis @ basis.T
    fits = (
        (np.abs(dots[i, j] - wanted[0, 1]) < tolerance * (own[0] + own[1]))
        & (np.abs(dots[j, k] - wanted[1, 2]) < tolerance * (own[1] + own[2]))
        & (np.abs(dots[i, k] - wanted[0, 2]) < tolerance * (own[0] + own[2]))
    )
    return np.stack([_CORNERS[i[fits]], _CORNERS[j[fits]], _CORNERS[k[fits]]], axis=1).astype(float)


def _rounded_parameters(bases: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lengths and angles in steps of the hash, shape (k, 6)."""
    lengths = np.linalg.norm(bases, axis=2)
    units = bases / lengths[:, :, None]
    cosines = np.stack([(units[:, i] * units[:, j]).sum(axis=1) for i, j in ((1, 2), (0, 2), (0, 1))], axis=1)
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    steps = np.concatenate([lengths / _LENGTH_STEP_A, angles / _ANGLE_STEP_DEG], axis=1)
    return np.floor(steps + 0.5 + _OFF_EDGE).astype(np.int64)
