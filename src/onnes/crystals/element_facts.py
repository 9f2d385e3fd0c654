"""Facts about the elements that matter to whoever makes a compound: hazards, radioactivity, air, price, melting point."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from onnes.crystals.known import read_facts
from onnes.crystals.symbols import symbols
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_FILE = "element_facts.toml"
_PYMATGEN = "pymatgen's table of the elements"
_HEAVIEST = 103
_SUBSTANCES = {
    # Reduced formulas of the substances of the table that are no elements, or not the solid one.
    "B2O3": "boron oxide", "F2": "fluorine", "Cl2": "chlorine", "Br2": "bromine", "Br": "bromine", "V2O5": "vanadium pentoxide",
    "CrO3": "chromium trioxide", "MnO2": "manganese dioxide", "Cu2O": "copper(I) oxide", "As2O3": "arsenic trioxide",
    "MoO3": "molybdenum trioxide", "Sb2O3": "antimony trioxide", "BaCl2": "soluble barium salts", "BaO": "soluble barium salts",
    "BaO2": "soluble barium salts", "BaCO3": "soluble barium salts", "OsO4": "osmium tetroxide",
}  # fmt: skip

STABLE_YEARS = 1e15
"""An isotope that lives longer than this counts as stable: bismuth."""
SERIOUS = 0.4
"""Hazard statements of lower severity are left out of the words where there are worse ones."""
LONG_LIVED_YEARS = 1e9
"""What lives longer than this is handled in chemical laboratories, under rules: thorium, uranium."""


@dataclass(frozen=True)
class Fact:
    """A value, what it says in words, and where it stands.

    Attributes
    ----------
    value
        Its meaning and unit are those of the field of `ElementFacts` that holds it.
    text
        In words.
    source
        A citation.
    """

    value: float
    text: str
    source: str


@dataclass(frozen=True)
class ElementFacts:
    """What is known of one element; None is unknown, never harmless.

    Attributes
    ----------
    symbol
        The element.
    toxicity
        Severity of its harmonised classification for health, 0 (none) to 1 (fatal in small amounts).
    radioactivity
        0 for a stable element, 0.5 where the longest-lived isotope lives longer than `LONG_LIVED_YEARS`, otherwise 1.
    melting_point_K, boiling_point_K
        Kelvin, at ambient pressure; of an element that sublimes the boiling point is the lower one.
    air
        Sensitivity of pieces to air, 0 (stable) to 1 (may ignite).
    price
        USD for one kilogram of the element, in the traded form that ``text`` names.
    """

    symbol: str
    toxicity: Fact | None
    radioactivity: Fact | None
    melting_point_K: Fact | None
    boiling_point_K: Fact | None
    air: Fact | None
    price: Fact | None


@cache
def element_facts(symbol: str) -> ElementFacts:
    """Look up what is known of an element.

    Hazards, half-lives, behaviour in air and prices come from the package's own table with their citations, melting and
    boiling points from pymatgen; a price that the table lacks is that of `pymatgen.analysis.cost`.

    Raises
    ------
    CrystalError
        When there is no such element, or it is heavier than lawrencium.

    Examples
    --------
    >>> facts = element_facts("Tl")
    >>> facts.toxicity.value, facts.radioactivity.value
    (1.0, 0.0)
    >>> facts.toxicity.text
    'thallium: fatal if inhaled (H330), fatal if swallowed (H300), may damage organs on long exposure (H373)'
    >>> element_facts("Ag").toxicity is None  # not known to us
    True
    """
    if symbol not in symbols()[1 : _HEAVIEST + 1]:
        raise CrystalError(f"unknown element {symbol!r}. Use the symbol of an element, such as Nb")
    return ElementFacts(
        symbol, _toxicity(symbol), _radioactivity(symbol), _melting_point(symbol), _boiling_point(symbol), _air(symbol),
        _price(symbol),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _facts() -> dict[str, Any]:
    return read_facts(_FILE)


def _source(name: str) -> str:
    return _facts()["sources"][name]


def _toxicity(symbol: str) -> Fact | None:
    """The worst of the substances that stand for the element, each weighed by how likely it is met."""
    facts = _facts()["toxicity"]
    if symbol in facts["unclassified"]:
        return Fact(0.0, "no harmonised classification for health", _source(facts["source"]))
    entries = [_classified(entry) for entry in facts["elements"].get(symbol, ())]
    return max(entries, key=lambda fact: fact.value, default=None)


def toxicity_when_weighed(symbol: str, weighed: Collection[str]) -> Fact | None:
    """Toxicity of an element when some substances are handled on purpose, however seldom they are met otherwise.

    Parameters
    ----------
    symbol
        The element.
    weighed
        Reduced formulas of the substances.

    Examples
    --------
    >>> element_facts("V").toxicity.value, toxicity_when_weighed("V", ["V2O5"]).value
    (0.175, 0.7)
    """
    handled = {_SUBSTANCES[name] for name in weighed if name in _SUBSTANCES}
    entries = _facts()["toxicity"]["elements"].get(symbol, ())
    facts = [
        _classified(one | {"exposure": "element"}) if one["substance"] in handled else _classified(one)
        for one in entries
    ]
    return max(facts, key=lambda fact: fact.value, default=element_facts(symbol).toxicity)


def _classified(entry: dict[str, Any]) -> Fact:
    known, exposure = _facts()["statements"], _facts()["exposure"][entry["exposure"]]
    severity = max(known[code]["severity"] for code in entry["statements"])
    worst = [code for code in entry["statements"] if known[code]["severity"] >= min(severity, SERIOUS)]
    said = ", ".join(f"{known[code]['text']} ({code})" for code in worst)
    met = f"; {exposure['text']}" if exposure["text"] else ""
    index = f", {entry['index']}" if "index" in entry else ""
    source = _source(_facts()["toxicity"]["source"])
    return Fact(severity * exposure["factor"], f"{entry['substance']}: {said}{met}", source + index)


def _radioactivity(symbol: str) -> Fact:
    facts = _facts()["half_life_years"]
    source, years = _source(facts["source"]), facts.get(symbol)
    if years is None:
        return Fact(0.0, "has a stable isotope", source)
    if years > STABLE_YEARS:
        return Fact(0.0, f"half-life {years:.0e} years, as good as stable", source)
    said = f"no stable isotope, the longest half-life is {years:.2g} years"
    return Fact(0.5 if years > LONG_LIVED_YEARS else 1.0, said, source)


def _melting_point(symbol: str) -> Fact | None:
    return _temperature(symbol, "Melting point", "melts")


def _boiling_point(symbol: str) -> Fact | None:
    corrected = _facts()["boiling_point_K"]
    if symbol in corrected:
        return Fact(float(corrected[symbol]), f"boils at {corrected[symbol]} K", _source(corrected["source"]))
    return _temperature(symbol, "Boiling point", "boils")


def _temperature(symbol: str, name: str, verb: str) -> Fact | None:
    from pymatgen.core import Element  # slow to import

    value = Element(symbol).data.get(name)
    if not isinstance(value, int | float):
        return None
    return Fact(float(value), f"{verb} at {value:.0f} K", _PYMATGEN)


def _air(symbol: str) -> Fact | None:
    group = next((group for group in _facts()["air"] if symbol in group["elements"]), None)
    return None if group is None else Fact(group["grade"], group["text"], _source(group["source"]))


def _price(symbol: str) -> Fact | None:
    entry = _facts()["price"].get(symbol)
    if entry is None:
        return _listed_price()(symbol)
    return Fact(entry["usd"] / entry["kg"], f"{entry['form']}, {entry['year']}", _source(entry["source"]))


@lru_cache(maxsize=1)
def _listed_price() -> Callable[[str], Fact | None]:
    """Prices of pymatgen's list, with the source and year that it gives for each."""
    from pymatgen.analysis.cost import CostDBElements  # slow to import
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that noble gases have no electronegativity
        listed = CostDBElements()

    def price(symbol: str) -> Fact | None:
        element = Element(symbol)
        entries = listed.get_entries({element})
        if not entries:
            return None
        fields = dict(re.findall(r'(\w+) = "([^"]+)"', entries[0].reference))
        grams_per_mole = float(element.atomic_mass)
        source = f"{fields['title']} ({fields['year']}), listed by pymatgen.analysis.cost"
        return Fact(1000 * entries[0].energy / grams_per_mole, f"element, {fields['year']}", source)

    return price
