from functools import partial
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from onnes.campaign.judgement import judge
from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.tools import agent_benchmark as module
from onnes.tools.agent_benchmark import (
    EXPERIMENTAL,
    PLANNERS,
    RANDOM,
    STRUCTURE,
    benchmark_agent,
    model_scores,
    planner_score,
    rule_order,
    score_rankings,
)
from onnes.tools.pool_predictions import PoolPredictions
from onnes.training.benchmarks.rediscovery import Candidates, formula_systems
from onnes.training.benchmarks.retrieval import retrieval
from onnes.training.benchmarks.unseen_systems import UnseenModel

PAIRS = [f"{a}{x}{b}" for x in (1, 3) for a in ("V", "Nb", "Ta", "Ti", "Zr", "Hf", "Mo", "W", "Re", "Ru", "Sc", "Y", "La", "Ir", "Pt")
         for b in ("Al", "Ga", "Si", "Ge", "Sn", "In", "Pb", "Sb")]  # fmt: skip
N_HOT = 12
LARGE = ["Nb4Zr3Ti5Sn2", "Ba2LaCu3O7", "Ta"]
"""Superconductors unlike the metals: four elements, a cuprate of four, an element."""
METAL_CUPRATES = ["LaCuO2", "YCu2O4"]


def made_predictions(*, tc_knows=True, probability_knows=False, seed=0):
    """Superconductors, some unlike the metals, and metals; a model that knows the answer gives it away in its column."""
    rng = np.random.default_rng(seed)
    formulas = [*PAIRS[:N_HOT], *LARGE, *PAIRS[N_HOT:], *METAL_CUPRATES]
    hot = np.arange(len(formulas)) < N_HOT + len(LARGE)
    n = len(formulas)
    systems = formula_systems(formulas)
    elements = pa.array([[29] * 4 if f in LARGE[:2] else [41, 50] for f in formulas], pa.list_(pa.int16()))
    table = pa.table({"reduced_formula": formulas, "atomic_numbers": elements})
    candidates = Candidates(table, np.where(hot, 9.0, np.nan), systems)
    columns = {
        "tc_K": rng.random(n) + 10.0 * (hot & tc_knows),
        "exp_superconductor_probability": rng.random(n) / 2 + 0.5 * (hot & probability_knows),
        "exp_tc_K": 1 + rng.random(n),
        "nearest_share": np.zeros(n),
        "nearest_tc_K": np.ones(n),
        "e_above_hull_eV_per_atom": np.where(hot, 0.06, 0.0) + 0.01 * rng.random(n) + (np.arange(n) == 3),
    }
    predicted = pa.table(
        {"id": [str(i) for i in range(n)], "reduced_formula": formulas, "atomic_numbers": elements, **columns}
    )
    models = {name: UnseenModel(SimpleNamespace(), 70, 7) for name in ("structure", "experimental", "metal")}
    return PoolPredictions(candidates, predicted, models)


@pytest.fixture
def told(monkeypatch):
    """What the training files hold: nothing of the first nine systems, doped relatives of three more."""
    systems = formula_systems(PAIRS).tolist()
    seen = {"reports": frozenset(systems[9:12]), "computed": frozenset(["Nb"]), "background": frozenset(systems[:2])}
    monkeypatch.setattr(module, "training_systems", lambda: seen)
    relatives = frozenset([f"{system}-Zz" for system in systems[:3]] + systems)
    monkeypatch.setattr(module, "superconducting_systems", lambda: relatives)
    monkeypatch.setattr(module, "REDRAWS", 3)
    monkeypatch.setattr(module, "retrieval", partial(retrieval, draws=40))


def test_who_knows_finds_and_who_does_not_is_at_chance(told) -> None:
    found = score_rankings(made_predictions(), {}).values
    assert found["n"] == 132
    assert found["n_hidden"] == 12
    assert found[f"{STRUCTURE}: recall"] == 1
    assert found[f"{STRUCTURE}: times random"] == pytest.approx(132 / 13)
    assert found[f"{STRUCTURE}: precision at 10"] == 1
    assert found[f"{STRUCTURE}: precision at 50"] == 12 / 50
    assert found[f"{RANDOM}: recall"] == pytest.approx(13 / 132)
    assert found[f"{RANDOM}: precision at 100"] == pytest.approx(12 / 132)
    assert found["5 nearest compositions: share: times random"] == pytest.approx(1)  # all scores are equal
    assert found["energy above hull alone: recall"] == 0
    assert found[f"{STRUCTURE}: times random, near the hull"] == pytest.approx(
        121 / 12
    )  # one hidden formula lies too high
    chance = [score_rankings(made_predictions(seed=s), {}).values[f"{EXPERIMENTAL}: times random"] for s in range(8)]
    assert np.mean(chance) == pytest.approx(1, abs=0.6)


def test_cuprates_are_left_out_on_both_sides(told) -> None:
    predictions = made_predictions()
    assert predictions.candidates.cuprate.sum() == 3
    # the model finds everything but the cuprate, and takes the metals that look like one for superconductors
    tc = np.array(predictions.table["tc_K"].to_pylist())
    tc[predictions.candidates.cuprate & predictions.candidates.superconducts] = -1.0
    tc[predictions.candidates.cuprate & ~predictions.candidates.superconducts] = 99.0
    table = predictions.table.set_column(predictions.table.column_names.index("tc_K"), "tc_K", pa.array(tc))
    result = score_rankings(PoolPredictions(predictions.candidates, table, predictions.models), {})
    found = result.values
    assert found[f"{STRUCTURE}: times random, all hidden"] == pytest.approx(14 / 15 * 165 / 16, rel=0.01)
    assert (
        found[f"{STRUCTURE}: times random, all hidden, without cuprates"]
        > found[f"{STRUCTURE}: times random, all hidden"]
    )
    assert any("0 of 12 hidden, 1 of all 15" in note for note in result.notes)


def test_new_systems_and_doped_relatives_are_counted(told) -> None:
    result = score_rankings(made_predictions(), {"finds some": lambda table: [
        row for row, f in zip(values(table, "id"), values(table, "reduced_formula"), strict=True) if f in PAIRS[:5]
    ]})  # fmt: skip
    # systems 0-8 are new to the files; 0-2 have a doped relative, own systems are left out of the training
    rest = (13 - 5) / (132 - 5)  # a row that the planner leaves out comes somewhere after the five
    found = result.values
    assert found["finds some: times random, new systems"] == pytest.approx((5 + 4 * rest) / 9 * 132 / 13)
    assert found["finds some: times random, no doped relative"] == pytest.approx((2 + 7 * rest) / 9 * 132 / 13)
    rest = (16 - 5) / (165 - 5)
    assert found["finds some: times random, new systems, all hidden"] == pytest.approx((5 + 7 * rest) / 12 * 165 / 16)
    assert found[f"{RANDOM}: times random, new systems"] == 1
    note = next(note for note in result.notes if note.startswith("hidden formulas"))
    assert "structure 12, experimental 7, any of them 7" in note
    assert (
        f"new to the data: in no table of measured or computed superconductivity, 9: {', '.join(sorted(PAIRS[:9]))}"
        in note
    )


def test_the_verdict_is_the_least_of_the_four(told) -> None:
    note = score_rankings(made_predictions(), {}).notes[0]
    reached, missed = note.split("; less: ")
    assert STRUCTURE in reached
    assert EXPERIMENTAL in missed
    assert "3 times random" in reached
    assert RANDOM not in missed.replace("times random", "")


def test_the_same_seed_gives_the_same_table(told) -> None:
    predictions = made_predictions(tc_knows=False)
    first, again, other = (score_rankings(predictions, {}, seed=seed) for seed in (4, 4, 5))
    assert first.markdown() == again.markdown()
    assert first.values != other.values


def test_other_draws_tell_how_much_was_luck(told) -> None:
    notes = score_rankings(made_predictions(), {"rule planner": rule_order}).notes
    drawn = [note for note in notes if "other draws" in note]
    assert [note.split(",")[0] for note in drawn] == ["alike", "near the hull", "all hidden"]
    assert f"{STRUCTURE} {132 / 13:.2f} ± 0.00 (100%)" in drawn[0]
    assert "energy above hull alone 0.00 ± 0.00 (0%)" in drawn[0]
    assert all("rule planner" in note for note in drawn)


def test_curves_are_drawn(told, tmp_path) -> None:
    score_rankings(made_predictions(), {"rules of thumb": lambda table: values(table, "id")}, plots=tmp_path / "plots")
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == ["agent-precision-recall.svg", "agent-roc.svg"]
    assert "rules of thumb" in (tmp_path / "plots" / "agent-roc.svg").read_text()


# --- planners ---


def test_a_planner_sees_no_answer(told) -> None:
    tables = []

    def spy(table):
        tables.append(table)
        return values(table, "id")

    recalls = []
    for seed in range(8):
        predictions = made_predictions(tc_knows=False, seed=seed)
        recalls.append(score_rankings(predictions, {"spy": spy}, seed=seed).values["spy: times random"])
    assert np.mean(recalls) == pytest.approx(1, abs=0.9)  # neither ids nor the order of the rows tell anything
    assert [table.num_rows for table in tables[:3]] == [132, 121, 165]
    allowed = {"id", "reduced_formula", "atomic_numbers", "tc_K", "e_above_hull_eV_per_atom",
               "exp_superconductor_probability", "exp_tc_K"}  # fmt: skip
    assert set(tables[0].column_names) == allowed


def test_rows_that_a_planner_leaves_out_come_last() -> None:
    table = pa.table({"id": ["a", "b", "c"]})
    score = planner_score("p", lambda _: ["c", "a"], table)
    assert score[2] > score[0]
    assert np.isnan(score[1])
    assert np.isnan(planner_score("p", lambda _: [], table)).all()


@pytest.mark.parametrize("order", [["a", "a"], ["a", "nobody"]])
def test_a_planner_that_makes_up_rows_is_refused(order) -> None:
    with pytest.raises(ConfigError, match="planner 'liar' must name rows of the pool, each at most once"):
        planner_score("liar", lambda _: order, pa.table({"id": ["a", "b"]}))


def test_the_rule_planner_follows_the_judgement() -> None:
    assert PLANNERS["rule planner"] is rule_order
    rng = np.random.default_rng(0)
    table = pa.table({
        "id": [f"row {i}" for i in range(12)],
        "tc_K": 10 * rng.random(12),
        "e_above_hull_eV_per_atom": rng.random(12) / 5,
        "error": ["broken" if i == 5 else None for i in range(12)],
    })  # fmt: skip
    judged = judge(table)
    score = dict(zip(values(judged, "id"), values(judged, "score"), strict=True))
    order = rule_order(table)
    assert len(order) == 11
    assert "row 5" not in order
    assert [score[row] for row in order] == sorted(score[row] for row in order)[::-1]
    assert order != sorted(order)


def test_benchmark_with_the_planners_that_are_registered(told, monkeypatch) -> None:
    calls = []

    def predicted(candidates, **how):
        calls.append((candidates, how["device"]))
        return made_predictions()

    monkeypatch.setattr(module, "load_candidates", lambda: "candidates")
    monkeypatch.setattr(module, "predict_candidates", predicted)
    monkeypatch.setitem(PLANNERS, "another", lambda table: values(table, "id")[::-1])
    result = benchmark_agent(device="cuda")
    assert calls == [("candidates", "cuda")]
    assert [row[0] for row in result.rows] == [
        RANDOM,
        *model_scores(made_predictions().table),
        "rule planner",
        "another",
    ]
    assert any("rule planner, another" in note for note in result.notes)
    assert "rule planner" not in {row[0] for row in benchmark_agent(planners={}).rows}
