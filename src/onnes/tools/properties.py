"""The tool ``properties``: density, moduli, Debye temperatures, metal or not, magnetism."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.potentials.potential import DEFAULT_POTENTIAL, sibling_of
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.result import CrystalTable

if TYPE_CHECKING:
    from collections.abc import Callable

_FMAX_EV_PER_A = 0.005  # a stress left over moves the crystal away from the minimum whose curvature is wanted

_HEADINGS = {
    "id": ("id", "{}"),
    "reduced_formula": ("formula", "{}"),
    "space_group": ("SG", "{}"),
    "density_g_per_cm3": ("ρ / g/cm³", "{:.2f}"),
    "bulk_modulus_GPa": ("K / GPa", "{:.0f}"),
    "bulk_modulus_spread_GPa": ("± K", "{:.0f}"),
    "shear_modulus_GPa": ("G / GPa", "{:.0f}"),
    "shear_modulus_spread_GPa": ("± G", "{:.0f}"),
    "poisson_ratio": ("ν", "{:.2f}"),
    "mechanically_stable": ("mech. stable", "{}"),
    "debye_from_moduli_K": ("θ(moduli) / K", "{:.0f}"),
    "debye_K": ("θ(model) / K", "{:.0f}"),
    "debye_K_std": ("± θ", "{:.0f}"),
    "is_metal_probability": ("P(metal)", "{:.2f}"),
    "is_metal_probability_std": ("± P", "{:.2f}"),
    "magmom_max_muB": ("moment / μB", "{:.1f}"),
    "geometry": ("geometry", "{}"),
}


class PropertyTable(CrystalTable):
    """Crystal table whose face shows what `properties` found."""

    headings = _HEADINGS


def properties(
    crystals: Crystals,
    *,
    relax: bool = False,
    refine: bool = False,
    potential: str = DEFAULT_POTENTIAL,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> PropertyTable:
    """Density, elastic moduli, Debye temperatures, metallicity and magnetism of crystals.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`.
    relax
        Relax first, to 0.005 eV/Å and at the crystal's own pressure; otherwise every number belongs to the given geometry,
        whose stress is subtracted.
    refine
        Compute the elastic tensor by a second potential as well, at the same geometry; the differences are the columns
        ``*_spread_*``.
    potential
        Who relaxes and gives the elastic tensor.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call, once for each pass: relaxation where asked, the
        learned models, the elastic tensor.

    Returns
    -------
    PropertyTable
        The same rows in the same order, with columns added; a row that cannot be computed has ``error``.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> table = onnes.properties(known_crystal("MgB2"))
    >>> 2.5 < table["density_g_per_cm3"][0] < 2.7, 120 < table["bulk_modulus_GPa"][0] < 170
    (True, True)
    """
    from onnes.models.properties import property_table
    from onnes.potentials.elasticity import elastic_table
    from onnes.potentials.phonon_grades import SYMPREC_A
    from onnes.potentials.potential import load_potential
    from onnes.potentials.relaxation import RelaxSettings
    from onnes.potentials.tables import relax_at_own_pressure

    table, loaded = as_table(crystals), load_potential(potential, device=device)
    if relax:
        tight = RelaxSettings(fmax_eV_per_A=_FMAX_EV_PER_A, symprec_A=SYMPREC_A)
        table = relax_at_own_pressure(table, loaded, tight, on_rows=on_rows)
    table = property_table(table, device=device, on_rows=on_rows)
    sibling = load_potential(sibling_of(potential), device=device) if refine else None
    return PropertyTable(elastic_table(table, loaded, sibling=sibling, on_rows=on_rows))
