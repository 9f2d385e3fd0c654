import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.phonons import Phonons as AsePhonons

from onnes.crystals.batch import CrystalBatch
from onnes.physics.phonons import MEV_PER_THZ, Phonons
from onnes.physics.spectra import bin_spectrum
from onnes.physics.spectral_shape import alpha2f_of_moments, overlap
from onnes.potentials.force_constants import phonons_of
from onnes.potentials.potential import Evaluation, load_potential
from tests.potentials.fakes import FakePotential, fcc

SPECTRA = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "alpha2f_spectra_open.parquet"
SMALL = {"min_length_A": 7.0, "mesh_length": 20.0}


class Emt:
    """ASE's effective-medium potential behind the protocol."""

    name, sha256, energy_scheme, device = "emt", "e" * 64, "EMT", "cpu"
    elements = frozenset({13, 28, 29, 46, 47, 78, 79})
    n_features = 0

    def evaluate(self, batch, *, forces=True, features=False):
        energies, all_forces = [], []
        for atoms in batch.to_atoms():
            atoms.calc = EMT()
            energies.append(atoms.get_potential_energy())
            all_forces.append(atoms.get_forces())
        return Evaluation(np.array(energies), np.concatenate(all_forces))


def primitive_fcc(a, z):
    return a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]), np.zeros((1, 3)), [z]


def primitive_bcc(a, z):
    return a / 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), np.zeros((1, 3)), [z]


def test_emt_is_equal_to_ase_phonons(tmp_path) -> None:
    """Another finite-displacement code, the same supercell; the highest mode of fcc lies at X."""
    lattice, frac, numbers = primitive_fcc(4.0, 13)
    [phonons] = phonons_of(CrystalBatch.of([(lattice, frac, numbers)]), Emt(), min_length_A=10.0)
    atoms = Atoms("Al", cell=lattice, scaled_positions=frac, pbc=True)
    ase = AsePhonons(atoms, EMT(), supercell=(4, 4, 4), delta=0.01, name=str(tmp_path / "phonon"))
    ase.run()
    ase.read(acoustic=True)
    at_x = 1e3 * ase.band_structure([[0.5, 0.5, 0.0]], verbose=False).max()
    assert phonons.displaced.repeats == (4, 4, 4)
    assert phonons.highest_meV == pytest.approx(at_x, rel=0.01)
    assert phonons.min_phonon_THz > -0.01
    assert phonons.imaginary_share == 0


@pytest.fixture(scope="module")
def metals():
    """Niobium as measured (a = 3.30) and aluminium, by the default potential in one call."""
    batch = CrystalBatch.of([primitive_bcc(3.30, 41), primitive_fcc(4.04, 13)])
    done = []
    results = phonons_of(batch, load_potential(), on_done=done.append, min_length_A=8.5)
    assert sum(done) == 2
    return results


def test_default_potential(metals) -> None:
    """Measured before with the same potential and 27 atoms: 4.58 and 7.52 THz."""
    niobium, aluminium = (phonons.highest_meV / MEV_PER_THZ for phonons in metals)
    assert niobium == pytest.approx(4.58, rel=0.05)
    assert aluminium == pytest.approx(7.52, rel=0.05)
    for phonons in metals:
        assert phonons.min_phonon_THz > -0.01
        assert np.trapezoid(phonons.dos.dos, phonons.dos.omega_meV) == pytest.approx(3, rel=0.01)
        assert phonons.displaced.n_atoms == 27


@pytest.mark.skipif(not SPECTRA.is_file(), reason=f"{SPECTRA} is not there; set ONNES_DATA")
def test_niobium_s_alpha2f_from_its_moments_and_phonons(metals) -> None:
    row = pq.read_table(SPECTRA).to_pylist()[0]
    wanted = bin_spectrum(row["omega_meV"], row["alpha2f"])
    fit = alpha2f_of_moments(metals[0].dos, 0.938, 156.7, 185.0)
    assert 1.15 < fit.stretch[0] < 1.45  # the potential is soft
    assert overlap(fit.alpha2f[0], wanted) > 0.7
    assert overlap(alpha2f_of_moments(metals[0].dos, 0.938, 156.7, 185.0, stretch=1.0).alpha2f[0], wanted) < 0.6


def test_one_is_equal_to_many() -> None:
    batch = CrystalBatch.of([fcc(13, rattle=0.02, seed=1), fcc(29), fcc(47, scale=0.98)])
    done = []
    together = phonons_of(batch, FakePotential(), on_done=done.append, **SMALL)
    assert sum(done) == 3
    for i, phonons in enumerate(together):
        [alone] = phonons_of(batch.select([i]), FakePotential(), **SMALL)
        np.testing.assert_allclose(alone.dos.dos, phonons.dos.dos, rtol=1e-6, atol=1e-9)
        assert alone.highest_meV == pytest.approx(phonons.highest_meV)
    masses = np.sqrt(63.546 / 107.868)
    assert together[2].highest_meV != pytest.approx(together[1].highest_meV * masses, rel=0.01)  # squeezed
    assert phonons_of(CrystalBatch.of([]), FakePotential()) == []


def test_mass_alone_scales_the_frequencies() -> None:
    copper, silver = phonons_of(CrystalBatch.of([fcc(29), fcc(47)]), FakePotential(), **SMALL)
    assert copper.highest_meV / silver.highest_meV == pytest.approx(np.sqrt(107.868 / 63.546), rel=1e-3)
    assert copper.min_phonon_THz > -0.01


def test_stretched_crystal_is_imaginary() -> None:
    [phonons] = phonons_of(CrystalBatch.of([fcc(29, scale=1.12)]), FakePotential(), **SMALL)
    assert phonons.min_phonon_THz < -0.5
    assert phonons.imaginary_share > 0.02


def _only_the_second_fails(results, message):
    assert isinstance(results[0], Phonons)
    assert isinstance(results[2], Phonons)
    assert isinstance(results[1], str)
    assert results[1].startswith("phonons failed: ")
    assert message in results[1]


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"raises_for": [29]}, "ValueError: an element that makes the whole call fail"),
        ({"max_atoms": 50}, "RuntimeError: CUDA out of memory"),
        ({}, "CrystalError: the 1x2x2 supercell of this 16-atom cell has 64 atoms, more than 60"),
    ],
)
def test_one_failure_harms_nobody_else(faults, message) -> None:
    batch = CrystalBatch.of([fcc(13), fcc(29, cells=4), fcc(47)])
    done = []
    cap = 512 if faults else 60
    results = phonons_of(batch, FakePotential(**faults), max_supercell_atoms=cap, on_done=done.append, **SMALL)
    _only_the_second_fails(results, message)
    assert sum(done) == 3


def test_forces_that_are_not_finite() -> None:
    class Nan(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            result = super().evaluate(batch, forces=forces)
            result.forces_eV_per_A[batch.atomic_numbers == 29] = np.nan
            return result

    _only_the_second_fails(phonons_of(CrystalBatch.of([fcc(13), fcc(29), fcc(47)]), Nan(), **SMALL), "not finite")


def test_foreign_element() -> None:
    batch = CrystalBatch.of([fcc(13), fcc(96), fcc(47)])
    _only_the_second_fails(phonons_of(batch, FakePotential(), **SMALL), "fake does not know the element Cm")


def test_batches_are_limited_by_atoms() -> None:
    batch = CrystalBatch.of([fcc(13), fcc(29), fcc(47)])
    fake = FakePotential()
    results = phonons_of(batch, fake, max_atoms=70, **SMALL)
    assert all(isinstance(one, Phonons) for one in results)
    assert sorted(fake.calls) == [[32], [32, 32]]


def test_batches_shrink_when_memory_runs_out() -> None:
    batch = CrystalBatch.of([fcc(13), fcc(29), fcc(47), fcc(79)])
    fake = FakePotential(max_atoms=40)
    results = phonons_of(batch, fake, max_atoms=64, **SMALL)
    assert all(isinstance(one, Phonons) for one in results)
    assert fake.calls == [[32, 32], [32], [32], [32], [32]]  # and it remembers


def test_fault_of_the_potential_itself_is_not_swallowed() -> None:
    class Broken(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            return super().evaluate(batch, forces=False)

    with pytest.raises(TypeError, match="no forces"):
        phonons_of(CrystalBatch.of([fcc(13)]), Broken(), **SMALL)
