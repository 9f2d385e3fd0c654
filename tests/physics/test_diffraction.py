"""Powder patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnes.crystals.orbits import expand
from onnes.errors import ConfigError, CrystalError
from onnes.physics.diffraction import (
    PowderPattern,
    pattern_similarity,
    read_pattern,
    simulated_pattern,
    wavelength_A,
)

if TYPE_CHECKING:
    from pathlib import Path

CUBIC = (90.0, 90.0, 90.0)


def _bcc(a: float = 2.8665) -> tuple:
    return a * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([26, 26])


def _fcc(a: float = 3.6) -> tuple:
    return expand(225, (a, a, a, *CUBIC), [(26, (0, 0, 0))])


def test_peaks_stand_where_bragg_puts_them() -> None:
    pattern = simulated_pattern(*_bcc())
    expected = [2 * np.degrees(np.arcsin(1.54184 * np.sqrt(n) / (2 * 2.8665))) for n in (2, 4, 6)]
    np.testing.assert_allclose(pattern.two_theta_deg, expected, atol=1e-6)
    assert pattern.intensities.argmax() == 0


def test_scaling_moves_peaks_as_a_larger_cell_does() -> None:
    grid = np.arange(30, 90, 0.02)
    scaled = simulated_pattern(*_bcc()).on_grid(grid, scale=1.02)
    larger = simulated_pattern(*_bcc(2.8665 * 1.02)).on_grid(grid)
    assert np.corrcoef(scaled, larger)[0, 1] > 0.999
    assert np.corrcoef(simulated_pattern(*_bcc()).on_grid(grid), larger)[0, 1] < 0.5


def test_the_same_crystal_is_recognised_whatever_its_size() -> None:
    measured = simulated_pattern(*_bcc())
    value, scale = pattern_similarity(simulated_pattern(*_bcc(2.82)), measured)
    assert value > 0.99
    assert scale == pytest.approx(2.8665 / 2.82, abs=2e-4)
    fixed, _ = pattern_similarity(simulated_pattern(*_bcc(2.82)), measured, max_scaling=0)
    assert fixed < 0.5


def test_another_crystal_is_not() -> None:
    value, _ = pattern_similarity(simulated_pattern(*_fcc()), simulated_pattern(*_bcc()))
    assert value < 0.9  # two strong peaks are soon brought together


def test_a_measured_curve_with_background_and_noise() -> None:
    grid = np.arange(20, 100, 0.04)
    curve = simulated_pattern(*_bcc(), two_theta_deg=(10, 120)).on_grid(grid, fwhm_deg=0.25)
    noise = np.random.default_rng(0).normal(0, 1, len(grid))
    measured = PowderPattern(grid, 40 * curve + 300 + 10 * noise, 1.54184, is_profile=True)
    value, scale = pattern_similarity(simulated_pattern(*_bcc(), two_theta_deg=(10, 120)), measured)
    assert value > 0.95
    assert scale == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";", " , "])
def test_files_of_two_columns_are_read(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "pattern.xy"
    rows = [f"{angle}{separator}{height}" for angle, height in [(65.1, 20), (44.7, 100), (82.4, 30)]]
    file.write_text("\n".join(["# measured in May", "2theta intensity", "", *rows]), encoding="utf-8")
    pattern = read_pattern(file, radiation=1.5)
    assert pattern.two_theta_deg.tolist() == [44.7, 65.1, 82.4]
    assert pattern.intensities.tolist() == [100, 20, 30]
    assert pattern.wavelength_A == 1.5
    assert not pattern.is_profile


def test_long_files_are_curves(tmp_path: Path) -> None:
    file = tmp_path / "pattern.csv"
    file.write_text("\n".join(f"{10 + 0.1 * i:.2f},{i % 7}" for i in range(500)), encoding="utf-8")
    assert read_pattern(file).is_profile


@pytest.mark.parametrize("text", ["", "one two\n", "10 5\n", "-3 1\n20 2\n", "10 0\n20 0\n", "10 nan\n20 1\n"])
def test_bad_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.xy"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.xy"):
        read_pattern(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.xy"):
        read_pattern(tmp_path / "none.xy")


def test_radiations_have_names_or_numbers() -> None:
    assert wavelength_A("MoKa") == pytest.approx(0.711, abs=1e-3)
    assert wavelength_A(0.5) == 0.5
    for wrong in ("CuKz", "-1", 0.0):
        with pytest.raises(ConfigError):
            wavelength_A(wrong)


def test_what_cannot_be_compared_says_so() -> None:
    pattern = simulated_pattern(*_bcc())
    with pytest.raises(CrystalError, match="wavelengths"):
        pattern_similarity(simulated_pattern(*_bcc(), radiation="MoKa"), pattern)
    far = PowderPattern(np.array([5.0, 6.0]), np.array([1.0, 2.0]), 1.54184)
    with pytest.raises(CrystalError, match="no peak"):
        pattern_similarity(pattern, far)
