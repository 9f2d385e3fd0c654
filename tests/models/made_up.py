"""Small models with random weights, trained on nothing."""

import numpy as np

from onnes.models.domain import Domain
from onnes.models.heads import HeadEnsemble
from onnes.models.metal import MetalModel
from onnes.models.superconductivity import TARGETS, SuperconductivityModel

WIDTH = 30


def heads(targets, *, width=WIDTH, members=4, seed=0, y_mean=None):
    rng = np.random.default_rng(seed)

    def stack(*shape):
        return rng.normal(0, 0.3, shape).astype(np.float32)

    n = len(targets)
    return HeadEnsemble(
        tuple(targets), np.zeros(width, np.float32), np.ones(width, np.float32),
        np.zeros(n, np.float32) if y_mean is None else np.asarray(y_mean, np.float32), np.full(n, 0.4, np.float32),
        (stack(members, width, 8), stack(members, 8, 8), stack(members, 8, n)),
        (stack(members, 1, 8), stack(members, 1, 8), stack(members, 1, n)),
    )  # fmt: skip


def superconductivity_model(*, width=WIDTH, interval=(1.6, 0.2), **changes):
    """Lambda around 0.6, omega_log around 200 K, omega2 / omega_log on both sides of 1."""
    made = {
        "name": "made-up",
        "sha256": "0" * 64,
        "potentials": ("sevennet-0", "chgnet"),
        "heads": heads(TARGETS, width=width, y_mean=[np.log(0.6), np.log(200), 0.02, 0, 0]),
        "domain": Domain.fit(features(200, width=width, seed=5)),
        "interval": interval,
        "max_atoms": 12,
        "elements": frozenset({13, 29, 41}),
    }
    return SuperconductivityModel(**{**made, **changes})


def metal_model(*, width=WIDTH):
    return MetalModel("made-up", "1" * 64, ("sevennet-0", "chgnet"), heads(("metal_logit",), width=width, seed=7))


def features(n, *, width=WIDTH, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
