import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.potentials.evaluation import evaluate_each
from tests.potentials.fakes import FakePotential, fcc, fcc_batch


@pytest.fixture
def batch():
    sizes = (2, 1, 3, 1, 2, 1)
    return CrystalBatch.of(fcc(z, cells=n, rattle=0.05, seed=z) for z, n in zip(range(20, 26), sizes, strict=True))


def test_equal_to_one_call_in_the_order_of_the_input(batch) -> None:
    done = []
    found, errors = evaluate_each(batch, FakePotential(), max_atoms=9, on_done=done.append)
    plain = FakePotential().evaluate(batch)
    np.testing.assert_allclose(found.energies_eV, plain.energies_eV)
    np.testing.assert_allclose(found.forces_eV_per_A, plain.forces_eV_per_A)
    np.testing.assert_allclose(found.stresses_eV_per_A3, plain.stresses_eV_per_A3)
    assert errors == [None] * 6
    assert sum(done) == 6


def test_energies_alone(batch) -> None:
    found, _ = evaluate_each(batch, FakePotential(), forces=False)
    assert found.forces_eV_per_A is None
    np.testing.assert_allclose(found.energies_eV, FakePotential().evaluate(batch).energies_eV)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"raises_for": [22]}, "ValueError: an element that makes the whole call fail"),
        ({"nan_for": [22]}, "ValueError: the potential gave a value that is not finite"),
        ({"max_atoms": 10}, "RuntimeError: CUDA out of memory"),
    ],
)
def test_one_failure_harms_nobody_else(batch, faults, message) -> None:
    found, errors = evaluate_each(batch, FakePotential(**faults))
    assert errors[2].startswith(message)
    assert [error for i, error in enumerate(errors) if i != 2] == [None] * 5
    failed = np.isnan(found.energies_eV)
    assert failed.tolist() == [False, False, True, False, False, False]
    assert np.isnan(found.forces_eV_per_A).any(axis=1).tolist() == failed[batch.owners].tolist()


def test_batches_shrink_when_memory_runs_out() -> None:
    fake = FakePotential(max_atoms=9)
    _, errors = evaluate_each(fcc_batch((29,) * 8), fake, max_atoms=16)
    assert errors == [None] * 8
    assert [sum(call) for call in fake.calls].count(16) == 1  # and it remembers


def test_foreign_element() -> None:
    done = []
    found, errors = evaluate_each(CrystalBatch.of([fcc(13), fcc(96)]), FakePotential(), on_done=done.append)
    assert errors == [None, "ModelError: fake does not know the element Cm"]
    assert np.isfinite(found.energies_eV).tolist() == [True, False]
    assert sum(done) == 2


def test_potential_without_stresses_is_a_mistake(batch) -> None:
    class Broken(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            return super().evaluate(batch, forces=False)

    with pytest.raises(TypeError, match="no forces"):
        evaluate_each(batch, Broken())


def test_nothing() -> None:
    found, errors = evaluate_each(CrystalBatch.of([]), FakePotential())
    assert found.energies_eV.shape == (0,)
    assert errors == []
