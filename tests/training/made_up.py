"""Data sets with a known law behind them."""

import numpy as np

from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.data import buckets
from onnes.training.electron_phonon import ElectronPhononData
from onnes.training.metals import MetalData
from onnes.training.recipe import MetalRecipe, SuperconductivityRecipe
from onnes.training.trainer import TrainSettings

QUICK = TrainSettings(members=3, hidden=32, epochs=25, batch_size=64, learning_rate=5e-3, dropout=0.0, noise=0.0)
POTENTIALS = ("sevennet-0", "sevennet-l3i5")
WEIGHTS = {
    "ln_lambda": 1.0,
    "ln_omega_log_K": 1.0,
    "ln_omega2_ratio": 0.2,
    "ln_dos_ef_per_atom": 0.1,
    "ln_debye_K": 0.1,
}


def recipe(*, heads=QUICK, potentials=("sevennet-0",), **changes):
    made = {"kind": "superconductivity", "name": "made-up", "potentials": potentials, "target_weights": WEIGHTS}
    return SuperconductivityRecipe(**{**made, "cross_members": 1, **changes}, heads=heads)


def metal_recipe(**changes):
    settings = QUICK.model_copy(update={"members": 2, "epochs": 12, "loss": "binary", **changes})
    return MetalRecipe(kind="metal", name="made-up", potentials=("sevennet-0",), heads=settings)


def formulas(n):
    """Two rows a formula."""
    return [f"A{i // 2 + 1}B" for i in range(n)]


def electron_phonon_data(n=600, *, width=25, noise=0.05, tc_noise=0.0, seed=0):
    """Features of two potentials: the first knows the law, the second half as much; every fifth row has no N(E_F)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    ln_lambda = np.log(0.5) + 0.35 * x[:, 0] + 0.15 * np.abs(x[:, 1]) + noise * rng.normal(size=n)
    ln_log = np.log(200) + 0.3 * x[:, 2] - 0.2 * x[:, 0] + noise * rng.normal(size=n)
    ln_ratio = 0.1 + 0.03 * np.abs(x[:, 3])
    lam, log_K = np.exp(ln_lambda), np.exp(ln_log)
    targets = np.stack([ln_lambda, ln_log, ln_ratio, 0.1 * x[:, 4], 5 + 0.1 * x[:, 2]], axis=1)
    targets[rng.random(n) < 0.3, 2] = np.nan
    second = x + rng.normal(size=x.shape).astype(np.float32)
    electronic = np.stack([x[:, 0] + 0.3 * rng.normal(size=n), *rng.normal(size=(2, n))], axis=1).astype(np.float32)
    electronic[::5] = np.nan
    tc = allen_dynes_tc_K(lam, log_K, log_K * np.exp(ln_ratio)) * np.exp(tc_noise * rng.normal(size=n))
    names = formulas(n)
    return ElectronPhononData(
        dict(zip(POTENTIALS, (x, second), strict=True)), electronic, targets, tc, buckets(names),
        np.unique(names, return_inverse=True)[1], np.ones(n, bool), frozenset({13, 41}),
    )  # fmt: skip


def metal_data(n=600, *, width=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    names = formulas(n)
    return MetalData(
        ("sevennet-0",), x, x[:, 0] + 0.3 * x[:, 1] ** 2 > 0, buckets(names), np.unique(names, return_inverse=True)[1]
    )  # fmt: skip
