import json

import pytest
from pymatgen.core import Composition

from onnes.crystals.symmetry import describe
from onnes.errors import ConfigError
from onnes.potentials import potential as registry
from onnes.propose.random_crystals import RandomSettings
from onnes.tools import search_benchmark
from onnes.tools.search_benchmark import FORMULAS, Outcome, benchmark_search, known_structures
from tests.potentials.fakes import FakePotential

PROTOTYPES = {
    "CsCl": "AB_cP2_221_a_b:Cl-Cs", "ZnS": "AB_cF8_216_a_c:S-Zn", "ZnS-wurtzite": "AB_hP4_186_b_b:S-Zn",
    "TiO2-rutile": "A2B_tP6_136_f_a:O-Ti", "TiO2-anatase": "A2B_tI12_141_e_a:O-Ti", "Fe2O3": "A2B3_hR30_167_c_e:Fe-O",
}  # fmt: skip


def test_known_crystals_are_the_right_ones() -> None:
    found = {name: s for formula in FORMULAS for name, s in known_structures(formula).items()}
    assert len(FORMULAS) == 16
    for name, label in PROTOTYPES.items():
        structure = found[name]
        numbers = [site.specie.Z for site in structure]
        assert describe(structure.lattice.matrix, structure.frac_coords, numbers).prototype == label
    shortest = {name: min(n.nn_distance for n in s.get_neighbors(s[0], 4.2)) for name, s in found.items()}
    assert shortest["TiO2-rutile"] == pytest.approx(1.95, abs=0.02)
    assert shortest["TiO2-anatase"] == pytest.approx(1.94, abs=0.03)
    assert shortest["Fe2O3"] == pytest.approx(1.95, abs=0.03)
    for formula in FORMULAS:
        for structure in known_structures(formula).values():
            assert structure.composition == Composition(formula) * (len(structure) // Composition(formula).num_atoms)
            assert len(structure) <= search_benchmark.MAX_ATOMS


def outcome(**changes):
    return Outcome(**{
        "formula": "Al", "lowest_known": "Al", "known_eV_per_atom": -3.0, "found_eV_per_atom": -3.0, "prototype": "p", "matches": None,
        "place": 4, "drawn": 10, "refined": 2, "evaluations": 100, "failures": {}, "trace": [], "cpu_s": 1.0, **changes,
    })  # fmt: skip


def test_what_counts_as_found() -> None:
    assert outcome().success
    assert outcome(found_eV_per_atom=-3.1).success
    assert outcome(found_eV_per_atom=-2.9985).success
    assert not outcome(found_eV_per_atom=-2.997).success
    assert outcome(found_eV_per_atom=-2.99, matches="Al").success
    assert not outcome(found_eV_per_atom=None).success
    assert not outcome(drawn=199, refined=2).success
    assert outcome(found_eV_per_atom=-2.99).excess_meV == pytest.approx(10)


def test_search_is_kept_and_reported(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    potential = FakePotential()
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): potential})
    monkeypatch.setattr(search_benchmark, "potential_sha256", lambda _: "f" * 64)
    monkeypatch.setattr(search_benchmark, "DRAWN", 16)
    small = {way: RandomSettings(max_atoms=2, space_groups=s.space_groups) for way, s in search_benchmark.WAYS.items()}
    monkeypatch.setattr(search_benchmark, "WAYS", small)
    first = benchmark_search(names=["Al"], potential="fake")
    calls = len(potential.calls)
    assert benchmark_search(names=["Al"], potential="fake") == first
    assert len(potential.calls) == calls
    assert first.values["found: search"] == 1
    assert first.values["Al: search: excess_meV"] <= 2
    kept = [json.loads(path.read_text()) for path in (tmp_path / "search").glob("Al-*.json")]
    assert len(kept) == 2
    relaxations = {first.values[f"Al: {way}: relaxations"] for way in search_benchmark.WAYS}
    assert {search["drawn"] + search["refined"] for search in kept} == relaxations
    assert "| Al | A1 Cu | yes |" in first.markdown()
    two = benchmark_search(names=["Al"], potential="fake", seeds=2)
    assert "| Al | A1 Cu | 2 of 2 |" in two.markdown()
    assert two.values["Al: search: relaxations"] == first.values["Al: search: relaxations"]


def test_unknown_formula() -> None:
    with pytest.raises(ConfigError, match="no known crystal for Xx"):
        benchmark_search(names=["Xx"])
