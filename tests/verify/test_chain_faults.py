"""What goes wrong on the way: kills, interrupts, time, faults of the programs, lost scratch files."""

import re
import shutil
import signal
import time

import numpy as np
import psutil
import pytest

from onnes.errors import VerificationError
from onnes.verify import steps
from onnes.verify.verdict import Verdict
from tests.verify.replay import BOHR_A
from tests.verify.test_chain import WHOLE, Q


def waited_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def value(text, key):
    """Value of a key of a namelist as it stands in the input."""
    found = re.search(rf"^\s*{re.escape(key)}\s*=\s*(\S+)\s*$", text, re.MULTILINE)
    return found and found[1]


# step, what its first run plays, key and value in the input of the second
CHANGES = [
    ("scf_dense", "pw-scf-not-converged", "mixing_beta", "0.32"),
    ("scf_dense", "pw-scf-not-converged", "startingpot", "'file'"),
    ("scf_dense", "pw-scf-diverged", "mixing_beta", "0.16"),
    ("scf_coarse", "pw-max-seconds", "restart_mode", "'restart'"),
    ("scf_coarse", "pw-cholesky", "diagonalization", "'paro'"),
    ("scf_coarse", "pw-sigkill", "restart_mode", "'restart'"),
    ("scf_coarse", "pw-output-cut-off", "restart_mode", None),
    ("relax", "pw-relax-bfgs-history", "trust_radius_ini", "0.1"),
    ("relax", "pw-vc-relax-cell-factor", "cell_factor", "3.0"),
    ("q_2", "ph-not-converged", "nmix_ph", "5"),
    ("q_2", "ph-max-seconds", "max_seconds", str(2 * 82080)),
    ("q_2", "ph-sigkill", "tr2_ph", "1e-12"),
    ("q_2", "ph-output-cut-off", "tr2_ph", "1e-12"),
    ("q_2", "ph-recover", "tr2_ph", "1e-12"),
    ("q_2", "pw-cholesky", "diagonalization", "'cg'"),
    ("q_2", "nothing", "tr2_ph", "1e-12"),
]


@pytest.mark.parametrize(("step", "fault", "key", "expected"), CHANGES)
def test_a_fault_is_answered_by_the_change_of_the_policy(replay, step, fault, key, expected) -> None:
    replay.plan(**{step: [fault]})
    result = replay.run(relax=step == "relax")
    assert result.verdict is Verdict.SUPERCONDUCTOR
    name = step.replace("q_", "phonons_2x2x2_0")
    assert value(replay.source(name, 1), key) != value(replay.source(name, 2), key) or key in ("tr2_ph", "restart_mode")
    assert value(replay.source(name, 2), key) == expected
    assert replay.starts().count(name) == 2
    first, second = steps.read_state(replay.place(name)).tries
    assert first.symptom
    assert second.change
    assert (second.symptom, second.exit_code) == ("", 0)


def test_a_relaxation_goes_on_from_its_last_geometry(replay) -> None:
    replay.plan(relax=["pw-vc-relax-steps"])
    assert replay.run(relax=True).verdict is Verdict.SUPERCONDUCTOR
    cell = [float(x) for x in replay.source("relax", 2).split("CELL_PARAMETERS angstrom")[1].split()[:9]]
    assert cell == pytest.approx(7 * BOHR_A * 0.522948699 * np.array([-1, 0, 1, 0, 1, 1, -1, 1, 0]), abs=1e-6)


def test_a_relaxed_geometry_is_taken_where_only_the_last_scf_failed(replay) -> None:
    replay.plan(relax=["pw-vc-relax-final-scf"])
    result = replay.run(relax=True)
    assert result.verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts().count("relax") == 1


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        ("pw-cholesky", ["scf_coarse"]),
        ("ph-damaged-save", ["scf_coarse"]),
        ("ph-no-a2fsave", ["scf_dense", "scf_coarse"]),
    ],
)
def test_earlier_steps_are_done_again_once(replay, fault, again) -> None:
    replay.plan(q_2=[fault])
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts() == [*WHOLE[:4], *again, Q[1], Q[2]]
    replay.plan(q_2=[fault] * 9)
    shutil.rmtree(replay.work)
    result = replay.run()
    assert (result.verdict, result.step) == (Verdict.FAILED, Q[1])
    assert replay.starts() == [*WHOLE[:4], *again, Q[1]]
    assert [step.state for step in result.steps] == ["done", "done", "done", "failed"]


def test_the_scf_is_repeated_with_the_change_that_the_phonons_need(replay) -> None:
    replay.plan(q_1=["pw-cholesky"])
    replay.run()
    assert value(replay.source("scf_coarse", 1), "diagonalization") is None
    assert value(replay.source("scf_coarse", 2), "diagonalization") == "'cg'"


def test_tries_are_spent(replay) -> None:
    replay.plan(scf_coarse=["pw-scf-not-converged"] * 9)
    result = replay.run()
    assert (result.verdict, result.step) == (Verdict.FAILED, "scf_coarse")
    assert "convergence NOT achieved" in result.reason
    assert "mixing_beta" in result.advice
    assert result.steps[-1].tries == 5
    assert [value(replay.source("scf_coarse", i), "mixing_beta")[:5] for i in range(1, 6)] == [
        "0.4", "0.32", "0.256", "0.204", "0.163",
    ]  # fmt: skip
    assert result.coupling is None
    replay.plan()
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR  # whoever asks again gets new tries
    assert replay.starts() == WHOLE[1:]


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("scf_dense", "pw-missing-pseudopotential"),
        ("q_1", "ph-bad-keyword"),
        ("q_3", "ph-full-disk"),
        ("scf_dense", "pw-no-memory"),
    ],
)
def test_what_cannot_be_helped_is_not_tried_again(replay, step, fault) -> None:
    replay.plan(**{step: [fault]})
    result = replay.run()
    assert result.verdict is Verdict.FAILED
    assert result.step == step.replace("q_", "phonons_2x2x2_0")
    assert result.reason
    assert result.advice
    assert result.steps[-1].tries == 1
    assert result.coupling is None


def test_own_policy(replay, tmp_path) -> None:
    (tmp_path / "own.toml").write_text("max_tries = 1\n")
    replay.plan(scf_dense=["pw-scf-not-converged"])
    result = replay.run(run={"retries": str(tmp_path / "own.toml")})
    assert (result.verdict, result.steps[0].tries) == (Verdict.FAILED, 1)


def test_lost_scratch_files_cost_the_scf_but_no_finished_wave_vector(replay) -> None:
    replay.plan(q_3=["ph-bad-keyword"])
    assert replay.run().verdict is Verdict.FAILED
    (folder,) = replay.work.iterdir()
    shutil.rmtree(folder / "scratch")  # kept, because the chain is not finished
    before = {name: (replay.place(name) / "status.json").stat().st_mtime_ns for name in Q[:2]}
    replay.plan()
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts() == ["scf_dense", "scf_coarse", Q[2]]
    assert before == {name: (replay.place(name) / "status.json").stat().st_mtime_ns for name in Q[:2]}


def test_the_scf_on_the_coarse_grid_follows_that_on_the_dense_one(replay) -> None:
    """Both write to the same place: after the dense one alone the phonons would start from the wrong grid."""
    replay.plan(q_2=["ph-no-a2fsave"], scf_coarse=["ok", "pw-bad-value"])
    assert replay.run().verdict is Verdict.FAILED
    replay.plan()
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts() == ["scf_dense", "scf_coarse", *Q[1:]] or replay.starts() == ["scf_coarse", *Q[1:]]


@pytest.mark.parametrize("step", ["scf_coarse", "q_2"])
def test_a_killed_run_goes_on_and_ends_what_it_left_behind(replay, step) -> None:
    name = step.replace("q_", "phonons_2x2x2_0")
    replay.plan(**{step: ["orphan"]})
    driver = replay.begin()
    assert driver.wait(60) == -signal.SIGKILL
    stray = psutil.Process(replay.pid)
    assert stray.is_running()
    result = replay.run()
    assert not stray.is_running()
    assert result.verdict is Verdict.SUPERCONDUCTOR
    at = WHOLE.index(name)
    assert replay.starts() == [*WHOLE[: at + 1], *WHOLE[at:]]
    first, second = steps.read_state(replay.place(name)).tries
    assert (first.exit_code, first.symptom, second.number) == (None, "killed", 2)
    assert result == replay.run()


def test_an_interrupt_ends_the_program_too(replay) -> None:
    replay.plan(q_1=["interrupt"])
    driver = replay.begin()
    assert driver.wait(60) != 0
    assert not psutil.pid_exists(replay.pid)
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts() == [*WHOLE[:3], *WHOLE[2:]]


def test_a_folder_in_use_by_another_process_is_refused(replay) -> None:
    replay.plan(q_1=["hang"])
    driver = replay.begin()
    waited_for(lambda: Q[0] in replay.starts())
    with pytest.raises(VerificationError, match=f"in use by another run .*{driver.pid}"):
        replay.run()
    driver.kill()
    driver.wait()
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR


def test_time_that_is_over_fails_the_run_and_the_next_goes_on(replay, monkeypatch) -> None:
    replay.plan(q_2=["hang"])
    with monkeypatch.context() as patch:
        patch.setattr(steps, "_SHORTEST_S", 0.5)
        result = replay.run(run={"hours": 8 / 3600})
    assert (result.verdict, result.step) == (Verdict.FAILED, Q[1])
    assert "time" in result.reason
    assert not psutil.pid_exists(replay.pid)
    assert int(value(replay.source("scf_dense", 1), "max_seconds")) <= 8
    assert result.coupling is None
    replay.plan()
    result = replay.run(run={"hours": 0.001})
    assert (result.verdict, result.step) == (Verdict.FAILED, Q[1])
    assert "no time is left" in result.reason
    assert "run the same command again" in result.advice
    assert replay.starts() == []
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts() == Q[1:]


def test_a_step_that_takes_too_long_is_ended(replay) -> None:
    replay.plan(scf_dense=["hang"])
    result = replay.run(run={"step_hours": 1 / 3600})
    assert result.verdict is Verdict.SUPERCONDUCTOR
    first, _ = steps.read_state(replay.place("scf_dense")).tries
    assert first.symptom == "time_limit"
    assert first.wall_s < 10
    assert value(replay.source("scf_dense", 2), "restart_mode") == "'restart'"
