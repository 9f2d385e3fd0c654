"""Known crystals pulled out of their equilibrium, so that forces and stresses are not zero."""

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal


def distorted(names, *, strain=0.03, rattle_A=0.06, seed=0, primitive=True):
    rng = np.random.default_rng(seed)
    crystals = []
    for lattice, frac, numbers in CrystalBatch.from_structures(known_crystal(n, primitive=primitive) for n in names):
        deformed = lattice @ (np.eye(3) + rng.uniform(-strain, strain, (3, 3)))
        shifts = rng.normal(0, rattle_A, frac.shape) @ np.linalg.inv(deformed)
        crystals.append((deformed, frac + shifts, numbers))
    return CrystalBatch.of(crystals)
