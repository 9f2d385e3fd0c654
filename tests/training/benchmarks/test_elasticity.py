import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, values
from onnes.crystals.table import geometry_table
from onnes.potentials import potential as registry
from onnes.training import feature_cache
from onnes.training.benchmarks import elasticity
from onnes.training.benchmarks.elasticity import benchmark_elasticity, sampled
from tests.potentials.fakes import FakePotential, fcc

METALS = {"Al": 13, "Ni": 28, "Cu": 29, "Pd": 46, "Ag": 47, "Pt": 78, "Au": 79, "Pb": 82}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Crystals of the fake potential, with moduli as if they were measured; the sample is half of them."""
    names = [name for name in METALS for _ in range(2)]
    batch = CrystalBatch.of(fcc(METALS[name], strain=0.005, seed=i) for i, name in enumerate(names))
    table = geometry_table(batch)
    for name, column in (
        ("id", [f"mp-{i}" for i in range(len(names))]),
        ("reduced_formula", names),
        ("n_atoms", [4] * 16),
    ):
        table = table.append_column(name, pa.array(column))
    for kind, number in (("bulk", 100.0), ("shear", 50.0)):
        table = table.append_column(f"{kind}_modulus_vrh_GPa", pa.array(number + np.arange(16.0)))
    folder = tmp_path / "data"
    folder.mkdir()
    pq.write_table(table, folder / "elasticity_binaries.parquet")
    monkeypatch.setenv("ONNES_DATA", str(folder))
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path / "cache"))
    fake = FakePotential(raises_for=[82])
    monkeypatch.setattr(
        registry, "_ADAPTERS", dict.fromkeys(("fake", "other"), ("tests.potentials.fakes", "FakePotential"))
    )
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): fake, ("other", "cpu"): FakePotential("other")})
    monkeypatch.setattr(feature_cache, "potential_sha256", lambda name: name)
    return fake


def test_sample_and_rest_share_no_formula(data) -> None:
    truth, rest = sampled(6)
    assert truth.num_rows == 6
    assert set(truth["reduced_formula"].to_pylist()).isdisjoint(rest["reduced_formula"].to_pylist())
    assert sampled(6)[0].equals(truth)


def test_errors_are_those_of_the_table(data) -> None:
    done = []
    found = benchmark_elasticity(("fake",), crystals=10, on_rows=done.append)
    assert sum(done) == 10
    truth, _ = sampled(10)
    moduli = elasticity.cached_moduli(elasticity._crystals(truth), "fake")
    error = floats(moduli, "bulk_modulus_GPa") - floats(truth, "bulk_modulus_vrh_GPa")
    assert found.values["fake: bulk_mae_GPa"] == pytest.approx(np.nanmean(np.abs(error)))
    assert [row[0] for row in found.rows] == [
        "median of the other rows",
        "trees on composition and volume",
        "networks on the features of fake",
        "fake",
    ]
    failed = sum(formula == "Pb" for formula in truth["reduced_formula"].to_pylist())
    assert failed > 0
    assert found.values["fake: n_bulk"] == 10 - failed
    assert any(f"fake: {failed} crystals failed" in note for note in found.notes)
    assert all(
        error is not None
        for error, f in zip(values(moduli, "error"), values(truth, "reduced_formula"), strict=True)
        if f == "Pb"
    )


def test_second_run_evaluates_nothing(data) -> None:
    first = benchmark_elasticity(("fake",), crystals=6)
    calls = len(data.calls)
    assert calls > 0
    assert benchmark_elasticity(("fake",), crystals=6).values == first.values
    assert len(data.calls) == calls


def test_two_potentials_and_plots(data, tmp_path) -> None:
    found = benchmark_elasticity(("fake", "other"), crystals=8, plots=tmp_path / "plots")
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        f"{kind}-modulus-{name}.svg" for kind in ("bulk", "shear") for name in ("fake", "other")
    }
    assert any(note.startswith("fake and other, bulk: rank correlation") for note in found.notes)
    assert found.markdown().count("\n| ") == 1 + 5
