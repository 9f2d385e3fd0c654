import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.signal import savgol_filter

from onnes.errors import OnnesError, SpectrumError
from onnes.physics.allen_dynes import allen_dynes_factors, allen_dynes_tc_K
from onnes.physics.spectra import (
    ALPHA2F_GRID_MEV,
    BIN_WIDTH_MEV,
    K_PER_MEV,
    accumulated_lambda,
    bin_spectrum,
    binned_moments,
    spectral_moments,
)

OPEN_SPECTRA = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "alpha2f_spectra_open.parquet"
BLOCK = np.where((ALPHA2F_GRID_MEV > 10) & (ALPHA2F_GRID_MEV < 31), 0.5, 0.0)  # the 11 bins 10.25 ... 30.25 meV


def two_peaks(omega):
    return 0.6 * np.exp(-(((omega - 15) / 2) ** 2)) + 0.4 * np.exp(-(((omega - 28) / 3) ** 2))


def test_grid() -> None:
    assert ALPHA2F_GRID_MEV.shape == (101,)
    assert ALPHA2F_GRID_MEV.dtype == np.float64
    assert (ALPHA2F_GRID_MEV[0], ALPHA2F_GRID_MEV[50], ALPHA2F_GRID_MEV[-1]) == (0.25, 100.25, 200.25)
    assert (np.diff(ALPHA2F_GRID_MEV) == BIN_WIDTH_MEV).all()
    assert not ALPHA2F_GRID_MEV.flags.writeable
    assert pytest.approx(11.6045, abs=5e-5) == K_PER_MEV


@pytest.mark.parametrize("n_bins", [51, 101])
def test_sum_over_the_bins(n_bins) -> None:
    moments = binned_moments(BLOCK[:n_bins])
    assert moments.lambda_ == pytest.approx(1.2156, abs=5e-5)
    assert moments.omega_log_K == pytest.approx(197.79, abs=5e-3)
    assert moments.omega2_K == pytest.approx(222.15, abs=5e-3)
    f1, f2 = allen_dynes_factors(*moments)
    assert (f1, f2) == (pytest.approx(1.0669, abs=5e-5), pytest.approx(1.0145, abs=5e-5))
    assert allen_dynes_tc_K(*moments) == pytest.approx(19.47, abs=5e-3)


def test_the_first_bin_does_not_count() -> None:
    spectrum = BLOCK.copy()
    spectrum[0] = 7.0
    assert binned_moments(spectrum) == binned_moments(BLOCK)


@pytest.mark.parametrize("shape", [(), (1,), (4, 102)])
def test_bins_that_do_not_fit_the_grid(shape) -> None:
    with pytest.raises(SpectrumError, match="bins on the last axis"):
        binned_moments(np.ones(shape))


def test_trapezoid_against_quadrature() -> None:
    omega = np.linspace(0, 60, 3001)
    moments = spectral_moments(omega, two_peaks(omega))
    lam = quad(lambda w: 2 * two_peaks(w) / w, 1e-9, 60, limit=200)[0]
    log = quad(lambda w: 2 * two_peaks(w) * np.log(w) / w, 1e-9, 60, limit=200)[0]
    square = quad(lambda w: 2 * two_peaks(w) * w, 0, 60, limit=200)[0]
    assert moments.lambda_ == pytest.approx(lam, rel=1e-6)
    assert moments.omega_log_K == pytest.approx(np.exp(log / lam) * K_PER_MEV, rel=1e-6)
    assert moments.omega2_K == pytest.approx(np.sqrt(square / lam) * K_PER_MEV, rel=1e-6)


def test_any_spacing_gives_the_same() -> None:
    even, uneven = np.linspace(0, 60, 3001), 60 * np.linspace(0, 1, 3001) ** 1.5
    for one, other in zip(
        spectral_moments(even, two_peaks(even)), spectral_moments(uneven, two_peaks(uneven)), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-5)


def test_single_mode_has_one_frequency() -> None:
    moments = spectral_moments([19.99, 20.0, 20.01], [0.0, 700.0, 0.0])
    assert moments.lambda_ == pytest.approx(0.7)
    assert moments.omega_log_K == pytest.approx(20 * K_PER_MEV)
    assert moments.omega2_K == pytest.approx(20 * K_PER_MEV)


def test_a_grid_in_thz_read_as_mev() -> None:
    mev_per_thz = 4.13567
    omega = np.linspace(0.5, 60, 600)
    right, wrong = spectral_moments(omega, two_peaks(omega)), spectral_moments(omega / mev_per_thz, two_peaks(omega))
    assert wrong.lambda_ == pytest.approx(right.lambda_, rel=1e-12)  # so lambda cannot warn
    for good, bad in [
        (right.omega_log_K, wrong.omega_log_K),
        (right.omega2_K, wrong.omega2_K),
        (allen_dynes_tc_K(*right), allen_dynes_tc_K(*wrong)),
    ]:
        assert good / bad == pytest.approx(mev_per_thz, rel=1e-12)


def test_imaginary_modes_do_not_count() -> None:
    omega = np.linspace(-20, 60, 801)
    spectrum = two_peaks(omega) + np.where(omega <= 0, 3.0, 0.0)
    positive = omega > 0
    assert spectral_moments(omega, spectrum) == spectral_moments(omega[positive], spectrum[positive])
    assert (accumulated_lambda(omega, spectrum)[~positive] == 0).all()


def test_lower_limit_removes_noise_at_low_frequency() -> None:
    omega = np.linspace(0.01, 60, 6000)
    clean = two_peaks(omega)
    noisy = clean + np.where(omega < 0.5, 0.1, 0.0)
    assert spectral_moments(omega, noisy).lambda_ > spectral_moments(omega, clean).lambda_ + 0.5
    cut = spectral_moments(omega, noisy, omega_min_meV=1.0)
    assert cut.lambda_ == pytest.approx(spectral_moments(omega, clean).lambda_, rel=1e-6)
    assert spectral_moments(omega, clean, omega_min_meV=-5.0) == spectral_moments(omega, clean)
    assert spectral_moments(omega, clean, omega_min_meV=100.0).lambda_ == 0


def test_spectra_without_coupling() -> None:
    omega = np.linspace(0, 60, 61)
    spectra = np.stack([np.zeros(61), -two_peaks(omega), two_peaks(omega), np.full(61, np.nan)])
    for moments in (spectral_moments(omega, spectra), binned_moments(spectra)):
        assert (moments.lambda_[:2] == 0).all()
        assert np.isnan(moments.omega_log_K[[0, 1, 3]]).all()
        assert np.isnan(moments.omega2_K[[0, 1, 3]]).all()
        assert all(np.isfinite(m[2]) for m in moments)
        assert np.isnan(moments.lambda_[3])


def test_batches() -> None:
    omega = np.linspace(0, 60, 101)
    spectra = np.random.default_rng(0).random((2, 3, 101))
    batch, bins, accumulated = (
        spectral_moments(omega, spectra),
        binned_moments(spectra),
        accumulated_lambda(omega, spectra),
    )
    assert all(m.shape == (2, 3) and m.dtype == np.float64 for m in (*batch, *bins))
    assert all(m.shape == () and isinstance(m, np.ndarray) for m in spectral_moments(omega, spectra[0, 0]))
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose([m[i, j] for m in batch], spectral_moments(omega, spectra[i, j]), rtol=1e-14)
        np.testing.assert_allclose([m[i, j] for m in bins], binned_moments(spectra[i, j]), rtol=1e-14)
    np.testing.assert_allclose(accumulated[..., -1], batch.lambda_, rtol=1e-13)
    assert (np.diff(accumulated) >= 0).all()


@given(arrays(float, (3, 101), elements=st.floats(0, 5)), st.floats(0.01, 3))
def test_omega2_is_never_below_omega_log(spectra, power) -> None:
    omega = 150 * np.linspace(0, 1, 101) ** power + 1e-3 * np.arange(101)
    for moments in (spectral_moments(omega, spectra), binned_moments(spectra)):
        coupled = moments.lambda_ > 1e-9
        assert (moments.omega2_K[coupled] >= moments.omega_log_K[coupled] * (1 - 1e-12)).all()
        assert (moments.omega2_K[coupled] <= 210 * K_PER_MEV).all()


def test_bins_as_in_the_recipe() -> None:
    omega = np.linspace(0, 130, 650)
    spectrum = two_peaks(omega) + 0.02 * np.sin(3 * omega) + two_peaks(omega - 80)  # not 0 at the upper edge
    fine = np.arange(0.25, 101, 0.1)
    smooth = savgol_filter(np.interp(fine, omega, spectrum, right=0.0), 101, 3, mode="interp")
    wanted = np.interp(np.arange(0.25, 101, 2), fine, smooth).clip(0)
    assert (smooth < 0).any()
    np.testing.assert_allclose(bin_spectrum(omega, spectrum, n_bins=51), wanted, atol=1e-12)


def test_more_bins_keep_the_first_ones() -> None:
    omega = np.linspace(0, 150, 500)
    spectra = np.stack([two_peaks(omega), two_peaks(omega / 4)])
    few, many = bin_spectrum(omega, spectra, n_bins=51), bin_spectrum(omega, spectra)
    assert few.shape == (2, 51)
    assert many.shape == (2, 101)
    np.testing.assert_allclose(few[:, :48], many[:, :48], atol=1e-12)  # the last 5 meV see the edge
    assert np.abs(few[1, 48:] - many[1, 48:51]).max() > 1e-6
    assert (many[:, 80:] < 1e-12).all()


def test_binning_keeps_lambda() -> None:
    omega = np.linspace(0, 60, 1201)
    fine = spectral_moments(omega, two_peaks(omega))
    for smooth, tolerance in [(True, 0.035), (False, 0.002)]:  # smoothing widens the narrow peaks
        binned = binned_moments(bin_spectrum(omega, two_peaks(omega), smooth=smooth))
        for one, other in zip(fine, binned, strict=True):
            assert other == pytest.approx(one, rel=tolerance)


def test_sampling_without_smoothing() -> None:
    omega = np.array([0.2, 10.25, 20.0, 40.0])
    bins = bin_spectrum(omega, [1.0, 0.5, -1.0, 2.0], smooth=False, n_bins=30)
    assert bins[5] == pytest.approx(0.5)
    assert bins[19] == pytest.approx(np.interp(38.25, omega, [1.0, 0.5, -1.0, 2.0]))
    assert (bins >= 0).all()
    assert bins[9] == 0  # below 0 before
    assert (bins[20:] == 0).all()  # nothing is made up above the last frequency


@pytest.mark.parametrize("function", [spectral_moments, accumulated_lambda, bin_spectrum])
@pytest.mark.parametrize(
    ("omega", "alpha2f", "words"),
    [
        ([1.0, 3.0, 2.0], [1.0, 1.0, 1.0], "index 2"),
        ([1.0, 2.0, 2.0], [1.0, 1.0, 1.0], "index 2"),
        ([1.0, np.nan, 2.0], [1.0, 1.0, 1.0], "index 1"),
        ([np.nan, 1.0, 2.0], [1.0, 1.0, 1.0], "do not increase"),
        ([1.0, 2.0, np.inf], [1.0, 1.0, 1.0], "index 2"),
        ([1.0, 2.0, 3.0], [1.0, 1.0], "3 frequencies"),
        ([1.0, 2.0, 3.0], np.ones((3, 2)), "3 frequencies"),
        ([1.0, 2.0, 3.0], 1.0, "3 frequencies"),
        ([1.0], [1.0], "at least 2"),
        (np.ones((2, 2)), np.ones((2, 2)), "at least 2"),
    ],
)
def test_what_cannot_be_used(function, omega, alpha2f, words) -> None:
    with pytest.raises(SpectrumError, match=words) as error:
        function(omega, alpha2f)
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, OnnesError)


@pytest.mark.parametrize("n_bins", [0, 5, 102])
def test_number_of_bins(n_bins) -> None:
    with pytest.raises(SpectrumError, match=f"n_bins is {n_bins}"):
        bin_spectrum([0.0, 50.0], [0.0, 1.0], n_bins=n_bins)
    assert bin_spectrum([0.0, 50.0], [0.0, 1.0], n_bins=6).shape == (6,)


@pytest.mark.skipif(not OPEN_SPECTRA.is_file(), reason=f"{OPEN_SPECTRA} is not there; set ONNES_DATA")
def test_open_spectrum_of_niobium() -> None:
    (row,) = pq.read_table(OPEN_SPECTRA).to_pylist()
    omega, spectrum = np.array(row["omega_meV"]), np.array(row["alpha2f"])
    moments = spectral_moments(omega, spectrum)
    assert moments.lambda_ == pytest.approx(0.938, abs=5e-4)
    assert moments.omega_log_K == pytest.approx(156.7, abs=0.05)
    assert moments.omega2_K == pytest.approx(185.0, abs=0.05)
    for ours, stored in zip(moments, (row["lambda_"], row["omega_log_K"], row["omega2_K"]), strict=True):
        assert ours == pytest.approx(stored, rel=1e-6)
    assert accumulated_lambda(omega, spectrum)[-1] == pytest.approx(moments.lambda_, rel=1e-12)
    for one, other in zip(moments, binned_moments(bin_spectrum(omega, spectrum, n_bins=51)), strict=True):
        assert other == pytest.approx(one, rel=0.015)
