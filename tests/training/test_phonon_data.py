"""Phonons of data sets are computed once, and read again as they were."""

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.physics.phonons import Phonons, standard_primitive
from onnes.potentials import potential as registry
from onnes.potentials.force_constants import phonons_of
from onnes.training import phonon_data
from onnes.training.feature_cache import cache_folder
from onnes.training.phonon_data import ForceSettings, PhononSummary, cached_phonons, cached_summaries
from tests.potentials.fakes import FakePotential, fcc

SETTINGS = ForceSettings(min_length_A=7.5)
BATCH = CrystalBatch.of(
    [fcc(29), fcc(13, scale=1.01), fcc(47, cells=2, rattle=0.03)]
)  # the last has atoms outside its cell


@pytest.fixture
def fake(monkeypatch, tmp_path):
    made = FakePotential("sevennet-0")
    monkeypatch.setattr(registry, "_LOADED", {("sevennet-0", "cpu"): made})
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path / "cache"))
    return made


def read(batch=BATCH, settings=SETTINGS, **how):
    return list(cached_phonons(batch, settings=settings, mesh_length=20.0, **how))


def test_equal_to_phonons_without_a_cache(fake) -> None:
    done = []
    found = read(on_rows=done.append)
    assert sum(done) == 3
    cells = CrystalBatch.of(standard_primitive(*crystal) for crystal in BATCH)
    how = {"min_length_A": 7.5, "max_supercell_atoms": 160, "shorten": True, "mesh_length": 20.0}
    for one, fresh in zip(found, phonons_of(cells, fake, **how), strict=True):
        assert isinstance(one, Phonons)
        assert one.highest_meV == pytest.approx(fresh.highest_meV, rel=1e-6)
    assert found[0].displaced.repeats == (3, 3, 3)  # of the primitive cell


def test_computed_once(fake) -> None:
    first = read()
    calls = len(fake.calls)
    done = []
    again = read(on_rows=done.append)
    assert len(fake.calls) == calls
    assert sum(done) == 3
    for one, same in zip(first, again, strict=True):
        np.testing.assert_allclose(one.dos.dos, same.dos.dos, rtol=1e-3, atol=1e-4 * one.dos.dos.max())
        for (_, frac, numbers), (_, other, others) in zip(
            one.displaced.supercells, same.displaced.supercells, strict=True
        ):
            np.testing.assert_array_equal(frac, other)
            np.testing.assert_array_equal(numbers, others)


def test_other_settings_other_crystals_other_potentials_are_computed(fake, monkeypatch) -> None:
    read()
    calls = len(fake.calls)
    read(settings=SETTINGS.model_copy(update={"displacement_A": 0.02}))
    assert len(fake.calls) > calls
    calls = len(fake.calls)
    read(CrystalBatch.of([fcc(29, scale=1.001)]))
    assert len(fake.calls) > calls
    calls = len(fake.calls)
    monkeypatch.setattr(fake, "sha256", "e" * 64)
    read()
    assert len(fake.calls) > calls


def test_interrupted_run_goes_on(fake, monkeypatch) -> None:
    monkeypatch.setattr(phonon_data, "_PIECE", 1)
    iterator = cached_phonons(BATCH, settings=SETTINGS, mesh_length=20.0)
    next(iterator)
    del iterator
    calls = len(fake.calls)
    assert len(list((cache_folder() / "phonons").iterdir())) == 1
    read()
    ours = sum(len(call) for call in fake.calls[calls:])
    assert ours > 0
    fresh = FakePotential("sevennet-0")
    phonons_of(CrystalBatch.of([standard_primitive(*BATCH.crystal(0))]), fresh, min_length_A=7.5, mesh_length=20.0)
    assert sum(len(call) for call in fake.calls) - sum(len(call) for call in fake.calls[:calls]) == ours
    assert sum(len(call) for call in fake.calls[:calls]) == sum(len(call) for call in fresh.calls)


def test_failure_is_told_and_tried_again(fake) -> None:
    fake.raises_for = {13}
    found = read()
    assert [isinstance(one, str) for one in found] == [False, True, False]
    fake.raises_for = set()
    assert all(isinstance(one, Phonons) for one in read())


def test_broken_file_is_an_error_of_its_row(fake) -> None:
    read()
    for path in (cache_folder() / "phonons").iterdir():
        path.write_bytes(b"broken")
    assert all("phonons failed" in one for one in read())


def test_summaries(fake) -> None:
    done = []
    summaries = cached_summaries(BATCH, settings=SETTINGS, on_rows=done.append)
    assert sum(done) == 3
    copper = summaries[0]
    assert isinstance(copper, PhononSummary)
    assert 0 < copper.mean_per_cm < copper.peak_per_cm <= copper.highest_per_cm
    assert copper.min_per_cm == pytest.approx(0, abs=1)
    assert copper.n_atoms == 1
    assert copper.n_displacements == 1
    assert copper.supercell == "3x3x3"
    assert copper.length_A >= 7.5
    assert 20 < copper.heat_capacity_J_per_mol_K < 24.95
    calls = len(fake.calls)
    assert cached_summaries(BATCH, settings=SETTINGS) == summaries
    assert len(fake.calls) == calls


def test_large_cells_get_shorter_supercells(fake) -> None:
    small = ForceSettings(min_length_A=9.0, max_supercell_atoms=20)
    [found] = read(CrystalBatch.of([fcc(29)]), small)
    assert found.displaced.repeats == (2, 2, 2)
    assert found.displaced.length_A < 9
