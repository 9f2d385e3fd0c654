import numpy as np
import pyarrow as pa
import pytest
from pymatgen.core import Lattice, Structure

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values
from onnes.crystals.writers import write_crystals
from onnes.errors import CrystalError
from onnes.tools.inputs import as_table, wrap
from onnes.tools.result import CrystalTable
from tests.crystals.good import good_batch, good_crystals

NAMES = ["bcc-Nb", "MgB2"]


@pytest.fixture(scope="module")
def structures():
    return [good_crystals()[name] for name in NAMES]


def same_crystals(table, structures):
    assert values(table, "reduced_formula") == [s.composition.reduced_formula for s in structures]
    assert values(table, "n_atoms") == [len(s) for s in structures]
    for lattice, structure in zip(values(table, "lattice"), structures, strict=True):
        np.testing.assert_allclose(np.reshape(lattice, (3, 3)), structure.lattice.matrix, atol=1e-5)
    ids = values(table, "id")
    assert len(set(ids)) == len(structures)
    assert all(ids)


def test_structures_one_many_or_a_generator(structures):
    same_crystals(as_table(structures[0]), structures[:1])
    same_crystals(as_table(structures), structures)
    same_crystals(as_table(s for s in structures), structures)
    same_crystals(as_table(tuple(structures)), structures)


def test_partly_occupied_structures_are_rows_as_from_a_file(structures, tmp_path):
    alloy = Structure(Lattice.cubic(3.3), [{"Nb": 0.75, "Zr": 0.25}, "Nb"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    table = as_table([*structures, alloy])
    same_crystals(table.slice(0, 2), structures)
    assert values(table, "site_occupancies")[:2] == [None, None]
    alloy.to(str(tmp_path / "alloy.cif"))
    [from_file] = as_table(tmp_path / "alloy.cif").to_pylist()
    for name in ("reduced_formula", "formula"):
        assert values(table, name)[2] == from_file[name]
    assert values(table, "error")[:2] == [None, None]
    assert from_file["error"].endswith(values(table, "error")[2])
    shares = {tuple(sorted((s["Z"], s["occupancy"]) for s in site)) for site in values(table, "site_occupancies")[2]}
    assert shares == {((40, 0.25), (41, 0.75)), ((41, 1.0),)}


def test_ase_atoms_one_or_many(structures):
    atoms = [s.to_ase_atoms() for s in structures]
    same_crystals(as_table(atoms[1]), structures[1:])
    same_crystals(as_table(atoms), structures)


def test_a_batch(structures):
    same_crystals(as_table(CrystalBatch.from_structures(structures)), structures)


def test_files_by_name_path_and_folder(structures, tmp_path):
    table = as_table(structures)
    write_crystals(table, tmp_path / "both.extxyz")
    same_crystals(as_table(str(tmp_path / "both.extxyz")), structures)
    same_crystals(as_table(tmp_path), structures)
    same_crystals(as_table([tmp_path / "both.extxyz"]), structures)


def test_tables_pass_as_they_are(structures):
    table = as_table(structures)
    assert as_table(table) is table
    assert as_table(wrap(table)) is table
    assert isinstance(wrap(table), CrystalTable)


def test_a_pandas_frame_comes_back_as_the_same_crystals(structures):
    table = as_table(structures)
    back = as_table(table.to_pandas())
    same_crystals(back, structures)
    assert values(back, "atomic_numbers") == values(table, "atomic_numbers")
    assert values(back, "error") == [None, None]


def test_numbered_crystals_keep_their_order():
    table = as_table(good_batch())
    ids = values(table, "id")
    assert ids == sorted(ids)
    assert len(ids) == len(good_batch())


@pytest.mark.parametrize("thing", [3.5, None, [], [1, 2], object(), {"x": 1}.values()])
def test_anything_else_is_refused(thing):
    with pytest.raises(CrystalError, match="cannot read crystals from"):
        as_table(thing)


def test_a_mixture_is_refused(structures):
    with pytest.raises(CrystalError, match="cannot read crystals from list"):
        as_table([structures[0], "file.cif"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CrystalError, match="nowhere"):
        as_table(tmp_path / "nowhere.cif")


def test_a_bad_file_becomes_a_row(tmp_path):
    (tmp_path / "bad.cif").write_text("", encoding="utf-8")
    table = as_table(tmp_path / "bad.cif")
    assert isinstance(table, pa.Table)
    assert "bad.cif" in values(table, "error")[0]
