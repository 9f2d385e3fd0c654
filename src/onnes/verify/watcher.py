"""Programs end with the process that started them, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psutil

from onnes.verify.programs import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = "ONNES_VERIFY_OWNER"
"""In the environment of programs: whose they are."""
_STOP_WITHIN_S = 5.0
# It leaves nothing to chance: only programs of `onnes.verify.programs` that carry the name of this owner are ended.
_WATCH = "import sys; sys.stdin.buffer.read(); from onnes.verify.watcher import end_programs; end_programs(sys.argv[1])"


@contextmanager
def programs_end_with_us() -> Iterator[None]:
    """See to it that no program of a verification outlives this process, even when it is killed.

    Every program runs in a session of its own, where neither the signals of a terminal nor those of a job reach it; and a
    process that is killed cannot end its children. So another process waits at a pipe, which the system closes when this
    one is gone, and then ends what was started.
    """
    owner = uuid.uuid4().hex
    reading, writing = os.pipe()  # not inherited by programs
    try:
        watcher = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
            [sys.executable, "-c", _WATCH, owner], stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    finally:
        os.close(reading)
    before = os.environ.get(OWNER)
    os.environ[OWNER] = owner
    try:
        yield
    finally:
        if before is None:
            del os.environ[OWNER]
        else:
            os.environ[OWNER] = before
        watcher.kill()  # nothing is left to be ended: `run_program` sees to that while this process lives
        watcher.wait()
        os.close(writing)


def end_programs(owner: str) -> int:
    """End every program that an owner has started; returns how many there were."""
    found = [one for one in psutil.process_iter() if _is_of(one, owner)]
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=_STOP_WITHIN_S)
    return len(found)


def _is_of(process: psutil.Process, owner: str) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False
    return environment.get(OWNER) == owner and MARK in environment
