"""Choice of the torch device, the one-thread rule, and memory that is kept between evaluations."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

import torch

from onnes.errors import ModelError


def torch_device(device: str) -> torch.device:
    """Return the torch device for ``cpu`` or ``cuda``; one thread per process on the CPU.

    More OpenMP threads than one make small graphs several times slower on a busy machine; use processes instead.
    """
    if device == "cpu":
        torch.set_num_threads(1)
        keep_freed_memory()
        return torch.device("cpu")
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ModelError("device 'cuda' was asked for, but torch sees no CUDA device; use --device cpu")
        return torch.device(device)
    raise ModelError(f"unknown device {device!r}; use cpu or cuda")


# Parameters of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = -1
_PAD_BYTES = 2**26


@cache
def keep_freed_memory() -> bool:
    """Let the process keep the memory that it frees; returns whether the system's allocator could be told.

    By default glibc returns every large array to the system and asks for it anew in the next evaluation, where each page is
    filled with zeros first. For the large graphs of supercells that takes up to half of the time. The price: the process
    holds on to as much memory as it once needed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _PAD_BYTES))
    return all(mallopt(name, value) == 1 for name, value in settings)
