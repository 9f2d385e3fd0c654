import pytest
from pydantic import ValidationError

from onnes.crystals.known import known_table
from onnes.crystals.schema import values, with_columns
from onnes.errors import ModelError
from onnes.flow.stage import StageContext, StageKind, stage_class
from onnes.models import prediction
from onnes.models.stages import Electronic, ElectronicSettings, Predict, PredictSettings
from onnes.models.weights import save_weights, weights_sha256
from onnes.potentials.fingerprints import potential_sha256
from tests.models.made_up import metal_model, superconductivity_config, superconductivity_model


def test_registered() -> None:
    assert stage_class("predict") is Predict
    assert Predict.kind is StageKind.MAP
    assert sorted(Predict.writes) == sorted(prediction.COLUMNS)  # the stage says what the function fills


def test_settings_reach_the_prediction(monkeypatch) -> None:
    seen = {}

    def spy(table, **arguments):
        seen.update(arguments)
        return table

    monkeypatch.setattr(prediction, "predict_table", spy)
    context = StageContext("predict", device="cuda")
    Predict(PredictSettings(model="a", metal_model="b", phonons=True)).apply(known_table(["Al"]), context)
    wanted = {"model": "a", "metal_model": "b", "phonons": True, "device": "cuda", "on_rows": context.on_rows}
    assert seen == wanted


def test_unknown_setting() -> None:
    with pytest.raises(ValidationError):
        PredictSettings(modell="structure")


def test_unknown_model_is_found_before_the_work() -> None:
    with pytest.raises(ModelError):
        Predict(PredictSettings(model="nothing")).fingerprints()


def test_fingerprints_name_every_model_and_potential(tmp_path) -> None:
    """Of the fallback and of the moments as well."""
    plain = superconductivity_model(moments="chgnet", potentials=("sevennet-0", "sevennet-0"))
    electronic = superconductivity_model(electronic=True, fallback=str(tmp_path / "plain"))
    metal = metal_model()
    for name, model in (("plain", plain), ("electronic", electronic)):
        tensors = {**model.heads.tensors(), **model.domain.tensors()}
        save_weights(tmp_path / name, tensors, superconductivity_config(model), "")
    config = {"kind": "metal", "potentials": list(metal.potentials), "targets": ["metal_logit"]}
    save_weights(tmp_path / "metal", metal.heads.tensors(), config, "")
    folders = {name: str(tmp_path / name) for name in ("plain", "electronic", "metal")}

    def fingerprints(model):
        return Predict(PredictSettings(model=folders[model], metal_model=folders["metal"])).fingerprints()

    models = {name: f"model {folder}" for name, folder in folders.items()}
    potentials = {f"potential {name}": potential_sha256(name) for name in ("chgnet", "sevennet-0", "sevennet-l3i5")}
    assert fingerprints("electronic") == {models[n]: weights_sha256(folders[n]) for n in folders} | potentials
    del potentials["potential sevennet-l3i5"]
    assert fingerprints("plain") == {models[n]: weights_sha256(folders[n]) for n in ("plain", "metal")} | potentials


def test_fingerprints_of_the_shipped_models(shipped) -> None:
    prints = Predict(PredictSettings()).fingerprints()
    assert prints == {
        "model structure": weights_sha256("structure"),
        "model metal": weights_sha256("metal"),
        **{f"potential {name}": potential_sha256(name) for name in ("sevennet-0", "sevennet-l3i5", "chgnet")},
    }
    with_fallback = Predict(PredictSettings(model="electronic")).fingerprints()
    assert {"model electronic", "model structure", "model metal"} <= set(with_fallback)


def test_stage_predicts(shipped) -> None:
    seen = []
    out = Predict(PredictSettings()).apply(known_table(["Al", "Nb"]), StageContext("predict", on_rows=seen.append))
    assert sum(seen) == 2
    assert set(Predict.writes) <= set(out.column_names)
    assert values(out, "tc_K")[1] > values(out, "tc_K")[0]  # niobium above aluminium


def test_electronic_reads_what_is_known_and_changes_nothing_else() -> None:
    table = with_columns(
        known_table(["Al", "Nb", "NbN"]), {"dos_ef_states_per_eV": [0.40, None, 0.0], "tc_K": [1.0, 9.0, 15.0]}
    )
    stage, rows = Electronic(ElectronicSettings()), []
    found = stage.apply(table, StageContext("electronic", on_rows=rows.append))
    assert sum(rows) == 3
    assert values(found, "tc_K") == [1.0, 9.0, 15.0]
    tc, lo, hi = (values(found, name) for name in stage.writes)
    assert tc[1:] == [None, None]
    assert lo[0] < tc[0] < hi[0]
    whole = prediction.predict_table(table.slice(0, 1), model="electronic")
    assert [values(whole, name)[0] for name in ("tc_K", "tc_lo_K", "tc_hi_K")] == [tc[0], lo[0], hi[0]]
    assert values(whole, "tc_model") == ["electronic"]
    assert stage.fingerprints()["model electronic"] == weights_sha256("electronic")


def test_electronic_without_any_known_value() -> None:
    found = Electronic(ElectronicSettings()).apply(known_table(["Al"]), StageContext("electronic"))
    assert values(found, "electronic_tc_K") == [None]
