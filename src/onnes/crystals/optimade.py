"""JSON crystals: pymatgen structure dictionaries and OPTIMADE structure objects, to and from plain arrays."""

from __future__ import annotations

from collections import Counter
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.parsed import Parsed, fractional
from onnes.crystals.symbols import atomic_number, symbols
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NO_CRYSTAL = "no crystal in this JSON. Give pymatgen structures or OPTIMADE structure objects"
_MASSLESS = ("vacancy",)
# Rounding left over when occupancies are added.
_SLACK = 1e-6
API_VERSION = "1.2.0"


def crystal_objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON document that should each be a crystal.

    Accepted are one object, a list of them, and an OPTIMADE response with its ``data``. An entry of another OPTIMADE
    type (a ``references`` line, the header of a JSON Lines file) is passed over.

    Raises
    ------
    CrystalError
        If the document holds nothing of that kind.
    """
    if isinstance(document, dict) and "data" in document and "sites" not in document:
        document = document["data"]
    items = document if isinstance(document, list) else [document]
    if not items:
        raise CrystalError(_NO_CRYSTAL)
    for item in items:
        if not isinstance(item, dict):
            raise CrystalError(_NO_CRYSTAL)
        if "x-optimade" in item or item.get("type", "structures") in ("info", "references", "links", "files"):
            continue
        yield item


def from_json(item: Mapping[str, Any]) -> Parsed:
    """Read one object: pymatgen's ``Structure.as_dict`` or an OPTIMADE structure.

    Only numbers and element names are taken; no class named in the object is ever imported.

    Raises
    ------
    CrystalError
        If it is neither, or lacks a part.

    Examples
    --------
    >>> attributes = {"lattice_vectors": [[3, 0, 0], [0, 3, 0], [0, 0, 3]], "cartesian_site_positions": [[0, 0, 0]],
    ...               "species_at_sites": ["Po"], "species": [{"name": "Po", "chemical_symbols": ["Po"],
    ...               "concentration": [1.0]}]}
    >>> from_json({"id": "x", "type": "structures", "attributes": attributes}).atomic_numbers.tolist()
    [84]
    """
    try:
        if "sites" in item and "lattice" in item:
            return _from_pymatgen(item)
        attributes = item.get("attributes", item)
        if isinstance(attributes, dict) and "lattice_vectors" in attributes:
            return _from_optimade(str(item["id"]) if item.get("id") else None, attributes)
    except (KeyError, TypeError, ValueError, AttributeError, np.linalg.LinAlgError) as error:
        what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise CrystalError(f"a part of the crystal cannot be read ({what}). Write the file again") from error
    raise CrystalError(_NO_CRYSTAL)


def to_optimade(
    name: str,
    parsed: Parsed,
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write one crystal as an OPTIMADE structure object.

    Parameters
    ----------
    name
        Its id.
    parsed
        The crystal.
    properties
        Further values by column name, written as ``_onnes_<name in lower case>``.
    """
    sites = parsed.site_occupancies or [[(int(z), 1.0)] for z in parsed.atomic_numbers]
    names = [_site_name(site) for site in sites]
    attributes: dict[str, Any] = {
        **_composition(sites),
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
        "lattice_vectors": parsed.lattice.tolist(),
        "cartesian_site_positions": (parsed.frac_coords @ parsed.lattice).tolist(),
        "nsites": len(sites),
        "species": [_species(label, site) for label, site in dict(zip(names, sites, strict=True)).items()],
        "species_at_sites": names,
        "structure_features": ["disorder"] if parsed.site_occupancies else [],
        "immutable_id": None,
        "last_modified": None,
    }
    for key, value in (properties or {}).items():
        attributes[f"_onnes_{key.lower().strip('_')}"] = value
    return {"id": name, "type": "structures", "attributes": attributes}


def _composition(sites: list[list[tuple[int, float]]]) -> dict[str, Any]:
    amounts: Counter[str] = Counter()
    for site in sites:
        for z, share in site:
            amounts[symbols()[z]] += share  # pyright: ignore[reportArgumentType] - shares are fractions
    elements = sorted(amounts)
    total = sum(amounts.values())
    ratios = [amounts[element] / total for element in elements]
    whole = [round(amounts[element]) for element in elements]
    integral = all(n > 0 and abs(n - amounts[element]) < _SLACK for n, element in zip(whole, elements, strict=True))
    shares = [n // gcd(*whole) for n in whole] if integral else [max(1, round(1000 * ratio)) for ratio in ratios]

    def formula(labels: list[str], counts: list[int]) -> str:
        return "".join(label + (str(n) if n > 1 else "") for label, n in zip(labels, counts, strict=True))

    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")[: len(shares)]
    return {
        "elements": elements,
        "nelements": len(elements),
        "elements_ratios": ratios,
        "chemical_formula_reduced": formula(elements, shares),
        "chemical_formula_anonymous": formula(letters, sorted(shares, reverse=True)),
    }


def _site_name(site: list[tuple[int, float]]) -> str:
    if len(site) == 1 and site[0][1] >= 1:
        return symbols()[site[0][0]]
    return "".join(f"{symbols()[z]}{share!r}" for z, share in site)


def _species(label: str, site: list[tuple[int, float]]) -> dict[str, Any]:
    contents, shares = [symbols()[z] for z, _ in site], [share for _, share in site]
    if (vacancy := 1.0 - sum(shares)) > _SLACK:
        contents, shares = [*contents, "vacancy"], [*shares, vacancy]
    return {"name": label, "chemical_symbols": contents, "concentration": shares}


def _from_pymatgen(item: Mapping[str, Any]) -> Parsed:
    lattice = np.asarray(item["lattice"]["matrix"], dtype=float)
    sites = [
        [(atomic_number(str(entry["element"])), float(entry.get("occu", 1.0))) for entry in site["species"]]
        for site in item["sites"]
    ]
    frac = np.asarray([site["abc"] for site in item["sites"]], dtype=float)
    return Parsed.of_sites(lattice, frac, sites, name=str(item["id"]) if item.get("id") else None)


def _from_optimade(name: str | None, attributes: Mapping[str, Any]) -> Parsed:
    lattice = np.asarray(attributes["lattice_vectors"], dtype=float)
    cartesian = np.asarray(attributes["cartesian_site_positions"], dtype=float).reshape(-1, 3)
    if attributes.get("dimension_types", [1, 1, 1]) != [1, 1, 1]:
        raise CrystalError("not periodic in three directions. Give a bulk crystal")
    kinds: dict[str, list[tuple[int, float]]] = {}
    for kind in attributes["species"]:
        pairs = zip(kind["chemical_symbols"], kind["concentration"], strict=True)
        kinds[kind["name"]] = [(atomic_number(s), float(share)) for s, share in pairs if s not in _MASSLESS]
    sites = [list(kinds[label]) for label in attributes["species_at_sites"]]
    return Parsed.of_sites(lattice, fractional(lattice, cartesian), sites, name=name)
