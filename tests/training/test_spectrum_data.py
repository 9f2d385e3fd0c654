import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ase import Atoms

from onnes.errors import ConfigError
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.physics.spectra import bin_spectrum, spectral_moments
from onnes.training.spectrum_data import read_spectra
from tests.training.made_up_spectra import BINS, OMEGA, peak

NIOBIUM = Path(os.environ.get("ONNES_DATA", "../shared/data")) / "alpha2f_spectra_open.parquet"


# --- JSON ------------------------------------------------------------------------------------------------------------


def cif(folder, name, symbols, frac, *, size=4.0):
    """Write the atoms in the given order."""
    folder.mkdir(exist_ok=True)
    Atoms(symbols, scaled_positions=frac, cell=size * np.eye(3), pbc=True).write(folder / f"{name}.cif")


@pytest.fixture
def folder(tmp_path):
    cif(tmp_path, "Nb", "Nb", [[0, 0, 0]], size=2.7)
    cif(tmp_path, "TiO", ["O", "Ti"], [[0, 0, 0], [0.5, 0.5, 0.5]], size=2.9)
    return tmp_path


def records():
    return [
        {"comp": "Nb", "Freq_meV": OMEGA.tolist(), "a2F": peak(20).tolist(), "lambda": 1.0, "w_log": 9.0, "w_sq": 9.0},
        {"comp": "TiO", "Freq_meV": OMEGA.tolist(), "a2F": peak(30).tolist(), "lambda": 1.0, "w_log": 9.0, "w_sq": 9.0},
    ]


def written(folder, content):
    path = folder / "database.json"
    path.write_text(json.dumps(content))
    return path


def by_columns(rows, *, lists):
    names = list(rows[0])
    if lists:
        return {name: [row.get(name) for row in rows] for name in names}
    return {name: {str(i): row.get(name) for i, row in enumerate(rows)} for name in names}


@pytest.mark.parametrize("layout", ["records", "columns", "lists"])
def test_published_layouts(folder, layout) -> None:
    content = records() if layout == "records" else by_columns(records(), lists=layout == "lists")
    data = read_spectra(written(folder, content))
    assert data.formulas == ("Nb", "TiO")
    assert data.ids == ("Nb", "TiO")
    assert data.batch.n_atoms.tolist() == [1, 2]
    assert data.problems == ()
    assert data.site_phonon_dos is None
    assert not data.has_phonon_dos.any()
    np.testing.assert_allclose(data.alpha2f[1], bin_spectrum(OMEGA, peak(30), n_bins=51))


def test_labels_come_from_the_bins_and_not_from_the_file(folder) -> None:
    data = read_spectra(written(folder, records()))
    fine = spectral_moments(OMEGA, np.stack([peak(20), peak(30)]))
    np.testing.assert_allclose(data.moments.lambda_, fine.lambda_, rtol=0.03)
    np.testing.assert_allclose(data.moments.omega_log_K, fine.omega_log_K, rtol=0.03)
    np.testing.assert_allclose(data.tc_K, allen_dynes_tc_K(*data.moments))
    assert data.tc_K.min() > 0.1


def test_layout_of_bee_net(tmp_path) -> None:
    structures = tmp_path / "structures"
    cif(structures, "7", "Nb", [[0, 0, 0]], size=2.7)
    cif(structures, "12", "Ta", [[0, 0, 0]], size=2.7)
    rows = [
        {"index": index, "comp": comp, "ID": f"agm{index}", "a2F_Freq_meV_sigma_2": OMEGA.tolist(),
         "a2F_sigma_2": peak(20).tolist(), "a2F_Freq_meV_sigma_5": OMEGA.tolist(), "a2F_sigma_5": peak(50).tolist()}
        for index, comp in ((12, "Ta"), (7, "Nb"))
    ]  # fmt: skip
    data = read_spectra(written(tmp_path, by_columns(rows, lists=False)))
    assert data.formulas == ("Ta", "Nb")
    assert data.ids == ("12", "7")
    np.testing.assert_allclose(BINS[data.alpha2f.argmax(1)], 20.25)
    elsewhere = written(tmp_path / "structures", rows)
    assert read_spectra(elsewhere, structures).formulas == ("Ta", "Nb")


def test_bad_rows_are_named_and_the_rest_goes_on(folder) -> None:
    cif(folder, "Ta", "Ta", [[0, 0, 0]], size=2.7)
    (folder / "Al.cif").write_text("data_Al\n")
    good, other = records()
    rows = [
        good,
        other | {"a2F": None},
        good | {"comp": "V"},
        good | {"comp_name": "Nb"},
        good | {"comp_name": "Ta"},
        other | {"comp": "Al"},
        "a word",
    ]
    data = read_spectra(written(folder, rows))
    assert data.formulas == ("Nb",)
    assert len(data.problems) == 6
    said = "\n".join(data.problems)
    for number, part in [
        (2, "no alpha2F, or no frequencies"),
        (3, r"V.cif"),
        (4, "Nb.cif already belongs to database.json, row 1"),
        (5, "Ta.cif holds Ta, the row says Nb"),
        (6, "Al.cif"),
        (7, "no name given"),
    ]:
        assert any(line.startswith(f"database.json, row {number}: ") and part in line for line in data.problems), said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a2F": [0.1, float("nan"), *peak(20)[2:]]}, "is not 1-dimensional and finite"),
        ({"a2F": peak(20)[:-1].tolist()}, "301 frequencies"),
        ({"a2F": [peak(20).tolist()] * 2}, "is not 1-dimensional"),
        ({"a2F": "nothing"}, "not made of numbers"),
        ({"Freq_meV": OMEGA[::-1].tolist()}, "do not increase"),
    ],
)
def test_bad_spectra(folder, change, message) -> None:
    data = read_spectra(written(folder, [records()[0] | change, records()[1]]))
    assert data.formulas == ("TiO",)
    assert data.problems[0].startswith("database.json, row 1: ")
    assert message in data.problems[0]


def test_names_of_rows_are_no_paths(folder) -> None:
    cif(folder / "other", "V", "V", [[0, 0, 0]], size=2.7)
    data = read_spectra(written(folder, [*records(), records()[0] | {"comp": "V", "comp_name": "other/V"}]))
    assert len(data.problems) == 1
    assert "row 3: no crystal in" in data.problems[0]


def test_phonons_follow_their_atoms(folder) -> None:
    """The CIF lists O first, the reader sorts Ti first."""
    oxygen, titanium = peak(50), peak(25)
    row = records()[1] | {
        "Ph_2x2x2_interpolated_Freq_meV": OMEGA.tolist(),
        "Ph_2x2x2_interpolated_Site_Proj_DOS": [oxygen.tolist(), titanium.tolist()],
    }
    broken = records()[0] | {
        "Ph_2x2x2_interpolated_Freq_meV": OMEGA.tolist(),
        "Ph_2x2x2_interpolated_Site_Proj_DOS": [oxygen.tolist(), titanium.tolist()],
    }
    data = read_spectra(written(folder, [broken, row]))
    assert data.formulas == ("Nb", "TiO")
    assert data.has_phonon_dos.tolist() == [False, True]
    assert data.batch.atomic_numbers.tolist() == [41, 22, 8]
    assert np.isnan(data.site_phonon_dos[0]).all()
    np.testing.assert_allclose(BINS[data.site_phonon_dos[1:].argmax(1)], [24.25, 50.25], atol=2)
    assert data.problems == (
        "database.json, row 1: 2 phonon densities of states for 1 atoms. The row is kept without phonons",
    )
    chosen = data.select(np.array([False, True]))
    np.testing.assert_array_equal(chosen.site_phonon_dos, data.site_phonon_dos[1:])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"comp": ["Nb"], "other": [1, 2]}, "neither a table by columns nor a list of records"),
        ([{"comp": "Nb"}], r"no columns Freq_meV and a2F \(columns: comp\)"),
        ([], "no columns Freq_meV"),
        ([{"comp": "Cr", "Freq_meV": [1], "a2F": [1]}], "no row can be used. First: database.json, row 1"),
    ],
)
def test_unusable_files(folder, content, message) -> None:
    with pytest.raises(ConfigError, match=message):
        read_spectra(written(folder, content))


def test_files_that_are_none(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_spectra(tmp_path / "database.json")
    (tmp_path / "database.json").write_text("{")
    with pytest.raises(ConfigError, match="not JSON that can be read"):
        read_spectra(tmp_path / "database.json")
    with pytest.raises(ConfigError, match="no CIF files"):
        read_spectra(written(tmp_path, records()))
    (tmp_path / "database.csv").write_text("x")
    with pytest.raises(ConfigError, match=r"as \.parquet or \.json, not '\.csv'"):
        read_spectra(tmp_path / "database.csv")


# --- Parquet ---------------------------------------------------------------------------------------------------------


def parquet(path, **changed):
    rows = {
        "id": ["one", "two", "three", "four"],
        "lattice": [(2.7 * np.eye(3)).ravel().tolist()] * 2 + [[1.0, 2.0], (3.0 * np.eye(3)).ravel().tolist()],
        "frac_coords": [[0.0] * 3] * 3 + [[0.0, 0, 0, 0.5, 0.5, 0.5]],
        "atomic_numbers": [[41], [73], [41], [28, 13]],
        "omega_meV": [OMEGA.tolist()] * 4,
        "alpha2f": [peak(20).tolist(), [0.1, 0.2], peak(20).tolist(), peak(30).tolist()],
    }
    pq.write_table(pa.table(rows | changed), path)
    return path


def test_table_with_bad_rows(tmp_path) -> None:
    data = read_spectra(parquet(tmp_path / "spectra.parquet"))
    assert data.ids == ("one", "four")
    assert data.formulas == ("Nb", "AlNi")
    assert data.site_phonon_dos is None
    np.testing.assert_allclose(data.alpha2f[0], bin_spectrum(OMEGA, peak(20), n_bins=51), atol=1e-6)
    assert sorted(line.split(":")[0] for line in data.problems) == ["spectra.parquet, row 2", "spectra.parquet, row 3"]
    assert "301 frequencies" in "".join(data.problems)
    assert "2 numbers instead of 9" in "".join(data.problems)


def test_table_with_phonons(tmp_path) -> None:
    phonons = [[peak(10).tolist()], None, None, [peak(40).tolist(), peak(15).tolist()]]
    path = parquet(tmp_path / "spectra.parquet", phonon_omega_meV=[OMEGA.tolist()] * 4, site_phonon_dos=phonons)
    data = read_spectra(path)
    assert data.has_phonon_dos.tolist() == [True, True]
    np.testing.assert_allclose(BINS[data.site_phonon_dos.argmax(1)], [10.25, 40.25, 14.25], atol=2)


def test_table_without_spectra(tmp_path) -> None:
    path = parquet(tmp_path / "spectra.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["omega_meV"]), path)
    with pytest.raises(ConfigError, match="no column omega_meV"):
        read_spectra(path)
    pq.write_table(pa.table({"omega_meV": [OMEGA.tolist()], "alpha2f": [peak(20).tolist()]}), path)
    with pytest.raises(ConfigError, match="no column lattice"):
        read_spectra(path)


@pytest.mark.skipif(not NIOBIUM.is_file(), reason=f"{NIOBIUM} is not there; set ONNES_DATA")
def test_niobium() -> None:
    data = read_spectra(NIOBIUM)
    assert data.formulas == ("Nb",)
    assert data.problems == ()
    table = pq.read_table(NIOBIUM)
    native = spectral_moments(table["omega_meV"][0].as_py(), table["alpha2f"][0].as_py())
    assert float(native.lambda_) == pytest.approx(0.938, abs=5e-4)
    assert data.moments.lambda_[0] == pytest.approx(0.938, abs=0.005)  # what smoothing and bins make of it
    assert data.moments.omega_log_K[0] == pytest.approx(156.7, rel=0.02)
    assert data.moments.omega2_K[0] == pytest.approx(185.0, rel=0.02)
