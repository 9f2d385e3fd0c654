"""Simple cubic atoms that attract each other: soft modes lead to denser crystals."""

import json

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symmetry import describe
from onnes.physics.phonons import standard_primitive
from onnes.physics.soft_modes import replayed
from onnes.potentials.force_constants import phonons_of
from onnes.potentials.phonon_settings import FollowSettings
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.potentials.soft_mode_children import follow_soft_modes
from tests.potentials.fakes import NEAREST_A, FakePotential, fcc

HOW = {"min_length_A": 8.0, "even": True, "mesh_length": 15.0}


def relaxed(crystal, pressure=0.0):
    found = relax_batch(
        CrystalBatch.of([crystal]), FakePotential(), RelaxSettings(fmax_eV_per_A=1e-3, pressure_GPa=pressure)
    )
    assert found.converged[0]
    return found.batch.crystal(0), found.energies_eV[0] / len(crystal[2])


@pytest.fixture(scope="module")
def simple_cubic():
    crystal, energy = relaxed((NEAREST_A * np.eye(3), np.zeros((1, 3)), np.array([29])))
    [phonons] = phonons_of(CrystalBatch.of([crystal]), FakePotential(), **HOW)
    return phonons, energy


@pytest.fixture(scope="module")
def children(simple_cubic):
    followed = follow_soft_modes(simple_cubic[0], FakePotential(), FollowSettings(max_children=9, fmax_eV_per_A=0.003))
    assert followed.n_directions >= len(followed.children)
    assert (followed.n_too_large, followed.failures, followed.remark) == (0, (), None)
    return followed.children


def test_children_lie_below_their_parent(simple_cubic, children) -> None:
    assert simple_cubic[0].min_phonon_THz < -1
    assert len(children) >= 2
    gains = [child.gain_meV_per_atom for child in children]
    assert gains == sorted(gains, reverse=True)
    for child in children:
        assert child.gain_meV_per_atom == pytest.approx(1e3 * (simple_cubic[1] - child.energy_eV_per_atom), abs=0.5)
        assert child.gain_meV_per_atom >= 1
        assert child.forces_max_eV_per_A < 0.003
        assert child.parent_space_group == 221
        assert child.space_group == describe(*child.crystal, symprec=0.01).space_group
        assert f"221 -> {child.space_group}" in child.words
        energy = FakePotential().evaluate(CrystalBatch.of([child.crystal])).energies_eV[0] / len(child.crystal[2])
        assert energy == pytest.approx(child.energy_eV_per_atom, abs=1e-3)


def test_no_child_is_below_close_packing(children) -> None:
    """Nothing that attracts pairwise does better than close packing by more than the cut-off allows."""
    _, lowest = relaxed(fcc(29))
    assert min(child.energy_eV_per_atom for child in children) > lowest - 0.02


def test_different_children_only(children) -> None:
    seen = [(child.space_group, round(child.gain_meV_per_atom, 1)) for child in children]
    assert len(seen) == len(set(seen))


def test_the_lowest_are_kept(simple_cubic, children) -> None:
    how = FollowSettings(max_children=1, fmax_eV_per_A=0.003)
    [only] = follow_soft_modes(simple_cubic[0], FakePotential(), how).children
    assert only.gain_meV_per_atom == pytest.approx(children[0].gain_meV_per_atom, abs=0.5)
    demanding = FollowSettings(min_gain_meV_per_atom=1e5)
    none = follow_soft_modes(simple_cubic[0], FakePotential(), demanding)
    n = none.n_directions
    assert none.children == []
    assert none.remark == f"none of {n} directions along soft modes led to a crystal at least 100000 meV/atom lower"


def test_child_can_be_made_again_from_its_operation(children) -> None:
    for child in children[:2]:
        start = replayed(json.loads(child.how))
        assert json.loads(child.how)["op"] == "soft mode"
        settings = RelaxSettings(fmax_eV_per_A=0.003, symprec_A=0.01)
        again = relax_batch(CrystalBatch.of([start]), FakePotential(), settings)
        assert again.energies_eV[0] / len(start[2]) == pytest.approx(child.energy_eV_per_atom, abs=1e-3)
        small = standard_primitive(*again.batch.crystal(0))
        assert describe(*small, symprec=0.01).space_group == child.space_group


def test_stable_crystal_has_no_children() -> None:
    crystal, _ = relaxed(fcc(29))
    [phonons] = phonons_of(CrystalBatch.of([standard_primitive(*crystal)]), FakePotential(), **HOW)
    followed = follow_soft_modes(phonons, FakePotential())
    assert followed.children == []
    assert followed.remark.startswith("no soft mode to follow: fake has none below -0.1 THz")


def test_modes_with_large_supercells_are_left_alone(simple_cubic) -> None:
    followed = follow_soft_modes(simple_cubic[0], FakePotential(), FollowSettings(max_child_atoms=1))
    n = followed.n_directions
    assert (followed.children, followed.n_too_large) == ([], n)
    assert followed.remark == (
        f"{n} of {n} directions along soft modes not tried, because their cells have more than 1 atoms"
    )


def test_relaxations_that_fail_are_counted(simple_cubic) -> None:
    followed = follow_soft_modes(simple_cubic[0], FakePotential(), FollowSettings(max_steps=1))
    n = followed.n_directions
    assert followed.children == []
    assert followed.failures == ("not relaxed after 1 steps",) * n
    assert followed.remark == f"{n} of {n} directions along soft modes failed: not relaxed after 1 steps"


def test_displacements_that_the_potential_cannot_evaluate_are_counted(simple_cubic) -> None:
    class Fragile(FakePotential):
        """Knows the undistorted crystal only."""

        def evaluate(self, batch, *, forces=True, features=False):
            found = super().evaluate(batch, forces=forces)
            found.energies_eV[batch.n_atoms > 1] = np.nan
            return found

    followed = follow_soft_modes(simple_cubic[0], Fragile())
    assert followed.children == []
    assert len(followed.failures) == followed.n_directions
    assert "fake gives the displaced crystal no energy" in followed.remark


def test_enthalpy_counts_under_pressure() -> None:
    crystal, _ = relaxed((NEAREST_A * np.eye(3), np.zeros((1, 3)), np.array([29])), pressure=20.0)
    [phonons] = phonons_of(CrystalBatch.of([crystal]), FakePotential(), **HOW)
    [child] = follow_soft_modes(phonons, FakePotential(), pressure_GPa=20.0).children
    squeezed = abs(np.linalg.det(crystal[0])) - abs(np.linalg.det(child.crystal[0])) / len(child.crystal[2])
    energy = FakePotential().evaluate(CrystalBatch.of([crystal])).energies_eV[0] - child.energy_eV_per_atom
    assert squeezed > 0.5
    assert child.gain_meV_per_atom == pytest.approx(1e3 * (energy + 20.0 / 160.21766 * squeezed), abs=1.0)
