"""The Materials Project by pymatgen's client; the key is read from the environment and goes nowhere else."""

from __future__ import annotations

import os
from itertools import combinations
from typing import TYPE_CHECKING, Any

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnes.training.phase_sources.request import PhaseRequest

KEY = "MP_API_KEY"
_SYSTEMS_AT_ONCE = 50
_MOST_ELEMENTS = 12
_QUERY = "materials/summary/?_fields=material_id,structure,energy_above_hull&_all_fields=False"


def materials_project_phases(request: PhaseRequest) -> Iterator[dict[str, Any]]:
    """Crystals of all chemical systems of the wanted elements, one JSON object each.

    Parameters
    ----------
    request
        Which crystals; elements must be named, since the whole database is better taken as a dump.

    Raises
    ------
    ConfigError
        Without a key or elements, or when the server does not answer.
    """
    if not request.elements or len(request.elements) > _MOST_ELEMENTS:
        raise ConfigError(f"name 1 to {_MOST_ELEMENTS} elements with --elements to fetch from the Materials Project")
    key = os.environ.get(KEY)
    if not key:
        raise ConfigError(f"no {KEY} in the environment; get a key at https://materialsproject.org/api and export it")
    from pymatgen.ext.matproj import MPRester, MPRestError

    sizes = range(1, len(request.elements) + 1)
    systems = ["-".join(part) for size in sizes for part in combinations(request.elements, size)]
    limit = request.within_eV_per_atom
    more = {} if limit is None else {"energy_above_hull_max": limit}
    try:
        with MPRester(key) as client:
            for start in range(0, len(systems), _SYSTEMS_AT_ONCE):
                payload = {"chemsys": ",".join(systems[start : start + _SYSTEMS_AT_ONCE]), **more}
                # Plain dictionaries: no class that the answer names is made.
                for entry in client.request(_QUERY, payload=payload, mp_decode=False):
                    structure = entry["structure"]
                    elements = {s["element"] for site in structure["sites"] for s in site["species"]}
                    if request.wants(elements, len(structure["sites"]), entry.get("energy_above_hull")):
                        yield {"id": entry["material_id"], "lattice": structure["lattice"], "sites": structure["sites"]}
    except (MPRestError, ValueError, KeyError, TypeError) as error:
        hidden = str(error).replace(key, "...")[:300]
        raise ConfigError(f"the Materials Project gives no crystals: {hidden}") from error
