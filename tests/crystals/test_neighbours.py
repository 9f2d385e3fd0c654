import numpy as np
import pytest
from tests.crystals.good import good_crystals

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.neighbours import neighbour_edges


def test_fcc_coordination_and_periodic_self_images() -> None:
    primitive = 4.05 / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]], dtype=float)
    batch = CrystalBatch.of([(primitive, np.zeros((1, 3)), [13])])
    pairs, vectors, owners = neighbour_edges(batch, 3.0)
    assert pairs.shape == (2, 12)
    assert not pairs.any()
    assert not owners.any()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 4.05 / np.sqrt(2))


def test_edges_agree_with_pymatgen_and_point_from_source_to_target() -> None:
    structures = list(good_crystals().values())[::5]
    batch = CrystalBatch.from_structures(structures)
    pairs, vectors, owners = neighbour_edges(batch, 4.07)
    expected = [len(s.get_neighbor_list(4.07)[0]) for s in structures]
    assert np.bincount(owners, minlength=len(batch)).tolist() == expected
    positions = batch.positions
    shift = vectors - (positions[pairs[1]] - positions[pairs[0]])
    images = np.linalg.solve(np.transpose(batch.lattices[owners], (0, 2, 1)), shift[:, :, None])[:, :, 0]
    np.testing.assert_allclose(images, np.round(images), atol=1e-8)


def test_empty_batch_has_no_edges() -> None:
    pairs, vectors, owners = neighbour_edges(CrystalBatch.of([]), 4.0)
    assert pairs.shape == (2, 0)
    assert vectors.shape == (0, 3)
    assert owners.shape == (0,)


@pytest.mark.parametrize("n", [2, 3])
def test_edges_scale_with_a_supercell(n: int) -> None:
    structure = good_crystals()["MgB2"]
    single = len(neighbour_edges(CrystalBatch.from_structures([structure]), 4.0)[2])
    supercell = structure.copy()
    supercell.make_supercell([n, 1, 1])
    assert len(neighbour_edges(CrystalBatch.from_structures([supercell]), 4.0)[2]) == n * single
