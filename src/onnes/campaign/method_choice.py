"""Which method of synthesis suits a composition: rules on gases, volatile elements and melting points, the first that applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from onnes.campaign.annealing import RULE
from onnes.campaign.element_melting import (
    LOW_POOL_K,
    MOST_CARBON_IN_A_MELT,
    NEVER_IN_AN_ARC_K,
    NEVER_IN_AN_OPEN_ARC,
    ElementMelting,
    element_source,
    pool_K,
)
from onnes.campaign.procedures import AMBIENT_GPA, LARGE_PRESS_GPA, Method
from onnes.crystals.element_facts import element_facts

if TYPE_CHECKING:
    from pymatgen.core import Composition

    from onnes.campaign.precursors import Charge

METASTABLE_EV = 0.067
"""90 % of the metastable inorganic crystals that have been made lie closer to the hull (eV/atom)."""
METASTABLE_SOURCE = "Sun et al., Sci. Adv. 2, e1600225 (2016)"
_LOST_IN_AN_ARC = 0.8  # what boils below this share of the melting point of the most refractory element
_REFRACTORY_K = 1900.0
_MOST_HYDROGEN = 0.75
_VOLATILE_OXIDES_K = 1200.0  # boiling point of the element
_TOXIC_VOLATILE_OXIDES = frozenset(("Tl", "Cd", "Hg", "As", "Se", "Te", "Os"))
_LIGHT = frozenset(("B", "C"))
_SHORT_LIVED = 1.0  # see `onnes.crystals.element_facts.ElementFacts.radioactivity`
# Volatile metals whose hydrides are made under hydrogen.
_VOLATILE_IN_HYDRIDES = frozenset(("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Eu", "Yb"))
_ALKALI = frozenset(("Li", "Na", "K", "Rb", "Cs"))
_VIOLENT_WITH_ALKALI = frozenset(("S", "P", "I"))
_PLANNED_GASES = frozenset(("H", "N", "O", "F", "Cl"))


class Reason(BaseModel):
    """Why something is suggested, and where that is known from."""

    model_config = ConfigDict(frozen=True)

    text: str
    source: str


Choice = tuple[Method, list[Reason]]


@dataclass(frozen=True)
class MethodRules:
    """What the rules look at.

    Attributes
    ----------
    composition, elements
        Of the crystal.
    charge
        What would be weighed for it.
    pressure_GPa
        At which the crystal is meant to exist.
    above_hull_eV, hull_source
        Energy above hull (eV/atom), zero where it is not known or not to be trusted, and whose it is.
    """

    composition: Composition
    elements: tuple[ElementMelting, ...]
    charge: Charge
    pressure_GPa: float
    above_hull_eV: float
    hull_source: str

    def kind(self, name: str) -> list[ElementMelting]:
        """Elements that are gases, volatile or solid."""
        return [e for e in self.elements if e.kind == name]

    def by_elements(self, text: str) -> Reason:
        """Reason that rests on melting and boiling points."""
        return Reason(text=text, source=element_source(self.elements))

    def method(self) -> Choice:
        """Choose the method by the first rule that applies."""
        facts = {e.symbol: element_facts(e.symbol).radioactivity for e in self.elements}
        hot = {symbol: fact for symbol, fact in facts.items() if fact and fact.value >= _SHORT_LIVED}
        if hot:
            text = f"{', '.join(hot)}: {next(iter(hot.values())).text}; that is work for a licensed laboratory."
            return _none(Reason(text=text, source=next(iter(hot.values())).source))
        if self.pressure_GPa > AMBIENT_GPA:
            return self._under_pressure()
        if self.kind("gas"):
            return self._with_gases()
        return self._of_solids()

    def _under_pressure(self) -> Choice:
        reason = Reason(text=f"The crystal is meant for {self.pressure_GPa:g} GPa.", source="pressure of the crystal")
        if self.pressure_GPa > LARGE_PRESS_GPA:
            text = f"Presses with anvils of carbide reach about {LARGE_PRESS_GPA:g} GPa."
            return "diamond-anvil cell", [reason, Reason(text=text, source=RULE)]
        if any(p.formula == "H2" for p in self.charge.precursors):
            text = "A capsule cannot be filled with hydrogen; the cell can."
            return "diamond-anvil cell", [reason, Reason(text=text, source=RULE)]
        return "high pressure", [reason]

    def _of_solids(self) -> Choice:
        symbols = {e.symbol for e in self.elements}
        weighed = {p.formula for p in self.charge.precursors if p.kind == "element"}
        if (alkali := weighed & _ALKALI) and (other := weighed & _VIOLENT_WITH_ALKALI):
            text = (
                f"{_list(alkali)} and {_list(other)} as elements react violently when they are heated together: weigh compounds of them "
                "(--precursor)."
            )
            return _none(Reason(text=text, source=RULE))
        if self.kind("volatile"):
            return self._with_volatile()
        if open_never := sorted(symbols & NEVER_IN_AN_OPEN_ARC):
            text = f"{', '.join(open_never)} evaporates or burns, and its fume is not to be breathed: nothing of it goes into an open arc."
            return "sealed ampoule", [Reason(text=text, source=RULE)]
        pool = pool_K(self.composition)
        if pool < LOW_POOL_K:
            text = f"Everything melts below {LOW_POOL_K:.0f} K (the highest at {pool:.0f} K): an arc would only evaporate it."
            return "sealed ampoule", [self.by_elements(text)]
        light = sum(self.composition.get_atomic_fraction(symbol) for symbol in _LIGHT)
        metals = [e for e in self.elements if e.symbol not in _LIGHT]
        if light >= MOST_CARBON_IN_A_MELT and metals and all((e.melting_point_K or 0) > _REFRACTORY_K for e in metals):
            text = f"Boron and carbon make up {light:.0%} of the atoms beside refractory metals: it melts too high for an even melt."
            return "powders and spark plasma", [Reason(text=text, source=RULE)]
        return "arc melting", [
            self.by_elements("No element is a gas, and none boils below the melting point of another.")
        ]

    def _with_volatile(self) -> Choice:
        pool = pool_K(self.composition)
        first = min(self.kind("volatile"), key=lambda e: e.boiling_point_K or 0.0)
        boils = first.boiling_point_K or 0.0
        reason = self.by_elements(
            f"{first.symbol} boils at {boils:.0f} K; the highest melting point to overcome is {pool:.0f} K."
        )
        if {e.symbol for e in self.elements} & NEVER_IN_AN_OPEN_ARC or boils < max(
            NEVER_IN_AN_ARC_K, _LOST_IN_AN_ARC * pool
        ):
            text = f"What boils below {NEVER_IN_AN_ARC_K:.0f} K, or below {_LOST_IN_AN_ARC:g} of that, is lost in an open arc."
            return "sealed ampoule", [reason, Reason(text=text, source=RULE)]
        return "arc melting with excess", [
            reason,
            Reason(text="The loss is small enough to be made up for.", source=RULE),
        ]

    def _with_gases(self) -> Choice:
        gases, volatile = self.kind("gas"), self.kind("volatile")
        symbols = {e.symbol for e in gases}
        reasons = [
            self.by_elements(f"{_and(gases)} {'are gases' if len(gases) > 1 else 'is a gas'} at room temperature.")
        ]
        if not symbols <= _PLANNED_GASES or len(gases) == len(self.elements):
            return _none(*reasons, Reason(text="The rules know no safe way to such a compound.", source=RULE))
        if "H" in symbols:
            return self._with_hydrogen(reasons)
        if self.above_hull_eV > METASTABLE_EV:
            text = f"{self.above_hull_eV:.3f} eV/atom above the hull with a gas: only pressure keeps it in."
            return "high pressure", [*reasons, Reason(text=text, source=self.hull_source)]
        if "O" in symbols:  # oxides of the others hardly evaporate
            volatile = [
                e for e in self.elements
                if e.symbol in _TOXIC_VOLATILE_OXIDES or (e.kind == "volatile" and (e.boiling_point_K or 0.0) < _VOLATILE_OXIDES_K)
            ]  # fmt: skip
        if volatile or symbols & {"F", "Cl"}:
            why = f"{_and(volatile)} would evaporate" if volatile else "Halides react with moisture and evaporate"
            text = f"{why}: a closed vessel keeps the composition."
            return "sealed ampoule", [*reasons, Reason(text=text, source=RULE)]
        compounds = any(p.kind == "compound" for p in self.charge.precursors)
        if len(self.elements) == 2 and symbols == {"N"} and not compounds:
            return "gas reaction", [*reasons, Reason(text="One metal takes the gas up by itself.", source=RULE)]
        text = f"{_and(gases)} can be weighed in the powder of a compound."
        return "powders and spark plasma", [*reasons, Reason(text=text, source=RULE)]

    def _with_hydrogen(self, reasons: list[Reason]) -> Choice:
        """Hydrides of metals at ambient pressure, made under hydrogen; nothing is suggested for other compounds of hydrogen."""
        from pymatgen.core import Element

        others = [e for e in self.elements if e.symbol != "H"]
        hydrogen = self.composition.get_atomic_fraction("H")
        if hydrogen > _MOST_HYDROGEN:
            text = (
                f"Hydrogen makes up {hydrogen:.0%} of the atoms, more than a metal takes up at 1 bar, and the pressure is not known: give it in "
                "the column pressure_GPa."
            )
            return _none(*reasons, Reason(text=text, source=RULE))
        if self.above_hull_eV > METASTABLE_EV:
            text = (
                f"{self.above_hull_eV:.3f} eV/atom above the hull with hydrogen: only pressure keeps it in, and the pressure is not known; give "
                "it in the column pressure_GPa."
            )
            return _none(*reasons, Reason(text=text, source=self.hull_source))
        if no_metal := [e.symbol for e in others if not Element(e.symbol).is_metal]:
            text = f"Hydrogen with {', '.join(no_metal)} can give toxic or explosive gases."
            return _none(*reasons, Reason(text=text, source=RULE))
        volatile = self.kind("volatile")
        if stray := [e.symbol for e in volatile if e.symbol not in _VOLATILE_IN_HYDRIDES]:
            text = f"{', '.join(stray)} evaporates into the hydrogen."
            return _none(*reasons, Reason(text=text, source=RULE))
        if len(others) == 1 and not volatile:
            return "gas reaction", [*reasons, Reason(text="One metal takes the gas up by itself.", source=RULE)]
        text = (
            "The hydride gives off hydrogen when it is heated, and would burst a closed tube: keep it under hydrogen."
        )
        return "autoclave", [*reasons, Reason(text=text, source=RULE)]


def _none(*reasons: Reason) -> Choice:
    return "no route suggested", list(reasons)


def _and(elements: list[ElementMelting]) -> str:
    return " and ".join(e.symbol for e in elements)


def _list(symbols: set[str]) -> str:
    return ", ".join(sorted(symbols))
