import pytest
from pydantic import ValidationError

from onnes.crystals.known import known_table
from onnes.crystals.schema import values
from onnes.errors import ModelError
from onnes.flow.stage import StageContext, StageKind, stage_class
from onnes.models import prediction
from onnes.models.stages import Predict, PredictSettings
from onnes.models.weights import weights_sha256
from onnes.potentials.fingerprints import potential_sha256


def test_registered() -> None:
    assert stage_class("predict") is Predict
    assert Predict.kind is StageKind.MAP
    assert Predict.writes == prediction.COLUMNS  # the stage says what the function fills


def test_settings_reach_the_prediction(monkeypatch) -> None:
    seen = {}

    def spy(table, **arguments):
        seen.update(arguments)
        return table

    monkeypatch.setattr(prediction, "predict_table", spy)
    context = StageContext("predict", device="cuda")
    Predict(PredictSettings(model="a", metal_model="b")).apply(known_table(["Al"]), context)
    assert seen == {"model": "a", "metal_model": "b", "device": "cuda", "on_rows": context.on_rows}


def test_unknown_setting() -> None:
    with pytest.raises(ValidationError):
        PredictSettings(modell="structure")


def test_unknown_model_is_found_before_the_work() -> None:
    with pytest.raises(ModelError):
        Predict(PredictSettings(model="nothing")).fingerprints()


def test_fingerprints_name_models_and_potentials(shipped) -> None:
    prints = Predict(PredictSettings()).fingerprints()
    assert prints == {
        "model": weights_sha256("structure"),
        "metal_model": weights_sha256("metal"),
        "potential sevennet-0": potential_sha256("sevennet-0"),
        "potential chgnet": potential_sha256("chgnet"),
    }


def test_stage_predicts(shipped) -> None:
    seen = []
    out = Predict(PredictSettings()).apply(known_table(["Al", "Nb"]), StageContext("predict", on_rows=seen.append))
    assert sum(seen) == 2
    assert set(Predict.writes) <= set(out.column_names)
    assert values(out, "tc_K")[1] > values(out, "tc_K")[0]  # niobium above aluminium
