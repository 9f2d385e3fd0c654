"""The numbers of a report and where they come from."""

from __future__ import annotations

import json

import numpy as np
import pytest

from onnes.campaign.report_data import ReportData, report_data
from onnes.campaign.report_text import format_value
from tests.campaign.report_sample import COUNTS, EVIL, META, WRITERS, sample_data, sample_table


def by_id(data: ReportData, name: str):
    return next(c for c in data.candidates if c.id == name)


def test_survivors_are_ranked_by_tc_then_hull_then_id_missing_last():
    data = sample_data()
    assert [c.id for c in data.candidates] == [EVIL, "tie-low", "tie-high", "known", "no-tc", "magnet"]
    assert [c.rank for c in data.candidates] == [1, 2, 3, 4, 5, 6]
    assert [s.id for s in data.survivors] == [c.id for c in data.candidates]


def test_order_of_the_rows_does_not_matter():
    table = sample_table()
    backwards = report_data(table.take(np.arange(table.num_rows)[::-1]), COUNTS, META, WRITERS)
    assert backwards.candidates == sample_data().candidates


def test_every_row_is_counted_once():
    data = sample_data()
    assert (data.n_candidates, data.n_survivors, data.n_rejected, data.n_failed) == (12, 6, 4, 2)
    stopped = {row.id for row in data.stopped}
    assert stopped | {s.id for s in data.survivors} == set(sample_table()["id"].to_pylist())


def test_stopped_rows_name_stage_and_reason():
    stopped = {row.id: (row.kind, row.stage, row.reason) for row in sample_data().stopped}
    assert stopped["high-1"] == ("rejected", "hull", "above 0.2 eV/atom")
    assert stopped["broken"] == ("failed", "relax", "NaN force <u>")
    assert stopped["unread"] == ("failed", "reading", "no cell")


def test_result_ids_name_run_row_and_column():
    best = sample_data().candidates[0]
    assert best.results["tc_K"].result_id == f"t1/{EVIL}/tc_K"
    assert best.results["e_above_hull_eV_per_atom"].result_id == f"h1/{EVIL}/e_above_hull_eV_per_atom"
    assert best.cell.result_id == f"r1/{EVIL}/lattice"
    assert best.results["omega_log_K"].result_id is None  # no stage claims to have written it


def test_the_last_run_of_a_stage_counts_and_nothing_is_cited_without_value():
    table = sample_table()
    runs = [["tc:old", "tc:new"] if r else None for r in table["runs"].to_pylist()]
    table = table.set_column(table.column_names.index("runs"), "runs", [runs])
    data = report_data(table, COUNTS, META, WRITERS)
    assert by_id(data, "known").results["tc_K"].result_id == "new/known/tc_K"
    assert by_id(data, "no-tc").results["tc_K"].result_id is None


def test_top_limits_pages_but_not_the_list():
    data = sample_data(top=2)
    assert len(data.candidates) == 2
    assert len(data.survivors) == data.n_survivors == 6
    assert report_data(sample_table(), COUNTS, META, WRITERS, top=0).candidates == []


def test_cell_parameters_sites_and_volume_change():
    best = sample_data().candidates[0]
    assert (best.cell.a, best.cell.c, best.cell.gamma) == pytest.approx((6.0, 3.3, 90.0))
    assert best.cell.volume_A3_per_atom == pytest.approx(36 * 3.3 / 10)
    assert best.volume_change_percent == pytest.approx(100 * (1.01**-3 - 1))
    assert [atom.wyckoff for atom in best.cell.atoms] == list("aahhhhgggg")
    assert best.space_group_symbol == "P4/mbm"
    assert sample_data().candidates[1].input_cell is None


def test_wyckoff_letters_are_left_out_when_the_space_group_disagrees():
    table = sample_table()
    index = table.column_names.index("space_group")
    table = table.set_column(index, "space_group", [[225] * table.num_rows])
    atoms = report_data(table, COUNTS, META, WRITERS).candidates[0].cell.atoms
    assert {atom.wyckoff for atom in atoms} == {None}


def test_elements_are_counted_once_a_crystal():
    hits = {hit.symbol: hit for hit in sample_data().elements}
    assert hits["Be"].n_survivors == 6
    assert hits["Zr"].n_survivors == 2
    assert hits["Zr"].mean_tc_K == pytest.approx(6.0)
    assert hits["Ti"].mean_tc_K is None  # its only survivor has no Tc
    assert "Ta" not in hits  # rejected only


def test_summary_says_what_came_out():
    text = sample_data().summary
    assert "Of 12 candidates, 6 passed" in text
    assert "Be2HfNb2 (P4/mbm, No. 127) with Tc = 7.12 ± 0.71 K" in text
    assert "0.049 eV/atom above the hull" in text
    empty = report_data(sample_table().slice(0, 0), [], {}, {})
    assert empty.summary == (
        "Of 0 candidates, 0 passed every stage of the funnel; 0 were rejected and 0 could not be computed."
    )


def test_caveats_follow_the_rows():
    notes = " ".join(sample_data().caveats)
    assert "μ* = 0.10" in notes
    assert "No phonon stage has run" in notes
    assert "1 survivor lies in a chemical system of which the reference knows no compound" in notes
    for text in ("outside the domain", "probably magnetic", "relaxation did not converge", "known already"):
        assert f"1 of 6 survivors: {text}" in notes
    assert "1 of 6 survivors: no energy above hull" in notes


def test_phonon_grades_replace_the_phonon_caveat():
    table = sample_table()
    grades = ["stable", "stable", "doubtful"] + [None] * (table.num_rows - 3)
    notes = " ".join(report_data(table.append_column("phonon_grade", [grades]), COUNTS, META, WRITERS).caveats)
    assert "No phonon stage has run" not in notes
    assert "2 stable, 1 doubtful, 0 unstable, 3 without a grade" in notes


def test_json_round_trip_has_no_nan():
    table = sample_table()
    hull = table.column_names.index("e_above_hull_eV_per_atom")
    table = table.set_column(hull, "e_above_hull_eV_per_atom", [[float("nan")] * table.num_rows])
    data = report_data(table, COUNTS, META, WRITERS)
    text = data.model_dump_json(indent=1)
    assert ReportData.model_validate_json(text) == data
    assert "NaN" not in text.replace("NaN force", "")
    assert data.candidates[0].results["e_above_hull_eV_per_atom"].value is None
    assert data.survivors[0].e_above_hull_eV_per_atom is None
    assert json.loads(text)["candidates"][5]["results"]["tc_K"] == {"value": None, "result_id": None}


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, "tc_K", "–"),
        (float("nan"), "tc_K", "–"),
        (-0.0001, "tc_K", "0.00"),
        (0.0491234, "e_above_hull_eV_per_atom", "0.049"),
        (12, "hull_coverage", "12"),
        (True, "in_domain", "yes"),
        ("stable", "phonon_grade", "stable"),
    ],
)
def test_format_value(value, column, text):
    assert format_value(value, column) == text
