"""Substitution of neighbours on Wyckoff sites."""

from __future__ import annotations

import json
import time

import numpy as np
import pyarrow as pa
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values, with_columns
from onnes.crystals.symmetry import describe
from onnes.crystals.table import crystal_table, to_structures
from onnes.errors import ConfigError, CrystalError
from onnes.propose.parents import LARGEST_SCALE, SMALLEST_SCALE
from onnes.propose.periodic import NOBLE_GASES, neighbours, symbol_of
from onnes.propose.substitution import neighbour_substitutions, replay_neighbour


@pytest.fixture(scope="module")
def parent() -> pa.Table:
    return known_table(["Be2Nb3"])


@pytest.fixture(scope="module")
def all_free(parent: pa.Table) -> pa.Table:
    return neighbour_substitutions(parent)


def by_how(table: pa.Table) -> dict[str, dict]:
    return {json.dumps(json.loads(row["how"])["sites"], sort_keys=True): row for row in table.to_pylist()}


def test_the_two_crystals_that_were_made_are_among_the_candidates(parent: pa.Table) -> None:
    rows = by_how(neighbour_substitutions(parent, fixed_elements=["Be"]))
    hf_on_2a, hf_on_4h = rows['{"2a": "Hf"}'], rows['{"4h": "Hf"}']
    assert hf_on_2a["id"].startswith("Be2HfNb2-")
    assert hf_on_2a["prototype"] == "A2BC2_tP10_127_g_a_h:Be-Hf-Nb"
    assert hf_on_4h["id"].startswith("Be2Hf2Nb-")
    assert hf_on_4h["prototype"] == "A2B2C_tP10_127_g_h_a:Be-Hf-Nb"


def test_counts_are_those_of_the_rule(parent: pa.Table, all_free: pa.Table) -> None:
    # Niobium has 8 neighbours on each of two sites, beryllium 4 (H, Li, Na, Mg); the parent itself is left out.
    assert all_free.num_rows == 9 * 9 * 5 - 1
    assert neighbour_substitutions(parent, fixed_elements=["Be"]).num_rows == 9 * 9 - 1
    assert neighbour_substitutions(parent, max_substituted=1).num_rows == 8 + 8 + 4
    assert neighbour_substitutions(parent, exclude=["Hf", "W"]).num_rows == 7 * 7 * 5 - 1


def test_every_element_put_in_is_a_neighbour_of_the_one_it_replaces(all_free: pa.Table) -> None:
    own = {"2a": "Nb", "4h": "Nb", "4g": "Be"}
    for how in values(all_free, "how"):
        for site, symbol in json.loads(how)["sites"].items():
            assert symbol in neighbours(own[site])


def test_rows_are_complete_unique_and_in_order(all_free: pa.Table) -> None:
    assert set(values(all_free, "parent_id")) == {"Be2Nb3"}
    assert set(values(all_free, "source")) == {"neighbour"}
    for name in ("id", "how", "prototype", "crystal_hash"):
        assert len(set(values(all_free, name))) == all_free.num_rows
    keys = [
        (len(json.loads(how)["sites"]), id_.split("-")[0])
        for how, id_ in zip(values(all_free, "how"), values(all_free, "id"), strict=True)
    ]
    assert keys == sorted(keys)
    assert set(values(all_free, "error")) == {None}


def test_replay_makes_the_same_crystals(parent: pa.Table, all_free: pa.Table) -> None:
    structure = to_structures(parent)[0]
    assert structure is not None
    for i in range(0, all_free.num_rows, 29):
        row = all_free.slice(i, 1)
        lattice, frac, numbers = CrystalBatch.from_table(row).crystal(0)
        made = replay_neighbour(structure, row["how"][0].as_py())
        np.testing.assert_allclose(made.lattice.matrix, lattice, atol=1e-10)
        np.testing.assert_allclose(made.frac_coords, frac, atol=1e-10)
        assert [site.specie.Z for site in made] == numbers.tolist()


def test_replay_gives_the_same_crystal_from_another_setting_of_the_parent(all_free: pa.Table) -> None:
    rows = by_how(all_free)
    parent = known_crystal("Be2Nb3")
    parent.make_supercell([1, 1, 2])
    for sites in ('{"2a": "Hf"}', '{"4g": "Mg", "4h": "Ta"}'):
        made = replay_neighbour(parent, rows[sites]["how"])
        found = describe(made.lattice.matrix, made.frac_coords, [site.specie.Z for site in made])
        assert found.crystal_hash == rows[sites]["crystal_hash"]


def test_replay_refuses_another_parent() -> None:
    with pytest.raises(CrystalError, match="no site 4h"):
        replay_neighbour(known_crystal("NaCl"), '{"op":"neighbour","sites":{"4h":"Hf"}}')


def test_the_cell_keeps_its_shape_and_follows_the_radii(parent: pa.Table, all_free: pa.Table) -> None:
    before = CrystalBatch.from_table(parent).crystal(0)[0]
    scales = [after / before[0, 0] for after in CrystalBatch.from_table(all_free).lattices[:, 0, 0]]
    assert min(scales) >= SMALLEST_SCALE
    assert max(scales) <= LARGEST_SCALE
    rows = by_how(all_free)
    scale = {site: np.array(rows[site]["lattice"])[0] / before[0, 0] for site in ('{"4h": "Hf"}', '{"4h": "V"}')}
    assert scale['{"4h": "V"}'] < 1 < scale['{"4h": "Hf"}']
    after = np.array(rows['{"4h": "Hf"}']["lattice"]).reshape(3, 3)
    np.testing.assert_allclose(after / scale['{"4h": "Hf"}'], before, atol=1e-12)


def test_colourings_that_symmetry_makes_equal_come_once() -> None:
    # In the CsCl type the two sites are alike: an element pair makes one crystal, whichever of them sits on which.
    table = neighbour_substitutions(known_table(["NiTi"]), exclude=NOBLE_GASES)
    pairs = [frozenset(json.loads(how)["sites"].items()) for how in values(table, "how")]
    crystals = {tuple(sorted(numbers)) for _, _, numbers in CrystalBatch.from_table(table)}
    assert len(pairs) == len(crystals) == table.num_rows


def test_orbits_that_share_a_letter_are_told_apart() -> None:
    # Both orbits of CrB-type NbB are 4c; putting V on one or the other would share a label with different crystals.
    parent = crystal_table(
        CrystalBatch.from_structures([known_crystal("NbB").replace_species({"B": "V"})]), ids=["NbV"], source="test"
    )
    table = neighbour_substitutions(parent)
    rows = [row for row in table.to_pylist() if row["prototype"] == "AB_oS8_63_c_c:Nb-Ta"]
    assert len(rows) == 1  # Ta on the site of V; Ta is no neighbour of itself, so the mirror is not within reach
    swapped = [row for row in table.to_pylist() if row["prototype"] == "AB_oS8_63_c_c:Nb-V"]
    assert [json.loads(row["how"])["sites"] for row in swapped] == [{"4c1": "V", "4c2": "Nb"}]
    doubled = [row for row in table.to_pylist() if row["prototype"] == "AB_oS8_63_c_c:Cr-Ti"]
    assert len(doubled) == 2


def test_what_two_parents_share_comes_once() -> None:
    both = known_table(["Be2Nb3", "Be2Ta3"])
    apart = sum(neighbour_substitutions(both.slice(i, 1), fixed_elements=["Be"]).num_rows for i in range(2))
    table = neighbour_substitutions(both, fixed_elements=["Be"])
    assert table.num_rows < apart
    assert len(set(values(table, "prototype"))) == table.num_rows
    assert not set(values(both, "prototype")) & set(values(table, "prototype"))
    assert values(table, "parent_id") == sorted(values(table, "parent_id"))


def test_a_limit_draws_a_sample_that_the_seed_fixes(parent: pa.Table, all_free: pa.Table) -> None:
    first, again, other = (neighbour_substitutions(parent, limit=50, seed=seed) for seed in (1, 1, 2))
    assert first.num_rows == 50
    assert first.equals(again)
    assert first["id"] != other["id"]
    order = values(all_free, "id")
    assert set(values(first, "id")) < set(order)
    assert values(first, "id") == [name for name in order if name in set(values(first, "id"))]
    assert neighbour_substitutions(parent, limit=1000).equals(all_free)


def test_a_parent_with_many_sites_needs_a_limit() -> None:
    ybco = known_table(["YBa2Cu3O7"])
    with pytest.raises(ConfigError, match=r"YBa2Cu3O7: .* set a limit"):
        neighbour_substitutions(ybco, max_atoms=13)
    table = neighbour_substitutions(ybco, max_atoms=13, limit=40, seed=3)
    assert table.num_rows == 40
    assert table.equals(neighbour_substitutions(ybco, max_atoms=13, limit=40, seed=3))
    assert neighbour_substitutions(ybco, max_atoms=13, max_substituted=1).num_rows > 20


def test_noble_gases_are_never_put_in() -> None:
    table = neighbour_substitutions(known_table(["NaCl"]), exclude=())
    elements = {symbol_of(int(z)) for z in CrystalBatch.from_table(table).atomic_numbers}
    assert not elements & NOBLE_GASES
    assert "F" in elements


def test_unusable_parents_stay_with_their_error(parent: pa.Table) -> None:
    table = pa.concat_tables([known_table(["HfBe13"]), with_columns(parent, {"error": ["broken file"]}), parent])
    found = neighbour_substitutions(table, fixed_elements=["Be"])
    errors = [row for row in found.to_pylist() if row["error"]]
    assert [row["id"] for row in errors] == ["Be2Nb3", "HfBe13"]
    assert errors[0]["error"] == "broken file"
    assert "28 atoms" in errors[1]["error"]
    assert found.num_rows == 82


def test_partly_occupied_and_wholly_fixed_parents_say_so(parent: pa.Table) -> None:
    occupancies = [[[{"Z": 41, "occupancy": 0.5}]] * 10]
    half = neighbour_substitutions(with_columns(parent, {"site_occupancies": occupancies}))
    assert "ordered cells" in values(half, "error")[0]
    fixed = neighbour_substitutions(parent, fixed_elements=["Be", "Nb"])
    assert "no site can be substituted" in values(fixed, "error")[0]


def test_rejected_parents_are_skipped(parent: pa.Table) -> None:
    assert neighbour_substitutions(with_columns(parent, {"rejected_by": ["hull"]})).num_rows == 0


@pytest.mark.parametrize(
    "settings", [{"fixed_elements": ["Xx"]}, {"exclude": ["nb"]}, {"limit": 0}, {"max_substituted": 0}]
)
def test_wrong_settings_are_refused(parent: pa.Table, settings: dict) -> None:
    with pytest.raises(ConfigError):
        neighbour_substitutions(parent, **settings)


def test_more_than_three_thousand_candidates_a_minute(parent: pa.Table, all_free: pa.Table) -> None:
    start = time.process_time()
    neighbour_substitutions(parent)
    assert all_free.num_rows / (time.process_time() - start) > 3000 / 60
