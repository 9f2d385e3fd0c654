"""X-ray powder patterns: simulated, read from a file, compared."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ConfigError, CrystalError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from pymatgen.analysis.diffraction.core import DiffractionPattern
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]

TWO_THETA_DEG = (10.0, 90.0)
FWHM_DEG = 0.3
MAX_SCALING = 0.03
_STEP_DEG = 0.05
_SCALES = 121
_PROFILE_POINTS = 200  # what has fewer points is a list of peaks
_COMMENT = "#;!'\"/_"


@dataclass(frozen=True, eq=False)
class PowderPattern:
    """A powder pattern, either measured point by point or a list of peaks.

    Attributes
    ----------
    two_theta_deg, intensities
        Ascending angles and intensities in any unit, shape (n,) each.
    wavelength_A
        Of the radiation.
    is_profile
        Whether the points sample a curve; otherwise each is a peak.
    """

    two_theta_deg: Floats
    intensities: Floats
    wavelength_A: float
    is_profile: bool = False

    def on_grid(self, grid_deg: Floats, *, fwhm_deg: float = FWHM_DEG, scale: float = 1.0) -> Floats:
        """Intensity on a grid of angles, shape (g,): peaks as Gaussians, a profile interpolated.

        Parameters
        ----------
        grid_deg
            Two theta, shape (g,).
        fwhm_deg
            Full width of the Gaussians at half maximum.
        scale
            Factor on all lattice vectors of the crystal that the pattern belongs to; intensities stay.
        """
        with np.errstate(invalid="ignore"):  # Bragg's law: peaks beyond 180 degrees become NaN and drop out
            angles = 2 * np.degrees(np.arcsin(np.sin(np.radians(self.two_theta_deg / 2)) / scale))
        if self.is_profile:
            return np.interp(grid_deg, angles, self.intensities, left=0.0, right=0.0)
        there = np.isfinite(angles)
        sigma = fwhm_deg / (2 * np.sqrt(2 * np.log(2)))
        apart = (grid_deg[:, None] - angles[None, there]) / sigma
        return np.exp(-0.5 * apart**2) @ self.intensities[there]


@dataclass(frozen=True)
class Reflection:
    """One line of a simulated powder pattern.

    Attributes
    ----------
    two_theta_deg, d_A
        Angle, and distance of the lattice planes.
    intensity
        Relative to the strongest line, which has 100.
    hkl
        Indices in the given cell of the families of planes that meet there.
    """

    two_theta_deg: float
    d_A: float
    intensity: float
    hkl: tuple[tuple[int, ...], ...]


def wavelength_A(radiation: str | float) -> float:
    """Wavelength in angstrom of a radiation that pymatgen knows by name, such as CuKa or MoKa1, or of a number.

    Raises
    ------
    ConfigError
        For an unknown name or a number that is not positive.

    Examples
    --------
    >>> wavelength_A("CuKa"), wavelength_A("0.4")
    (1.54184, 0.4)
    """
    from pymatgen.analysis.diffraction.xrd import WAVELENGTHS

    if isinstance(radiation, str) and radiation in WAVELENGTHS:
        return float(WAVELENGTHS[radiation])
    try:
        value = float(radiation)
    except ValueError as error:
        raise ConfigError(
            f"unknown radiation {radiation!r}; give angstrom, or one of {', '.join(WAVELENGTHS)}"
        ) from error
    if not value > 0:
        raise ConfigError(f"a wavelength of {value:g} angstrom; give one above 0")
    return value


def simulated_pattern(
    lattice: ArrayLike,
    frac_coords: ArrayLike,
    atomic_numbers: ArrayLike,
    *,
    radiation: str | float = "CuKa",
    two_theta_deg: tuple[float, float] = TWO_THETA_DEG,
) -> PowderPattern:
    """Peaks of a crystal without texture or thermal motion, the strongest 100 (pymatgen's ``XRDCalculator``).

    Parameters
    ----------
    lattice, frac_coords, atomic_numbers
        Shapes (3, 3) in angstrom with vectors as rows, (n, 3), (n,).
    radiation
        As for `wavelength_A`.
    two_theta_deg
        Range of angles.

    Examples
    --------
    >>> iron = (2.8665 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [26, 26])
    >>> simulated_pattern(*iron).two_theta_deg.round(1).tolist()
    [44.7, 65.1, 82.4]
    """
    from pymatgen.core import Lattice, Structure

    structure = Structure(Lattice(np.asarray(lattice)), np.asarray(atomic_numbers).tolist(), np.asarray(frac_coords))
    length = wavelength_A(radiation)
    found = _calculated(structure, length, two_theta_deg)
    return PowderPattern(np.asarray(found.x, float), np.asarray(found.y, float), length)


def reflections(
    structure: Structure, *, radiation: str | float = "CuKa", two_theta_deg: tuple[float, float] = TWO_THETA_DEG
) -> list[Reflection]:
    """Lines of a crystal with their indices, without texture or thermal motion; sites may be partly occupied.

    Parameters
    ----------
    structure
        The crystal in the cell that the indices shall refer to, usually the conventional one.
    radiation, two_theta_deg
        As for `simulated_pattern`.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> [(line.hkl, round(line.d_A, 3)) for line in reflections(known_crystal("Nb"), two_theta_deg=(30, 60))]
    [(((1, 1, 0),), 2.334), (((2, 0, 0),), 1.651)]
    """
    found = _calculated(structure, wavelength_A(radiation), two_theta_deg)
    lines = zip(found.x, found.d_hkls, found.y, found.hkls, strict=True)
    return [
        Reflection(float(angle), float(d), float(y), tuple(tuple(int(i) for i in family["hkl"]) for family in families))
        for angle, d, y, families in lines
    ]


def _calculated(structure: Structure, length_A: float, two_theta_deg: tuple[float, float]) -> DiffractionPattern:
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calculator = XRDCalculator(wavelength=length_A)  # pyright: ignore[reportArgumentType] - it takes numbers
        return calculator.get_pattern(structure, two_theta_range=two_theta_deg)


def read_pattern(path: str | Path, *, radiation: str | float = "CuKa") -> PowderPattern:
    """Read a pattern from two columns, two theta in degrees and intensity, split by blanks, commas, semicolons or tabs.

    Lines that start with a comment sign, and headings, are skipped; further columns are ignored. A file of fewer than 200
    points is a list of peaks, a longer one a measured curve.

    Raises
    ------
    ConfigError
        When the file cannot be read or holds no pattern.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ConfigError(f"{file.name}: cannot be opened ({error.strerror}). Check the path") from error
    rows = [row for line in lines if (row := _numbers(line)) is not None]
    if len(rows) < 2:
        raise ConfigError(
            f"{file.name}: {len(rows)} lines with two numbers. Give two theta and intensity, a point a line"
        )
    data = np.array(sorted(rows))
    if not (np.isfinite(data).all() and data[0, 0] > 0 and data[-1, 0] < 180 and (data[:, 1] > 0).any()):
        raise ConfigError(f"{file.name}: two theta must lie between 0 and 180 degrees, and some intensity above 0")
    return PowderPattern(data[:, 0], data[:, 1], wavelength_A(radiation), is_profile=len(data) >= _PROFILE_POINTS)


def _numbers(line: str) -> tuple[float, float] | None:
    if not line.strip() or line.strip()[0] in _COMMENT:
        return None
    words = line.replace(",", " ").replace(";", " ").split()
    try:
        return float(words[0]), float(words[1])
    except (ValueError, IndexError):
        return None


def pattern_similarity(
    simulated: PowderPattern,
    measured: PowderPattern,
    *,
    fwhm_deg: float = FWHM_DEG,
    max_scaling: float = MAX_SCALING,
) -> tuple[float, float]:
    """How alike two patterns are, the better for a small change of the simulated crystal's size.

    Potentials and functionals miss lattice constants by a per cent, which shifts peaks by more than their width; so the
    simulated crystal is scaled.

    Parameters
    ----------
    simulated
        Peaks (`simulated_pattern`), from a range of angles that contains the measured one.
    measured
        Peaks or a profile; a constant background does no harm.
    fwhm_deg
        Full width of peaks at half maximum.
    max_scaling
        Largest relative change of the lattice vectors; 0 to compare as they are.

    Returns
    -------
    similarity
        Pearson's correlation of the two curves in the measured range: 1 for equal ones, about 0 for unrelated ones.
    scale
        Factor on the lattice vectors that gives it.

    Raises
    ------
    CrystalError
        When the wavelengths differ, or one of the patterns has no peak in the range.

    Examples
    --------
    >>> iron, positions = np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]]
    >>> measured = simulated_pattern(2.8665 * iron, positions, [26, 26])
    >>> similarity, scale = pattern_similarity(simulated_pattern(2.83 * iron, positions, [26, 26]), measured)
    >>> round(similarity, 2), round(scale * 2.83, 2)
    (1.0, 2.87)
    """
    if abs(simulated.wavelength_A - measured.wavelength_A) > 1e-4:
        raise CrystalError(
            f"wavelengths of {simulated.wavelength_A:g} and {measured.wavelength_A:g} A; simulate with the measured one"
        )
    margin = 0.0 if measured.is_profile else 2 * fwhm_deg
    first, last = measured.two_theta_deg[[0, -1]] + (-margin, margin)
    grid = np.arange(first, last + _STEP_DEG, _STEP_DEG)
    wanted = measured.on_grid(grid, fwhm_deg=fwhm_deg)
    coarse = np.linspace(1 - max_scaling, 1 + max_scaling, _SCALES if max_scaling > 0 else 1)
    best = _best(simulated, wanted, grid, fwhm_deg, coarse)
    if best is not None and max_scaling > 0:
        step = coarse[1] - coarse[0]
        fine = np.clip(best[1] + np.linspace(-step, step, 11), 1 - max_scaling, 1 + max_scaling)
        best = _best(simulated, wanted, grid, fwhm_deg, fine)
    if best is None:
        raise CrystalError("no peak in the range of the measured pattern; check the wavelength and the range")
    return best


def _best(
    simulated: PowderPattern, wanted: Floats, grid: Floats, fwhm_deg: float, scales: Floats
) -> tuple[float, float] | None:
    found: tuple[float, float] | None = None
    for scale in scales.tolist():
        curve = simulated.on_grid(grid, fwhm_deg=fwhm_deg, scale=scale)
        if np.ptp(curve) > 0 and np.ptp(wanted) > 0:
            value = float(np.corrcoef(curve, wanted)[0, 1])
            if found is None or value > found[0]:
                found = (value, scale)
    return found
