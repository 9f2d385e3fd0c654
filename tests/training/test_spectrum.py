import numpy as np
import pytest

from onnes.errors import ConfigError, ModelError
from onnes.models.spectrum import load_spectrum_model
from onnes.training.spectrum import SpectrumSettings, bootstrap_rows, fit_spectrum, score_spectrum
from tests.training.made_up_spectra import QUICK, spectra_data

ALL = np.ones(20, bool)


@pytest.fixture(scope="module")
def data():
    return spectra_data()


def test_bootstrap_takes_whole_formulas() -> None:
    groups = np.repeat(np.arange(400), 3)
    np.random.default_rng(1).shuffle(groups)
    training, validation = bootstrap_rows(groups, np.random.default_rng(0))
    assert not set(groups[training]) & set(groups[validation])
    assert set(training) | set(validation) == set(range(1200))
    assert len(training) == 1200  # as many draws as formulas, three rows each
    counts = np.bincount(training, minlength=1200)
    for group in range(400):
        assert len(set(counts[groups == group])) == 1
    assert len(set(groups[training])) / 400 == pytest.approx(0.632, abs=0.05)
    other, _ = bootstrap_rows(groups, np.random.default_rng(1))
    assert sorted(other) != sorted(training)


def test_training_learns(data) -> None:
    seen = []
    settings = QUICK.model_copy(update={"mul": 8, "embedding": 32, "epochs": 120, "patience": 120})
    model = fit_spectrum(data, ALL, settings, on_epoch=lambda *state: seen.append(state))
    assert [epoch for _, epoch, _ in seen] == list(range(120))
    assert {member for member, _, _ in seen} == {0}
    mean = ((data.alpha2f - data.alpha2f.mean(0)) ** 2).mean()
    found = model.predict(data.batch)
    assert ((found["alpha2f"] - data.alpha2f) ** 2).mean() < 0.5 * mean
    assert min(loss for *_, loss in seen) < 0.8 * mean  # on formulas that it did not see
    score = score_spectrum(model, data, ALL)
    labels = data.moments
    assert score.n == 20
    assert score.lambda_mae == pytest.approx(np.abs(found["lambda_"] - labels.lambda_).mean())
    assert score.omega_log_mae_K == pytest.approx(np.abs(found["omega_log_K"] - labels.omega_log_K).mean())
    assert score.omega2_mae_K == pytest.approx(np.abs(found["omega2_K"] - labels.omega2_K).mean())
    assert score.tc_mae_K == pytest.approx(np.abs(found["tc_K"] - data.tc_K).mean())
    spread = np.abs(labels.omega_log_K - np.median(labels.omega_log_K)).mean()
    assert score.omega_log_mae_K < 0.5 * spread
    assert model.elements == {13, 22, 41, 73}
    assert model.max_atoms == 2


@pytest.mark.parametrize("loss", ["emd", "wmse"])
def test_other_losses_go_down(data, loss) -> None:
    seen = []
    smoothness = 0.01 if loss == "emd" else 0.0
    settings = QUICK.model_copy(update={"loss": loss, "epochs": 25, "smoothness": smoothness})
    fit_spectrum(data, ALL, settings, on_epoch=lambda _, __, value: seen.append(value))
    assert seen[-1] < 0.9 * seen[0]


def test_best_epoch_is_kept_and_training_stops(data) -> None:
    seen = []
    settings = QUICK.model_copy(update={"epochs": 60, "patience": 3, "learning_rate": 0.1, "batch_size": 4})
    model = fit_spectrum(data, ALL, settings, on_epoch=lambda _, __, value: seen.append(value))
    assert len(seen) < 60
    assert seen.index(min(seen)) == len(seen) - 4
    _, validation = bootstrap_rows(data.groups, np.random.default_rng([0, 0]))
    found = model.predict(data.batch)["alpha2f"]
    assert ((found - data.alpha2f)[validation] ** 2).mean() == pytest.approx(min(seen), rel=1e-4)


def test_interrupted_training_goes_on_to_the_same_result(data, tmp_path) -> None:
    settings = QUICK.model_copy(update={"members": 3})
    wanted = fit_spectrum(data, ALL, settings)

    def stop(member, epoch, loss):
        if (member, epoch) == (2, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_spectrum(data, ALL, settings, on_epoch=stop, checkpoint=tmp_path / "members")
    trained = set()
    found = fit_spectrum(data, ALL, settings, on_epoch=lambda m, *_: trained.add(m), checkpoint=tmp_path / "members")
    assert trained == {2}
    for name, array in wanted.members.items():
        np.testing.assert_array_equal(found.members[name], array)
        assert array.shape[0] == 3
        assert name.endswith("bias") or not np.array_equal(array[0], array[1])

    fewer = fit_spectrum(data, ALL, QUICK, checkpoint=tmp_path / "members")
    np.testing.assert_array_equal(fewer.members["embedding.weight"], wanted.members["embedding.weight"][:1])
    for other in (QUICK.model_copy(update={"learning_rate": 0.01}), QUICK.model_copy(update={"seed": 1})):
        with pytest.raises(ConfigError, match="of other data or settings"):
            fit_spectrum(data, ALL, other, checkpoint=tmp_path / "members")
    with pytest.raises(ConfigError, match="of other data or settings"):
        fit_spectrum(data, np.arange(20) < 18, QUICK, checkpoint=tmp_path / "members")
    (tmp_path / "members" / "member-0000.safetensors").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="damaged"):
        fit_spectrum(data, ALL, QUICK, checkpoint=tmp_path / "members")


def test_trained_model_is_stored(data, tmp_path) -> None:
    model = fit_spectrum(data, np.arange(20) < 16, QUICK)
    read = load_spectrum_model(model.save(tmp_path))
    assert read.config["settings"] == QUICK.model_dump()
    assert read.config["training_rows"] == 16
    np.testing.assert_array_equal(read.predict(data.batch)["alpha2f"], model.predict(data.batch)["alpha2f"])
    assert "16 crystals" in (tmp_path / "README.md").read_text()


def test_phonon_informed_training(data) -> None:
    informed = spectra_data(phonons=True)
    settings = QUICK.model_copy(update={"phonon_informed": True, "epochs": 1})
    model = fit_spectrum(informed, ALL, settings)
    assert model.phonon_informed
    assert score_spectrum(model, informed, ALL).n == 20
    with pytest.raises(ConfigError, match="20 of 20 rows have no phonons"):
        fit_spectrum(data, ALL, settings)
    informed.site_phonon_dos[0] = np.nan
    with pytest.raises(ConfigError, match="1 of 20 rows have no phonons"):
        fit_spectrum(informed, ALL, settings)


def test_too_little_or_too_fast(data) -> None:
    with pytest.raises(ConfigError, match="1 formulas among the training rows"):
        fit_spectrum(data, np.arange(20) < 2, QUICK)
    with pytest.raises(ModelError, match=r"member 0: the loss is .* lower the learning rate"):
        fit_spectrum(data, ALL, QUICK.model_copy(update={"learning_rate": 1e15}))


def test_settings_refuse_what_they_do_not_know() -> None:
    for wrong in ({"temper": True}, {"loss": "mae"}, {"lmax": -1}, {"members": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SpectrumSettings(**wrong)
