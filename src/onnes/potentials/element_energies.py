"""Energies of the elements by each potential: what formation energies of different potentials are counted from."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from onnes.errors import ConfigError, ReferenceMismatch

if TYPE_CHECKING:
    from onnes.potentials.potential import Potential

FILE = "element_energies.json"


def element_energies(potential: Potential) -> dict[str, float]:
    """Energy of each element (eV/atom) by a potential, by symbol.

    They belong to the crystal that is the ground state in the Materials Project, at the volume, among those of the
    volume scan, at which the potential gives it the lowest energy.

    Raises
    ------
    ConfigError
        When the package has none for this potential.
    ReferenceMismatch
        When they were made by other weights.

    Examples
    --------
    >>> from onnes.potentials.potential import load_potential
    >>> round(element_energies(load_potential())["Al"], 1)
    -3.7
    """
    known = _shipped().get(potential.name)
    if known is None:
        raise ConfigError(
            f"no energies of the elements by potential {potential.name!r}; shipped are {', '.join(sorted(_shipped()))}; "
            "compute them with onnes.training.element_energies.compute_element_energies and pass them on"
        )
    if known["sha256"] != potential.sha256:
        raise ReferenceMismatch(
            f"the energies of the elements by {potential.name!r} were made by other weights ({known['sha256'][:12]}, now "
            f"{potential.sha256[:12]}); install the version of the potential that onnes pins"
        )
    return dict(known["energies_eV_per_atom"])


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    file = resources.files("onnes.potentials") / "data" / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
