import pytest

from onnes.campaign.expected_transition import expected_transition
from onnes.physics.allen_dynes import allen_dynes_tc_K

LAMBDA, LOG_K, SECOND_K = 0.8, 250.0, 300.0


def tc(lambda_=LAMBDA, mu_star=0.10):
    return float(allen_dynes_tc_K(lambda_, LOG_K, SECOND_K, mu_star=mu_star))


def row(**changes):
    """A row as the model writes it: the interval is one of lambda."""
    return {
        "tc_K": tc(), "mu_star": 0.10, "tc_lo_K": tc(0.6), "tc_hi_K": tc(1.1), "tc_mu016_K": tc(mu_star=0.16),
        "lambda_": LAMBDA, "omega_log_K": LOG_K, "omega2_K": SECOND_K, "tc_model": "structure", "in_domain": True,
    } | changes  # fmt: skip


def test_the_interval_is_carried_to_the_other_mu_star():
    first, second = expected_transition(row()).values
    assert (first.mu_star, second.mu_star) == (0.10, 0.16)
    assert (first.tc_K, first.tc_lo_K, first.tc_hi_K) == pytest.approx((tc(), tc(0.6), tc(1.1)))
    expected = (tc(mu_star=0.16), tc(0.6, 0.16), tc(1.1, 0.16))
    assert (second.tc_K, second.tc_lo_K, second.tc_hi_K) == pytest.approx(expected, rel=1e-6)
    assert "model structure" in first.source
    assert "tc_mu016_K" in second.source


def test_any_mu_star():
    (value,) = expected_transition(row(), mu_stars=[0.13]).values
    assert value.tc_K == pytest.approx(tc(mu_star=0.13))
    assert value.tc_lo_K == pytest.approx(tc(0.6, 0.13), rel=1e-6)
    assert "Allen and Dynes" in value.source


def test_moments_that_do_not_give_the_tc_are_not_used():
    found = expected_transition(row(tc_K=tc() + 2), mu_stars=[0.10, 0.13, 0.16])
    assert [value.mu_star for value in found.values] == [0.10, 0.16]
    assert found.values[1].tc_lo_K is None


def test_without_moments_the_table_alone_counts():
    bare = {"tc_K": 5.0, "mu_star": 0.10}
    (value,) = expected_transition(bare).values
    assert (value.tc_K, value.tc_lo_K, value.tc_hi_K) == (5.0, None, None)
    assert expected_transition({"tc_K": None}) is None
    assert expected_transition({"tc_K": 5.0}, mu_stars=[0.13]) is None


def test_an_interval_that_begins_at_zero():
    found = expected_transition(row(tc_lo_K=0.0))
    assert [value.tc_lo_K for value in found.values] == [0.0, 0.0]
    assert (found.measure_down_to_K, found.cryostat) == (1.8, "pumped helium-4")
    assert "may also have none" in found.text
    assert expected_transition(row(tc_lo_K=0.0), mu_stars=[0.05]).values[0].tc_lo_K is None


@pytest.mark.parametrize(
    ("low", "down_to", "words"),
    [(4.0, 1.8, "measure to 1.8 K (pumped helium-4)"), (3.0, 0.4, "only helium-3 (0.4 K)"),
     (0.5, 0.05, "dilution refrigerator"), (0.05, 0.05, "no common cryostat")],
)  # fmt: skip
def test_how_far_to_cool(low, down_to, words):
    found = expected_transition({"tc_K": 9.0, "tc_lo_K": low, "tc_hi_K": 12.0})
    assert found.measure_down_to_K == down_to
    assert words in found.text
    assert f"between {low:.1f} and 12.0 K" in found.text
    assert "--no-transition-above 1.8" in found.text
    assert "limit, not a zero" in found.text


def test_reasons_to_distrust_are_told():
    assert expected_transition(row(is_metal_probability=0.9, phonon_grade="stable")).notes == ()
    doubtful = {"is_metal_probability": 0.3, "is_magnetic": True, "phonon_grade": "unstable", "warnings": "unlike"}
    notes = " ".join(expected_transition(row(**doubtful)).notes)
    for words in ("unlike", "magnetic", "only 0.30", "unstable"):
        assert words in notes
    assert expected_transition(row(in_domain=False)).notes == ("Outside the domain of the model.",)
