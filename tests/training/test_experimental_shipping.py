import json
from dataclasses import replace

import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.models.experimental import load_experimental_model
from onnes.models.weights import TENSORS, shipped_folder
from onnes.training import experimental, experimental_data, experimental_shipping
from onnes.training.experimental import calibrate_experimental, coverage, fit_experimental, score_experimental
from onnes.training.experimental_data import composition_split, system_split
from onnes.training.recipe import ExperimentalRecipe, experimental_recipe, read_recipe
from onnes.training.shipping import train_model
from onnes.training.trainer import TrainSettings
from tests.training.test_experimental import made_up_data

QUICK = TrainSettings(members=2, hidden=16, epochs=6, batch_size=64, learning_rate=5e-3, dropout=0.0, noise=0.0)
CLASSES = QUICK.model_copy(update={"loss": "binary", "epochs": 3})


def recipe(variant="structure"):
    return ExperimentalRecipe(kind="experimental", name="mine", variant=variant, heads=QUICK, classifier=CLASSES)


class Run:
    """One training with everything that it fitted."""

    def __init__(self, data, chosen, folder):
        self.data, self.folder, self.rows, self.models, self.ticks, self.asked = data, folder, [], [], [], []

        def load(*, structures, on_rows):
            self.asked.append(structures)
            return data

        def fit(data, rows, *rest, **how):
            self.rows.append(rows)
            self.models.append(fit_experimental(data, rows, *rest, **how))
            return self.models[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(experimental_data, "load_experimental_data", load)
            patch.setattr(experimental_shipping, "fit_experimental", fit)
            self.config = train_model(chosen, folder, on_epoch=lambda: self.ticks.append(1))


@pytest.fixture(scope="module")
def data():
    made = made_up_data(600)
    kind, label, ln_tc = made.kind.copy(), made.label.copy(), made.ln_tc_K.copy()
    kind[:3], label[:3], ln_tc[:3] = "measured zero", np.nan, np.nan
    return replace(made, kind=kind, label=label, ln_tc_K=ln_tc, label_noise=0.11)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return Run(data, recipe(), tmp_path_factory.mktemp("experimental") / "mine")


def test_two_models_are_scored_and_a_third_has_seen_everything(run, data) -> None:
    assert run.asked == [True]
    assert len(run.rows) == 3
    np.testing.assert_array_equal(run.rows[0], composition_split(data).train)
    np.testing.assert_array_equal(run.rows[1], system_split(data).train)
    assert run.rows[2].all()
    assert len(run.ticks) == 3 * 2 * (6 + 3)
    loaded = load_experimental_model(str(run.folder))
    assert loaded.variant == "structure"
    formulas = ["Nb3Sn", "Ti2Nb3Al"]
    np.testing.assert_allclose(
        loaded.predict(formulas)["exp_tc_K"], run.models[2].predict(formulas)["exp_tc_K"], rtol=0.02
    )


@pytest.mark.parametrize("number", [0, 1])
def test_scores_are_those_of_rows_that_were_not_seen(number, run, data) -> None:
    split = (composition_split, system_split)[number](data)
    scores = run.config["validation"][split.name]
    plain = split.score & ~data.has_structure
    found = experimental.predict_rows(run.models[number], data, split.score & data.has_structure)
    crystals = score_experimental(found["ln_tc_K"], found["probability"], data, split.score & data.has_structure)
    assert scores["with a crystal"]["ln_tc_mae"] == crystals.ln_tc_mae
    assert scores["with a crystal"]["auc"] == crystals.auc
    assert scores["compositions"]["n_tc"] == np.isfinite(data.ln_tc_K[plain]).sum()
    assert scores["compositions"]["auc"] > 0.7
    assert scores["with a crystal"]["ln_tc_mae"] < scores["compositions"]["ln_tc_mae"]  # the law knows the structure
    trivial = scores["trivial baselines"]
    assert scores["with a crystal"]["ln_tc_mae"] < trivial["median, share of superconductors"]["ln_tc_mae"]
    assert trivial["median, share of superconductors"]["auc"] == 0.5


def test_all_measured_zeros_are_scored_once(run, data) -> None:
    validation = run.config["validation"]
    assert validation["composition"]["compositions"]["n_measured"] == 3
    zeros = (data.kind == "measured zero") & system_split(data).score & ~data.has_structure
    assert validation["chemical system"]["compositions"]["n_measured"] == zeros.sum()


def test_interval_is_calibrated_on_unseen_systems(run, data) -> None:
    scored = system_split(data).score & ~data.has_structure
    assert run.config["interval"] == list(calibrate_experimental(run.models[1], data, scored))
    assert load_experimental_model(str(run.folder)).interval == tuple(run.config["interval"])
    half = scored & (data.systems % 2 == 0)
    fair = replace(run.models[1], interval=calibrate_experimental(run.models[1], data, half))
    assert run.config["validation"]["coverage"] == coverage(fair, data, scored & ~half)
    assert run.config["interval_from"].startswith(f"{np.isfinite(data.ln_tc_K[scored]).sum()} scored superconductors")


def test_configuration_is_stored_as_it_is_returned(run, data) -> None:
    stored = json.loads((run.folder / "config.json").read_text(), parse_constant=pytest.fail)
    assert {name: value for name, value in stored.items() if name != "sha256"} == run.config
    assert (stored["kind"], stored["variant"], stored["recipe"]["name"]) == ("experimental", "structure", "mine")
    plain = ~data.has_structure
    assert stored["training_rows"] == {
        "superconductors": int((plain & (data.label == 1)).sum()),
        "background": int((plain & (data.label == 0)).sum()),
        "crystals": int((data.has_structure & np.isfinite(data.label)).sum()),
    }


def test_card_names_data_licences_splits_and_scores(run) -> None:
    card = (run.folder / "README.md").read_text()
    assert card.startswith("# mine: measured superconductivity from the composition, and the crystal")
    for words in ("NIMS SuperCon", "SuperBand", "3DSC", "Materials Project", "CC BY 4.0", "presumed", "Limits"):
        assert words in card
    for split in ("composition", "chemical system"):
        for rows in ("compositions", "with a crystal"):
            scores = run.config["validation"][split][rows]
            line = next(line for line in card.splitlines() if line.startswith(f"  * {split} split, {rows}: "))
            assert f"ln Tc MAE {scores['ln_tc_mae']:.3f}" in line
            assert f"ROC-AUC {scores['auc']:.3f}" in line
    assert f"{run.config['validation']['coverage']:.1%} of the other half" in card
    assert "by 0.110 in ln Tc" in card
    assert "nan" not in card.split()


def test_composition_variant_needs_no_crystals(tmp_path) -> None:
    plain = made_up_data(400, crystals=False)
    run = Run(plain, recipe("composition"), tmp_path / "mine")
    assert run.asked == [False]
    assert load_experimental_model(str(tmp_path / "mine")).variant == "composition"
    assert set(run.config["validation"]["composition"]) == {"compositions", "trivial baselines"}
    assert run.config["validation"]["composition"]["compositions"]["auc_measured"] is None  # no such rows
    assert run.config["label_noise_ln_tc"] is None
    card = (tmp_path / "mine" / "README.md").read_text()
    assert "# mine: measured superconductivity from the composition\n" in card
    assert "One report differs" not in card


# --- recipe ---


def test_shipped_recipe_gives_the_defaults() -> None:
    shipped = experimental_recipe("experimental")
    assert shipped.variant == "structure"
    assert (experimental.DEFAULTS, experimental.CLASSIFIER_DEFAULTS) == (shipped.heads, shipped.classifier)
    assert (shipped.heads.loss, shipped.classifier.loss) == ("huber", "binary")
    assert shipped.heads.members > 1


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('loss = "binary"', 'loss = "huber"', "classifier: .*'binary'"),
        ("huber = 0.1", 'loss = "binary"', "heads: .*'huber'"),
        ('variant = "composition"', 'variant = "spectrum"', "variant"),
        ("[heads]\nmembers = 2\nhuber = 0.1\n", "", "heads: Field required"),
        ('variant = "composition"', "cutoff = 4", "cutoff: Extra inputs"),
    ],
)
def test_wrong_recipe_is_named(old, new, fault, tmp_path) -> None:
    text = 'kind = "experimental"\nname = "mine"\nvariant = "composition"\n[heads]\nmembers = 2\nhuber = 0.1\n'
    text += '[classifier]\nloss = "binary"\n'
    (tmp_path / "mine.toml").write_text(text)
    assert isinstance(read_recipe(tmp_path / "mine.toml"), ExperimentalRecipe)
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new))
    with pytest.raises(ConfigError, match=fault):
        read_recipe(tmp_path / "mine.toml")


def test_recipe_of_another_kind() -> None:
    with pytest.raises(ConfigError, match="of kind metal, an experimental recipe is needed"):
        experimental_recipe("metal")


# --- the shipped weights ---


def test_shipped_weights_are_small_and_know_superconductors() -> None:
    folder = shipped_folder() / "experimental"
    if not (folder / "config.json").is_file():
        pytest.skip("the weights are not installed")
    assert (folder / TENSORS).stat().st_size < 2_500_000
    found = load_experimental_model("experimental").predict(["YBa2Cu3O7", "Nb3Sn", "NaCl"])
    assert found["exp_superconductor_probability"][:2].min() > 0.5 > found["exp_superconductor_probability"][2]
    assert found["exp_tc_K"][0] > 2 * found["exp_tc_K"][1]
