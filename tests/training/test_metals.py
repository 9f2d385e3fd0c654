import numpy as np
import pyarrow as pa
import pytest

from onnes.models.features import CrystalFeatures
from onnes.training import metals
from onnes.training.data import bucket
from onnes.training.metals import fit_metal, load_metal_data, score_metal
from tests.training.made_up import metal_data, metal_recipe


@pytest.fixture(scope="module")
def data():
    return metal_data(800)


@pytest.fixture(scope="module")
def model(data):
    return fit_metal(data, data.training, metal_recipe())


def test_learns_what_a_metal_is(data, model) -> None:
    s = score_metal(model, data, data.validation)
    assert s["auc"] > 0.93
    assert s["precision"] > 0.8
    assert s["recall"] > 0.8
    assert s["n"] == data.validation.sum()
    assert (model.name, model.potentials, model.heads.n_members) == ("made-up", ("sevennet-0",), 2)
    assert s["share_of_metals"] == pytest.approx(data.is_metal[data.validation].mean())


def test_lower_threshold_loses_fewer_metals(data, model) -> None:
    low, high = (score_metal(model, data, data.validation, threshold=t) for t in (0.2, 0.8))
    assert low["recall"] >= high["recall"]
    assert low["precision"] <= high["precision"]
    assert low["auc"] == high["auc"]


def test_labels_are_read(monkeypatch) -> None:
    cubic = [4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0]
    n = 6
    table = pa.table(
        {
            "lattice": [cubic] * n,
            "frac_coords": [[0.0, 0, 0]] * n,
            "atomic_numbers": [[z] for z in range(11, 11 + n)],
            "reduced_formula": ["Na", "Mg", "Al", "Si", "P", "S"],
            "band_gap_eV": [0.0, 0.04, 0.06, 0.6, None, 0.0],
            "duplicate_id": [False, False, False, False, False, True],
        }
    )
    asked = []

    def features(batch, *_, **__):
        asked.extend(batch.atomic_numbers.tolist())
        errors = [None, None, "features failed", None]
        first = np.arange(4, dtype=np.float32)[:, None]
        return CrystalFeatures({"sevennet-0": first, "chgnet": 10 * first}, np.zeros(4), np.zeros(4), errors)

    monkeypatch.setattr(metals, "read_data", lambda name: table)
    monkeypatch.setattr(metals, "cached_features", features)
    data = load_metal_data(("chgnet", "sevennet-0"))
    assert asked == [11, 12, 13, 14]  # neither the unknown gap nor the duplicate
    assert data.is_metal.tolist() == [True, True, False]
    assert data.features.tolist() == [[0, 0], [10, 1], [30, 3]]  # and not the one that failed
    assert data.potentials == ("chgnet", "sevennet-0")
    assert data.buckets.tolist() == [bucket(f) for f in ("Na", "Mg", "Si")]
