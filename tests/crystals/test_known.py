"""The known crystals are what their names say."""

from __future__ import annotations

import moyopy
import numpy as np
import pytest
from moyopy.interface import MoyoAdapter
from pymatgen.core import Composition, Structure

from onnes.crystals.known import known_crystal, known_entry, known_names, known_table, known_tc
from onnes.crystals.orbits import expand, orbit
from onnes.errors import CrystalError

README = ("Nb3Sn", "MgB2", "NbN", "V3Si", "Pb", "Al", "Cu", "Si", "NaCl", "Fe")
# Atoms in the conventional cell, from the Pearson symbols.
CONVENTIONAL = {
    "Nb3Sn": 8, "MgB2": 3, "NbN": 8, "V3Si": 8, "Pb": 4, "Al": 4, "Cu": 4, "Si": 8, "NaCl": 8, "Fe": 2,
    "Be2Nb3": 10, "NbBe2": 24, "NbBe3": 36, "Nb2Be17": 57, "NbBe12": 26, "HfBe2": 3, "HfBe5": 6, "HfBe13": 112,
    "VBe2": 12, "Mo3Be": 8, "ZrB12": 52, "YNi2B2C": 12, "NbSe2": 6, "CaC6": 21, "LiTi2O4": 56, "LaFeAsO": 8,
    "YBa2Cu3O7": 13, "La2CuO4": 14, "H3S": 8, "LaH10": 44, "Sn": 4, "NbB": 8,
}  # fmt: skip


@pytest.mark.parametrize("name", known_names())
def test_composition_symmetry_and_distances(name: str) -> None:
    entry, structure = known_entry(name), known_crystal(name)
    assert structure.composition.reduced_composition == Composition(entry.formula).reduced_composition
    assert moyopy.MoyoDataset(MoyoAdapter.from_structure(structure), symprec=0.1).number == entry.space_group
    neighbour = [min(site.nn_distance for site in around) for around in structure.get_all_neighbors(4.5)]
    nearest = int(np.argmin(neighbour))
    # Covalent and metallic bonds are 0.8 to 1.3 times the sum of Slater's radii; hydrogen's is far too small for that.
    if "H" not in entry.formula.replace("Hf", ""):
        partner = min(structure.get_neighbors(structure[nearest], 4.5), key=lambda site: site.nn_distance).specie
        radii = sum(float(kind.atomic_radius or 0) for kind in (structure[nearest].specie, partner))
        assert 0.8 < neighbour[nearest] / radii < 1.3
    else:
        assert neighbour[nearest] > 1.0


@pytest.mark.parametrize(("name", "n_atoms"), CONVENTIONAL.items())
def test_atoms_in_the_conventional_cell(name: str, n_atoms: int) -> None:
    assert len(known_crystal(name)) == n_atoms


def test_the_primitive_cell_has_the_same_density() -> None:
    for name, n_atoms in {"NbBe2": 6, "NbBe3": 12, "HfBe13": 28, "LaH10": 11, "NbB": 4, "Be2Nb3": 10}.items():
        whole, primitive = known_crystal(name), known_crystal(name, primitive=True)
        assert len(primitive) == n_atoms
        assert primitive.density == pytest.approx(whole.density, rel=1e-6)


def test_all_that_the_readme_and_the_example_need_is_there() -> None:
    assert {*README, "Be2Nb3"} <= set(known_names())
    tc = known_tc()
    assert tc["Be2Nb3"] == 2.3
    assert tc["MgB2"] == 39.0
    assert not {"Cu", "Si", "NaCl", "Fe"} & set(tc)
    assert all(known_entry(name).tc_citation for name in tc)
    assert all(known_entry(name).citation for name in known_names())


def test_the_parent_of_the_example_is_the_published_one() -> None:
    structure = known_crystal("Be2Nb3")
    assert structure.lattice.abc == pytest.approx((6.49, 6.49, 3.35))
    table = known_table(["Be2Nb3"])
    assert table["prototype"].to_pylist() == ["A2B3_tP10_127_g_ah:Be-Nb"]


def test_the_table_names_its_rows_and_keeps_the_pressure() -> None:
    table = known_table()
    assert table["id"].to_pylist() == known_names()
    assert set(table["source"].to_pylist()) == {"known"}
    assert table["error"].null_count == table.num_rows
    pressure = dict(zip(table["id"].to_pylist(), table["pressure_GPa"].to_pylist(), strict=True))
    assert {name for name, p in pressure.items() if p} == {"H3S", "LaH10"}
    sizes = dict(zip(table["id"].to_pylist(), table["n_atoms"].to_pylist(), strict=True))
    assert sizes["NaCl"] == 2
    assert known_table(["NaCl"], primitive=False)["n_atoms"].to_pylist() == [8]


def test_an_unknown_name_gets_close_ones() -> None:
    with pytest.raises(CrystalError, match="Nb3Sn"):
        known_crystal("Nb3S")
    with pytest.raises(CrystalError, match="known_names"):
        known_crystal("???")


def test_orbits_have_the_multiplicities_of_the_tables() -> None:
    # International Tables A, space group 227, second origin choice, and 166, hexagonal axes.
    assert [len(orbit(227, p)) for p in ((0.125,) * 3, (0.5,) * 3, (0.2628,) * 3, (0.1, 0.2, 0.3))] == [8, 16, 32, 192]
    assert [len(orbit(166, p)) for p in ((0, 0, 0), (0, 0, 0.139), (0.5, 0.5, 0.0833))] == [3, 6, 18]


def test_a_cell_without_volume_or_a_wrong_group_is_refused() -> None:
    with pytest.raises(CrystalError, match="231"):
        orbit(231, (0, 0, 0))
    with pytest.raises(CrystalError, match="volume"):
        expand(1, (0.0, 1.0, 1.0, 90, 90, 90), [(1, (0, 0, 0))])


@pytest.mark.parametrize("name", [*README, "Be2Nb3"])
@pytest.mark.filterwarnings("ignore:Issues encountered while parsing CIF")
def test_the_examples_on_disk_are_the_known_crystals(name: str, pytestconfig: pytest.Config) -> None:
    path = pytestconfig.rootpath / "examples" / f"{name}.cif"
    read, known = Structure.from_file(path), known_crystal(name)
    assert read.composition == known.composition
    assert read.volume == pytest.approx(known.volume, rel=1e-5)
    assert moyopy.MoyoDataset(MoyoAdapter.from_structure(read), symprec=0.01).number == known_entry(name).space_group
