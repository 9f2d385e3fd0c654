from dataclasses import replace

import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.models.superconductivity import N_ELECTRONIC, TARGETS, TC_THRESHOLD_K, Calibration
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training import superconductivity as training
from onnes.training.superconductivity import (
    CrossPrediction,
    calibrate,
    conformal_quantile,
    coverage,
    cross_predict,
    fit_probability_scale,
    fit_superconductivity,
    load_data,
    predict_rows,
    score,
    threshold_at,
    threshold_in_folds,
    tree_baseline,
    usable,
)
from tests.training.made_up import POTENTIALS, QUICK, electron_phonon_data, recipe

BRIEF = QUICK.model_copy(update={"members": 2, "epochs": 4})
ELECTRONIC = recipe(potentials=POTENTIALS, electronic=True, electronic_gain=8.0, fallback="structure", heads=BRIEF)


@pytest.fixture(scope="module")
def data():
    return electron_phonon_data(800)


@pytest.fixture(scope="module")
def model(data):
    return fit_superconductivity(data, data.training, recipe())


def test_model_learns_lambda_and_tc(data, model) -> None:
    rows = data.validation
    s = score(predict_rows(model, data, rows), data, rows)
    assert s.n == rows.sum()
    assert s.tc_r2 > 0.85
    assert s.lambda_mae < 0.1
    assert s.omega_log_mae_K < 25
    assert s.threshold_K == 5.0
    assert model.heads.targets == TARGETS
    assert model.elements == data.elements
    assert (model.name, model.potentials, model.electronic) == ("made-up", ("sevennet-0",), False)


def test_domain_knows_the_training_rows(data, model) -> None:
    assert (predict_rows(model, data, data.training)["domain_distance"] < 1).mean() > 0.98
    assert (model.predict(data.features["sevennet-0"][:10] + 8)["domain_distance"] > 1).all()


def test_each_potential_has_its_ensemble_and_both_read_the_density_of_states(data) -> None:
    model = fit_superconductivity(data, data.training, ELECTRONIC)
    assert model.heads.n_members == 2 * BRIEF.members
    assert model.heads.columns == (((0, 25), (50, 53)), ((25, 50), (50, 53)))
    for ensemble in model.heads.ensembles:
        assert ensemble.x_gain.tolist() == [1.0] * 25 + [8.0] * N_ELECTRONIC
    rows = data.training & data.has_dos  # the others could not be read
    np.testing.assert_allclose(
        model.heads.x_mean, data.inputs(POTENTIALS, electronic=True)[rows].mean(0), rtol=1e-3, atol=1e-4
    )
    assert (model.electronic, model.fallback) == (True, "structure")
    found = predict_rows(model, data, data.validation)["lambda_"]
    np.testing.assert_array_equal(np.isnan(found), ~data.has_dos[data.validation])


def test_usable_rows(data) -> None:
    assert usable(data, recipe()).all()
    np.testing.assert_array_equal(usable(data, ELECTRONIC), data.has_dos)


def test_calibrated_intervals_cover_ninety_percent() -> None:
    """Of lambda and of Tc, each with its own noise; the members alone are far too sure of themselves."""
    data = electron_phonon_data(3000, noise=0.25, tc_noise=0.8, seed=3)
    part = np.arange(3000) // 1000
    quick = recipe(heads=QUICK.model_copy(update={"epochs": 8}))
    model = fit_superconductivity(data, part == 0, quick)
    cross = cross_predict(data, part == 0, quick, folds=2)
    calibrated = calibrate(model, data, part == 1, cross)
    assert calibrated.calibration.floor == pytest.approx(0.25, abs=0.1)  # about the noise
    covered = coverage(calibrated, data, part == 2)
    assert 0.87 < covered["lambda_coverage"] < 0.93
    assert 0.86 < covered["tc_coverage"] < 0.94
    assert calibrated.calibration.tc_factor > 1.2 * calibrated.calibration.lambda_factor  # Tc is the noisier here
    bare = replace(model, calibration=Calibration())
    assert coverage(bare, data, part == 2)["lambda_coverage"] < 0.8


def test_calibration_of_an_electronic_model_uses_the_rows_that_it_can_read(data) -> None:
    model = fit_superconductivity(data, data.training, ELECTRONIC)
    cross = cross_predict(data, data.training, ELECTRONIC, folds=2)
    calibrated = calibrate(model, data, data.validation, cross)
    without = calibrate(model, data, np.zeros(len(data), bool), cross)
    assert without.calibration != calibrated.calibration  # both the rows and the folds count
    assert all(np.isfinite(calibrated.calibration))
    assert all(np.isfinite(value) for value in coverage(calibrated, data, data.validation).values())


def test_folds_of_single_networks_are_left_out_of_the_calibration(data, model) -> None:
    cross = cross_predict(data, data.training, recipe(cross_members=3), folds=2)
    single = replace(cross, spread=np.zeros(len(cross.rows)))
    assert cross.has_spread
    assert not single.has_spread
    found, other = (
        calibrate(model, data, data.validation, replace(single, ln_lambda=single.ln_lambda + shift)) for shift in (0, 3)
    )
    assert found.calibration == other.calibration
    assert found.calibration != calibrate(model, data, data.validation, cross).calibration


def test_conformal_quantile_by_hand() -> None:
    scores = np.arange(1.0, 21)  # ceil(21 * 0.9) = 19 of 20
    assert conformal_quantile(scores) == pytest.approx(np.quantile(scores, 0.95))
    assert conformal_quantile(scores) > np.quantile(scores, 0.9)
    assert conformal_quantile(np.arange(5.0)) == 4.0  # too few for a 90 % interval: the largest


@pytest.fixture
def taught(monkeypatch, data):
    """Labelled and unlabelled crystals, and a teacher that reads the better features."""
    more = electron_phonon_data(1000, seed=8)
    kept = ~np.isin(more.buckets, range(80, 90))
    unlabelled = {name: block[kept] for name, block in more.features.items()}
    teacher = recipe(name="teacher", heads=QUICK)
    monkeypatch.setattr(training, "superconductivity_recipe", {"teacher": teacher}.__getitem__)
    return replace(data, unlabelled=unlabelled, unlabelled_buckets=more.buckets[kept]), teacher


PUPIL = recipe(name="pupil", potentials=("sevennet-l3i5",), teacher="teacher", heads=QUICK)


class Sage:
    """A teacher that knows the law behind the data."""

    potentials = ("sevennet-0",)

    def __init__(self):
        self.heads = self

    def predict(self, x):
        rest = {name: np.full((2, len(x)), np.nan) for name in TARGETS[2:]}
        ln_lambda = np.log(0.5) + 0.35 * x[:, 0] + 0.15 * np.abs(x[:, 1])
        ln_log = np.log(200) + 0.3 * x[:, 2] - 0.2 * x[:, 0]
        return {"ln_lambda": np.stack([ln_lambda - 1, ln_lambda + 1]), "ln_omega_log_K": np.stack([ln_log] * 2), **rest}


def test_pupil_learns_from_the_teacher(taught, monkeypatch) -> None:
    data, _ = taught
    plain, few = training.fit_superconductivity, data.training & (np.arange(len(data)) % 8 == 0)
    monkeypatch.setattr(
        training,
        "fit_superconductivity",
        lambda d, rows, r, **k: Sage() if r.name == "teacher" else plain(d, rows, r, **k),
    )
    pupil = PUPIL.model_copy(update={"potentials": ("sevennet-0",), "teacher_weight": 1.0})

    def error(chosen):
        found = predict_rows(plain(data, few, chosen), data, data.validation)
        return np.abs(np.log(found["lambda_"]) - data.targets[data.validation, 0]).mean()

    assert error(pupil) < 0.6 * error(pupil.model_copy(update={"teacher": None}))


def test_pupil_and_teacher_see_nothing_of_the_buckets_that_are_left_out(taught, monkeypatch) -> None:
    data, _ = taught
    plain, seen = training.fit_heads, []

    def spy(features, targets, names, weights, settings, **how):
        seen.append((features, weights))
        return plain(features, targets, names, weights, settings.model_copy(update={"epochs": 1}), **how)

    monkeypatch.setattr(training, "fit_heads", spy)
    rows = data.training & (data.buckets % 5 != 0)
    fit_superconductivity(data, rows, PUPIL.model_copy(update={"teacher_weight": 0.25}))
    (teacher, _), (pupil, weights) = seen
    np.testing.assert_array_equal(teacher, data.features["sevennet-0"][rows])
    allowed = np.isin(data.unlabelled_buckets, data.buckets[rows])
    assert 0 < allowed.sum() < len(allowed)
    assert not (data.unlabelled_buckets[allowed] % 5 == 0).any()
    wanted = np.concatenate([data.features["sevennet-l3i5"][rows], data.unlabelled["sevennet-l3i5"][allowed]])
    np.testing.assert_array_equal(pupil, wanted)
    assert weights.shape == (len(wanted), len(TARGETS))
    np.testing.assert_allclose(weights[-1], 0.25 * weights[0])


def test_teacher_needs_unlabelled_crystals(data, taught) -> None:
    with pytest.raises(ConfigError, match="recipe pupil has a teacher: load the data with unlabelled crystals"):
        fit_superconductivity(data, data.training, PUPIL)


def test_data_are_loaded_for_recipes_and_their_teachers(taught, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        training, "load_electron_phonon", lambda potentials, **how: asked.append((potentials, how["unlabelled"]))
    )
    load_data([PUPIL, recipe(potentials=("chgnet",))])
    load_data([recipe()])
    assert asked == [(("sevennet-l3i5", "chgnet", "sevennet-0"), True), (("sevennet-0",), False)]


def test_members_that_see_a_share_of_the_data_drop_whole_formulas(taught, monkeypatch) -> None:
    data, _ = taught
    plain, seen = training.fit_heads, []

    def spy(features, *rest, groups=None, **how):
        seen.append((len(features), groups))
        return plain(features, *rest, groups=groups, **how)

    monkeypatch.setattr(training, "fit_heads", spy)
    brief = PUPIL.model_copy(update={"heads": BRIEF.model_copy(update={"bagging": 0.5, "epochs": 1})})
    fit_superconductivity(data, data.training, brief)
    for n, groups in seen:  # the teacher, then the pupil, who reads unlabelled crystals as well
        assert groups is not None
        assert len(groups) == n
        own, known = groups[: data.training.sum()], data.groups[data.training]
        assert len(np.unique(own)) == len(np.unique(known)) == len(np.unique(np.stack([own, known]), axis=1).T)


class Lookup:
    """Stands for a model: checks that no row that it is asked about has the formula of one that it was trained on."""

    def __init__(self, data, rows, recipe):
        self.potentials, self.electronic, self.heads = recipe.potentials, recipe.electronic, self
        self.data, self.trained, self.asked = data, rows, []

    def predict(self, inputs):
        rows = inputs[:, 0].astype(int)  # the first feature is the number of the row
        assert not set(self.data.groups[rows]) & set(self.data.groups[self.trained])
        self.asked.append(rows)
        if self.electronic:
            assert np.isfinite(inputs[:, -N_ELECTRONIC:]).all()
        ln = self.data.targets[rows, 0]
        return {
            "ln_lambda": np.stack([ln - 0.2, ln + 0.2]), "lambda_": np.exp(ln), "omega_log_K": self.data.omega_log_K[rows],
            "omega2_K": rows + 0.5, "tc_K": self.data.tc_K[rows],
        }  # fmt: skip


@pytest.fixture
def spied(monkeypatch, data):
    numbered = data.features["sevennet-0"].copy()
    numbered[:, 0] = np.arange(len(data))
    scored = np.arange(len(data)) % 7 != 0
    data = replace(data, features={**data.features, "sevennet-0": numbered}, scored=scored)
    fitted = []

    def fit(data, rows, recipe, **_):
        fitted.append((rows & usable(data, recipe), recipe, Lookup(data, rows & usable(data, recipe), recipe)))
        return fitted[-1][2]

    monkeypatch.setattr(training, "fit_superconductivity", fit)
    return data, fitted


@pytest.mark.parametrize("electronic", [False, True])
def test_cross_prediction_never_trains_on_the_formula_of_a_row(spied, electronic) -> None:
    data, fitted = spied
    chosen = recipe(electronic=electronic, cross_members=3, heads=BRIEF)
    found = cross_predict(data, data.training, chosen, folds=4)
    wanted = data.training & data.scored & usable(data, chosen)
    assert len(fitted) == 4
    assert len(found.rows) == len(set(found.rows.tolist())) == wanted.sum()  # each of them once
    np.testing.assert_array_equal(np.sort(found.rows), np.flatnonzero(wanted))
    np.testing.assert_allclose(found.ln_lambda, data.targets[found.rows, 0])
    np.testing.assert_allclose(found.spread, 0.2, rtol=1e-6)
    np.testing.assert_array_equal(found.omega2_K, found.rows + 0.5)
    np.testing.assert_array_equal(found.tc_K, data.tc_K[found.rows])
    np.testing.assert_array_equal(found.fold, data.buckets[found.rows] % 4)
    for trained, used, _ in fitted:
        assert used.heads.members == 3
        assert not (trained & ~data.training).any()
        assert (trained & ~data.scored).any()  # rows that are not scored train as well
        assert trained.sum() > 0.6 * (data.training & usable(data, chosen)).sum()


def test_cross_prediction_of_real_ensembles(data) -> None:
    ticks = []
    chosen = recipe(heads=BRIEF.model_copy(update={"epochs": 10}))
    found = cross_predict(data, data.training, chosen, folds=2, on_epoch=lambda: ticks.append(1))
    assert len(ticks) == 2 * 1 * 10
    assert np.corrcoef(found.ln_lambda, data.targets[found.rows, 0])[0, 1] > 0.7
    np.testing.assert_allclose(
        found.tc_K, allen_dynes_tc_K(np.exp(found.ln_lambda), found.omega_log_K, found.omega2_K), rtol=1e-6
    )


@pytest.mark.parametrize(("rate", "threshold"), [(0.5, 5.0), (0.9, 9.0), (0.85, 9.0), (0.91, 10.0), (1.0, 10.0)])
def test_threshold_by_hand(rate, threshold) -> None:
    """Ten cold rows predicted at 1 to 10 K; a row passes when its prediction lies above the threshold."""
    cold = np.random.default_rng(0).permutation(np.arange(1.0, 11))
    tc = np.concatenate([cold, [0.5, 30.0, 7.5]])
    truth = np.arange(13) >= 10
    assert threshold_at(tc, truth, rate) == threshold
    assert (cold <= threshold).mean() >= rate
    assert (cold <= threshold - 1).mean() < rate  # the next smaller one would let too many through


def test_threshold_holds_the_rate_that_was_asked_for() -> None:
    rng = np.random.default_rng(1)
    tc, truth = rng.exponential(3, 1000), rng.random(1000) < 0.2
    for rate in (0.9, 0.95, 0.98, 0.995):
        passed = (tc[~truth] <= threshold_at(tc, truth, rate)).mean()
        assert rate <= passed <= rate + 0.003


def test_threshold_keeps_the_rate_in_every_fold(data) -> None:
    rng = np.random.default_rng(2)
    n = 600
    fold = np.arange(n) % 3
    tc = rng.exponential(1.0, n) * np.array([1, 3, 2])[fold]  # the second fold is the hardest
    made = replace(data, tc_K=np.where(rng.random(n) < 0.2, 9.0, 1.0))
    cross = CrossPrediction(np.arange(n), *np.zeros((4, n)), tc, fold)
    found = threshold_in_folds(cross, made, 0.95)
    cold = made.tc_K < 5
    assert found == threshold_at(tc[fold == 1], ~cold[fold == 1], 0.95)
    for k in range(3):
        assert (tc[cold & (fold == k)] <= found).mean() >= 0.95
    assert found > threshold_at(tc, ~cold, 0.95)


def made_up_cross(data, model, *, factor, n=4000):
    """Predictions whose errors are normal with ``factor`` times the sigma that the model claims."""
    rng = np.random.default_rng(0)
    ln, log_K = np.log(rng.uniform(0.3, 1.2, n)), rng.uniform(100, 400, n)
    spread = rng.uniform(0.05, 0.3, n)
    sigma = np.sqrt(spread**2 + model.calibration.floor**2)
    truth = allen_dynes_tc_K(np.exp(ln + factor * sigma * rng.normal(size=n)), log_K, 1.1 * log_K)
    made = replace(data, tc_K=truth)
    return made, CrossPrediction(np.arange(n), ln, spread, log_K, 1.1 * log_K, np.zeros(n), np.zeros(n, int))


@pytest.mark.parametrize("factor", [0.6, 1.0, 2.0])
def test_scale_of_the_probability_is_that_of_the_errors(data, model, factor) -> None:
    model = replace(model, calibration=Calibration(floor=0.1))
    made, cross = made_up_cross(data, model, factor=factor)
    scale = fit_probability_scale(model, made, cross)
    assert scale == pytest.approx(factor, rel=0.12)
    scaled = replace(model, calibration=model.calibration._replace(probability_scale=scale))
    sigma = np.sqrt(cross.spread**2 + 0.1**2)
    p = scaled.probability_above(TC_THRESHOLD_K, np.exp(cross.ln_lambda), cross.omega_log_K, cross.omega2_K, sigma)
    hot = made.tc_K > TC_THRESHOLD_K
    for low, high in ((0.1, 0.4), (0.4, 0.6), (0.6, 0.9)):
        said = (p > low) & (p < high)
        assert hot[said].mean() == pytest.approx(p[said].mean(), abs=0.06)


def test_score_by_hand(data) -> None:
    rows = np.zeros(len(data), bool)
    rows[:4] = True
    targets = np.tile(np.log([1.0, 100.0, 1.0, 1.0, 1.0]), (800, 1))
    made = replace(data, tc_K=np.array([1.0, 2.0, 8.0, 9.0] + [0.0] * 796), targets=targets)
    found = {
        "lambda_": np.array([1.1, 0.9, 1.0, 1.2]), "omega_log_K": np.array([100.0, 110, 90, 100]),
        "tc_K": np.array([1.0, 6.0, 8.0, 4.0]),
    }  # fmt: skip
    s = score(found, made, rows)
    assert s.lambda_mae == pytest.approx(0.1)
    assert s.omega_log_mae_K == pytest.approx(5.0)
    assert s.tc_mae_K == pytest.approx((0 + 4 + 0 + 5) / 4)
    assert s.tc_r2 == pytest.approx(1 - 41 / 50)
    assert (s.precision_5K, s.tpr_5K, s.tnr_5K, s.n) == (0.5, 0.5, 0.5, 4)
    high = score(
        found, made, rows, threshold_K=6.0
    )  # the third alone is said to be hot; hot are labels above 5 K still
    assert (high.precision_5K, high.tpr_5K, high.tnr_5K, high.threshold_K) == (1.0, 0.5, 1.0, 6.0)


def test_score_when_nothing_is_hot(data) -> None:
    rows = np.arange(len(data)) < 4
    made = replace(data, tc_K=np.array([1.0, 2.0, 3.0, 4.0] + [0.0] * 796))
    s = score({name: np.ones(4) for name in ("lambda_", "omega_log_K", "tc_K")}, made, rows)
    assert (s.precision_5K, s.tpr_5K, s.tnr_5K) == (0.0, 0.0, 1.0)


def test_tree_baseline_learns_from_the_chosen_rows() -> None:
    data = electron_phonon_data(300, width=8)
    found = tree_baseline(data, data.training, recipe())
    rows = data.validation
    assert score({name: column[rows] for name, column in found.items()}, data, rows).tc_r2 > 0.5
    known = {name: column[data.training] for name, column in found.items()}
    assert score(known, data, data.training).tc_r2 > 0.9
    np.testing.assert_allclose(found["tc_K"], allen_dynes_tc_K(found["lambda_"], found["omega_log_K"]))
    assert found["lambda_"].shape == (300,)
