import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.linalg import hankel, toeplitz

from onnes.errors import ConfigError, SpectrumError
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.physics.eliashberg import MIN_TC_K, eliashberg_gap_meV, eliashberg_tc_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, K_PER_MEV, bin_spectrum, spectral_moments

OPEN_SPECTRA = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "alpha2f_spectra_open.parquet"
MODE_MEV = 20.0
MODE_K = MODE_MEV * K_PER_MEV
WIDTH_MEV = 1e-3
GRID_MEV = np.linspace(0.1, 12, 240)


def mode(lam, mode_mev=MODE_MEV):
    """One Einstein mode: a triangle so narrow that only its area counts."""
    height = lam * mode_mev / (2 * WIDTH_MEV)
    return np.array([mode_mev - WIDTH_MEV, mode_mev, mode_mev + WIDTH_MEV]), np.array([0.0, height, 0.0])


def soft_metal(lam):
    """A spectrum with a peak of transverse and one of longitudinal modes, as of lead."""
    omega = GRID_MEV
    spectrum = np.exp(-(((omega - 4.4) / 0.8) ** 2)) + 0.7 * np.exp(-(((omega - 8.4) / 0.5) ** 2))
    return omega, spectrum * lam / spectral_moments(omega, spectrum).lambda_


def ratio(omega, spectrum, **settings):
    """2 Delta / k Tc at low temperature."""
    tc = float(eliashberg_tc_K(omega, spectrum, **settings))
    return 2 * float(eliashberg_gap_meV(omega, spectrum, 0.0, **settings)) * K_PER_MEV / tc


def is_superconducting(temperature, lam, mu_star, cutoff):
    """Textbook way for one mode of frequency 1: is -K no longer positive definite?"""
    count = round(cutoff / (2 * np.pi * temperature))
    mu = mu_star / (1 - mu_star * np.log(2 * np.pi * temperature * count))
    interaction = lam / (1 + (2 * np.pi * temperature * np.arange(2 * count)) ** 2)
    diagonal = [2 * n + 1 + interaction[0] + 2 * interaction[1 : n + 1].sum() for n in range(count)]
    pairs = toeplitz(interaction[:count]) + hankel(interaction[1 : count + 1], interaction[count:])
    try:
        np.linalg.cholesky(np.diag(diagonal) + 2 * mu - pairs)
    except np.linalg.LinAlgError:
        return True
    return False


@pytest.mark.parametrize(
    ("lam", "tc", "by_root", "digit"),
    [(0.5, 0.0394, 0.0558, 1e-4), (1, 0.1146, 0.1146, 1e-4), (2, 0.2117, 0.1497, 1e-4), (20, 0.803, 0.1796, 1e-3),
     (400, 3.650, 0.1825, 2e-3)],
)  # fmt: skip
def test_single_mode_without_repulsion(lam, tc, by_root, digit) -> None:
    found = float(eliashberg_tc_K(*mode(lam), mu_star=0.0)) / MODE_K
    assert found == pytest.approx(tc, abs=digit)
    assert found / np.sqrt(lam) == pytest.approx(by_root, abs=1e-4)


def test_limit_of_strong_coupling() -> None:
    by_root = [float(eliashberg_tc_K(*mode(lam), mu_star=0.0)) / MODE_K / np.sqrt(lam) for lam in (5, 20, 400, 1e5)]
    assert by_root == sorted(by_root)
    assert by_root[-1] == pytest.approx(0.1827, abs=1e-4)


@pytest.mark.parametrize(("cutoff", "tc", "digit"), [(4, 0.0740, 2.5e-4), (8, 0.0726, 1e-4), (16, 0.0722, 5e-5)])
def test_single_mode_with_repulsion(cutoff, tc, digit) -> None:
    # one Matsubara frequency more or less moves the last digit at the smaller cut-offs
    assert float(eliashberg_tc_K(*mode(1.0), mu_star=0.10, cutoff=cutoff)) / MODE_K == pytest.approx(tc, abs=digit)


@pytest.mark.parametrize(
    ("lam", "mu_star", "cutoff"), [(0.4, 0.0, 8), (0.5, 0.10, 8), (0.8, 0.13, 4), (1.0, 0.10, 12), (1.5, 0.21, 8)]
)
def test_edge_of_positive_definiteness(lam, mu_star, cutoff) -> None:
    tc = float(eliashberg_tc_K(*mode(lam), mu_star=mu_star, cutoff=cutoff)) / MODE_K
    assert is_superconducting(tc * (1 - 1e-4), lam, mu_star, cutoff)
    assert not is_superconducting(tc * (1 + 1e-4), lam, mu_star, cutoff)


def test_tc_follows_the_frequency() -> None:
    omega, spectrum = soft_metal(1.2)
    tc = float(eliashberg_tc_K(omega, spectrum))
    assert float(eliashberg_tc_K(7 * omega, spectrum)) == pytest.approx(7 * tc, rel=1e-4)
    assert float(eliashberg_tc_K(omega / 4.13567, spectrum)) == pytest.approx(tc / 4.13567, rel=1e-4)  # THz as meV


def test_tc_rises_with_coupling_and_falls_with_repulsion() -> None:
    omega, spectrum = soft_metal(1.0)
    by_lambda = eliashberg_tc_K(omega, np.linspace(0.4, 4, 19)[:, None] * spectrum)
    assert (np.diff(by_lambda) > 0).all()
    by_mu_star = [float(eliashberg_tc_K(omega, spectrum, mu_star=m)) for m in (0.0, 0.05, 0.10, 0.13, 0.16, 0.21)]
    assert (np.diff(by_mu_star) < 0).all()
    assert by_mu_star[-1] > 0


@pytest.mark.parametrize("mu_star", [0.10, 0.13, 0.16])
def test_near_allen_dynes(mu_star) -> None:
    spectra = np.array([1.0, 1.5, 2.5])[:, None] * soft_metal(1.0)[1]
    tc = eliashberg_tc_K(GRID_MEV, spectra, mu_star=mu_star)
    formula = allen_dynes_tc_K(*spectral_moments(GRID_MEV, spectra), mu_star=mu_star)
    np.testing.assert_allclose(tc, formula, rtol=0.03)
    assert (tc != formula).all()


@pytest.mark.parametrize("mu_star", [0.10, 0.15])
def test_cutoff_hardly_matters(mu_star) -> None:
    by_cutoff = [
        float(eliashberg_tc_K(*soft_metal(1.3), mu_star=mu_star, cutoff=cutoff)) for cutoff in (4, 6, 8, 12, 24)
    ]
    assert max(by_cutoff) / min(by_cutoff) < 1.025
    assert by_cutoff[2] == pytest.approx(by_cutoff[-1], rel=0.01)


def test_noise_above_the_spectrum_does_not_move_the_cutoff() -> None:
    omega, spectrum = soft_metal(1.0)
    wide = np.append(omega, np.linspace(13, 60, 100))
    padded = np.append(spectrum, np.full(100, 1e-6))
    assert float(eliashberg_tc_K(wide, padded)) == pytest.approx(float(eliashberg_tc_K(omega, spectrum)), rel=1e-4)


def test_weak_coupling_has_no_tc() -> None:
    omega, spectrum = mode(1.0)
    tc = eliashberg_tc_K(omega, np.array([0.0, 0.02, 0.1, 0.15])[:, None] * spectrum)
    assert (tc == 0).all()
    assert (eliashberg_gap_meV(omega, 0.1 * spectrum, [0.0, 1.0]) == 0).all()
    weak = float(eliashberg_tc_K(omega, 0.3 * spectrum))
    assert 0.05 < weak < 0.3
    assert float(eliashberg_tc_K(omega, 0.3 * spectrum, min_tc_K=0.9 * weak)) == pytest.approx(weak, rel=1e-4)
    assert float(eliashberg_tc_K(omega, 0.3 * spectrum, min_tc_K=1.1 * weak)) == 0
    assert float(eliashberg_tc_K(omega, spectrum, min_tc_K=1000.0)) == 0
    assert MIN_TC_K == 0.01


def test_a_tc_of_millikelvin() -> None:
    omega, spectrum = mode(0.22, 10.0)
    tc = float(eliashberg_tc_K(omega, spectrum, mu_star=0.06, min_tc_K=1e-3))
    assert tc == pytest.approx(float(allen_dynes_tc_K(0.22, 10 * K_PER_MEV, mu_star=0.06)), rel=0.3)
    assert 1e-3 < tc < 0.1


def test_batches() -> None:
    spectra = np.array([[0.7, 0.0], [1.4, np.nan]])[..., None] * soft_metal(1.0)[1]
    tc = eliashberg_tc_K(GRID_MEV, spectra)
    assert tc.shape == (2, 2)
    assert tc.dtype == np.float64
    assert tc[0, 1] == 0
    assert np.isnan(tc[1, 1])
    assert tc[1, 0] == eliashberg_tc_K(GRID_MEV, spectra[1, 0])
    assert eliashberg_tc_K(GRID_MEV, spectra[1, 0]).shape == ()
    assert eliashberg_tc_K(GRID_MEV, spectra[:0, 0]).shape == (0,)


def test_only_positive_frequencies_and_values_count() -> None:
    omega, spectrum = soft_metal(1.0)
    tc = eliashberg_tc_K(omega, spectrum)
    unstable = np.append(np.linspace(-5, 0, 20), omega), np.append(np.full(20, 0.5), spectrum)
    assert eliashberg_tc_K(*unstable) == tc
    wide, padded = np.append(omega, [13.0, 14.0, 15.0]), np.append(spectrum, [0.0, -0.1, 0.0])
    assert float(eliashberg_tc_K(wide, padded)) == pytest.approx(float(tc), rel=1e-6)


def test_gap_of_weak_coupling_as_in_bcs() -> None:
    ratios = [ratio(*mode(lam), mu_star=0.0) for lam in (1.0, 0.5, 0.3)]
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] == pytest.approx(3.53, abs=0.02)
    assert ratio(*mode(0.5), mu_star=0.10) == pytest.approx(3.53, abs=0.04)


def test_temperature_of_the_bcs_gap() -> None:
    omega, spectrum = mode(0.3)
    tc = float(eliashberg_tc_K(omega, spectrum, mu_star=0.0))
    t = np.array([0.0, 0.2, 0.5, 0.9, 0.99])
    gap = eliashberg_gap_meV(omega, spectrum, t * tc, mu_star=0.0)
    np.testing.assert_allclose(gap / gap[0], [1, 0.9999, 0.9569, 0.5263, 0.1733], rtol=0.01)  # BCS table
    assert gap[4] * K_PER_MEV / tc == pytest.approx(3.06 * np.sqrt(0.01), rel=0.02)


def test_gap_of_strong_coupling() -> None:
    omega, spectrum = soft_metal(1.55)
    assert spectral_moments(omega, spectrum).omega_log_K == pytest.approx(56, abs=4)
    assert 6.5 < float(eliashberg_tc_K(omega, spectrum, mu_star=0.105)) < 8  # lead: 7.2 K
    assert 4.2 < ratio(omega, spectrum, mu_star=0.105) < 4.7  # lead: 4.3 to 4.5
    assert 6 < ratio(*mode(20.0), mu_star=0.0) < 13


@pytest.mark.parametrize(("lam", "mu_star"), [(0.47, 0.21), (0.8, 0.10), (2.0, 0.16), (8.0, 0.10), (40.0, 0.20)])
def test_gap_closes_at_tc(lam, mu_star) -> None:
    omega, spectrum = mode(lam)
    tc = float(eliashberg_tc_K(omega, spectrum, mu_star=mu_star))
    t = np.array([0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999])
    gap = eliashberg_gap_meV(omega, spectrum, t * tc, mu_star=mu_star)
    assert (np.diff(gap) < 0).all()
    amplitude = gap * K_PER_MEV / tc / np.sqrt(1 - t)
    np.testing.assert_allclose(amplitude[-2:], amplitude[-1], rtol=0.05)  # as a square root
    assert (eliashberg_gap_meV(omega, spectrum, [tc, 1.001 * tc, 10 * tc], mu_star=mu_star) == 0).all()


def test_shapes_of_the_gap() -> None:
    omega, spectrum = soft_metal(1.0)
    assert eliashberg_gap_meV(omega, spectrum, 1.0).shape == ()
    grid = eliashberg_gap_meV(omega, spectrum, [[0.0, 0.01], [1.0, 100.0]])
    assert grid.shape == (2, 2)
    assert grid[0, 0] == grid[0, 1] > grid[1, 0] > grid[1, 1] == 0
    assert np.isnan(eliashberg_gap_meV(omega, np.nan * spectrum, [1.0, 2.0])).all()


@pytest.mark.parametrize("function", [eliashberg_tc_K, lambda *a, **k: eliashberg_gap_meV(*a, 1.0, **k)])
def test_settings_that_cannot_be(function) -> None:
    omega, spectrum = soft_metal(1.0)
    for settings in ({"mu_star": -0.1}, {"mu_star": np.nan}, {"cutoff": 0.5}, {"mu_star": 0.5, "cutoff": 8.0}):
        with pytest.raises(ConfigError, match="mu"):
            function(omega, spectrum, **settings)
    with pytest.raises(SpectrumError, match="index 1"):
        function(omega[::-1], spectrum)
    with pytest.raises(SpectrumError, match="frequencies"):
        function(omega, spectrum[:-1])


def test_what_the_gap_does_not_take() -> None:
    omega, spectrum = soft_metal(1.0)
    with pytest.raises(SpectrumError, match="one spectrum"):
        eliashberg_gap_meV(omega, spectrum[None], 1.0)
    for temperature in (-1.0, np.nan):
        with pytest.raises(ConfigError, match="0 K or more"):
            eliashberg_gap_meV(omega, spectrum, [1.0, temperature])


@pytest.mark.skipif(not OPEN_SPECTRA.is_file(), reason=f"{OPEN_SPECTRA} is not there; set ONNES_DATA")
def test_open_spectrum_of_niobium() -> None:
    (row,) = pq.read_table(OPEN_SPECTRA).to_pylist()
    omega, spectrum = np.array(row["omega_meV"]), np.array(row["alpha2f"])
    for mu_star in (0.10, 0.13, 0.16):
        tc = float(eliashberg_tc_K(omega, spectrum, mu_star=mu_star))
        assert tc == pytest.approx(
            float(allen_dynes_tc_K(*spectral_moments(omega, spectrum), mu_star=mu_star)), rel=0.025
        )
    assert ratio(omega, spectrum, mu_star=0.16) == pytest.approx(3.75, abs=0.05)
    bins = bin_spectrum(omega, spectrum, n_bins=51)[1:]
    binned = float(eliashberg_tc_K(ALPHA2F_GRID_MEV[1:51], bins))
    assert binned == pytest.approx(float(eliashberg_tc_K(omega, spectrum)), rel=0.02)
