"""Random crystals of a composition, their cells and volumes."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise

import moyopy
import numpy as np
import pytest
from pymatgen.core.structure_matcher import StructureMatcher

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_entry, known_names
from onnes.errors import ConfigError
from onnes.propose.lattices import random_cell
from onnes.propose.random_crystals import (
    RandomCrystals,
    RandomSettings,
    composition_of,
    replay_random,
)
from onnes.propose.soft_spheres import overlaps
from onnes.propose.statistics import space_group_weights, typical_volume, unit_counts
from onnes.propose.wyckoff import space_group

FORMULAS = ("Nb3Sn", "MgB2", "SrTiO3", "LaH10", "Be")


@pytest.fixture(scope="module")
def drawn():
    return {formula: RandomCrystals(formula, RandomSettings(max_atoms=11), seed=5).take(25) for formula in FORMULAS}


@pytest.mark.parametrize("formula", FORMULAS)
def test_crystals_are_what_was_asked(drawn, formula: str) -> None:
    _, amounts = composition_of(formula)
    settings = RandomSettings()
    for crystal in drawn[formula]:
        how = json.loads(crystal.how)
        counts = Counter(crystal.atomic_numbers.tolist())
        assert counts == {z: n * how["units"] for z, n in amounts.items()}
        assert len(crystal.atomic_numbers) <= 11
        volume = abs(np.linalg.det(crystal.lattice))
        assert volume == pytest.approx(how["volume_factor"] * typical_volume(crystal.atomic_numbers))
        assert settings.volume_factors[0] <= how["volume_factor"] <= settings.volume_factors[1]
        cell = moyopy.Cell(crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.atomic_numbers.tolist())
        operations = len(moyopy.MoyoDataset(cell, symprec=0.01).operations)
        # At least the operations of the space group that was drawn: as many as its general position has atoms.
        assert operations >= space_group(how["space_group"]).positions[0].multiplicity


def test_atoms_keep_their_distance(drawn) -> None:
    batch = CrystalBatch.of((c.lattice, c.frac_coords, c.atomic_numbers) for rows in drawn.values() for c in rows)
    assert (overlaps(batch, diameter=0.6) < 0.02).mean() > 0.95
    bare = RandomCrystals("Nb3Sn", RandomSettings(soft_spheres=0, min_distance=0.7), seed=1).take(20)
    closest = overlaps(CrystalBatch.of((c.lattice, c.frac_coords, c.atomic_numbers) for c in bare), diameter=0.7)
    assert closest.max() < 1e-9


@pytest.mark.parametrize("formula", FORMULAS)
def test_replay_makes_the_same_crystal(drawn, formula: str) -> None:
    for crystal in drawn[formula][:8]:
        again = replay_random(crystal.how)
        np.testing.assert_allclose(again.lattice.matrix, crystal.lattice, atol=1e-9)
        np.testing.assert_allclose(again.frac_coords, crystal.frac_coords, atol=1e-9)


def test_same_seed_same_crystals_however_many_are_taken_at_once(drawn) -> None:
    source = RandomCrystals("Sn2Nb6", RandomSettings(max_atoms=11), seed=5)
    in_pieces = [c.how for n in (3, 7, 15) for c in source.take(n)]
    assert in_pieces == [c.how for c in drawn["Nb3Sn"]]
    other = RandomCrystals("Nb3Sn", RandomSettings(max_atoms=11), seed=6).take(3)
    assert [c.how for c in other] != in_pieces[:3]


def test_prototypes_without_freedom_come_once() -> None:
    source = RandomCrystals("CsCl", RandomSettings(max_atoms=2, space_groups=(216, 221, 225)), seed=0)
    found = source.take(10)
    assert len(found) == 3  # rock salt, sphalerite, caesium chloride
    assert source.failures["prototype drawn often enough"] > 20
    matcher = StructureMatcher()
    structures = [replay_random(c.how) for c in found]
    assert not any(matcher.fit(a, b) for a, b in pairwise(structures))


def test_failures_are_counted(caplog) -> None:
    settings = RandomSettings(max_atoms=4, volume_factors=(0.2, 0.2), min_distance=1.2)
    source = RandomCrystals("Al", settings, seed=0)
    with caplog.at_level("INFO", "onnes.propose"):
        assert source.take(2) == []
    assert source.failures["atoms too close or cell too long"] == 60
    assert "Al: 0 of 2 random crystals" in caplog.text


@pytest.mark.parametrize(
    ("formula", "settings", "words"),
    [
        ("Xq2", {}, "no formula"),
        ("", {}, "no formula"),
        ("Nb0.5N", {}, "cannot be used"),
        ("NeF", {}, "noble gases"),
        ("Nb3Sn", {"max_atoms": 3}, "needs 4 atoms"),
        ("Nb3Sn", {"max_atoms": 8, "units": (3,)}, "needs 12 atoms"),
    ],
)
def test_what_cannot_be_drawn(formula: str, settings: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        RandomCrystals(formula, RandomSettings(**settings))


@pytest.mark.parametrize(
    "wrong", [{"volume_factors": (1.2, 0.4)}, {"max_aspect": 0.5}, {"space_groups": (231,)}, {"min_distance": -1}]
)
def test_wrong_settings(wrong: dict) -> None:
    with pytest.raises(ConfigError):
        RandomSettings(**wrong)


def test_formulas_are_reduced() -> None:
    assert composition_of("Li2O2")[1] == {3: 1, 8: 1}
    assert composition_of("O2")[1] == {8: 1}
    assert composition_of("Nb6Sn2") == ("Nb3Sn", {41: 3, 50: 1})


def test_cells_have_the_shape_of_their_system() -> None:
    random = np.random.default_rng(0)
    for number, points in ((167, 3), (225, 4), (141, 2), (15, 2), (2, 1)):
        group = space_group(number)
        for _ in range(5):
            cell = random_cell(group, 40.0, 3.0, random)
            assert cell is not None
            assert abs(np.linalg.det(cell.lattice)) == pytest.approx(40)
            lengths = np.linalg.norm(cell.lattice, axis=1)
            assert lengths.max() <= 3 * lengths.min()
            conventional = np.linalg.inv(cell.from_conventional) @ np.eye(3)
            assert abs(np.linalg.det(conventional)) == pytest.approx(1 / points)
            edges = cell.from_conventional @ cell.lattice  # conventional vectors
            a, b, c = np.linalg.norm(edges, axis=1)
            if number in (167, 225, 141):
                assert a == pytest.approx(b)
            if number == 167:
                assert edges[0] @ edges[1] == pytest.approx(-a * b / 2)
                assert edges[0] @ edges[2] == pytest.approx(0, abs=1e-9)
            if number == 225:
                assert c == pytest.approx(a)


def test_typical_volumes_of_known_crystals() -> None:
    ambient = [name for name in known_names() if known_entry(name).pressure_GPa == 0]
    ratios = []
    for name in ambient:
        crystal = known_crystal(name, primitive=True)
        ratios.append(crystal.volume / typical_volume([site.specie.Z for site in crystal]))
    assert 0.95 < np.median(ratios) < 1.05
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.2) > 0.9


def test_statistics() -> None:
    weights = space_group_weights()
    assert weights.shape == (230,)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1, abs=0.01)
    assert unit_counts(3)[0] > unit_counts(3)[2]
    with pytest.raises(ConfigError, match="no atomic radius"):
        typical_volume([36])
