"""Data sets with a known law behind them."""

import numpy as np

from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.data import buckets
from onnes.training.metals import MetalData
from onnes.training.structure import StructureData
from onnes.training.trainer import TrainSettings

QUICK = TrainSettings(members=3, hidden=32, epochs=25, batch_size=64, learning_rate=5e-3, dropout=0.0, noise=0.0)


def formulas(n):
    """Two rows a formula."""
    return [f"A{i // 2 + 1}B" for i in range(n)]


def structure_data(n=600, *, width=25, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    ln_lambda = np.log(0.5) + 0.35 * x[:, 0] + 0.15 * np.abs(x[:, 1]) + noise * rng.normal(size=n)
    ln_log = np.log(200) + 0.3 * x[:, 2] - 0.2 * x[:, 0] + noise * rng.normal(size=n)
    ln_ratio = 0.1 + 0.03 * np.abs(x[:, 3])
    lam, log_K = np.exp(ln_lambda), np.exp(ln_log)
    targets = np.stack([ln_lambda, ln_log, ln_ratio, 0.1 * x[:, 4], 5 + 0.1 * x[:, 2]], axis=1)
    targets[rng.random(n) < 0.3, 2] = np.nan
    names = formulas(n)
    return StructureData(
        x, targets, allen_dynes_tc_K(lam, log_K, log_K * np.exp(ln_ratio)), buckets(names),
        np.unique(names, return_inverse=True)[1], np.ones(n, bool), frozenset({13, 41}),
    )  # fmt: skip


def metal_data(n=600, *, width=20, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    names = formulas(n)
    return MetalData(x, x[:, 0] + 0.3 * x[:, 1] ** 2 > 0, buckets(names), np.unique(names, return_inverse=True)[1])
