import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.errors import ModelError
from onnes.models.formation import load_formation_model
from onnes.models.weights import save_weights
from onnes.training.data import bucket
from onnes.training.formation import load_formation_data, score_formation, train_formation
from onnes.training.recipe import FormationRecipe, read_recipe
from onnes.training.trainer import TrainSettings

METALS = ["Li", "Na", "K", "Mg", "Ca", "Al", "Ti", "Zr", "Nb", "Ta"]
ANIONS = {"O": -2.0, "S": -1.2, "Cl": -1.6, "N": -0.8}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Energies linear in the anion's share; every formula has a second, higher polymorph."""
    rows = []
    for metal in METALS:
        for anion, depth in ANIONS.items():
            for formula, share in (
                (f"{metal}{anion}", 1 / 2),
                (f"{metal}{anion}2", 2 / 3),
                (f"{metal}2{anion}", 1 / 3),
            ):
                rows += [(formula, depth * share), (formula, depth * share + 0.3)]
    formulas, energies = zip(*rows, strict=True)
    table = pa.table({"reduced_formula": formulas, "formation_energy_eV_per_atom": energies})
    pq.write_table(table, tmp_path / "mp_formation_energy_by_composition.parquet")
    monkeypatch.setenv("ONNES_DATA", str(tmp_path))
    return dict(sorted((f, min(e for g, e in rows if g == f)) for f in formulas))


def small(**changes):
    return FormationRecipe(
        kind="formation",
        name="mine",
        heads=TrainSettings(**{"members": 2, "hidden": 24, "epochs": 60, "dropout": 0.0} | changes),
    )


def test_lowest_polymorph_of_each_formula(data) -> None:
    loaded = load_formation_data()
    assert dict(zip(loaded.formulas, loaded.energies.tolist(), strict=True)) == pytest.approx(data)
    assert loaded.buckets.tolist() == [bucket(formula) for formula in loaded.formulas]
    assert not (loaded.training & loaded.validation).any()


def test_trained_written_and_read_back(data, tmp_path) -> None:
    epochs = []
    config = train_formation(small(), tmp_path / "mine", on_epoch=lambda: epochs.append(1))
    assert len(epochs) == 2 * 2 * 60  # once for the score, once on all rows
    score = config["validation"]
    assert score["n"] == load_formation_data().validation.sum()
    assert score["mae_eV_per_atom"] < score["mean_mae_eV_per_atom"] / 2
    model = load_formation_model(str(tmp_path / "mine"))
    energies, spread = model.predict(list(data))
    assert np.abs(energies - list(data.values())).mean() < 0.1
    assert (spread > 0).all()
    assert "mine: formation energy of a composition" in (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")


def test_score_by_hand(data) -> None:
    """A model that is off by a tenth everywhere; the linear one is exact, because the energies are linear."""

    class Off:
        def predict(self, formulas):
            return np.array([data[f] + 0.1 for f in formulas]), np.arange(len(formulas), dtype=float)

    loaded = load_formation_data()
    score = score_formation(Off(), loaded, loaded.training, loaded.validation)
    assert score["mae_eV_per_atom"] == pytest.approx(0.1)
    assert score["rmse_eV_per_atom"] == pytest.approx(0.1)
    assert score["linear_mae_eV_per_atom"] < 0.05
    assert score["mean_mae_eV_per_atom"] > 0.1


def test_a_model_of_another_kind(tmp_path) -> None:
    save_weights(tmp_path / "metal", {"bias_0": np.zeros(1)}, {"kind": "metal"}, "")
    with pytest.raises(ModelError, match="of kind 'metal'; give one of kind 'formation'"):
        load_formation_model(str(tmp_path / "metal"))


def test_shipped_recipe() -> None:
    assert isinstance(read_recipe("formation"), FormationRecipe)
