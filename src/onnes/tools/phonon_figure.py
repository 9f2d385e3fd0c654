"""Figures of phonons: bands beside the density of states; free energy and heat capacity against temperature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import constants

from onnes.figure import COLOURS, FONT_PT, GREY, INK, clean, drawn
from onnes.physics.phonons import MEV_PER_THZ

if TYPE_CHECKING:
    from pathlib import Path

    from onnes.physics.phonon_bands import PhononBands
    from onnes.physics.spectral_shape import PhononDos
    from onnes.physics.thermal import ThermalProperties

_SIZE_IN = (5.4, 3.4)
_DULONG_PETIT_J_PER_MOL_K: float = 3 * constants.R


def draw_bands(path: str | Path, bands: PhononBands, dos: PhononDos, *, title: str = "") -> None:
    """Draw the band structure, and the density of states beside it on the same axis.

    Parameters
    ----------
    path
        File to write, .svg or .png.
    bands, dos
        What is drawn; imaginary modes lie below zero and have no density.
    title
        Above the figure.
    """
    with drawn(path, _SIZE_IN) as figure:
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3.2, 1))
        for segment in bands.segments:
            left.plot(segment.distances_per_A, segment.frequencies_THz, color=COLOURS[0], linewidth=0.9)
        places, labels = bands.ticks()
        left.set_xticks(places, labels)
        for place in places:
            left.axvline(place, color=GREY, linewidth=0.5)
        left.set_xlim(places[0], places[-1])
        left.set_ylabel("frequency (THz)")
        left.set_title(title, loc="left", fontsize=FONT_PT, parse_math=False)
        omega = dos.omega_meV / MEV_PER_THZ
        density = dos.dos * MEV_PER_THZ
        right.fill_betweenx(omega, 0, density, color=COLOURS[0], alpha=0.25, linewidth=0)
        right.plot(density, omega, color=COLOURS[0], linewidth=0.9)
        right.set_xlim(0, 1.05 * float(density.max()))
        right.set_xlabel("modes per THz and cell")
        for axes in (left, right):
            clean(axes)
            axes.axhline(0, color=INK, linewidth=0.6)


def draw_thermal(path: str | Path, thermal: ThermalProperties, *, title: str = "") -> None:
    """Draw free energy and heat capacity, per mole of atoms, against temperature.

    Parameters
    ----------
    path
        File to write, .svg or .png.
    thermal
        What is drawn.
    title
        Above the figure.
    """
    temperatures = thermal.temperatures_K
    with drawn(path, _SIZE_IN) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(temperatures, thermal.free_energy_kJ_per_mol_cell / thermal.n_atoms, color=COLOURS[0])
        left.set_ylabel("free energy (kJ per mole of atoms)")
        left.set_title(title, loc="left", fontsize=FONT_PT, parse_math=False)
        right.plot(temperatures, thermal.heat_capacity_J_per_mol_cell_K / thermal.n_atoms, color=COLOURS[1])
        right.axhline(_DULONG_PETIT_J_PER_MOL_K, color=GREY, linewidth=0.8, linestyle="--")
        right.annotate("3R", (1, _DULONG_PETIT_J_PER_MOL_K), (-2, -3), xycoords=("axes fraction", "data"),
                       textcoords="offset points", ha="right", va="top", color=GREY)  # fmt: skip
        right.set_ylabel("heat capacity (J/K per mole of atoms)")
        for axes in (left, right):
            clean(axes)
            axes.set_xlabel("temperature (K)")
            axes.set_xlim(0, float(np.max(temperatures)))
