"""Which powders and pieces to weigh, and how much of each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_melting import composition_of, elements_of
from onnes.crystals.element_facts import element_facts
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pymatgen.core import Composition

    Floats = NDArray[np.float64]

ATOMIC_MASSES = "atomic masses by pymatgen"
POWDERS = (
    # Powders that are sold, of gases and of light refractory elements, in the order in which they are preferred.
    "TiN", "ZrN", "HfN", "VN", "NbN", "TaN", "Cr2N", "Mo2N", "BN", "AlN", "Si3N4", "Li3N", "Mg3N2", "Ca3N2", "LaN", "YN",
    "TiC", "ZrC", "HfC", "VC", "NbC", "TaC", "Cr3C2", "Mo2C", "WC", "B4C", "SiC", "TiB2", "ZrB2", "HfB2", "VB2", "NbB2",
    "TaB2", "CrB2", "MoB", "WB", "LaB6", "MgB2",
    "Li2O", "Na2O2", "MgO", "CaO", "SrO", "BaO", "BaO2", "Sc2O3", "Y2O3", "La2O3", "CeO2", "Pr6O11", "Nd2O3", "Sm2O3", "Eu2O3",
    "Gd2O3", "Tb4O7", "Dy2O3", "Ho2O3", "Er2O3", "Tm2O3", "Yb2O3", "Lu2O3", "TiO2", "Ti2O3", "ZrO2", "HfO2", "V2O5", "V2O3", "Nb2O5",
    "Ta2O5", "Cr2O3", "MoO3", "WO3", "MnO2", "Mn2O3", "Fe2O3", "Fe3O4", "Co3O4", "CoO", "NiO", "CuO", "Cu2O", "Ag2O", "ZnO", "CdO", "HgO",
    "B2O3", "Al2O3", "Ga2O3", "In2O3", "Tl2O3", "SiO2", "GeO2", "SnO2", "SnO", "PbO", "PbO2", "P2O5", "As2O3", "Sb2O3", "Bi2O3",
    "LiH", "NaH", "MgH2", "CaH2", "TiH2", "ZrH2", "LiF", "NaF", "KF", "MgF2", "CaF2", "SrF2", "BaF2", "YF3", "LaF3", "CeF3",
    "SmF3", "NiF2", "CuF2", "ZnF2", "FeF2", "LiCl", "NaCl", "KCl", "MgCl2", "CaCl2", "SrCl2", "BaCl2", "ZrCl4", "HfCl4", "LaCl3",
    "YCl3",
)  # fmt: skip
_GASES = {"H": "H2", "N": "N2", "O": "O2", "F": "F2", "Cl": "Cl2"}
_COMPOUND_GASES = frozenset(("CO2", "CO", "H3N", "NH3", "H2S", "SO2", "NO2", "NO", "CH4", "H4C"))
_ROOM_K = 298.0
_LIGHT = frozenset(("B", "C"))
_COST_ELEMENT, _COST_COMPOUND, _COST_UNWANTED = 1.0, 1.1, 100.0  # for each atom that is no gas
_COST_FROM_AIR, _COST_GIVEN_OFF = 0.01, 1000.0
_COST_SECOND_CHOICE = 0.1  # for each powder of the same elements that is preferred
_ORDER = 1e-6
_BALANCE = 1e-6
_OXIDE = 0.4
"""Share of oxygen above which a crystal is made of oxides, and takes from the air or gives off what oxygen it needs."""
_NOTHING = 1e-9

_REFUSED = frozenset(("F2", "Cl2", "F", "Cl", "Br", "Br2"))
"""Halogens that nothing here is planned with, as elements."""

Kind = Literal["element", "compound", "gas"]
Vessel = Literal["open", "closed", "loaded", "unknown"]


class Precursor(BaseModel):
    """One thing to weigh.

    Attributes
    ----------
    formula, kind
        A gas is not weighed: its mass is what the sample takes up, negative for what it gives off.
    moles_per_formula
        Formula units for each formula unit of the product.
    molar_mass_g_per_mol, mass_g
        Of its formula, and of what goes into the sample.
    """

    model_config = ConfigDict(frozen=True)

    formula: str
    kind: Kind
    moles_per_formula: float
    molar_mass_g_per_mol: float
    mass_g: float
    source: str


class Charge(BaseModel):
    """What goes into a sample.

    Attributes
    ----------
    formula, molar_mass_g_per_mol
        Of the product.
    mass_g
        Of the sample when all has reacted and nothing is lost.
    precursors
        In the order in which they were asked for, or by formula.
    unused
        Precursors that were asked for and are not needed.
    notes
        What to know of the choice.
    """

    model_config = ConfigDict(frozen=True)

    formula: str
    molar_mass_g_per_mol: float
    mass_g: float
    precursors: tuple[Precursor, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    source: str


def weigh(
    formula: str, mass_g: float, *, precursors: Sequence[str] | None = None, powders: bool = False, vessel: Vessel = "open"
) -> Charge:  # fmt: skip
    """Masses of the precursors of a sample.

    The amounts are the non-negative solution of the balance of every element. Oxides exchange oxygen with the atmosphere, and
    carbonates give off carbon dioxide.

    Parameters
    ----------
    formula
        Of the product; fractions are allowed.
    mass_g
        Of the sample, in grams.
    precursors
        Formulas to use. By default the elements; where one of them is a gas, a compound of it from `POWDERS`, and from the
        gas itself only where no mixture of those has the composition.
    powders
        Whether boron and carbon shall come in compounds as well, where such a mixture exists.
    vessel
        Where gases come from: the atmosphere of an open one; pressure in one that is loaded with gas. In a closed one no gas is
        taken up or given off, where there is such a mixture.

    Raises
    ------
    ConfigError
        When no mixture of the precursors has the composition, or only one with fluorine, chlorine or bromine as the element;
        when the mass is not positive.
    CrystalError
        For a formula that cannot be read.

    Examples
    --------
    >>> [(p.formula, round(p.mass_g, 3)) for p in weigh("Nb3Sn", 2.0).precursors]
    [('Nb', 1.403), ('Sn', 0.597)]
    >>> [(p.formula, round(p.mass_g, 3)) for p in weigh("TiZrN", 1.0, precursors=["TiN", "Zr"]).precursors]
    [('TiN', 0.404), ('Zr', 0.596)]
    """
    if not (np.isfinite(mass_g) and mass_g > 0):
        raise ConfigError(f"a sample of {mass_g:g} g; give a mass above 0 g")
    product = composition_of(formula)
    if precursors:
        amounts, notes = _given(product, list(dict.fromkeys(precursors)), closed=vessel == "closed")
    else:
        amounts, notes = _chosen(product, powders=powders, closed=vessel == "closed"), []
    _refuse_halogens(formula, amounts)
    molar = float(product.weight)
    found = []
    for name, amount in amounts.items():
        if abs(amount) > _NOTHING:
            one = composition_of(name)
            grams = float(one.weight)
            found.append(
                Precursor(
                    formula=name, kind=_kind(one), moles_per_formula=amount, molar_mass_g_per_mol=grams,
                    mass_g=mass_g * amount * grams / molar, source=ATOMIC_MASSES,
                )
            )  # fmt: skip
    return Charge(
        formula=formula, molar_mass_g_per_mol=molar, mass_g=mass_g, precursors=tuple(found),
        unused=tuple(name for name in precursors or () if amounts.get(name, 0.0) <= _NOTHING),
        notes=(*notes, *_about_gases(found, vessel)), source=f"balance of the elements; {ATOMIC_MASSES}",
    )  # fmt: skip


def _refuse_halogens(formula: str, amounts: dict[str, float]) -> None:
    used = sorted(name for name, amount in amounts.items() if name in _REFUSED and abs(amount) > _NOTHING)
    if used:
        raise ConfigError(
            f"{formula}: without other precursors it would take {', '.join(used)} as the element, which is fatal or toxic to breathe and "
            "reacts violently with metals; no route is suggested. Name solid halides that can be weighed with --precursor, or the "
            "compound itself"
        )


def _given(product: Composition, names: list[str], *, closed: bool) -> tuple[dict[str, float], list[str]]:
    """Amounts of the precursors that were asked for; a closed vessel exchanges gas only where nothing else gives the product."""
    if closed:
        try:
            return _balanced(product, names, exchange=False)
        except ConfigError:
            pass  # what an exchange of gas would take is said, and the route judges it
    return _balanced(product, names, exchange=True)


def _balanced(product: Composition, names: list[str], *, exchange: bool) -> tuple[dict[str, float], list[str]]:
    """Amounts by non-negative least squares, and what to know of them."""
    from scipy.optimize import nnls

    parts = [composition_of(name) for name in names]
    wanted = elements_of(product)
    brought = {symbol for part in parts for symbol in elements_of(part)}
    if missing := sorted(set(wanted) - brought):
        raise ConfigError(
            f"no mixture of {', '.join(names)} gives {product.reduced_formula}: none of them holds {', '.join(missing)}; "
            f"add one with --precursor"
        )
    elements = sorted(brought | set(wanted))
    exchanged = _exchanged(product, brought) if exchange else []
    columns = [_column(part, elements) for part in parts]
    columns += [sign * _column(composition_of(gas), elements) for gas, sign in exchanged]
    matrix, target = np.column_stack(columns), _column(product, elements)
    amounts, _ = nnls(matrix, target)
    left = matrix @ amounts - target
    if np.abs(left).max() > _BALANCE * target.max():
        over = [symbol for symbol, x in zip(elements, left, strict=True) if x > _BALANCE]
        short = [symbol for symbol, x in zip(elements, left, strict=True) if x < -_BALANCE]
        said = [
            f"{word} {', '.join(symbols)}" for word, symbols in (("too much", over), ("too little", short)) if symbols
        ]
        raise ConfigError(
            f"no mixture of {', '.join(names)} gives {product.reduced_formula}: the nearest has {' and '.join(said)}; add the elements, or "
            "compounds of other compositions"
        )
    notes = []
    free = len({gas for gas, _ in exchanged})
    if np.linalg.matrix_rank(matrix) < len(names) + free:
        notes.append(
            "Other masses of the same precursors give the same composition: leave one out for a single answer."
        )
    found = dict(zip(names, amounts.tolist(), strict=False))
    return _with_gas(found, exchanged, amounts[len(names) :]), notes


def _exchanged(product: Composition, brought: set[str]) -> list[tuple[str, int]]:
    """Gases that a sample takes up (1) or gives off (-1) while it reacts."""
    found = [("O2", 1), ("O2", -1)] if product.get_atomic_fraction("O") > _OXIDE else []
    carbonate = {"C", "O"} <= brought and not product.get_atomic_fraction("C")
    return [*found, ("CO2", -1)] if carbonate else found


def _with_gas(
    found: dict[str, float], exchanged: list[tuple[str, int]], amounts: Floats
) -> dict[str, float]:  # fmt: skip
    for (gas, sign), amount in zip(exchanged, amounts.tolist(), strict=True):
        found[gas] = found.get(gas, 0.0) + sign * amount
    return found


def _about_gases(precursors: list[Precursor], vessel: Vessel) -> list[str]:
    """Say where a gas comes from or goes to."""
    taken = {
        "open": "taken up from the atmosphere: it is not weighed",
        "loaded": "loaded into the vessel under pressure, in excess: it is not weighed",
        "closed": "part of the balance, and a closed vessel cannot supply it: it is not weighed",
        "unknown": "part of the balance, and how to supply it is not planned: it is not weighed",
    }[vessel]
    return [
        f"{one.formula} is {taken if one.mass_g > 0 else 'given off: it is not weighed'}, and its mass is that of the finished reaction."
        for one in precursors
        if one.kind == "gas" or one.mass_g < 0
    ]


def _chosen(product: Composition, *, powders: bool, closed: bool) -> dict[str, float]:
    """Cheapest mixture of elements and powders, a linear program: unwanted elements cost the most, elements the least."""
    from scipy.optimize import linprog

    elements = elements_of(product)
    oxide = product.get_atomic_fraction("O") > _OXIDE
    gases = {symbol for symbol in elements if _is_gas(symbol)}
    unwanted = set(elements) if oxide else gases | (_LIGHT & set(elements) if powders else set())
    names, costs = [], []
    for symbol in elements:
        name = gas_name(symbol)
        from_air = oxide and symbol == "O" and not closed
        cost = _COST_FROM_AIR if from_air else _COST_UNWANTED if symbol in unwanted else _COST_ELEMENT
        names.append(name)
        costs.append(cost * composition_of(name).num_atoms)
    earlier: Counter[frozenset[str]] = Counter()
    for name in POWDERS:
        part = composition_of(name)
        inside = frozenset(elements_of(part))
        if inside <= set(elements) and inside & unwanted and part.reduced_formula != product.reduced_formula:
            names.append(name)
            solid = sum(amount for element, amount in part.items() if not _is_gas(element.symbol))
            cost = _COST_COMPOUND + _COST_SECOND_CHOICE * earlier[inside]
            costs.append(cost * solid + _ORDER * len(names))
            earlier[inside] += 1
    columns = [_column(composition_of(name), elements) for name in names]
    given_off = [("O2", -1)] if oxide else []
    columns += [-_column(composition_of(gas), elements) for gas, _ in given_off]
    costs += [_COST_GIVEN_OFF for _ in given_off]
    matrix = np.column_stack(columns)
    found = linprog(costs, A_eq=matrix, b_eq=_column(product, elements), method="highs-ds")
    amounts = {name: float(x) for name, x in zip(names, found.x, strict=False) if x > _NOTHING}
    return _with_gas(amounts, given_off, found.x[len(names) :])


def gas_name(symbol: str) -> str:
    """Formula of an element as it is sold: N2 for N, Nb for Nb."""
    return _GASES.get(symbol, symbol)


def _column(composition: Composition, elements: list[str]) -> Floats:
    return np.array([float(composition[symbol]) for symbol in elements])


def _is_gas(symbol: str) -> bool:
    boils = element_facts(symbol).boiling_point_K
    return boils is not None and boils.value < _ROOM_K


def _kind(composition: Composition) -> Kind:
    elements = elements_of(composition)
    if len(elements) > 1:
        return "gas" if composition.reduced_formula in _COMPOUND_GASES else "compound"
    return "gas" if _is_gas(elements[0]) else "element"
