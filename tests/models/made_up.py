"""Small models with random weights, trained on nothing."""

import numpy as np

from onnes.models.domain import Domain
from onnes.models.heads import HeadEnsemble, MixedEnsemble
from onnes.models.metal import MetalModel
from onnes.models.superconductivity import N_ELECTRONIC, TARGETS, Calibration, SuperconductivityModel

WIDTH = 30
POTENTIALS = ("sevennet-0", "sevennet-l3i5")
CALIBRATION = Calibration(1.7, 0.2, 1.5, 1.6, 1.1)
Y_MEAN = (np.log(0.6), np.log(200), 0.1, 0.0, np.log(250))


def heads(targets, *, width=WIDTH, members=4, seed=0, y_mean=None, x_scale=None, x_gain=None):
    rng = np.random.default_rng(seed)

    def stack(*shape):
        return rng.normal(0, 0.3, shape).astype(np.float32)

    def ones(given):
        return np.ones(width, np.float32) if given is None else np.asarray(given, np.float32)

    n = len(targets)
    return HeadEnsemble(
        tuple(targets), np.zeros(width, np.float32), ones(x_scale), ones(x_gain),
        np.zeros(n, np.float32) if y_mean is None else np.asarray(y_mean, np.float32), np.full(n, 0.4, np.float32),
        (stack(members, width, 8), stack(members, 8, 8), stack(members, 8, n)),
        (stack(members, 1, 8), stack(members, 1, 8), stack(members, 1, n)),
    )  # fmt: skip


def mixed(*, width=WIDTH, electronic=False, seed=0, x_scale=None):
    """One ensemble of two members a potential, each on half of the columns, and both on N(E_F) where it is given."""
    half, last = width // 2, ((width, width + N_ELECTRONIC),) if electronic else ()
    scale = None if x_scale is None else [*x_scale, *[1] * (N_ELECTRONIC if electronic else 0)]
    ensembles = [
        heads(
            TARGETS, width=half + N_ELECTRONIC * electronic, members=2, seed=seed + i, y_mean=Y_MEAN, x_scale=scale
        )
        for i in range(2)
    ]  # fmt: skip
    return MixedEnsemble(tuple(ensembles), (((0, half), *last), ((half, width), *last)))


def superconductivity_model(*, width=WIDTH, electronic=False, seed=0, x_scale=None, **changes):
    """Lambda around 0.6, omega_log around 200 K, omega2 / omega_log on both sides of 1."""
    total = width + N_ELECTRONIC * electronic
    made = {
        "name": "made-up",
        "sha256": "0" * 64,
        "potentials": POTENTIALS,
        "heads": mixed(width=width, electronic=electronic, seed=seed, x_scale=x_scale),
        "domain": Domain.fit(features(200, width=total, seed=5), n_components=min(24, total)),
        "calibration": CALIBRATION,
        "max_atoms": 12,
        "elements": frozenset({13, 29, 41}),
        "electronic": electronic,
    }
    return SuperconductivityModel(**{**made, **changes})


def superconductivity_config(model):
    """What is written beside the weights of a model."""
    return {
        "kind": "superconductivity",
        "potentials": list(model.potentials),
        "electronic": model.electronic,
        "fallback": model.fallback,
        "moments": model.moments,
        "targets": list(model.heads.targets),
        "columns": model.heads.columns,
        "calibration": model.calibration._asdict(),
        "max_atoms": model.max_atoms,
        "elements": sorted(model.elements),
    }


def metal_model(*, width=WIDTH, potentials=("sevennet-0",), **more):
    return MetalModel("made-up", "1" * 64, tuple(potentials), heads(("metal_logit",), width=width, seed=7, **more))


def features(n, *, width=WIDTH, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
