from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from onnes.crystals.schema import values, with_columns
from onnes.errors import ConfigError, EngineError, ModelError
from onnes.flow.engine import run_funnel
from onnes.flow.funnel import Funnel, FunnelStep
from onnes.flow.shards import parquet_bytes, read_parquet
from tests.flow.toy_stages import LOG, InlineEngine, ToyTc, Witness, logged, toy_table, toy_tc

HOT = {"use": "gate", "name": "hot", "column": "tc_K", "min": 5.0}


def funnel(*steps):
    return Funnel(name="toy", stage=tuple(steps))


def run(table, steps, folder, *, seed=0, witness=None):
    watching = witness or Witness()
    return run_funnel(table, funnel(*steps), Path(folder), InlineEngine(), watching, device="cpu", seed=seed)


@pytest.fixture
def log(tmp_path, monkeypatch):
    path = tmp_path / "computed.txt"
    monkeypatch.setenv(LOG, str(path))
    return path


def test_every_row_comes_back_once_and_in_order(tmp_path):
    table = toy_table(90).take(pa.array(np.random.default_rng(1).permutation(90)))
    fail = {"use": "toy-fail", "rows": ["toy-0005", "toy-0077"]}
    result = run(table, [{"use": "toy-tc"}, HOT, fail], tmp_path)
    ids = values(result.table, "id")
    assert ids == values(table, "id")
    cold = {i for i in ids if toy_tc(i) < 5}
    assert 0 < len(cold) < 90
    assert {i for i, by in zip(ids, values(result.table, "rejected_by"), strict=True) if by == "hot"} == cold
    failed = {i for i, error in zip(ids, values(result.table, "error"), strict=True) if error}
    assert failed == {"toy-0005", "toy-0077"} - cold
    assert values(result.table, "tc_K") == [toy_tc(i) for i in ids]
    assert result.writers == {"tc_K": "toy-tc"}


def test_rows_stay_where_they_stopped(tmp_path):
    fail = {"use": "toy-fail", "rows": ["toy-0003"]}
    second = {"use": "toy-tc", "name": "again", "offset": 100.0}
    result = run(toy_table(30), [{"use": "toy-tc"}, HOT, fail, second], tmp_path)
    passed_through = {"toy-tc": 1, "hot": 2, "toy-fail": 3, "again": 4}
    for row in result.table.to_pylist():
        stop = row["rejected_by"] or ("toy-fail" if row["error"] else "again")
        steps = [entry.split(":")[0] for entry in row["runs"]]
        assert len(steps) == passed_through[stop]
        assert steps[-1] == stop
        assert row["tc_K"] == toy_tc(row["id"]) + (100 if stop == "again" else 0)
    stopped = [row for row in result.table.to_pylist() if row["rejected_by"]]
    assert all(row["reason"] == f"tc_K = {row['tc_K']:.4g} < 5" for row in stopped)


def test_rows_that_come_in_stopped_are_carried_along(tmp_path, log):
    table = with_columns(
        toy_table(4), {"error": [None, "bad file", None, None], "rejected_by": [None, None, "elsewhere", None]}
    )
    result = run(table, [{"use": "toy-tc"}], tmp_path)
    assert values(result.table, "id") == values(table, "id")
    assert values(result.table, "error") == [None, "bad file", None, None]
    assert values(result.table, "tc_K") == [toy_tc("toy-0000"), None, None, toy_tc("toy-0003")]
    assert sorted(logged(log)) == ["toy-0000", "toy-0003"]
    assert result.outcomes[0].entered == 2


def test_counts_of_each_step(tmp_path):
    witness = Witness()
    result = run(
        toy_table(50), [{"use": "toy-tc"}, HOT, {"use": "toy-fail", "rows": ["toy-0001"]}], tmp_path, witness=witness
    )
    cold = sum(toy_tc(f"toy-{i:04d}") < 5 for i in range(50))
    lost = int(toy_tc("toy-0001") >= 5)
    counts = [(o.step, o.entered, o.passed, o.rejected, o.failed, o.added) for o in result.outcomes]
    assert counts == [
        ("toy-tc", 50, 50, 0, 0, 0),
        ("hot", 50, 50 - cold, cold, 0, 0),
        ("toy-fail", 50 - cold, 50 - cold - lost, 0, lost, 0),
    ]
    assert result.outcomes[1].reasons == {"tc_K": cold}
    assert witness.started == [
        ("toy-tc", "toy Tc", 50),
        ("hot", "keep tc_K at least 5", 50),
        ("toy-fail", "toy failures", 50 - cold),
    ]
    assert witness.by_step == [50, 50, 50 - cold]
    assert witness.outcomes == result.outcomes


def test_children_follow_all_others_and_name_their_parent(tmp_path):
    result = run(toy_table(45), [{"use": "toy-children"}, {"use": "toy-tc"}], tmp_path)
    ids = values(result.table, "id")
    parents = [f"toy-{i:04d}" for i in range(45)]
    assert ids[:45] == parents
    assert ids[45:] == [f"{p}-child" for p in parents[::3]]
    assert values(result.table, "parent_id")[45:] == parents[::3]
    assert values(result.table, "tc_K") == [toy_tc(i) for i in ids]
    assert [(o.entered, o.passed, o.added) for o in result.outcomes] == [(45, 60, 15), (60, 60, 0)]


def test_a_whole_table_stage_sees_every_row_at_once(tmp_path):
    result = run(toy_table(45), [{"use": "toy-rank"}], tmp_path)
    assert values(result.table, "dos_ef_states_per_eV") == list(range(45))
    assert len(list((tmp_path / "00-toy-rank" / "out").iterdir())) == 1


def test_nothing_to_do_is_no_fault(tmp_path):
    stopped = with_columns(toy_table(2), {"error": ["a", "b"]})
    for table in (toy_table(1).slice(0, 0), stopped):
        result = run(table, [{"use": "toy-tc"}, HOT, {"use": "toy-rank"}], tmp_path)
        assert values(result.table, "id") == values(table, "id")
        assert [o.entered for o in result.outcomes] == [0, 0, 0]


def test_a_second_run_computes_nothing_and_gives_the_same_bytes(tmp_path, log):
    steps = [{"use": "toy-tc"}, HOT, {"use": "toy-children"}]
    first = run(toy_table(70), steps, tmp_path / "c")
    computed = logged(log)
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "c").rglob("*.parquet")}
    witness = Witness()
    second = run(toy_table(70), steps, tmp_path / "c", witness=witness)
    assert logged(log) == computed
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "c").rglob("*.parquet")} == files
    assert parquet_bytes(second.table) == parquet_bytes(first.table)
    assert [o.reused for o in second.outcomes] == [
        4,
        4,
        len({r.run_id for r in witness.runs if r.step == "toy-children"}),
    ]
    assert [o.reused for o in first.outcomes] == [0, 0, 0]
    assert witness.by_step == [o.entered for o in second.outcomes]
    assert all(r.seconds is None for r in witness.runs)


def test_only_the_missing_shard_is_computed_again(tmp_path, log):
    steps = [{"use": "toy-tc"}]
    first = run(toy_table(70), steps, tmp_path / "c")
    log.unlink()
    victim = sorted((tmp_path / "c" / "00-toy-tc" / "out").iterdir())[1]
    victim.unlink()
    second = run(toy_table(70), steps, tmp_path / "c")
    assert 0 < len(logged(log)) <= 20
    assert victim.exists()
    assert parquet_bytes(second.table) == parquet_bytes(first.table)


def test_leftovers_of_a_killed_write_are_no_shards(tmp_path):
    steps = [{"use": "toy-tc"}]
    first = run(toy_table(30), steps, tmp_path)
    for place in ("in", "out"):
        (tmp_path / "00-toy-tc" / place / ".0123456789abcdef.parquet.99.tmp").write_bytes(b"PAR1 half a fi")
    second = run(toy_table(30), steps, tmp_path)
    assert parquet_bytes(second.table) == parquet_bytes(first.table)


@pytest.mark.parametrize("change", ["settings", "seed", "version", "input", "fingerprint"])
def test_whatever_the_result_depends_on_gives_new_outputs(tmp_path, log, monkeypatch, change):
    table = toy_table(10)
    old = run(table, [{"use": "toy-tc"}], tmp_path / "c")
    log.unlink()
    step, seed = {"use": "toy-tc"}, 0
    if change == "settings":
        step["offset"] = 2.0
    elif change == "seed":
        seed = 1
    elif change == "version":
        monkeypatch.setattr(ToyTc, "version", "2")
    elif change == "fingerprint":
        monkeypatch.setattr(ToyTc, "fingerprints", lambda _: {"model": "other"})
    else:
        table = with_columns(table, {"pressure_GPa": [1.0] * 10})
    new = run(table, [step], tmp_path / "c", seed=seed)
    assert len(logged(log)) == 10
    assert values(new.table, "runs") != values(old.table, "runs")
    assert len(list((tmp_path / "c" / "00-toy-tc" / "out").iterdir())) == 2
    if change == "settings":
        assert values(new.table, "tc_K") == [tc + 2.0 for tc in values(old.table, "tc_K")]
    if change == "seed":
        assert values(new.table, "tc_K") == [toy_tc(i, 1) for i in values(table, "id")]


def test_a_step_later_in_the_funnel_is_reused_when_an_early_one_changes_nothing(tmp_path, log):
    """Content, not history, names a shard; but `runs` is content, so a changed early step recomputes what follows."""
    steps = [{"use": "toy-tc"}, {"use": "toy-children"}]
    run(toy_table(10), steps, tmp_path / "c")
    log.unlink()
    run(toy_table(10), [{"use": "toy-tc"}, {"use": "toy-children", "every": 5}], tmp_path / "c")
    assert len(logged(log)) == 10  # the second step alone


def test_the_record_of_a_run_says_what_made_it(tmp_path):
    witness = Witness()
    result = run(toy_table(30), [{"use": "toy-tc", "name": "tc", "offset": 0.5}], tmp_path, seed=7, witness=witness)
    assert [r.rows for r in witness.runs] == [20, 10]
    record = witness.runs[0]
    assert (record.step, record.stage, record.version, record.kind, record.seed) == ("tc", "toy-tc", "1", "map", 7)
    assert record.settings == {"offset": 0.5, "sleep_ms": 0.0}
    assert record.seconds >= 0
    assert Path(record.input).is_file()
    assert Path(record.output).stem == record.run_id
    assert values(result.table, "runs")[0] == [f"tc:{record.run_id}"]


def test_two_crystals_of_one_name_are_refused(tmp_path):
    table = pa.concat_tables([toy_table(3), toy_table(1)])
    with pytest.raises(EngineError, match="same id 'toy-0000'"):
        run(table, [{"use": "toy-tc"}], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_loses_a_row_is_found_out(tmp_path):
    with pytest.raises(EngineError, match="stage 'toy-loser' lost the row 'toy-0004'"):
        run(toy_table(5), [{"use": "toy-loser"}], tmp_path)
    assert list(tmp_path.rglob("out/*")) == []


def test_a_stage_that_doubles_a_row_is_found_out(tmp_path):
    with pytest.raises(EngineError, match="stage 'toy-doubler' doubled the row 'toy-0000'"):
        run(toy_table(5), [{"use": "toy-doubler"}], tmp_path)
    assert list(tmp_path.rglob("out/*")) == []


def test_children_of_two_shards_must_differ_in_name(tmp_path):
    step = {"use": "toy-children", "every": 20, "same_name": True}
    with pytest.raises(EngineError, match="'toy-children' made two rows with the id 'child'"):
        run(toy_table(40), [step], tmp_path)


def test_a_stage_that_cannot_go_on_keeps_what_was_done(tmp_path, log):
    step = {"use": "toy-raise", "rows": ["toy-0050"]}
    with pytest.raises(ModelError, match="toy model is missing for toy-0050"):
        run(toy_table(60), [step], tmp_path)
    assert len(list(tmp_path.rglob("out/*.parquet"))) == 2
    assert logged(log)[:40] == [f"toy-{i:04d}" for i in range(40)]


def test_a_wrong_setting_is_found_before_anything_runs(tmp_path, log):
    with pytest.raises(Exception, match="ofset"):
        run(toy_table(5), [{"use": "toy-tc"}, {"use": "toy-tc", "name": "b", "ofset": 1}], tmp_path)
    assert logged(log) == []


@pytest.mark.parametrize("children", [False, True])
def test_a_stage_may_choose_its_rows_and_the_others_pass_in_their_places(tmp_path, log, children):
    table, tc = toy_table(30), {f"toy-{i:04d}": toy_tc(f"toy-{i:04d}") for i in range(30)}
    best = sorted(tc, key=lambda name: -tc[name])[:3]
    after = {"use": "toy-rank", "name": "after"}
    witness = Witness()
    steps = [{"use": "toy-tc"}, {"use": "toy-top", "top": 3, "children": children}, after]
    result = run(table, steps, tmp_path, witness=witness)
    ids = values(result.table, "id")
    assert ids[:30] == values(table, "id")
    assert set(ids[30:]) == ({f"{name}-child" for name in best} if children else set())
    chosen = {name: wide for name, wide in zip(ids, values(result.table, "debye_K"), strict=True) if wide is not None}
    assert {name.removesuffix("-child") for name in chosen} == set(best)
    assert set(chosen.values()) == {1.0}  # each in a shard of its own
    outcome = witness.outcomes[1]
    assert (outcome.entered, outcome.passed, outcome.added) == (30, 30 + 3 * children, 3 * children)
    assert witness.by_step[1] == 30
    if children:  # behind their parents, where the next stage finds them
        handed = values(read_parquet(next(tmp_path.glob("02-after/in/*.parquet"))), "id")
        assert [handed[handed.index(name) + 1] for name in best] == [f"{name}-child" for name in best]
    more = run(table, [{"use": "toy-tc"}, {"use": "toy-top", "top": 4, "children": children}], tmp_path)
    assert more.outcomes[1].reused == 0  # how many are chosen is a setting as any other
    assert run(table, steps, tmp_path).outcomes[1].reused == 3


def test_no_row_may_be_chosen(tmp_path):
    result = run(toy_table(5), [{"use": "toy-tc"}, {"use": "toy-top", "top": 0}], tmp_path)
    assert values(result.table, "tc_K") == [toy_tc(name) for name in values(result.table, "id")]
    assert values(result.table, "debye_K") == [None] * 5


def test_unfinished_work_lies_where_the_funnel_says(tmp_path):
    funnel = Funnel(name="toy", stage=({"use": "toy-tc"}, {"use": "toy-top", "top": 1}))
    how = {"device": "cpu", "seed": 0, "work_folder": tmp_path / "work"}
    run_funnel(toy_table(5), funnel, tmp_path / "stages", InlineEngine(), Witness(), **how)
    assert len(list((tmp_path / "work").iterdir())) == 1


def test_steps_can_follow():
    first = funnel({"use": "toy-tc"}).followed_by(FunnelStep(use="toy-top", name="best", settings={"top": 1}))
    assert [step.name for step in first.steps] == ["toy-tc", "best"]
    with pytest.raises(ConfigError, match="two steps are named 'best'"):
        first.followed_by(FunnelStep(use="toy-tc", name="best"))
