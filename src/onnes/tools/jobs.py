"""Long work as a process of its own: it goes on when whoever asked for it has left."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from onnes.errors import EvidenceError, OnnesError
from onnes.flow.shards import write_bytes
from onnes.tools.call import SetResult, call_tool, checked_arguments, set_name, set_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from onnes.campaign.study import Study

REQUEST, STATE, LOCK, LOG = "request.json", "state.json", "lock", "log.txt"
POLL_S = 0.1
REPORT_EVERY_S = 0.5
START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
LOOK_S = 1.0


def start(study: Study, name: str, arguments: Mapping[str, Any]) -> SetResult:
    """Start a tool as a job, unless its set is there or the same job runs.

    Parameters
    ----------
    study
        Where the set will lie.
    name, arguments
        A tool that makes a set.

    Returns
    -------
    SetResult
        With ``set_id``, by which `state` and `stop` know the job.
    """
    checked = checked_arguments(name, arguments)
    set_id = set_name(study, name, checked)
    if study.has(set_id):
        return set_result(study, study.info(set_id))
    folder = _folder(study, set_id)
    if not _runs(folder):
        request = {"tool": name, "arguments": checked.model_dump(mode="json")}
        write_bytes(json.dumps(request).encode(), folder / REQUEST)
        _keep(folder, "running", rows_done=0)
        command = [sys.executable, "-c", _WORKER, str(study.folder.resolve()), set_id]
        with (folder / LOG).open("ab") as log:
            done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, check=False
            )
        if done.returncode:
            raise OnnesError(f"the job could not be started; see jobs/{set_id}/{LOG} in the study")
        _wait_for_lock(study, set_id)
    return state(study, set_id)


# It forks, so that it is nobody's child: it outlives whoever asked, and its time is not counted as theirs.
_WORKER = "import os, sys; from onnes.tools.jobs import work; os.fork() or work(sys.argv[1], sys.argv[2])"


def work(folder: str, set_id: str) -> None:
    """Do the work of a job; runs in the job's own process."""
    from onnes.campaign.study import Study

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    study = Study.open(folder)
    place = _folder(study, set_id)
    with _locked(place) as free:
        if not free:
            return
        request = json.loads((place / REQUEST).read_text(encoding="utf-8"))
        rows = 0
        last = 0.0

        def on_rows(done: int) -> None:
            nonlocal rows, last
            rows += done
            if time.monotonic() - last > REPORT_EVERY_S:
                last = time.monotonic()
                _keep(place, "running", rows_done=rows)

        try:
            call_tool(study, request["tool"], request["arguments"], on_rows=on_rows)
        except OnnesError as error:
            _keep(place, "failed", error=str(error), cpu_seconds=_cpu_seconds())
        except Exception as error:  # the boundary of a job: whoever asks for it must learn why it ended
            _keep(place, "failed", error=f"{type(error).__name__}: {error}", cpu_seconds=_cpu_seconds())
            raise
        else:
            _keep(place, "done", rows_done=rows, cpu_seconds=_cpu_seconds())


def state(study: Study, set_id: str) -> SetResult:
    """How far a set has come; raises EvidenceError when nobody ever asked for it."""
    if study.has(set_id):
        return set_result(study, study.info(set_id))
    folder = study.folder / "jobs" / set_id
    if not set_id.isalnum() or not (folder / STATE).is_file():
        raise EvidenceError(f"no set and no job {set_id[:40]!r} in this study")
    kept = json.loads((folder / STATE).read_text(encoding="utf-8"))
    if kept["state"] == "running" and not _runs(folder):
        if study.has(set_id):  # it ended between the two looks
            return set_result(study, study.info(set_id))
        kept |= {
            "state": "failed",
            "error": f"its process is gone; the same call starts it again (log: jobs/{set_id}/{LOG})",
        }
    tool = json.loads((folder / REQUEST).read_text(encoding="utf-8"))["tool"]
    return SetResult(
        set_id=set_id, tool=tool, state=kept["state"], rows_done=kept.get("rows_done"), error=kept.get("error")
    )


def wait(study: Study, set_id: str, timeout_s: float) -> SetResult:
    """Wait for a job, at most that long."""
    end = time.monotonic() + timeout_s
    found = state(study, set_id)
    while found.state == "running" and time.monotonic() < end:
        time.sleep(POLL_S)
        found = state(study, set_id)
    return found


def stop(study: Study, set_id: str) -> SetResult:
    """Stop a job and the processes that it started; what a campaign has computed stays for the next call."""
    found = state(study, set_id)
    folder = study.folder / "jobs" / set_id
    if found.state != "running":
        return found
    group = int((folder / LOCK).read_text() or 0)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if group:
            try:
                os.killpg(group, sign)
            except ProcessLookupError:
                break
        end = time.monotonic() + STOP_WITHIN_S
        while _runs(folder) and time.monotonic() < end:
            time.sleep(POLL_S)
        if not _runs(folder):
            break
    if not study.has(set_id):
        _keep(folder, "cancelled")
    return state(study, set_id)


def cpu_seconds(study: Study, set_id: str) -> float:
    """Processor time of a job that has ended by itself; 0 when nobody knows."""
    path = study.folder / "jobs" / set_id / STATE
    return float(json.loads(path.read_text(encoding="utf-8")).get("cpu_seconds", 0.0)) if path.is_file() else 0.0


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _folder(study: Study, set_id: str) -> Path:
    folder = study.folder / "jobs" / set_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _keep(folder: Path, name: str, **more: Any) -> None:
    write_bytes(json.dumps({"state": name, **more}).encode(), folder / STATE)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold the lock of a job; the system lets go of it when the process ends, however it ends."""
    with (folder / LOCK).open("a+") as file:
        end = time.monotonic() + LOOK_S
        while not _taken(file, fcntl.LOCK_EX):
            if time.monotonic() > end:  # another worker, and not somebody who only looks whether there is one
                yield False
                return
            time.sleep(0.01)
        file.truncate(0)
        file.write(str(os.getpgrp()))  # with the processes that it starts
        file.flush()
        yield True


def _runs(folder: Path) -> bool:
    """Whether a process holds the lock."""
    if not (folder / LOCK).is_file():
        return False
    with (folder / LOCK).open("r") as file:
        return not _taken(file, fcntl.LOCK_SH)


def _taken(file: IO[str], kind: int) -> bool:
    """Take a lock if nobody holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(study: Study, set_id: str) -> None:
    """A job counts as running once it holds its lock, or it has ended by then."""
    folder = _folder(study, set_id)
    end = time.monotonic() + START_WITHIN_S
    while not (_runs(folder) or study.has(set_id)) and time.monotonic() < end:
        if json.loads((folder / STATE).read_text(encoding="utf-8"))["state"] != "running":
            return
        time.sleep(0.02)
