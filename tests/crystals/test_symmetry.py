import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crystals.good import good_batch, good_crystals, good_names

from onnes.crystals.symmetry import CrystalIdentity, describe
from onnes.errors import CrystalError

NAMES = good_names()
# low symmetry: no special position fixes the origin
TRICLINIC = (
    np.array([[4.1, 0, 0], [0.7, 4.9, 0], [-0.4, 0.9, 5.6]]),
    np.array([[0.02, 0.11, 0.31], [0.48, 0.57, 0.72], [0.9, 0.35, 0.08], [0.33, 0.83, 0.5]]),
    np.array([41, 41, 40, 7]),
)


def _arrays(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if name == "triclinic":
        return TRICLINIC
    return good_batch().crystal(NAMES.index(name))


def _rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def _rewritten(
    crystal: tuple[np.ndarray, np.ndarray, np.ndarray], seed: int, repeats: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same crystal in another cell, orientation, order of atoms and origin."""
    lattice, frac, numbers = crystal
    rng = np.random.default_rng(seed)
    images = np.array(list(np.ndindex(*repeats)))
    frac = ((frac[None] + images[:, None]) / np.array(repeats)).reshape(-1, 3)
    lattice = lattice * np.array(repeats)[:, None]
    numbers = np.tile(numbers, len(images))
    shear = np.eye(3)
    for _ in range(2):
        i, j = rng.choice(3, 2, replace=False)
        step = np.eye(3)
        step[i, j] = rng.integers(-1, 2)
        shear = step @ shear
    order = rng.permutation(len(numbers))
    frac = frac @ np.linalg.inv(shear) + rng.random(3)
    return shear @ lattice @ _rotation(rng), frac[order], numbers[order]


@pytest.mark.parametrize(
    ("name", "space_group", "prototype"),
    [
        ("bcc-Nb", 229, "A_cI2_229_a:Nb"),
        ("fcc-Al", 225, "A_cF4_225_a:Al"),
        ("a15-Nb3Sn", 223, "A3B_cP8_223_c_a:Nb-Sn"),
        ("MgB2", 191, "A2B_hP3_191_c_b:B-Mg"),
        ("Be2Nb3", 127, "A2B3_tP10_127_g_ah:Be-Nb"),
        ("quartz-SiO2", 154, None),
    ],
)
def test_known_space_groups_and_prototypes(name: str, space_group: int, prototype: str | None) -> None:
    found = describe(*_arrays(name))
    assert found.space_group == space_group
    assert prototype is None or found.prototype == prototype


def test_label_is_the_one_of_pymatgen() -> None:
    from pymatgen.analysis.prototypes import get_protostructure_label_from_moyopy

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        labels = {name: get_protostructure_label_from_moyopy(made) for name, made in good_crystals().items()}
    assert {name: describe(*_arrays(name)).prototype for name in NAMES} == labels


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from([*NAMES, "triclinic"]),
    seed=st.integers(0, 10_000),
    repeats=st.sampled_from([(1, 1, 1), (2, 1, 1), (1, 1, 2), (1, 3, 1), (2, 2, 1)]),
)
def test_identity_ignores_how_the_crystal_was_written(name: str, seed: int, repeats: tuple[int, int, int]) -> None:
    crystal = _arrays(name)
    assert describe(*_rewritten(crystal, seed, repeats)) == describe(*crystal)


def test_mirror_image_shares_the_hash_and_left_handed_cells_work() -> None:
    lattice, frac, numbers = TRICLINIC
    assert describe(-lattice, frac, numbers) == describe(lattice, frac, numbers)


def test_hash_tells_crystals_apart() -> None:
    hashes = [describe(*_arrays(name)).crystal_hash for name in [*NAMES, "triclinic"]]
    assert len(set(hashes)) == len(hashes)
    assert all(len(text) == 32 for text in hashes)
    lattice, frac, numbers = _arrays("MgB2")
    base = describe(lattice, frac, numbers).crystal_hash
    assert describe(lattice * 1.01, frac, numbers).crystal_hash != base
    assert describe(lattice, frac, np.where(numbers == 12, 20, numbers)).crystal_hash != base
    moved = TRICLINIC[1] + np.array([[0.02, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert describe(TRICLINIC[0], moved, TRICLINIC[2]).crystal_hash != describe(*TRICLINIC).crystal_hash


def test_swapped_species_share_the_prototype_letters_but_not_the_label() -> None:
    lattice, frac, numbers = _arrays("cscl-NiAl")
    swapped = describe(lattice, frac, np.where(numbers == 28, 13, 28))
    assert swapped == describe(lattice, frac, numbers)  # B2 is its own antitype
    a15 = _arrays("a15-Nb3Sn")
    anti = describe(a15[0], a15[1], np.where(a15[2] == 41, 50, 41))
    assert anti.prototype == "AB3_cP8_223_a_c:Nb-Sn"
    assert anti.prototype != describe(*a15).prototype


def test_small_noise_is_forgiven() -> None:
    lattice, frac, numbers = _arrays("rocksalt-NbN")
    noisy = frac + np.random.default_rng(0).normal(scale=1e-3, size=frac.shape)
    assert describe(lattice, noisy, numbers).space_group == 225


def test_smaller_tolerance_is_tried_when_the_first_fails() -> None:
    # at 3 A every pair of atoms of this cell coincides
    lattice, frac, numbers = _arrays("bcc-Nb")
    found = describe(lattice, frac, numbers, symprec=3.0)
    assert isinstance(found, CrystalIdentity)
    assert found.space_group == 229


def test_hopeless_cell_is_an_error_that_says_so() -> None:
    with pytest.raises(CrystalError, match="no symmetry found"):
        describe(4 * np.eye(3), np.zeros((2, 3)), [41, 41])
