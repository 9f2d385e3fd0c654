import numpy as np
import pytest
from pydantic import ValidationError

from onnes.training.trainer import TrainSettings, fit_heads
from tests.training.made_up import QUICK, structure_data


@pytest.fixture(scope="module")
def data():
    return structure_data(500, noise=0.02)


TRAIN, TEST = slice(0, 400), slice(400, 500)


def _r2(predicted, truth):
    return 1 - ((predicted - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()


def _fit(data, settings=QUICK, **how):
    return fit_heads(data.features[TRAIN], data.targets[TRAIN, :3], ("a", "b", "c"), (1.0, 1.0, 0.2), settings, **how)


@pytest.fixture(scope="module")
def heads(data):
    return _fit(data)


def test_learns_the_law_behind_the_data(data, heads) -> None:
    found = heads.predict(data.features[TEST])
    assert _r2(found["a"].mean(0), data.targets[TEST, 0]) > 0.9
    assert _r2(found["b"].mean(0), data.targets[TEST, 1]) > 0.9
    assert heads.n_members == 3
    assert found["a"].std(0).min() > 0  # the members differ


def test_missing_labels_are_ignored(data) -> None:
    """A label that is missing must act like one that is not there, not like zero or the mean."""
    holes = data.targets[TRAIN, :2].copy()
    holes[::2, 0] = np.nan  # half of the rows know nothing of a
    heads = fit_heads(data.features[TRAIN], holes, ("a", "b"), (1.0, 1.0), QUICK)
    found = heads.predict(data.features[TEST])
    assert _r2(found["a"].mean(0), data.targets[TEST, 0]) > 0.8
    assert heads.y_mean[0] == pytest.approx(np.nanmean(holes[:, 0]), abs=1e-5)
    lies = np.nan_to_num(holes, nan=5.0)
    fooled = fit_heads(data.features[TRAIN], lies, ("a", "b"), (1.0, 1.0), QUICK).predict(data.features[TEST])
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
    np.testing.assert_allclose(heads.x_mean, data.features[TRAIN].mean(0), atol=1e-5)
    np.testing.assert_allclose(heads.y_scale, np.nanstd(data.targets[TRAIN, :3], axis=0), rtol=1e-4)


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
    keys = (data.features[TRAIN] - data.features[TRAIN].mean(0)) / (data.features[TRAIN].std(0) + 1e-6)
    for x in seen:
        assert len(x) == 200
        rows = [int(np.abs(keys - row.numpy().clip(-6, 6)).sum(1).argmin()) for row in x]
        groups, counts = np.unique(data.groups[TRAIN][rows], return_counts=True)
        assert len(groups) == 100
        assert (counts == 2).all()
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("settings", [{"members": 0}, {"dropout": 1.0}, {"bagging": 0}, {"loss": "l2"}, {"lr": 1}])
def test_senseless_settings(settings) -> None:
    with pytest.raises(ValidationError):
        TrainSettings(**settings)
