import os
from pathlib import Path

import numpy as np
import pytest
from ase.filters import FrechetCellFilter
from ase.optimize import FIRE
from pydantic import ValidationError

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.symmetry import describe
from onnes.potentials.potential import Evaluation, load_potential
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from tests.potentials.distorted import distorted
from tests.potentials.fakes import NEAREST_A, FakePotential, fcc, fcc_batch

FREE = RelaxSettings(keep_symmetry=False)
DATA = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "epc_dft_alexandria.parquet"
FACE = 13, 29, 47, 79, 28, 46


def _ase_energies(batch, *, driver=FIRE):
    """eV/atom by ASE alone with sevenn's own calculator."""
    from sevenn.calculator import SevenNetCalculator

    calculator = SevenNetCalculator("7net-0", device="cpu")
    energies, steps = [], []
    for atoms in batch.to_atoms():
        atoms.calc = calculator
        run = driver(FrechetCellFilter(atoms), logfile=None)
        run.run(fmax=0.02, steps=300)
        energies.append(atoms.get_potential_energy() / len(atoms))
        steps.append(run.nsteps)
    return np.array(energies), np.array(steps)


@pytest.fixture(scope="module")
def starts():
    return distorted(["Al", "MgB2", "TiN", "NbC", "Si", "Nb", "Pb", "NiAl"], strain=0.015, rattle_A=0.03)


@pytest.fixture(scope="module")
def ase_fire(starts):
    return _ase_energies(starts)


def test_fire_is_equal_to_ase(starts, ase_fire) -> None:
    energies, steps = ase_fire
    result = relax_batch(starts, load_potential(), FREE.model_copy(update={"optimizer": "fire"}))
    assert result.converged.all()
    np.testing.assert_allclose(result.energies_eV / starts.n_atoms, energies, atol=1e-3)
    assert np.abs(result.steps - steps).max() <= 0.1 * steps.max()  # the same path but for rounding
    assert result.evaluations == (result.steps + 1).sum()


@pytest.mark.parametrize("optimizer", ["bfgs", "lbfgs"])
def test_quicker_optimisers_are_no_worse_than_ase_fire(starts, ase_fire, optimizer) -> None:
    result = relax_batch(starts, load_potential(), FREE.model_copy(update={"optimizer": optimizer}))
    assert result.converged.all()
    assert (result.energies_eV / starts.n_atoms - ase_fire[0]).max() < 1e-3
    assert result.steps.sum() < 0.5 * ase_fire[1].sum()  # why FIRE is not the default


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_file(), reason=f"{DATA} is not there; set ONNES_DATA")
def test_fifty_cells_against_ase(record_property) -> None:
    from onnes.training.benchmarks.speed import relaxation_starts

    batch = relaxation_starts(50, 1, 8, seed=1)
    assert len(batch) == 50
    wanted, _ = _ase_energies(batch)
    for optimizer in ("fire", "lbfgs", "bfgs"):
        result = relax_batch(batch, load_potential(), FREE.model_copy(update={"optimizer": optimizer}))
        assert not any(result.errors), result.errors
        difference = 1e3 * (result.energies_eV / batch.n_atoms - wanted)
        record_property(f"{optimizer}_meV_per_atom", difference.round(3).tolist())
        print(optimizer, "min/median/max meV/atom", difference.min(), np.median(np.abs(difference)), difference.max())  # noqa: T201
        assert difference.max() < 1.0
        if optimizer == "fire":
            assert difference.min() > -1.0


def test_lattice_constants_are_right() -> None:
    batch = CrystalBatch.from_structures(known_crystal(n, primitive=True) for n in ("Al", "Pb"))
    squeezed = CrystalBatch(batch.lattices * 0.95, batch.frac_coords, batch.atomic_numbers, batch.offsets)
    result = relax_batch(squeezed, load_potential())
    np.testing.assert_allclose((4 * result.batch.volumes) ** (1 / 3), [4.05, 4.95], rtol=0.02)


def test_symmetry_is_kept() -> None:
    nbn, mgb2 = known_crystal("NbN", primitive=True), known_crystal("MgB2")
    nbn.apply_strain(0.03)
    mgb2.apply_strain([-0.02, -0.02, 0.05])
    batch = CrystalBatch.from_structures([nbn, mgb2])
    result = relax_batch(batch, load_potential())
    assert result.converged.all()
    assert [describe(*crystal, symprec=1e-3).space_group for crystal in result.batch] == [225, 191]
    lattice = result.batch.crystal(1)[0]
    assert np.linalg.norm(lattice[2]) / np.linalg.norm(lattice[0]) == pytest.approx(3.52 / 3.09, rel=0.02)


def test_symmetry_is_lost_when_not_asked_for() -> None:
    """Simple cubic is no minimum of a close-packing potential: only kept symmetry holds it."""
    shear = np.eye(3) + 0.004 * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    batch = CrystalBatch.of([(NEAREST_A * shear, np.zeros((1, 3)), [84])])
    tight = RelaxSettings(fmax_eV_per_A=1e-3)
    kept = relax_batch(batch, FakePotential(), tight)
    free = relax_batch(batch, FakePotential(), tight.model_copy(update={"keep_symmetry": False}))
    assert kept.converged[0]
    assert free.converged[0]
    assert describe(*kept.batch.crystal(0), symprec=0.05).space_group == 221
    assert describe(*free.batch.crystal(0), symprec=0.05).space_group != 221
    assert free.energies_eV[0] < kept.energies_eV[0] - 0.1


def test_relaxes_to_the_minimum_of_the_fake() -> None:
    batch = fcc_batch(FACE, rattle=0.05, strain=0.02)
    result = relax_batch(batch, FakePotential(), FREE.model_copy(update={"fmax_eV_per_A": 1e-3}))
    assert result.converged.all()
    assert (result.forces_max_eV_per_A < 1e-3).all()
    nearest = (result.batch.volumes / 4) ** (1 / 3) * 2 ** (1 / 6)
    np.testing.assert_allclose(nearest, NEAREST_A, rtol=0.01)
    np.testing.assert_allclose(result.energies_eV, result.energies_eV[0], atol=1e-4)


def test_order_is_kept_and_steps_are_each_crystal_s_own() -> None:
    batch = CrystalBatch.of([fcc(13, scale=1.1), fcc(29, cells=2), fcc(47, rattle=0.08, seed=1), fcc(79, scale=0.95)])
    result = relax_batch(batch, FakePotential(), FREE)
    assert result.batch.n_atoms.tolist() == [4, 8, 4, 4]
    for i, (_, _, numbers) in enumerate(batch):
        np.testing.assert_array_equal(result.batch.crystal(i)[2], numbers)
    assert result.converged.all()
    assert len(set(result.steps.tolist())) > 2
    alone = [relax_batch(batch.select([i]), FakePotential(), FREE) for i in range(4)]
    np.testing.assert_array_equal(result.steps, [a.steps[0] for a in alone])
    np.testing.assert_allclose(result.energies_eV, [a.energies_eV[0] for a in alone], atol=1e-9)
    assert result.evaluations == sum(a.evaluations for a in alone) == (result.steps + 1).sum()


def test_swapping_gives_the_same_results_in_fuller_batches() -> None:
    batch = fcc_batch(FACE, rattle=0.06, strain=0.02)
    together, swapping = FakePotential(), FakePotential()
    one = relax_batch(batch, together, FREE)
    two = relax_batch(batch, swapping, FREE.model_copy(update={"max_crystals": 2}))
    np.testing.assert_array_equal(one.steps, two.steps)
    np.testing.assert_allclose(one.energies_eV, two.energies_eV, atol=1e-9)
    np.testing.assert_allclose(one.batch.lattices, two.batch.lattices, atol=1e-9)
    assert max(map(len, together.calls)) == 6
    assert max(map(len, swapping.calls)) == 2
    # A finished crystal is replaced at once: two are under way until the last one.
    singles = sum(len(call) == 1 for call in swapping.calls)
    assert singles <= two.steps.max() + 1
    assert sum(map(len, swapping.calls)) == one.evaluations == two.evaluations


def test_atoms_in_a_call_are_limited() -> None:
    fake = FakePotential()
    batch = CrystalBatch.of([fcc(13), fcc(29, cells=5), fcc(47), fcc(79)])
    result = relax_batch(batch, fake, FREE.model_copy(update={"max_atoms": 9}))
    assert result.converged.all()
    assert max(sum(call) for call in fake.calls if len(call) > 1) <= 9
    assert [20] in fake.calls  # larger than the limit: alone


def test_max_steps() -> None:
    batch = fcc_batch(FACE[:2], rattle=0.08, strain=0.03)
    result = relax_batch(batch, FakePotential(), FREE.model_copy(update={"max_steps": 1}))
    assert result.steps.tolist() == [1, 1]
    assert not result.converged.any()
    assert result.errors == [None, None]
    assert (result.forces_max_eV_per_A > 0.02).all()
    assert np.abs(result.batch.lattices - batch.lattices).max() > 0


def test_no_step_at_all_evaluates() -> None:
    batch = fcc_batch(FACE[:2], rattle=0.05)
    result = relax_batch(batch, FakePotential(), FREE.model_copy(update={"max_steps": 0}))
    assert result.steps.tolist() == [0, 0]
    np.testing.assert_allclose(result.batch.lattices, batch.lattices)
    np.testing.assert_allclose(result.energies_eV, FakePotential().evaluate(batch).energies_eV)


def _only_the_second_fails(result, batch, message):
    assert result.errors[0] is None
    assert result.errors[2] is None
    assert message in result.errors[1]
    assert result.converged.tolist() == [True, False, True]
    assert np.isnan(result.energies_eV).tolist() == [False, True, False]
    np.testing.assert_array_equal(result.batch.crystal(1)[0], batch.crystal(1)[0])
    np.testing.assert_array_equal(result.batch.crystal(1)[1], batch.crystal(1)[1])


def test_value_that_is_not_finite_spoils_one_crystal() -> None:
    batch = fcc_batch((13, 29, 47), rattle=0.05)
    done = []
    result = relax_batch(batch, FakePotential(nan_for=[29]), FREE, on_done=done.append)
    _only_the_second_fails(result, batch, "ValueError: the potential gave a value that is not finite")
    assert sum(done) == 3


def test_call_that_fails_spoils_only_its_culprit() -> None:
    batch = fcc_batch((13, 29, 47), rattle=0.05)
    done = []
    result = relax_batch(batch, FakePotential(raises_for=[29]), FREE, on_done=done.append)
    _only_the_second_fails(result, batch, "ValueError: an element that makes the whole call fail")
    assert sum(done) == 3
    np.testing.assert_array_equal(result.steps[[0, 2]], relax_batch(batch, FakePotential(), FREE).steps[[0, 2]])


def test_foreign_element_spoils_one_crystal() -> None:
    batch = fcc_batch((13, 96, 47), rattle=0.05)
    _only_the_second_fails(relax_batch(batch, FakePotential(), FREE), batch, "fake does not know the element Cm")


def test_foreign_element_in_the_real_potential() -> None:
    batch = CrystalBatch.of([(4.05 * np.eye(3), np.zeros((1, 3)), [96]), *distorted(["Al"])])
    result = relax_batch(batch, load_potential(), FREE)
    assert "Cm" in result.errors[0]
    assert result.errors[1] is None
    assert result.converged.tolist() == [False, True]


def test_fault_of_the_potential_itself_is_not_swallowed() -> None:
    class Broken(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            return super().evaluate(batch, forces=False)

    with pytest.raises(TypeError, match="no forces"):
        relax_batch(fcc_batch((13, 29)), Broken(), FREE)


def test_atoms_on_top_of_each_other_harm_nobody_else() -> None:
    clash = (4.0 * np.eye(3), np.array([[0, 0, 0], [0, 0, 0.15]]), [41, 41])  # 0.6 A apart
    good = distorted(["Al", "NbC"], strain=0.01, rattle_A=0.02)
    batch = CrystalBatch.of([good.crystal(0), clash, good.crystal(1)])
    settings = RelaxSettings(max_steps=60)
    result = relax_batch(batch, load_potential(), settings)
    assert result.converged[[0, 2]].all()
    assert result.errors[1] is not None or not result.converged[1] or result.batch.volumes[1] > 20
    alone = relax_batch(good, load_potential(), settings)
    np.testing.assert_allclose(result.energies_eV[[0, 2]], alone.energies_eV, atol=1e-3)


@pytest.mark.parametrize("push", [-1.0, 1.0])
def test_exploding_or_collapsing_cell_is_given_up(push) -> None:
    class Pushes(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            forces = np.zeros((len(batch.atomic_numbers), 3))
            return Evaluation(np.zeros(len(batch)), forces, np.tile(push * np.eye(3), (len(batch), 1, 1)))

    result = relax_batch(fcc_batch((13,)), Pushes(), FREE)
    assert "the start is no crystal" in result.errors[0]
    assert not result.converged[0]


def test_batches_shrink_when_memory_runs_out() -> None:
    batch = fcc_batch(FACE, rattle=0.05)
    fake, done = FakePotential(max_atoms=9), []
    result = relax_batch(batch, fake, FREE, on_done=done.append)
    assert result.converged.all()
    assert sum(done) == 6
    plain = relax_batch(batch, FakePotential(), FREE)
    np.testing.assert_allclose(result.energies_eV, plain.energies_eV, atol=1e-9)
    np.testing.assert_array_equal(result.steps, plain.steps)
    too_large = [call for call in fake.calls if sum(call) > 9]
    assert len(too_large) <= 3  # it remembers


def test_crystal_too_large_for_the_memory_fails_alone() -> None:
    batch = CrystalBatch.of([fcc(13), fcc(29, cells=3), fcc(47)])
    result = relax_batch(batch, FakePotential(max_atoms=9), FREE)
    _only_the_second_fails(result, batch, "out of memory")


def test_pressure_shrinks_the_cell() -> None:
    batch = fcc_batch((13,), rattle=0.02)
    volumes = []
    for pressure in (-1.0, 0.0, 5.0, 20.0):
        result = relax_batch(batch, FakePotential(), FREE.model_copy(update={"pressure_GPa": pressure}))
        assert result.converged[0]
        volumes.append(result.batch.volumes[0])
        stress = FakePotential().evaluate(result.batch).stresses_eV_per_A3[0]
        assert -np.trace(stress) / 3 * 160.2177 == pytest.approx(pressure, abs=0.3)
    assert volumes == sorted(volumes, reverse=True)
    assert volumes[3] < 0.97 * volumes[1]


def test_cell_can_be_held() -> None:
    batch = fcc_batch((13, 29), rattle=0.08, strain=0.03)
    result = relax_batch(batch, FakePotential(), FREE.model_copy(update={"relax_cell": False}))
    np.testing.assert_allclose(result.batch.lattices, batch.lattices)
    assert result.converged.all()
    assert (result.energies_eV < FakePotential().evaluate(batch).energies_eV).all()


@pytest.mark.parametrize("optimizer", ["fire", "bfgs", "lbfgs"])
def test_every_optimiser_finds_the_same_minimum(optimizer) -> None:
    batch = fcc_batch((13, 29), rattle=0.05, strain=0.01)
    settings = RelaxSettings(keep_symmetry=False, optimizer=optimizer, fmax_eV_per_A=1e-3)
    result = relax_batch(batch, FakePotential(), settings)
    ground = FakePotential().evaluate(CrystalBatch.of([fcc(13)])).energies_eV[0]
    np.testing.assert_allclose(result.energies_eV, ground, atol=1e-4)


def test_nothing_to_relax() -> None:
    result = relax_batch(CrystalBatch.of([]), FakePotential())
    assert len(result.batch) == 0
    assert result.errors == []
    assert result.evaluations == 0


@pytest.mark.parametrize(
    "settings", [{"optimizer": "newton"}, {"fmax_eV_per_A": 0}, {"max_steps": -1}, {"max_crystals": 0}, {"fmax": 0.02}]
)
def test_senseless_settings(settings) -> None:
    with pytest.raises(ValidationError):
        RelaxSettings(**settings)
