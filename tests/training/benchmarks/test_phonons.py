"""The benchmarks of phonons on made-up data files and a potential that takes milliseconds."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.table import geometry_table
from onnes.errors import ConfigError
from onnes.potentials import potential as registry
from onnes.training.benchmarks.heat_capacity import benchmark_heat_capacity
from onnes.training.benchmarks.phonons import FOLD_SEED, FOLDS, PUBLISHED_MAE_PER_CM, benchmark_phonons
from onnes.training.phonon_data import ForceSettings, cached_summaries
from onnes.training.phonon_peaks import PeakSettings
from onnes.training.trainer import TrainSettings
from tests.potentials.fakes import FakePotential, fcc

FORCES = ForceSettings(min_length_A=7.5)
QUICK = PeakSettings(trees=10, inner_folds=2, heads=TrainSettings(members=1, hidden=8, epochs=2))
METALS = [11, 12, 13, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 37, 38, 39, 40, 41, 42, 44, 45, 46, 47]


@pytest.fixture
def fake(monkeypatch, tmp_path):
    made = FakePotential("sevennet-0")
    monkeypatch.setattr(registry, "_LOADED", {("sevennet-0", "cpu"): made})
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ONNES_DATA", str(tmp_path))
    return made


def write(folder, name, batch, **columns):
    table = geometry_table(batch)
    for key, values in columns.items():
        table = table.append_column(key, pa.array(values))
    pq.write_table(table, folder / f"{name}.parquet")


@pytest.fixture
def peaks(fake, tmp_path):
    """Labels are 1.2 times the peaks that the potential gives, but for some noise."""
    batch = CrystalBatch.of(fcc(z, scale=s) for z in METALS for s in (0.99, 1.0))
    found = np.array([one.peak_per_cm for one in cached_summaries(batch, settings=FORCES)])
    labels = 1.2 * found * np.exp(0.02 * np.random.default_rng(0).normal(size=len(found)))
    write(tmp_path, "matbench_phonons", batch, last_phdos_peak_per_cm=labels)
    return found, labels


def test_highest_peak(peaks, tmp_path) -> None:
    computed, labels = peaks
    done = []
    result = benchmark_phonons(settings=QUICK, forces=FORCES, plots=tmp_path / "plots", on_rows=done.append)
    assert sum(done) == 50 + FOLDS * (2 + 1)
    raw = result.values["potential, highest peak: mae_per_cm"]
    assert raw == pytest.approx(np.abs(computed - labels).mean(), rel=1e-6)  # folds of equal size
    assert result.values["potential, highest peak times one factor: mae_per_cm"] < 0.3 * raw
    assert result.values["potential, highest peak, learned correction: mae_per_cm"] < 0.5 * raw
    assert result.values["n"] == 50
    text = result.markdown()
    for name, mae in PUBLISHED_MAE_PER_CM:
        assert f"| {name}, published | {mae:.1f} |" in text
    assert f"official folds: KFold({FOLDS}, shuffle, seed {FOLD_SEED})" in text
    assert "0 of 50 crystals failed" in text
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == [
        "phonon-peak-computed.svg",
        "phonon-peak-corrected.svg",
    ]


def test_failed_crystals_count(peaks, fake) -> None:
    """A crystal without phonons gets the median label of its training rows."""
    computed, labels = peaks
    fake.raises_for = {29}
    result = benchmark_phonons(settings=QUICK, forces=FORCES.model_copy(update={"displacement_A": 0.012}))
    assert "2 of 50 crystals failed" in result.markdown()
    assert result.values["n"] == 50
    raw = result.values["potential, highest peak: mae_per_cm"]
    assert raw != pytest.approx(np.abs(computed - labels).mean(), rel=1e-3)


def test_part_of_the_rows_is_not_called_official(peaks) -> None:
    text = benchmark_phonons(crystals=20, settings=QUICK, forces=FORCES).markdown()
    assert "not the official ones" in text
    with pytest.raises(ConfigError, match="at least 10"):
        benchmark_phonons(crystals=7, forces=FORCES)


def test_folds_are_those_of_matbench() -> None:
    from sklearn.model_selection import KFold

    test = next(KFold(FOLDS, shuffle=True, random_state=FOLD_SEED).split(np.zeros(1265)))[1]
    assert len(test) == 253
    assert (FOLDS, FOLD_SEED) == (5, 18012019)


def test_heat_capacity(fake, tmp_path) -> None:
    batch = CrystalBatch.of(fcc(z) for z in METALS)
    found = np.array([4 * one.heat_capacity_J_per_mol_K for one in cached_summaries(batch, settings=FORCES)])
    labels = found * np.where(np.arange(len(found)) < 5, 1.1, 0.99)
    write(
        tmp_path, "phonon_heat_capacity_binaries", batch,
        heat_capacity_300K_J_per_mol_cell_K=labels, reduced_formula=[f"El{z}" for z in METALS],
    )  # fmt: skip
    fake.raises_for = {29}
    done = []
    result = benchmark_heat_capacity(
        crystals=25,
        forces=FORCES.model_copy(update={"displacement_A": 0.012}),
        plots=tmp_path / "plots",
        on_rows=done.append,
    )
    assert sum(done) == 25
    assert result.values["sevennet-0, harmonic phonons: within_5_percent"] == 25 - 5 - 1
    text = result.markdown()
    assert "19 of 25" in text
    assert "1 failed and count as outside" in text
    assert "El11 -9 %" in text
    assert (tmp_path / "plots" / "heat-capacity.svg").is_file()


def test_sample_of_the_heat_capacities_is_seeded(fake, tmp_path) -> None:
    batch = CrystalBatch.of(fcc(z) for z in METALS)
    labels = np.full(len(METALS), 95.0)
    write(
        tmp_path, "phonon_heat_capacity_binaries", batch,
        heat_capacity_300K_J_per_mol_cell_K=labels, reduced_formula=[f"El{z}" for z in METALS],
    )  # fmt: skip
    first = benchmark_heat_capacity(crystals=6, forces=FORCES)
    assert benchmark_heat_capacity(crystals=6, forces=FORCES).rows == first.rows
    assert benchmark_heat_capacity(crystals=6, seed=1, forces=FORCES).rows != first.rows
    assert first.values["n"] == 6
