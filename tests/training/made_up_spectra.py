"""Crystals whose spectrum follows a known law."""

import numpy as np
from ase.data import atomic_masses

from onnes.crystals.batch import CrystalBatch
from onnes.physics.spectra import ALPHA2F_GRID_MEV
from onnes.training.spectrum import SpectrumSettings
from onnes.training.spectrum_data import SpectraData

BINS = ALPHA2F_GRID_MEV[:51]
OMEGA = np.linspace(0.3, 60.3, 301)
QUICK = SpectrumSettings(
    members=1, mul=4, layers=1, embedding=16, radial_neurons=16, loss="mse", epochs=4, learning_rate=0.02
)


def peak(centre_meV, grid=OMEGA, *, height=0.5):
    return height * np.exp(-(((grid - centre_meV) / 5) ** 2))


def spectra_data(*, phonons=False):
    """20 crystals of 10 formulas; the peak follows from mean mass and cell."""
    metals = (13, 22, 41, 73)
    corner, centred = np.zeros((1, 3)), np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
    crystals, spectra, formulas = [], [], []
    for a, b in [(a, b) for a in metals for b in metals if a <= b]:
        for strain in (1.0, 1.15):
            mass = atomic_masses[[a, b]].mean()
            size, frac, numbers = (2.5, corner, [a]) if a == b else (3.0, centred, [a, b])
            crystals.append((size * strain * np.eye(3), frac, numbers))
            spectra.append(peak(190 / np.sqrt(mass) / strain**2, BINS))
            formulas.append(f"{a}-{b}")
    batch = CrystalBatch.of(crystals)
    dos = np.array(spectra)[batch.owners] if phonons else None
    return SpectraData(batch, np.array(spectra), tuple(formulas), tuple(map(str, range(20))), dos)
