import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.errors import ConfigError, ModelError
from onnes.physics.spectra import binned_moments
from onnes.physics.spectral_shape import PhononDos
from onnes.training.benchmarks import spectrum
from onnes.training.benchmarks.spectrum import SMALL, benchmark_spectrum, made_spectra
from onnes.training.data import read_data
from tests.training.made_up_spectra import OMEGA, QUICK, peak

SHARED = Path(os.environ.get("ONNES_DATA", "../shared/data"))
ELEMENTS = [*range(3, 10), *range(11, 18), *range(19, 36), *range(37, 54), *range(55, 84)]
CRYSTALS = [(a, b) for a in ELEMENTS[::2] for b in ELEMENTS[1::4]]


def labels(n=200):
    from ase.data import chemical_symbols

    rng = np.random.default_rng(0)
    pairs = CRYSTALS[:n]
    log_K = rng.uniform(100, 300, n)
    ratio = np.where(np.arange(n) % 2, rng.uniform(1.1, 1.3, n), np.nan)
    return pa.table({
        "id": [f"row{i}" for i in range(n)],
        "reduced_formula": [chemical_symbols[a] + chemical_symbols[b] for a, b in pairs],
        "n_atoms": [2] * n,
        "lattice": [(3.0 * np.eye(3)).ravel().tolist()] * n,
        "frac_coords": [[0.0, 0, 0, 0.5, 0.5, 0.5]] * n,
        "atomic_numbers": [list(pair) for pair in pairs],
        "lambda_": rng.uniform(0.3, 1.0, n),
        "omega_log_K": log_K,
        "omega2_inferred_K": log_K * ratio,
        "debye_K": 1.5 * log_K,
    })  # fmt: skip


def niobium():
    return pa.table({
        "id": ["Nb"], "lattice": [(2.7 * np.eye(3)).ravel().tolist()], "frac_coords": [[0.0] * 3],
        "atomic_numbers": [[41]], "omega_meV": [OMEGA.tolist()], "alpha2f": [peak(20).tolist()],
    })  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ONNES_DATA", str(tmp_path))
    pq.write_table(labels(), tmp_path / "epc_dft_alexandria.parquet")
    pq.write_table(niobium(), tmp_path / "alpha2f_spectra_open.parquet")
    return tmp_path


def test_made_spectra_have_the_labels(folder) -> None:
    table = read_data("epc_dft_alexandria")
    data = made_spectra(table, 16)
    assert len(data.ids) == 16
    assert sorted((data.buckets >= 80).tolist()) == [False] * 12 + [True] * 4
    assert not (data.buckets >= 90).any()
    rows = [int(name.removeprefix("row")) for name in data.ids]
    moments = binned_moments(data.alpha2f)
    np.testing.assert_allclose(moments.lambda_, table["lambda_"].to_numpy()[rows], rtol=1e-6)
    log_K, two_K = (table[name].to_numpy() for name in ("omega_log_K", "omega2_inferred_K"))
    np.testing.assert_allclose(moments.omega_log_K, log_K[rows], rtol=1e-6)
    known = np.isfinite(two_K[rows])
    np.testing.assert_allclose(moments.omega2_K[known], two_K[rows][known], rtol=1e-6)
    np.testing.assert_allclose((moments.omega2_K / log_K[rows])[~known], np.nanmedian(two_K / log_K), rtol=1e-6)
    assert made_spectra(table, 16, seed=1).ids != data.ids
    with pytest.raises(ConfigError, match="crystals of buckets 80-89 wanted"):
        made_spectra(table, 150)


def test_benchmark_on_made_up_labels(folder, monkeypatch) -> None:
    shape = PhononDos(OMEGA, peak(20) * OMEGA)
    monkeypatch.setattr(spectrum, "load_potential", lambda name: name)
    monkeypatch.setattr(spectrum, "phonons_of", lambda batch, potential: [type("Found", (), {"dos": shape})])
    figure = folder / "nb.svg"
    found = benchmark_spectrum(crystals=16, settings=QUICK, plot=figure, potential="fake")
    assert [row[0] for row in found.rows] == ["network", "mean spectrum"]
    assert found.values["network: n"] == 4
    assert f"{found.values['mean spectrum: tc_mae_K']:.2f}" in found.rows[1]
    assert "trained on 12 rows below bucket 80, scored on 4 of 80-89" in found.markdown()
    assert found.values["niobium: lambda, computed"] == pytest.approx(found.values["niobium: lambda, binned"], rel=0.02)
    # the shape that is the answer is the best one
    shapes = {name: found.values[f"niobium: overlap in bins, {name}"] for name in ("fake", "empirical", "Debye")}
    assert shapes["fake"] > 0.95
    assert max(shapes["empirical"], shapes["Debye"]) < shapes["fake"]
    assert found.values["niobium: overlap smoothed, fake"] > 0.95
    assert "made, fake shape" in figure.read_text()
    other = benchmark_spectrum(crystals=16, settings=QUICK, potential=None, moments=(1.0, 100.0, 130.0))
    assert "niobium: overlap in bins, fake" not in other.values
    assert other.values["niobium: overlap in bins, empirical"] < shapes["empirical"]
    assert other.values["niobium: lambda, computed"] == found.values["niobium: lambda, computed"]
    monkeypatch.setattr(spectrum, "phonons_of", lambda batch, potential: ["phonons failed: no"])
    with pytest.raises(ModelError, match="niobium with fake: phonons failed: no"):
        benchmark_spectrum(crystals=16, settings=QUICK, potential="fake")


@pytest.mark.slow
@pytest.mark.skipif(
    not (SHARED / "epc_dft_alexandria.parquet").is_file(), reason=f"no data in {SHARED}; set ONNES_DATA"
)
def test_network_learns_shapes_that_it_did_not_see() -> None:
    found = benchmark_spectrum(crystals=600, settings=SMALL.model_copy(update={"members": 2})).values
    for name in ("lambda_mae", "omega_log_mae_K", "omega2_mae_K", "emd"):
        assert found[f"network: {name}"] < 0.95 * found[f"mean spectrum: {name}"], name
    assert found["network: overlap"] > found["mean spectrum: overlap"] + 0.02
    assert found["niobium: lambda, binned"] == pytest.approx(0.938, rel=0.02)
    for shape in ("empirical", "sevennet-0"):
        assert found[f"niobium: overlap in bins, {shape}"] > found["niobium: overlap in bins, Debye"] + 0.02
