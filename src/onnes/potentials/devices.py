"""Choice of the torch device, and the one-thread rule."""

from __future__ import annotations

import torch

from onnes.errors import ModelError


def torch_device(device: str) -> torch.device:
    """Return the torch device for ``cpu`` or ``cuda``; one thread per process on the CPU.

    More OpenMP threads than one make small graphs several times slower on a busy machine; use processes instead.
    """
    if device == "cpu":
        torch.set_num_threads(1)
        return torch.device("cpu")
    if device.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ModelError("device 'cuda' was asked for, but torch sees no CUDA device; use --device cpu")
        return torch.device(device)
    raise ModelError(f"unknown device {device!r}; use cpu or cuda")
