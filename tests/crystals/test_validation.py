import time

import numpy as np
import pytest
from tests.crystals.good import good_batch, good_crystals

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.neighbours import neighbour_edges
from onnes.crystals.validation import MIN_DISTANCE_A, _surely_apart, faults, occupancy_fault, validate_crystal
from onnes.errors import CrystalError

CELL = 3.3 * np.eye(3)
BCC = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])


def test_good_crystals_pass() -> None:
    assert faults(good_batch()) == [None] * len(good_crystals())


@pytest.mark.parametrize(
    ("lattice", "frac", "numbers", "cause"),
    [
        (np.full((3, 3), np.nan), BCC, [41, 41], "not finite"),
        (CELL, np.array([[0, 0, 0], [np.inf, 0, 0]]), [41, 41], "coordinate is not finite"),
        (np.zeros((3, 3)), BCC, [41, 41], "no volume"),
        (CELL[[0, 0, 2]], BCC, [41, 41], "no volume"),
        (CELL, BCC, [41, 0], "atomic number 0"),
        (CELL, BCC, [41, 104], "atomic number 104"),
        (CELL, BCC, [41, -3], "atomic number -3"),
        (1.2 * np.eye(3), BCC, [41, 41], "cubic angstrom per atom, below"),
        (100 * np.eye(3), BCC, [41, 41], "above 400"),
        (CELL, np.array([[0, 0, 0], [0.03, 0, 0]]), [41, 41], "atoms 1 and 2 are 0.099 A apart"),
        (CELL, np.array([[0, 0, 0.99], [0, 0, 0.01]]), [41, 41], "0.066 A apart"),
        (np.diag([0.4, 10, 10]), np.zeros((1, 3)), [41], "atom 1 and its periodic image"),
        (np.diag([0.05, 40, 10]), np.zeros((1, 3)), [41], "lattice planes 0.05 A apart"),
        (CELL, np.array([[0, 0, 0], [1500.0, 0, 0]]), [41, 41], "Cartesian"),
        (CELL, np.zeros((0, 3)), [], "no atoms"),
        (CELL, BCC, [41], "6 coordinate numbers for 1 atoms"),
        (np.eye(2), BCC, [41, 41], "4 numbers instead of 9"),
    ],
)
def test_fault_is_named(lattice: np.ndarray, frac: np.ndarray, numbers: list[int], cause: str) -> None:
    with pytest.raises(CrystalError, match=cause):
        validate_crystal(lattice, frac, numbers)


def test_message_says_what_to_do() -> None:
    with pytest.raises(CrystalError, match=r"apart, closer than 0\.5\. Remove or move one of them"):
        validate_crystal(CELL, [[0, 0, 0], [0.03, 0, 0]], [41, 41])


def test_too_many_atoms() -> None:
    with pytest.raises(CrystalError, match="2 atoms, more than 1"):
        validate_crystal(CELL, BCC, [41, 41], max_atoms=1)


def test_one_bad_crystal_of_a_batch_spoils_only_itself() -> None:
    batch = CrystalBatch.of([(CELL, BCC, [41, 41]), (CELL, 0 * BCC, [41, 41]), (CELL, BCC, [41, 40])])
    found = faults(batch)
    assert found[0] is None
    assert found[2] is None
    assert "0.000 A apart" in (found[1] or "")


def test_atoms_close_through_a_skewed_cell_are_found() -> None:
    # the nearest image differs by (-1, 1, 0): rounding each coordinate alone would miss it
    skewed = np.array([[5.0, 0, 0], [4.9, 1.0, 0], [0, 0, 8.0]])
    frac = np.array([[0.0, 0, 0], [0.52, 0.5, 0]])
    shortest = min(np.linalg.norm((frac[1] + [i, j, 0]) @ skewed) for i in range(-3, 4) for j in range(-3, 4))
    found = faults(CrystalBatch.of([(skewed, frac, [41, 41])]))[0]
    assert (found is None) == (shortest >= MIN_DISTANCE_A)


def test_quick_distance_bound_never_contradicts_the_neighbour_list() -> None:
    rng = np.random.default_rng(1)
    cells = [rng.normal(size=(3, 3)) * 2 + 2 * np.eye(3) for _ in range(300)]
    batch = CrystalBatch.of([(cell, rng.random((3, 3)), [1, 2, 3]) for cell in cells if abs(np.linalg.det(cell)) > 3])
    close = np.unique(neighbour_edges(batch, MIN_DISTANCE_A)[2])
    apart = _surely_apart(batch)
    assert len(close) > 5
    assert apart.sum() > 20
    assert not apart[close].any()


def test_ten_thousand_crystals_take_about_a_second() -> None:
    batch = CrystalBatch.of([(CELL, BCC, [41, 41])] * 10_000)
    start = time.perf_counter()
    assert not any(faults(batch))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("sites", "cause"),
    [
        ([[(41, 0.5), (40, 0.5)]], None),
        ([[(41, 1.0005)]], None),
        ([[(41, 0.0)]], "occupancy of 0"),
        ([[(41, -0.2), (40, 1.0)]], "occupancy of -0.2"),
        ([[(41, 0.7), (40, 0.6)]], "filled to 1.3"),
        ([[(41, float("nan"))]], "nan"),
        ([[]], "filled to 0"),
        ([[(0, 0.5)]], "atomic number 0"),
        ([[(41, 1.0)], [(41, 1.0)]], "2 of 1 sites"),
    ],
)
def test_occupancies(sites: list[list[tuple[int, float]]], cause: str | None) -> None:
    found = occupancy_fault(sites, 1)
    assert found is None if cause is None else cause in (found or "")
