"""Powder lines to look for: those of the crystal, and the strongest ones of what may have formed instead."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_melting import composition_of, elements_of
from onnes.crystals.binary_phases import phase_crystals
from onnes.crystals.known import known_entry, known_names
from onnes.crystals.symmetry import SYMPREC_A
from onnes.errors import CrystalError
from onnes.physics.diffraction import Reflection, reflections, wavelength_A

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core import Structure

    from onnes.crystals.known import KnownCrystal

    Known = tuple[Structure, str]  # and where it was published

_D_RANGE_A = (1.09, 8.85)  # what copper radiation shows between 10 and 90 degrees
_TWO_THETA_DEG = (3.0, 150.0)
_WEAKEST = 0.5
"""Lines below this are left out, in percent of the strongest one."""
_OVERLAP_DEG = 0.4
_ONE_LINE_DEG = 0.1
_HIDES = 3.0  # a line of the crystal of this intensity hides another one
_MOST_FAMILIES = 2
LINES_OF_OTHERS = 5
# Elements whose structure at room temperature ASE holds: fcc, bcc, hcp, diamond, and rhombohedral with its basis.
_FROM_ASE = frozenset(
    ("Al", "Ca", "Ni", "Cu", "Sr", "Rh", "Pd", "Ag", "Ce", "Ir", "Pt", "Au", "Pb", "Th", "Yb", "Li", "Na", "K", "V", "Cr",
     "Fe", "Rb", "Nb", "Mo", "Cs", "Ba", "Eu", "Ta", "W", "Be", "Mg", "Sc", "Ti", "Co", "Zn", "Y", "Zr", "Tc", "Ru", "Cd",
     "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Lu", "Hf", "Re", "Os", "Tl", "Si", "Ge", "As", "Sb", "Bi")
)  # fmt: skip
_DENSITY_WITHIN = 0.03  # a lattice constant of low temperature would shift the lines too far


class Peak(BaseModel):
    """A line: angle, distance of planes, intensity (the strongest has 100), and indices in the conventional cell."""

    model_config = ConfigDict(frozen=True)

    two_theta_deg: float
    d_A: float
    intensity: float
    hkl: str


class ExpectedPattern(BaseModel):
    """Powder pattern of a crystal.

    Attributes
    ----------
    radiation, wavelength_A
        Of the X-rays.
    space_group
        Symbol.
    lattice_A_deg
        a, b, c, alpha, beta, gamma of the conventional cell.
    peaks
        By angle.
    note
        What to expect of the angles.
    source
        Whose geometry, and how the pattern was computed.
    """

    model_config = ConfigDict(frozen=True)

    radiation: str
    wavelength_A: float
    space_group: str
    lattice_A_deg: tuple[float, ...]
    peaks: tuple[Peak, ...]
    note: str
    source: str

    def strongest(self, count: int) -> list[Peak]:
        """Strongest lines, by angle."""
        kept = sorted(self.peaks, key=lambda peak: (-peak.intensity, peak.two_theta_deg))[:count]
        return sorted(kept, key=lambda peak: peak.two_theta_deg)


class PhaseLine(Peak):
    """Line of another phase; ``clear`` when no line of the crystal hides it."""

    clear: bool


class PhaseLines(BaseModel):
    """Strongest lines of a phase that may be in the sample.

    Attributes
    ----------
    why
        What makes it likely.
    lines
        By intensity; empty when no structure of it is at hand.
    source
        Of its structure.
    """

    model_config = ConfigDict(frozen=True)

    formula: str
    why: str
    lines: tuple[PhaseLine, ...]
    source: str


def expected_pattern(structure: Structure, *, radiation: str = "CuKa", geometry: str = "input") -> ExpectedPattern:
    """Powder pattern of a crystal in its conventional cell.

    Parameters
    ----------
    structure
        Sites may be partly occupied.
    radiation
        As for `onnes.physics.diffraction.wavelength_A`.
    geometry
        Where the geometry comes from: ``input`` or the name of a potential.

    Raises
    ------
    CrystalError
        When the crystal shows no line.
    ConfigError
        For an unknown radiation.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> pattern = expected_pattern(known_crystal("Nb", primitive=True))
    >>> pattern.space_group, pattern.peaks[0].hkl, round(pattern.peaks[0].two_theta_deg, 1)
    ('Im-3m', '110', 38.6)
    """
    cell, symbol = conventional(structure)
    length = wavelength_A(radiation)
    found = reflections(cell, radiation=length, two_theta_deg=_range_deg(length))
    peaks = tuple(_peak(line, symbol) for line in found if line.intensity >= _WEAKEST)
    if not peaks:
        raise CrystalError("the crystal shows no powder line in the range; give another wavelength with --radiation")
    relaxed = geometry != "input"
    whose = f"relaxed by {geometry}" if relaxed else "as given"
    note = (
        "Potentials miss lattice constants by about 1 %: lines may lie up to about "
        f"{_shift_deg(max(peak.two_theta_deg for peak in peaks)):.1f} degrees away at the highest angle; their order and intensities hold."
        if relaxed
        else "Angles are those of the given lattice constants, without instrumental shifts."
    )
    return ExpectedPattern(
        radiation=str(radiation), wavelength_A=length, space_group=symbol,
        lattice_A_deg=tuple(float(x) for x in cell.lattice.parameters), peaks=peaks, note=note,
        source=f"pymatgen's XRDCalculator, geometry {whose}, no texture, no thermal motion",
    )  # fmt: skip


def conventional(structure: Structure) -> tuple[Structure, str]:
    """Conventional cell of the International Tables, and the symbol of the space group (spglib, 0.1 A)."""
    from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

    try:
        found = SpacegroupAnalyzer(structure, symprec=SYMPREC_A)
        return found.get_refined_structure(), found.get_space_group_symbol()
    except (TypeError, ValueError) as error:
        raise CrystalError(f"no symmetry found ({error}); check the coordinates") from error


def lines_of_others(
    phases: Mapping[str, str],
    pattern: ExpectedPattern,
    *,
    given: Sequence[Known] = (),
) -> list[PhaseLines]:
    """Strongest lines of phases that may be in the sample.

    Structures come from what is given, then from the published crystals of the package, then, for elements, from ASE. A reference
    of known phases holds no coordinates.

    Parameters
    ----------
    phases
        Reduced formula to why the phase is likely.
    pattern
        Of the crystal.
    given
        Structures of phases and where they come from, in addition.
    """
    own = {structure.composition.reduced_formula: (structure, source) for structure, source in given}
    found = []
    for formula, why in phases.items():
        known = own.get(formula) or _published(formula)
        lines: tuple[PhaseLine, ...] = ()
        source = "no structure at hand; give one with --phase"
        if known is not None:
            structure, source = known
            cell, symbol = conventional(structure)
            all_lines = reflections(
                cell, radiation=pattern.wavelength_A, two_theta_deg=_range_deg(pattern.wavelength_A)
            )
            lines = tuple(
                PhaseLine(**_peak(line, symbol).model_dump(), clear=_clear(line.two_theta_deg, pattern))
                for line in _strongest(all_lines)
            )
        found.append(PhaseLines(formula=formula, why=why, lines=lines, source=source))
    return found


def _published(formula: str) -> Known | None:
    """Structure of a phase from the package's published crystals at ambient pressure, or of an element from ASE."""
    if formula == "C":
        return None  # graphite is what is weighed; the list holds diamond
    entry = _entries().get(formula)
    if entry is not None:
        return entry.structure(), entry.citation
    elements = elements_of(composition_of(formula))
    return _element(elements[0]) if len(elements) == 1 else None


def _strongest(lines: list[Reflection]) -> list[Reflection]:
    """Strongest lines that can be told apart."""
    kept: list[Reflection] = []
    for line in sorted(lines, key=lambda line: -line.intensity):
        if all(abs(line.two_theta_deg - other.two_theta_deg) > _ONE_LINE_DEG for other in kept):
            kept.append(line)
    return kept[:LINES_OF_OTHERS]


@cache
def _entries() -> dict[str, KnownCrystal]:
    """Published crystals by reduced formula; the first of each counts."""
    found: dict[str, KnownCrystal] = {}
    for entry in [*(known_entry(name) for name in known_names()), *phase_crystals().values()]:
        if entry.pressure_GPa == 0:
            found.setdefault(composition_of(entry.formula).reduced_formula, entry)
    return found


def _element(symbol: str) -> Known | None:
    """Structure of an element from ASE, where it is the one at room temperature and has the measured density."""
    from ase.build import bulk
    from pymatgen.core import Element
    from pymatgen.io.ase import AseAtomsAdaptor

    if symbol not in _FROM_ASE:
        return None
    structure = AseAtomsAdaptor.get_structure(bulk(symbol))  # pyright: ignore[reportArgumentType]
    measured = float(Element(symbol).density_of_solid or 0.0) / 1000  # kg/m3
    if abs(structure.density - measured) > _DENSITY_WITHIN * measured:
        return None
    return structure, "ase.data.reference_states"  # pyright: ignore[reportReturnType]


def _peak(line: Reflection, space_group: str) -> Peak:
    families = [_hkl(indices, space_group) for indices in line.hkl]
    text = " + ".join(families[:_MOST_FAMILIES]) + (" ..." if len(families) > _MOST_FAMILIES else "")
    return Peak(two_theta_deg=line.two_theta_deg, d_A=line.d_A, intensity=line.intensity, hkl=text)


def _hkl(indices: tuple[int, ...], space_group: str) -> str:
    """Write indices; in hexagonal cells three of the four, of that plane of the line that needs the fewest minus signs.

    All permutations of h, k, i with either sign of l have the same distance of planes; in a rhombohedral cell (obverse) those
    are absent whose -h + k + l is no multiple of 3.
    """
    three: tuple[int, ...] = (indices[0], indices[1], indices[-1])
    if len(indices) == 4:
        planes = [
            (s * h, s * k, l)
            for h, k, _ in permutations(indices[:3])
            for s in (1, -1)
            for l in (indices[3], -indices[3])
        ]
        if space_group.startswith("R"):
            planes = [plane for plane in planes if (-plane[0] + plane[1] + plane[2]) % 3 == 0]
        three = min(
            planes, key=lambda plane: (sum(index < 0 for index in plane), [-index for index in plane]), default=three
        )
    return ("" if all(0 <= index < 10 for index in three) else " ").join(str(index) for index in three)


def _range_deg(length_A: float) -> tuple[float, float]:
    """Angles at which a radiation shows the usual range of distances."""
    ends = [2 * float(np.degrees(np.arcsin(min(1.0, length_A / (2 * d))))) for d in reversed(_D_RANGE_A)]
    return max(_TWO_THETA_DEG[0], ends[0]), min(_TWO_THETA_DEG[1], ends[1])


def _shift_deg(two_theta_deg: float, strain: float = 0.01) -> float:
    """How far a line moves when the lattice constants change by a share: Bragg's law."""
    return float(np.degrees(2 * strain * np.tan(np.radians(two_theta_deg / 2))))


def _clear(two_theta_deg: float, pattern: ExpectedPattern) -> bool:
    return all(
        abs(peak.two_theta_deg - two_theta_deg) > _OVERLAP_DEG for peak in pattern.peaks if peak.intensity >= _HIDES
    )
