"""Phonon frequencies along the high-symmetry path, and the highest peak of their density of states."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import constants

from onnes.errors import CrystalError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from onnes.physics.phonons import Phonons

    Floats = NDArray[np.float64]

PER_CM_PER_THZ: float = 1e12 / (100 * constants.c)
"""1/cm in one THz, 33.356."""
PEAK_SMEARING_PER_CM = 2.0
"""Standard deviation of the Gaussian that smooths the density of states before its peaks are looked for (1/cm)."""
PEAK_PITCH_PER_CM = 1.0
"""Step at which the density of states is sampled for its peaks (1/cm), that of the published labels."""
NO_NAC = "without the non-analytic correction: in polar crystals LO and TO modes coincide at q = 0"
"""What is to be said of every frequency here."""

_PEAK_HEIGHT = 0.1  # share of the mean density; lower bumps are the sampling's, not the crystal's


@dataclass(frozen=True, eq=False)
class BandSegment:
    """One straight piece of the path.

    Attributes
    ----------
    start, end
        Labels of its ends, such as Γ and X.
    qpoints
        In the reciprocal basis of the cell, shape (n, 3).
    distances_per_A
        Length of the path up to each point, shape (n,), 1/angstrom without 2 pi; it runs on over all segments.
    frequencies_THz
        Shape (n, 3 N), ascending; imaginary ones are negative.
    """

    start: str
    end: str
    qpoints: Floats
    distances_per_A: Floats
    frequencies_THz: Floats


@dataclass(frozen=True, eq=False)
class PhononBands:
    """Phonon band structure of one crystal."""

    segments: tuple[BandSegment, ...]

    @property
    def min_THz(self) -> float:
        """Lowest frequency on the path."""
        return min(float(segment.frequencies_THz.min()) for segment in self.segments)

    @property
    def max_THz(self) -> float:
        """Highest frequency on the path."""
        return max(float(segment.frequencies_THz.max()) for segment in self.segments)

    def ticks(self) -> tuple[list[float], list[str]]:
        """Where the path turns, and the labels there; ``X|K`` where it jumps.

        Returns
        -------
        tuple
            Distances (1/angstrom) and labels.
        """
        places, labels = [0.0], [self.segments[0].start]
        for segment in self.segments:
            if segment.start != labels[-1]:
                labels[-1] += f"|{segment.start}"
            places.append(float(segment.distances_per_A[-1]))
            labels.append(segment.end)
        return places, labels

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and strings, rounded to 1e-4 THz; units are in the names."""
        return {
            "remark": NO_NAC,
            "segments": [
                {
                    "start": one.start,
                    "end": one.end,
                    "qpoints": one.qpoints.round(5).tolist(),
                    "distances_per_A": one.distances_per_A.round(5).tolist(),
                    "frequencies_THz": one.frequencies_THz.round(4).tolist(),
                }
                for one in self.segments
            ],
        }


def phonon_bands(phonons: Phonons, *, step_per_A: float = 0.01, symprec: float = 1e-3) -> PhononBands:
    """Frequencies along the path of Hinuma et al., Comput. Mater. Sci. 128, 140 (2017), as seekpath gives it.

    The path is carried over to the basis of the crystal's own cell, whatever its setting. The non-analytic correction is
    left out: Born charges are not known, so in polar crystals the splitting of LO and TO modes at q = 0 is missing.

    Parameters
    ----------
    phonons
        From `onnes.physics.phonons.phonon_dos`.
    step_per_A
        Distance between neighbouring points (1/angstrom, without 2 pi) at most.
    symprec
        Tolerance of the symmetry search (angstrom).

    Raises
    ------
    CrystalError
        When seekpath finds no symmetry.

    Examples
    --------
    >>> from onnes.crystals.batch import CrystalBatch
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.force_constants import phonons_of
    >>> from onnes.potentials.potential import load_potential
    >>> aluminium = CrystalBatch.from_structures([known_crystal("Al", primitive=True)])
    >>> [phonons] = phonons_of(aluminium, load_potential(), min_length_A=8.0)
    >>> phonon_bands(phonons).ticks()[1]
    ['Γ', 'X', 'U|K', 'Γ', 'L', 'W', 'X']
    """
    import seekpath

    cell = phonons.displaced.phonopy.primitive
    crystal = (cell.cell.tolist(), cell.scaled_positions.tolist(), cell.numbers.tolist())
    try:
        with warnings.catch_warnings():
            # It warns that a supercell was given; the path is one of the primitive cell all the same.
            warnings.simplefilter("ignore")
            found = seekpath.get_path_orig_cell(crystal, symprec=symprec)
    except Exception as error:
        raise CrystalError(f"no path through the Brillouin zone ({type(error).__name__}: {error})") from error
    reciprocal = np.linalg.inv(cell.cell).T
    corners = [(a, b, *(np.array(found["point_coords"][name], float) for name in (a, b))) for a, b in found["path"]]
    lengths = [float(np.linalg.norm((end - start) @ reciprocal)) for _, _, start, end in corners]
    shares = [np.linspace(0, 1, max(2, int(np.ceil(length / step_per_A)) + 1))[:, None] for length in lengths]
    qpoints = [start + t * (end - start) for t, (_, _, start, end) in zip(shares, corners, strict=True)]
    frequencies = np.split(frequencies_at(phonons, np.concatenate(qpoints)), np.cumsum([len(q) for q in qpoints])[:-1])
    offsets = np.concatenate([[0.0], np.cumsum(lengths)])
    return PhononBands(
        tuple(
            BandSegment(_label(a), _label(b), qpoints[i], offsets[i] + shares[i][:, 0] * lengths[i], frequencies[i])
            for i, (a, b, _, _) in enumerate(corners)
        )
    )


def frequencies_at(phonons: Phonons, qpoints: Floats) -> Floats:
    """Frequencies (THz) at any wave vectors.

    Parameters
    ----------
    phonons
        From `onnes.physics.phonons.phonon_dos`.
    qpoints
        In the reciprocal basis of the cell, shape (n, 3).

    Returns
    -------
    numpy.ndarray
        Shape (n, 3 N), ascending; imaginary ones are negative.
    """
    phonopy = phonons.displaced.phonopy
    phonopy.run_qpoints(np.asarray(qpoints, float))
    return np.asarray(phonopy.qpoints.frequencies, float)


def _label(name: str) -> str:
    return name.replace("GAMMA", "Γ").replace("SIGMA", "Σ").replace("DELTA", "Δ").replace("LAMBDA", "Λ")


def highest_peak_per_cm(phonons: Phonons, *, smearing_per_cm: float = PEAK_SMEARING_PER_CM) -> float:
    """Highest frequency at which the density of states has a peak (1/cm).

    This is the quantity of the data set ``matbench_phonons`` (Petretto et al., Sci. Data 5, 180065 (2018)). Nearly all of
    its labels lie on one grid of 1 1/cm, so the densities there were sampled as finely; how they were smoothed is not
    stated with the data. Here linear tetrahedra are sampled at the same step and smoothed by a narrow Gaussian. The last
    local maximum counts that reaches a tenth of the mean density, 3 N / highest mode; the highest mode where there is
    none.

    Parameters
    ----------
    phonons
        From `onnes.physics.phonons.phonon_dos`.
    smearing_per_cm
        Standard deviation of the Gaussian (1/cm).
    """
    from scipy.ndimage import gaussian_filter1d

    phonopy = phonons.displaced.phonopy
    top = float(phonopy.mesh.frequencies.max()) * PER_CM_PER_THZ
    width = smearing_per_cm / PEAK_PITCH_PER_CM
    end = top + 5 * smearing_per_cm + 2 * PEAK_PITCH_PER_CM
    for start in (0.5 * top, 0.0):  # the upper half nearly always holds it, and costs half
        phonopy.run_total_dos(
            sigma=None,
            freq_min=start / PER_CM_PER_THZ,
            freq_max=end / PER_CM_PER_THZ,
            freq_pitch=PEAK_PITCH_PER_CM / PER_CM_PER_THZ,
        )
        density = gaussian_filter1d(np.asarray(phonopy.total_dos.dos, float), width, mode="nearest")
        mean = 3 * len(phonopy.primitive) / top * PER_CM_PER_THZ
        middle = density[1:-1]
        peaks = (middle >= density[:-2]) & (middle > density[2:]) & (middle > _PEAK_HEIGHT * mean)
        if peaks.any():
            return float(np.asarray(phonopy.total_dos.frequency_points)[1:-1][peaks][-1]) * PER_CM_PER_THZ
    return top
