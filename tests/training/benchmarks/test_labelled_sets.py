import numpy as np
import pytest

from onnes.training import metals
from onnes.training import superconductivity as training
from onnes.training.benchmarks import labelled_sets as module
from onnes.training.benchmarks.labelled_sets import hull_sets, metal_set, tc_set
from onnes.training.benchmarks.stability_data import Formation
from onnes.training.data import buckets
from tests.training.made_up import QUICK, electron_phonon_data, metal_data, metal_recipe, recipe


def test_metals_are_scored_by_models_that_never_saw_them(monkeypatch) -> None:
    data = metal_data(500, width=8)
    monkeypatch.setattr(metals, "load_metal_data", lambda *_, **__: data)
    monkeypatch.setattr(module, "read_recipe", lambda _: metal_recipe())
    fitted = []
    fit = metals.fit_metal
    monkeypatch.setattr(metals, "fit_metal", lambda d, rows, r: fitted.append(rows) or fit(d, rows, r))
    found = metal_set()
    np.testing.assert_array_equal(found.truth, data.is_metal[data.validation])
    assert len(fitted) == 6
    np.testing.assert_array_equal(fitted[0], data.training)
    for fold, rows in enumerate(fitted[1:]):
        np.testing.assert_array_equal(rows, data.training & (data.buckets % 5 != fold))
    assert np.isfinite(found.chosen_score).all()
    assert len(found.chosen_score) == data.training.sum()
    assert (found.score[found.truth].mean() - found.score[~found.truth].mean()) > 0.3
    assert f"{data.validation.sum()} crystals" in found.label


def test_hot_crystals_are_scored_by_models_that_never_saw_them(monkeypatch) -> None:
    data = electron_phonon_data(600, noise=0.1)
    quick = recipe(name="quick", heads=QUICK.model_copy(update={"members": 2, "epochs": 6}))
    monkeypatch.setattr(module, "superconductivity_recipe", lambda _: quick)
    monkeypatch.setattr(training, "load_data", lambda *_, **__: data)
    found = tc_set("quick")
    np.testing.assert_array_equal(found.truth, data.tc_K[data.validation] > 5)
    assert len(found.chosen_truth) == data.training.sum()
    assert found.chosen_truth.sum() == (data.tc_K[data.training] > 5).sum()
    assert found.score[found.truth].mean() > found.score[~found.truth].mean()


def formation(n, *, error, seed=0):
    """Compounds of one binary each, so that the elements alone compete; the potential is off by a constant."""
    dft = np.random.default_rng(seed).uniform(-0.3, 0.3, n)
    elements = ["Al", "Mg", "Nb", "Ti", "V", "Zr", "Ni", "Cu", "Fe", "Co"]
    pairs = [f"{a}{i}{b}" for i in range(1, 40) for a in elements for b in elements if a < b]
    formulas = pairs[:n]
    return Formation(
        formulas, buckets(formulas), dft, dft + error, ("Al",), np.zeros((n, 1)), np.ones(n, bool)
    )  # fmt: skip


def test_stable_crystals_by_both_energies(monkeypatch) -> None:
    known = formation(900, error=0.0)
    new = formation(900, error=0.02, seed=1)
    monkeypatch.setattr(module, "mp_formation", lambda *_, **__: known)
    monkeypatch.setattr(module, "unseen_formation", lambda *_, **__: new)
    mp, wbm = hull_sets("sevennet-0")
    assert mp.truth.shape == (np.isin(known.buckets, range(80, 90)).sum(),)
    np.testing.assert_array_equal(mp.truth, -mp.score <= 0.05)  # the energies are the same
    assert mp.truth.mean() == pytest.approx(wbm.chosen_truth.mean(), abs=0.15)
    assert 0 < mp.truth.sum() < len(mp.truth)
    assert len(wbm.truth) == 900
    assert (wbm.truth & (-wbm.score > 0.05)).sum() > 0  # 20 meV/atom too high: some stable ones are missed
    assert ((~wbm.truth) & (-wbm.score <= 0.05)).sum() == 0
