import pytest

from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError
from onnes.propose.motifs import motif_names
from onnes.propose.prototypes import COLLECTIONS
from onnes.propose.sources import METHODS
from onnes.tools import crystals
from onnes.tools.actions.filters import Wanted
from onnes.tools.actions.making import _made
from onnes.tools.call import arguments_of, call_tool
from onnes.tools.inputs import wrap


def choices(key):
    about = arguments_of("propose").model_json_schema()["properties"][key]
    parts = about.get("anyOf", [about.get("items", {})])
    return [one for part in parts for one in part.get("enum", ())]


def test_methods_motifs_and_collections_are_those_that_there_are():
    assert set(choices("method")) == set(METHODS) - {"reinterpret"}
    assert choices("motif") == motif_names()
    assert choices("collections") == list(COLLECTIONS)


def test_prototypes_with_elements(call, table):
    found = call("propose", elements="Nb,Sn", motif="a15")
    assert sorted(table(found)["reduced_formula"].to_pylist()) == ["Nb3Sn", "NbSn3"]
    assert table(found)["source"].to_pylist() == ["prototype"] * 2


def test_neighbours_of_parents_of_a_set(call, known, table):
    found = call("propose", crystals=[f"{known}/Nb3Sn"], exclude="Pb", n=5)
    rows = table(found).to_pylist()
    assert len(rows) == 5
    assert {row["parent_id"] for row in rows} == {"Nb3Sn"}
    assert not any("Pb" in row["formula"] for row in rows)


def test_what_is_excluded_is_excluded_by_every_method(call, table):
    found = call("propose", elements=["Nb", "N", "Be"], exclude="Be", prototypes=["B1", "B2"])
    assert set(table(found)["reduced_formula"].to_pylist()) == {"NbN"}


def test_elements_that_must_occur_and_their_number_are_kept_to(call, table):
    found = call("propose", elements=["Nb", "N", "C", "Ti"], required="Nb", max_elements=2, n=6)
    formulas = table(found)["reduced_formula"].to_pylist()
    assert len(formulas) == 6  # more are listed than asked for, and those that fit are drawn from them
    assert all("Nb" in formula for formula in formulas)
    assert "did not have the elements asked for" in found.remarks[0]


def test_rows_that_failed_stay_and_ids_differ():
    rows = known_table(["Nb", "NbN", "NaCl"])
    rows = with_columns(rows, {"id": ["a", "a", "c"], "error": [None, None, "atoms too close"]})
    made = _made(rows, Wanted(required=("Nb",), only_open=False), 5, None)
    assert made.table["id"].to_pylist() == ["a", "c"]
    with pytest.raises(ConfigError, match="no candidate has the elements asked for"):
        _made(rows.slice(0, 2), Wanted(required=("O",), only_open=False), 5, None)


def test_another_draw_gives_other_candidates_and_the_same_gives_the_same(call, table, tmp_path):
    arguments = {"elements": ["Nb", "N", "C", "Ti", "V"], "n": 5}
    first, second = (table(call("propose", **arguments, draw=draw))["id"].to_pylist() for draw in (0, 1))
    assert first != second
    again = Study.create(tmp_path / "again", seed=7)
    assert [row.id for row in call_tool(again, "propose", {**arguments, "draw": 1}).rows] == second


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "the method 'prototype' needs elements"),
        ({"method": "saps"}, "the method 'saps' needs crystals"),
        ({"method": "composition"}, "needs elements or formulas"),
        ({"method": "composition", "elements": "Nb", "target_tc_K": 9}, "has no use for target_tc_K; leave it out"),
        ({"elements": "Nb,N", "formulas": "NbN", "guidance": 2}, "has no use for formulas, guidance"),
        ({"elements": "Nb,N", "fixed": "N"}, "has no use for fixed"),
        ({"elements": "Nb", "prototypes": "A99"}, "no structure type is called 'A99'"),
        ({"elements": "Be", "exclude": "Be"}, "elements"),
    ],
)
def test_what_does_not_belong_together_is_said_in_the_words_of_the_tool(call, arguments, said):
    with pytest.raises(ConfigError, match=said):
        call("propose", **arguments)


def test_arguments_reach_the_generator(call, monkeypatch):
    given = {}

    def fake(parents, **settings):
        given.update(settings, parents=parents)
        return wrap(known_table(["NbN"]))

    monkeypatch.setattr(crystals, "propose", fake)
    call("propose", method="diffusion", elements="Nb,N", target_tc_K=15, guidance=2, space_group=225, n=3, draw=2)
    assert given["conditions"] == {"ln_tc": pytest.approx(2.772589)}
    assert (given["guidance"], given["space_group"], given["limit"], given["parents"]) == (2.0, 225, 3, None)
    assert given["seed"] == 7 + 2 * 10_007
    assert given["exclude"] is None  # those of the method
    call("propose", method="diffusion", exclude="Be", n=3)
    assert {"Be", "Tc", "He"} <= set(given["exclude"])


def test_a_composition_in_every_structure_type(call, table):
    found = call("reinterpret", formula="NbN", relax=False, prototypes="B1,B2,A15")
    assert table(found)["space_group"].to_pylist() == [225, 221]
    with pytest.raises(ConfigError, match="stoichiometry of Nb17Sn3"):
        call("reinterpret", formula="Nb17Sn3", relax=False)


def test_reinterpretation_relaxes_by_default(call, monkeypatch):
    given = {}
    monkeypatch.setattr(crystals, "propose", lambda **settings: given.update(settings) or wrap(known_table(["NbN"])))
    call("reinterpret", formula="NbN", limit=3)
    assert (given["potential"], given["formulas"], given["limit"]) == (None, ("NbN",), 3)
    assert given["collections"] == ("general", "superconductors")
