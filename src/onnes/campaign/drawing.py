"""A unit cell as a small SVG: shaded atoms, bonds and cell edges, drawn from back to front."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    _Pixel = Callable[[Floats], tuple[float, float]]

TURN_DEG, TILT_DEG = 24.0, 13.0  # c points up, b to the right, a towards the reader
ATOM_SCALE = 0.42  # drawn radius over covalent radius
BOND_SCALE = 1.12  # longest bond over the sum of the covalent radii
BOUNDARY_A = 0.1  # an atom this close to a face is repeated on the opposite face
NEIGHBOUR_SPREAD = 1.15  # longest bond of an atom over its shortest
EDGE_PIECES = 12
MAX_ATOMS, MAX_BONDS = 400, 300  # beyond these nothing can be told apart, and the file grows
SIZE_PX, MAX_SCALE_PX = 340.0, 52.0
LEGEND_PX, LEGEND_ROW_PX = 58, 24
NAME_GAP_PX, MARGIN_PX = 20.0, 26.0


@dataclass(frozen=True)
class _Scene:
    """Atoms with their periodic images; positions in the frame (right, up, towards the reader), angstrom."""

    positions: Floats
    owners: Ints
    numbers: Ints
    radii: Floats
    lattice: Floats


def draw_cell(lattice: Floats | Sequence[float], frac_coords: Floats, atomic_numbers: Sequence[int] | Ints) -> str:
    """Draw one crystal as an SVG element, the same bytes for the same crystal.

    Parameters
    ----------
    lattice
        Row vectors a, b, c, shape (3, 3) or (9,), angstrom.
    frac_coords
        Shape (n, 3).
    atomic_numbers
        Shape (n,).

    Returns
    -------
    str
        One ``<svg>`` element. Its ids carry a hash of the crystal, so several fit in one page.

    Examples
    --------
    >>> import numpy as np
    >>> svg = draw_cell(np.eye(3) * 4.05, np.zeros((1, 3)), [13])
    >>> svg.count('class="atom"')  # a corner atom is seen on the eight corners
    8
    """
    cell = np.asarray(lattice, float).reshape(3, 3)
    frac = np.asarray(frac_coords, float).reshape(-1, 3)
    numbers = np.asarray(atomic_numbers, np.int64)
    digest = hashlib.sha256(np.round(np.vstack([cell, frac]), 6).tobytes() + numbers.tobytes()).hexdigest()[:8]
    scene = _scene(cell, frac, numbers)
    elements = sorted({int(z) for z in numbers})
    corners = np.array(list(product((0, 1), repeat=3))) @ scene.lattice
    reach = np.vstack([corners, scene.positions - scene.radii[:, None], scene.positions + scene.radii[:, None]])
    low, high = reach[:, :2].min(axis=0), reach[:, :2].max(axis=0)
    scale = min(SIZE_PX / float((high - low).max()), MAX_SCALE_PX)
    width, height = (high - low) * scale + 2 * MARGIN_PX

    def pixel(point: Floats) -> tuple[float, float]:
        return (point[0] - low[0]) * scale + MARGIN_PX, (high[1] - point[1]) * scale + MARGIN_PX

    items = _edges(scene, pixel) + _bonds(scene, pixel, scale) + _atoms(scene, pixel, scale, digest)
    items.sort(key=lambda item: item[0])
    width = max(width, 3.0 * LEGEND_PX)
    a_row = int(width // LEGEND_PX)
    body = "".join(text for _, text in items) + _axis_names(scene, pixel) + _legend(elements, height, a_row, digest)
    height += 8 + LEGEND_ROW_PX * -(-len(elements) // a_row)
    names = ", ".join(chemical_symbols[z] for z in elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" class="cell" stroke-linecap="round" font-family="sans-serif" font-size="13">'
        f"<title>Unit cell with {names}</title><defs>{_gradients(elements, digest)}</defs>{body}</svg>"
    )


def _frame(lattice: Floats) -> Floats:
    """Rows right, up, towards the reader, shape (3, 3); orthonormal."""
    up = lattice[2] / np.linalg.norm(lattice[2])
    front = lattice[0] - (lattice[0] @ up) * up
    front /= np.linalg.norm(front)
    side = np.cross(up, front)
    turn, tilt = np.radians([TURN_DEG, TILT_DEG])
    towards = np.cos(tilt) * (np.cos(turn) * front + np.sin(turn) * side) + np.sin(tilt) * up
    right = np.cross(up, towards)
    right /= np.linalg.norm(right)
    return np.array([right, np.cross(towards, right), towards])


def _scene(lattice: Floats, frac: Floats, numbers: Ints) -> _Scene:
    heights = abs(np.linalg.det(lattice)) / np.linalg.norm(np.cross(lattice[[1, 2, 0]], lattice[[2, 0, 1]]), axis=1)
    margin = BOUNDARY_A / heights
    inside = frac - np.floor(frac)
    inside = np.where(inside > 1 - margin, inside - 1, inside)
    images, owners = [], []
    for atom, point in enumerate(inside):
        choices = [(0, 1) if near else (0,) for near in point < margin]
        for shift in product(*choices):
            images.append(point + shift)
            owners.append(atom)
    keep = np.arange(len(owners)) if len(owners) <= MAX_ATOMS else np.flatnonzero(np.diff([-1, *owners]))
    view = lattice @ _frame(lattice).T
    atoms = np.array(owners)[keep]
    kinds = numbers[atoms]
    return _Scene(np.array(images)[keep] @ view, atoms, kinds, covalent_radii[kinds] * ATOM_SCALE, view)


def _atoms(scene: _Scene, pixel: _Pixel, scale: float, digest: str) -> list[tuple[float, str]]:
    items = []
    for point, z, radius in zip(scene.positions, scene.numbers, scene.radii, strict=True):
        x, y = pixel(point)
        text = f'<circle class="atom" cx="{x:.1f}" cy="{y:.1f}" r="{radius * scale:.1f}" fill="url(#g{digest}-{z})"/>'
        items.append((round(float(point[2]), 4), text))
    return items


def _edges(scene: _Scene, pixel: _Pixel) -> list[tuple[float, str]]:
    """Cut the twelve edges into pieces, so that each hides behind what lies in front of it."""
    items = []
    ticks = np.linspace(0, 1, EDGE_PIECES + 1)
    for axis, (u, v) in product(range(3), product((0, 1), repeat=2)):
        others = [k for k in range(3) if k != axis]
        start = u * scene.lattice[others[0]] + v * scene.lattice[others[1]]
        points = start + ticks[:, None] * scene.lattice[axis]
        for first, last in pairwise(points):
            middle = (first + last) / 2
            if (np.linalg.norm(scene.positions - middle, axis=1) < scene.radii).any():
                continue
            items.append((round(float(middle[2]), 4), _line(pixel(first), pixel(last), "#8a8a8a", 1.2)))
    return items


def _bonded_pairs(scene: _Scene) -> list[list[int]]:
    """Pairs of drawn atoms about as close as the radii allow and as the nearest neighbours of either are."""
    gaps = np.linalg.norm(scene.positions[:, None] - scene.positions[None], axis=-1)
    gaps[gaps < 0.1] = np.inf
    nearest = np.full(scene.owners.max() + 1, np.inf)
    np.minimum.at(nearest, scene.owners, gaps.min(axis=1))
    shortest = nearest[scene.owners]
    radii = covalent_radii[scene.numbers]
    close = gaps < BOND_SCALE * (radii[:, None] + radii[None])
    close &= gaps < NEIGHBOUR_SPREAD * np.maximum(shortest[:, None], shortest[None])
    pairs: list[list[int]] = np.argwhere(np.triu(close)).tolist()
    return pairs if len(pairs) <= MAX_BONDS else []


def _bonds(scene: _Scene, pixel: _Pixel, scale: float) -> list[tuple[float, str]]:
    """Two pieces a bond, from the surface of each atom to the middle, each in the colour of its atom."""
    items = []
    for pair in _bonded_pairs(scene):
        first, second = scene.positions[pair]
        along = (second - first) / np.linalg.norm(second - first)
        ends = first + 0.9 * scene.radii[pair[0]] * along, second - 0.9 * scene.radii[pair[1]] * along
        middle = (ends[0] + ends[1]) / 2
        for atom, end in zip(pair, ends, strict=True):
            colour = _hex(_shade(jmol_colors[scene.numbers[atom]], -0.25))
            line = _line(pixel(end), pixel(middle), colour, 0.13 * scale)
            items.append((round(float((end + middle)[2] / 2), 4), line))
    return items


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, width: float) -> str:
    return (
        f'<path d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}" '
        f'stroke="{colour}" stroke-width="{width:.1f}"/>'
    )


def _axis_names(scene: _Scene, pixel: _Pixel) -> str:
    """Name a and b at their lowest edges and c at its leftmost, outside the cell."""
    centre = scene.lattice.sum(axis=0)[:2] / 2
    text = []
    for axis, name in enumerate("abc"):
        others = [k for k in range(3) if k != axis]
        middles = [
            scene.lattice[axis] / 2 + u * scene.lattice[others[0]] + v * scene.lattice[others[1]]
            for u, v in product((0, 1), repeat=2)
        ]
        middle = min(middles, key=lambda point: round(float(point[0 if name == "c" else 1]), 6))
        edge = scene.lattice[axis][:2]
        out = np.array([-edge[1], edge[0]]) / max(float(np.linalg.norm(edge)), 1e-6)
        out *= np.sign((middle[:2] - centre) @ out) or 1.0
        x, y = pixel(middle)
        x, y = x + NAME_GAP_PX * out[0], y - NAME_GAP_PX * out[1] + 4
        text.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" font-style="italic" fill="currentColor">{name}</text>'
        )
    return "".join(text)


def _legend(elements: list[int], top: float, a_row: int, digest: str) -> str:
    parts = []
    for k, z in enumerate(elements):
        x, y = 14 + LEGEND_PX * (k % a_row), top + 15 + LEGEND_ROW_PX * (k // a_row)
        parts.append(
            f'<circle cx="{x}" cy="{y:.1f}" r="8" fill="url(#g{digest}-{z})"/>'
            f'<text x="{x + 13}" y="{y + 4.5:.1f}" fill="currentColor">{chemical_symbols[z]}</text>'
        )
    return "".join(parts)


def _gradients(elements: list[int], digest: str) -> str:
    return "".join(
        f'<radialGradient id="g{digest}-{z}" cx=".36" cy=".32" r=".75">'
        f'<stop offset="0" stop-color="{_hex(_shade(jmol_colors[z], 0.6))}"/>'
        f'<stop offset=".45" stop-color="{_hex(_shade(jmol_colors[z], -0.05))}"/>'
        f'<stop offset="1" stop-color="{_hex(_shade(jmol_colors[z], -0.5))}"/></radialGradient>'
        for z in elements
    )


def _shade(colour: Floats, amount: float) -> Floats:
    """Move a colour towards white (amount > 0) or black (amount < 0)."""
    return colour + (1 - colour) * amount if amount > 0 else colour * (1 + amount)


def _hex(colour: Floats) -> str:
    return "#" + "".join(f"{round(float(part) * 255):02x}" for part in colour)
