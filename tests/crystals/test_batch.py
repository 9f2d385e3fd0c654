import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from tests.crystals.good import good_batch, good_crystals

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.table import geometry_table
from onnes.errors import CrystalError


def _same(first: CrystalBatch, second: CrystalBatch) -> None:
    np.testing.assert_array_equal(first.offsets, second.offsets)
    np.testing.assert_array_equal(first.atomic_numbers, second.atomic_numbers)
    np.testing.assert_allclose(first.lattices, second.lattices, atol=1e-10)
    delta = first.frac_coords - second.frac_coords
    np.testing.assert_allclose(delta - np.round(delta), 0, atol=1e-10)


@pytest.fixture(scope="module")
def batch() -> CrystalBatch:
    return good_batch()


def test_round_trip_through_pymatgen_and_ase(batch: CrystalBatch) -> None:
    _same(CrystalBatch.from_structures(batch.to_structures()), batch)
    _same(CrystalBatch.from_atoms(batch.to_atoms()), batch)


def test_round_trip_through_a_table(batch: CrystalBatch) -> None:
    _same(CrystalBatch.from_table(geometry_table(batch)), batch)


def test_sizes_volumes_and_positions_agree_with_pymatgen(batch: CrystalBatch) -> None:
    structures = list(good_crystals().values())
    assert batch.n_atoms.tolist() == [len(s) for s in structures]
    np.testing.assert_allclose(batch.volumes, [s.volume for s in structures])
    np.testing.assert_allclose(batch.positions, np.concatenate([s.cart_coords for s in structures]), atol=1e-9)


def test_select_keeps_the_asked_order(batch: CrystalBatch) -> None:
    picked = batch.select([7, 2])
    np.testing.assert_array_equal(picked.crystal(0)[2], batch.crystal(7)[2])
    np.testing.assert_array_equal(picked.crystal(1)[0], batch.crystal(2)[0])


def test_batches_cover_every_crystal_once_within_the_limits(batch: CrystalBatch) -> None:
    chunks = list(batch.batches(max_atoms=20, max_crystals=3))
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(batch)))
    for chunk in chunks:
        assert len(chunk) <= 3
        assert batch.n_atoms[chunk].sum() <= 20 or len(chunk) == 1


def test_empty_batch() -> None:
    empty = CrystalBatch.of([])
    assert len(empty) == 0
    assert empty.volumes.shape == (0,)
    assert list(empty.batches(10, 10)) == []


def test_disordered_or_molecular_input_is_refused() -> None:
    with pytest.raises(CrystalError, match="partly occupied"):
        CrystalBatch.from_structures([Structure(Lattice.cubic(3), [{"Nb": 0.5, "Zr": 0.5}], [[0, 0, 0]])])
    atoms = Structure(Lattice.cubic(3), ["Nb"], [[0, 0, 0]]).to_ase_atoms()
    atoms.pbc = [True, True, False]
    with pytest.raises(CrystalError, match="three directions"):
        CrystalBatch.from_atoms([atoms])
