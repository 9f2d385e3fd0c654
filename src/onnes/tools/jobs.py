"""Long work as a process of its own: it goes on when whoever asked for it has left."""

from __future__ import annotations

import fcntl
import json
import math
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
from onnes.tools.processor_time import group_seconds, own_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from onnes.campaign.study import Study

REQUEST, STATE, LOCK, LOG, SEEN = "request.json", "state.json", "lock", "log.txt", "cpu_seconds"
POLL_S = 0.1
LOOK_AT_TIME_EVERY_S = 0.5
REPORT_EVERY_S = 0.5
START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0
LOOK_S = 1.0
GRACE_S = 10
"""Processor time (s) beyond its bound after which a process that has not noticed is killed."""
MOST_RUNNING = 8
"""Jobs of a study that may run at a time: each takes memory, and all the cores there are."""


def start(study: Study, name: str, arguments: Mapping[str, Any], *, max_cpu_seconds: float | None = None) -> SetResult:
    """Start a tool as a job, unless its set is there or the same job runs.

    Parameters
    ----------
    study
        Where the set will lie.
    name, arguments
        A tool that makes a set.
    max_cpu_seconds
        Processor time (s) after which the system ends each process of the job, whether anybody waits for it or not.

    Returns
    -------
    SetResult
        With ``set_id``, by which `state` and `stop` know the job.

    Raises
    ------
    OnnesError
        When as many jobs of the study run as may, or when no process could be started.
    """
    checked = checked_arguments(name, arguments)
    set_id = set_name(study, name, checked)
    if study.has(set_id):
        return set_result(study, study.info(set_id))
    folder = _folder(study, set_id)
    with (study.folder / "jobs" / LOCK).open("w") as starting:  # two at a time would not see one another
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not _runs(folder):
            _room_for_one_more(study)
            request = {"tool": name, "arguments": checked.model_dump(mode="json"), "max_cpu_seconds": max_cpu_seconds}
            write_bytes(json.dumps(request).encode(), folder / REQUEST)
            _keep(folder, "running", rows_done=0)
            (folder / SEEN).unlink(missing_ok=True)
            _start_worker(study, set_id)
    return state(study, set_id)


def _start_worker(study: Study, set_id: str) -> None:
    command = [sys.executable, "-c", _WORKER, str(study.folder.resolve()), set_id]
    with (_folder(study, set_id) / LOG).open("ab") as log:
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, check=False
        )
    if done.returncode:
        raise OnnesError(f"the job could not be started; see jobs/{set_id}/{LOG} in the study")
    _wait_for_lock(study, set_id)


def running(study: Study) -> list[str]:
    """Sets that jobs of this study are working on."""
    return sorted(path.parent.name for path in (study.folder / "jobs").glob(f"*/{LOCK}") if _runs(path.parent))


def _room_for_one_more(study: Study) -> None:
    names = running(study)
    if len(names) >= MOST_RUNNING:
        raise OnnesError(
            f"{len(names)} jobs of this study run, as many as may: {', '.join(names)}; wait for one with `status`, or stop "
            "one with `cancel`"
        )


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
        if _kept(place)["state"] != "running":  # stopped before it began
            return
        request = json.loads((place / REQUEST).read_text(encoding="utf-8"))
        _bound(place, request.get("max_cpu_seconds"))
        rows = 0
        last = 0.0

        def on_rows(done: int) -> None:
            nonlocal rows, last
            rows += done
            if time.monotonic() - last > REPORT_EVERY_S:
                last = time.monotonic()
                _keep(place, "running", rows_done=rows, cpu_seconds=own_seconds())

        try:
            call_tool(study, request["tool"], request["arguments"], on_rows=on_rows)
        except OnnesError as error:
            _keep(place, "failed", error=str(error), cpu_seconds=own_seconds())
        except Exception as error:  # the boundary of a job: whoever asks for it must learn why it ended
            _keep(place, "failed", error=f"{type(error).__name__}: {error}", cpu_seconds=own_seconds())
            raise
        else:
            _keep(place, "done", rows_done=rows, cpu_seconds=own_seconds())


def _bound(folder: Path, seconds: float | None) -> None:
    """Bound the processor time of this process and of each that it starts; the system sees to it."""
    if seconds is None:
        return

    def spent(*_: object) -> None:
        # An exception would become the fault of a row; so all of the group ends here, whichever process it is.
        why = f"the {seconds:.0f} s of processor time that were left are spent"
        _keep(folder, "failed", error=why, cpu_seconds=group_seconds(os.getpgrp()) or own_seconds())
        os.killpg(os.getpgrp(), signal.SIGKILL)

    signal.signal(signal.SIGXCPU, spent)
    highest = resource.getrlimit(resource.RLIMIT_CPU)[1]
    bounds = (math.ceil(seconds), math.ceil(seconds) + GRACE_S)
    soft, hard = bounds if highest == resource.RLIM_INFINITY else (min(bounds[0], highest), min(bounds[1], highest))
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def state(study: Study, set_id: str) -> SetResult:
    """How far a set has come; raises EvidenceError when nobody ever asked for it."""
    if study.has(set_id):
        return set_result(study, study.info(set_id))
    folder = study.folder / "jobs" / set_id
    if not set_id.isalnum() or not (folder / STATE).is_file():
        raise EvidenceError(f"no set and no job {set_id[:40]!r} in this study")
    kept = _kept(folder)
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


def wait(study: Study, set_id: str, timeout_s: float, *, max_cpu_seconds: float | None = None) -> SetResult:
    """Wait for a job, at most that long, and no longer than until it has used that much processor time (s)."""
    end, look = time.monotonic() + timeout_s, 0.0
    found = state(study, set_id)
    while found.state == "running" and time.monotonic() < end:
        if max_cpu_seconds is not None and time.monotonic() > look:
            if cpu_seconds(study, set_id) >= max_cpu_seconds:
                break
            look = time.monotonic() + LOOK_AT_TIME_EVERY_S
        time.sleep(POLL_S)
        found = state(study, set_id)
    return found


def stop(study: Study, set_id: str) -> SetResult:
    """Stop a job and the processes that it started; what a campaign has computed stays for the next call."""
    found = state(study, set_id)
    folder = study.folder / "jobs" / set_id
    if study.has(set_id) or _kept(folder)["state"] != "running":
        return found
    group, spent = _group(folder) if _runs(folder) else 0, cpu_seconds(study, set_id)
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
        _keep(folder, "cancelled", cpu_seconds=spent)
    return state(study, set_id)


def cpu_seconds(study: Study, set_id: str) -> float:
    """Processor time (s) that a job has used, with that of the processes that it started; 0 when nobody knows."""
    folder = study.folder / "jobs" / set_id
    if not (folder / STATE).is_file():
        return 0.0
    kept = float(_kept(folder).get("cpu_seconds", 0.0))
    group = _group(folder) if _runs(folder) else 0
    now = (group_seconds(group) or 0.0) if group else 0.0
    if now:  # a job that is killed leaves nothing but what was seen of it
        (folder / SEEN).write_text(f"{now:.3f}\n", encoding="utf-8")
    return max(kept, now, _seen(folder))


def _seen(folder: Path) -> float:
    try:
        return float((folder / SEEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nobody looked, or somebody is writing
        return 0.0


def _group(folder: Path) -> int:
    """Number of the process group that holds the lock; 0 when it has not said so yet."""
    return int((folder / LOCK).read_text() or 0)


def _folder(study: Study, set_id: str) -> Path:
    folder = study.folder / "jobs" / set_id
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _kept(folder: Path) -> dict[str, Any]:
    return json.loads((folder / STATE).read_text(encoding="utf-8"))


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
        if _kept(folder)["state"] != "running":
            return
        time.sleep(0.02)
