"""Structure types decorated with elements."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pymatgen.analysis.local_env import VoronoiNN
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.schema import values
from onnes.crystals.symmetry import describe
from onnes.errors import ConfigError
from onnes.propose.prototypes import prototype, prototype_candidates, prototype_names, replay_prototype

if TYPE_CHECKING:
    import pyarrow as pa

SPACE = ["Nb", "Zr", "Hf", "N", "C"]
# Atoms in the primitive cell and composition of the types, from the literature.
CELLS = {
    "A1": 1, "A2": 1, "A3": 2, "A15": 8, "B1": 2, "B2": 2, "B3": 2, "B4": 4, "Bh": 2, "B8_1": 4, "B20": 8, "B27": 8,
    "B33": 4, "C1": 3, "C6": 3, "C11_b": 3, "C14": 12, "C15": 6, "C16": 6, "C22": 9, "C32": 3, "C36": 24, "C40": 9,
    "C54": 6, "L1_0": 2, "L1_2": 4, "L1_prime": 5, "PuNi3": 12, "D0_3": 4, "D0_11": 16, "D0_19": 8, "D0_22": 4,
    "D2_1": 7, "D2_b": 13, "D2_d": 6, "D5_a": 10, "D7_3": 14, "D8_8": 16, "D8_b": 30, "L2_1": 4, "C1_b": 3, "E2_1": 5,
    "D5_a_ternary": 10, "D1_3": 5, "MAX_211": 8, "C22_ternary": 9,
    "A12": 29, "Ti5Re24": 29, "Mo6S8": 14, "PbMo6S8": 15, "D0_2": 16, "LaFe4P12": 17, "Na8Si46": 54, "SrB3C3": 14,
    "CaH6": 7, "LaH10": 11, "H3S": 4, "J1_1": 9, "CaCuO2": 4, "K2NiF4": 7, "ZrCuSiAs": 8, "E0_1": 6, "B10": 4, "C7": 6,
    "NbSe2_2H": 6, "Th2Zn17": 19, "D2_3": 28, "MAX_312": 12, "LuNi2B2C": 6, "XA": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def candidates() -> pa.Table:
    return prototype_candidates(SPACE)


def test_the_list_is_the_one_tested() -> None:
    assert set(prototype_names()) == set(CELLS)


@pytest.mark.parametrize("name", CELLS)
def test_types_have_their_symmetry_and_size(name: str) -> None:
    kind = prototype(name)
    assert len(kind.frac_coords) == CELLS[name]
    made = kind.decorated(np.array([41, 13, 6, 50])[: len(kind.species)])
    assert describe(made.lattice, made.frac_coords, made.atomic_numbers).space_group == kind.space_group


def test_no_two_types_share_a_label() -> None:
    labels = []
    for name in prototype_names():
        kind = prototype(name)
        made = kind.decorated(np.array([4, 5, 6, 7])[: len(kind.species)])
        labels.append(describe(made.lattice, made.frac_coords, made.atomic_numbers).prototype)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("known", "name", "elements"),
    [("Nb3Sn", "A15", "Nb Sn"), ("Be2Nb3", "D5_a", "Nb Be"), ("NbBe2", "C15", "Nb Be"), ("NbB", "B33", "Nb B"),
     ("MgB2", "C32", "Mg B"), ("MgCNi3", "E2_1", "Mg C Ni"), ("BaFe2As2", "D1_3", "Ba Fe As")],
)  # fmt: skip
def test_decorating_gives_known_crystals_back(known: str, name: str, elements: str) -> None:
    structure = known_crystal(known, primitive=True)
    numbers = [site.specie.Z for site in structure]
    expected = describe(structure.lattice.matrix, structure.frac_coords, numbers).prototype
    table = prototype_candidates(elements.split(), prototypes=[name])
    assert expected in values(table, "prototype")
    made = CrystalBatch.from_table(table).crystal(values(table, "prototype").index(expected))
    assert abs(np.linalg.det(made[0])) == pytest.approx(structure.volume, rel=0.1)


@pytest.mark.parametrize(
    ("name", "coordination"),
    [("A15", {"A": {14}, "B": {12}}), ("C14", {"A": {16}, "B": {12}}), ("C15", {"A": {16}, "B": {12}}),
     ("C36", {"A": {16}, "B": {12}}), ("D8_b", {"A": {14, 15}, "B": {12}})],
)  # fmt: skip
def test_frank_kasper_phases_have_their_coordination_numbers(name: str, coordination: dict[str, set[int]]) -> None:
    # Frank and Kasper, Acta Cryst. 12, 483 (1959)
    kind = prototype(name)
    structure = replay_prototype(kind.decorated(np.array([41, 13])).how)
    voronoi = VoronoiNN(tol=0.05)
    found: dict[str, set[int]] = {"A": set(), "B": set()}
    orbits = SpacegroupAnalyzer(structure, symprec=1e-3).get_symmetry_dataset().equivalent_atoms
    for site in sorted(set(orbits.tolist())):
        found["A" if structure[site].specie.symbol == "Nb" else "B"].add(voronoi.get_cn(structure, site))
    assert found == coordination


def test_distances_are_those_of_atoms_that_touch() -> None:
    for name in prototype_names():
        kind = prototype(name)
        structure = replay_prototype(kind.decorated(np.full(len(kind.species), 41) + np.arange(len(kind.species))).how)
        if len(structure) > 1:
            distances = structure.distance_matrix
            np.fill_diagonal(distances, np.inf)
            assert distances.min() > 0.58 * 2 * 1.4, name


def test_count_of_a_space_of_five_elements(candidates: pa.Table) -> None:
    choices = [5, 5 * 4, 5 * 4 * 3, 5 * 4 * 3 * 2]
    halves = {
        "B1": 2,
        "B2": 2,
        "Bh": 2,
        "L1_0": 2,
        "B3": 2,
        "B4": 2,
        "L2_1": 2,
        "C1_b": 2,
        "XA": 2,
        "ZrCuSiAs": 2,
    }  # two sites are alike without their elements
    expected = sum(
        choices[len(prototype(name).species) - 1] // halves.get(name, 1)
        for name in prototype_names()
        if CELLS[name] <= 12
    )
    assert candidates.num_rows == expected == 1545
    assert values(candidates, "error") == [None] * expected
    assert len(set(values(candidates, "id"))) == len(set(values(candidates, "crystal_hash"))) == expected
    assert max(values(candidates, "n_atoms")) == 12


def test_rows_can_be_replayed(candidates: pa.Table) -> None:
    for i in range(0, candidates.num_rows, 53):
        lattice, frac, numbers = CrystalBatch.from_table(candidates.slice(i, 1)).crystal(0)
        made = replay_prototype(values(candidates, "how")[i])
        np.testing.assert_allclose(made.lattice.matrix, lattice, atol=1e-10)
        np.testing.assert_allclose(made.frac_coords, frac, atol=1e-10)
        assert [site.specie.Z for site in made] == numbers.tolist()


def test_how_names_the_type_and_its_elements() -> None:
    table = prototype_candidates(["Nb", "Sn"], prototypes=["A15"])
    found = [json.loads(how) for how in values(table, "how")]
    assert {"op": "prototype", "prototype": "A15", "elements": {"A": "Nb", "B": "Sn"}} in found
    assert values(table, "parent_id") == [None, None]
    assert set(values(table, "source")) == {"prototype"}


def test_the_order_of_the_elements_does_not_matter(candidates: pa.Table) -> None:
    assert prototype_candidates([*reversed(SPACE), "Nb"]).equals(candidates)


def test_both_occupations_of_a_type_with_one_letter_are_kept() -> None:
    table = prototype_candidates(["Nb", "B"], prototypes=["B33"])
    assert table.num_rows == 2
    assert len(set(values(table, "prototype"))) == 1


def test_a_limit_draws_a_sample_that_the_seed_fixes(candidates: pa.Table) -> None:
    first, again, other = (prototype_candidates(SPACE, limit=30, seed=seed) for seed in (4, 4, 5))
    assert first.num_rows == 30
    assert first.equals(again)
    assert first["id"] != other["id"]
    order = values(candidates, "id")
    assert values(first, "id") == [name for name in order if name in set(values(first, "id"))]


def test_a_motif_is_a_family_of_types() -> None:
    table = prototype_candidates(["Zr", "V"], motif="laves", max_atoms=24)
    assert [json.loads(how)["prototype"] for how in values(table, "how")] == ["C14", "C14", "C15", "C15", "C36", "C36"]
    assert values(table, "space_group") == [194, 194, 227, 227, 194, 194]


def test_types_of_the_library_are_decorated_and_replayed() -> None:
    table = prototype_candidates(["Nb", "Sn"], prototypes=["aflow:A3B_cP8_223_c_a"])
    assert values(table, "space_group") == [223, 223]
    assert set(values(table, "reduced_formula")) == {"Nb3Sn", "NbSn3"}
    made = replay_prototype(values(table, "how")[0])
    np.testing.assert_allclose(made.frac_coords, CrystalBatch.from_table(table).crystal(0)[1], atol=1e-10)


# Density (g/cm3), and shortest distance (A) between the two elements, of the crystal that gave the coordinates.
MADE = {
    "Ti5Re24": ("Ti Re", 17.6, 2.70), "PbMo6S8": ("Pb Mo S", 6.15, 4.20), "D0_2": ("Co As", 6.8, 2.34),
    "LaFe4P12": ("La Fe P", 5.1, 3.39), "Na8Si46": ("Na Si", 2.3, 3.25), "J1_1": ("Mg Fe H", 2.74, 2.79),
    "CaCuO2": ("Ca Cu O", 4.7, 3.16), "ZrCuSiAs": ("La Fe As O", 6.7, 3.73), "E0_1": ("Li Fe As", 5.0, 2.90),
    "C7": ("Mo S", 5.0, 2.37), "MAX_312": ("Ti Si C", 4.5, 2.70), "LuNi2B2C": ("Lu Ni B C", 8.5, 3.17),
    "K2NiF4": ("La Cu O", 7.1, 3.24), "A12": ("Mn", 7.5, 2.26),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_families_have_the_density_and_the_bonds_of_their_namesake(name: str) -> None:
    kind = prototype(name)
    elements, density, distance = MADE[name]
    species = [elements.split()[k] for k in kind.species_of_site]
    structure = Structure(Lattice(kind.lattice), species, kind.frac_coords)
    assert structure.density == pytest.approx(density, rel=0.01)
    first, *others = elements.split()
    second = others[0] if others else first
    pairs = [
        n.nn_distance
        for s in structure
        if s.species_string == first
        for n in structure.get_neighbors(s, 4.5)
        if n.species_string == second
    ]
    assert min(pairs) == pytest.approx(distance, abs=0.01)


def test_larger_types_on_request() -> None:
    table = prototype_candidates(["Mn", "Si"], max_atoms=16)
    assert any(json.loads(how)["prototype"] == "D8_8" for how in values(table, "how"))


@pytest.mark.parametrize(
    ("elements", "settings", "message"),
    [
        (["Nb", "Qx"], {}, "'Qx'"),
        (["Nb", "He"], {}, "He"),
        (["Nb"], {"prototypes": ["A16"]}, "A15"),
        (["Nb"], {"prototypes": ["A15"]}, "no structure type"),
        ([], {}, "no structure type"),
        (["Nb"], {"limit": 0}, "limit"),
        (["Nb", "Zr"], {"motif": "lavess"}, "laves"),
        (["Nb", "Zr"], {"motif": "laves", "prototypes": ["C15"]}, "either"),
        (["Pb", "Mo", "S"], {"motif": "chevrel"}, "smallest has 14 atoms"),
        (["Nb", "Zr"], {"collections": ["icsd"]}, "general"),
        (["Nb", "Zr"], {"prototypes": ["aflow:A3B_cP8_223_c_b"]}, "aflow:A3B_cP8_223_c_a"),
        (["Nb", "Bk"], {}, "97"),
    ],
)
def test_wrong_settings_are_refused(elements: list[str], settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prototype_candidates(elements, **settings)
