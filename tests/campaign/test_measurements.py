import json
from datetime import UTC, datetime

import pytest

from onnes.campaign.folder import Campaign
from onnes.campaign.measurements import LABELS, Measurements, measurement_rows
from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.crystals.schema import values, with_columns
from onnes.errors import ConfigError
from onnes.flow.funnel import Funnel
from tests.flow.toy_stages import InlineEngine, Witness

FUNNEL = Funnel(name="toy", stage=({"use": "gate", "name": "big", "column": "n_atoms", "min": 0},))
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def book(tmp_path):
    table = with_columns(known_table(["Nb3Sn", "MgB2"]), {"tc_K": [16.0, 20.0]})
    campaign = Campaign.create(tmp_path / "c", table, FUNNEL, title="t", seed=0, request={})
    campaign.run(InlineEngine(), Witness())
    return Measurements.of(tmp_path / "c")


def test_what_is_added_is_read_again_in_order(book):
    first = book.add("Nb3Sn", measured_tc_K=17.9, tc_criterion="midpoint", sample="S1", recorded_at=WHEN)
    second = book.add("MgB2", measured_no_transition_above_K=1.8, note="black")
    assert book.all() == [first, second]
    assert first.tc_kind == second.tc_kind == "measured"
    assert first.reduced_formula == "Nb3Sn"
    assert first.recorded_at == WHEN
    lines = book.file.read_text().splitlines()
    assert len(lines) == 2
    assert json.loads(lines[0])["measured_tc_K"] == 17.9


def test_adding_changes_nothing_that_is_there(book):
    book.add("Nb3Sn", measured_tc_K=17.9, tc_criterion="zero")
    before = book.file.read_bytes()
    book.add("MgB2", phase="MgB4")
    assert book.file.read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "nothing was found"),
        ({"note": "cracked"}, "nothing was found"),
        ({"measured_tc_K": 5.0, "tc_criterion": "onset", "measured_no_transition_above_K": 2.0}, "not both"),
        ({"measured_tc_K": 5.0}, "needs its criterion"),
        ({"measured_no_transition_above_K": 2.0, "tc_criterion": "onset"}, "needs its criterion"),
        ({"measured_tc_K": 5.0, "tc_criterion": "guess"}, "tc_criterion: .*onset"),
        ({"measured_tc_K": 0.0, "tc_criterion": "onset"}, "measured_tc_K: .*greater than 0"),
        ({"measured_tc_K": 4000.0, "tc_criterion": "onset"}, "measured_tc_K: .*400"),
        ({"measured_tc_K": float("nan"), "tc_criterion": "onset"}, "measured_tc_K"),
        ({"measured_no_transition_above_K": -1.0}, "measured_no_transition_above_K"),
        ({"phase": "Nb", "phase_fraction": 1.5}, "phase_fraction"),
        ({"phase": "Nb", "colour": "red"}, "colour"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written(book, found, words):
    with pytest.raises(ConfigError, match=words):
        book.add("Nb3Sn", **found)
    assert not book.file.exists()


def test_an_unknown_row_names_the_rows_that_look_like_it(book):
    with pytest.raises(ConfigError, match=r"no row 'Nb3Sm'; did you mean Nb3Sn"):
        book.add("Nb3Sm", phase="x")
    with pytest.raises(ConfigError, match=r"no row 'zzz'; its first rows: Nb3Sn, MgB2"):
        book.add("zzz", phase="x")
    with pytest.raises(ConfigError, match="no row 'x/Nb3Sn'"):  # a campaign has no sets
        book.add("x/Nb3Sn", phase="x")


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(ConfigError, match="is no campaign or study"):
        Measurements.of(tmp_path)


@pytest.mark.parametrize("broken", ["{", '{"id": "Nb3Sn"}', "[1]", '{"id": 3}'])
def test_a_broken_line_is_named_and_nothing_is_added_behind_it(broken, book):
    book.add("Nb3Sn", phase="Nb3Sn")
    with book.file.open("a") as file:
        file.write(f"\n{broken}\n")
    before = book.file.read_bytes()
    with pytest.raises(ConfigError, match=r"measurements\.jsonl, line 3 is broken: .+; mend or remove that line"):
        book.all()
    with pytest.raises(ConfigError, match="line 3 is broken"):
        book.add("MgB2", phase="MgB4")
    assert book.file.read_bytes() == before


def test_a_last_line_without_its_end_is_not_joined_to_the_next(book):
    book.add("Nb3Sn", phase="Nb3Sn")
    book.file.write_bytes(book.file.read_bytes().rstrip(b"\n"))
    book.add("MgB2", phase="MgB4")
    assert [one.id for one in book.all()] == ["Nb3Sn", "MgB2"]


@pytest.mark.parametrize(
    ("phase", "planned"),
    [(None, True), ("Nb3Sn", True), ("Nb6Sn2", True), ("NbSn2", False), ("some glass", False), ("", False)],
)
def test_whether_the_planned_crystal_was_found(phase, planned, book):
    found = book.add("Nb3Sn", measured_tc_K=2.0, tc_criterion="onset", phase=phase)
    assert found.as_planned is planned


def test_a_person_may_say_otherwise(book):
    assert book.add("Nb3Sn", phase="A15, a = 5.29 A", as_planned=True).as_planned
    assert not book.add("Nb3Sn", phase="Nb3Sn", as_planned=False).as_planned


def test_labels_stand_beside_no_other_kind_of_tc(book):
    book.add("Nb3Sn", measured_tc_K=17.9, tc_criterion="midpoint", sample="S1", phase_fraction=0.9)
    book.add("MgB2", measured_no_transition_above_K=1.8)
    book.add("Nb3Sn", measured_tc_K=18.1, tc_criterion="midpoint", sample="S2")
    table, left_out = book.labels()
    assert left_out == []
    assert values(table, "id") == ["Nb3Sn.m1", "MgB2.m2", "Nb3Sn.m3"]
    assert values(table, "parent_id") == ["Nb3Sn", "MgB2", "Nb3Sn"]
    assert values(table, "measured_tc_K") == [17.9, None, 18.1]
    assert values(table, "measured_no_transition_above_K") == [None, 1.8, None]
    assert values(table, "tc_kind") == ["measured"] * 3
    assert set(LABELS) <= set(table.column_names)
    assert "tc_K" not in table.column_names  # the campaign has one
    assert values(table, "lattice")[0] == values(known_table(["Nb3Sn"]), "lattice")[0]


def test_what_labels_nothing_is_left_out_with_its_reason(book):
    book.add("Nb3Sn", phase="Nb3Sn")
    book.add("Nb3Sn", measured_tc_K=2.0, tc_criterion="onset", phase="NbSn2")
    table, left_out = book.labels()
    assert table.num_rows == 0
    assert "neither a Tc nor a bound" in left_out[0]
    assert "another phase was found (NbSn2)" in left_out[1]
    assert [text.split(":")[0] for text in left_out] == ["measurement 1 of Nb3Sn", "measurement 2 of Nb3Sn"]


def test_a_label_does_not_pass_to_another_crystal(book):
    book.add("Nb3Sn", measured_tc_K=17.9, tc_criterion="zero")
    line = json.loads(book.file.read_text())
    book.file.write_text(json.dumps(line | {"crystal_hash": "0" * 32}) + "\n")
    table, left_out = book.labels()
    assert table.num_rows == 0
    assert "another crystal" in left_out[0]


def test_rows_of_a_study(tmp_path):
    study = Study.create(tmp_path / "s")
    set_id = study.name_of("tests", {})
    study.add(set_id, known_table(["Nb3Sn", "MgB2"]), tool="tests", arguments={})
    book = Measurements.of(tmp_path / "s")
    book.add(f"{set_id}/MgB2", measured_tc_K=39.0, tc_criterion="onset")
    assert values(book.labels()[0], "parent_id") == [f"{set_id}/MgB2"]
    assert values(book.labels()[0], "reduced_formula") == ["MgB2"]
    with pytest.raises(ConfigError, match=f"no set of the study .*sets: {set_id}"):
        book.add("MgB2", phase="x")
    with pytest.raises(ConfigError, match="has no row 'NbN'"):
        book.add(f"{set_id}/NbN", phase="x")


def test_table_of_measurements(book):
    book.add("Nb3Sn", measured_tc_K=17.9, tc_criterion="midpoint", sample="S1", recorded_at=WHEN)
    (row,) = measurement_rows(book.all()).to_pylist()
    assert row["measured_tc_K"] == 17.9
    assert row["as_planned"] is True
    assert row["recorded_at"] == "2026-03-01T12:00:00Z"
    assert measurement_rows([]).num_rows == 0
