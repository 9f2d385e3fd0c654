import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.errors import ConfigError, EvidenceError, OnnesError
from onnes.tools import jobs
from onnes.tools.call import SetResult
from onnes.tools.study_input import bring_in

QUICK = {"elements": ["Nb", "Sn"], "prototypes": ["A15"]}
LONG = {"method": "diffusion", "elements": ["Nb", "N"], "n": 2000}
PATIENCE_S = 60.0


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study")


def group(study, set_id):
    return int((study.folder / "jobs" / set_id / jobs.LOCK).read_text())


def runs(study, set_id):
    """Whether the job's process is alive; the system frees its lock when it is not."""
    return jobs._runs(study.folder / "jobs" / set_id)


def ends(study, set_id, within_s=10.0):
    end = time.monotonic() + within_s
    while runs(study, set_id) and time.monotonic() < end:
        time.sleep(0.05)
    return not runs(study, set_id)


def test_a_job_goes_on_when_whoever_asked_has_left_and_is_found_again(study):
    program = (
        "import sys, json; from onnes.campaign.study import Study; from onnes.tools import jobs\n"
        "print(jobs.start(Study.open(sys.argv[1]), 'propose', json.loads(sys.argv[2])).model_dump_json())"
    )
    command = [sys.executable, "-c", program, str(study.folder), json.dumps(QUICK)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True)
    asked = SetResult.model_validate_json(done.stdout)
    assert asked.state in ("running", "done")
    found = jobs.wait(study, asked.set_id, PATIENCE_S)
    assert (found.state, found.tool, found.n_rows) == ("done", "propose", 2)
    assert jobs.start(study, "propose", QUICK) == found
    assert jobs.cpu_seconds(study, asked.set_id) > 0


def test_a_killed_job_has_failed_and_the_same_call_starts_it_again(study):
    first = jobs.start(study, "propose", QUICK)
    os.killpg(group(study, first.set_id), signal.SIGKILL)
    assert ends(study, first.set_id)
    found = jobs.state(study, first.set_id)
    assert found.state == "failed"
    assert "the same call starts it again" in found.error
    again = jobs.start(study, "propose", QUICK)
    assert again.set_id == first.set_id
    assert jobs.wait(study, first.set_id, PATIENCE_S).n_rows == 2


def test_a_job_is_stopped(study):
    started = jobs.start(study, "propose", LONG)
    assert started.state == "running"
    assert jobs.start(study, "propose", LONG).set_id == started.set_id  # the same job, not another one
    assert runs(study, started.set_id)
    stopped = jobs.stop(study, started.set_id)
    assert (stopped.state, stopped.n_rows) == ("cancelled", 0)
    assert not runs(study, started.set_id)
    assert jobs.state(study, started.set_id).state == "cancelled"
    assert jobs.stop(study, started.set_id).state == "cancelled"
    assert not study.has(started.set_id)
    assert jobs.cpu_seconds(study, started.set_id) > 0
    assert jobs.running(study) == []


def test_a_job_ends_when_its_processor_time_is_spent_though_nobody_waits(study):
    started = jobs.start(study, "propose", LONG, max_cpu_seconds=0.5)
    assert ends(study, started.set_id, within_s=30.0)
    found = jobs.state(study, started.set_id)
    assert (found.state, found.error) == ("failed", "the 0 s of processor time that were left are spent")
    assert 0.9 < jobs.cpu_seconds(study, started.set_id) < 10


def test_waiting_ends_when_the_processor_time_is_spent(study):
    started = jobs.start(study, "propose", LONG)
    assert jobs.wait(study, started.set_id, 60.0, max_cpu_seconds=1.0).state == "running"
    used = jobs.cpu_seconds(study, started.set_id)
    assert 1.0 <= used < 10
    os.killpg(group(study, started.set_id), signal.SIGKILL)
    assert ends(study, started.set_id)
    assert jobs.state(study, started.set_id).state == "failed"
    assert jobs.cpu_seconds(study, started.set_id) >= used - 0.01  # what was seen of it is not lost


def test_only_so_many_jobs_run_in_a_study(study, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_RUNNING", 1)
    started = jobs.start(study, "propose", LONG)
    with pytest.raises(OnnesError, match=f"1 jobs of this study run, as many as may: {started.set_id}; .*`cancel`"):
        jobs.start(study, "propose", QUICK)
    assert jobs.start(study, "propose", LONG).set_id == started.set_id
    jobs.stop(study, started.set_id)
    other = jobs.start(study, "propose", {**LONG, "n": 1999})
    assert jobs.running(study) == [other.set_id]
    jobs.stop(study, other.set_id)


def test_a_job_that_is_stopped_before_it_began_does_not_begin(study, monkeypatch):
    monkeypatch.setattr(jobs, "_start_worker", lambda *_: None)
    started = jobs.start(study, "propose", QUICK)
    assert jobs.stop(study, started.set_id).state == "cancelled"
    jobs.work(str(study.folder), started.set_id)
    assert not study.has(started.set_id)
    assert jobs.state(study, started.set_id).state == "cancelled"


def test_a_job_that_fails_says_why(study):
    info = bring_in(study, known_table(["Nb"]))
    started = jobs.start(study, "propose", {"method": "saps", "crystals": info.set_id, "elements": ["Nb"]})
    found = jobs.wait(study, started.set_id, PATIENCE_S)
    assert found.state == "failed"
    assert found.error
    assert "Traceback" not in found.error


def test_what_is_wrong_with_a_call_is_said_before_a_job_is_made(study):
    with pytest.raises(ConfigError, match="n: "):
        jobs.start(study, "propose", {"n": 0})
    with pytest.raises(EvidenceError, match="no set"):
        jobs.start(study, "relax", {"crystals": ["f" * 12]})
    assert not (study.folder / "jobs").exists()


@pytest.mark.parametrize("name", ["f" * 12, "../sets", "", "x/y"])
def test_nobody_asked_for_it(study, name):
    for ask in (jobs.state, jobs.stop):
        with pytest.raises(EvidenceError, match="no set and no job"):
            ask(study, name)


def test_who_looks_whether_a_job_runs_does_not_keep_it_from_running(tmp_path):
    looking = threading.Event()

    def look():
        with (tmp_path / jobs.LOCK).open("a+") as file:
            assert jobs._taken(file, jobs.fcntl.LOCK_SH)
            looking.set()
            time.sleep(0.2)

    thread = threading.Thread(target=look)
    thread.start()
    looking.wait()
    with jobs._locked(tmp_path) as free:
        assert free
        assert jobs._runs(tmp_path)
        with jobs._locked(tmp_path) as second:
            assert not second
    thread.join()
    assert not jobs._runs(tmp_path)
