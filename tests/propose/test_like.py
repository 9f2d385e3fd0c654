"""Decorations of the geometry of a given crystal."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values
from onnes.errors import ConfigError, CrystalError
from onnes.propose.like import like_candidates, replay_like
from onnes.propose.periodic import symbol_of
from onnes.propose.similarity import replacement_distance

if TYPE_CHECKING:
    import pyarrow as pa

ALLOWED = ["V", "Ta", "Ga", "Ge", "Al"]


def _majority_and_minority(table: pa.Table) -> set[tuple[str, str]]:
    found = set()
    for _, _, numbers in CrystalBatch.from_table(table):
        (major, n), (minor, m) = Counter(symbol_of(z) for z in numbers.tolist()).most_common()
        assert (n, m) == (6, 2)
        found.add((major, minor))
    return found


def _sorted_by_count(table: pa.Table, i: int) -> list[int]:
    numbers = CrystalBatch.from_table(table).crystal(i)[2].tolist()
    return sorted(numbers, key=lambda z: -numbers.count(z))


def test_all_decorations_the_most_alike_first() -> None:
    table = like_candidates(known_crystal("Nb3Sn"), ALLOWED)
    assert _majority_and_minority(table) == set(itertools.permutations(ALLOWED, 2))
    distances = [replacement_distance([41] * 6 + [50] * 2, _sorted_by_count(table, i)) for i in range(table.num_rows)]
    assert distances == sorted(distances)
    np.testing.assert_allclose(values(table, "proposal_score"), -np.array(distances))
    assert values(table, "notes") == [f"element distance {d:.2f}" for d in distances]
    assert values(table, "reduced_formula")[0] == "Ta3Ga"
    assert set(values(table, "space_group")) == {223}
    assert values(table, "error") == [None] * 20


def test_the_limit_keeps_the_best() -> None:
    parent = known_crystal("Nb3Sn")
    full, three = like_candidates(parent, ALLOWED), like_candidates(parent, ALLOWED, limit=3)
    assert three["id"].to_pylist() == full["id"].to_pylist()[:3]
    near = like_candidates(parent, ALLOWED, max_distance=0.8)
    assert 0 < near.num_rows < full.num_rows
    assert near["id"].to_pylist() == full["id"].to_pylist()[: near.num_rows]


def test_elements_alike_in_the_type_are_proposed_once() -> None:
    # Caesium chloride: its two sites are alike once the elements are forgotten.
    table = like_candidates(known_crystal("NiAl"), ["Co", "Ga"])
    assert table.num_rows == 1


def test_sites_one_by_one() -> None:
    parent = known_crystal("Be2Nb3")
    as_elements = like_candidates(parent, ["Nb", "Hf"], fixed_elements=["Be"])
    assert values(as_elements, "reduced_formula") == ["Hf3Be2"]
    by_site = like_candidates(parent, ["Nb", "Hf"], fixed_elements=["Be"], slots="site")
    assert values(by_site, "reduced_formula") == ["Hf(BeNb)2", "Hf2Be2Nb", "Hf3Be2"]


def test_fixed_elements_stay_and_the_parent_is_no_candidate() -> None:
    table = like_candidates(known_crystal("MgB2"), ["Mg", "Al", "Ca", "B"], fixed_elements=["B"])
    assert set(values(table, "reduced_formula")) == {"AlB2", "CaB2"}


def test_rows_can_be_replayed() -> None:
    parent = known_crystal("YNi2B2C")
    table = like_candidates(parent, ["Lu", "La", "Pd", "Pt"], fixed_elements=["B", "C"], limit=6)
    for i, how in enumerate(values(table, "how")):
        lattice, frac, numbers = CrystalBatch.from_table(table).crystal(i)
        made = replay_like(parent, how)
        np.testing.assert_allclose(made.lattice.matrix, lattice, atol=1e-8)
        np.testing.assert_allclose(made.frac_coords, frac, atol=1e-8)
        assert [site.specie.Z for site in made] == numbers.tolist()
    with pytest.raises(CrystalError, match="no site"):
        replay_like(known_crystal("Nb"), values(table, "how")[0])


def test_two_parents_of_one_type_do_not_double() -> None:
    parents = known_table(["Nb3Sn", "V3Ga"])
    table = like_candidates(parents, ["Ta", "Al", "Nb", "Sn"])
    labels = values(table, "prototype")
    assert len(set(labels)) == len(labels)
    # Nb3Sn itself is a parent, so it is not proposed from V3Ga either.
    assert not any(label.endswith("A3B_cP8_223_c_a:Nb-Sn") for label in labels)
    assert set(values(table, "parent_id")) == {"Nb3Sn", "V3Ga"}
    again = like_candidates(parents, ["Sn", "Nb", "Al", "Ta"])
    assert again.equals(table)


def test_unusable_parents_come_first() -> None:
    table = like_candidates(known_table(["YBa2Cu3O7", "Nb3Sn"]), ["Ta", "Ga"])
    errors = values(table, "error")
    assert "13 atoms" in errors[0]
    assert errors[1:] == [None, None]


@pytest.mark.parametrize(
    ("elements", "settings", "message"),
    [([], {}, "name the elements"), (["Ne"], {}, "noble"), (["V"], {"limit": 0}, "limit"), (["Xy"], {}, "'Xy'")],
)
def test_wrong_settings_are_refused(elements: list[str], settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        like_candidates(known_crystal("Nb3Sn"), elements, **settings)
