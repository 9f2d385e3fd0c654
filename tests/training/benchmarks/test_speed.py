import numpy as np
import pytest

from onnes.crystals.known import known_table
from onnes.crystals.schema import values
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.training.benchmarks import speed
from onnes.training.benchmarks.speed import benchmark_relax, relaxation_starts
from tests.potentials.fakes import FakePotential, fcc_batch


@pytest.fixture
def no_data(monkeypatch, tmp_path):
    monkeypatch.setenv("ONNES_DATA", str(tmp_path / "nowhere"))


def test_starts_without_data_are_known_crystals_out_of_shape(no_data) -> None:
    batch = relaxation_starts(10, 2, 4)
    assert len(batch) == 10
    assert batch.n_atoms.min() >= 2
    assert batch.n_atoms.max() <= 4
    known = {round(v, 3) for v in speed.CrystalBatch.from_table(known_table()).volumes.tolist()}
    assert not known & {round(v, 3) for v in batch.volumes.tolist()}  # each is strained
    forces = FakePotential().evaluate(batch).forces_eV_per_A
    assert np.abs(forces).max() > 0.01


def test_starts_are_fixed_by_the_seed(no_data) -> None:
    one, same, other = relaxation_starts(5, 1, 8), relaxation_starts(5, 1, 8), relaxation_starts(5, 1, 8, seed=1)
    np.testing.assert_array_equal(one.lattices, same.lattices)
    assert one.lattices.shape == other.lattices.shape
    assert np.abs(one.lattices - other.lattices).max() > 0.01


def test_no_more_starts_than_there_are(no_data) -> None:
    sizes = values(known_table(), "n_atoms")
    assert len(relaxation_starts(10_000, 8, 8)) == sizes.count(8)


def test_table_of_the_relaxers(monkeypatch, no_data) -> None:
    """The arithmetic, with relaxers that take a known time."""

    def relaxer(seconds, shift):
        def run(batch, optimizer):
            faster = 1 if optimizer == "fire" else 2
            return seconds * len(batch) / faster, np.full(len(batch), -1.0 + shift), 10 * len(batch)

        return run

    monkeypatch.setattr(speed, "_ours", relaxer(0.5, 0.001))
    monkeypatch.setattr(speed, "_ase", relaxer(1.0, 0.0))
    monkeypatch.setattr(speed, "_processes", lambda batch, count: len(batch) / (1.8 if count == 2 else 1.0))
    seen = []
    result = benchmark_relax(small=4, large=2, on_rows=seen.append)
    assert sum(seen) == 2
    ratios = result.values
    assert ratios["1-4 atoms: ASE FIRE, one by one"] == pytest.approx(1)
    batched = {name: ratio for name, ratio in ratios.items() if "batched" in name}
    assert len(batched) == 4
    assert sorted(batched.values()) == pytest.approx([2, 2, 4, 4])
    assert ratios["2 processes"] == pytest.approx(1.8)
    by_name = {(row[0], row[1]): row for row in result.rows}
    row = by_name["1-4 atoms", "batched, FIRE"]
    assert row[2] == "120"
    assert row[3] == "2.00"
    assert row[5] == "1.000 / 1.00"  # meV/atom from ASE
    assert all(len(row) == len(result.columns) for row in result.rows)


def test_our_share_is_a_relaxation(monkeypatch) -> None:
    monkeypatch.setattr(speed, "load_potential", lambda name: FakePotential())
    batch = fcc_batch((13, 29), rattle=0.05)
    seconds, energies, evaluations = speed._ours(batch, "fire")
    wanted = relax_batch(batch, FakePotential(), RelaxSettings(keep_symmetry=False, optimizer="fire"))
    np.testing.assert_allclose(energies, wanted.energies_eV / 4)
    assert evaluations == wanted.evaluations
    assert 0 < seconds < 60
    assert speed._part(batch) > 0


@pytest.mark.slow
def test_batched_relaxer_is_faster_than_ase() -> None:
    result = benchmark_relax(small=8, large=4)
    assert max(v for k, v in result.values.items() if k.startswith("1-4 atoms: batched")) > 1.2
    for row in result.rows[:8]:
        if row[1] in ("ASE FIRE, one by one", "batched, FIRE"):
            assert float(row[5].split("/")[1]) < 1.0  # meV/atom
