import moyopy
import numpy as np
import pytest
from moyopy.interface import MoyoAdapter
from pymatgen.core import Composition

from onnes.crystals.binary_phases import binary_systems, known_phases_table, phase_crystals, system_table
from onnes.crystals.known import known_entry, known_names

# Atoms in the conventional cell, from the Pearson symbols.
CONVENTIONAL = {
    "Al3Ni": 16, "Al3Ni2": 5, "Al4Ni3": 112, "Al3Ni5": 16, "AlNi3": 4, "Nb6Sn5": 44, "NbSn2": 48, "MgB4": 20, "MgB7": 64,
    "V5Si3": 32, "V6Si5": 44, "VSi2": 9, "Ti2N": 6, "Ti2N-delta": 12, "Ti3N2": 15, "Ti4N3": 21, "ZrRe2": 12, "Zr5Re24": 58,
}  # fmt: skip
# Volume of an atom in compounds of these elements, in A^3: a check of the cells.
PER_ATOM_A3 = {"B": (6, 10), "N": (8, 13), "Si": (12, 17), "Sn": (18, 25), "Ni": (10, 16), "Re": (14, 20)}


@pytest.mark.parametrize("name", CONVENTIONAL)
def test_composition_symmetry_and_distances(name: str) -> None:
    entry = phase_crystals()[name]
    structure = entry.structure()
    assert len(structure) == CONVENTIONAL[name]
    assert structure.composition.reduced_composition == Composition(entry.formula).reduced_composition
    assert moyopy.MoyoDataset(MoyoAdapter.from_structure(structure), symprec=0.05).number == entry.space_group
    neighbour = [min(site.nn_distance for site in around) for around in structure.get_all_neighbors(4.0)]
    nearest = int(np.argmin(neighbour))
    partner = min(structure.get_neighbors(structure[nearest], 4.0), key=lambda site: site.nn_distance).specie
    radii = sum(float(kind.atomic_radius or 0) for kind in (structure[nearest].specie, partner))
    assert 0.8 < neighbour[nearest] / radii < 1.3
    low, high = next(v for element, v in PER_ATOM_A3.items() if element in structure.composition)
    assert low < structure.volume / len(structure) < high


def test_every_crystal_is_listed_here_once_and_cited() -> None:
    assert set(phase_crystals()) == set(CONVENTIONAL)
    assert not set(phase_crystals()) & set(known_names())
    assert all(entry.citation and any(c.isdigit() for c in entry.citation) for entry in phase_crystals().values())


def test_systems_name_the_phases_and_their_crystals() -> None:
    systems = binary_systems()
    assert list(systems) == ["Al-Ni", "Nb-Sn", "Mg-B", "V-Si", "Ti-N", "Zr-Re", "Be-Nb"]
    crystals = {Composition(entry.formula).reduced_formula for entry in phase_crystals().values()}
    for system in systems.values():
        assert all(Composition(p).reduced_formula == p for p in system.phases)
        assert all({e.symbol for e in Composition(p)} == set(system.name.split("-")) for p in system.phases)
        crystals |= {Composition(known_entry(name).formula).reduced_formula for name in system.crystals}
        assert system.citation
    missing = {p for system in systems.values() for p in system.phases} - crystals
    assert missing == {"Zr2Re", "Zr21Re25"}


def test_tables() -> None:
    table = known_phases_table()
    assert table["id"].to_pylist() == list(phase_crystals())
    assert table["error"].null_count == table.num_rows
    assert set(table["source"].to_pylist()) == {"known"}
    sizes = dict(zip(table["id"].to_pylist(), table["n_atoms"].to_pylist(), strict=True))
    assert (sizes["Al4Ni3"], sizes["Zr5Re24"], sizes["Ti3N2"]) == (56, 29, 5)
    assert known_phases_table(primitive=False)["n_atoms"].to_pylist() == [
        CONVENTIONAL[n] for n in table["id"].to_pylist()
    ]
    everything = system_table()
    assert everything.num_rows == table.num_rows + sum(len(s.crystals) for s in binary_systems().values())
    assert "Nb3Sn" in everything["id"].to_pylist()
