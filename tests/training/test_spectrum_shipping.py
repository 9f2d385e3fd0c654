import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase.data import atomic_masses

from onnes.errors import ConfigError
from onnes.models.spectrum import load_spectrum_model
from onnes.training import spectrum_shipping
from onnes.training.recipe import SpectrumRecipe, read_recipe
from onnes.training.spectrum import fit_spectrum
from onnes.training.spectrum_data import read_spectra
from onnes.training.spectrum_shipping import train_spectrum
from tests.training.made_up_spectra import OMEGA, QUICK, peak

ELEMENTS = (13, 22, 23, 27, 28, 29, 40, 41, 46, 47, 73, 74)
SETTINGS = QUICK.model_copy(update={"members": 2, "epochs": 2})


def written(path, numbers=ELEMENTS, **changed):
    """Simple cubic elements whose peak follows from the mass."""
    rows = {
        "id": [f"row{z}" for z in numbers],
        "lattice": [(2.7 * np.eye(3)).ravel().tolist()] * len(numbers),
        "frac_coords": [[0.0] * 3] * len(numbers),
        "atomic_numbers": [[z] for z in numbers],
        "omega_meV": [OMEGA.tolist()] * len(numbers),
        "alpha2f": [peak(190 / np.sqrt(atomic_masses[z])).tolist() for z in numbers],
    }
    pq.write_table(pa.table(rows | changed), path)
    return path


def recipe(path, **changed):
    return SpectrumRecipe(kind="spectrum", name="mine", data=path, settings=SETTINGS, **changed)


@pytest.fixture
def spectra(tmp_path):
    return written(tmp_path / "spectra.parquet")


def test_scored_on_rows_never_seen_and_shipped_from_all(spectra, tmp_path, monkeypatch) -> None:
    data = read_spectra(spectra)
    test = data.buckets % 10 == data.buckets[0] % 10
    held = tuple(sorted({int(b) for b in data.buckets[test]}))
    assert 0 < test.sum() < 6
    fitted, models, ticks = [], [], []

    def spy(data, rows, *rest, **how):
        fitted.append(rows)
        models.append(fit_spectrum(data, rows, *rest, **how))
        return models[-1]

    monkeypatch.setattr(spectrum_shipping, "fit_spectrum", spy)
    folder = tmp_path / "model"
    config = train_spectrum(recipe(spectra, validation_buckets=held), folder, on_epoch=lambda: ticks.append(1))
    np.testing.assert_array_equal(fitted[0], ~test & (data.buckets < 80))
    assert fitted[1].all()
    assert len(fitted) == 2
    assert len(ticks) == 2 * 2 * 2
    scores = config["validation"]
    assert scores["n"] == test.sum()
    mean = data.alpha2f[fitted[0]].mean(0)
    away = np.abs((data.alpha2f[test] - mean).cumsum(1)).sum(1).mean()
    assert scores["mean_spectrum"]["emd"] == pytest.approx(away)
    assert (config["kind"], config["training_rows"], config["members"]) == ("spectrum", 12, 2)
    stored = json.loads((folder / "config.json").read_text())
    assert {name: value for name, value in stored.items() if name != "sha256"} == config
    assert str(tmp_path) not in (folder / "config.json").read_text()
    model = load_spectrum_model(folder)
    assert model.n_members == 2
    found, plain = model.predict(data.batch), models[0].predict(data.batch)
    np.testing.assert_array_equal(found["alpha2f"], models[1].predict(data.batch)["alpha2f"])
    labels = data.moments.lambda_
    assert scores["lambda_mae"] == pytest.approx(np.abs(plain["lambda_"] - labels)[test].mean())
    assert scores["lambda_mae"] != pytest.approx(np.abs(found["lambda_"] - labels)[test].mean())
    card = (folder / "README.md").read_text()
    assert card.startswith("# mine: alpha2F")
    assert (
        f"{test.sum()} rows: lambda MAE {scores['lambda_mae']:.3f} ({scores['mean_spectrum']['lambda_mae']:.3f})"
        in card
    )
    assert "spectra.parquet; 12 crystals of 12 formulas" in card
    assert "**Rows left out**: none" in card


def test_bad_rows_are_listed_and_a_small_set_is_not_scored(tmp_path) -> None:
    numbers = (13, 22, 41, 73)
    rows = [peak(20).tolist() for _ in numbers]
    path = written(tmp_path / "few.parquet", numbers, alpha2f=[*rows[:3], [0.1, 0.2]])
    held = tuple({*range(100)} - set(read_spectra(path).buckets.tolist()))
    ticks = []
    config = train_spectrum(recipe(path, validation_buckets=held), tmp_path / "model", on_epoch=lambda: ticks.append(1))
    assert config["validation"] == {"n": 0}
    assert config["training_rows"] == 3
    assert len(ticks) == 2 * 2
    assert len(config["problems"]) == 1
    assert config["problems"][0].startswith("few.parquet, row 4: ")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "**Validation**: none: no rows to score" in card
    assert f"**Rows left out**: 1\n  * {config['problems'][0]}" in card


def test_too_few_formulas_beside_the_scored_ones(tmp_path) -> None:
    path = written(tmp_path / "two.parquet", (13, 22))
    held = (int(read_spectra(path).buckets[0]),)
    config = train_spectrum(recipe(path, validation_buckets=held), tmp_path / "model")
    assert config["validation"] == {"n": 0}
    assert config["training_rows"] == 2


def test_rows_without_phonons_are_left_out_of_a_phonon_informed_model(tmp_path) -> None:
    numbers = (13, 22, 41, 73)
    dos = [[peak(20).tolist()], [peak(25).tolist()], None, [peak(15).tolist()]]
    path = written(tmp_path / "phonons.parquet", numbers, phonon_omega_meV=[OMEGA.tolist()] * 4, site_phonon_dos=dos)
    informed = SETTINGS.model_copy(update={"phonon_informed": True})
    made = recipe(path, validation_buckets=()).model_copy(update={"settings": informed})
    config = train_spectrum(made, tmp_path / "model")
    assert config["training_rows"] == 3
    assert config["problems"] == ["phonons.parquet, row41: no phonons. Add them, or train without phonon_informed"]
    assert load_spectrum_model(tmp_path / "model").phonon_informed
    assert "and the phonon density of states" in (tmp_path / "model" / "README.md").read_text()


def test_interrupted_training_goes_on(spectra, tmp_path) -> None:
    ticks = []

    def stop():
        ticks.append(1)
        if len(ticks) == 3:
            raise KeyboardInterrupt

    made, place = recipe(spectra, validation_buckets=()), tmp_path / "members"
    with pytest.raises(KeyboardInterrupt):
        train_spectrum(made, tmp_path / "model", on_epoch=stop, checkpoint=place)
    assert not (tmp_path / "model").exists()
    train_spectrum(made, tmp_path / "model", on_epoch=lambda: ticks.append(1), checkpoint=place)
    assert len(ticks) == 3 + 2


def test_without_spectra(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"recipe mine: no spectra at .*nothing\.parquet"):
        train_spectrum(recipe(tmp_path / "nothing.parquet"), tmp_path / "model")


# --- recipe ----------------------------------------------------------------------------------------------------------


def test_shipped_recipe_is_that_of_the_publication() -> None:
    found = read_recipe("spectrum")
    assert isinstance(found, SpectrumRecipe)
    assert found.validation_buckets == tuple(range(80, 90))
    chosen = found.settings
    assert (chosen.members, chosen.loss, chosen.learning_rate, chosen.batch_size) == (100, "emd", 0.005, 512)


def test_paths_beside_the_recipe_come_first(tmp_path, monkeypatch) -> None:
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside, here):
        folder.mkdir()
        (folder / "both.json").write_text("")
    (here / "one.json").write_text("")
    (here / "cifs").mkdir()
    monkeypatch.chdir(here)
    for name, wanted in (
        ("both.json", beside / "both.json"),
        ("one.json", "one.json"),
        (here / "one.json", here / "one.json"),
    ):
        file = beside / "mine.toml"
        file.write_text(f'kind = "spectrum"\nname = "mine"\ndata = "{name}"\ncrystals = "cifs"\n')
        found = read_recipe(file)
        assert str(found.data) == str(wanted)
        assert str(found.crystals) == "cifs"
        assert found.data.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("validation_buckets = [100]", "validation_buckets"),
        ("settings = {temper = true}", r"settings\.temper"),
        ("heads = {}", "heads"),
    ],
)
def test_wrong_recipe_is_named(tmp_path, line, message) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'kind = "spectrum"\nname = "mine"\ndata = "x.json"\n{line}\n')
    with pytest.raises(ConfigError, match=message):
        read_recipe(file)
