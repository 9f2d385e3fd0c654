"""Potentials that take milliseconds, for tests of logic."""

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.neighbours import neighbour_edges
from onnes.potentials.potential import Evaluation

SIGMA_A, EPSILON_EV, CUTOFF_A = 2.5, 0.4, 5.5
NEAREST_A = 2.730165  # between neighbours of the relaxed fcc crystal


class FakePotential:
    """Lennard-Jones for every element, with faults to order.

    Parameters
    ----------
    max_atoms
        More atoms in one call raise what torch raises when memory runs out.
    nan_for
        Crystals with one of these elements get NaN.
    raises_for
        A call with one of these elements raises ValueError.
    """

    sha256 = "f" * 64
    energy_scheme = "Lennard-Jones"
    elements = frozenset(range(1, 95))
    n_features = 3
    device = "cpu"

    def __init__(self, name="fake", *, device="cpu", max_atoms=None, nan_for=(), raises_for=(), offset_eV=0.0) -> None:
        self.name = name
        self.max_atoms = max_atoms
        self.nan_for, self.raises_for = set(nan_for), set(raises_for)
        self.offset_eV = offset_eV
        self.calls: list[list[int]] = []

    def evaluate(self, batch, *, forces=True, features=False):
        self.calls.append(batch.n_atoms.tolist())
        if self.max_atoms is not None and len(batch.atomic_numbers) > self.max_atoms:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if self.raises_for & set(batch.atomic_numbers.tolist()):
            raise ValueError("an element that makes the whole call fail")
        (source, _), vectors, owners = neighbour_edges(batch, CUTOFF_A)
        r = np.linalg.norm(vectors, axis=1)
        energy, slope = _pair(r)
        pulls = (slope / r)[:, None] * vectors
        energies = 0.5 * np.bincount(owners, energy, len(batch)) + self.offset_eV * batch.n_atoms
        energies[[bool(self.nan_for & set(numbers.tolist())) for _, _, numbers in batch]] = np.nan
        all_forces = np.zeros((len(batch.atomic_numbers), 3))
        np.add.at(all_forces, source, pulls)
        stresses = np.zeros((len(batch), 3, 3))
        np.add.at(stresses, owners, pulls[:, :, None] * vectors[:, None, :])
        stresses /= 2 * batch.volumes[:, None, None]
        hidden = None
        if features:
            numbers = batch.atomic_numbers.astype(np.float32)
            hidden = np.stack([numbers, numbers**2, np.ones_like(numbers)], axis=1)
        if not forces:
            return Evaluation(energies, features=hidden)
        return Evaluation(energies, all_forces, stresses, hidden)


class FlatPotential(FakePotential):
    """Every crystal is at rest: what moves in a relaxation was moved by something else."""

    def evaluate(self, batch, *, forces=True, features=False):
        n = len(batch)
        return Evaluation(np.zeros(n), np.zeros((len(batch.atomic_numbers), 3)), np.zeros((n, 3, 3)))


def barium_titanate(shift_A=0.02):
    """Tetragonal BaTiO3: a cube in which titanium stands off its centre; space group 99, without the shift 221."""
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5 + shift_A / 4.01], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return 4.01 * np.eye(3), frac, [56, 22, 8, 8, 8]


def _pair(r):
    """Lennard-Jones energy times (1 - (r / cutoff)^2)^3, and its slope."""
    six = (SIGMA_A / r) ** 6
    bare, bare_slope = 4 * EPSILON_EV * (six**2 - six), -24 * EPSILON_EV * (2 * six**2 - six) / r
    left = 1 - (r / CUTOFF_A) ** 2
    return bare * left**3, bare_slope * left**3 - bare * 6 * left**2 * r / CUTOFF_A**2


def fcc(z, *, scale=1.0, cells=1, rattle=0.0, strain=0.0, seed=0):
    """Lattice, coordinates and numbers of a (distorted) fcc crystal near the fake's equilibrium, 4 * cells atoms."""
    rng = np.random.default_rng(seed)
    a = scale * NEAREST_A * np.sqrt(2)
    frac = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    frac = np.concatenate([(frac + np.array([i, 0, 0])) / [cells, 1, 1] for i in range(cells)])
    lattice = np.diag([a * cells, a, a]) @ (np.eye(3) + rng.normal(0, strain, (3, 3)))
    return lattice, frac + rng.normal(0, rattle, frac.shape) / a, [z] * len(frac)


def fcc_batch(numbers, **how):
    return CrystalBatch.of(fcc(z, seed=i, **how) for i, z in enumerate(numbers))
