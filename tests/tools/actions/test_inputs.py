import pyarrow as pa
import pytest
from pydantic import TypeAdapter, ValidationError

from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError, EvidenceError
from onnes.tools.actions.inputs import Formulas, best_first, crystals_of, left_over, rows_table, with_extra, with_origin


def test_crystals_of_sets_and_single_ones(study, known):
    assert crystals_of(study, [known], tool="relax").num_rows == 4
    assert crystals_of(study, [f"{known}/NbN"], tool="relax")["id"].to_pylist() == ["NbN"]


def test_too_many_crystals_are_refused_with_the_bound(study, known):
    with pytest.raises(ConfigError, match="4 crystals are too many for one call of phonons: it takes 3"):
        crystals_of(study, [known], tool="phonons", at_most=3)


def test_a_set_that_holds_no_crystals_names_those_it_was_made_from(study, known):
    study.add("b" * 12, pa.table({"id": ["Nb:1"]}), tool="mixing", arguments={}, inputs=[known])
    with pytest.raises(ConfigError, match=f"set b+ holds no crystals but what mixing says of some; hull takes {known}"):
        crystals_of(study, ["b" * 12], tool="hull")


def test_an_empty_set_and_an_unknown_one(study):
    empty = pa.table(
        {"id": pa.array([], pa.string()), **{n: pa.array([]) for n in ("lattice", "frac_coords", "atomic_numbers")}}
    )
    study.add("c" * 12, empty, tool="search", arguments={})
    with pytest.raises(ConfigError, match=r"there is no crystal in c+; hull needs at least one"):
        crystals_of(study, ["c" * 12], tool="hull")
    with pytest.raises(EvidenceError, match="no set"):
        crystals_of(study, ["d" * 12], tool="hull")


@pytest.mark.parametrize("formula", ["Nb3Sn", "La1.85Sr0.15CuO4", "Ca(OH)2", "C60"])
def test_formulas(formula):
    assert TypeAdapter(Formulas).validate_python([formula, formula]) == (formula,)


@pytest.mark.parametrize(
    "formula",
    [
        "../x",
        "x.cif",
        "Nb 3",
        "*",
        "[Nb]",
        "Nb\x1b",
        "nb3sn",
        "N" * 81,
        "$(ls)",
        "POSCAR",
        "SECRET.CIF",
        "X2",
        "Nb0",
        "Nb1.2.3",
        "()",
        "Nb(",
    ],
)
def test_what_is_no_formula(formula):
    with pytest.raises(ValidationError, match="is no formula"):
        TypeAdapter(Formulas).validate_python([formula])


def test_best_first_puts_rejected_and_failed_rows_last():
    table = pa.table({"id": ["a", "b", "c", "d", "e"]})
    table = with_columns(table, {
        "tc_K": [1.0, 9.0, None, 20.0, 30.0],
        "error": [None, None, None, "broken", None],
        "rejected_by": [None, None, None, None, "hull"],
    })  # fmt: skip
    assert best_first(table, "tc_K", largest=True)["id"].to_pylist() == ["b", "a", "c", "e", "d"]
    assert best_first(table, "tc_K", largest=False)["id"].to_pylist() == ["a", "b", "c", "e", "d"]
    assert left_over(table) == ("2 of the 5 rows came rejected or failed and stay so",)
    assert left_over(table.slice(0, 2)) == ()


def test_extra_columns_are_added_or_replaced():
    table = with_extra(pa.table({"id": ["a"]}), {"x": pa.array([1])})
    assert with_extra(table, {"x": pa.array([2]), "y": pa.array(["b"])}).to_pylist() == [{"id": "a", "x": 2, "y": "b"}]


def test_rows_that_speak_of_crystals_name_their_structure(known, study):
    crystals = study.table(known)
    rows = rows_table([{"id": "Nb:1", "crystal_id": "Nb", "x": 1.0}, {"id": "?:1", "crystal_id": "?", "y": "z"}])
    found = with_origin(rows, crystals, "crystal_id").to_pylist()
    assert found[0]["crystal_hash"] == crystals["crystal_hash"][0].as_py()
    assert (found[0]["x"], found[0]["y"], found[0]["geometry"]) == (1.0, None, "input")
    assert found[1]["crystal_hash"] is None
