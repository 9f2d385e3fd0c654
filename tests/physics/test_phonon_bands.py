"""Band structure and highest peak of crystals held by springs."""

import json

import numpy as np
import pytest
from ase.data import atomic_masses

from onnes.physics.phonon_bands import NO_NAC, PER_CM_PER_THZ, frequencies_at, highest_peak_per_cm, phonon_bands
from onnes.physics.phonons import displaced_supercells, phonon_dos
from tests.physics.test_phonons import CUBIC_FCC, FCC, SIMPLE, SPRING, phonons_of_springs, spring_forces, thz


@pytest.fixture(scope="module")
def aluminium():
    return phonons_of_springs(FCC, [(3.0, SPRING)], mesh_length=40)


def test_path_of_fcc(aluminium) -> None:
    bands = phonon_bands(aluminium)
    places, labels = bands.ticks()
    assert labels == ["Γ", "X", "U|K", "Γ", "L", "W", "X"]
    # |Gamma X| = 1/a and |Gamma L| = sqrt(3)/2a in units without 2 pi
    assert places[1] - places[0] == pytest.approx(1 / 4.05)
    assert places[4] - places[3] == pytest.approx(np.sqrt(3) / 2 / 4.05)
    assert (np.diff(places) > 0).all()
    for segment in bands.segments:
        assert segment.frequencies_THz.shape == (len(segment.qpoints), 3)
        assert (np.diff(segment.frequencies_THz, axis=1) >= -1e-9).all()
        assert (np.diff(segment.distances_per_A) <= 0.01 + 1e-9).all()


def test_frequencies_at_the_corners(aluminium) -> None:
    """Nearest-neighbour springs: X longitudinal 8 k/m, transverse 4 k/m; L longitudinal 8 k/m, transverse 2 k/m."""
    bands = phonon_bands(aluminium)
    mass = atomic_masses[13]
    first = bands.segments[0]
    assert (first.start, first.end) == ("Γ", "X")
    np.testing.assert_allclose(first.frequencies_THz[0], 0, atol=1e-3)
    at_x = [thz(c * SPRING, mass) for c in (4, 4, 8)]
    np.testing.assert_allclose(first.frequencies_THz[-1], at_x, rtol=1e-3)
    to_l = next(segment for segment in bands.segments if (segment.start, segment.end) == ("Γ", "L"))
    np.testing.assert_allclose(to_l.frequencies_THz[-1], [thz(c * SPRING, mass) for c in (2, 2, 8)], rtol=1e-3)
    assert bands.max_THz == pytest.approx(thz(8 * SPRING, mass), rel=1e-3)
    assert bands.min_THz == pytest.approx(0, abs=1e-3)


def test_path_does_not_depend_on_the_setting(aluminium) -> None:
    """The same crystal by another primitive cell, and by the cubic one, whose bands are folded."""
    skewed = (np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]]) @ FCC[0], FCC[1], FCC[2])
    other = phonon_bands(phonons_of_springs(skewed, [(3.0, SPRING)], min_length_A=8.5, mesh_length=20))
    folded = phonon_bands(phonons_of_springs(CUBIC_FCC, [(3.0, SPRING)]))
    for bands in (other, folded):
        assert bands.ticks()[1] == phonon_bands(aluminium).ticks()[1]
        np.testing.assert_allclose(bands.ticks()[0], phonon_bands(aluminium).ticks()[0], rtol=1e-6)
    for one, same, more in zip(phonon_bands(aluminium).segments, other.segments, folded.segments, strict=True):
        np.testing.assert_allclose(same.frequencies_THz, one.frequencies_THz, atol=2e-3)
        assert more.frequencies_THz.shape[1] == 12
        for row, all_of_them in zip(one.frequencies_THz, more.frequencies_THz, strict=True):
            assert np.abs(row[:, None] - all_of_them).min(1).max() < 5e-3


def test_imaginary_modes_are_negative() -> None:
    bands = phonon_bands(phonons_of_springs(SIMPLE, [(3.1, SPRING), (4.3, -0.05 * SPRING)]))
    assert bands.min_THz == pytest.approx(-thz(0.05 * 8 * SPRING, atomic_masses[84]), rel=0.02)


def test_plain_form(aluminium) -> None:
    said = json.loads(json.dumps(phonon_bands(aluminium).to_dict()))
    assert said["remark"] == NO_NAC
    assert said["segments"][0]["end"] == "X"
    assert len(said["segments"][0]["frequencies_THz"][0]) == 3


def test_frequencies_at_any_wave_vector(aluminium) -> None:
    found = frequencies_at(aluminium, np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.0]]))
    np.testing.assert_allclose(found[:, -1], thz(8 * SPRING, atomic_masses[13]), rtol=1e-3)


def test_highest_peak_of_fcc(aluminium) -> None:
    """The longitudinal van Hove peak lies just below the band edge."""
    edge = thz(8 * SPRING, atomic_masses[13]) * PER_CM_PER_THZ
    assert 0.9 * edge < highest_peak_per_cm(aluminium) < edge
    assert PER_CM_PER_THZ == pytest.approx(33.356, abs=1e-3)


def test_highest_peak_is_the_last_not_the_tallest() -> None:
    """A heavy and a light atom: two bands, of which the upper one counts."""
    heavy_and_light = (4.0 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [82, 3])
    displaced = displaced_supercells(*heavy_and_light, min_length_A=8.0)
    phonons = phonon_dos(displaced, spring_forces(displaced, [(3.6, 0.5), (4.1, 0.1)]), mesh_length=40)
    peak = highest_peak_per_cm(phonons)
    highest = phonons.displaced.phonopy.mesh.frequencies.max() * PER_CM_PER_THZ
    acoustic = phonons.displaced.phonopy.mesh.frequencies[:, 2].max() * PER_CM_PER_THZ
    assert acoustic < 0.5 * peak
    assert 0.9 * highest < peak <= highest + 1


@pytest.mark.parametrize("smearing", [0.5, 2.0, 5.0])
def test_peak_hardly_depends_on_the_smearing(aluminium, smearing) -> None:
    assert highest_peak_per_cm(aluminium, smearing_per_cm=smearing) == pytest.approx(
        highest_peak_per_cm(aluminium), abs=3 * smearing + 3
    )
