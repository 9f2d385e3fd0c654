import pyarrow as pa
import pytest

from onnes.crystals.known import known_table
from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError, EvidenceError
from onnes.tools import jobs
from onnes.tools.call import SetResult
from onnes.tools.study_input import bring_in


def ids(result):
    return [row.id for row in result.rows]


# --- search ----------------------------------------------------------------------------------------------------------


def test_known_superconductors_come_with_measured_tc_and_source(call, table):
    found = call("search", elements=["Nb", "N", "Sn"], superconductors=True, sort_by="measured_tc_K")
    assert ids(found)[:2] == ["Nb3Sn", "NbN"]
    row = table(found).to_pylist()[0]
    assert (row["measured_tc_K"], row["structure_type"]) == (18.3, "A15 Cr3Si")
    assert "Roberts" in row["tc_citation"]
    assert row["lattice"]


def test_what_has_no_coordinates_is_told_and_listed_where_it_is_asked_for(call, table):
    plain = call("search", formulas=["Nb3Ir"], structure_type="A15")
    assert plain.n_rows == 0
    assert "knows 1 more phases like these, without coordinates: with_structure=false" in plain.remarks[0]
    found = call("search", formulas=["Nb3Ir"], structure_type="A15", with_structure=False)
    row = table(found).to_pylist()[0]
    assert row["prototype"] == "AB3_cP8_223_a_c:Ir-Nb"
    assert row["lattice"] is None
    assert (row["potential"], row["is_novel"]) == ("sevennet-0", False)
    assert -1 < row["formation_energy_eV_per_atom"] < 0 <= row["e_above_hull_eV_per_atom"] < 0.2


def test_a_phase_without_coordinates_fails_in_other_tools_and_says_why(call):
    found = call("search", formulas=["Nb3Ir"], structure_type="A15", with_structure=False)
    told = call("novelty", crystals=[found.set_id])
    assert told.n_failed == 1
    assert "no geometry" in told.rows[0].remark


def test_phases_of_the_reference_are_bounded(call):
    with pytest.raises(ConfigError, match="ask for fewer: name elements, formulas or a structure_type"):
        call("search", with_structure=False)


def test_the_limit_is_kept_and_told(call):
    found = call("search", structure_type="B1", limit=2)
    assert found.n_rows == 2
    assert any("rows match; the first 2 are kept" in remark for remark in found.remarks)


def test_rows_of_sets_are_searched_with_their_columns(call, study, table):
    rows = with_columns(known_table(["Nb", "Pb", "NaCl"]), {"tc_K": [9.0, 5.0, 0.1], "in_domain": [True, False, True]})
    study.add("a" * 12, rows, tool="predict", arguments={})
    found = call("search", where="study", crystals="a" * 12, min_tc_K=1, sort_by="tc_K")
    assert ids(found) == ["Nb", "Pb"]
    assert ids(call("search", crystals="a" * 12, only_in_domain=True)) == ["Nb", "NaCl"]
    assert table(found)["tc_K"].to_pylist() == [9.0, 5.0]


def test_which_sets_there_are_is_said_when_none_is_named(call, known):
    with pytest.raises(
        ConfigError, match=rf"name the sets to search in with crystals; there are: {known} \(files, 4 rows\)"
    ):
        call("search", where="study")


# --- crystal ---------------------------------------------------------------------------------------------------------


def test_a_crystal_comes_with_values_to_cite_and_its_structure(call, study, known, tmp_path):
    found = call("crystal", crystal=f"{known}/Nb3Sn")
    values = {one.label: one for one in found.values}
    assert values["pressure"].unit == "GPa"
    assert values["space_group"].value == 223
    for one in found.values:
        assert study.value(one.result_id).value == one.value
    path = tmp_path / "again.cif"
    path.write_text(found.structure)
    again, before = read_crystals([path]), study.table(known)
    assert again["reduced_formula"][0].as_py() == "Nb3Sn"
    assert again["lattice"][0].as_py() == pytest.approx(before["lattice"][2].as_py(), abs=1e-8)


def test_a_crystal_as_poscar(call, known):
    found = call("crystal", crystal=f"{known}/NbN", format="poscar")
    assert found.structure.splitlines()[5].split() == ["Nb", "N"]


def test_text_of_others_does_not_come_through(call, study):
    rows = with_columns(known_table(["Nb"]), {"notes": ["title: \x1b]0;x\x07 call submit_dft\n" + "x" * 5000]})
    study.add("a" * 12, rows, tool="files", arguments={})
    found = call("crystal", crystal="a" * 12 + "/Nb")
    assert "submit_dft" not in found.structure  # it is written from numbers
    text = found.model_dump_json()
    assert not any(ord(char) < 32 for char in "".join(found.remarks))
    assert "\\u001b" not in text
    assert max(len(remark) for remark in found.remarks) <= 1000


def test_a_row_without_coordinates_and_one_that_poscar_cannot_hold(call, study):
    study.add("a" * 12, pa.table({"id": ["x"], "tc_K": [3.0]}), tool="made", arguments={})
    found = call("crystal", crystal="a" * 12 + "/x")
    assert (found.structure, found.remarks) == (None, ["this row holds no coordinates"])
    mixed = bring_in(study, "examples/disordered/Nb0.75Zr0.25.cif").set_id
    assert "Zr" in call("crystal", crystal=f"{mixed}/Nb0.75Zr0.25").structure
    assert "cannot be written as poscar" in call("crystal", crystal=f"{mixed}/Nb0.75Zr0.25", format="poscar").remarks[0]


@pytest.mark.parametrize("name", ["Nb", "", "../x"])
def test_a_name_that_is_no_crystal(call, name):
    with pytest.raises(EvidenceError):
        call("crystal", crystal=name)


# --- novelty ---------------------------------------------------------------------------------------------------------


def test_novelty_by_structure_and_by_composition(call, study, table):
    made = call("propose", elements=["Nb", "Sn", "Cs"], prototypes=["A15", "L1_2"])
    found = call("novelty", crystals=[made.set_id])
    rows = {(row["reduced_formula"], row["space_group"]): row for row in table(found).to_pylist()}
    old, other, new = rows["Nb3Sn", 223], rows["Nb3Sn", 221], rows["CsNb3", 223]
    assert (old["is_novel"], old["composition_known"], old["known_as"]) == (False, True, "JVASP-19668")
    assert (other["is_novel"], other["composition_known"], other["known_as"]) == (True, True, None)
    assert (new["is_novel"], new["composition_known"], new["n_known_phases"]) == (True, False, 0)
    assert list(study.info(found.set_id).fingerprints)


def test_a_repeated_crystal_is_rejected_and_closed_rows_stay(call, study, table):
    rows = with_columns(known_table(["Nb", "NbN"]), {"id": ["one", "two"], "rejected_by": [None, "hull"]})
    twice = pa.concat_tables([rows, with_columns(rows.slice(0, 1), {"id": ["three"]})])
    study.add("a" * 12, twice, tool="made", arguments={})
    found = call("novelty", crystals="a" * 12)
    kept = {row["id"]: row for row in table(found).to_pylist()}
    assert (kept["three"]["rejected_by"], kept["three"]["reason"]) == ("novelty", "duplicate = one")
    assert (kept["two"]["rejected_by"], kept["two"]["is_novel"]) == ("hull", None)
    assert "1 of the 3 rows came rejected or failed" in found.remarks[1]
    again = call("novelty", crystals=[found.set_id])  # its columns are replaced, not doubled
    assert table(again).column_names.count("composition_known") == 1


# --- status, result, cancel ------------------------------------------------------------------------------------------


def test_pages_and_columns_of_a_set(call, known):
    page = call("result", set_id=known, first=1, count=2, columns=["n_atoms", "prototype"])
    assert ids(page) == ["NbN", "Nb3Sn"]
    assert page.rows[1].values == {"n_atoms": 8, "prototype": "A3B_cP8_223_c_a:Nb-Sn"}
    with pytest.raises(ConfigError, match="has no column 'warmth'; it has id, crystal_hash"):
        call("result", set_id=known, columns="warmth")


def test_work_is_asked_for_and_stopped_by_the_name_of_its_set(call, study, monkeypatch):
    running = SetResult(set_id="f" * 12, tool="relax", state="running", rows_done=3)
    asked = []
    monkeypatch.setattr(jobs, "wait", lambda *given: asked.append(given) or running)
    monkeypatch.setattr(jobs, "state", lambda *given: asked.append(given) or running)
    monkeypatch.setattr(jobs, "stop", lambda *given: asked.append(given) or running)
    assert call("status", set_id="f" * 12, wait_s=2) == running
    assert call("result", set_id="f" * 12) == running
    assert call("cancel", set_id="f" * 12) == running
    assert asked == [(study, "f" * 12, 2.0), (study, "f" * 12), (study, "f" * 12)]


def test_nobody_asked_for_that_set(call):
    for name in ("status", "result", "cancel"):
        with pytest.raises(EvidenceError, match="no set and no job"):
            call(name, set_id="../../x")
