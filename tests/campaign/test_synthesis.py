import pytest

from onnes.campaign.element_melting import composition_of, element_meltings
from onnes.campaign.procedures import AMBIENT_GPA
from onnes.campaign.synthesis import METASTABLE_EV, charge_of, suggest_route
from onnes.errors import ConfigError, CrystalError
from onnes.physics.hull import Hull
from onnes.physics.reference import Reference
from tests.physics.references import reference


@pytest.fixture(scope="module")
def empty():
    """A reference that knows no element: the elements alone decide."""
    return Hull(reference([("Xe", 0.0, "xe")]))


def flat(*formulas, **energies):
    """Hull of elements at zero and compounds with formation energies."""
    phases = [(symbol, 0.0, symbol) for symbol in formulas]
    return Hull(reference([*phases, *((name, energy, name) for name, energy in energies.items())]))


@pytest.mark.parametrize(
    ("formula", "method"),
    [
        ("V3Si", "arc melting"),
        ("Nb", "arc melting"),
        ("Nb0.75Zr0.25", "arc melting"),
        ("Be2HfNb2", "arc melting with excess"),  # Be boils at 2742 K, Nb melts at 2750 K
        ("NbMn2", "arc melting with excess"),
        ("MgB2", "sealed ampoule"),
        ("FeSe", "sealed ampoule"),
        ("Mg2Si", "sealed ampoule"),  # Mg boils above the melting point of Si, yet does not stay in an arc
        ("Nb3Sb", "sealed ampoule"),
        ("CaC6", "sealed ampoule"),
        ("HgBa2CuO4", "sealed ampoule"),
        ("ZrB2", "powders and spark plasma"),
        ("NbC", "powders and spark plasma"),
        ("Ti2NbN3", "powders and spark plasma"),
        ("SrTiO3", "powders and spark plasma"),  # strontium is volatile, its oxide is not
        ("YNi2B2C", "arc melting"),  # nickel is no refractory metal
        ("NbN", "gas reaction"),
        ("PdH", "gas reaction"),
        ("LaH10", "no route suggested"),  # no pressure is given
        ("Nb2N", "powders and spark plasma"),  # from Nb and NbN: flowing nitrogen would go on to NbN
        ("MgH2", "autoclave"),
        ("Mg2NiH4", "autoclave"),
        ("LaNi5H6", "autoclave"),
        ("ZrH", "gas reaction"),
        ("H3S", "no route suggested"),  # hydrogen sulfide
        ("LiBH4", "no route suggested"),
        ("Ba2N", "gas reaction"),
        ("TlPb", "sealed ampoule"),
        ("Tl7Sb2", "sealed ampoule"),
        ("InBi", "sealed ampoule"),
        ("LiAl", "sealed ampoule"),
        ("CaPd", "sealed ampoule"),
        ("EuNi", "sealed ampoule"),
        ("YbRh2", "sealed ampoule"),
        ("CdNi", "sealed ampoule"),
        ("TlBa2Ca2Cu3O9", "sealed ampoule"),
        ("K2S", "no route suggested"),  # the elements react violently
        ("Tc", "no route suggested"),
        ("PuCoGa5", "no route suggested"),
    ],
)
def test_elements_decide_the_method(formula, method, empty):
    found = suggest_route(formula, empty)
    assert found.method == method
    assert found.reasons
    assert all(reason.source for reason in found.reasons)
    assert method not in {other.method for other in found.alternatives}
    assert found.competition is None
    assert "nothing is known of competing phases" in found.warnings[0].text


def test_a_crystal_for_high_pressure(empty):
    found = suggest_route("V3Si", empty, pressure_GPa=20.0)
    assert found.method == "high pressure"
    assert "at 20 GPa" in found.procedure
    assert suggest_route("V3Si", empty, pressure_GPa=AMBIENT_GPA).method == "arc melting"


def test_a_nitride_far_above_the_hull_needs_pressure():
    hull = flat("Nb", "N2", Nb2N=-1.0)
    assert suggest_route("NbN", hull, energy_eV_per_atom=-0.75 + METASTABLE_EV - 0.01).method == "gas reaction"
    high = -0.75 + METASTABLE_EV + 0.01
    found = suggest_route("NbN", hull, energy_eV_per_atom=high, precursors=["NbN"])
    assert found.method == "high pressure"
    assert any("only pressure keeps it in" in reason.text for reason in found.reasons)
    assert any("Sci. Adv. 2, e1600225 (2016)" in warning.source for warning in found.warnings)
    unsupplied = suggest_route("NbN", hull, energy_eV_per_atom=high)
    assert unsupplied.method == "no route suggested"
    assert any("N2 would have to go into or out of a closed vessel" in reason.text for reason in unsupplied.reasons)


def test_energies_of_oxides_with_u_do_not_decide():
    phases = [("La", 0.0, "la"), ("Fe", 0.0, "fe"), ("O2", 0.0, "o2"), ("La2O3", -3.0, "la2o3")]
    made = reference(phases)
    hubbard = Hull(Reference(made.name, made.potential, "0" * 64, "PBE(+U), uncorrected", made.table, "", {}))
    plain, with_u = (suggest_route("LaFeO3", one, energy_eV_per_atom=0.0) for one in (Hull(made), hubbard))
    assert plain.method == "high pressure"
    assert with_u.method == "powders and spark plasma"
    assert "Fe" in with_u.warnings[0].text
    assert "Hubbard" in with_u.warnings[0].text


def test_what_the_hull_says_is_told_with_the_name_of_the_reference():
    hull = flat("V", "Si", V3Si=-0.2, V5Si3=-0.25)
    found = suggest_route("V3Si", hull, energy_eV_per_atom=-0.2)
    said = " ".join(reason.text for reason in found.reasons)
    assert "On the hull of 2 known compounds" in said
    assert "0.67 V5Si3 + 0.33 V" in said
    assert "costs 0.033 eV/atom" in said  # 0.2 - 2/3 0.25
    assert "congruent melting" in said
    assert any("by hand (sha256 " in reason.source for reason in found.reasons)
    assert found.warnings == ()


def test_metastable_crystals_are_warned_of_and_get_pressure_as_an_alternative():
    hull = flat("V", "Si", V3Si=-0.2)
    found = suggest_route("V3Si", hull, energy_eV_per_atom=-0.1)
    assert found.method == "arc melting"
    assert "high pressure" in {other.method for other in found.alternatives}
    said = [warning.text for warning in found.warnings]
    assert any(text.startswith("0.100 eV/atom above the hull") for text in said)
    assert any("V3Si of the same composition lies 0.100 eV/atom lower" in text for text in said)
    assert "high pressure" not in {
        other.method for other in suggest_route("V3Si", hull, energy_eV_per_atom=-0.19).alternatives
    }


def test_the_energy_of_another_crystal_is_called_so():
    hull = flat("V", "Si", V3Si=-0.2)
    assert any("V3Si, the lowest known phase" in warning.text for warning in suggest_route("V3Si", hull).warnings)
    assert any("has no energy" in warning.text for warning in suggest_route("VSi", hull).warnings)


def test_a_wide_spread_of_melting_points_is_a_reason_to_remelt(empty):
    found = suggest_route("Nb3Sn", empty)
    assert found.melting_point_spread_K == pytest.approx(2750 - 505.08)
    assert any("differ by 2245 K" in reason.text for reason in found.reasons)
    assert not any("differ" in reason.text for reason in suggest_route("V3Si", empty).reasons)


def test_annealing_is_a_rule_of_thumb(empty):
    found = suggest_route("V3Si", empty).annealing
    assert found.lowest_solid == "Si"
    assert found.hold_below_K == pytest.approx(0.7 * 1687)
    assert found.homogenise_at_K == pytest.approx(0.6 * (0.75 * 2183 + 0.25 * 1687))
    assert "rule of thumb" in found.source
    assert suggest_route("SrTiO3", empty).annealing is None  # the melting points of its elements tell nothing
    assert suggest_route("Nb", empty).annealing is None
    assert suggest_route("CaC6", empty).annealing.homogenise_at_K == pytest.approx(0.6 * 1115)  # graphite does not melt
    assert "Fused silica creeps" in suggest_route("NbC", empty).annealing.text
    assert "Fused silica creeps" not in found.text


@pytest.mark.parametrize("formula", ["Nb3Hg", "NbP", "Mo6PbS8", "PbSe2", "Ta3Sb", "MgH2", "NbN", "LaH10", "TlPb"])
def test_no_annealing_where_an_element_would_boil_or_nothing_is_known(formula, empty):
    assert suggest_route(formula, empty).annealing is None


@pytest.mark.parametrize(("formula", "homogenise"), [("V3Ga", 1028), ("KFe2As2", 737), ("LiAl", 416), ("FeSe", 692)])
def test_no_hold_near_room_temperature(formula, homogenise, empty):
    found = suggest_route(formula, empty).annealing
    assert (found.hold_below_K, found.lowest_solid) == (None, None)
    assert found.homogenise_at_K == pytest.approx(homogenise, abs=1)
    assert "old first" not in found.text


def test_annealing_stays_below_what_boils(empty):
    for formula in ("MgB2", "CaFe2As2", "Nb3Sb", "ZrZn2", "Mg2Si", "BaFe2As2", "FeSe", "KFe2As2", "Nb3Sn", "NbC"):
        route = suggest_route(formula, empty)
        if (found := route.annealing) is not None:
            boils = min(e.boiling_point_K for e in route.elements)
            assert max(found.hold_below_K or 350, 350) < found.homogenise_at_K < boils


@pytest.mark.parametrize("pressure_GPa", [26, 150, 170])
@pytest.mark.parametrize("formula", ["LaH10", "H3S"])
def test_megabars_are_reached_in_a_diamond_anvil_cell_only(formula, pressure_GPa, empty):
    found = suggest_route(formula, empty, pressure_GPa=pressure_GPa)
    assert found.method == "diamond-anvil cell"
    assert f"to {pressure_GPa} GPa" in found.procedure
    assert "source of hydrogen, NH3BH3" in found.procedure
    assert "measured in the cell" in found.procedure
    assert "press" not in found.procedure.replace("compressed", "")
    assert found.alternatives == ()
    assert found.annealing is None


def test_hydrogen_under_moderate_pressure_goes_into_a_cell_too(empty):
    assert suggest_route("LaH10", empty, pressure_GPa=10).method == "diamond-anvil cell"
    assert suggest_route("V3Si", empty, pressure_GPa=25).method == "high pressure"
    assert suggest_route("V3Si", empty, pressure_GPa=100).method == "diamond-anvil cell"
    assert "hydrogen" not in suggest_route("V3Si", empty, pressure_GPa=100).procedure


@pytest.mark.parametrize("formula", ["MgH2", "Mg2NiH4", "NaH", "CaNiH3", "LaNi5H6"])
def test_hydrides_are_never_heated_in_a_closed_tube(formula, empty):
    found = suggest_route(formula, empty)
    assert "autoclave made for hydrogen" in found.procedure
    assert "Never in a welded tube" in found.procedure
    assert {other.method for other in found.alternatives} <= {"autoclave"}


def test_a_gas_reaction_stops_at_the_calculated_gain(empty):
    found = suggest_route("NbN", empty)
    assert "stop at the calculated gain" in found.procedure
    assert [p.formula for p in charge_of(found.method, "NbN", 1.0).precursors] == ["N2", "Nb"]
    hydride = charge_of(suggest_route("ZrH", empty).method, "ZrH", 1.0)
    assert {p.kind for p in hydride.precursors} == {"gas", "element"}
    assert "ammonia" not in suggest_route("Sr2N", empty).procedure  # strontium dissolves in it


@pytest.mark.parametrize(
    ("formula", "metal"), [("KFe2As2", "K"), ("CaFe2As2", "Ca"), ("NaSb", "Na"), ("EuFe2As2", "Eu")]
)
def test_vapour_that_eats_silica_gets_a_welded_tube(formula, metal, empty):
    said = suggest_route(formula, empty).procedure
    assert "welded shut under argon" in said
    assert f"vapour of {metal} eats through bare silica" in said


def test_oxides_are_not_put_into_graphite(empty):
    assert "graphite would reduce" in suggest_route("HgBa2CuO4", empty).procedure


def test_a_closed_vessel_that_would_burst_is_not_suggested(empty):
    found = suggest_route("HgBa2CuO4", empty, precursors=["HgO", "BaCO3", "CuO"])
    assert found.method == "no route suggested"
    assert any("CO2" in reason.text and "may burst" in reason.text for reason in found.reasons)


@pytest.mark.parametrize("formula", ["RbNbF6", "NbCl4", "CsCl"])
def test_halogens_as_elements_get_no_route(formula, empty):
    with pytest.raises(ConfigError, match="no route is suggested"):
        suggest_route(formula, empty)
    found = suggest_route(formula, empty, precursors=[formula])
    assert found.method == "sealed ampoule"
    assert "atmosphere" not in found.procedure


@pytest.mark.parametrize(
    ("formula", "symbol", "kelvin"), [("Nb3Hg", "Hg", 630), ("Mo6PbS8", "S", 718), ("FeSe", "Se", 958)]
)
def test_the_temperature_stays_below_what_boils_while_it_is_unreacted(formula, symbol, kelvin, empty):
    assert f"{symbol} reaches 1 bar at {kelvin} K" in suggest_route(formula, empty).procedure


@pytest.mark.parametrize(
    ("formula", "words"),
    [("MgB2", "tantalum"), ("FeSe", "fused silica, in a crucible"), ("LaOF", "platinum"), ("NbN", "nitrogen or ammonia"),
     ("PdH", "flowing hydrogen"), ("Ti2NbN3", "under nitrogen"), ("SrTiO3", "oxygen or argon"), ("Nb", "Melt the element")],
)  # fmt: skip
def test_the_procedure_suits_the_elements(formula, words, empty):
    assert words in suggest_route(formula, empty).procedure


def test_the_volatile_element_is_named(empty):
    assert "take the loss to be Be" in suggest_route("Be2HfNb2", empty).procedure


def test_carbon_counts_for_the_melt_when_it_is_much():
    kinds = {e.symbol: e.kind for e in element_meltings(composition_of("YNi2B2C"))}
    assert kinds == {"B": "solid", "C": "solid", "Ni": "solid", "Y": "solid"}  # Ni boils below where carbon melts
    kinds = {e.symbol: e.kind for e in element_meltings(composition_of("NiC"))}
    assert kinds == {"C": "solid", "Ni": "volatile"}


@pytest.mark.parametrize("formula", ["Qq7", "", "Nb3Sn-", "X2"])
def test_what_is_no_formula(formula, empty):
    with pytest.raises(CrystalError, match="is no formula"):
        suggest_route(formula, empty)
