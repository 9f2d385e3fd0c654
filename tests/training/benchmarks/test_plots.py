"""Figures of benchmarks: they are made, hold the numbers, and are the same bytes for the same input."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from onnes.errors import ConfigError
from onnes.training.benchmarks.plots.calibration import calibration, error_by_spread, reliability
from onnes.training.benchmarks.plots.parity import MAX_POINTS, parity
from onnes.training.benchmarks.plots.ranking import precision_recall, roc
from onnes.training.benchmarks.plots.spectra import spectra

TRUTH = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
GUESS = np.array([0.5, 1.0, 2.0, 3.0, 3.0])
LABELS = np.array([False, False, True, False, True, True])
SCORE = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
LEVELS = np.array([0.5, 0.8, 0.9])
OMEGA_MEV = np.arange(0.25, 101, 2.0)


def made_up(n: int, seed: int = 0):
    """Truth, prediction and a spread that grows with the truth and is honest."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(1.0, 4.0, n)
    spread = 0.1 + 0.2 * truth
    return truth, truth + spread * rng.normal(size=n), spread


FIGURES = {
    "parity": lambda path: parity(path, TRUTH, GUESS, unit="K", name="Tc"),
    "roc": lambda path: roc(path, {"a": (LABELS, SCORE)}, mark=4.0),
    "precision_recall": lambda path: precision_recall(path, {"a": (LABELS, SCORE)}, mark=4.0),
    "calibration": lambda path: calibration(path, LEVELS, LEVELS - 0.1, n=100),
    "reliability": lambda path: reliability(path, SCORE / 10, LABELS),
    "error_by_spread": lambda path: error_by_spread(path, TRUTH - GUESS, TRUTH, unit="K"),
    "spectra": lambda path: spectra(path, {"DFT": (OMEGA_MEV, np.exp(-OMEGA_MEV / 9))}, "Nb"),
}


def texts(path) -> list[str]:
    """Words of an SVG, line by line."""
    return [e.text or "" for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_bytes_twice_and_the_global_settings_untouched(name, tmp_path) -> None:
    before = dict(mpl.rcParams)
    FIGURES[name](tmp_path / "new" / "one.svg")
    FIGURES[name](tmp_path / "two.svg")
    svg = (tmp_path / "two.svg").read_bytes()
    assert svg == (tmp_path / "new" / "one.svg").read_bytes()
    assert b"<svg" in svg
    assert not re.search(rb"dc:date|Matplotlib v", svg)
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", FIGURES)
def test_png_by_suffix(name, tmp_path) -> None:
    FIGURES[name](tmp_path / "a.png")
    FIGURES[name](tmp_path / "b.PNG")
    png = (tmp_path / "a.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert png == (tmp_path / "b.PNG").read_bytes()


def test_another_suffix_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"a\.pdf: figures are written as \.svg or \.png"):
        FIGURES["parity"](tmp_path / "a.pdf")
    assert not list(tmp_path.iterdir())


def test_parity_scores(tmp_path) -> None:
    found = parity(tmp_path / "a.svg", TRUTH, GUESS, unit="K", name="Tc")
    assert found == pytest.approx({"n": 5, "mae": 0.3, "r2": 1 - 1.25 / 10})
    shown = texts(tmp_path / "a.svg")
    assert {"n = 5", "MAE = 0.3 K", "R² = 0.88", "true Tc (K)", "predicted Tc (K)"} <= set(shown)


def test_parity_leaves_out_what_is_not_finite(tmp_path) -> None:
    truth, guess = np.append(TRUTH, [np.nan, 7.0]), np.append(GUESS, [1.0, np.inf])
    assert parity(tmp_path / "a.svg", truth, guess, unit="", name="x")["n"] == 5
    assert "MAE = 0.3" in texts(tmp_path / "a.svg")
    assert "true x" in texts(tmp_path / "a.svg")


def test_logarithmic_parity_counts_what_it_cannot_place(tmp_path) -> None:
    found = parity(tmp_path / "a.svg", TRUTH, GUESS, unit="K", name="Tc", log=True)
    assert found["mae"] == pytest.approx(0.3)  # of all rows
    assert "1 not above 0" in texts(tmp_path / "a.svg")
    with pytest.raises(ConfigError, match="without log=True"):
        parity(tmp_path / "b.svg", -TRUTH, GUESS, unit="K", name="Tc", log=True)


def test_many_points_become_a_density(tmp_path) -> None:
    truth, guess, spread = made_up(MAX_POINTS + 1)
    parity(tmp_path / "many.svg", truth, guess, unit="K", name="Tc")
    parity(tmp_path / "few.svg", truth[1:], guess[1:], unit="K", name="Tc")
    parity(tmp_path / "spread.svg", truth, guess, unit="K", name="Tc", spread=spread)
    parity(tmp_path / "few-spread.svg", truth[1:], guess[1:], unit="K", name="Tc", spread=spread[1:])
    assert "rows" in texts(tmp_path / "many.svg")
    assert "rows" not in texts(tmp_path / "few.svg")
    assert "median predicted spread (K)" in texts(tmp_path / "spread.svg")
    assert "predicted spread (K)" in texts(tmp_path / "few-spread.svg")


def test_parity_of_a_constant_has_no_r2(tmp_path) -> None:
    assert np.isnan(parity(tmp_path / "a.svg", [2.0, 2.0], [1.0, 2.0], unit="K", name="Tc")["r2"])


def test_roc(tmp_path) -> None:
    curves = {"good": (LABELS, SCORE), "reversed": (LABELS, -SCORE)}
    found = roc(tmp_path / "a.svg", curves, mark=4.0, points={"BEE-NET": (0.04, 0.61)})
    assert found == pytest.approx({"good": 8 / 9, "reversed": 1 / 9})
    shown = texts(tmp_path / "a.svg")
    assert {"good (AUC 0.889)", "reversed (AUC 0.111)", "circle: score ≥ 4", "BEE-NET (0.04, 0.61)"} <= set(shown)


def test_precision_recall(tmp_path) -> None:
    found = precision_recall(tmp_path / "a.svg", {"good": (LABELS, SCORE)}, mark=99.0)  # nothing above the mark
    assert found["good"] == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert {"good (AP 0.917)", "prevalence 0.500", "recall", "precision"} <= set(texts(tmp_path / "a.svg"))
    precision_recall(tmp_path / "b.svg", {"good": (LABELS, SCORE)}, prevalence=False)
    assert not any("prevalence" in text for text in texts(tmp_path / "b.svg"))


def test_curves_need_both_classes(tmp_path) -> None:
    for draw in (roc, precision_recall):
        with pytest.raises(ConfigError, match="hot: all 6 rows are of one class"):
            draw(tmp_path / "a.svg", {"hot": (np.ones(6, bool), SCORE)})


def test_calibration(tmp_path) -> None:
    curves = {"low": LEVELS - [0.0, 0.1, 0.2], "exact": LEVELS}
    found = calibration(tmp_path / "a.svg", LEVELS, curves, n=743)
    assert found == pytest.approx({"low": 0.1, "exact": 0.0})
    shown = texts(tmp_path / "a.svg")
    assert {"low (mean gap 0.100)", "95 % for n = 743", "nominal coverage", "observed coverage"} <= set(shown)
    with pytest.raises(ConfigError, match="not percent"):
        calibration(tmp_path / "b.svg", LEVELS, 100 * LEVELS)


def test_reliability(tmp_path) -> None:
    # a quarter of the rows said 0.1 and seen never, the others said 0.9 and seen always
    probability, truth = np.array([0.1] * 10 + [0.9] * 30), np.array([False] * 10 + [True] * 30)
    found = reliability(tmp_path / "a.svg", probability, truth)
    assert found == pytest.approx({"brier": 0.01, "ece": 0.1})
    assert {"n = 40", "Brier = 0.010", "ECE = 0.100"} <= set(texts(tmp_path / "a.svg"))
    with pytest.raises(ConfigError, match="outside 0 to 1"):
        reliability(tmp_path / "b.svg", SCORE, LABELS)


def test_reliability_at_the_edges(tmp_path) -> None:
    found = reliability(tmp_path / "a.svg", [0.0, 1.0], [False, True])
    assert found == {"brier": 0.0, "ece": 0.0}


def test_error_by_spread(tmp_path) -> None:
    error = np.array([1.0, -1, 2, -2, 3, -3, 4, -4, 5, -5])
    found = error_by_spread(tmp_path / "a.svg", error, np.abs(error), unit="K", name="error of Tc")
    assert found == pytest.approx({"spearman": 1.0} | {f"median_error_{i}": i for i in range(1, 6)})
    shown = texts(tmp_path / "a.svg")
    assert {"median |error of Tc| (K)", "Spearman = 1.00", "n = 10"} <= set(shown)
    assert set("12345") <= set(shown)  # the medians above their bars
    backwards = error_by_spread(tmp_path / "b.svg", error, -np.abs(error), n_bins=2)
    assert backwards["spearman"] == pytest.approx(-1)
    assert backwards["median_error_1"] > backwards["median_error_2"]


def test_error_by_spread_finds_the_trend_of_honest_spreads(tmp_path) -> None:
    truth, guess, spread = made_up(1000)
    found = error_by_spread(tmp_path / "a.svg", guess - truth, spread)
    medians = [found[f"median_error_{i}"] for i in range(1, 6)]
    assert medians == sorted(medians)
    with pytest.raises(ConfigError, match="3 rows cannot fill 5 bins"):
        error_by_spread(tmp_path / "b.svg", [1, 2, 3], [1, 2, 3])


def test_spectra(tmp_path) -> None:
    tail = np.where(OMEGA_MEV < 40, 0.5, 0.0)
    curves = {"DFT": (OMEGA_MEV, tail), "$predicted_x$": (OMEGA_MEV, 0.9 * tail)}
    spectra(tmp_path / "a.svg", curves, "Nb$_3$Sn")
    shown = texts(tmp_path / "a.svg")
    assert {"DFT", "$predicted_x$", "Nb$_3$Sn", "energy ω (meV)", "α²F(ω)"} <= set(shown)
    assert "40" in shown
    assert "60" not in shown  # the axis ends where the spectrum does


@pytest.mark.parametrize(
    ("draw", "fault"),
    [
        (lambda p: parity(p, [], [], unit="K", name="Tc"), "Tc: nothing to draw, 0 rows"),
        (lambda p: parity(p, [np.nan], [1.0], unit="K", name="Tc"), "Tc: nothing to draw, 1 rows"),
        (lambda p: parity(p, [1.0], [1.0, 2.0], unit="K", name="Tc"), "Tc: lengths differ"),
        (lambda p: roc(p, {}), "no curve to draw"),
        (lambda p: roc(p, {"a": ([], [])}), "a: nothing to draw"),
        (lambda p: precision_recall(p, {}), "no curve to draw"),
        (lambda p: calibration(p, [], []), "nothing to draw"),
        (lambda p: calibration(p, LEVELS, {}), "no curve to draw"),
        (lambda p: reliability(p, [], []), "nothing to draw"),
        (lambda p: error_by_spread(p, [], []), "nothing to draw"),
        (lambda p: spectra(p, {}), "no spectrum to draw"),
        (lambda p: spectra(p, {"DFT": ([], [])}), "DFT: nothing to draw"),
    ],
)
def test_nothing_to_draw_is_said_and_leaves_no_file(draw, fault, tmp_path) -> None:
    with pytest.raises(ConfigError, match=fault):
        draw(tmp_path / "a.svg")
    assert not (tmp_path / "a.svg").exists()
