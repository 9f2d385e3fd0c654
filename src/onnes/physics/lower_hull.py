"""Lower convex hull of one chemical system, and the exact decomposition of any composition in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, QhullError

from onnes.errors import OnnesError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# Above this number of elements a hull has more facets than a screening has candidates: each is solved by itself.
MOST_ELEMENTS_IN_QHULL = 7
_FLAT = 1e-12
_ENERGY_TOLERANCE_eV = 1e-9
_SHARE_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class LowerHull:
    """Lower convex hull of phases over the compositions of n elements.

    The energy of the hull at a composition is the largest value there of all planes that lie below every phase
    (linear-programming duality: Boyd and Vandenberghe, Convex Optimization (2004), section 5.2). A plane is found by
    Qhull (Barber, Dobkin and Huhdanpaa, ACM Trans. Math. Softw. 22, 469 (1996)). It is taken as the answer only when
    the composition has no negative share in its corners, which proves both bounds; any other composition is solved as a
    linear program of its own.

    Attributes
    ----------
    fractions
        Atomic fractions of the phases, shape (m, n); the pure elements must be among them.
    energies
        Formation energies of the phases, eV/atom, shape (m,).
    facets
        Phases at the corners of each facet, shape (k, n).
    potentials
        Chemical potentials of the elements in the plane of each facet, eV/atom, shape (k, n).

    Examples
    --------
    >>> hull = LowerHull.of(np.array([[1, 0], [0, 1], [0.75, 0.25]]), np.array([0.0, 0.0, -0.2]))
    >>> energy, phases, shares = hull.decompose(np.array([[0.5, 0.5]]))
    >>> energy.round(6).tolist(), sorted(zip(phases[0].tolist(), shares[0].round(6).tolist()))
    ([-0.133333], [(1, 0.333333), (2, 0.666667)])
    """

    fractions: Floats
    energies: Floats
    facets: Ints
    potentials: Floats

    @classmethod
    def of(cls, fractions: Floats, energies: Floats) -> LowerHull:
        """Build the hull; phases above it may be among those given."""
        facets = _facets(fractions, energies)
        corners = fractions[facets]
        facets = facets[np.abs(np.linalg.det(corners)) > _FLAT]
        potentials = np.asarray(np.linalg.solve(fractions[facets], energies[facets][..., None])[..., 0], np.float64)
        above = fractions @ potentials.T - energies[:, None]
        below_all = above.max(axis=0, initial=-np.inf) <= _ENERGY_TOLERANCE_eV
        return cls(fractions, energies, facets[below_all], potentials[below_all])

    def decompose(self, compositions: Floats) -> tuple[Floats, Ints, Floats]:
        """Find the energy of the hull, and the phases that make it up.

        Parameters
        ----------
        compositions
            Atomic fractions, shape (p, n).

        Returns
        -------
        energies
            Formation energy of the hull, eV/atom, shape (p,).
        phases
            Indices of n phases for each composition, shape (p, n).
        shares
            Their fractions by atoms, shape (p, n); zero for phases that take no part.
        """
        count, n = compositions.shape
        phases, shares = np.zeros((count, n), np.int64), np.zeros((count, n))
        solved = np.zeros(count, bool)
        if len(self.facets):
            phases = self.facets[np.argmax(compositions @ self.potentials.T, axis=1)]
            corners = np.swapaxes(self.fractions[phases], 1, 2)
            shares = np.asarray(np.linalg.solve(corners, compositions[..., None])[..., 0], np.float64)
            solved = (shares >= -_SHARE_TOLERANCE).all(axis=1)
        for row in np.flatnonzero(~solved):
            phases[row], shares[row] = self._program(compositions[row])
        return (shares * self.energies[phases]).sum(axis=1), phases, shares

    def _program(self, composition: Floats) -> tuple[Ints, Floats]:
        """Shares of lowest energy by the simplex method (HiGHS), at most n of them."""
        found = linprog(
            self.energies,
            A_eq=self.fractions.T,
            b_eq=composition,
            method="highs-ds",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if found.x is None:
            raise OnnesError(f"no decomposition of the composition {composition.tolist()}: {found.message}")
        largest = np.argsort(-found.x, kind="stable")[: len(composition)]
        return largest, found.x[largest]


def _facets(fractions: Floats, energies: Floats) -> Ints:
    """Corners of the facets that Qhull finds, shape (k, n); none where it fails or would take too long."""
    m, n = fractions.shape
    if m == n:
        return np.arange(n)[None]
    if n > MOST_ELEMENTS_IN_QHULL:
        return np.zeros((0, n), np.int64)
    # The last fraction follows from the others. A point high above makes the body solid; its facets are the upper ones.
    top = np.append(np.full(n - 1, 1 / n), energies.max() + 1)
    points = np.vstack([np.column_stack([fractions[:, 1:], energies]), top])
    try:
        found = ConvexHull(points, qhull_options="Qt").simplices
    except QhullError:
        return np.zeros((0, n), np.int64)
    return found[(found != m).all(axis=1)].astype(np.int64)
