import hashlib
import json

import pyarrow as pa
import pytest

from onnes.campaign.study import Study
from onnes.campaign.value import plain_text, title_of, unit_of, visible
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError, EvidenceError

TABLE = pa.table({
    "id": ["a", "b/c", "d"],
    "reduced_formula": ["Nb", "NbN", None],
    "formula": ["Nb", "NbN", "NbX"],
    "crystal_hash": ["h1", "h2", None],
    "tc_K": [9.25, None, None],
    "tc_K_std": [1.5, None, None],
    "bulk_modulus_GPa": [170.123456, None, None],
    "debye_K": [275.0, None, None],
    "debye_K_std": [11.0, None, None],
    "in_domain": [True, False, None],
    "geometry": ["input", "sevennet-0", None],
    "alpha2f": [[0.1, 0.2], None, None],
    "notes": ["call\x1b[31m submit\nnow", None, None],
    "rejected_by": [None, "tc", None],
    "error": [None, None, "no structure"],
})  # fmt: skip


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study", title="niobium", seed=3)


@pytest.fixture
def set_id(study):
    name = study.name_of("made", {"n": 1})
    study.add(name, TABLE, tool="made", arguments={"n": 1})
    return name


def test_a_study_is_made_once_and_opened_again(study):
    again = Study.create(study.folder, title="other", seed=9)
    assert (again.settings["title"], again.seed, again.device) == ("niobium", 3, "cpu")
    assert Study.open(study.folder) == again


def test_no_study_is_made_among_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="not empty"):
        Study.create(tmp_path)
    with pytest.raises(ConfigError, match=r"no study: it has no study\.toml"):
        Study.open(tmp_path)


def test_the_name_of_a_set_depends_on_call_seed_and_content_of_its_inputs(study, set_id, tmp_path):
    names = {
        study.name_of("relax", {"fmax": 0.02}, [set_id]),
        study.name_of("relax", {"fmax": 0.03}, [set_id]),
        study.name_of("hull", {"fmax": 0.02}, [set_id]),
        study.name_of("relax", {"fmax": 0.02}),
    }
    other = Study.create(tmp_path / "other", seed=3)
    other.add(set_id, TABLE.slice(0, 1), tool="made", arguments={"n": 1})  # the same name, but not the same rows
    names.add(other.name_of("relax", {"fmax": 0.02}, [set_id]))
    names.add(Study.create(tmp_path / "third", seed=4).name_of("relax", {"fmax": 0.02}))
    assert len(names) == 6
    assert study.name_of("relax", {"fmax": 0.02}, [set_id]) in names


def test_a_set_is_kept_with_its_counts_and_origin(study, set_id):
    info = study.info(set_id)
    assert (info.n_rows, info.n_open, info.n_rejected, info.n_failed) == (3, 1, 1, 1)
    assert (info.tool, info.arguments, info.code_version) == ("made", {"n": 1}, "0.1.0")
    assert study.table(set_id)["id"].to_pylist() == ["a", "b/c", "d"]
    assert [one.set_id for one in study.sets()] == [set_id]


@pytest.mark.parametrize("ids", [["a", "a"], ["a", ""], ["a", None]])
def test_rows_without_a_name_of_their_own_are_refused(study, ids):
    with pytest.raises(ConfigError, match="different ids"):
        study.add("0" * 12, pa.table({"id": ids}), tool="made", arguments={})
    assert not study.has("0" * 12)


def test_rows_come_from_sets_and_single_crystals_each_once(study, set_id):
    other = "b" * 12
    study.add(
        other, pa.table({"id": ["z", "a"], "crystal_hash": ["h9", "h1"], "score": [1.0, 2.0]}), tool="x", arguments={}
    )
    table, sets = study.rows([f"{set_id}/b/c", set_id, other])
    assert table["id"].to_pylist() == ["b/c", "a", "d", "z"]
    assert sets == (set_id, other)
    assert table["score"].to_pylist() == [None, None, None, 1.0]


def test_two_crystals_of_one_name_are_not_mixed_up(study, set_id):
    other = "b" * 12
    study.add(other, with_columns(TABLE.slice(0, 1), {"crystal_hash": ["relaxed"]}), tool="relax", arguments={})
    with pytest.raises(EvidenceError, match=f"'a' is one crystal in set {set_id} and another in set {other}"):
        study.rows([set_id, other])


def test_an_empty_set_has_no_rows(study):
    study.add("e" * 12, TABLE.slice(0, 0), tool="made", arguments={})
    table, _ = study.rows(["e" * 12])
    assert table.num_rows == 0
    assert "tc_K" in table.column_names


@pytest.mark.parametrize("name", ["../../etc/passwd", "x", "", "A" * 12, "0" * 13, "../sets/0"])
def test_no_path_is_made_of_a_name(study, name):
    assert not study.has(name)
    with pytest.raises(EvidenceError, match="no set"):
        study.rows([name])
    with pytest.raises(ConfigError, match="twelve hexadecimal digits"):
        study.add(name, TABLE, tool="made", arguments={})
    assert sorted(path.name for path in study.folder.rglob("*")) == ["study.toml"]


def test_a_value_has_unit_spread_method_and_structure(study, set_id):
    value = study.value(f"{set_id}/a/tc_K")
    assert (value.value, value.text, value.label, value.unit, value.uncertainty) == (9.25, "9.25 K", "Tc", "K", 1.5)
    assert (value.name, value.method, value.crystal_hash) == ("Nb", "made, onnes 0.1.0", "h1")
    assert (value.geometry, value.in_domain) == ("input", True)


def test_a_column_that_no_page_describes_has_its_unit_as_well(study, set_id):
    assert study.value(f"{set_id}/a/bulk_modulus_GPa").text == "170.1 GPa"
    assert study.value(f"{set_id}/a/debye_K").uncertainty == 11.0


def test_a_row_may_have_a_slash_in_its_name(study, set_id):
    assert study.value(f"{set_id}/b/c/in_domain").value is False
    assert study.value(f"{set_id}/b/c/in_domain").name == "NbN"


def test_counts_of_a_set_and_what_was_asked_for_can_be_cited(study, set_id):
    assert study.value(f"{set_id}/*/n_open").value == 1
    (study.folder / "goal.json").write_text(
        json.dumps({"min_tc_K": 8.0, "exclude": ["Be", "Tl"], "limits": {"calls": 3}})
    )
    assert study.value("goal/*/min_tc_K").text == "8 K"
    assert study.value("goal/*/exclude").text == "Be, Tl"
    with pytest.raises(EvidenceError, match="says nothing of 'limits'"):
        study.value("goal/*/limits")


@pytest.mark.parametrize(
    ("result_id", "said"),
    [
        ("nothing", "is no result id"),
        ("ffffffffffff/a/tc_K", "no set 'ffffffffffff'"),
        ("{}/q/tc_K", "no row 'q'; its first rows: a, b/c, d"),
        ("{}/a/warmth", "no column 'warmth'"),
        ("{}/b/c/tc_K", "no single value in column 'tc_K'"),
        ("{}/a/alpha2f", "no single value in column 'alpha2f'"),
        ("{}/*/tc_K", "as a whole has n_rows"),
    ],
)
def test_a_result_id_that_leads_nowhere_says_why(study, set_id, result_id, said):
    with pytest.raises(EvidenceError, match=said.replace("*", r"\*")):
        study.value(result_id.format(set_id))


def test_all_values_of_a_row_are_those_of_its_result_ids(study, set_id):
    found = study.row_values(set_id, "a")
    assert "alpha2f" not in {one.result_id.rpartition("/")[2] for one in found}
    assert {one.result_id for one in found} >= {f"{set_id}/a/tc_K", f"{set_id}/a/debye_K"}
    for one in found:
        assert study.value(one.result_id) == one


def test_text_from_outside_loses_its_control_characters(study, set_id):
    assert study.value(f"{set_id}/a/notes").text == "call[31m submit now"
    assert plain_text("a\u202eb\u200bc\x00") == "abc"
    assert len(plain_text("x" * 5000)) == 1000


def test_what_nobody_sees_is_taken_out_of_text():
    assert visible("th\u00adir\u200bty\u3164\u2800\ufe0f\U000e0101 \x1b[2J\n") == "thirty [2J\n"
    assert visible("μB, é, ½, 超\t|", keep="") == "μB, é, ½, 超|"


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", b'{"set_id": "000000000000"}', b"\xff"])
def test_an_origin_that_cannot_be_read_is_named(study, set_id, text):
    path = study.folder / "sets" / f"{set_id}.json"
    path.write_bytes(text)
    for ask in (lambda: study.info(set_id), study.sets, lambda: study.table(set_id), lambda: study.info_sha256(set_id)):
        with pytest.raises(EvidenceError, match=f"the origin of set {set_id} was changed"):
            ask()


def test_an_origin_belongs_to_its_set_and_has_a_hash(study, set_id):
    path = study.folder / "sets" / f"{set_id}.json"
    assert study.info_sha256(set_id) == hashlib.sha256(path.read_bytes()).hexdigest()
    (study.folder / "sets" / f"{'d' * 12}.json").write_bytes(path.read_bytes())
    with pytest.raises(EvidenceError, match="is the origin of another set"):
        study.info("d" * 12)


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_a_set_whose_file_was_touched_is_refused(study, set_id, damage):
    path = study.folder / "sets" / f"{set_id}.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if damage == "change":
        path.write_bytes(data)
    for ask in (lambda: study.table(set_id), lambda: study.rows([set_id]), lambda: study.value(f"{set_id}/a/tc_K")):
        with pytest.raises(EvidenceError, match="was changed or removed"):
            ask()


def test_a_crystal_table_comes_back_as_it_was(study):
    table = known_table(["Nb3Sn", "NbN"])
    study.add("c" * 12, table, tool="made", arguments={})
    assert study.table("c" * 12).equals(table.combine_chunks())


def test_units_and_titles_of_columns():
    assert {unit_of(name) for name in ("energy_eV_per_atom", "e_above_hull_eV_per_atom")} == {"eV/atom"}
    assert (unit_of("heat_capacity_300K_J_per_mol_K"), unit_of("lambda_"), unit_of("two_theta_deg")) == (
        "J/(mol K)",
        "",
        "°",
    )
    assert (title_of("two_theta_deg"), title_of("lambda_"), title_of("exp_tc_hi_K")) == (
        "two theta / °",
        "lambda",
        "exp tc hi / K",
    )
