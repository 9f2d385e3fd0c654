import json
import re

import pytest
from pymatgen.core import Lattice, Structure

from onnes.campaign.experiment import ExperimentPlan, make_plan, require_geometry
from onnes.crystals.known import known_crystal
from onnes.crystals.parquet import PARTLY_OCCUPIED
from onnes.errors import ConfigError, CrystalError
from onnes.physics.hull import Hull
from tests.physics.references import reference

ROW = {
    "id": "nb3sn-1", "geometry": "sevennet-0", "space_group": 223, "potential": "sevennet-0", "energy_eV_per_atom": -8.68,
    "tc_K": 16.0, "tc_lo_K": 9.0, "tc_hi_K": 25.0, "tc_mu016_K": 9.5, "mu_star": 0.10, "tc_model": "structure",
}  # fmt: skip


@pytest.fixture(scope="module")
def hull():
    return Hull(reference())


@pytest.fixture(scope="module")
def plan(hull):
    return make_plan(ROW, known_crystal("Nb3Sn"), hull, mass_g=1.5, origin="my.parquet")


def test_the_parts_of_a_plan(plan):
    assert (plan.id, plan.formula, plan.origin) == ("nb3sn-1", "Nb3Sn", "my.parquet")
    assert sum(p.mass_g for p in plan.charge.precursors) == pytest.approx(1.5)
    assert plan.route.competition.e_above_hull_eV_per_atom == pytest.approx(0.02)
    assert "potential sevennet-0, geometry sevennet-0" in plan.route.competition.energy_source
    assert plan.pattern.strongest(1)[0].hkl == "210"
    assert plan.transition.values[0].tc_lo_K == 9.0
    assert {p.formula: p.why for p in plan.other_phases} == {
        "Nb6Sn5": "it decomposes to this", "Nb": "it decomposes to this", "Sn": "unreacted precursor",
    }  # fmt: skip


def _numbers_without_source(part, inherited=False):
    """Groups of the plan that hold a number and neither a source of their own nor one of what contains them."""
    if isinstance(part, list):
        return [found for one in part for found in _numbers_without_source(one, inherited)]
    if not isinstance(part, dict):
        return []
    sourced = inherited or bool(part.get("source"))
    found = [] if sourced or not any(isinstance(v, float) for v in part.values()) else [sorted(part)]
    return found + [more for one in part.values() for more in _numbers_without_source(one, sourced)]


def test_every_number_has_a_source(plan):
    data = json.loads(plan.model_dump_json())
    assert _numbers_without_source({"a": {"x_K": 1.0}}) == [["x_K"]]  # the test can fail
    assert (
        _numbers_without_source({name: data[name] for name in ("charge", "pattern", "transition", "other_phases")})
        == []
    )
    route = data["route"]
    assert _numbers_without_source([route[name] for name in ("competition", "elements", "annealing")]) == []
    assert all(reason["source"] for name in ("reasons", "warnings") for reason in route[name])


def test_a_plan_survives_json(plan):
    assert ExperimentPlan.model_validate_json(plan.model_dump_json()) == plan


def test_the_page_numbers_its_sources(plan):
    page = plan.markdown()
    assert page.startswith("# Plan: Nb3Sn\n")
    for words in (
        f"| Nb | {1.5 * 3 * 92.90637 / 397.42911:.4f} |",
        "**arc melting.**",
        "| 210 |",
        "| 0.10 | 16.0 | 9.0 to 25.0 |",
        "## Sources",
    ):
        assert words in page
    body, sources = page.split("## Sources")
    listed = [line for line in sources.splitlines() if line.strip()]
    used = {int(mark) for mark in re.findall(r"\[(\d+)\]", body)}
    assert used == set(range(1, len(listed) + 1))


def test_an_energy_of_another_potential_is_not_used(hull):
    found = make_plan(ROW | {"potential": "chgnet"}, known_crystal("Nb3Sn"), hull)
    assert found.route.competition.stand_in == "Nb3Sn-A15"
    assert any("is one of chgnet" in warning.text for warning in found.warnings)


def test_what_the_funnel_said_is_repeated(hull):
    found = make_plan(ROW | {"rejected_by": "tc", "reason": "tc_K = 0.8 < 1"}, known_crystal("Nb3Sn"), hull)
    assert any("stopped this crystal at tc: tc_K = 0.8 < 1" in warning.text for warning in found.warnings)


def test_sites_that_mix_are_warned_of():
    alike = Structure.from_spacegroup("Pm-3m", Lattice.cubic(3.3), ["Nb", "Ta"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    hull = Hull(reference([("Nb", 0.0, "nb"), ("Ta", 0.0, "ta")]))
    assert any("share sites" in warning.text for warning in make_plan({"id": "x"}, alike, hull).warnings)
    computed = make_plan({"id": "x", "disorder": 0.9}, alike, hull).warnings
    assert any("0.90" in warning.text and warning.source == "onnes.propose.mixing" for warning in computed)
    assert make_plan({"id": "x", "disorder": 0.01}, alike, hull).warnings == ()


def test_hazards_of_elements_and_precursors(hull):
    beryllium = Hull(reference([("Be", 0.0, "be"), ("Nb", 0.0, "nb")]))
    found = make_plan({"id": "x"}, known_crystal("NbBe2"), beryllium).hazards
    assert ("Be", "toxicity") in {(hazard.element, hazard.kind) for hazard in found}
    assert all(hazard.source for hazard in found)
    assert not any(h.element == "Be" for h in make_plan(ROW, known_crystal("Nb3Sn"), hull).hazards)


def hazards_at(structure, hull, **row):
    return {(h.element, h.kind): h for h in make_plan({"id": "x", **row}, structure, hull).hazards}


def cubic(*symbols):
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]]
    return Structure(Lattice.cubic(4.2), symbols, places[: len(symbols)])


def elements(*symbols):
    return Hull(reference([(symbol, 0.0, symbol) for symbol in symbols]))


def test_what_is_weighed_on_purpose_is_no_seldom_hazard():
    found = hazards_at(cubic("V", "O", "O"), elements("V", "O2"))
    assert "vanadium pentoxide" in found["V", "toxicity"].text  # VO2 from V2O5 and V2O3
    assert "not needed" not in found["V", "toxicity"].text
    assert ("V", "toxicity") not in hazards_at(cubic("V", "Ga"), elements("V", "Ga"))


@pytest.mark.parametrize("symbol", ["Zr", "Hf", "Ti"])
def test_powders_that_ignite_are_hazards_where_there_is_powder(symbol):
    found = hazards_at(cubic(symbol, "N"), elements(symbol, "N2"))
    assert "may ignite by itself in air" in found[symbol, "fire"].text
    assert "ammonia is toxic if inhaled" in found["N", "gas"].text
    assert (symbol, "fire") not in hazards_at(cubic(symbol, "V"), elements(symbol, "V"))  # pieces, in an arc


def test_hydrogen_is_a_hazard():
    for structure, symbols, row in (
        (cubic("Pd", "H"), ("Pd", "H2"), {}),
        (cubic("Mg", "H", "H"), ("Mg", "H2"), {}),
        (cubic("S", "H", "H", "H"), ("S", "H2"), {"pressure_GPa": 150.0}),
    ):
        found = hazards_at(structure, elements(*symbols), **row)
        assert "extremely flammable" in found["H", "gas"].text
        assert all(one.source for one in found.values())
    assert "hydrogen sulfide" in found["S", "gas"].text


def test_hazards_of_the_method_and_of_halides():
    mercury = hazards_at(cubic("Hg", "Nb"), elements("Hg", "Nb"))
    assert "reaches 1 bar at 630 K" in mercury["Hg", "pressure"].text
    beryllium = hazards_at(known_crystal("NbBe2"), elements("Be", "Nb"))
    assert "settles as dust" in beryllium["Be", "gas"].text
    row = {"id": "x"}
    halides = make_plan(row, cubic("Cs", "Cl"), elements("Cs", "Cl2"), precursors=["CsCl"]).hazards
    assert any(h.element == "Cl" and "hydrogen chloride" in h.text for h in halides)
    with pytest.raises(ConfigError, match="no route is suggested"):
        make_plan(row, cubic("Cs", "Cl"), elements("Cs", "Cl2"))


def test_a_plan_without_a_route_says_so_on_its_page():
    page = make_plan({"id": "x"}, cubic("S", "H", "H", "H"), elements("S", "H2")).markdown()
    assert "**no route suggested.**" in page
    assert "toxic or explosive gases" in page
    assert "atmosphere" not in page


def test_precursors_of_the_user_count(hull):
    found = make_plan(ROW, known_crystal("Nb3Sn"), hull, precursors=["Nb", "NbSn2"])
    assert [p.formula for p in found.charge.precursors] == ["Nb", "NbSn2"]
    assert "NbSn2" in {phase.formula for phase in found.other_phases}


def test_gases_leave_no_lines():
    hull = Hull(reference([("Ti", 0.0, "ti"), ("N2", 0.0, "n2"), ("TiN", -1.7, "tin")]))
    found = make_plan({"id": "x"}, known_crystal("TiN"), hull)
    assert [p.kind for p in found.charge.precursors] == ["gas", "element"]
    assert [phase.formula for phase in found.other_phases] == ["Ti"]
    assert "not weighed" in found.markdown()


def test_partly_occupied_crystals_can_be_planned():
    sites = [{"Nb": 0.75, "Zr": 0.25}] * 2
    alloy = Structure(Lattice.cubic(3.36), sites, [[0, 0, 0], [0.5, 0.5, 0.5]])
    hull = Hull(reference([("Nb", 0.0, "nb"), ("Zr", 0.0, "zr")]))
    row = {"id": "alloy", "error": f"alloy.cif: {PARTLY_OCCUPIED}"}
    found = make_plan(row, require_geometry(row, alloy), hull)
    masses = {p.formula: p.mass_g for p in found.charge.precursors}
    assert masses["Nb"] / masses["Zr"] == pytest.approx(3 * 92.906 / 91.224, rel=1e-4)
    assert found.pattern.space_group == "Im-3m"
    assert any("solid solution" in warning.text for warning in found.warnings)


def test_rows_that_cannot_be_planned():
    with pytest.raises(CrystalError, match=r"x: bad\.cif: no such file"):
        require_geometry({"id": "x", "error": "bad.cif: no such file"}, None)
    with pytest.raises(CrystalError, match="x: did not converge"):
        require_geometry({"id": "x", "error": "did not converge"}, known_crystal("Nb"))


@pytest.mark.parametrize("mu_star", [-0.1, 0.6])
def test_mu_star_out_of_range(mu_star, hull):
    with pytest.raises(ConfigError, match=r"between 0 and 0\.5"):
        make_plan(ROW, known_crystal("Nb3Sn"), hull, mu_stars=[mu_star])


def test_names_from_files_are_no_markup(hull):
    page = make_plan(ROW | {"id": "a|b *bold*\n# title"}, known_crystal("Nb3Sn"), hull).markdown()
    assert "\n# title" not in page
    assert "*bold*" not in page.replace("\\*", "")
