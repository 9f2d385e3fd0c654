import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ModelError
from onnes.models import features as module
from onnes.models.features import crystal_features, pooled
from onnes.potentials.potential import load_potential
from tests.potentials.distorted import distorted
from tests.potentials.fakes import FakePotential, fcc, fcc_batch

NAMES = ["MgB2", "NbN", "TiBe2"]
POTENTIALS = ("sevennet-0", "chgnet")


@pytest.fixture(scope="module")
def batch():
    return distorted(NAMES, strain=0.02, rattle_A=0.03)


@pytest.fixture(scope="module")
def result(batch):
    return crystal_features(batch, POTENTIALS)


@pytest.fixture
def fakes(monkeypatch):
    made = {}

    def make(*, faults=None):
        for name in POTENTIALS:
            made[name] = FakePotential(name, **(faults or {}))
        monkeypatch.setattr(module, "load_potential", lambda name, device="cpu": made[name])
        return made

    return make


def test_pooling() -> None:
    atoms = np.array([[1.0, 10.0], [3.0, 10.0]], np.float32)
    assert pooled(atoms).tolist() == [2, 10, 1, 0]  # mean, standard deviation


def test_pooling_of_many_crystals_is_that_of_each() -> None:
    atoms = np.random.default_rng(0).normal(5, 2, (9, 4)).astype(np.float32)
    offsets = np.array([0, 1, 5, 9])
    together = pooled(atoms, offsets)
    assert together.dtype == np.float32
    assert together.shape == (3, 8)
    for row, start, stop in zip(together, offsets[:-1], offsets[1:], strict=True):
        np.testing.assert_allclose(row, pooled(atoms[start:stop]), rtol=1e-5, atol=1e-6)
    assert together[0, 4:].tolist() == [0] * 4  # one atom


def test_columns_are_those_of_the_potentials(batch, result) -> None:
    assert {name: block.shape for name, block in result.values.items()} == {
        "sevennet-0": (3, 2 * 1024), "chgnet": (3, 2 * 64)
    }  # fmt: skip
    assert all(block.dtype == np.float32 for block in result.values.values())
    assert result.errors == [None] * 3
    sevennet = load_potential("sevennet-0").evaluate(batch, forces=False, features=True)
    owned = batch.owners == 1
    np.testing.assert_allclose(result.values["sevennet-0"][1], pooled(sevennet.features[owned]), atol=1e-3)
    np.testing.assert_allclose(result.energies_eV_per_atom, sevennet.energies_eV / batch.n_atoms, atol=1e-5)
    assert (result.magmom_max_muB < 0.3).all()


def test_features_of_some_potentials_side_by_side(result) -> None:
    turned = result.of(("chgnet", "sevennet-0"))
    np.testing.assert_array_equal(turned[:, :128], result.values["chgnet"])
    np.testing.assert_array_equal(turned[:, 128:], result.values["sevennet-0"])
    np.testing.assert_array_equal(result.of(["chgnet"]), result.values["chgnet"])
    with pytest.raises(KeyError):
        result.of(["sevennet-l3i5"])


def test_one_potential_alone(batch, result) -> None:
    alone = crystal_features(batch, ("chgnet",))
    assert list(alone.values) == ["chgnet"]
    np.testing.assert_allclose(alone.values["chgnet"], result.values["chgnet"], atol=2e-4)
    without = crystal_features(batch, ("sevennet-0",))
    assert np.isnan(without.magmom_max_muB).all()


def _transformed(batch, change):
    return CrystalBatch.from_structures(change(structure) for structure in batch.to_structures())


def _permuted(structure):
    order = np.random.default_rng(3).permutation(len(structure))
    return type(structure).from_sites([structure[int(i)] for i in order])


def _shifted(structure):
    return structure.copy().translate_sites(range(len(structure)), [0.31, 0.17, 0.55])


@pytest.mark.parametrize(
    "change", [_permuted, lambda s: s * (2, 1, 1), lambda s: _permuted(s * (1, 1, 2)), _shifted],
    ids=["permuted", "supercell", "permuted supercell", "shifted"],
)  # fmt: skip
def test_same_crystal_same_features(batch, result, change) -> None:
    other = crystal_features(_transformed(batch, change), POTENTIALS)
    np.testing.assert_allclose(other.of(POTENTIALS), result.of(POTENTIALS), atol=2e-3)
    np.testing.assert_allclose(other.energies_eV_per_atom, result.energies_eV_per_atom, atol=1e-5)


def test_different_crystals_differ(result) -> None:
    for block in result.values.values():
        assert np.abs(block[0] - block[1]).max() > 0.5


def test_crystals_are_put_back_in_order(fakes) -> None:
    made = fakes()
    batch = CrystalBatch.of([fcc(79, cells=3), fcc(13), fcc(47, cells=2), *fcc_batch(range(20, 40))])
    seen = []
    result = crystal_features(batch, POTENTIALS, on_rows=seen.append)
    for block in result.values.values():
        assert block[:, 0].tolist() == [79, 13, 47, *range(20, 40)]  # the fake's first feature is Z
    assert sum(seen) == len(batch)
    assert max(sum(call) for call in made["sevennet-0"].calls) <= 96
    assert max(map(len, made["sevennet-0"].calls)) <= 16


def test_one_bad_crystal_spoils_only_itself(fakes) -> None:
    fakes(faults={"raises_for": [29]})
    result = crystal_features(fcc_batch((13, 29, 47, 79)), POTENTIALS)
    assert result.errors[0] is result.errors[2] is result.errors[3] is None
    assert "ValueError: an element that makes the whole call fail" in result.errors[1]
    assert np.isnan(result.of(POTENTIALS)).all(1).tolist() == [False, True, False, False]
    assert np.isnan(result.energies_eV_per_atom).tolist() == [False, True, False, False]
    np.testing.assert_array_equal(result.values["chgnet"][[0, 2, 3], 0], [13, 47, 79])


def test_energies_are_those_of_the_first_potential(fakes) -> None:
    made = fakes()
    made["chgnet"].offset_eV = 5.0
    batch = fcc_batch((13, 29))
    first = crystal_features(batch, POTENTIALS).energies_eV_per_atom
    np.testing.assert_allclose(crystal_features(batch, POTENTIALS[::-1]).energies_eV_per_atom, first + 5)


@pytest.mark.parametrize("faulty", POTENTIALS)
def test_features_that_are_not_finite_are_an_error(fakes, faulty) -> None:
    made = fakes()
    plain = made[faulty].evaluate

    def evaluate(batch, *, forces=True, features=False):
        out = plain(batch, forces=forces, features=features)
        out.features[batch.atomic_numbers == 29] = np.inf
        return out

    made[faulty].evaluate = evaluate
    result = crystal_features(fcc_batch((13, 29)), POTENTIALS)
    assert result.errors[0] is None
    assert "not finite" in result.errors[1]


def test_element_that_no_potential_knows() -> None:
    batch = CrystalBatch.of([(4 * np.eye(3), np.zeros((1, 3)), [100]), (4.05 * np.eye(3), np.zeros((1, 3)), [13])])
    seen = []
    result = crystal_features(batch, ("chgnet",), on_rows=seen.append)
    assert "Z = 100" in result.errors[0]
    assert result.errors[1] is None
    assert np.isfinite(result.values["chgnet"][1]).all()
    assert sum(seen) == 2


def test_nothing() -> None:
    result = crystal_features(CrystalBatch.of([]), POTENTIALS)
    assert result.of(POTENTIALS).shape == (0, 2 * (1024 + 64))
    assert result.errors == []


def test_unknown_potential() -> None:
    with pytest.raises(ModelError):
        crystal_features(CrystalBatch.of([]), ("mace",))
