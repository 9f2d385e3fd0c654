import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.models.warnings import domain_warnings
from onnes.physics.spectra import K_PER_MEV

LIMITS = (frozenset(range(1, 80)), 6)
"""Elements and atoms that the model is meant for."""
SOFT_MEV = 30.0


def crystal(*numbers):
    return 5 * np.eye(3), np.random.default_rng(0).random((len(numbers), 3)), list(numbers)


def warned(numbers, *, pressure=0.0, mean_meV=SOFT_MEV, distance=0.5, magmom=0.0):
    """Warnings of one crystal, between two others that have none."""
    batch = CrystalBatch.of([crystal(13), crystal(*numbers), crystal(41, 41)])
    predicted = {
        "domain_distance": np.array([0.5, distance, 0.5]),
        "magmom_max_muB": np.array([0.0, magmom, np.nan]),
        "omega2_K": np.array([SOFT_MEV, mean_meV, SOFT_MEV]) * K_PER_MEV,
    }
    before, found, after = domain_warnings(batch, np.array([0.0, pressure, np.nan]), predicted, *LIMITS)
    assert before == after == []
    return found


def test_ordinary_metal_has_none() -> None:
    assert warned([12, 5, 5]) == []


@pytest.mark.parametrize(
    ("numbers", "more", "wanted"),
    [
        ([13], {"distance": 2.5}, "unlike the training crystals (distance 2.50, edge 1)"),
        ([79, 92, 80], {}, "elements not in the training data: Hg, U"),
        ([13] * 7, {}, "7 atoms, trained up to 6"),
        ([26], {"magmom": 2.24}, "magnetic (CHGNet moment 2.2 muB)"),
        ([57, 57, 29, 8, 8, 8], {}, "cuprate by its elements: phonons alone do not explain its pairing"),
        ([26, 34], {}, "iron-based by its elements: phonons alone do not explain its pairing"),
        ([1, 1, 1, 16], {}, "hydride: few in the training data, none under pressure"),
        ([13], {"pressure": 150.0}, "at 150 GPa, trained at ambient pressure"),
        ([13], {"pressure": -2.5}, "at -2.5 GPa, trained at ambient pressure"),
    ],
    ids=["distance", "foreign", "atoms", "magnetic", "cuprate", "pnictide", "hydride", "pressure", "pulled"],
)
def test_one_reason(numbers, more, wanted) -> None:
    assert warned(numbers, **more) == [wanted]


@pytest.mark.parametrize(
    ("numbers", "more"),
    [
        ([13], {"distance": 0.99}),
        ([13] * 6, {}),
        ([26], {"magmom": 0.4}),
        ([26], {"magmom": np.nan}),  # nobody was asked
        ([29, 13, 13], {}),  # copper without oxygen
        ([26, 13], {}),  # iron without a partner
        ([1, 46, 46], {}),  # a third of hydrogen
        ([13], {"pressure": 0.5}),
        ([13], {"pressure": np.nan}),
        ([13], {"distance": np.nan, "mean_meV": np.nan}),  # a crystal that failed
        ([6, 5], {"mean_meV": 99.0}),
    ],
)
def test_no_reason(numbers, more) -> None:
    assert warned(numbers, **more) == []


def test_mean_phonon_above_100_meV() -> None:
    assert warned([6, 5], mean_meV=123.4) == [
        "mean phonon (omega2) at 123 meV, hardly any above 100 in the training data"
    ]


def test_reasons_add_up() -> None:
    found = warned([1] * 6 + [57], pressure=200.0, mean_meV=150.0, distance=3.0, magmom=1.0)
    starts = ("unlike", "7 atoms", "magnetic", "hydride", "mean phonon", "at 200 GPa")
    assert len(found) == len(starts)
    assert all(text.startswith(start) for text, start in zip(found, starts, strict=True))


def test_nothing() -> None:
    empty = {"domain_distance": np.zeros(0), "magmom_max_muB": np.zeros(0), "omega2_K": np.zeros(0)}
    assert domain_warnings(CrystalBatch.of([]), np.zeros(0), empty, *LIMITS) == []
