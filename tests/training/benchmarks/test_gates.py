import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from onnes.campaign.funnels import load_funnel
from onnes.flow.funnel import Funnel
from onnes.tools.gates_benchmark import funnel_gates
from onnes.training.benchmarks import gates as module
from onnes.training.benchmarks.gates import FunnelGate, benchmark_gates
from onnes.training.benchmarks.operating import LabelledSet


def made(label, sign=1.0, seed=0):
    rng = np.random.default_rng(seed)

    def rows(n):
        truth = rng.random(n) < 0.25
        return truth, sign * (2.0 + 2 * truth + rng.normal(size=n))

    truth, score = rows(400)
    chosen, chosen_score = rows(800)
    return LabelledSet(f"{label}, made up", truth, score, chosen, chosen_score, rng.integers(0, 5, 800))


@pytest.fixture
def sets(monkeypatch):
    found = {"tc": made("Alexandria"), "metal": made("MP", seed=1), "hull": [made("MP", -1.0, 2), made("WBM", -1.0, 3)]}
    found["asked"] = []
    monkeypatch.setattr(module, "tc_set", lambda model, **_: found["asked"].append(model) or found["tc"])
    monkeypatch.setattr(module, "metal_set", lambda model, **_: found["asked"].append(model) or found["metal"])
    monkeypatch.setattr(module, "hull_sets", lambda model, **_: found["asked"].append(model) or found["hull"])
    return found


GATES = [
    FunnelGate("quick-tc", "tc_K", 3.0, model="fast"),
    FunnelGate("tc", "tc_K", 4.0, model="fast"),
    FunnelGate("near-hull", "e_above_hull_eV_per_atom", 3.0, upper=True, model="sevennet-0"),
    FunnelGate("phonons", "min_phonon_THz", -0.5),
]


def test_each_gate_at_its_threshold_and_at_those_for_a_recall(sets) -> None:
    result = benchmark_gates(GATES)
    assert [row[0] for row in result.rows] == ["quick-tc"] * 3 + ["tc"] * 3 + ["near-hull"] * 6
    assert sets["asked"] == ["fast", "sevennet-0"]  # two gates of one model share a set
    truth, score = sets["tc"].truth, sets["tc"].score
    for row, limit in zip(result.rows[:6:3], (3.0, 4.0), strict=True):
        passed = score >= limit
        counts = [int(x.sum()) for x in (truth & passed, truth & ~passed, ~truth & passed, ~truth & ~passed)]
        assert row[3] == " / ".join(map(str, counts))
        assert row[2] == f"at least {limit:.3g} (in use)"
        assert float(row[4]) == pytest.approx(counts[0] / (counts[0] + counts[2]), abs=1e-3)
        assert float(row[5]) == pytest.approx(counts[0] / truth.sum(), abs=1e-3)
        assert row[7] == f"{truth.mean():.3f} / {passed.mean():.3f}"
        assert float(row[8]) == pytest.approx(average_precision_score(truth, score), abs=1e-3)
    # both gates have the same threshold for a recall, the one of the rows to choose on
    threshold = sets["tc"].threshold_for_recall(0.9)
    assert result.values["quick-tc, Alexandria: threshold, for recall 0.9"] == threshold
    assert result.values["tc, Alexandria: threshold, for recall 0.9"] == threshold
    assert result.values["tc, Alexandria: recall, for recall 0.9"] == pytest.approx((score[truth] >= threshold).mean())
    assert result.values["tc, Alexandria: recall, for recall 0.9"] > 0.85
    assert result.values["tc, Alexandria: recall, for recall 0.98"] > 0.95
    assert "phonons (min_phonon_THz)" in result.notes[-1]


def test_an_upper_bound_lets_small_numbers_pass(sets) -> None:
    result = benchmark_gates(GATES[2:3])
    wbm = sets["hull"][1]
    assert result.rows[3][2] == "at most 3 (in use)"
    assert result.values["near-hull, WBM: recall, in use"] == pytest.approx((wbm.score[wbm.truth] >= -3).mean())
    assert result.values["near-hull, WBM: threshold, for recall 0.9"] > 0
    assert result.values["near-hull, WBM: prevalence"] == pytest.approx(wbm.truth.mean())


def test_curves_are_drawn(sets, tmp_path) -> None:
    benchmark_gates(GATES, plots=tmp_path / "plots")
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert names == ["gate-near-hull.svg", "gate-quick-tc.svg", "gate-tc.svg"]
    assert "WBM" in (tmp_path / "plots" / "gate-near-hull.svg").read_text()


def test_gates_are_read_from_the_funnel() -> None:
    gates = {gate.name: gate for gate in funnel_gates(load_funnel())}
    quick = gates["quick-tc"]
    assert (quick.column, quick.model, quick.upper) == ("tc_K", "fast", False)
    assert gates["tc"].model == "structure"
    assert (gates["near-hull"].upper, gates["near-hull"].model) == (True, "sevennet-0")
    assert gates["metal"].limit > gates["quick-metal"].limit > 0


def test_a_gate_with_two_bounds_is_two_gates() -> None:
    text = """
    name = "made-up"
    [[stage]]
    use = "predict"
    model = "electronic"
    [[stage]]
    use = "gate"
    name = "window"
    column = "tc_K"
    min = 2
    max = 80
    [[stage]]
    use = "gate"
    name = "grade"
    column = "phonon_grade"
    equals = "stable"
    """
    assert funnel_gates(Funnel.from_toml(text)) == [
        FunnelGate("window", "tc_K", 2.0, model="electronic"),
        FunnelGate("window", "tc_K", 80.0, upper=True, model="electronic"),
    ]
