import pytest
from pymatgen.core import Element

from onnes.crystals.element_facts import _facts, element_facts
from onnes.crystals.symbols import symbols
from onnes.errors import CrystalError

ALL = symbols()[1:104]
FIELDS = ("toxicity", "radioactivity", "melting_point_K", "boiling_point_K", "air", "price")


def entries():
    return [(symbol, entry) for symbol, own in _facts()["toxicity"]["elements"].items() for entry in own]


@pytest.mark.parametrize(
    ("symbol", "entry"), [pytest.param(s, e, id=e["substance"]) for s, e in entries() if "index" in e]
)
def test_index_numbers_of_annex_vi_bear_out_their_check_digit_and_their_element(symbol, entry):
    digits = entry["index"].replace("-", "")
    check = sum(place * int(digit) for place, digit in enumerate(digits[:8], 1)) % 11
    assert digits[8] == ("X" if check == 10 else str(check))
    assert int(digits[:3]) == Element(symbol).Z  # the first group is the atomic number of the characteristic element


def test_every_element_is_classified_once_or_unknown():
    classified, none = set(_facts()["toxicity"]["elements"]), _facts()["toxicity"]["unclassified"]
    assert len(none) == len(set(none))
    assert not classified & set(none)
    in_air = [symbol for group in _facts()["air"] for symbol in group["elements"]]
    assert len(in_air) == len(set(in_air))
    unknown = [symbol for symbol in ALL[:83] if element_facts(symbol).toxicity is None]
    assert unknown == ["Rb", "Sr", "Tc", "Ag", "Cs", "Pm"]


def test_every_fact_has_a_source_and_stays_in_its_range():
    for symbol in ALL:
        facts = element_facts(symbol)
        for name in FIELDS:
            fact = getattr(facts, name)
            if fact is None:
                continue
            assert len(fact.source) > 10, (symbol, name)
            assert fact.text, (symbol, name)
            if name in ("toxicity", "radioactivity", "air"):
                assert 0 <= fact.value <= 1, (symbol, name)
            else:
                assert fact.value > 0, (symbol, name)


def test_elements_without_a_stable_isotope_are_those_of_pymatgen_and_bismuth():
    listed = {symbol for symbol in _facts()["half_life_years"] if symbol != "source"}
    assert listed == {symbol for symbol in ALL if Element(symbol).is_radioactive} | {"Bi"}
    graded = {symbol: element_facts(symbol).radioactivity.value for symbol in ALL}
    assert {s for s, value in graded.items() if value == 0.5} == {"Th", "U"}
    assert graded["Bi"] == graded["Nb"] == 0
    assert graded["Tc"] == graded["Ra"] == graded["Pu"] == 1
    assert "4.2e+06 years" in element_facts("Tc").radioactivity.text


def test_severity_follows_the_categories():
    severity = {
        symbol: element_facts(symbol).toxicity.value for symbol in ("Tl", "Co", "Pb", "Ni", "Se", "Te", "I", "S")
    }
    assert (
        severity["Tl"]
        > severity["Co"]
        > severity["Pb"]
        > severity["Ni"]
        > severity["Se"]
        > severity["I"]
        > severity["S"]
        > 0
    )
    assert severity["Te"] == severity["Pb"]  # both harm the unborn child
    known = _facts()["statements"]
    for _, entry in entries():
        assert set(entry["statements"]) <= set(known), entry["substance"]
        assert entry["exposure"] in _facts()["exposure"]


def test_a_compound_that_is_not_needed_counts_less_than_the_element_itself():
    chromium, osmium = element_facts("Cr").toxicity, element_facts("Os").toxicity
    assert chromium.value == pytest.approx(0.25)  # CrO3 is fatal if inhaled, but nobody needs it to melt chromium
    assert osmium.value == pytest.approx(0.75)
    assert "not needed" in chromium.text
    assert "osmium tetroxide: fatal if inhaled (H330)" in osmium.text
    assert element_facts("Be").toxicity.source.endswith("004-001-00-7")
    arsenic = element_facts("As").toxicity
    assert arsenic.value == pytest.approx(0.75)  # the trioxide outweighs the element
    assert "arsenic trioxide" in arsenic.text


def test_minor_statements_are_left_out_where_there_are_worse_ones():
    assert "H330" in element_facts("Be").toxicity.text
    assert "H315" not in element_facts("Be").toxicity.text
    assert "H315" in element_facts("S").toxicity.text


def test_prices_are_those_of_the_element_in_the_traded_form():
    assert element_facts("Nb").price.value == pytest.approx(40)  # 26 USD for a kilogram of ferroniobium with 65 % Nb
    assert element_facts("Rh").price.value == pytest.approx(4660.44 * 32.1507, rel=1e-4)  # from USD a troy ounce
    assert "ferroniobium, 2024" in element_facts("Nb").price.text
    for symbol in ("La", "Ce", "Pr", "Nd", "Sm", "Eu", "Gd", "Y"):
        entry, mass = _facts()["price"][symbol], float(Element(symbol).atomic_mass)
        assert 1.4 < (mass / entry["kg"] - mass) / 15.999 < 2.1  # oxygen atoms for each metal atom
    assert element_facts("U").price is None


def test_a_price_that_the_table_lacks_is_that_of_pymatgen_with_its_citation():
    thallium = element_facts("Tl").price
    assert thallium.value == pytest.approx(6001, abs=1)
    assert thallium.source == "Wolfram Alpha (2013), listed by pymatgen.analysis.cost"


def test_melting_and_boiling_points():
    assert element_facts("W").melting_point_K.value == pytest.approx(3695)
    assert element_facts("Cu").boiling_point_K.value == pytest.approx(2835)  # pymatgen has 3200
    assert "CRC Handbook" in element_facts("Cu").boiling_point_K.source
    assert element_facts("At").boiling_point_K is None


@pytest.mark.parametrize("symbol", ["Xx", "nb", "", "X", "Rf"])
def test_what_is_no_element_is_refused(symbol):
    with pytest.raises(CrystalError, match="unknown element"):
        element_facts(symbol)
