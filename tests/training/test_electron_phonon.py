from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from pymatgen.core import Element

from onnes.errors import ConfigError
from onnes.models.features import CrystalFeatures
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training import electron_phonon
from onnes.training.data import bucket
from onnes.training.electron_phonon import load_electron_phonon
from tests.training.made_up import electron_phonon_data

POTENTIALS = ("sevennet-0", "chgnet")


@pytest.fixture(scope="module")
def data():
    return electron_phonon_data(800)


def test_split_goes_by_formula(data) -> None:
    assert len(data) == 800
    assert not (data.training & data.validation).any()
    assert 0.7 < data.training.mean() < 0.9
    for group in np.unique(data.groups):
        assert len(np.unique(data.training[data.groups == group])) == 1


def test_only_scored_rows_validate(data) -> None:
    none = replace(data, scored=np.zeros(800, bool))
    assert data.validation.any()
    assert not none.validation.any()
    np.testing.assert_array_equal(none.training, data.training)
    np.testing.assert_array_equal(data.scored_in(range(80, 85)) | data.scored_in(range(85, 90)), data.validation)
    assert not (data.scored_in(range(80, 85)) & data.scored_in(range(85, 90))).any()


def test_inputs_hold_the_potentials_in_their_order_and_the_density_of_states_last(data) -> None:
    first, second = (data.features[name] for name in ("sevennet-0", "sevennet-l3i5"))
    both = data.inputs(("sevennet-l3i5", "sevennet-0"), electronic=True)
    np.testing.assert_array_equal(both, np.concatenate([second, first, data.electronic], axis=1))
    np.testing.assert_array_equal(data.inputs(("sevennet-0",), electronic=False), first)
    assert data.has_dos.tolist() == [i % 5 != 0 for i in range(800)]


def _file(formulas, **columns):
    """A data file of cubic crystals of one atom."""
    n = len(formulas)
    return pa.table(
        {
            "lattice": [[4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0]] * n,
            "frac_coords": [[0.0, 0.0, 0.0]] * n,
            "atomic_numbers": [[Element(formula).Z] for formula in formulas],
            "reduced_formula": formulas,
            **columns,
        }
    )


@pytest.fixture
def files(monkeypatch):
    tables = {
        "epc_dft_alexandria": _file(
            ["Al", "Nb"], lambda_=[0.5, 1.0], omega_log_K=[300.0, 160.0], omega2_inferred_K=[330.0, None],
            dos_ef_states_per_eV=[0.4, -0.1], debye_K=[400.0, 275.0], tc_K=[3.5, 11.0],
        ),
        "epc_dft_jarvis3d": _file(
            ["Nb", "Pb", "V"], lambda_=[1.1, 1.2, 0.9], omega_log_K=[150.0, 60.0, 200.0], tc_K=[99.0, 99.0, 99.0],
            in_leaderboard_tc_benchmark=[True, True, False], label_physical=[True, True, True],
        ),
    }  # fmt: skip
    failing = set()

    def features(batch, potentials, **_):
        assert tuple(potentials) == POTENTIALS
        z = batch.atomic_numbers.astype(np.float32)[:, None]
        broken = np.where(np.isin(batch.atomic_numbers, list(failing))[:, None], np.nan, z)
        n = len(batch)
        errors = ["failed" if np.isnan(v) else None for v in broken[:, 0]]
        return CrystalFeatures({"sevennet-0": z, "chgnet": 10 * broken}, np.zeros(n), np.zeros(n), errors)

    monkeypatch.setattr(electron_phonon, "read_data", tables.__getitem__)
    monkeypatch.setattr(electron_phonon, "cached_features", features)
    return failing


def test_labels_are_read(files) -> None:
    data = load_electron_phonon(POTENTIALS)
    # two of the first file, the stable ones of the second
    assert data.features["sevennet-0"].ravel().tolist() == [13, 41, 41, 82]
    assert data.features["chgnet"].ravel().tolist() == [130, 410, 410, 820]
    assert data.scored.tolist() == [True, True, False, False]
    np.testing.assert_allclose(data.targets[0], np.log([0.5, 300, 330 / 300, 0.4, 400]))
    np.testing.assert_allclose(data.targets[1, [0, 1, 4]], np.log([1.0, 160, 275]))
    assert np.isnan(data.targets[1, 2:4]).all()  # no omega2, and a negative density of states is no label
    assert np.isnan(data.targets[2:, 2:]).all()
    assert data.buckets.tolist() == [bucket(f) for f in ("Al", "Nb", "Nb", "Pb")]
    assert data.groups[1] == data.groups[2]
    assert len(set(data.groups.tolist())) == 3
    assert data.elements == {13, 41, 82}


def test_density_of_states_is_read(files) -> None:
    data = load_electron_phonon(POTENTIALS)
    np.testing.assert_allclose(data.electronic[0], np.log([0.4, 0.4 / 64, 0.4]), rtol=1e-6)
    assert data.has_dos.tolist() == [True, False, False, False]


def test_tc_of_the_second_file_is_recomputed(files) -> None:
    data = load_electron_phonon(POTENTIALS)
    assert data.tc_K[:2].tolist() == [3.5, 11.0]
    np.testing.assert_allclose(data.tc_K[2:], allen_dynes_tc_K([1.1, 1.2], [150.0, 60.0]))
    np.testing.assert_allclose(data.lambda_, [0.5, 1.0, 1.1, 1.2])
    np.testing.assert_allclose(data.omega_log_K, [300, 160, 150, 60])


def test_crystal_without_features_is_no_training_row(files) -> None:
    files.add(13)
    data = load_electron_phonon(POTENTIALS)
    assert all(np.isfinite(block).all() for block in data.features.values())
    np.testing.assert_allclose(data.lambda_, [1.0, 1.1, 1.2])
    assert data.scored.tolist() == [True, False, False]
    assert len(data) == len(data.buckets) == len(data.groups) == len(data.electronic) == len(data.targets) == 3


def test_unlabelled_crystals_come_along_when_asked_for(files, monkeypatch) -> None:
    extra = ({name: np.zeros((2, 1), np.float32) for name in POTENTIALS}, np.array([3, 4]))
    monkeypatch.setattr(electron_phonon, "unlabelled_features", lambda potentials, **_: extra)
    assert load_electron_phonon(POTENTIALS).unlabelled is None
    data = load_electron_phonon(POTENTIALS, unlabelled=True)
    assert (data.unlabelled, data.unlabelled_buckets.tolist()) == (extra[0], [3, 4])
    assert len(data) == 4


def test_without_data(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="ONNES_DATA"):
        load_electron_phonon(POTENTIALS)
