"""The programs of Quantum ESPRESSO: finding them, their version, running one in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import psutil

from onnes.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from onnes.verify.settings import RunSettings

INSTALL = "apt-get install --no-install-recommends quantum-espresso openmpi-bin (or: conda install -c conda-forge qe)"
"""What to say to somebody who has no Quantum ESPRESSO."""
MARK = "ONNES_VERIFY_FOLDER"
"""In the environment of programs: the folder of the verification that they belong to."""
_POLL_S = 0.05
_STOP_WITHIN_S = 5.0
_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes
    ----------
    exit_code
        As the system gives it; negative where a signal ended the program.
    wall_s, cpu_s
        Its time, and the processor time of it and all its children.
    timed_out
        Whether it was stopped because its time was over.
    """

    exit_code: int
    wall_s: float
    cpu_s: float
    timed_out: bool


def missing_programs(run: RunSettings, names: Sequence[str]) -> list[str]:
    """Return those of ``pw``, ``ph``, ``q2r``, ``matdyn`` (and the launcher) that cannot be found."""
    commands = [getattr(run, f"{name}_command") for name in names]
    if run.ranks > 1:
        commands.append(shlex.split(run.launcher)[0])
    return [command for command in commands if shutil.which(os.path.expanduser(command)) is None]  # noqa: PTH111


@cache
def version_of(command: str) -> str:
    """Ask a program for its version, such as ``6.7MaX``; ``unknown`` when it does not say, empty when it is missing."""
    path = shutil.which(os.path.expanduser(command))  # noqa: PTH111
    if path is None:
        return ""
    try:
        with tempfile.TemporaryDirectory(prefix="onnes-version-") as folder:  # the program leaves a file CRASH behind
            done = subprocess.run(  # noqa: S603 - a program of the settings, no shell
                [path], input="", capture_output=True, text=True, timeout=_VERSION_TIMEOUT_S, env=_environment(), check=False,
                cwd=folder,
            )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = re.search(r"Program \w+ v\.(\S+)", done.stdout)
    return found.group(1) if found else "unknown"


def run_program(
    command: str, arguments: Sequence[str], *, folder: Path, output: Path, run: RunSettings, limit_s: float, mark: Path
) -> Ended:
    """Run one program to its end, or until its time is over.

    Parameters
    ----------
    command, arguments
        Program, and what follows it.
    folder
        Where it runs.
    output
        File that receives what it prints.
    run
        Launcher, ranks, pools.
    limit_s
        After so long (s) the whole group is ended.
    mark
        Folder of the verification; `end_strays` finds the program's processes by it when nobody waits for them any more.

    Returns
    -------
    Ended
    """
    path = shutil.which(os.path.expanduser(command))  # noqa: PTH111
    if path is None:
        raise VerificationError(f"{command} is not there; install Quantum ESPRESSO with: {INSTALL}")
    launcher = shlex.split(run.launcher.format(ranks=run.ranks)) if run.ranks > 1 else []
    start, before = time.monotonic(), os.times()
    environment = _environment() | {MARK: str(mark.resolve())}
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - programs of the settings, no shell
            [*launcher, path, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True,
        )  # fmt: skip
        try:
            timed_out = not _waited(process, start + limit_s)
        finally:  # nothing that was started may outlive an interrupt, nor ranks their launcher
            if process.poll() is None:
                end_group(process)
            end_strays(mark)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Ended(process.returncode, time.monotonic() - start, cpu_s, timed_out)


def _waited(process: subprocess.Popen[bytes], end: float) -> bool:
    """Wait for the end; False when the time was over before."""
    try:
        process.wait(max(end - time.monotonic(), _POLL_S))
    except subprocess.TimeoutExpired:
        return False
    return True


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask the group of a process to end, then make it end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_WITHIN_S)
            return


def end_strays(mark: Path) -> int:
    """End the programs that a killed run of this folder left behind, so that two never write the same files.

    Returns
    -------
    int
        How many processes were ended.
    """
    wanted = str(mark.resolve())
    strays = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == wanted:
                strays.append(process)
        except (psutil.Error, OSError):
            continue
    for process in strays:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(strays, timeout=_STOP_WITHIN_S)
    return len(strays)


def _environment() -> dict[str, str]:
    """One thread a process; Open MPI refuses to run as root unless told twice, as in containers."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"} if os.geteuid() == 0 else {}
    return dict(os.environ) | threads | root
