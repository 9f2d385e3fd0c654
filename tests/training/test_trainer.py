import numpy as np
import pytest
from pydantic import ValidationError

from onnes.models.heads import HeadEnsemble
from onnes.training.trainer import TrainSettings, fit_heads
from tests.training.made_up import QUICK, electron_phonon_data


@pytest.fixture(scope="module")
def data():
    return electron_phonon_data(500, noise=0.02)


TRAIN, TEST, FIRST = slice(0, 400), slice(400, 500), "sevennet-0"


def _r2(predicted, truth):
    return 1 - ((predicted - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def _fit(data, settings=QUICK, **how):
    return fit_heads(
        data.features[FIRST][TRAIN], data.targets[TRAIN, :3], ("a", "b", "c"), (1.0, 1.0, 0.2), settings, **how
    )


@pytest.fixture(scope="module")
def heads(data):
    return _fit(data)


def test_learns_the_law_behind_the_data(data, heads) -> None:
    found = heads.predict(data.features[FIRST][TEST])
    assert _r2(found["a"].mean(0), data.targets[TEST, 0]) > 0.9
    assert _r2(found["b"].mean(0), data.targets[TEST, 1]) > 0.9
    assert heads.n_members == 3
    assert found["a"].std(0).min() > 0  # the members differ


def test_missing_labels_are_ignored(data) -> None:
    """A label that is missing must act like one that is not there, not like zero or the mean."""
    holes = data.targets[TRAIN, :2].copy()
    holes[::2, 0] = np.nan  # half of the rows know nothing of a
    heads = fit_heads(data.features[FIRST][TRAIN], holes, ("a", "b"), (1.0, 1.0), QUICK)
    found = heads.predict(data.features[FIRST][TEST])
    assert _r2(found["a"].mean(0), data.targets[TEST, 0]) > 0.8
    assert heads.y_mean[0] == pytest.approx(np.nanmean(holes[:, 0]), abs=1e-5)
    lies = np.nan_to_num(holes, nan=5.0)
    fooled = fit_heads(data.features[FIRST][TRAIN], lies, ("a", "b"), (1.0, 1.0), QUICK).predict(
        data.features[FIRST][TEST]
    )
    assert _r2(fooled["a"].mean(0), data.targets[TEST, 0]) < 0.5


def test_seed_fixes_everything(data, heads) -> None:
    import torch

    torch.manual_seed(999)
    again = _fit(data)
    for one, other in zip((*heads.weights, *heads.biases), (*again.weights, *again.biases), strict=True):
        np.testing.assert_array_equal(one, other)
    other = _fit(data, QUICK.model_copy(update={"seed": 1}))
    assert np.abs(other.weights[0] - heads.weights[0]).max() > 0.01


def test_first_members_do_not_depend_on_their_number(data, heads) -> None:
    fewer = _fit(data, QUICK.model_copy(update={"members": 1}))
    np.testing.assert_array_equal(fewer.weights[1][0], heads.weights[1][0])


def test_standardisation_comes_from_the_training_rows(data, heads) -> None:
    np.testing.assert_allclose(heads.x_mean, data.features[FIRST][TRAIN].mean(0), atol=1e-5)
    np.testing.assert_allclose(heads.y_scale, np.nanstd(data.targets[TRAIN, :3], axis=0), rtol=1e-4)


def test_stored_networks_say_the_same(data, monkeypatch) -> None:
    """What is returned is rounded as it is stored; that moves predictions by little beside the spread of the targets."""
    rounded = HeadEnsemble.rounded
    monkeypatch.setattr(HeadEnsemble, "rounded", lambda self: self)
    exact = _fit(data, QUICK.model_copy(update={"epochs": 10}))
    monkeypatch.undo()
    stored = _fit(data, QUICK.model_copy(update={"epochs": 10}))
    for one, other in zip(stored.weights, rounded(exact).weights, strict=True):
        np.testing.assert_array_equal(one, other)
    x = data.features[FIRST][TEST]
    for t, name in enumerate(("a", "b")):
        change = np.sqrt(((stored.predict(x)[name] - exact.predict(x)[name]) ** 2).mean())
        assert 0 < change < 0.01 * data.targets[TEST, t].std()


def test_gain_makes_a_feature_count_for_more(data) -> None:
    """A weak feature that knows everything, among many that know nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 200)).astype(np.float32)
    y = x[:, :1].astype(float)
    gain = np.ones(200, np.float32)
    gain[0] = 8.0
    settings = QUICK.model_copy(update={"epochs": 15, "members": 2})
    errors = []
    for chosen in (None, gain):
        heads = fit_heads(x[:200], y[:200], ("a",), (1.0,), settings, gain=chosen)
        errors.append(np.abs(heads.predict(x[200:])["a"].mean(0) - y[200:, 0]).mean())
        np.testing.assert_array_equal(heads.x_gain, np.ones(200) if chosen is None else gain)
    assert errors[1] < 0.5 * errors[0]


def test_binary_loss_gives_logits() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5)).astype(np.float32)
    truth = rng.random(600) < 1 / (1 + np.exp(-3 * x[:, 0]))
    settings = QUICK.model_copy(update={"loss": "binary", "epochs": 15})
    labels = truth.astype(float)[:, None]
    labels[:50] = np.nan
    heads = fit_heads(x[:400], labels[:400], ("logit",), (1.0,), settings)
    logit = heads.predict(x[400:])["logit"].mean(0)
    assert ((logit > 0) == truth[400:]).mean() > 0.8
    assert np.corrcoef(logit, 3 * x[400:, 0])[0, 1] > 0.9
    assert heads.y_mean.tolist() == [0.0]
    assert heads.y_scale.tolist() == [1.0]


def test_epochs_are_reported(data) -> None:
    ticks = []
    _fit(data, QUICK.model_copy(update={"members": 2, "epochs": 3}), on_epoch=lambda: ticks.append(1))
    assert len(ticks) == 6


def test_bagging_drops_whole_formulas(data, monkeypatch) -> None:
    from onnes.training import trainer

    seen = []
    plain = trainer._fit_member

    def spy(x, *rest):
        seen.append(x)
        return plain(x, *rest)

    monkeypatch.setattr(trainer, "_fit_member", spy)
    settings = QUICK.model_copy(update={"bagging": 0.5, "members": 2, "epochs": 1})
    _fit(data, settings, groups=data.groups[TRAIN])
    keys = (data.features[FIRST][TRAIN] - data.features[FIRST][TRAIN].mean(0)) / (
        data.features[FIRST][TRAIN].std(0) + 1e-6
    )
    for x in seen:
        assert len(x) == 200
        rows = [int(np.abs(keys - row.numpy().clip(-6, 6)).sum(1).argmin()) for row in x]
        groups, counts = np.unique(data.groups[TRAIN][rows], return_counts=True)
        assert len(groups) == 100
        assert (counts == 2).all()
    assert not np.array_equal(seen[0], seen[1])


def test_rows_count_as_much_as_their_weights(data) -> None:
    """Rows of weight zero are as good as absent; one weight a row serves all targets."""
    x, y = data.features[FIRST][TRAIN], data.targets[TRAIN, :2].copy()
    y[::2] += 4  # lies
    rows = np.where(np.arange(400) % 2 == 0, 0.0, 1.0)[:, None]
    for weights in (rows, rows * [1.0, 0.5]):
        heads = fit_heads(x, y, ("a", "b"), weights, QUICK)
        assert _r2(heads.predict(data.features[FIRST][TEST])["a"].mean(0), data.targets[TEST, 0]) > 0.6
    fooled = fit_heads(x, y, ("a", "b"), (1.0, 1.0), QUICK)
    assert _r2(fooled.predict(data.features[FIRST][TEST])["a"].mean(0), data.targets[TEST, 0]) < 0


@pytest.mark.parametrize("settings", [{"members": 0}, {"dropout": 1.0}, {"bagging": 0}, {"loss": "l2"}, {"lr": 1}])
def test_senseless_settings(settings) -> None:
    with pytest.raises(ValidationError):
        TrainSettings(**settings)
