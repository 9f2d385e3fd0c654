"""Features of a composition alone: statistics of tabulated properties of its elements, families of elements, fractions.

The recipe is the usual one of composition models (Ward et al., npj Comput. Mater. 2, 16028 (2016); for superconductors
Stanev et al., npj Comput. Mater. 4, 29 (2018)). No property is a critical temperature.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.symbols import atomic_number, symbols
from onnes.errors import CrystalError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from pymatgen.core import Composition, Element

    Formula = str | Mapping[Any, float] | Composition

HEAVIEST = 103
"""Last element that a composition may hold."""
LAST_FRACTION = 94
"""Last element that has a column of its own."""
PRESENT = 0.01
"""An element below this share of the atoms is left out of the maximum, the minimum and the range."""
STATISTICS = ("mean", "std", "max", "min", "range")

# Name here, and the attribute of pymatgen's Element; each is known for at least 80 of the first 94 elements.
_TABULATED = {
    "atomic_number": "Z",
    "group": "group",
    "period": "row",
    "electronegativity": "X",
    "atomic_radius_A": "atomic_radius",
    "van_der_waals_radius_A": "van_der_waals_radius",
    "ionic_radius_A": "average_ionic_radius",
    "mass_amu": "atomic_mass",
    "mendeleev_number": "mendeleev_no",
    "melting_point_K": "melting_point",
    "molar_volume_cm3": "molar_volume",
    "ionization_energy_eV": "ionization_energy",
    "electron_affinity_eV": "electron_affinity",
    "thermal_conductivity_W_per_mK": "thermal_conductivity",
}
_SHELLS = "spdf"
PROPERTIES = (*_TABULATED, *(f"valence_{shell}" for shell in _SHELLS), "valence")
"""Valence electrons are those outside the noble-gas core; a filled d shell counts up to group 12, a filled f shell for the
lanthanides and actinides only. So niobium has five and lead four, as in Matthias' rule (Phys. Rev. 97, 74 (1955))."""

_FAMILIES: dict[str, Callable[[Element], bool]] = {
    "hydrogen": lambda e: e.Z == 1,
    "alkali": lambda e: e.is_alkali,
    "alkaline_earth": lambda e: e.is_alkaline,
    "transition_metal": lambda e: e.is_transition_metal and not (e.is_lanthanoid or e.is_actinoid),
    "transition_3d": lambda e: 21 <= e.Z <= 30,
    "transition_4d": lambda e: 39 <= e.Z <= 48,
    "transition_5d": lambda e: 72 <= e.Z <= 80,
    "magnetic_3d": lambda e: 24 <= e.Z <= 28,
    "lanthanide": lambda e: e.is_lanthanoid,
    "actinide": lambda e: e.is_actinoid,
    "post_transition_metal": lambda e: e.is_post_transition_metal,
    "metalloid": lambda e: e.is_metalloid,
    "group_14": lambda e: e.group == 14,
    "pnictogen": lambda e: e.group == 15,
    "chalcogen": lambda e: e.is_chalcogen,
    "halogen": lambda e: e.is_halogen,
    "noble_gas": lambda e: e.is_noble_gas,
    "boron_carbon_nitrogen": lambda e: 5 <= e.Z <= 7,
    "a15_partner": lambda e: e.symbol in {"Al", "Si", "Ga", "Ge", "In", "Sn", "Sb", "Pt", "Ir", "Os", "Au", "Rh"},
    "heavy_fermion_element": lambda e: e.symbol in {"Ce", "Pr", "Yb", "U", "Np", "Pu"},
    "iron_partner": lambda e: e.symbol in {"P", "As", "S", "Se", "Te"},
}
_COMBINED = ("copper_and_oxygen", "iron_and_partner", "elements", "mixing_entropy", "largest_fraction", "fraction_norm")

FEATURE_NAMES: tuple[str, ...] = (
    *(f"{statistic}_{name}" for name in PROPERTIES for statistic in STATISTICS),
    *(f"share_{name}" for name in _FAMILIES),
    *_COMBINED,
    *(f"fraction_{symbols()[z]}" for z in range(1, LAST_FRACTION + 1)),
    *(f"mixture_{k}" for k in range(LAST_FRACTION)),
)
"""Names of the columns of `composition_features`."""

EXPERIMENTAL_FAMILIES = ("cuprate", "iron-based", "hydride", "heavy-fermion candidate", "other")


@cache
def element_properties() -> NDArray[np.float64]:
    """`PROPERTIES` of the elements 1 to `HEAVIEST` as pymatgen tabulates them, shape (103, n).

    A value that is not tabulated is that of the element nearest in Mendeleev number that has one: neighbours there
    are chemically alike (Pettifor, Solid State Commun. 51, 31 (1984)).
    """
    import warnings

    from pymatgen.core import Element

    elements = [Element.from_Z(z) for z in range(1, HEAVIEST + 1)]
    table = np.full((HEAVIEST, len(PROPERTIES)), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for each missing value
        for column, attribute in enumerate(_TABULATED.values()):
            values = (getattr(element, attribute, None) for element in elements)
            table[:, column] = [np.nan if value is None else float(value) for value in values]
    for row, element in enumerate(elements):
        valence = _valence(element)
        table[row, len(_TABULATED) :] = [*valence, sum(valence)]
    mendeleev = table[:, PROPERTIES.index("mendeleev_number")]
    for column in range(table.shape[1]):
        known = np.flatnonzero(np.isfinite(table[:, column]))
        for row in np.flatnonzero(~np.isfinite(table[:, column])):
            table[row, column] = table[known[np.argmin(np.abs(mendeleev[known] - mendeleev[row]))], column]
    table.flags.writeable = False
    return table


def _valence(element: Element) -> tuple[int, ...]:
    """Electrons outside the noble-gas core and the filled shells below it, in s, p, d and f shells."""
    core = max((n for n in (0, 2, 10, 18, 36, 54, 86) if n < element.Z), default=0)
    counts, inner = dict.fromkeys(_SHELLS, 0), 0
    for _, shell, electrons in element.full_electronic_structure:
        if inner < core:
            inner += electrons
        else:
            counts[shell] += electrons
    if counts["p"]:
        counts["d"] = 0
    if counts["p"] or not (element.is_lanthanoid or element.is_actinoid):
        counts["f"] = 0
    return tuple(counts[shell] for shell in _SHELLS)


@cache
def _family_members() -> NDArray[np.float64]:
    """Membership of the elements in `_FAMILIES`, shape (103, n)."""
    from pymatgen.core import Element

    elements = [Element.from_Z(z) for z in range(1, HEAVIEST + 1)]
    return np.array([[float(belongs(element)) for belongs in _FAMILIES.values()] for element in elements])


def element_fractions(compositions: Sequence[Formula]) -> NDArray[np.float64]:
    """Atomic fractions of the elements.

    Parameters
    ----------
    compositions
        P of them: formulas ("YBa2Cu3O6.9"), mappings of element (symbol, atomic number or pymatgen species) to amount,
        or pymatgen Compositions. Deuterium and tritium count as hydrogen.

    Returns
    -------
    numpy.ndarray
        Shape (P, 103), column ``Z - 1``; each row sums to one.

    Raises
    ------
    ModelError
        For a formula that cannot be read, an element beyond 103, an amount that is not positive.

    Examples
    --------
    >>> element_fractions(["MgB2"])[0, [4, 11]].round(3).tolist()
    [0.667, 0.333]
    """
    fractions = np.zeros((len(compositions), HEAVIEST))
    for row, composition in enumerate(compositions):
        try:
            for element, amount in _amounts(composition):
                number = _number(element)
                if not 1 <= number <= HEAVIEST or not (np.isfinite(amount) and amount >= 0):
                    raise ValueError(f"{element}: {amount}")  # noqa: TRY301 - told with its row below
                fractions[row, number - 1] += amount
        except (ValueError, TypeError, CrystalError) as error:
            raise ModelError(
                f"composition {row}, {composition!r}, cannot be read ({error}). Give a formula, or positive amounts of the "
                f"elements 1 to {HEAVIEST}"
            ) from error
        if fractions[row].sum() <= 0:
            raise ModelError(f"composition {row}, {composition!r}, holds no atoms. Leave it out")
    return fractions / fractions.sum(1, keepdims=True)


def _amounts(composition: Formula) -> list[tuple[Any, float]]:
    if isinstance(composition, str):
        from pymatgen.core import Composition

        return [(element, float(amount)) for element, amount in Composition(composition).items()]
    return [(element, float(amount)) for element, amount in composition.items()]


def _number(element: object) -> int:
    if isinstance(element, str):
        return atomic_number(element)
    return int(getattr(element, "Z", element))  # pyright: ignore[reportArgumentType] - told as TypeError


def composition_features(compositions: Sequence[Formula]) -> NDArray[np.float32]:
    """Features of compositions, `FEATURE_NAMES` of each.

    They are the mean, standard deviation, maximum, minimum and range of each of `PROPERTIES` over the atoms (mean and
    standard deviation weighted by the atomic fractions, the others over the elements with at least `PRESENT` of the
    atoms); the share of atoms in families of elements; the lesser of the fractions of copper and oxygen and of iron
    and its partners; the number of elements; the ideal entropy of mixing in units of k_B per atom; the fractions; and
    the discrete cosine transform of their square roots over the atomic number. The last repeats the fractions for
    networks, whose standardised inputs are cut off at six deviations: most elements are so rare in a data set that
    their own column is beyond that, and 10 % could not be told from 30 %.

    Parameters
    ----------
    compositions
        P of them; see `element_fractions`.

    Returns
    -------
    numpy.ndarray
        Shape (P, F), finite.

    Raises
    ------
    ModelError
        See `element_fractions`.

    Examples
    --------
    >>> row = dict(zip(FEATURE_NAMES, composition_features([{"Mg": 1, "B": 2}])[0].tolist()))
    >>> row["range_atomic_number"], round(row["mean_atomic_number"], 3), round(row["mixing_entropy"], 3)
    (7.0, 7.333, 0.637)
    """
    from scipy.fft import dct

    fractions = element_fractions(compositions)
    present = (fractions >= PRESENT) | (fractions == fractions.max(1, keepdims=True))
    columns: list[NDArray[np.float64]] = []
    for values in element_properties().T:
        mean = fractions @ values
        std = np.sqrt((fractions @ values**2 - mean**2).clip(0))
        high = np.where(present, values, -np.inf).max(1, initial=-np.inf)
        low = np.where(present, values, np.inf).min(1, initial=np.inf)
        columns += [mean, std, high, low, high - low]
    logarithms = np.log(np.where(fractions > 0, fractions, 1.0))
    partners = fractions @ _family_members()[:, list(_FAMILIES).index("iron_partner")]
    combined = [
        np.minimum(_of(fractions, "Cu"), _of(fractions, "O")),
        np.minimum(_of(fractions, "Fe"), partners),
        (fractions > 0).sum(1),
        -(fractions * logarithms).sum(1),
        fractions.max(1, initial=0),
        np.sqrt((fractions**2).sum(1)),
    ]
    shares = fractions @ _family_members()
    own = fractions[:, :LAST_FRACTION]
    mixtures = np.asarray(dct(np.sqrt(own), axis=1, norm="ortho"))
    return np.concatenate([np.stack(columns, 1), shares, np.stack(combined, 1), own, mixtures], 1).astype(np.float32)


def _of(fractions: NDArray[np.float64], symbol: str) -> NDArray[np.float64]:
    return fractions[:, atomic_number(symbol) - 1]


def experimental_families(compositions: Sequence[Formula]) -> list[str]:
    """Family of superconductors that each composition would belong to, by rules on the composition alone.

    * ``iron-based``: at least 7 % of the atoms are iron, with 0.4 to 2.2 atoms of P, As, S, Se or Te for each.
    * ``cuprate``: at least 4 % copper, with at least 1.5 atoms of oxygen for each, or with any oxygen and at least 0.3
      atoms of Ca, Sr or Ba for each (tables often give too little oxygen).
    * ``hydride``: at least a third of the atoms are hydrogen, with neither carbon nor oxygen.
    * ``heavy-fermion candidate``: at least 5 % of Ce, Pr, Yb, U, Np or Pu together, at most 95 %, with neither oxygen,
      fluorine nor hydrogen.
    * ``other``: the rest.

    The first that applies counts. The rules know no structure and no measurement: CeRu2, for one, is named a
    heavy-fermion candidate.

    Parameters
    ----------
    compositions
        See `element_fractions`, which also lists the errors.

    Examples
    --------
    >>> experimental_families(["YBa2Cu3O7", "FeSe", "CeCoIn5", "H3S", "Nb3Sn"])
    ['cuprate', 'iron-based', 'heavy-fermion candidate', 'hydride', 'other']
    """
    fractions = element_fractions(compositions)
    members = _family_members()
    partners, heavy = (
        fractions @ members[:, list(_FAMILIES).index(name)] for name in ("iron_partner", "heavy_fermion_element")
    )
    copper, iron, oxygen, hydrogen = (_of(fractions, s) for s in ("Cu", "Fe", "O", "H"))
    earths = sum(_of(fractions, s) for s in ("Ca", "Sr", "Ba"))
    rules = {
        "iron-based": (iron >= 0.07) & (partners >= 0.4 * iron) & (partners <= 2.2 * iron),
        "cuprate": (copper >= 0.04) & ((oxygen >= 1.5 * copper) | ((oxygen > 0) & (earths >= 0.3 * copper))),
        "hydride": (hydrogen >= 1 / 3) & (oxygen == 0) & (_of(fractions, "C") == 0),
        "heavy-fermion candidate": (heavy >= 0.05) & (heavy <= 0.95) & (oxygen + _of(fractions, "F") + hydrogen == 0),
    }
    return np.select(list(rules.values()), list(rules), default="other").tolist()
