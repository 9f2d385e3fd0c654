"""Verified crystals as labels of their own kind, and as training data."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.campaign.folder import Campaign
from onnes.campaign.verified import merged_labels, verified_labels
from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.flow.funnel import Funnel
from onnes.flow.shards import parquet_bytes, write_bytes
from onnes.physics.spectra import ALPHA2F_GRID_MEV
from onnes.tools.labels import export_labels
from onnes.training.data import bucket
from onnes.training.recipe import SpectrumRecipe
from onnes.training.spectrum_data import read_spectra
from onnes.training.spectrum_shipping import train_spectrum
from tests.campaign.verification_sample import KEYS, verifications, verified_table, write_work
from tests.cli.faces import one_line_error, onnes
from tests.flow.toy_stages import toy_table
from tests.training.made_up_spectra import QUICK


@pytest.fixture
def work(tmp_path):
    return write_work(tmp_path)


@pytest.fixture
def campaign(tmp_path):
    """A campaign of verified rows; its work lies in two levels, as the stage leaves it for aluminium."""
    made = Campaign.create(
        tmp_path / "campaign",
        toy_table(3),
        Funnel(name="toy", stage=({"use": "toy-tc"},)),
        title="t",
        seed=0,
        request={},
    )
    work = write_work(made.folder)
    (work / "Al-12ab").mkdir()
    (work / KEYS["al"]).rename(work / "Al-12ab" / KEYS["al"])
    table = verified_table()
    keys = [f"Al-12ab/{key}" if key == KEYS["al"] else key for key in values(table, "dft_key")]
    table = table.set_column(table.column_names.index("dft_key"), "dft_key", pa.array(keys, pa.string()))
    write_bytes(parquet_bytes(table), made.folder / "results.parquet")
    return made


def by_id(table):
    return {row["id"]: row for row in table.to_pylist()}


def add(work, name, symbol_numbers, *, base="al"):
    """Another verified crystal: the recorded coupling under another name."""
    found = verifications()[base].model_copy(
        update={"key": name.ljust(16, "0"), "formula": name, "atomic_numbers": tuple(symbol_numbers)}
    )
    (work / found.key).mkdir()
    (work / found.key / "result.json").write_text(found.model_dump_json())


def test_one_row_a_verified_crystal_with_what_computed_it(campaign):
    problems: list[str] = []
    table = verified_labels(campaign, on_problem=problems.append)
    rows = by_id(table)
    assert set(rows) == {"al", "mgb2", "sc", "no-plateau"}
    al, found = rows["al"], verifications()["al"]
    assert (al["label_kind"], al["source"], al["verdict"]) == (
        "first_principles_verified",
        "verification",
        "superconductor",
    )
    assert (al["geometry"], al["functional"], al["level"], al["n_atoms"]) == ("qe-LDA", "LDA", "smoke", 1)
    np.testing.assert_allclose(al["lattice"], found.lattice)  # the computed cell, not the cubic one of the row
    assert al["dos_ef_states_per_eV"] == found.dos_ef_states_per_eV
    assert al["pseudopotentials"] == f"Al:{found.pseudopotentials[0].sha256}"
    assert al["program_version"] == "pw 6.7MaX, ph 6.7MaX"
    assert al["coupling_method"] == "q grid 4x4x4"
    assert (al["lambda_"], al["omega_log_K"]) == (found.coupling.lambda_, found.coupling.omega_log_K)
    assert al["mu_stars"] == [0.10, 0.13, 0.16]
    assert al["tc_allen_dynes_K"] == list(found.coupling.tc_allen_dynes_K)
    assert al["tc_K"] == found.coupling.tc_allen_dynes_K[0]
    np.testing.assert_allclose(al["alpha2f"], found.coupling.alpha2f, rtol=1e-6)
    assert (al["alpha2f_grid"], al["md5_bucket"], al["split"]) == ("ALPHA2F_GRID_MEV", bucket("Al"), "validation")
    assert rows["mgb2"]["confidence"].startswith("lower: GTH")
    assert (al["space_group"], rows["mgb2"]["reduced_formula"], rows["mgb2"]["split"]) == (225, "MgB2", "train")
    assert any(problem.startswith("broken: failed, no label: out of memory") for problem in problems)


def test_only_verdicts_with_a_tc_carry_spectra(work):
    for row in verified_labels(work).to_pylist():
        has = row["verdict"] in ("superconductor", "no_superconductivity")
        for name in (
            "alpha2f",
            "omega_meV",
            "lambda_",
            "tc_K",
            "tc_lo_K",
            "tc_allen_dynes_K",
            "omega_log_K",
            "mu_star",
        ):
            assert (row[name] is not None) == has, (row["id"], name)
    stable = {row["id"]: row["dynamically_stable"] for row in verified_labels(work, rows=verified_table()).to_pylist()}
    assert stable == {"al": True, "mgb2": True, "sc": False, "no-plateau": None}  # the last has no phonons to show


def test_rows_whose_folder_is_gone_are_told(campaign):
    shutil.rmtree(campaign.folder / "verification" / KEYS["mgb2"])
    problems: list[str] = []
    assert "mgb2" not in by_id(verified_labels(campaign.folder, on_problem=problems.append))
    assert any(problem.startswith(f"mgb2: the folder {KEYS['mgb2']}") for problem in problems)


def test_damaged_results_are_told_and_the_rest_goes_on(work):
    (work / KEYS["sc"] / "result.json").write_text("{")
    problems: list[str] = []
    assert verified_labels(work, on_problem=problems.append).num_rows == 3
    assert any("cannot be read" in problem for problem in problems)


def test_the_same_verification_counts_once_and_another_level_keeps_its_own_id(work, campaign):
    assert verified_labels(work, campaign).num_rows == 4
    other = verifications()["al"].model_copy(update={"key": "f" * 16, "level": "final"})
    (campaign.folder / "verification" / ("f" * 16)).mkdir()
    (campaign.folder / "verification" / ("f" * 16) / "result.json").write_text(other.model_dump_json())
    ids = values(verified_labels(work, campaign), "id")
    assert len(ids) == len(set(ids)) == 5


def test_rows_of_a_table_lend_their_names(work):
    assert "al" in by_id(verified_labels(work, rows=verified_table()))
    assert f"Al-{KEYS['al']}" in by_id(verified_labels(work))


def test_an_unrelaxed_crystal_keeps_the_name_of_its_geometry(tmp_path, campaign):
    path = campaign.folder / "verification" / "Al-12ab" / KEYS["al"] / "result.json"
    path.write_text(verifications()["al"].model_copy(update={"relaxed": False}).model_dump_json())
    assert by_id(verified_labels(campaign))["al"]["geometry"] == "sevennet-0"


def test_nothing_to_export_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no verified crystal"):
        verified_labels(tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        verified_labels(tmp_path / "x")


def test_spectra_come_back_bit_for_bit(work, tmp_path):
    export_labels([work], tmp_path / "labels.parquet")
    data = read_spectra(tmp_path / "labels.parquet")
    assert data.formulas == ("Al",)
    assert data.label_kind == "first_principles_verified"
    assert len(data.problems) == 3  # unstable, and twice not converged: no alpha2F
    expected = np.float32(verifications()["al"].coupling.alpha2f)[:51]
    np.testing.assert_array_equal(data.alpha2f[0], expected)
    assert float(data.moments.lambda_[0]) == pytest.approx(verifications()["al"].coupling.lambda_, rel=0.03)
    assert data.batch.n_atoms.tolist() == [1]


def test_spectra_on_another_grid_are_still_smoothed(work, tmp_path):
    export_labels([work], tmp_path / "labels.parquet")
    table = pq.read_table(tmp_path / "labels.parquet")
    shifted = pa.array([None if one is None else (np.array(one) + 0.5).tolist() for one in values(table, "omega_meV")])
    pq.write_table(
        table.set_column(table.column_names.index("omega_meV"), "omega_meV", shifted), tmp_path / "b.parquet"
    )
    raw = np.float32(verifications()["al"].coupling.alpha2f)[:51]
    assert np.abs(read_spectra(tmp_path / "b.parquet").alpha2f[0] - raw).max() > 0.01


def test_reserved_compositions_are_exported_but_not_trained_on(work, tmp_path):
    add(work, "Mg", [12])
    done = export_labels([work], tmp_path / "labels.parquet")
    assert done.summary()["spectra_by_split"] == {"validation": 1, "reserved": 1}
    data = read_spectra(tmp_path / "labels.parquet")
    assert "Mg" not in data.formulas
    assert any("reserved for final evaluations" in problem for problem in data.problems)


def test_a_spectrum_model_trains_on_the_export_and_is_scored_on_its_buckets(work, tmp_path):
    for name, number in (("Nb", 41), ("Pb", 82), ("Ti", 22), ("Mg", 12)):
        add(work, name, [number])
    export_labels([work], tmp_path / "labels.parquet")
    recipe = SpectrumRecipe(
        name="verified",
        kind="spectrum",
        data=tmp_path / "labels.parquet",
        settings=QUICK.model_copy(update={"epochs": 1}),
    )
    config = train_spectrum(recipe, tmp_path / "model")
    assert config["training_rows"] == 4  # aluminium with them, magnesium not
    assert config["formulas"] == 4
    assert config["validation"]["n"] == 1  # aluminium, bucket 86
    assert config["training_data"]["label_kind"] == "first_principles_verified"
    assert "labels first_principles_verified" in (tmp_path / "model" / "README.md").read_text("utf-8")


def test_kinds_of_labels_are_never_merged(work, tmp_path):
    labels = verified_labels(work)
    assert merged_labels([labels, labels]).num_rows == labels.num_rows
    place = labels.column_names.index("label_kind")
    other = labels.set_column(place, "label_kind", pa.array(["literature"] * labels.num_rows))
    unnamed = labels.drop_columns(["label_kind"])
    for wrong in ([labels, other], [labels, unnamed], [unnamed], [other]):
        with pytest.raises(ConfigError, match="labels"):
            merged_labels(wrong)
    pq.write_table(pa.concat_tables([labels, other]), tmp_path / "mixed.parquet")
    with pytest.raises(ConfigError, match=r"mixed.parquet mix labels: first_principles_verified, literature"):
        read_spectra(tmp_path / "mixed.parquet")


def test_command(work, tmp_path, monkeypatch, capfd):
    done = onnes(monkeypatch, capfd, "labels", work, "--out", tmp_path / "labels.parquet")
    assert done.code == 0
    assert "4 verified crystals" in done.out
    assert "with a spectrum: 1 validation" in done.out
    assert "failed, no label" in done.err
    assert pq.read_table(tmp_path / "labels.parquet").num_rows == 4
    one_line_error(
        onnes(monkeypatch, capfd, "labels", work, "--out", tmp_path / "labels.csv"), "labels.csv", ".parquet"
    )
    one_line_error(
        onnes(monkeypatch, capfd, "labels", tmp_path / "none", "--out", tmp_path / "l.parquet"), "no such folder"
    )


def test_grid_of_the_export_is_that_of_the_package(work):
    row = next(row for row in verified_labels(work).to_pylist() if row["alpha2f"])
    np.testing.assert_array_equal(row["omega_meV"], ALPHA2F_GRID_MEV)
