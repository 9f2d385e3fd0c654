import time

import numpy as np
import pytest
from pymatgen.core import Composition, Structure
from tests.crystals.good import good_batch, good_crystals

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import COLUMNS, with_columns
from onnes.crystals.table import BASE_COLUMNS, crystal_table, identify, to_structures
from onnes.errors import CrystalError

CRYSTALS = good_crystals()
BATCH = good_batch()


@pytest.fixture(scope="module")
def table():
    return crystal_table(BATCH, ids=list(CRYSTALS), source="tests", how="made")


def test_types_and_columns_follow_the_schema(table) -> None:
    assert set(BASE_COLUMNS) <= set(table.column_names)
    for field in table.schema:
        assert field.type == COLUMNS[field.name], field.name
    assert table["error"].null_count == len(CRYSTALS)
    assert set(table["pressure_GPa"].to_pylist()) == {0.0}
    assert set(table["geometry"].to_pylist()) == {"input"}


def test_formulas_are_those_of_pymatgen(table) -> None:
    for row, structure in zip(table.to_pylist(), CRYSTALS.values(), strict=True):
        assert row["reduced_formula"] == structure.composition.reduced_formula
        assert row["formula"] == structure.composition.formula.replace(" ", "")
        assert row["n_atoms"] == len(structure)


@pytest.mark.parametrize(
    "formula", ["O2", "H2", "Li2O2", "NaFe2P3O12", "Ca10P6O26H2", "He1", "Ar3", "K2S2O8", "Cl4", "Na4Cl4"]
)
def test_special_formulas_are_those_of_pymatgen(formula: str) -> None:
    composition = Composition(formula)
    numbers = [element.Z for element, n in composition.items() for _ in range(int(n))]
    batch = CrystalBatch.of([(9 * np.eye(3), np.random.default_rng(0).random((len(numbers), 3)), numbers)])
    row = crystal_table(batch, ids=["x"], source="tests", identified=False).to_pylist()[0]
    assert row["reduced_formula"] == composition.reduced_formula
    assert row["formula"] == composition.formula.replace(" ", "")


def test_structures_come_back(table) -> None:
    for found, structure in zip(to_structures(table), CRYSTALS.values(), strict=True):
        assert isinstance(found, Structure)
        np.testing.assert_allclose(found.lattice.matrix, structure.lattice.matrix)
        assert [site.specie.Z for site in found] == [site.specie.Z for site in structure]


def test_parents_and_sources_can_differ_by_row() -> None:
    rows = crystal_table(
        BATCH.select([0, 1]), ids=["a", "b"], source=["x", "y"], parent_ids=["p", None], how=["s", None],
        geometry="7net-0", identified=False,
    ).to_pylist()  # fmt: skip
    assert [row["source"] for row in rows] == ["x", "y"]
    assert [row["parent_id"] for row in rows] == ["p", None]
    assert [row["geometry"] for row in rows] == ["7net-0"] * 2
    assert rows[0]["crystal_hash"] is None


@pytest.mark.parametrize("ids", [["a"], ["a", "a"]])
def test_ids_must_be_unique_and_complete(ids: list[str]) -> None:
    with pytest.raises(CrystalError, match="ids"):
        crystal_table(BATCH.select([0, 1]), ids=ids, source="tests")


def test_identify_follows_the_current_geometry_and_leaves_errors_alone(table) -> None:
    two = table.slice(0, 2)
    nitride = table.filter([name == "rocksalt-NbN" for name in CRYSTALS])
    geometry = {name: nitride[name].to_pylist() * 2 for name in ("lattice", "frac_coords", "atomic_numbers")}
    changed = identify(with_columns(two, geometry | {"error": [None, "kept"]}))
    assert changed["prototype"].to_pylist() == [nitride["prototype"][0].as_py(), two["prototype"][1].as_py()]
    assert changed["reduced_formula"].to_pylist()[0] == "NbN"
    assert changed["error"].to_pylist() == [None, "kept"]


def test_row_without_geometry_gives_none(table) -> None:
    blank = with_columns(table.slice(0, 1), {"lattice": [None], "error": ["bad.cif: broken"]})
    assert to_structures(blank) == [None]
    assert identify(blank)["error"].to_pylist() == ["bad.cif: broken"]


def test_symmetry_failure_becomes_an_error_of_its_row() -> None:
    doubled = CrystalBatch.of([(4 * np.eye(3), np.zeros((2, 3)), [41, 41]), BATCH.crystal(0)])
    errors = crystal_table(doubled, ids=["bad", "good"], source="tests")["error"].to_pylist()
    assert "no symmetry found" in errors[0]
    assert errors[1] is None


def test_ten_thousand_rows_without_symmetry_take_seconds() -> None:
    many = BATCH.select(np.arange(10_000) % len(BATCH))
    start = time.perf_counter()
    crystal_table(many, ids=[f"x{i}" for i in range(10_000)], source="tests", identified=False)
    assert time.perf_counter() - start < 10
