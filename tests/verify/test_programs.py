"""Programs are run in a group of their own; nothing that was started stays."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from onnes.errors import VerificationError
from onnes.verify.programs import end_strays, missing_programs, run_program, version_of
from onnes.verify.settings import RunSettings

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def program(tmp_path):
    """Write a program that runs some Python, and return its path."""

    def write(code, name="program"):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable} -SE\n{code}\n")
        path.chmod(0o755)
        return str(path)

    return write


def run(command, tmp_path, *, limit_s=60.0, arguments=(), **settings):
    return run_program(
        command, arguments, folder=tmp_path, output=tmp_path / "out", run=RunSettings(**settings), limit_s=limit_s, mark=tmp_path
    )  # fmt: skip


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_exit_code_output_and_time(program, tmp_path) -> None:
    code = "import os, sys, time\nprint(sys.argv[1:], os.getcwd(), os.environ['OMP_NUM_THREADS'])\nprint('bad', file=sys.stderr)\n"
    code += "while time.process_time() < 0.3: pass\nsys.exit(3)"
    ended = run(program(code), tmp_path, arguments=["-in", "x"])
    assert (ended.exit_code, ended.timed_out) == (3, False)
    assert (tmp_path / "out").read_text().splitlines() in (
        [f"['-in', 'x'] {tmp_path} 1", "bad"],
        ["bad", f"['-in', 'x'] {tmp_path} 1"],
    )
    assert 0.2 < ended.cpu_s < 5  # of a clock of 10 ms
    assert ended.wall_s >= 0.3


def test_a_signal_is_a_negative_code(program, tmp_path) -> None:
    ended = run(program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), tmp_path)
    assert ended.exit_code == -signal.SIGKILL


def test_the_launcher_gets_the_ranks(program, tmp_path) -> None:
    program(
        "import subprocess, sys\nprint('launched', sys.argv[1:3], flush=True)\nsys.exit(subprocess.call(sys.argv[3:]))",
        "launch",
    )
    settings = {"ranks": 3, "launcher": f"{tmp_path}/launch -n {{ranks}}"}
    assert run(program("print('program')"), tmp_path, **settings).exit_code == 0
    assert (tmp_path / "out").read_text() == "launched ['-n', '3']\nprogram\n"


def test_the_time_limit_ends_the_whole_group(program, tmp_path) -> None:
    """Also a child that does not listen, as ranks of an MPI program."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-SEc", {deaf!r}], stdout=subprocess.PIPE)
own = subprocess.Popen([sys.executable, "-SEc", {SLEEP!r}], start_new_session=True)
child.stdout.readline()
open("pids", "w").write(f"{{child.pid}} {{own.pid}}")
child.wait()
"""
    start = time.monotonic()
    ended = run(program(code), tmp_path, limit_s=2.0)
    assert ended.timed_out
    assert ended.exit_code in (-signal.SIGTERM, -signal.SIGKILL)
    assert time.monotonic() - start < 20
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert not any(is_running(pid) for pid in pids)


def test_ranks_do_not_outlive_their_launcher(program, tmp_path) -> None:
    code = f"""
import subprocess, sys
rank = subprocess.Popen([sys.executable, "-SEc", {SLEEP!r}], start_new_session=True)
open("pids", "w").write(str(rank.pid))
sys.exit(1)
"""
    assert run(program(code), tmp_path).exit_code == 1
    assert not is_running(int((tmp_path / "pids").read_text()))


def test_an_interrupt_ends_the_program(program, tmp_path) -> None:
    code = f"import os\nopen('pids', 'w').write(str(os.getpid()))\n{SLEEP}"

    def interrupt() -> None:
        while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(program(code), tmp_path)
    assert not is_running(int((tmp_path / "pids").read_text()))


def test_strays_are_known_by_their_mark(tmp_path) -> None:
    def child(folder):
        environment = os.environ | {"ONNES_VERIFY_FOLDER": str(folder)}
        return subprocess.Popen([sys.executable, "-SEc", SLEEP], env=environment, start_new_session=True)

    ours, others = [child(tmp_path / "a"), child(tmp_path / "a")], [child(tmp_path / "b"), child(tmp_path)]
    try:
        time.sleep(0.2)  # the environment of a process can be read once it has become the program
        assert end_strays(tmp_path / "a") == 2
        assert not any(is_running(process.pid) for process in ours)
        assert [process.poll() for process in others] == [None, None]
        assert end_strays(tmp_path / "a") == 0
    finally:
        for process in (*ours, *others):
            process.kill()
            process.wait()


def test_versions(program, tmp_path) -> None:
    version_of.cache_clear()
    assert version_of(program("print('\\n     Program PWSCF v.7.3.1 starts on today')", "pw")) == "7.3.1"
    assert version_of(program("open('CRASH', 'w').write('x')", "other")) == "unknown"
    assert version_of(str(tmp_path / "nowhere")) == ""
    assert not (tmp_path / "CRASH").exists()


def test_missing_programs(program, tmp_path) -> None:
    run = {"pw_command": program(""), "ph_command": "no-such-ph.x", "ranks": 2, "launcher": "no-such-mpirun -n {ranks}"}
    assert missing_programs(RunSettings(**run), ["pw"]) == ["no-such-mpirun"]
    assert missing_programs(RunSettings(**run | {"ranks": 1}), ["pw", "ph"]) == ["no-such-ph.x"]
    with pytest.raises(VerificationError, match=r"no-such-ph\.x is not there; install"):
        run_program(
            "no-such-ph.x", [], folder=tmp_path, output=tmp_path / "out", run=RunSettings(), limit_s=1, mark=tmp_path
        )
