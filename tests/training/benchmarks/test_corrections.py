import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.training.benchmarks.corrections import Composition, correction_terms, fit_corrections


def cell(numbers, positions, a=5.0):
    return np.eye(3) * a, np.array(positions) / a, numbers


ROCKSALT = [[0, 0, 0], [2.5, 0, 0]]
SHORT = [[0, 0, 0], [2.5, 0, 0], [2.5, 0, 1.49]]  # O-O of a peroxide
SHORTER = [[0, 0, 0], [2.5, 0, 0], [2.5, 0, 1.3]]


def terms_of(*crystals):
    names, terms = correction_terms(CrystalBatch.of(crystals))
    return [{n: round(float(t), 6) for n, t in zip(names, row, strict=True) if t} for row in terms]


def test_anions_are_the_most_electronegative_element() -> None:
    salt, alloy, sulfate = terms_of(
        cell([11, 17], ROCKSALT), cell([13, 28], ROCKSALT), cell([16, 8, 11], [[0, 0, 0], [2.5, 0, 0], [0, 2.5, 0]])
    )
    assert salt == {"Na": 0.5, "Cl anion": 0.5}
    assert alloy == {"Al": 0.5, "Ni": 0.5}
    assert sulfate == pytest.approx({"S": 1 / 3, "oxide": 1 / 3, "Na": 1 / 3}, abs=1e-5)  # sulfur is no anion here


def test_oxides_by_their_shortest_distance() -> None:
    oxide, peroxide, superoxide = terms_of(
        cell([12, 8], ROCKSALT), cell([56, 8, 8], SHORT), cell([19, 8, 8], SHORTER)
    )  # fmt: skip
    assert oxide == {"Mg": 0.5, "oxide": 0.5}
    assert set(peroxide) == {"Ba", "peroxide"}
    assert set(superoxide) == {"K", "superoxide"}


def test_hubbard_u_only_in_oxides_and_fluorides() -> None:
    oxide, fluoride, sulfide, zinc = terms_of(
        cell([26, 8], ROCKSALT), cell([26, 9], ROCKSALT), cell([26, 16], ROCKSALT), cell([30, 8], ROCKSALT)
    )
    assert oxide["Fe +U"] == oxide["Fe"] == 0.5
    assert fluoride["Fe +U"] == 0.5
    assert "Fe +U" not in sulfide
    assert not any("+U" in name for name in zinc)


def test_elements_are_not_corrected() -> None:
    assert terms_of(cell([8, 8], SHORT[1:]), cell([26], [[0, 0, 0]])) == [{}, {}]


def test_composition_averages_over_atoms() -> None:
    made = Composition.of(CrystalBatch.of([cell([12, 8], ROCKSALT), cell([13], [[0, 0, 0]])]))
    assert made.compound.tolist() == [True, False]
    np.testing.assert_allclose(made.mean({"Mg": -1.0, "O": -5.0}), [-3.0, np.nan])


def test_fit_finds_the_corrections_in_spite_of_failures() -> None:
    rng = np.random.default_rng(0)
    names, truth = ("oxide", "S anion", "Fe +U"), np.array([-0.7, -0.5, -2.3])
    terms = rng.random((400, 3)) * (rng.random((400, 3)) < 0.6)
    missing = terms @ truth + 0.01 * rng.normal(size=400)
    missing[:20] += 5  # the potential fails on some crystals
    found = fit_corrections(names, terms, missing)
    np.testing.assert_allclose([found.values[n] for n in names], truth, atol=0.02)
    plain = np.linalg.lstsq(terms, missing, rcond=None)[0]
    assert np.abs(plain - truth).max() > 0.05
    np.testing.assert_allclose(found.of(("Fe +U", "Cl anion"), np.array([[0.5, 0.5]])), [0.5 * found.values["Fe +U"]])
