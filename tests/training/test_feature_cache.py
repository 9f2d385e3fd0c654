import numpy as np
import pytest

from onnes.models import features
from onnes.models.features import crystal_features
from onnes.training import feature_cache
from onnes.training.feature_cache import cache_folder, cached_features, piece_key
from tests.potentials.fakes import FakePotential, fcc_batch

POTENTIALS = ("sevennet-0", "chgnet")


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    made = {name: FakePotential(name) for name in POTENTIALS}
    monkeypatch.setattr(features, "load_potential", lambda name, device="cpu": made[name])
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "PIECE", 2)
    return made


BATCH = fcc_batch((13, 29, 47, 79, 28), rattle=0.05)


def _calls(fakes):
    return {name: sum(map(len, fake.calls)) for name, fake in fakes.items()}


def _same(one, other):
    assert list(one.values) == list(other.values)
    np.testing.assert_array_equal(one.of(list(one.values)), other.of(list(one.values)))
    np.testing.assert_array_equal(one.energies_eV_per_atom, other.energies_eV_per_atom)
    assert one.errors == other.errors
    np.testing.assert_array_equal(one.magmom_max_muB, other.magmom_max_muB)


def test_equal_to_the_features_without_a_cache(fakes) -> None:
    seen = []
    cached = cached_features(BATCH, POTENTIALS, on_rows=seen.append)
    assert sum(seen) == 5
    _same(cached, crystal_features(BATCH, POTENTIALS))


def test_computed_once(fakes) -> None:
    first = cached_features(BATCH, POTENTIALS)
    assert _calls(fakes) == {"sevennet-0": 5, "chgnet": 5}
    _same(cached_features(BATCH, POTENTIALS), first)
    assert _calls(fakes) == {"sevennet-0": 5, "chgnet": 5}


def test_order_of_potentials_needs_nothing_new(fakes) -> None:
    fakes["chgnet"].offset_eV = 1.0
    both = cached_features(BATCH, POTENTIALS)
    turned = cached_features(BATCH, POTENTIALS[::-1])
    assert list(turned.values) == list(POTENTIALS[::-1])
    for name in POTENTIALS:
        np.testing.assert_array_equal(turned.values[name], both.values[name])
    np.testing.assert_array_equal(turned.energies_eV_per_atom, both.energies_eV_per_atom + 1)  # of the first one named
    assert _calls(fakes)["chgnet"] == 5


def test_goes_on_where_it_was_stopped(fakes) -> None:
    def stop(_rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(BATCH, POTENTIALS, on_rows=stop)
    assert _calls(fakes) == {"sevennet-0": 2, "chgnet": 2}
    result = cached_features(BATCH, POTENTIALS)
    assert _calls(fakes) == {"sevennet-0": 5, "chgnet": 5}
    assert result.values["chgnet"][:, 0].tolist() == [13, 29, 47, 79, 28]


def test_changed_crystal_is_computed_again(fakes) -> None:
    cached_features(BATCH, POTENTIALS)
    cached_features(fcc_batch((13, 29, 47, 79, 28), rattle=0.06), POTENTIALS)
    assert _calls(fakes)["sevennet-0"] == 10


def test_errors_are_kept(fakes) -> None:
    fakes["chgnet"].raises_for = {29}
    for _ in range(2):
        result = cached_features(BATCH, POTENTIALS)
        assert [e is None for e in result.errors] == [True, False, True, True, True]
        assert "ValueError" in result.errors[1]
        assert np.isnan(result.values["chgnet"][1]).all()


def test_key_names_crystals_and_potential() -> None:
    one, other = BATCH.select([0, 1]), BATCH.select([1, 0])
    keys = {piece_key(one, "sevennet-0"), piece_key(one, "chgnet"), piece_key(other, "chgnet")}
    assert len(keys) == 3
    assert piece_key(BATCH.select([0, 1]), "chgnet") == piece_key(one, "chgnet")


def test_other_version_of_the_features_is_computed_again(fakes, monkeypatch) -> None:
    cached_features(BATCH, POTENTIALS)
    before = piece_key(BATCH, "chgnet")
    monkeypatch.setattr(feature_cache, "_VERSION", "made up")
    assert piece_key(BATCH, "chgnet") != before
    cached_features(BATCH, POTENTIALS)
    assert _calls(fakes) == {"sevennet-0": 10, "chgnet": 10}


def test_moments_come_from_whoever_knows_them(fakes) -> None:
    plain = fakes["chgnet"].evaluate

    def evaluate(batch, *, forces=True, features=False):
        out = plain(batch, forces=forces, features=features)
        object.__setattr__(out, "magmoms_muB", np.where(batch.atomic_numbers == 28, 0.6, 0.0))
        return out

    fakes["chgnet"].evaluate = evaluate
    for potentials in (POTENTIALS, POTENTIALS[::-1]):
        assert cached_features(BATCH, potentials).magmom_max_muB.tolist() == [0, 0, 0, 0, 0.6]
    assert np.isnan(cached_features(BATCH, ("sevennet-0",)).magmom_max_muB).all()


def test_no_half_written_piece_is_left(fakes) -> None:
    cached_features(BATCH, POTENTIALS)
    files = sorted(path.name for path in (cache_folder() / "features").iterdir())
    assert len(files) == 6
    assert all(name.endswith(".npz") for name in files)


def test_nothing(fakes) -> None:
    result = cached_features(BATCH.select([]), POTENTIALS)
    assert result.of(POTENTIALS).shape == (0, 12)
    assert result.errors == []
