"""The drawing of a unit cell."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from onnes.campaign.drawing import draw_cell

NAMESPACE = "{http://www.w3.org/2000/svg}"
CUBE = np.eye(3) * 4.0
ROCKSALT = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def atoms_of(svg: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter(f"{NAMESPACE}circle") if e.get("class") == "atom"]


def test_atoms_on_corners_faces_and_edges_are_repeated():
    frac = np.vstack([ROCKSALT, (ROCKSALT + [0.5, 0.5, 0.5]) % 1])
    svg = draw_cell(CUBE, frac, [41] * 4 + [7] * 4)
    niobium = [a for a in atoms_of(svg) if (a.get("fill") or "").endswith("-41)")]
    nitrogen = [a for a in atoms_of(svg) if (a.get("fill") or "").endswith("-7)")]
    assert len(niobium) == 8 + 6  # corners and faces
    assert len(nitrogen) == 12 + 1  # edges and the centre


def test_atom_just_below_one_counts_as_on_the_boundary():
    assert len(atoms_of(draw_cell(CUBE, np.full((1, 3), 0.9999), [13]))) == 8
    assert len(atoms_of(draw_cell(CUBE, np.full((1, 3), 0.9), [13]))) == 1


def test_atoms_are_drawn_from_back_to_front():
    # a points to the reader: the atom at x = 0.8 must cover the one at x = 0.2.
    front_last = draw_cell(CUBE, np.array([[0.8, 0.5, 0.5], [0.2, 0.5, 0.5]]), [3, 92])
    order = [re.search(r"-(\d+)\)", a.get("fill") or "") for a in atoms_of(front_last)]
    assert [match.group(1) for match in order if match] == ["92", "3"]


def test_larger_atoms_get_larger_circles():
    radii = {a.get("fill"): float(a.get("r") or 0) for a in atoms_of(draw_cell(CUBE, ROCKSALT[:2] + 0.25, [5, 57]))}
    boron, lanthanum = sorted(radii.values())
    assert lanthanum / boron == pytest.approx(207 / 84, rel=0.02)  # covalent radii in pm


def test_bonds_join_nearest_neighbours_only():
    frac = np.vstack([ROCKSALT, (ROCKSALT + [0.5, 0.5, 0.5]) % 1])
    bonds = re.findall(r"<path[^>]*stroke-width=\"(?!1\.2\")", draw_cell(np.eye(3) * 4.39, frac, [41] * 4 + [7] * 4))
    assert len(bonds) == 2 * 54  # two pieces each; 3 x 18 Nb-N bonds in a block of 3 x 3 x 3 sites


def test_same_crystal_same_bytes_and_ids_of_its_own():
    first, again = draw_cell(CUBE, ROCKSALT, [13] * 4), draw_cell(CUBE, ROCKSALT, [13] * 4)
    other = draw_cell(CUBE * 1.01, ROCKSALT, [13] * 4)
    assert first == again
    assert not set(re.findall(r'id="([^"]+)"', first)) & set(re.findall(r'id="([^"]+)"', other))


@pytest.mark.parametrize("lattice", [np.diag([3.0, 40.0, 3.0]), [[2, 2, 0], [0, 2, 2], [2, 0, 2]], -CUBE])
def test_everything_lies_inside_the_picture(lattice):
    root = ElementTree.fromstring(draw_cell(np.array(lattice, float), np.zeros((1, 3)), [82]))
    _, _, width, height = map(float, (root.get("viewBox") or "").split())
    circles = list(root.iter(f"{NAMESPACE}circle"))
    for circle in circles:
        x, y, r = (float(circle.get(name) or "nan") for name in ("cx", "cy", "r"))
        assert r - 0.2 <= x <= width - r + 0.2
        assert r - 0.2 <= y <= height - r + 0.2
    for text in root.iter(f"{NAMESPACE}text"):
        assert 0 < float(text.get("x") or "nan") < width
        assert 0 < float(text.get("y") or "nan") < height
    assert [text.text for text in root.iter(f"{NAMESPACE}text")] == ["a", "b", "c", "Pb"]


def test_two_hundred_atoms_stay_small():
    random = np.random.default_rng(0)
    svg = draw_cell(np.diag([15.0, 16.0, 22.0]), random.random((200, 3)), random.choice([41, 72, 4, 8], 200))
    assert len(svg) < 60_000
