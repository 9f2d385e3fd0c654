import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onnes.crystals.schema import values
from onnes.errors import EngineError, ModelError
from onnes.flow.engine import run_funnel
from onnes.flow.funnel import Funnel
from onnes.flow.local import LocalEngine, available_cores
from onnes.flow.shards import parquet_bytes, read_parquet
from tests.flow.toy_stages import LOG, Witness, logged, toy_table, toy_tc

ROOT = Path(__file__).parents[2]


def run(table, steps, folder, engine, witness=None):
    funnel = Funnel(name="toy", stage=tuple(steps))
    return run_funnel(table, funnel, folder, engine, witness or Witness(), device="cpu", seed=0)


def test_the_number_of_workers_changes_nothing(tmp_path):
    steps = [
        {"use": "toy-tc", "sleep_ms": 1},
        {"use": "toy-children"},
        {"use": "gate", "name": "hot", "column": "tc_K", "min": 5},
        {"use": "toy-fail", "rows": ["toy-0011"]},
    ]
    results = []
    for workers in (1, 2):
        witness = Witness()
        with LocalEngine(workers) as engine:
            results.append(run(toy_table(90), steps, tmp_path / str(workers), engine, witness))
        assert witness.by_step == [o.entered for o in results[-1].outcomes]
    one, two = (parquet_bytes(result.table) for result in results)
    assert one == two
    assert results[0].table.num_rows == 120


def test_workers_are_other_processes_of_one_thread_each(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with LocalEngine(2) as engine:
        first = run(toy_table(100), [{"use": "toy-where"}], tmp_path / "a", engine)
        second = run(toy_table(100), [{"use": "toy-where"}], tmp_path / "b", engine)
    places = {tuple(text.split()) for text in values(first.table, "warnings")}
    assert {threads for _, threads in places} == {"1"}
    assert 1 <= len(places) <= 2
    assert str(os.getpid()) not in {pid for pid, _ in places}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    # a model loaded for one stage is still there for the next
    assert {tuple(text.split()) for text in values(second.table, "warnings")} <= places


@pytest.mark.parametrize("how", ["sigkill", "exit"])
def test_a_row_that_kills_its_worker_fails_alone(tmp_path, how):
    rows, poison = {"sigkill": (24, "toy-0009"), "exit": (2, "toy-0001")}[how]
    witness = Witness()
    steps = [{"use": "toy-kill", "rows": [poison], "how": how}, {"use": "toy-tc", "offset": 1.0}]
    with LocalEngine(2) as engine:
        result = run(toy_table(rows, atoms=100), steps, tmp_path, engine, witness)
        assert engine._pool._max_workers == 2  # the stage after the crash has all workers again
    found = {row["id"]: row for row in result.table.to_pylist()}
    assert list(found) == [f"toy-{i:04d}" for i in range(rows)]
    assert [i for i, row in found.items() if row["error"]] == [poison]
    assert found[poison]["error"] == "toy-kill: the worker process died on this crystal (out of memory?)"
    crashed = next(r for r in witness.runs if poison in values(read_parquet(Path(r.input)), "id"))
    assert found[poison]["runs"] == [f"toy-kill:{crashed.run_id}"]
    assert all(row["tc_K"] == toy_tc(i) + 1 for i, row in found.items() if i != poison)
    assert [(o.passed, o.failed) for o in result.outcomes] == [(rows - 1, 1), (rows - 1, 0)]
    assert witness.by_step == [rows, rows - 1]


def test_a_crash_that_does_not_come_back_costs_no_row(tmp_path):
    witness = Witness()
    step = {"use": "toy-kill", "rows": ["toy-0003"], "once": str(tmp_path / "happened")}
    with LocalEngine(1) as engine:
        result = run(toy_table(50), [step], tmp_path / "c", engine, witness)
    assert (tmp_path / "happened").exists()
    assert values(result.table, "error") == [None] * 50
    assert values(result.table, "tc_K") == [toy_tc(f"toy-{i:04d}") for i in range(50)]
    assert witness.by_step == [50]


def test_an_error_in_a_worker_arrives_as_it_was_raised(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    with LocalEngine(1) as engine:
        with pytest.raises(ModelError, match="toy model is missing for toy-0050"):
            run(toy_table(60), [{"use": "toy-raise", "rows": ["toy-0050"]}], tmp_path / "c", engine)
        with pytest.raises(EngineError, match="lost the row 'toy-0004'"):
            run(toy_table(5), [{"use": "toy-loser"}], tmp_path / "d", engine)
    assert len(list((tmp_path / "c").rglob("out/*.parquet"))) == 2
    assert set(logged(tmp_path / "log")) == {f"toy-{i:04d}" for i in range(50)}


def test_no_worker_outlives_the_engine(tmp_path):
    before = set(multiprocessing.active_children())
    with LocalEngine(2) as engine:
        run(toy_table(30), [{"use": "toy-tc"}], tmp_path, engine)
        assert set(multiprocessing.active_children()) - before
    assert set(multiprocessing.active_children()) <= before
    engine.close()  # twice does no harm


def test_workers_die_with_a_killed_parent(tmp_path):
    """A parent that the kernel kills can stop nobody; workers that stayed would hold their memory for ever."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom tests.flow.test_local import *\n"
        "if __name__ == '__main__':\n"
        "    with LocalEngine(1) as engine:\n"
        "        run(toy_table(20), [{'use': 'toy-where'}, {'use': 'toy-tc', 'sleep_ms': 60000}], Path(sys.argv[1]), engine)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "c")], env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    out = tmp_path / "c" / "00-toy-where" / "out"
    try:
        wait_for(lambda: out.is_dir() and any(out.glob("*.parquet")), 60)
        worker = int(values(read_parquet(next(out.glob("*.parquet"))), "warnings")[0].split()[0])
        assert _alive(worker)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        wait_for(lambda: not _alive(worker), 20)
    finally:
        parent.kill()


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {seconds} s")
        time.sleep(0.02)


def _alive(pid):
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_cores_and_workers_are_counted():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert LocalEngine().workers == available_cores()
    assert LocalEngine(3).workers == 3
