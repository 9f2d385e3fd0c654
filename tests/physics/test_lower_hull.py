import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Element

from onnes.physics import lower_hull
from onnes.physics.lower_hull import LowerHull

ELEMENTS = [Element.from_Z(z) for z in (3, 5, 8, 12, 22, 41, 50)]


def _system(n, compounds, seed, *, scale=1.0):
    """Elements and random compounds, among them many of subsystems."""
    rng = np.random.default_rng(seed)
    amounts = rng.integers(0, 5, (compounds, n))
    amounts = amounts[(amounts > 0).sum(axis=1) > 1]
    fractions = np.vstack([np.eye(n), amounts / amounts.sum(axis=1, keepdims=True)])
    energies = np.concatenate([np.zeros(n), -scale * rng.random(len(amounts))])
    return fractions, energies


def _diagram(fractions, energies):
    n = fractions.shape[1]
    entries = [
        PDEntry(Composition(dict(zip(ELEMENTS[:n], 60 * x, strict=True))), 60 * e)
        for x, e in zip(fractions, energies, strict=True)
    ]
    return PhaseDiagram(entries)


def _compositions(n, count, seed):
    return np.random.default_rng(seed).dirichlet(np.ones(n), count)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_equal_to_pymatgen(n, scale) -> None:
    fractions, energies = _system(n, 40, n, scale=scale)
    found, _, _ = LowerHull.of(fractions, energies).decompose(_compositions(n, 20, n))
    diagram = _diagram(fractions, energies)
    for energy, x in zip(found, _compositions(n, 20, n), strict=True):
        expected = diagram.get_hull_energy_per_atom(Composition(dict(zip(ELEMENTS[:n], x, strict=True))))
        assert energy == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_the_linear_program_finds_the_same(n, monkeypatch) -> None:
    fractions, energies = _system(n, 30, 10 + n)
    compositions = _compositions(n, 10, n)
    by_qhull = LowerHull.of(fractions, energies)
    assert len(by_qhull.facets)
    monkeypatch.setattr(lower_hull, "MOST_ELEMENTS_IN_QHULL", 1)
    by_program = LowerHull.of(fractions, energies)
    assert len(by_program.facets) == 0
    np.testing.assert_allclose(by_qhull.decompose(compositions)[0], by_program.decompose(compositions)[0], atol=1e-10)


def test_shares_make_up_the_composition() -> None:
    fractions, energies = _system(4, 40, 3)
    compositions = _compositions(4, 50, 3)
    found, phases, shares = LowerHull.of(fractions, energies).decompose(compositions)
    assert shares.min() >= -1e-9
    np.testing.assert_allclose(np.einsum("pk,pkn->pn", shares, fractions[phases]), compositions, atol=1e-9)
    np.testing.assert_allclose((shares * energies[phases]).sum(axis=1), found, atol=1e-12)


def test_no_phase_lies_below_and_corners_lie_on_it() -> None:
    fractions, energies = _system(3, 60, 8)
    hull = LowerHull.of(fractions, energies)
    found, _, _ = hull.decompose(fractions)
    assert (energies - found).min() > -1e-9
    corners = np.unique(hull.facets)
    np.testing.assert_allclose(found[corners], energies[corners], atol=1e-9)


def test_one_element() -> None:
    energy, phases, shares = LowerHull.of(np.ones((1, 1)), np.zeros(1)).decompose(np.ones((2, 1)))
    assert (energy.tolist(), phases.tolist(), shares.tolist()) == ([0, 0], [[0], [0]], [[1], [1]])


def test_elements_without_a_compound() -> None:
    energy, _, shares = LowerHull.of(np.eye(3), np.zeros(3)).decompose(np.array([[0.2, 0.3, 0.5]]))
    assert energy[0] == 0
    np.testing.assert_allclose(shares[0], [0.2, 0.3, 0.5])


def test_phases_on_one_line_or_plane_and_phases_given_twice() -> None:
    # AB lies on the line between A3B and AB3; the faces of the ternary all lie in one plane; A3B is there twice.
    fractions = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.75, 0.25, 0], [0.75, 0.25, 0], [0.5, 0.5, 0], [0.25, 0.75, 0],
         [1 / 3, 1 / 3, 1 / 3], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]
    )  # fmt: skip
    energies = np.array([0, 0, 0, -1, -0.5, -1, -1, -2 / 3, -3 / 4, -3 / 4])
    compositions = np.vstack([fractions, _compositions(3, 200, 0)])
    hull = LowerHull.of(fractions, energies)
    found, phases, shares = hull.decompose(compositions)
    single = np.array([hull._program(x)[1] @ energies[hull._program(x)[0]] for x in compositions])
    np.testing.assert_allclose(found, single, atol=1e-9)
    np.testing.assert_allclose(np.einsum("pk,pkn->pn", shares, fractions[phases]), compositions, atol=1e-9)
    assert found[5] == pytest.approx(-1)


def test_nearly_flat_hull() -> None:
    # Energies of the size of rounding: Qhull may merge facets, the answer stays within its tolerance.
    fractions, energies = _system(3, 40, 5, scale=1e-10)
    found, _, _ = LowerHull.of(fractions, energies).decompose(_compositions(3, 20, 5))
    assert np.abs(found).max() < 1.1e-10
