import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.errors import CrystalError
from onnes.physics.strain_response import GPA_PER_EV_PER_A3, deformed_cells, elastic_response
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from tests.potentials.fakes import NEAREST_A, FakePotential, fcc

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
TIGHT = {"fmax_eV_per_A": 1e-4, "keep_symmetry": False, "max_steps": 3000}


def response(crystal, **how):
    cells = deformed_cells(*crystal, **how)
    result = FakePotential().evaluate(CrystalBatch.of(cells.crystals))
    forces = result.forces_eV_per_A.reshape(len(cells.crystals), -1, 3)
    return elastic_response(cells, result.stresses_eV_per_A3, forces)


def by_relaxation(crystal, *, strain=0.002):
    """The textbook way: strain the cell, relax the atoms in it, take the stress."""
    lattice, frac, numbers = crystal
    strained = []
    for i, j in VOIGT:
        for sign in (1, -1):
            step = np.zeros((3, 3))
            step[i, j] += sign * strain / 2
            step[j, i] += sign * strain / 2
            strained.append((lattice @ (np.eye(3) + step), frac, numbers))
    relaxed = relax_batch(CrystalBatch.of(strained), FakePotential(), RelaxSettings(relax_cell=False, **TIGHT))
    assert relaxed.converged.all()
    stresses = FakePotential().evaluate(relaxed.batch).stresses_eV_per_A3
    slopes = (stresses[::2] - stresses[1::2]) / (2 * strain) * GPA_PER_EV_PER_A3
    return np.array([[slope[i, j] for i, j in VOIGT] for slope in slopes])


def relaxed(crystal):
    result = relax_batch(CrystalBatch.of([crystal]), FakePotential(), RelaxSettings(**TIGHT))
    assert result.converged.all()
    return result.batch.crystal(0)


def hcp():
    a = NEAREST_A
    lattice = np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, a * np.sqrt(8 / 3)]])
    return lattice, np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]), [29, 29]


def triclinic():
    rng = np.random.default_rng(1)
    return np.diag([4.2, 4.5, 5.1]) @ (np.eye(3) + rng.normal(0, 0.08, (3, 3))), rng.random((5, 3)), [29] * 5


@pytest.mark.parametrize("start", [hcp, triclinic])
def test_equal_to_relaxing_each_strained_cell(start) -> None:
    crystal = relaxed(start())
    found = response(crystal)
    np.testing.assert_allclose(found.tensor_GPa, by_relaxation(crystal), rtol=0.01, atol=0.5)
    assert np.abs(found.clamped_GPa - found.tensor_GPa).max() > 5  # the atoms do move
    assert found.stable


def test_relaxed_atoms_only_soften() -> None:
    found = response(relaxed(triclinic()))
    assert np.linalg.eigvalsh(found.clamped_GPa - found.tensor_GPa)[0] > -1e-6


def test_cauchy_relation_of_pair_forces() -> None:
    """Without pressure, central forces between centres of inversion make C12 equal to C44."""
    found = response(relaxed(fcc(29)))
    c = found.tensor_GPa
    assert c[0, 1] == pytest.approx(c[3, 3], rel=2e-3)
    assert c[0, 0] == pytest.approx(c[1, 1])
    np.testing.assert_allclose(c[:3, 3:], 0, atol=1e-9)
    assert np.isnan(found.lowest_curvature_eV_per_A2)  # one atom in the primitive cell


def test_turning_the_crystal_turns_the_tensor_and_leaves_its_invariants() -> None:
    lattice, frac, numbers = relaxed(triclinic())
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    one, other = response((lattice, frac, numbers)), response((lattice @ turn.T, frac, numbers))
    assert other.tensor_GPa[:3, :3].sum() == pytest.approx(one.tensor_GPa[:3, :3].sum(), rel=1e-4)
    assert np.abs(other.tensor_GPa - one.tensor_GPa).max() > 1


def test_supercell_and_conventional_cell_give_the_same() -> None:
    one, large = relaxed(fcc(29)), fcc(29, cells=2)
    scale = one[0][0, 0] / large[0][1, 1]
    twice = (large[0] * scale, large[1], large[2])
    np.testing.assert_allclose(response(one).tensor_GPa, response(twice).tensor_GPa, atol=0.05)


def test_residual_stress_cancels_without_the_opposite_strain() -> None:
    """Shear of a cubic crystal is evaluated with one sign only; a pressure must not leak into it."""
    lattice, frac, numbers = relaxed(fcc(29))
    squeezed = response((0.99 * lattice, frac, numbers))
    np.testing.assert_allclose(squeezed.tensor_GPa[:3, 3:], 0, atol=1e-6)
    np.testing.assert_allclose(squeezed.tensor_GPa[3:, 3:], squeezed.tensor_GPa[3, 3] * np.eye(3), atol=1e-6)


@pytest.mark.parametrize(("crystal", "cells"), [(fcc(29), 3), (hcp(), 7), (triclinic(), 36)])
def test_symmetry_spares_evaluations(crystal, cells) -> None:
    """fcc: one stretch with both signs, one shear. No symmetry: 6 strains, 4 atoms in 3 directions, both signs each."""
    assert len(deformed_cells(*crystal).crystals) == cells


def test_unstable_crystal() -> None:
    """Simple cubic with pair forces has next to no resistance to shear."""
    found = response((NEAREST_A * np.eye(3), np.zeros((1, 3)), [29]))
    assert not found.stable


def test_unstable_displacement() -> None:
    """Layers pulled apart snap together in pairs."""
    lattice, frac, numbers = hcp()
    stretched = lattice @ np.diag([1.0, 1.0, 1.6])
    found = response((stretched, frac, numbers))
    assert found.lowest_curvature_eV_per_A2 < 0
    assert not found.stable


def test_too_large() -> None:
    with pytest.raises(CrystalError, match="the primitive cell has 5 atoms, more than 4"):
        deformed_cells(*triclinic(), max_atoms=4)


def test_values_that_are_not_finite() -> None:
    cells = deformed_cells(*fcc(29))
    with pytest.raises(CrystalError, match="not finite"):
        elastic_response(cells, np.full((3, 3, 3), np.nan), np.zeros((3, 1, 3)))
