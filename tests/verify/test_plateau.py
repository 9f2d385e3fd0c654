"""Choice of the plateau of lambda(sigma)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnes.errors import VerificationError
from onnes.verify.plateau import MAX_DRIFT, MAX_SPREAD, find_plateau, first_resolved

SIGMAS = 0.005 * np.arange(1, 11)
AL_222 = [0.019, 0.219, 0.310, 0.323, 0.320, 0.315, 0.310, 0.307, 0.306, 0.306]  # two processes, ibrav = 2
AL_444 = [0.303, 0.442, 0.428, 0.398, 0.376, 0.366, 0.365, 0.369, 0.375, 0.382]
AL_DOS = [1.339, 1.882, 2.123, 2.250, 2.330, 2.396, 2.455, 2.508, 2.553, 2.590]
MGB2_222 = [3.439, 2.124, 1.794, 1.582, 1.425, 1.303, 1.201, 1.112, 1.032, 0.960]  # recorded/mgb2, by the star weights
SIMPLE_CUBIC = [1.795, 0.697, 0.346, 0.232, 0.191, 0.172, 0.160, 0.151, 0.143, 0.137]  # lambda.x on recorded/sc2


def power_law(first, last, *, start=0.015):
    """A curve that falls evenly between two values at ``start`` and 0.050 Ry, on doubly logarithmic axes."""
    return first * (SIGMAS / start) ** (np.log(last / first) / np.log(0.050 / start))


@pytest.mark.parametrize("dos", [None, AL_DOS])
@pytest.mark.parametrize(
    ("curve", "edges", "mean"), [(AL_222, (0.035, 0.05), 0.3073), (AL_444, (0.025, 0.045), 0.3702)]
)
def test_aluminium(curve, edges, mean, dos) -> None:
    plateau = find_plateau(SIGMAS, curve, dos)
    assert plateau is not None
    assert plateau.sigma_Ry == pytest.approx(edges)
    assert plateau.lambda_ == pytest.approx(mean, abs=1e-4)
    inside = np.array(curve)[plateau.window]
    assert plateau.lambda_std == pytest.approx(np.ptp(inside) / 2)
    assert plateau.spread < 0.035
    assert plateau.drift < 0.013


@pytest.mark.parametrize(
    "curve",
    [power_law(1.12, 0.71), power_law(1.45, 0.71, start=0.005), power_law(1.80, 0.98), MGB2_222, SIMPLE_CUBIC],
    ids=["Nb", "Nb from 0.005 Ry", "MgB2", "MgB2 recorded", "simple cubic"],
)
def test_curves_that_fall_have_none(curve) -> None:
    assert find_plateau(SIGMAS, curve) is None


def test_thresholds_lie_between_flat_and_falling_curves() -> None:
    flat = [find_plateau(SIGMAS, curve) for curve in (AL_222, AL_444)]
    falling = [np.ptp(curve[-4:]) / np.mean(curve[-4:]) for curve in (power_law(1.12, 0.71), power_law(1.80, 0.98))]
    assert max(plateau.spread for plateau in flat) < MAX_SPREAD < min(falling)
    assert max(plateau.drift for plateau in flat) < MAX_DRIFT < min(falling)


@pytest.mark.parametrize(
    ("curve", "dos", "start"),
    [
        (AL_222, None, 2),
        (AL_444, None, 1),
        (AL_444, AL_DOS, 2),
        (MGB2_222, None, 1),
        ([0.4] * 10, None, 0),
        ([0.4] * 10, [2.0] * 10, 0),
        ([0.0, 0.0, 0.0, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4], None, 3),
        ([0.4] * 8 + [0.2, 0.2], None, 0),  # a jump at large widths is not from the k grid
    ],
)
def test_widths_too_small_for_the_k_grid(curve, dos, start) -> None:
    assert first_resolved(SIGMAS, curve, dos) == start


def test_garbage_at_small_widths_is_not_chosen_for_being_flat() -> None:
    garbage = [0.0200, 0.0200, 0.0200, 0.0200, 0.300, 0.310, 0.320, 0.322, 0.310, 0.300]
    plateau = find_plateau(SIGMAS, garbage)
    assert plateau is not None
    assert plateau.first >= 4
    # the same flat start, given away by the density of states alone
    dos = [0.1, 0.2, 0.5, 1.0, 2.0, 2.1, 2.1, 2.1, 2.1, 2.1]
    plateau = find_plateau(SIGMAS, [0.30] * 5 + [0.31, 0.32, 0.33, 0.33, 0.33], dos)
    assert plateau is not None
    assert plateau.first >= 4


def test_width_without_lambda_is_never_inside() -> None:
    curve = np.full(10, 0.4)
    curve[6] = np.nan
    plateau = find_plateau(SIGMAS, curve)
    assert plateau is not None
    assert (plateau.first, plateau.last) in {(0, 3), (0, 4), (0, 5), (1, 4), (1, 5), (2, 5)}
    curve[2] = np.nan
    assert find_plateau(SIGMAS, curve) is None


def test_needs_four_widths_of_ten() -> None:
    assert find_plateau(SIGMAS[:3], [0.4] * 3) is None
    assert find_plateau(SIGMAS[:4], [0.4] * 4) is not None
    fine = 0.0025 * np.arange(1, 21)
    curve = 0.4 * 1.2 ** (np.arange(20) - 10.0)
    curve[10:17] = curve[10]  # seven flat widths of twenty
    assert find_plateau(fine, curve) is None
    curve[10:18] = curve[10]
    assert find_plateau(fine, curve).sigma_Ry == pytest.approx((fine[10], fine[17]))


@given(st.lists(st.floats(0.05, 3.0), min_size=4, max_size=12), st.floats(0.1, 10.0))
def test_result_keeps_its_promises_at_any_scale(curve, scale) -> None:
    sigmas = 0.005 * np.arange(1, len(curve) + 1)
    plateau, scaled = find_plateau(sigmas, curve), find_plateau(sigmas, scale * np.array(curve))
    assert (plateau is None) == (scaled is None) or abs(plateau_margin(plateau or scaled)) < 1e-9
    if plateau is not None:
        inside = np.array(curve)[plateau.window]
        assert len(inside) >= 4
        assert np.ptp(inside) <= (MAX_SPREAD + 1e-12) * inside.mean()
        assert plateau.lambda_ == pytest.approx(inside.mean())


def plateau_margin(plateau):
    return min(MAX_SPREAD - plateau.spread, MAX_DRIFT - plateau.drift)


@pytest.mark.parametrize(("sigmas", "curve"), [([0.01, 0.02], [0.3]), ([0.02, 0.01], [0.3, 0.3]), ([[0.01]], [[0.3]])])
def test_wrong_input(sigmas, curve) -> None:
    with pytest.raises(VerificationError):
        find_plateau(sigmas, curve)
