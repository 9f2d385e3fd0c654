"""Symmetry-aware partial substitution."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.orbits import expand
from onnes.crystals.schema import values, with_columns
from onnes.crystals.table import crystal_table
from onnes.errors import ConfigError, CrystalError
from onnes.propose.observed import observed_probabilities
from onnes.propose.saps import replay_saps, saps_candidates
from onnes.propose.subsets import MAX_LISTED_ATOMS, distinct_subsets

if TYPE_CHECKING:
    import pyarrow as pa

# Perovskite with octahedra turned about c, in antiphase: two titanium atoms in the primitive cell.
TILTED = (
    140,
    (5.5, 5.5, 7.8, 90, 90, 90),
    [(38, (0, 0.5, 0.25)), (22, (0, 0, 0)), (8, (0, 0, 0.25)), (8, (0.22, 0.72, 0))],
)


@pytest.fixture(scope="module")
def perovskite() -> pa.Table:
    return saps_candidates(known_table(["SrTiO3"]), elements=["Zr"], fixed_elements=["Sr", "O"], max_cells=2)


@pytest.fixture(scope="module")
def niobium_tin() -> pa.Table:
    return saps_candidates(known_table(["Nb3Sn"]))


def test_a_perovskite_gives_the_double_perovskites(perovskite: pa.Table) -> None:
    # Layers, columns and rock salt: the three ways to order two cations on a cube of doubled volume.
    assert values(perovskite, "formula") == ["Sr1Zr1O3", *["Sr2Zr1Ti1O6"] * 3]
    assert values(perovskite, "space_group") == [221, 123, 123, 225]
    assert "A6B2CD_cF40_225_e_c_a_b:O-Sr-Ti-Zr" in values(perovskite, "prototype")


def test_a_doubled_parent_gives_one_without_a_supercell() -> None:
    parent = crystal_table(CrystalBatch.of([expand(*TILTED, primitive=True)]), ids=["tilted"], source="test")
    table = saps_candidates(parent, elements=["Zr"], fixed_elements=["Sr", "O"])
    assert values(table, "formula") == ["Sr2Zr1Ti1O6", "Sr2Zr2O6"]
    assert values(table, "space_group") == [87, 140]
    assert json.loads(values(table, "how")[0]) == {"op": "saps", "element": "Zr", "atoms": {"4c": [1]}}


def test_counts_are_the_published_ones_of_face_centred_superstructures() -> None:
    # Hart and Forcade, Phys. Rev. B 77, 224115 (2008): 2, 3 and 12 with 2, 3 and 4 atoms when exchanging the two
    # elements makes nothing new; exchanged, all but those of equal amounts come once more, and copper itself.
    table = saps_candidates(known_table(["Al"]), elements=["Cu"], max_cells=4, threshold=0)
    amounts = Counter(values(table, "formula"))
    assert amounts == {
        "Cu1": 1, "Al1Cu1": 2, "Al2Cu1": 3, "Al1Cu2": 3, "Al3Cu1": 7, "Al2Cu2": 5, "Al1Cu3": 7,
    }  # fmt: skip
    assert len(set(values(table, "crystal_hash"))) == 28


def test_one_to_all_atoms_of_an_element_and_no_two_alike(niobium_tin: pa.Table) -> None:
    rows = [row for row in niobium_tin.to_pylist() if json.loads(row["how"])["element"] == "Ta"]
    changed = Counter(len(json.loads(row["how"])["atoms"].get("6c", ())) for row in rows)
    assert {n: changed[n] for n in (1, 5, 6)} == {1: 1, 5: 1, 6: 1}
    assert changed[2] == changed[4] > 1
    assert len(set(values(niobium_tin, "crystal_hash"))) == niobium_tin.num_rows
    assert len(set(values(niobium_tin, "id"))) == niobium_tin.num_rows


def test_rows_are_ranked_by_the_probability_of_the_replacement(niobium_tin: pa.Table) -> None:
    scores = values(niobium_tin, "proposal_score")
    assert scores == sorted(scores, reverse=True)
    p = observed_probabilities()
    assert scores[0] == pytest.approx(max(p[41].max(), p[50].max()))
    assert min(scores) > 1e-3
    best = saps_candidates(known_table(["Nb3Sn"]), limit=17)
    assert best.equals(niobium_tin.slice(0, 17))


def test_replay_makes_the_same_crystals(perovskite: pa.Table, niobium_tin: pa.Table) -> None:
    for name, table in (("SrTiO3", perovskite), ("Nb3Sn", niobium_tin)):
        for row in table.to_pylist()[:: 1 + table.num_rows // 12]:
            made = CrystalBatch.from_structures([replay_saps(known_crystal(name), row["how"])]).crystal(0)
            np.testing.assert_allclose(made[0].ravel(), row["lattice"], atol=1e-9)
            np.testing.assert_allclose(made[1].ravel(), row["frac_coords"], atol=1e-9)
            assert made[2].tolist() == row["atomic_numbers"]


def test_replay_refuses_another_parent() -> None:
    with pytest.raises(CrystalError, match="0 atoms on 6c"):
        replay_saps(known_crystal("NaCl"), '{"atoms":{"6c":[1]},"element":"V","op":"saps"}')
    with pytest.raises(CrystalError, match="6 atoms on 6c"):
        replay_saps(known_crystal("Nb3Sn"), '{"atoms":{"6c":[7]},"element":"V","op":"saps"}')


def test_the_volume_follows_the_radii(perovskite: pa.Table) -> None:
    volumes = CrystalBatch.from_table(perovskite).volumes / CrystalBatch.from_table(perovskite).n_atoms
    parent = CrystalBatch.from_table(known_table(["SrTiO3"])).volumes[0] / 5
    assert parent < volumes[1] < volumes[0]


def test_charge_balance_is_a_filter() -> None:
    settings = {"elements": ["Zr", "Nb", "N"], "max_cells": 2, "score": "neighbour"}
    every = saps_candidates(known_table(["SrTiO3"]), **settings)
    kept = saps_candidates(known_table(["SrTiO3"]), charge_balanced=True, **settings)
    assert set(values(kept, "id")) < set(values(every, "id"))
    assert "Sr2Zr1Ti1O6" in values(kept, "formula")
    assert "Sr2Nb1Ti1O6" not in values(kept, "formula")


def test_what_two_parents_share_comes_once() -> None:
    both = known_table(["Be2Nb3", "Be2Ta3"])
    table = saps_candidates(both, elements=["Nb", "Ta"], fixed_elements=["Be"])
    assert len(set(values(table, "prototype"))) == table.num_rows
    assert not set(values(both, "prototype")) & set(values(table, "prototype"))
    # All mixtures lie between the two; tantalum gives way to niobium more readily than the reverse.
    assert set(values(table, "parent_id")) == {"Be2Ta3"}
    assert table.num_rows == saps_candidates(both.slice(1, 1), elements=["Nb"], fixed_elements=["Be"]).num_rows - 1


def test_many_atoms_of_an_element_are_drawn_with_the_seed() -> None:
    n = MAX_LISTED_ATOMS + 2
    lattice = np.diag([4.0 * n, 4.0, 4.3])
    frac = np.column_stack([np.arange(n) / n, np.zeros(n), np.zeros(n)])
    alike = np.zeros(n, np.int64)
    settings = (lattice, frac, np.full(n, 41), alike, np.arange(n)[None])
    first, again, other = (distinct_subsets(*settings, seed=seed)[41] for seed in (1, 1, 2))
    assert [a.tolist() for a in first] == [a.tolist() for a in again]
    assert [a.tolist() for a in first] != [a.tolist() for a in other]
    assert any(len(a) == n for a in first)
    assert len({len(a) for a in first}) > n // 2


def test_unusable_parents_stay_with_their_error() -> None:
    table = saps_candidates(known_table(["HfBe13", "NbN", "Nb3Sn"]), score="ionic", limit=2)
    errors = {row["id"]: row["error"] for row in table.to_pylist() if row["error"]}
    assert "28 atoms" in errors["HfBe13"]
    assert "oxidation states" in errors["Nb3Sn"]
    assert table.num_rows == 4
    fixed = saps_candidates(known_table(["NbN"]), fixed_elements=["Nb", "N"])
    assert "no element is likely enough" in values(fixed, "error")[0]
    assert saps_candidates(with_columns(known_table(["NbN"]), {"rejected_by": ["hull"]})).num_rows == 0


@pytest.mark.parametrize(
    "settings", [{"limit": 0}, {"max_cells": 0}, {"threshold": 1}, {"elements": ["Xx"]}, {"score": "best"}]
)
def test_wrong_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        saps_candidates(known_table(["NbN"]), **settings)


def test_more_than_three_thousand_candidates_a_minute(niobium_tin: pa.Table) -> None:
    start = time.process_time()
    saps_candidates(known_table(["Nb3Sn"]))
    assert niobium_tin.num_rows / (time.process_time() - start) > 3000 / 60
