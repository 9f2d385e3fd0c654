"""The tool ``mixing``: which sites of ordered crystals are likely to exchange atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.propose.mixing import MAX_RADIUS_RATIO, MIN_ATOMS, TEMPERATURE_K
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.result import PlainTable

if TYPE_CHECKING:
    from collections.abc import Callable


_HEADINGS = {
    "id": ("id", "{}"),
    "formula": ("formula", "{}"),
    "element_a": ("atom", "{}"),
    "site_a": ("site", "{}"),
    "element_b": ("with", "{}"),
    "site_b": ("site", "{}"),
    "swap_energy_eV": ("swap / eV", "{:.2f}"),
    "lowest_swap_energy_eV": ("lowest / eV", "{:.2f}"),
    "temperature_K": ("T / K", "{:.0f}"),
    "foreign_on_a": ("foreign on first", "{:.1%}"),
    "foreign_on_b": ("on second", "{:.1%}"),
    "disorder": ("disorder", "{:.2f}"),
    "verdict": ("verdict", "{}"),
}


class MixingTable(PlainTable):
    """One row a pair of sites, columns of `onnes.propose.mixing.REPORT`."""

    headings = _HEADINGS


def mixing(
    crystals: Crystals,
    *,
    temperature_K: float = TEMPERATURE_K,
    relax: bool = False,
    max_radius_ratio: float = MAX_RADIUS_RATIO,
    min_atoms: int = MIN_ATOMS,
    potential: str = DEFAULT_POTENTIAL,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> MixingTable:
    """Tell which sites of ordered crystals are likely to exchange atoms at the temperature of synthesis.

    Parameters
    ----------
    crystals
        Ordered crystals, see `onnes.tools.inputs.as_table`.
    temperature_K
        At which the crystal is made or annealed.
    relax
        Relax the crystals with exchanged atoms, positions and cell; at the given positions exchanges are too costly.
    max_radius_ratio
        Elements of more different size are taken to stay where they are.
    min_atoms
        Supercells get at least so many atoms, so that an exchange is a rare one.
    potential
        Whose energies.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    MixingTable
        One row a pair of sites with different elements of similar size, see `onnes.propose.mixing.site_mixing`: energy
        of an exchange, equilibrium shares of foreign atoms, ``disorder`` (0 ordered, 1 a random alloy) and ``verdict``.
        A crystal that cannot be computed is a row with ``error``.

    Raises
    ------
    ConfigError
        For a temperature that is not positive, or a radius ratio below 1.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> onnes.mixing(known_crystal("NaCl"))["verdict"]  # the two differ too much in size
    ['no pair']
    """
    from onnes.potentials.potential import load_potential
    from onnes.potentials.relaxation import RelaxSettings
    from onnes.propose.mixing import site_mixing

    return MixingTable(
        site_mixing(
            as_table(crystals),
            load_potential(potential, device=device),
            temperature_K=temperature_K,
            max_radius_ratio=max_radius_ratio,
            min_atoms=min_atoms,
            relax=RelaxSettings(keep_symmetry=False) if relax else None,
            on_rows=on_rows,
        )
    )
