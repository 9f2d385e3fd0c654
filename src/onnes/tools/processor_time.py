"""Processor time: of this process, and of all the processes of a job."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")
# Fields of /proc/PID/stat behind the name, which stands in brackets and may hold anything: see proc_pid_stat(5).
_GROUP, _TIMES = 2, slice(11, 15)


def own_seconds() -> float:
    """Processor time (s) of this process and of those of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def group_seconds(group: int) -> float | None:
    """Processor time (s) of the living processes of a group, with that of their children that have ended.

    Parameters
    ----------
    group
        Number of the process group.

    Returns
    -------
    float or None
        None where the system does not tell of processes in ``/proc``.

    Examples
    --------
    >>> import os
    >>> group_seconds(os.getpgrp()) is None or group_seconds(os.getpgrp()) > 0
    True
    """
    if not (_PROCESSES / "self" / "stat").is_file():
        return None
    ticks = 0
    for folder in _PROCESSES.iterdir():
        if not folder.name.isdecimal():
            continue
        with suppress(OSError):  # it ended meanwhile
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[_GROUP]) == group:
                ticks += sum(map(int, fields[_TIMES]))
    return ticks / os.sysconf("SC_CLK_TCK")
