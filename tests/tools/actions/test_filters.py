import pyarrow as pa
import pytest

from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError
from onnes.tools.actions.filters import MEASURED, Wanted, labels_of_type

NAMES = ["Nb", "NbN", "Nb3Sn", "V3Si", "NaCl", "MgCNi3", "ZrV2"]


@pytest.fixture(scope="module")
def table():
    return known_table(NAMES)


def ids(table):
    return table["id"].to_pylist()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, NAMES),
        ({"elements": ("Nb", "N", "Sn")}, ["Nb", "NbN", "Nb3Sn"]),
        ({"required": ("Nb",)}, ["Nb", "NbN", "Nb3Sn"]),
        ({"required": ("Nb", "N")}, ["NbN"]),
        ({"exclude": ("N", "V")}, ["Nb", "Nb3Sn", "NaCl", "MgCNi3"]),  # N is not Na, Nb or Ni
        ({"formulas": ("Sn2Nb6", "NaCl")}, ["Nb3Sn", "NaCl"]),
        ({"max_elements": 1}, ["Nb"]),
        ({"max_atoms": 2}, ["Nb", "NbN", "NaCl"]),
        ({"structure_type": "A15"}, ["Nb3Sn", "V3Si"]),
        ({"structure_type": "A3B_cP8_223_c_a:Nb-Sn"}, ["Nb3Sn", "V3Si"]),
        ({"structure_type": "B1", "required": ("Na",)}, ["NaCl"]),
        ({"structure_type": "Laves"}, ["ZrV2"]),
    ],
)
def test_rows_of_a_kind(table, wanted, found):
    assert ids(Wanted(**wanted).of_kind(table)) == found


def test_rows_with_values():
    table = pa.table({"id": ["a", "b", "c", "d"], MEASURED: [18.0, None, None, 4.0]})
    table = with_columns(table, {
        "tc_K": [None, 9.0, 3.0, 20.0],
        "e_above_hull_eV_per_atom": [0.0, 0.04, None, 0.3],
        "is_novel": [False, True, True, None],
        "in_domain": [True, True, False, None],
        "rejected_by": [None, None, None, "hull"],
    })  # fmt: skip

    def found(**wanted):
        return ids(Wanted(**wanted).with_values(table))

    assert found() == ["a", "b", "c"]
    assert found(only_open=False) == ["a", "b", "c", "d"]
    assert found(min_tc_K=5) == ["a", "b"]  # the prediction where there is one, the measurement otherwise
    assert found(superconductors=True) == ["a"]
    assert found(max_e_above_hull_eV_per_atom=0.1) == ["a", "b"]
    assert found(only_new=True) == ["b", "c"]
    assert found(only_in_domain=True, min_tc_K=5) == ["a", "b"]


@pytest.mark.parametrize("name", ["A99", "../A15", "A3B_cP8_999_c_a", "A15:Nb"])
def test_an_unknown_structure_type_is_named(name):
    with pytest.raises(ConfigError, match=r"structure type|prototype label"):
        labels_of_type(name)


def test_a_bad_formula_is_named(table):
    with pytest.raises(ConfigError, match="'Xq2' is no formula"):
        Wanted(formulas=("Xq2",)).of_kind(table)


def test_no_rows_at_all(table):
    assert Wanted(elements=("Nb",), structure_type="A15").of_kind(table.slice(0, 0)).num_rows == 0
