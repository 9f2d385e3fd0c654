"""What each site of a crystal contributes to a prediction: Shapley values of its orbits."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating]
    Float64 = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Pool = Callable[[Floats], Floats]
    Predict = Callable[[Floats], Mapping[str, Float64]]

MAX_EXACT = 8
"""Up to so many orbits all 2**k coalitions are evaluated; beyond, orders of arrival are drawn."""
N_ORDERS = 64


@dataclass(frozen=True, eq=False)
class Attribution:
    """Contributions of the m orbits of one crystal.

    Attributes
    ----------
    orbit_of_atom
        Index of the orbit of each atom, shape (n,), from 0 to m - 1.
    baseline, prediction
        What the model says of the average training crystal and of this one, by target.
    by_orbit
        Contribution of each orbit, all its atoms together, by target, shape (m,). They add up to prediction minus
        baseline.
    standard_error
        Of ``by_orbit`` from the drawing of orders, by target, shape (m,); zero when exact.
    exact
        Whether all coalitions were evaluated.
    """

    orbit_of_atom: NDArray[np.int64]
    baseline: dict[str, float]
    prediction: dict[str, float]
    by_orbit: dict[str, Float64]
    standard_error: dict[str, Float64]
    exact: bool

    def by_atom(self, target: str) -> Float64:
        """Contribution of each atom, shape (n,): the atoms of an orbit are equal by symmetry and share evenly."""
        counts = np.bincount(self.orbit_of_atom)
        return (self.by_orbit[target] / counts)[self.orbit_of_atom]


def attribute(
    atoms: Floats,
    orbit_of_atom: ArrayLike,
    *,
    pool: Pool,
    predict: Predict,
    baseline: Floats,
    n_orders: int = N_ORDERS,
    seed: int = 0,
) -> Attribution:
    """Share out the difference between the prediction of a crystal and that of the average training crystal.

    Parameters
    ----------
    atoms
        Per-atom features, shape (n, F).
    orbit_of_atom
        A label of the orbit of each atom, shape (n,): any integers, atoms with equal ones belong together.
    pool
        Pools the features of some atoms, shape (k, F), to features of a crystal, shape (P,).
    predict
        Predicts from pooled features, shape (B, P), by target an array of shape (B,). Everything that it returns is
        shared out.
    baseline
        Pooled features of the average training crystal, shape (P,).
    n_orders, seed
        Orders of arrival that are drawn (in pairs, each with its reverse) beyond `MAX_EXACT` orbits.

    Returns
    -------
    Attribution
        Orbits in the order of the sorted labels.

    Raises
    ------
    ModelError
        When shapes do not fit together, or a prediction is not finite.

    Notes
    -----
    The Shapley value of orbit i is its mean gain v(S + i) - v(S) over all orders in which the orbits may arrive
    (Shapley 1953; as an explanation of models: Lundberg and Lee, NeurIPS 2017, equation 4). It is the only rule whose
    parts add up, that treats equal orbits equally, gives nothing to one without effect, and is linear in the model.

    What the model says of a coalition S with n_S of the n atoms, v(S), is its prediction at
    ``baseline + n_S / n * (pool(atoms of S) - baseline)``: the average training crystal stands in for the atoms that
    have not arrived. For the mean over atoms this is exactly the mean with each absent atom replaced by the average,
    so that a model which is linear in that mean gives every atom its own deviation divided by n, however the atoms
    are grouped. Coalitions are not crystals: as for every such method, v(S) asks the model about features that
    it was not trained on.

    The features of an atom know its neighbours. A contribution is one of the site with its surroundings, as the model
    sees it, and no cause.

    Examples
    --------
    >>> atoms = np.array([[1.0], [3.0], [3.0]])
    >>> found = attribute(atoms, [0, 1, 1], pool=lambda a: a.mean(0), predict=lambda x: {"y": 3 * x[:, 0]},
    ...                   baseline=np.zeros(1))
    >>> found.by_orbit["y"].round(6).tolist(), found.by_atom("y").round(6).tolist()
    ([1.0, 6.0], [1.0, 3.0, 3.0])
    """
    orbits = _orbits(atoms, orbit_of_atom)
    n_orbits = int(orbits.max()) + 1
    exact = n_orbits <= MAX_EXACT
    orders = np.empty((0, 2, n_orbits), np.int64) if exact else _drawn_orders(n_orbits, n_orders, seed)
    coalitions, places = (_all_coalitions(n_orbits), orders) if exact else _visited(orders)
    values = _values(coalitions, atoms, orbits, pool, predict, baseline)
    shares, errors = {}, {}
    for name, value in values.items():
        if exact:
            shares[name], errors[name] = _exact(value, n_orbits), np.zeros(n_orbits)
        else:
            gains = _gains(value, orders, places)
            shares[name], errors[name] = gains.mean(0), gains.std(0, ddof=1) / np.sqrt(len(gains))
    first, last = ({name: float(value[k]) for name, value in values.items()} for k in (0, -1))
    return Attribution(orbits, first, last, shares, errors, exact)


def _orbits(atoms: Floats, orbit_of_atom: ArrayLike) -> NDArray[np.int64]:
    labels = np.asarray(orbit_of_atom).ravel()
    if np.ndim(atoms) != 2 or len(atoms) != len(labels) or not len(labels):
        raise ModelError(f"features of shape {np.shape(atoms)} for {len(labels)} atoms; give one row an atom")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _all_coalitions(n_orbits: int) -> Bools:
    """Row c holds the orbits whose bits are set in c; the first row is empty, the last full; shape (2**m, m)."""
    return (np.arange(2**n_orbits)[:, None] >> np.arange(n_orbits) & 1).astype(bool)


def _drawn_orders(n_orbits: int, n_orders: int, seed: int) -> NDArray[np.int64]:
    """Pairs of an order and its reverse, which cancels much of the noise, shape (pairs, 2, m)."""
    rng = np.random.default_rng(seed)
    forward = np.array([rng.permutation(n_orbits) for _ in range(max(2, -(-n_orders // 2)))])
    return np.stack([forward, forward[:, ::-1]], axis=1)


def _visited(orders: NDArray[np.int64]) -> tuple[Bools, NDArray[np.int64]]:
    """Coalitions on the way of the orders, each once, the empty first and the full last, and where each step is.

    The places have shape (pairs, 2, m + 1).
    """
    n_orbits = orders.shape[-1]
    arrived = np.argsort(orders, axis=-1)[..., None, :] < np.arange(n_orbits + 1)[:, None]
    # Sorted by size, so that the ends are the empty and the full one.
    flat = arrived.reshape(-1, n_orbits)
    keyed = np.concatenate([flat.sum(1, keepdims=True), flat], axis=1)
    unique, places = np.unique(keyed, axis=0, return_inverse=True)
    return unique[:, 1:].astype(bool), places.reshape(arrived.shape[:-1])


def _values(
    coalitions: Bools, atoms: Floats, orbits: NDArray[np.int64], pool: Pool, predict: Predict, baseline: Floats
) -> dict[str, Float64]:
    """Prediction of each coalition, by target, shape (coalitions,)."""
    rows = np.repeat(np.asarray(baseline, float)[None], len(coalitions), axis=0)
    for c in np.flatnonzero(coalitions.any(1)):
        present = coalitions[c, orbits]
        pooled = np.asarray(pool(atoms[present]), float)
        if pooled.shape != rows[c].shape:
            raise ModelError(f"pooled features of shape {pooled.shape}, a baseline of shape {rows[c].shape}")
        rows[c] += present.mean() * (pooled - rows[c])
    values = {name: np.asarray(value, float) for name, value in predict(rows).items()}
    for name, value in values.items():
        if value.shape != (len(rows),) or not np.isfinite(value).all():
            raise ModelError(f"predictions of {name} must be one finite number a row; check the features")
    return values


def _exact(values: Float64, n_orbits: int) -> Float64:
    """Shapley values from the values of all coalitions, ordered as by `_all_coalitions`."""
    numbers = np.arange(2**n_orbits)
    sizes = _all_coalitions(n_orbits).sum(1)
    weights = np.array([factorial(s) * factorial(n_orbits - s - 1) for s in range(n_orbits)]) / factorial(n_orbits)
    shares = np.empty(n_orbits)
    for i in range(n_orbits):
        without = numbers[(numbers >> i) & 1 == 0]
        shares[i] = weights[sizes[without]] @ (values[without | 1 << i] - values[without])
    return shares


def _gains(values: Float64, orders: NDArray[np.int64], places: NDArray[np.int64]) -> Float64:
    """Gain of each orbit, averaged over an order and its reverse, shape (pairs, m)."""
    steps = np.diff(values[places], axis=-1)
    return np.take_along_axis(steps, np.argsort(orders, axis=-1), axis=-1).mean(1)
