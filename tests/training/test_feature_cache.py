import numpy as np
import pytest

from onnes.models import features
from onnes.models.features import FEATURE_POTENTIALS, crystal_features
from onnes.training import feature_cache
from onnes.training.feature_cache import cache_folder, cached_features, piece_key
from tests.potentials.fakes import FakePotential, fcc_batch


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    made = {name: FakePotential(name) for name in FEATURE_POTENTIALS}
    monkeypatch.setattr(features, "load_potential", lambda name, device="cpu": made[name])
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(feature_cache, "PIECE", 2)
    return made


BATCH = fcc_batch((13, 29, 47, 79, 28), rattle=0.05)


def _calls(fakes):
    return {name: sum(map(len, fake.calls)) for name, fake in fakes.items()}


def _same(one, other):
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.energies_eV_per_atom, other.energies_eV_per_atom)
    assert one.errors == other.errors
    np.testing.assert_array_equal(one.magmom_max_muB, other.magmom_max_muB)


def test_equal_to_the_features_without_a_cache(fakes) -> None:
    seen = []
    cached = cached_features(BATCH, on_rows=seen.append)
    assert sum(seen) == 5
    _same(cached, crystal_features(BATCH))


def test_computed_once(fakes) -> None:
    first = cached_features(BATCH)
    assert _calls(fakes) == {"sevennet-0": 5, "chgnet": 5}
    _same(cached_features(BATCH), first)
    assert _calls(fakes) == {"sevennet-0": 5, "chgnet": 5}


def test_order_of_potentials_needs_nothing_new(fakes) -> None:
    both = cached_features(BATCH)
    turned = cached_features(BATCH, FEATURE_POTENTIALS[::-1])
    half = both.values.shape[1] // 2
    np.testing.assert_array_equal(turned.values[:, :half], both.values[:, half:])
    assert _calls(fakes)["chgnet"] == 5


def test_goes_on_where_it_was_stopped(fakes) -> None:
    def stop(_rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(BATCH, on_rows=stop)
    assert _calls(fakes) == {"sevennet-0": 2, "chgnet": 2}
    result = cached_features(BATCH)
    assert _calls(fakes) == {"sevennet-0": 5, "chgnet": 5}
    assert result.values[:, 0].tolist() == [13, 29, 47, 79, 28]


def test_changed_crystal_is_computed_again(fakes) -> None:
    cached_features(BATCH)
    cached_features(fcc_batch((13, 29, 47, 79, 28), rattle=0.06))
    assert _calls(fakes)["sevennet-0"] == 10


def test_errors_are_kept(fakes) -> None:
    fakes["chgnet"].raises_for = {29}
    for _ in range(2):
        result = cached_features(BATCH)
        assert [e is None for e in result.errors] == [True, False, True, True, True]
        assert "ValueError" in result.errors[1]
        assert np.isnan(result.values[1]).any()


def test_key_names_crystals_and_potential() -> None:
    one, other = BATCH.select([0, 1]), BATCH.select([1, 0])
    keys = {piece_key(one, "sevennet-0"), piece_key(one, "chgnet"), piece_key(other, "chgnet")}
    assert len(keys) == 3
    assert piece_key(BATCH.select([0, 1]), "chgnet") == piece_key(one, "chgnet")


def test_no_half_written_piece_is_left(fakes) -> None:
    cached_features(BATCH)
    files = sorted(path.name for path in (cache_folder() / "features").iterdir())
    assert len(files) == 6
    assert all(name.endswith(".npz") for name in files)


def test_nothing(fakes) -> None:
    result = cached_features(BATCH.select([]))
    assert result.values.shape == (0, 24)
    assert result.errors == []
