import pyarrow as pa
import pytest

from onnes.campaign.study import Study
from onnes.errors import ConfigError, EvidenceError
from onnes.physics.reference import Reference
from onnes.tools import registry
from onnes.tools.actions import finding
from onnes.tools.call import arguments_of, call_tool, checked_arguments, fingerprints, set_name, set_result

TABLE = pa.table({
    "id": ["a", "b", "c"],
    "reduced_formula": ["Nb", "NbN", "NaCl"],
    "crystal_hash": ["1", "2", "3"],
    "lattice": pa.array([[3.0] * 9] * 3),
    "frac_coords": pa.array([[0.0] * 3] * 3),
    "atomic_numbers": pa.array([[41]] * 3, pa.list_(pa.int16())),
    "tc_K": [9.123456789, 12.0, None],
    "error": [None, None, "no\x1b[31m structure\nat all"],
})  # fmt: skip
SET = "a" * 12


@pytest.fixture
def study(tmp_path):
    study = Study.create(tmp_path / "study")
    study.add(SET, TABLE, tool="made", arguments={})
    return study


def search(study, **arguments):
    return call_tool(study, "search", {"crystals": [SET], **arguments})


def test_a_call_makes_a_set_and_shows_its_rows(study):
    found = search(study, required=["Nb"], sort_by="tc_K")
    assert (found.state, found.n_rows, found.n_failed) == ("done", 2, 0)
    assert [row.id for row in found.rows] == ["b", "a"]
    assert found.rows[1].values == {"tc_K": 9.12346}
    assert study.value(f"{found.set_id}/a/tc_K").value == 9.123456789
    info = study.info(found.set_id)
    assert (info.tool, info.inputs) == ("search", (SET,))
    assert (info.arguments["required"], info.arguments["limit"]) == (["Nb"], 100)


def test_the_same_call_is_answered_from_its_set(study, monkeypatch):
    first = search(study, elements=["Nb", "N"])

    def fail(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(finding.Wanted, "of_kind", fail)
    assert search(study, elements=["Nb", "N"]) == first
    assert search(study, elements="N, Nb") == first  # elements have no order, and one text will do
    with pytest.raises(AssertionError, match="computed again"):
        search(study, elements=["Nb"])


def test_defaults_and_numbers_in_words_do_not_change_the_name(study):
    plain = set_name(study, "relax", checked_arguments("relax", {"crystals": [SET]}))
    written = {"crystals": SET, "max_steps": "300", "keep_symmetry": "true", "potential": "sevennet-0"}
    assert set_name(study, "relax", checked_arguments("relax", written)) == plain
    other = checked_arguments("relax", {"crystals": [SET], "max_steps": 10})
    assert set_name(study, "relax", other) != plain


def test_what_changes_nothing_in_a_set_does_not_change_its_name(study):
    names = {
        set_name(study, "screen", checked_arguments("screen", {"crystals": [SET], **more}))
        for more in ({}, {"workers": 2}, {"top": 3})
    }
    assert len(names) == 1
    warm = checked_arguments("screen", {"crystals": [SET], "min_tc_K": 5})
    assert set_name(study, "screen", warm) not in names


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("search", {"limit": 501}, "limit: .*less than or equal to 500"),
        ("search", {"elements": ["Nb", "Qq"]}, "elements: .*'Qq' is no chemical symbol"),
        ("search", {"warmth": 3}, "warmth: Extra inputs are not permitted.*Arguments of search: where, crystals"),
        ("search", {"sort_by": "beauty"}, "sort_by: Input should be 'as_found', 'tc_K'"),
        ("search", {"formulas": ["../../etc/passwd"]}, "formulas: .*is no formula"),
        ("predict", {}, "crystals: Field required"),
        ("predict", {"crystals": []}, "crystals: .*at least 1 item"),
        ("predict", {"crystals": None}, "crystals: .*at least 1 item"),
        ("predict", {"crystals": [SET], "model": "/home/me/weights"}, "model: Input should be 'structure', 'fast'"),
        ("predict", {"crystals": [SET], "study": "/"}, "study: Extra inputs"),
        (
            "relax",
            {"crystals": [SET], "on_rows": 1, "fmax_eV_per_A": "small"},
            "fmax_eV_per_A: .*number; on_rows: Extra",
        ),
        ("screen", {"crystals": [SET], "own_id": "x"}, "own_id: Extra inputs"),
        ("propose", {"method": "shell"}, "method: Input should be 'neighbour'"),
        ("submit", {}, "unknown tool 'submit'"),
    ],
)
def test_bad_arguments_are_named(study, tool, arguments, said):
    with pytest.raises(ConfigError, match=said):
        call_tool(study, tool, arguments)
    assert [one.set_id for one in study.sets()] == [SET]


@pytest.mark.parametrize("written", ["a1,b2", "[a1, b2]", '["a1", "b2"]', " 'a1','b2' ", ["a1", "b2"]])
def test_a_list_may_be_written_in_one_text(written):
    assert checked_arguments("novelty", {"crystals": written}).crystals == ("a1", "b2")


def test_unknown_sets_and_rows_are_named_without_control_characters(study):
    with pytest.raises(EvidenceError, match=r"no set 'x\\x1b\[31m' in this study; known: aaaaaaaaaaaa"):
        call_tool(study, "novelty", {"crystals": ["x\x1b[31m"]})
    with pytest.raises(EvidenceError, match="no row 'q'; its first rows: a, b, c"):
        call_tool(study, "novelty", {"crystals": [f"{SET}/q"]})


def test_remarks_of_rows_are_one_line_of_data(study):
    found = set_result(study, study.info(SET))
    assert found.rows[2].remark == "no[31m structure at all"
    assert "\x1b" not in found.model_dump_json()


def test_a_page_of_a_set_says_that_there_is_more(study):
    found = set_result(study, study.info(SET), first=1, count=1)
    assert ([row.id for row in found.rows], found.n_rows) == (["b"], 3)
    assert found.remarks == ["rows 1 to 1 of 3; `result` shows others"]
    assert set_result(study, study.info(SET)).remarks == []


def test_columns_that_hold_nothing_or_do_not_exist_are_not_shown(study):
    info = study.info(SET).model_copy(update={"shown": ("tc_K", "error", "warmth")})
    assert set_result(study, info, count=2).rows[0].values == {"tc_K": 9.12346}


def test_a_touched_set_makes_no_further_one(study):
    path = study.folder / "sets" / f"{SET}.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(EvidenceError, match="was changed"):
        search(study)
    assert len(study.sets()) == 1


def test_fingerprints_are_those_of_what_the_columns_name():
    shipped = Reference.find(None, "sevennet-0")
    table = pa.table({
        "id": ["a", "b"],
        "tc_model": ["fast", "/gone/weights"],
        "potential": ["sevennet-0", None],
        "hull_reference": [shipped.name, "of mine"],
    })  # fmt: skip
    found = fingerprints(table)
    assert set(found) == {"model fast", "potential sevennet-0", f"reference {shipped.name}"}
    assert found[f"reference {shipped.name}"] == shipped.sha256
    assert all(len(sha) == 64 for sha in found.values())


def test_a_tool_that_makes_rows_against_the_registry_is_a_fault(study, monkeypatch):
    spec = registry.tool("search")
    monkeypatch.setitem(registry._TOOLS, "search", type(spec)(**{**spec.__dict__, "makes_set": False}))
    with pytest.raises(TypeError, match="the registry says that it makes none"):
        search(study)


def test_the_model_of_arguments_is_made_once():
    assert arguments_of("predict") is arguments_of("predict")
    assert arguments_of("predict").__name__ == "PredictArguments"
