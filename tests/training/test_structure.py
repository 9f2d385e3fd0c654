from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pymatgen.core import Element

from onnes.models.features import CrystalFeatures
from onnes.models.superconductivity import TARGETS
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training import structure
from onnes.training.data import bucket
from onnes.training.structure import calibrate, fit_structure, load_structure_data, score, tree_baseline
from tests.training.made_up import QUICK, structure_data


@pytest.fixture(scope="module")
def data():
    return structure_data(800)


@pytest.fixture(scope="module")
def model(data):
    return fit_structure(data, data.training, QUICK)


def test_split_goes_by_formula(data) -> None:
    assert not (data.training & data.validation).any()
    assert 0.7 < data.training.mean() < 0.9
    for group in np.unique(data.groups):
        assert len(np.unique(data.training[data.groups == group])) == 1


def test_model_learns_lambda_and_tc(data, model) -> None:
    rows = data.validation
    found = model.predict(data.features[rows])
    s = score(found["lambda_"], found["omega_log_K"], found["tc_K"], data, rows)
    assert s.n == rows.sum()
    assert s.tc_r2 > 0.85
    assert s.lambda_mae < 0.1
    assert s.omega_log_mae_K < 25
    assert model.heads.targets == TARGETS
    assert model.elements == data.elements


def test_domain_knows_the_training_rows(data, model) -> None:
    assert (model.predict(data.features[data.training])["domain_distance"] < 1).mean() > 0.98
    assert (model.predict(data.features[:10] + 8)["domain_distance"] > 1).all()


def test_calibrated_interval_covers_ninety_percent() -> None:
    data = structure_data(3000, noise=0.25, seed=3)
    model = fit_structure(data, np.arange(3000) < 1000, QUICK.model_copy(update={"epochs": 8}))
    interval = calibrate(model, data, (np.arange(3000) >= 1000) & (np.arange(3000) < 2000))
    assert interval[1] == pytest.approx(0.25, abs=0.15)  # the floor is about the noise
    fresh = np.arange(3000) >= 2000
    found = replace(model, interval=interval).predict(data.features[fresh])
    ln, width = np.log(found["lambda_"]), interval[0]
    spread = model.heads.predict(data.features[fresh])["ln_lambda"].std(0)
    inside = np.abs(ln - np.log(data.lambda_[fresh])) <= width * np.sqrt(spread**2 + interval[1] ** 2)
    assert 0.86 < inside.mean() < 0.94
    uncalibrated = np.abs(ln - np.log(data.lambda_[fresh])) <= 1.645 * spread
    assert uncalibrated.mean() < 0.8  # the members alone are far too sure of themselves


def test_score_by_hand(data) -> None:
    rows = np.zeros(len(data.tc_K), bool)
    rows[:4] = True
    targets = np.tile(np.log([1.0, 100.0, 1.0, 1.0, 1.0]), (800, 1))
    made = replace(data, tc_K=np.array([1.0, 2.0, 8.0, 9.0] + [0.0] * 796), targets=targets)
    s = score(
        np.array([1.1, 0.9, 1.0, 1.2]), np.array([100.0, 110, 90, 100]), np.array([1.0, 6.0, 8.0, 4.0]), made, rows
    )
    assert s.lambda_mae == pytest.approx(0.1)
    assert s.omega_log_mae_K == pytest.approx(5.0)
    assert s.tc_mae_K == pytest.approx((0 + 4 + 0 + 5) / 4)
    assert s.tc_r2 == pytest.approx(1 - 41 / 50)
    assert (s.precision_5K, s.tpr_5K, s.tnr_5K, s.n) == (0.5, 0.5, 0.5, 4)


def test_score_when_nothing_is_hot(data) -> None:
    rows = np.arange(len(data.tc_K)) < 4
    made = replace(data, tc_K=np.array([1.0, 2.0, 3.0, 4.0] + [0.0] * 796))
    s = score(np.ones(4), np.ones(4), np.ones(4), made, rows)
    assert (s.precision_5K, s.tpr_5K, s.tnr_5K) == (0.0, 0.0, 1.0)


def test_tree_baseline_learns_and_is_deterministic(data) -> None:
    lam, log_K, tc = tree_baseline(data, data.training)
    rows = data.validation
    assert score(lam[rows], log_K[rows], tc[rows], data, rows).tc_r2 > 0.6
    np.testing.assert_allclose(tc, allen_dynes_tc_K(lam, log_K))
    assert lam.shape == (800,)


def _file(formulas, **columns):
    """A data file of cubic crystals of one atom."""
    n = len(formulas)
    return pa.table(
        {
            "lattice": [[4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0]] * n,
            "frac_coords": [[0.0, 0.0, 0.0]] * n,
            "atomic_numbers": [[Element(formula).Z] for formula in formulas],
            "reduced_formula": formulas,
            **columns,
        }
    )


@pytest.fixture
def files(monkeypatch):
    tables = {
        "epc_dft_alexandria": _file(
            ["Al", "Nb"], lambda_=[0.5, 1.0], omega_log_K=[300.0, 160.0], omega2_inferred_K=[330.0, None],
            dos_ef_states_per_eV=[0.4, -0.1], debye_K=[400.0, 275.0], tc_K=[3.5, 11.0],
        ),
        "epc_dft_jarvis3d": _file(
            ["Nb", "Pb", "V"], lambda_=[1.1, 1.2, 0.9], omega_log_K=[150.0, 60.0, 200.0], tc_K=[99.0, 99.0, 99.0],
            in_leaderboard_tc_benchmark=[True, True, False], label_physical=[True, True, True],
        ),
    }  # fmt: skip
    failing = set()

    def features(batch, *_, **__):
        z = batch.atomic_numbers.astype(np.float32)[:, None]
        z[np.isin(batch.atomic_numbers, list(failing))] = np.nan
        n = len(batch)
        return CrystalFeatures(z, np.zeros(n), np.zeros(n), ["failed" if np.isnan(v) else None for v in z[:, 0]])

    monkeypatch.setattr(structure, "read_data", tables.__getitem__)
    monkeypatch.setattr(structure, "cached_features", features)
    return failing


def test_labels_are_read(files) -> None:
    data = load_structure_data()
    assert data.features.ravel().tolist() == [13, 41, 41, 82]  # two of the first file, the stable ones of the second
    assert data.scored.tolist() == [True, True, False, False]
    np.testing.assert_allclose(data.targets[0], np.log([0.5, 300, 330 / 300, 0.4, 400]))
    np.testing.assert_allclose(data.targets[1, [0, 1, 4]], np.log([1.0, 160, 275]))
    assert np.isnan(data.targets[1, 2:4]).all()  # no omega2, and a negative density of states is no label
    assert np.isnan(data.targets[2:, 2:]).all()
    assert data.buckets.tolist() == [bucket(f) for f in ("Al", "Nb", "Nb", "Pb")]
    assert data.groups[1] == data.groups[2]
    assert len(set(data.groups.tolist())) == 3
    assert data.elements == {13, 41, 82}


def test_tc_of_the_second_file_is_recomputed(files) -> None:
    data = load_structure_data()
    assert data.tc_K[:2].tolist() == [3.5, 11.0]
    np.testing.assert_allclose(data.tc_K[2:], allen_dynes_tc_K([1.1, 1.2], [150.0, 60.0]))
    np.testing.assert_allclose(data.lambda_, [0.5, 1.0, 1.1, 1.2])
    np.testing.assert_allclose(data.omega_log_K, [300, 160, 150, 60])


def test_only_scored_rows_validate(data) -> None:
    none = replace(data, scored=np.zeros(len(data.tc_K), bool))
    assert data.validation.any()
    assert not none.validation.any()
    np.testing.assert_array_equal(none.training, data.training)


def test_crystal_without_features_is_no_training_row(files) -> None:
    files.add(13)
    data = load_structure_data()
    assert np.isfinite(data.features).all()
    np.testing.assert_allclose(data.lambda_, [1.0, 1.1, 1.2])
    assert data.scored.tolist() == [True, False, False]
    assert len(data.tc_K) == len(data.buckets) == len(data.groups) == 3
