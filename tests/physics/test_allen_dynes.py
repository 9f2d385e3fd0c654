import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnes.physics.allen_dynes import MU_STAR, MU_STAR_HIGH, allen_dynes_factors, allen_dynes_tc_K, mcmillan_tc_K

# lambda, f1, f2, Tc with f1 f2, Tc plain (mu* = 0.10), Tc with f1 f2 at mu* = 0.16 and 0.21; omega_log 300 K, omega2 360 K
WORKED = [
    (0.1, 1, 1, 0, 0, 0, 0),
    (0.3, 1.0087, 1.0014, 0.146, 0.145, 0.001, 0.000),
    (0.5, 1.0185, 1.0039, 3.729, 3.647, 1.181, 0.246),
    (0.8, 1.0368, 1.0096, 14.716, 14.059, 9.188, 5.462),
    (1.0, 1.0507, 1.0146, 22.272, 20.892, 15.854, 11.139),
    (1.5, 1.0896, 1.0302, 38.387, 34.198, 30.860, 25.088),
    (2.0, 1.1324, 1.0480, 51.210, 43.151, 42.824, 36.480),
    (3.0, 1.2233, 1.0831, 71.523, 53.983, 61.317, 53.847),
]
LAMBDA, F1, F2, FULL, PLAIN, AT_016, AT_021 = np.array(WORKED, dtype=float).T
TABLE = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "allen_dynes_table.parquet"
HALF_DIGIT = 5.1e-4  # the worked values have three decimals


@pytest.mark.parametrize(("mu_star", "wanted"), [(0.10, FULL), (0.16, AT_016), (0.21, AT_021)])
def test_worked_values_with_both_corrections(mu_star, wanted) -> None:
    tc = allen_dynes_tc_K(LAMBDA, 300.0, 360.0, mu_star=mu_star)
    np.testing.assert_allclose(tc, wanted, rtol=0, atol=HALF_DIGIT)


def test_worked_values_of_the_plain_form() -> None:
    tc = allen_dynes_tc_K(LAMBDA, 300.0, 360.0, strong_coupling=False)
    np.testing.assert_allclose(tc, PLAIN, rtol=0, atol=HALF_DIGIT)


def test_worked_values_of_each_correction() -> None:
    plain = allen_dynes_tc_K(LAMBDA[1:], 300.0, strong_coupling=False)
    with_f1 = allen_dynes_tc_K(LAMBDA[1:], 300.0)
    with_both = allen_dynes_tc_K(LAMBDA[1:], 300.0, 360.0)
    np.testing.assert_allclose(with_f1 / plain, F1[1:], atol=5.1e-5)
    np.testing.assert_allclose(with_both / with_f1, F2[1:], atol=5.1e-5)


def test_factors() -> None:
    f1, f2 = allen_dynes_factors(LAMBDA[1:], 300.0, 360.0)
    np.testing.assert_allclose(f1, F1[1:], atol=5.1e-5)
    np.testing.assert_allclose(f2, F2[1:], atol=5.1e-5)
    assert np.shape(allen_dynes_factors(np.ones((2, 1)), [300.0, 200.0, 100.0], 360.0)) == (2, 2, 3)
    for mu_star in (0.10, 0.16, 0.21):
        plain = allen_dynes_tc_K(LAMBDA, 300.0, strong_coupling=False, mu_star=mu_star)
        product = np.prod(allen_dynes_factors(LAMBDA, 300.0, 360.0, mu_star=mu_star), axis=0)
        np.testing.assert_allclose(plain * product, allen_dynes_tc_K(LAMBDA, 300.0, 360.0, mu_star=mu_star))
    assert allen_dynes_factors([1.0, np.nan], [300.0, 300.0], np.nan)[1].tolist() == [1.0, 1.0]


def test_lead_as_in_the_paper() -> None:
    plain = float(allen_dynes_tc_K(1.55, 56.0, 65.0, mu_star=0.105, strong_coupling=False))
    f1, f2 = allen_dynes_factors(1.55, 56.0, 65.0, mu_star=0.105)
    assert plain == pytest.approx(6.49, abs=0.005)
    assert float(f1) == pytest.approx(1.092, abs=5e-4)
    assert float(f2) == pytest.approx(1.026, abs=5e-4)
    assert float(allen_dynes_tc_K(1.55, 56.0, 65.0, mu_star=0.105)) == pytest.approx(7.27, abs=0.005)


@pytest.mark.parametrize(
    ("lam", "omega_log", "omega2", "at_015", "at_010"),
    [
        (0.4237, 337.5, 366.6, 0.513, 1.968),
        (1.1506, 223.9, 239.0, 16.146, 20.339),
        (1.3004, 62.3, 70.0, 5.458, 6.688),
        (0.7518, 703.6, 771.5, 19.673, 30.001),
    ],
    ids=["Al", "Nb", "Pb", "MgB2"],
)
def test_computed_metals(lam, omega_log, omega2, at_015, at_010) -> None:
    # the moments are known to four digits, and weak coupling multiplies the rounding of lambda
    for mu_star, wanted in [(0.15, at_015), (0.10, at_010)]:
        low, high = (
            float(allen_dynes_tc_K(lam + s * 5e-5, omega_log + s * 0.05, omega2 + s * 0.05, mu_star=mu_star))
            for s in (-1, 1)
        )
        assert low - 5e-4 <= wanted <= high + 5e-4
        assert high - low < 3e-3 * wanted


def test_mcmillan() -> None:
    assert float(mcmillan_tc_K(0.82, 277.0, mu_star=0.13)) == pytest.approx(9.2, abs=0.05)  # niobium, in his table
    assert float(mcmillan_tc_K(0.38, 428.0, mu_star=0.10)) == pytest.approx(1.16, abs=0.1)  # aluminium
    plain = allen_dynes_tc_K(LAMBDA, 300.0, strong_coupling=False)
    np.testing.assert_allclose(mcmillan_tc_K(LAMBDA, 300.0), plain * 1.2 / 1.45, rtol=1e-12)
    assert mcmillan_tc_K(LAMBDA[:, None], [200.0, 400.0]).shape == (len(LAMBDA), 2)
    assert np.isnan(mcmillan_tc_K([np.nan, 1.0, 0.05], [300.0, np.nan, 300.0])).tolist() == [True, True, False]


def test_defaults_are_the_two_values_that_are_always_reported() -> None:
    assert (MU_STAR, MU_STAR_HIGH) == (0.10, 0.16)
    assert allen_dynes_tc_K(1.0, 300.0) == allen_dynes_tc_K(1.0, 300.0, mu_star=0.10)


@pytest.mark.parametrize(
    ("mu_star", "limit"),
    [(0.09, 0.0953), (0.10, 0.1066), (0.13, 0.1414), (0.15, 0.1654), (0.16, 0.1776), (0.21, 0.2414)],
)
def test_no_solution_below_the_limit(mu_star, limit) -> None:
    below = np.array([-1.0, 0.0, 0.5 * limit, limit - 1e-4])
    assert (allen_dynes_tc_K(below, 1000.0, 1500.0, mu_star=mu_star) == 0).all()
    assert (mcmillan_tc_K(below, 1000.0, mu_star=mu_star) == 0).all()
    assert limit == pytest.approx(mu_star / (1 - 0.62 * mu_star), abs=5e-5)
    just_above = float(allen_dynes_tc_K(limit + 1e-4, 1000.0, 1500.0, mu_star=mu_star))
    assert 0 <= just_above < 1e-6
    assert 0 < float(allen_dynes_tc_K(3 * limit, 1000.0, mu_star=mu_star)) < 1000


def test_limit_of_strong_coupling() -> None:
    lam, omega2 = 1e7, 360.0
    tc = float(allen_dynes_tc_K(lam, 300.0, omega2, mu_star=0.0))
    assert tc / (omega2 * np.sqrt(lam)) == pytest.approx(np.exp(-1.04) / (1.2 * np.sqrt(2.46)), rel=1e-4)
    assert tc / (omega2 * np.sqrt(lam)) == pytest.approx(0.18780, abs=2e-5)


def test_shapes_broadcast() -> None:
    lam = np.linspace(0.2, 2, 6).reshape(2, 3)
    tc = allen_dynes_tc_K(lam, 300.0, np.full((2, 3), 360.0))
    assert tc.shape == (2, 3)
    assert tc[1, 2] == allen_dynes_tc_K(lam[1, 2], 300.0, 360.0)
    assert allen_dynes_tc_K(1.0, 300.0).shape == ()
    assert allen_dynes_tc_K(lam[:, :1], np.array([100.0, 200.0, 300.0])).shape == (2, 3)
    assert allen_dynes_tc_K([], []).shape == (0,)


def test_missing_values() -> None:
    tc = allen_dynes_tc_K([np.nan, 1.0, 1.0, 0.05], [300.0, np.nan, 300.0, 300.0], [360.0, 360.0, np.nan, np.nan])
    assert np.isnan(tc[:2]).all()
    assert tc[2] == allen_dynes_tc_K(1.0, 300.0)  # an unknown omega2 leaves f2 at 1
    assert tc[3] == 0


LAMBDAS = st.floats(0.0, 10.0)
MU_STARS = st.floats(0.0, 0.25)


@given(LAMBDAS, LAMBDAS, st.floats(10, 2000), st.floats(1, 2), MU_STARS)
def test_tc_rises_with_lambda(one, other, omega_log, ratio, mu_star) -> None:
    low, high = allen_dynes_tc_K(sorted([one, other]), omega_log, omega_log * ratio, mu_star=mu_star)
    assert 0 <= low <= high * (1 + 1e-12)


@given(LAMBDAS, st.floats(10, 2000), st.floats(1, 3), MU_STARS)
def test_corrections_never_lower_tc(lam, omega_log, ratio, mu_star) -> None:
    plain = allen_dynes_tc_K(lam, omega_log, mu_star=mu_star, strong_coupling=False)
    f1_only = allen_dynes_tc_K(lam, omega_log, mu_star=mu_star)
    both = allen_dynes_tc_K(lam, omega_log, omega_log * ratio, mu_star=mu_star)
    assert plain <= f1_only <= both * (1 + 1e-12)
    assert both <= f1_only * ratio * (1 + 1e-12)  # f2 lies between 1 and omega2/omega_log


@given(st.floats(0.3, 5), st.floats(10, 2000), st.floats(0.0, 0.2), st.floats(0.001, 0.05))
def test_repulsion_lowers_tc(lam, omega_log, mu_star, more) -> None:
    assert allen_dynes_tc_K(lam, omega_log, mu_star=mu_star + more) < allen_dynes_tc_K(lam, omega_log, mu_star=mu_star)


@pytest.mark.skipif(not TABLE.is_file(), reason=f"{TABLE} is not there; set ONNES_DATA")
def test_table_of_allen_and_dynes() -> None:
    rows = pq.read_table(TABLE).to_pylist()
    assert len(rows) > 40
    for row in rows:
        omega2 = np.nan if row["omega2_K"] is None else row["omega2_K"]
        tc = float(allen_dynes_tc_K(row["lambda_"], row["omega_log_K"], omega2, mu_star=row["mu_star"]))
        assert tc == pytest.approx(row["tc_allen_dynes_recomputed_K"], abs=1e-5), row["material"]
    misses = np.array([r["tc_K"] - r["tc_allen_dynes_recomputed_K"] for r in rows if r["table"] == "AllenDynes1975"])
    assert np.abs(misses).mean() == pytest.approx(0.21, abs=0.005)
    measured = [(r["tc_allen_dynes_recomputed_K"], r["tc_K"]) for r in rows if r["table"] == "AllenDynes1975"]
    error = np.array([abs(tc / seen - 1) for tc, seen in measured])
    assert len(error) == 29
    assert np.median(error) < 0.03  # the formula was fitted to these
    assert error.max() < 0.15
