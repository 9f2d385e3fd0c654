import numpy as np
import pyarrow as pa
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.models.features import CrystalFeatures
from onnes.training.benchmarks import energies as module
from onnes.training.benchmarks import mp_energies
from onnes.training.benchmarks.energies import cached_energies
from onnes.training.benchmarks.mp_energies import element_energies, mp_crystals


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """A potential whose energy per atom is the lattice constant, and the sizes of the batches that it was given."""
    asked = []

    def features(batch, potentials, **_):
        asked.append(len(batch))
        n = len(batch)
        return CrystalFeatures(
            {potentials[0]: np.zeros((n, 1))}, batch.lattices[:, 0, 0].copy(), np.zeros(n), [None] * n
        )

    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "crystal_features", features)
    monkeypatch.setattr(module, "PIECE", 3)
    return asked


def crystals(n, start=3.0):
    return CrystalBatch.of([(np.eye(3) * (start + i), np.zeros((1, 3)), [13]) for i in range(n)])


def test_pieces_are_computed_once(asked) -> None:
    done = []
    np.testing.assert_allclose(cached_energies(crystals(7), "sevennet-0", on_rows=done.append), np.arange(3.0, 10.0))
    assert asked == done == [3, 3, 1]
    np.testing.assert_allclose(cached_energies(crystals(7), "sevennet-0"), np.arange(3.0, 10.0))
    assert len(asked) == 3
    cached_energies(crystals(8), "sevennet-0")  # the first pieces are the same
    assert asked == [3, 3, 1, 2]


def test_another_potential_has_other_energies(asked) -> None:
    cached_energies(crystals(2), "sevennet-0")
    cached_energies(crystals(2), "sevennet-l3i5")
    assert asked == [2, 2]
    assert cached_energies(crystals(0), "sevennet-0").shape == (0,)


def test_one_row_for_each_id_smallest_first(monkeypatch) -> None:
    table = pa.table(
        {
            "id": ["d", "b", "b", "a", "c", "e"],
            "n_atoms": [9, 2, 2, 2, 1, 30],
            "formation_energy_eV_per_atom": [-1.0, -2.0, -2.0, -3.0, None, -4.0],
        }
    )
    monkeypatch.setattr(mp_energies, "read_data", lambda _: table)
    assert mp_crystals(20)["id"].to_pylist() == ["a", "b", "d"]
    assert mp_crystals(8)["id"].to_pylist() == ["a", "b"]


def test_elements_are_those_of_one_source(monkeypatch) -> None:
    cubic = [float(x) for x in np.eye(3).ravel()]
    table = pa.table(
        {
            "element": ["Al", "Al", "O", "Nb"],
            "source": [mp_energies.ELEMENT_SOURCE, "another", mp_energies.ELEMENT_SOURCE, mp_energies.ELEMENT_SOURCE],
            "lattice": [cubic] * 4,
            "frac_coords": [[0.0] * 3] * 4,
            "atomic_numbers": [[13], [13], [8], None],
        }
    )
    monkeypatch.setattr(mp_energies, "read_data", lambda _: table)
    monkeypatch.setattr(mp_energies, "cached_energies", lambda batch, *_, **__: np.array([-3.7, np.nan])[: len(batch)])
    assert element_energies("sevennet-0") == {"Al": -3.7}
