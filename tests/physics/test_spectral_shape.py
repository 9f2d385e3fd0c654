import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from onnes.crystals.batch import CrystalBatch
from onnes.physics.spectra import ALPHA2F_GRID_MEV, K_PER_MEV, bin_spectrum, binned_moments, spectral_moments
from onnes.physics.spectral_shape import (
    STRETCH_LIMITS,
    DosBatch,
    PhononDos,
    alpha2f_of_moments,
    empirical_dos,
    overlap,
)

BINS = ALPHA2F_GRID_MEV[1:-1]
SPECTRA = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "alpha2f_spectra_open.parquet"


def debye(highest_meV, n=301):
    omega = np.linspace(0, highest_meV, n)
    return PhononDos(omega, omega**2)


def two_bands(highest_meV):
    """Acoustic and optical modes with a wide gap between them."""
    x = np.linspace(0, 1, 401)
    return PhononDos(x * highest_meV, np.where(x < 0.35, x**2, 0) + np.where(x > 0.8, 0.3, 0))


def crystals(*numbers):
    return CrystalBatch.of((5 * np.eye(3), np.zeros((len(z), 3)), z) for z in numbers)


def wide(n, seed=0):
    """Moments taken widely, and densities of states whose scale follows them roughly."""
    rng = np.random.default_rng(seed)
    lam = rng.uniform(0.05, 3, n)
    log_K = np.exp(rng.uniform(np.log(40), np.log(1300), n))
    two_K = log_K * rng.uniform(1.02, 1.8, n)
    batch = crystals(*(rng.choice(rng.integers(1, 95, 3), rng.integers(1, 13)) for _ in range(n)))
    return empirical_dos(batch, two_K * rng.uniform(1.1, 2.2, n)), lam, log_K, two_K


def check_sound(fit):
    """What holds for every spectrum without NaN."""
    spectra = fit.alpha2f
    assert spectra.shape[1:] == (101,)
    assert (spectra >= 0).all()
    assert (spectra[:, [0, -1]] == 0).all()
    assert (spectra[ALPHA2F_GRID_MEV > fit.omega_max_meV[:, None]] == 0).all()
    for rule in (binned_moments(spectra), spectral_moments(ALPHA2F_GRID_MEV, spectra)):
        for have, said in zip(rule, fit.moments, strict=True):
            np.testing.assert_allclose(have, said, rtol=1e-6)


def test_moments_are_met_by_both_rules_over_a_wide_range() -> None:
    shapes, lam, log_K, two_K = wide(2000)
    fit = alpha2f_of_moments(shapes, lam, log_K, two_K)
    check_sound(fit)
    good = ~fit.adjusted
    assert good.mean() > 0.98
    for have, wanted in zip(fit.moments, (lam, log_K, two_K), strict=True):
        np.testing.assert_allclose(have[good], wanted[good], rtol=1e-6)
    np.testing.assert_allclose(fit.moments.lambda_, lam, rtol=1e-9)  # even where the frequencies were moved
    np.testing.assert_allclose(fit.stretch * shapes.highest_meV, fit.omega_max_meV)
    inside = (ALPHA2F_GRID_MEV <= fit.omega_max_meV[:, None]) & (ALPHA2F_GRID_MEV > 2) & (ALPHA2F_GRID_MEV < 200)
    assert (fit.alpha2f[inside] > 0).mean() > 0.999  # but for a few that are too small for a double


@pytest.mark.parametrize("shape", [debye, two_bands, lambda top: PhononDos(np.array([0, 0.97, 1]) * top, [0, 0, 1])])
@settings(max_examples=40, deadline=None)
@given(
    lam=st.floats(0.05, 3),
    log_K=st.floats(100, 1000),
    ratio=st.floats(1.02, 1.6),
    highest_meV=st.floats(3, 400),
)
def test_moments_are_met_whatever_the_shape(shape, lam, log_K, ratio, highest_meV) -> None:
    fit = alpha2f_of_moments(shape(highest_meV), lam, log_K, ratio * log_K)
    check_sound(fit)
    if log_K > 200:  # below, the bins are too coarse for the smallest ratios
        assert not fit.adjusted[0]
        np.testing.assert_allclose(np.ravel(fit.moments), [lam, log_K, ratio * log_K], rtol=1e-6)


def test_spectra_that_exist_are_never_adjusted() -> None:
    rng = np.random.default_rng(3)
    spectra = np.zeros((200, 101))
    for row in spectra:
        top = rng.integers(6, 60)
        row[1:top] = rng.uniform(0, 1, top - 1) * BINS[: top - 1]
    wanted = binned_moments(spectra)
    fit = alpha2f_of_moments([debye(rng.uniform(10, 100)) for _ in range(200)], *wanted)
    assert not fit.adjusted.any()
    np.testing.assert_allclose(np.array(fit.moments), np.array(wanted), rtol=1e-6)


def test_curve_is_the_exponential_family_of_the_shape() -> None:
    """ln(alpha2F / F) lies in the span of 1, ln omega and omega^2, which makes it the most likely one."""
    fit = alpha2f_of_moments(debye(40.0), 0.7, 210.0, 290.0, stretch=1.0)
    assert fit.stretch[0] == 1
    below = BINS + 1 < fit.omega_max_meV[0]  # the last bin is cut
    prior = 0.99 * (BINS**2 + 1 / 3) + 0.01 * BINS**2  # omega^2 averaged over 2 meV; its floor is taken at the bin
    left = np.log(fit.alpha2f[0, 1:-1][below] / prior[below])
    basis = np.stack([np.ones(below.sum()), np.log(BINS[below]), BINS[below] ** 2], axis=1)
    solution, *_ = np.linalg.lstsq(basis, left, rcond=None)
    # The tabulated density of states is interpolated to the edges of the bins, hence the tolerance.
    np.testing.assert_allclose(basis @ solution, left, atol=5e-3)
    assert np.ptp(left) > 0.5


def test_stretch_matches_the_second_moment_of_the_shape() -> None:
    natural = 30.0 / np.sqrt(2) * K_PER_MEV  # of F/omega for a Debye spectrum up to 30 meV
    wanted = np.array([0.5, 0.9, 1.3, 1.6, 1.7])
    fit = alpha2f_of_moments([debye(30.0)] * 5, 1.0, 0.8 * wanted * natural, wanted * natural)
    np.testing.assert_allclose(fit.stretch, wanted.clip(*STRETCH_LIMITS), rtol=2e-3)
    np.testing.assert_allclose(fit.omega_max_meV, 30 * fit.stretch)
    assert not fit.adjusted.any()


def test_stretch_is_raised_to_hold_the_moments() -> None:
    soft = debye(10.0)
    fit = alpha2f_of_moments(soft, 1.0, 250.0, 300.0)
    assert fit.stretch[0] > STRETCH_LIMITS[1]
    assert 300.0 / K_PER_MEV < fit.omega_max_meV[0] < 1.3 * 300.0 / K_PER_MEV
    assert not fit.adjusted[0]
    fixed = alpha2f_of_moments(soft, 1.0, 250.0, 300.0, stretch=1.0)
    assert fixed.stretch[0] == pytest.approx(fit.stretch[0])
    free = alpha2f_of_moments(soft, 1.0, 50.0, 60.0, stretch=1.23)
    assert free.stretch[0] == pytest.approx(1.23)


def _extreme_square(log_meV, last, sign):
    """Smallest or largest <omega^2> with this <ln omega> on the bins up to ``last``, by linear programming."""
    omega = BINS[:last]
    equal = np.stack([np.ones(last), np.log(omega)])
    return sign * linprog(sign * omega**2, A_eq=equal, b_eq=[1, np.log(log_meV)]).fun


def test_adjusted_moments_are_impossible_and_hardly_moved() -> None:
    shapes, lam, log_K, two_K = wide(2000, seed=1)
    fit = alpha2f_of_moments(shapes, lam, log_K, two_K)
    rows = np.flatnonzero(fit.adjusted)
    assert len(rows) > 5
    low = high = 0
    for i in rows:
        log_meV, two_meV = log_K[i] / K_PER_MEV, two_K[i] / K_PER_MEV
        assert fit.moments.omega_log_K[i] == pytest.approx(log_K[i])  # inside the bins: only omega2 had to move
        moved = fit.moments.omega2_K[i]
        if moved > two_K[i]:
            low += 1
            least = _extreme_square(log_meV, 99, 1)
            assert two_meV**2 < 1.003 * least
            assert moved == pytest.approx(np.sqrt(least) * K_PER_MEV, rel=2e-3)
        else:
            high += 1
            largest = _extreme_square(log_meV, 99, -1)
            assert two_meV**2 > 0.95 * largest
            assert moved == pytest.approx(np.sqrt(largest) * K_PER_MEV, rel=0.02)
    assert low
    assert high


@pytest.mark.parametrize(
    ("log_K", "two_K"),
    [(300, 300), (300, 250), (10, 12), (10, 300), (300, 5000), (2500, 2600), (0, 100), (-5, -5), (1e9, 1e12)],
)
def test_impossible_moments_give_a_flag_and_a_sound_spectrum(log_K, two_K) -> None:
    fit = alpha2f_of_moments(debye(40.0), 0.5, log_K, two_K)
    check_sound(fit)
    assert fit.adjusted[0]
    assert fit.moments.lambda_[0] == pytest.approx(0.5)
    assert fit.moments.omega2_K[0] > fit.moments.omega_log_K[0] > 0


def test_softest_spectrum_has_three_bins() -> None:
    fit = alpha2f_of_moments(debye(1.0), 1.0, 45.0, 50.0)
    check_sound(fit)
    assert fit.omega_max_meV[0] == pytest.approx(6.25)
    assert not fit.adjusted[0]
    assert np.flatnonzero(fit.alpha2f[0]).tolist() == [1, 2, 3]


def test_nan_and_zero_rows_touch_nobody_else() -> None:
    shapes, lam, log_K, two_K = wide(8, seed=2)
    clean = alpha2f_of_moments(shapes, lam, log_K, two_K)
    highest = shapes.highest_meV.copy()
    lam, log_K, two_K = lam.copy(), log_K.copy(), two_K.copy()
    lam[0], log_K[1], two_K[2], highest[3] = np.nan, np.nan, np.inf, np.nan
    lam[4], lam[5], lam[6] = 0.0, -0.1, 1e-300
    fit = alpha2f_of_moments(DosBatch(highest, shapes.dos), lam, log_K, two_K)
    for row in range(4):
        assert np.isnan(fit.alpha2f[row]).all()
        assert np.isnan([fit.stretch[row], fit.omega_max_meV[row], *(m[row] for m in fit.moments)]).all()
    assert (fit.alpha2f[4:6] == 0).all()
    assert fit.alpha2f[6].max() < 1e-290
    assert fit.adjusted[:6].tolist() == [False] * 5 + [True]
    np.testing.assert_array_equal(fit.alpha2f[7], clean.alpha2f[7])


def test_one_crystal_is_equal_to_its_row() -> None:
    shapes, lam, log_K, two_K = wide(40, seed=4)
    together = alpha2f_of_moments(shapes, lam, log_K, two_K)
    for i in range(0, 40, 7):
        alone = PhononDos(np.linspace(0, shapes.highest_meV[i], shapes.dos.shape[1]), shapes.dos[i])
        fit = alpha2f_of_moments(alone, lam[i], log_K[i], two_K[i])
        np.testing.assert_allclose(fit.alpha2f[0], together.alpha2f[i], rtol=1e-8, atol=1e-12)
        assert fit.stretch[0] == pytest.approx(together.stretch[i])
    empty = alpha2f_of_moments([], [], [], [])
    assert empty.alpha2f.shape == (0, 101)


def test_shape_is_in_the_curve() -> None:
    """The gap between the bands stays, at the frequencies of the stretched bands."""
    fit = alpha2f_of_moments(two_bands(60.0), 1.0, 330.0, 430.0, stretch=1.0)
    curve = fit.alpha2f[0]
    gap = (ALPHA2F_GRID_MEV > 0.35 * 60 + 2) & (ALPHA2F_GRID_MEV < 0.8 * 60 - 2)
    assert curve[gap].max() < 0.1 * curve.max()
    assert curve[gap].min() > 0
    scale = alpha2f_of_moments(
        PhononDos(two_bands(60.0).omega_meV, 7 * two_bands(60.0).dos), 1.0, 330.0, 430.0, stretch=1
    )
    np.testing.assert_allclose(scale.alpha2f[0], curve, rtol=1e-9)


def test_rows_of_a_batch_can_be_replaced() -> None:
    shapes = DosBatch.of([debye(20.0), debye(30.0), debye(40.0)])
    changed = shapes.replaced([1], [debye(55.0, n=501)])
    assert changed.highest_meV.tolist() == [20.0, 55.0, 40.0]
    np.testing.assert_array_equal(changed.dos[[0, 2]], shapes.dos[[0, 2]])
    np.testing.assert_allclose(changed.dos[1], np.linspace(0, 55, 401) ** 2, rtol=1e-3, atol=0.01)
    assert shapes.highest_meV.tolist() == [20.0, 30.0, 40.0]
    assert np.isnan(DosBatch.of([PhononDos(np.zeros(0), np.zeros(0))]).highest_meV[0])


def test_empirical_shape_is_normalised_to_debye() -> None:
    batch = crystals([13], [5, 5, 12], [1, 1, 1, 57], [41])
    shape = empirical_dos(batch, [400.0, 900.0, 500.0, np.nan])
    assert np.isnan(shape.highest_meV[3])
    for i, modes in enumerate((3, 9, 12)):
        omega = np.linspace(0, shape.highest_meV[i], shape.dos.shape[1])
        assert np.trapezoid(shape.dos[i], omega) == pytest.approx(modes)
        square = np.trapezoid(shape.dos[i] * omega**2, omega) / modes
        assert square == pytest.approx(0.6 * ((400, 900, 500)[i] / K_PER_MEV) ** 2, rel=1e-3)
        assert shape.dos[i, 0] < 0.05 * shape.dos[i].max()


def test_empirical_shape_knows_masses_but_not_the_cell() -> None:
    batch = crystals([57, 1, 1], [57, 57, 1, 1, 1, 1], [13], [13] * 4, [41])
    shape = empirical_dos(batch, [500.0, 500.0, 400.0, 400.0, 400.0])
    np.testing.assert_allclose(shape.highest_meV[[0, 2, 2]], shape.highest_meV[[1, 3, 4]])
    np.testing.assert_allclose(2 * shape.dos[0], shape.dos[1])
    np.testing.assert_allclose(4 * shape.dos[2], shape.dos[3])
    np.testing.assert_allclose(shape.dos[2], shape.dos[4])  # an element has one band: only the scale is left
    hydride = shape.dos[0]
    omega = np.linspace(0, shape.highest_meV[0], len(hydride))
    light = omega[100:][hydride[100:].argmax()]
    heavy = omega[:100][hydride[:100].argmax()]
    assert light / heavy == pytest.approx(np.sqrt(138.905 / 1.008), rel=0.1)


def test_overlap() -> None:
    a, b = np.array([0.0, 1, 3, 0, 0]), np.array([0.0, 0, 0, 2, 2])
    assert overlap(a, 5 * a) == pytest.approx(1)
    assert overlap(a, b) == pytest.approx(0)
    assert overlap(a, [0, 2, 2, 0, 0]) == pytest.approx(0.75)
    np.testing.assert_allclose(overlap(np.stack([a, b]), a), [1, 0], atol=1e-12)
    assert np.isnan(overlap(a, np.zeros(5)))


@pytest.mark.skipif(not SPECTRA.is_file(), reason=f"{SPECTRA} is not there; set ONNES_DATA")
@pytest.mark.parametrize("debye_K", [200.0, 275.0])
def test_niobium_without_phonons(debye_K) -> None:
    """A real alpha2F from its three moments and the mass alone."""
    row = pq.read_table(SPECTRA).to_pylist()[0]
    wanted = bin_spectrum(row["omega_meV"], row["alpha2f"])
    fit = alpha2f_of_moments(
        empirical_dos(crystals([41]), [debye_K]), row["lambda_"], row["omega_log_K"], row["omega2_K"]
    )
    assert not fit.adjusted[0]
    assert overlap(fit.alpha2f[0], wanted) > 0.8
