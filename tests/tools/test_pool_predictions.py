import numpy as np
import pytest

from onnes.crystals.known import known_table
from onnes.crystals.schema import values, with_columns
from onnes.models.experimental import load_experimental_model
from onnes.tools import pool_predictions as module
from onnes.tools.pool_predictions import predict_candidates
from onnes.tools.result import CrystalTable
from onnes.training.benchmarks.rediscovery import Candidates
from onnes.training.benchmarks.unseen_systems import UnseenModel
from onnes.training.experimental import fit_experimental
from tests.training.test_experimental import QUICK, QUICK_CLASSES, made_up_data

NAMES = ["Nb3Sn", "NbN", "MgB2", "Al"]


@pytest.fixture(scope="module")
def measured():
    return made_up_data(200, crystals=False)


@pytest.fixture
def asked(monkeypatch, tmp_path, measured):
    """Models in the place of trained ones; what they were asked for."""
    log = {"systems": [], "predicted": []}
    short = QUICK.model_copy(update={"epochs": 2})
    fitted = fit_experimental(measured, measured.buckets < 80, short, classifier_settings=QUICK_CLASSES)
    folders = {name: tmp_path / name for name in ("structure", "metal", "experimental")}
    for folder in folders.values():
        fitted.save(folder, {}, "card")

    def unseen(name):
        def train(*given, **_):
            log["systems"] += [given[-1]] if given else []
            return UnseenModel(folders[name], 10, 1)

        return train

    def predict(table, *, model, metal_model, **_):
        log["predicted"].append((table, model, metal_model))
        return with_columns(table, {"tc_K": np.arange(4.0)})

    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    (tmp_path / "unseen-systems").mkdir()
    for name in folders:
        monkeypatch.setattr(module, f"unseen_{name}", unseen(name))
    monkeypatch.setattr(module, "load_experimental_data", lambda: measured)
    monkeypatch.setattr(module, "predict_table", predict)
    monkeypatch.setattr(
        module, "hull", lambda table, **_: CrystalTable(with_columns(table, {"e_above_hull_eV_per_atom": np.zeros(4)}))
    )
    return log | {"folders": folders}


def candidates(scale=1.0):
    table = known_table(NAMES).select(["lattice", "frac_coords", "atomic_numbers", "reduced_formula"])
    lattice = [[scale * x for x in row] for row in values(table, "lattice")]
    systems = np.array(["Nb-Sn", "N-Nb", "B-Mg", "Al"])
    return Candidates(with_columns(table, {"lattice": lattice}), np.array([18.0, 16.0, np.nan, np.nan]), systems)


def test_systems_of_all_candidates_are_left_out_and_no_answer_is_kept(asked) -> None:
    found = predict_candidates(candidates())
    assert asked["systems"] == [["Al", "B-Mg", "N-Nb", "Nb-Sn"]] * 2  # hidden or not, for both models
    table, model, metal_model = asked["predicted"][0]
    assert (model, metal_model) == tuple(str(asked["folders"][name]) for name in ("structure", "metal"))
    assert values(table, "reduced_formula") == NAMES
    assert set(values(table, "source")) == {"pool"}
    assert values(found.table, "tc_K") == [0, 1, 2, 3]
    assert found.candidates.tc_K[0] == 18
    assert not any(
        18.0 in column.to_pylist() for column in found.table.columns if not str(column.type).startswith("list")
    )


def test_columns_of_the_other_models(asked) -> None:
    found = predict_candidates(candidates())
    said = load_experimental_model(str(asked["folders"]["experimental"])).predict(NAMES)
    for name, column in said.items():
        assert values(found.table, name) == column.tolist()
    share, tc = (np.array(values(found.table, name)) for name in module.NEAREST)
    assert ((share >= 0) & (share <= 1)).all()
    assert (tc > 0).all()


def test_predictions_are_kept_for_the_same_crystals_and_weights(asked) -> None:
    first = predict_candidates(candidates())
    assert predict_candidates(candidates()).table.equals(first.table)
    assert len(asked["predicted"]) == 1
    predict_candidates(candidates(scale=1.01))
    assert len(asked["predicted"]) == 2
