import json

import pytest

from onnes.campaign.judgement import Weights
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError, EvidenceError
from onnes.tools import crystals
from onnes.tools.call import arguments_of
from onnes.tools.inputs import wrap


@pytest.fixture
def predicted(study):
    """Set with predictions of three crystals, one of them rejected."""
    rows = with_columns(known_table(["Nb", "Pb", "NaCl"]), {
        "tc_K": [11.0, 5.0, 0.1], "tc_lo_K": [8.0, 4.0, 0.0], "tc_hi_K": [14.0, 7.0, 0.2],
        "e_above_hull_eV_per_atom": [0.0, 0.01, 0.0], "is_metal_probability": [1.0, 1.0, 0.0],
        "in_domain": [True, True, True], "rejected_by": [None, None, "metal"],
    })  # fmt: skip
    study.add("a" * 12, rows, tool="predict", arguments={})
    return "a" * 12


def test_targets_are_ranked_with_concerns_that_can_be_cited(call, study, predicted, table):
    found = call("rank", crystals=predicted)
    rows = table(found).to_pylist()
    assert [(row["id"], row["judged_rank"]) for row in rows] == [("Nb", 1), ("Pb", 2), ("NaCl", None)]
    concern = study.value(f"{found.set_id}/Pb/concerns")
    assert concern.value.startswith("toxicity: Pb")
    assert 0 <= study.value(f"{found.set_id}/Nb/score").value <= 1
    assert found.remarks[1].startswith("weights: tc 3, ")
    assert "model experimental" in study.info(found.set_id).fingerprints
    assert "2 rows lack something to judge by" in found.remarks[2]


def test_weights_change_the_order(call, predicted):
    scores = [
        {row.id: row.values["score"] for row in call("rank", crystals=predicted, weights=weights).rows[:2]}
        for weights in ((), ["toxicity=50", "radioactivity=0"], "toxicity=0,price=0")
    ]
    assert scores[1]["Pb"] < scores[0]["Pb"] < scores[2]["Pb"]


def test_the_criteria_are_named_to_who_calls():
    about = arguments_of("rank").model_json_schema()["properties"]["weights"]["description"]
    assert all(f"{name}={weight:g}" in about for name, weight in Weights())


@pytest.mark.parametrize(("weights", "said"), [("beauty=1", "no criterion is called 'beauty'"), ("tc", "name=number")])
def test_a_bad_weight_is_named(call, predicted, weights, said):
    with pytest.raises(ConfigError, match=said):
        call("rank", crystals=predicted, weights=weights)


def test_predictions_are_made_where_they_are_asked_for(call, known, monkeypatch):
    asked = []
    monkeypatch.setattr(crystals, "predict", lambda rows, **_: asked.append(rows.num_rows) or wrap(rows))
    call("rank", crystals=known)
    call("rank", crystals=known, predict=True)
    assert asked == [4]


def test_every_number_of_a_plan_can_be_cited(call, study, known, table):
    found = call("plan", crystals=f"{known}/Nb3Sn", mass_g=1.0)
    rows = {row["id"]: row for row in table(found).to_pylist()}
    assert study.value(f"{found.set_id}/Nb/mass_g").text == "0.7013 g"
    assert rows["Nb"]["mass_g"] + rows["Sn"]["mass_g"] == pytest.approx(1.0)
    assert rows["sample"]["a_A"] == pytest.approx(5.289)
    lines = [row for row in rows.values() if row["kind"] == "line"]
    strongest = max(lines, key=lambda row: row["intensity"])
    assert strongest["hkl"] == "210"
    bragg = study.value(f"{found.set_id}/{strongest['id']}/two_theta_deg")
    assert bragg.text == "38.04 °"
    assert found.remarks[0].startswith("arc melting: ")
    assert {row["crystal_hash"] for row in rows.values()} == {study.table(known)["crystal_hash"][2].as_py()}


def test_notes_and_hazards_of_a_plan_can_be_cited(call, study, known, table):
    found = call("plan", crystals=f"{known}/NbN")
    rows = {row["id"]: row for row in table(found).to_pylist()}
    assert rows["N2"]["kind"] == "gas"
    assert any(one.startswith("N2 is taken up from the atmosphere: it is not weighed") for one in found.remarks)
    said = study.info(found.set_id).remarks
    for row in (row for row in rows.values() if row["kind"] == "hazard"):
        assert any(row["text"] in one and row["source"] in one for one in said)
    assert "ammonia is toxic" in rows["hazard-N-gas"]["text"]
    number = 1 + next(i for i, one in enumerate(said) if one.startswith("hazard, N (gas)"))
    assert "ammonia is toxic" in study.value(f"{found.set_id}/*/remark_{number}").text


def test_precursors_that_are_not_needed_are_remarked(call, known):
    found = call("plan", crystals=f"{known}/Nb3Sn", precursors="Nb,Sn,Cu")
    assert "not needed: Cu" in found.remarks


def test_a_halide_gets_no_plan_from_the_elements(call, known):
    with pytest.raises(ConfigError, match="no route is suggested"):
        call("plan", crystals=f"{known}/NaCl")
    assert call("plan", crystals=f"{known}/NaCl", precursors="NaCl").remarks[0].startswith("sealed ampoule: ")


def test_a_plan_says_at_which_temperature_to_look(call, study, predicted):
    found = call("plan", crystals=f"{predicted}/Nb")
    value = study.value(f"{found.set_id}/tc-mu0.1/tc_K")
    assert (value.text, value.name) == ("11.00 K", "Nb")


def test_a_plan_is_of_one_crystal(call, known):
    with pytest.raises(
        ConfigError, match=f"plan takes one crystal, and {known} holds 4; name one, such as {known}/Nb,"
    ):
        call("plan", crystals=known)
    with pytest.raises(ConfigError, match="no mixture of NbO2 gives Nb3Sn"):
        call("plan", crystals=f"{known}/Nb3Sn", precursors="NbO2")


def test_measurements_are_written_down_one_after_the_other(call, study, known):
    first = call("measure", crystal=f"{known}/Nb3Sn", tc_K=17.9, tc_criterion="onset", note="call\x1b[31m submit\nnow")
    assert (first.formula, first.as_planned, first.n_measurements) == ("Nb3Sn", True, 1)
    again = call("measure", crystal=f"{known}/NaCl", no_transition_above_K=1.8, phase="NaCl")
    assert again.n_measurements == 2
    lines = (study.folder / "measurements.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["note"] == "call[31m submit now"
    assert json.loads(lines[0])["crystal_hash"] == study.table(known)["crystal_hash"][2].as_py()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tc_K": 5}, "a Tc needs its criterion"),
        ({}, "nothing was found"),
        ({"tc_K": -3, "tc_criterion": "onset"}, "tc_K: .*greater than 0"),
        ({"tc_K": 3, "tc_criterion": "guess"}, "tc_criterion: "),
        ({"note": "x" * 501}, "note: .*at most 500"),
    ],
)
def test_a_measurement_that_makes_no_sense_is_not_kept(call, study, known, arguments, said):
    with pytest.raises(ConfigError, match=said):
        call("measure", crystal=f"{known}/Nb", **arguments)
    assert not (study.folder / "measurements.jsonl").exists()


@pytest.mark.parametrize("name", ["Nb", "ffffffffffff/Nb", "../x/y"])
def test_only_a_crystal_of_the_study_is_measured(call, study, name):
    with pytest.raises(EvidenceError):
        call("measure", crystal=name, tc_K=3, tc_criterion="zero")
    assert not (study.folder / "measurements.jsonl").exists()
