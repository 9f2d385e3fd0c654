import json
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from onnes.crystals.batch import CrystalBatch
from onnes.errors import ModelError
from onnes.models import spectrum
from onnes.models.spectrum import SpectrumModel, load_spectrum_model, moments_tc_K
from onnes.models.spectrum_network import CrystalGraphs, SpectrumNetwork
from onnes.physics.spectra import Moments, binned_moments

TINY = {"n_neighbours": 12.0, "mul": 4, "layers": 2, "lmax": 2, "embedding": 8, "radial_neurons": 8}
SMALL = TINY | {"lmax": 1, "layers": 1}
SITES = np.array([[0.02, 0.0, 0.01], [0.5, 0.47, 0.52], [0.53, 0.5, 0.0], [0.48, 0.03, 0.5], [0.0, 0.5, 0.46]])
CELL = np.array([[3.9, 0.1, 0.0], [0.0, 4.0, 0.2], [0.3, 0.0, 4.2]])
PEROVSKITE = (CELL, SITES, [56, 22, 8, 8, 8])
NIOBIUM = (3.3 * (np.ones((3, 3)) / 2 - np.eye(3)), np.zeros((1, 3)), [41])
NIAL = (2.88 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), [28, 13])


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SpectrumNetwork(**TINY, dtype=torch.float64).eval()


def predicted(network, *crystals, dos=None):
    graphs = CrystalGraphs.of(CrystalBatch.of(crystals), dos, dtype=torch.float64)
    with torch.no_grad():
        return network(**graphs.inputs()).numpy()


@cache  # e3nn needs a second to build a network
def fresh_parameters(phonon_informed=False):
    torch.manual_seed(0)
    return SpectrumNetwork(**SMALL, phonon_informed=phonon_informed).parameter_arrays()


def ensemble(n_members=3, *, dtype=np.float32, phonon_informed=False):
    rng = np.random.default_rng(0)
    members = {}
    for name, array in fresh_parameters(phonon_informed).items():
        # a fresh network predicts about 1e-6, and lambda would be nothing
        scale = 60 if name == "layers.1.lin2.weight" else 1
        members[name] = np.stack([scale * rng.permuted(array.ravel()).reshape(array.shape) for _ in range(n_members)])
        members[name] = members[name].astype(dtype)
    arguments = {**SMALL, "phonon_informed": phonon_informed}
    return SpectrumModel(arguments, members, frozenset({13, 28, 41}), 5, {"training_rows": 7})


@pytest.fixture(scope="module")
def model():
    return ensemble()


@pytest.fixture(scope="module")
def batch():
    return CrystalBatch.of([PEROVSKITE, NIOBIUM, NIAL])


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_edges_are_those_within_the_cutoff_and_one_to_itself() -> None:
    simple = CrystalBatch.of([(3.0 * np.eye(3), np.zeros((1, 3)), [84])])
    graphs = CrystalGraphs.of(simple)
    assert graphs.mean_neighbours == 7  # six at 3 angstrom; the twelve at 4.24 are too far
    assert sorted(graphs.vectors.norm(dim=1).tolist()) == pytest.approx([0] + 6 * [3], abs=1e-6)
    assert CrystalGraphs.of(simple, cutoff_A=4.5).mean_neighbours == 19


def test_selected_graphs_are_those_of_the_selected_crystals(batch) -> None:
    dos = np.random.default_rng(0).random((len(batch.atomic_numbers), 51))
    chosen = [2, 0, 2]
    selected = CrystalGraphs.of(batch, dos).select(torch.tensor(chosen)).inputs()
    sites = np.concatenate([np.flatnonzero(batch.owners == i) for i in chosen])
    direct = CrystalGraphs.of(batch.select(chosen), dos[sites]).inputs()
    assert selected["n_crystals"] == 3
    for name in ("numbers", "pairs", "vectors", "owners", "site_phonon_dos"):
        torch.testing.assert_close(selected[name], direct[name])


# --- network ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_rotated_and_mirrored_crystals_have_the_same_spectrum(network, sign) -> None:
    turn = sign * Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    wanted = predicted(network, PEROVSKITE)
    assert wanted.max() > 0
    turned = predicted(network, (CELL @ turn, *PEROVSKITE[1:]))
    np.testing.assert_allclose(turned, wanted, atol=1e-10 * wanted.max())


def test_moved_origin_other_cell_and_other_order_change_nothing(network) -> None:
    wanted = predicted(network, PEROVSKITE)
    moved = (CELL, SITES + [0.31, 0.77, 0.5], PEROVSKITE[2])
    other_cell = np.array([[1, 0, 0], [2, 1, 0], [0, -1, 1]]) @ CELL
    sheared = (other_cell, SITES @ CELL @ np.linalg.inv(other_cell), PEROVSKITE[2])
    order = [3, 0, 4, 2, 1]
    shuffled = (CELL, SITES[order], [PEROVSKITE[2][i] for i in order])
    for other in (moved, sheared, shuffled):
        np.testing.assert_allclose(predicted(network, other), wanted, atol=1e-10 * wanted.max())


def test_supercell_has_the_same_spectrum(network) -> None:
    wanted = predicted(network, PEROVSKITE)
    half = np.array([0.5, 1, 1])
    doubled = (CELL * [[2], [1], [1]], np.concatenate([SITES * half, (SITES + [1, 0, 0]) * half]), 2 * PEROVSKITE[2])
    np.testing.assert_allclose(predicted(network, doubled), wanted, atol=1e-10 * wanted.max())


def test_spectrum_depends_on_positions_and_elements(network) -> None:
    wanted = predicted(network, PEROVSKITE)[0]
    others = [
        (CELL, SITES + np.eye(5, 3) * 0.02, PEROVSKITE[2]),
        (CELL * 1.02, SITES, PEROVSKITE[2]),
        (CELL, SITES, [56, 40, 8, 8, 8]),
        (CELL, SITES, [8, 22, 56, 8, 8]),
    ]
    for other in others:
        assert np.abs(predicted(network, other)[0] - wanted).max() > 1e-3 * wanted.max()


def test_edge_of_the_cutoff_is_smooth(network) -> None:
    def at(a):
        return predicted(network, (a * np.eye(3), np.zeros((1, 3)), [84]))

    inside, outside, alone = at(4 - 1e-4), at(4 + 1e-4), at(9.0)
    np.testing.assert_allclose(outside, alone)
    np.testing.assert_allclose(inside, alone, atol=1e-5 * alone.max())


def test_crystals_do_not_see_each_other_and_nothing_is_negative(network) -> None:
    together = predicted(network, PEROVSKITE, NIOBIUM, NIAL)
    assert together.shape == (3, 51)
    assert (together >= 0).all()
    for i, crystal in enumerate((PEROVSKITE, NIOBIUM, NIAL)):
        np.testing.assert_allclose(predicted(network, crystal)[0], together[i], atol=1e-12 * together.max())


def test_inputs_are_one_hot_and_masses_through_one_layer(network) -> None:
    seen = []
    handle = network.embedding.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    predicted(network, NIAL)
    handle.remove()
    features, attributes = (array.numpy() for array in seen)
    assert features.shape == (2, 118)
    assert attributes[0].nonzero()[0].tolist() == [27]
    np.testing.assert_allclose([features[0, 27], features[1, 12]], [58.6934, 26.9815], rtol=1e-5)
    np.testing.assert_allclose(features / features.max(1, keepdims=True), attributes)


def test_phonons_of_each_atom_are_an_input() -> None:
    torch.manual_seed(0)
    informed = SpectrumNetwork(**TINY | {"lmax": 1}, phonon_informed=True, dtype=torch.float64)
    assert informed.embedding.in_features == 169
    dos = np.random.default_rng(0).random((2, 51))
    one, other = predicted(informed, NIAL, dos=dos), predicted(informed, NIAL, dos=dos[::-1].copy())
    assert np.abs(one - other).max() > 1e-3 * one.max()


def test_size_is_that_of_the_publication() -> None:
    torch.manual_seed(0)
    full = SpectrumNetwork(n_neighbours=17.0)
    assert full.layers[-1].irreps_out.dim == 51
    assert str(full.layers[1].irreps_out.simplify()) == "32x0e+32x1o+32x1e"  # no path leads to 0o
    assert len(full.layers) == 3
    assert next(full.parameters()).dtype == torch.float32
    assert torch.get_default_dtype() == torch.float32


# --- ensemble --------------------------------------------------------------------------------------------------------


def test_moments_are_those_of_the_mean_spectrum(model, batch) -> None:
    spectra, found = model.member_spectra(batch), model.predict(batch)
    assert spectra.shape == (3, 3, 51)
    np.testing.assert_allclose(found["alpha2f"], spectra.mean(0))
    moments, each = binned_moments(spectra.mean(0)), binned_moments(spectra)
    assert (moments.lambda_ > 0).all()
    for name in ("lambda_", "omega_log_K", "omega2_K"):
        np.testing.assert_allclose(found[name], getattr(moments, name))
        spread = found[f"{name.removesuffix('_')}_std"]
        np.testing.assert_allclose(spread, np.std(getattr(each, name), axis=0))
    assert (np.abs(found["omega_log_K"] - each.omega_log_K.mean(0)) > 1e-3).any()
    np.testing.assert_allclose(found["tc_K"], moments_tc_K(moments))
    np.testing.assert_allclose(found["tc_K_std"], moments_tc_K(each).std(0))
    assert (found["tc_mu016_K"] <= found["tc_K"]).all()
    assert set(found["mu_star"]) == {0.10}


def test_zero_spectrum_is_no_superconductor(batch) -> None:
    zero = ensemble(2)
    zero.members["layers.1.lin2.weight"][:] = 0
    zero.members["layers.1.sc.weight"][:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = zero.predict(batch)
    assert not found["alpha2f"].any()
    for name in ("lambda_", "tc_K", "tc_K_std", "tc_mu016_K"):
        assert found[name].tolist() == [0, 0, 0]
    assert np.isnan(found["omega_log_K"]).all()
    assert np.isnan(found["omega2_K_std"]).all()


def test_tc_of_moments() -> None:
    moments = Moments(np.array([1.0, 0.0, 0.05]), np.array([300.0, np.nan, 300.0]), np.array([360.0, np.nan, 360.0]))
    assert moments_tc_K(moments).round(3).tolist() == [22.272, 0, 0]
    assert moments_tc_K(moments, mu_star=0.16).round(3).tolist() == [15.854, 0, 0]


def test_many_passes_are_one(model, batch, monkeypatch) -> None:
    wanted = model.member_spectra(batch)
    monkeypatch.setattr(spectrum, "MAX_ATOMS_A_PASS", 2)
    np.testing.assert_allclose(model.member_spectra(batch), wanted, atol=1e-5 * wanted.max())
    assert model.member_spectra(batch.select([])).shape == (3, 0, 51)


def test_precision_is_that_of_the_parameters(batch, tmp_path) -> None:
    read = load_spectrum_model(ensemble(1, dtype=np.float64).save(tmp_path))
    single = ensemble(1).member_spectra(batch)
    double = read.member_spectra(batch)
    assert 0 < np.abs(double - single).max() < 1e-4 * double.max()


def test_stored_and_read_are_identical(model, batch, tmp_path) -> None:
    read = load_spectrum_model(model.save(tmp_path / "weights"))
    assert (read.n_members, read.max_atoms, read.elements) == (3, 5, model.elements)
    assert read.config["training_rows"] == 7
    assert len(read.sha256) == 64
    wanted, found = model.predict(batch), read.predict(batch)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)
    assert sorted(file.name for file in (tmp_path / "weights").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    again = load_spectrum_model(read.save(tmp_path / "again"))
    assert again.sha256 == read.sha256


def test_changed_file_is_refused(model, tmp_path) -> None:
    folder = model.save(tmp_path)
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelError, match="changed or damaged"):
        load_spectrum_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "metal"}, "kind 'metal'"),
        ({"members": 4}, "do not hold 4 members"),
    ],
)
def test_configuration_of_another_model_is_refused(model, tmp_path, change, message) -> None:
    folder = model.save(tmp_path)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        load_spectrum_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"mul": 5}, r"has the shape .* the network needs"), ({"width": 5}, "does not describe a spectrum network")],
)
def test_parameters_of_another_network_are_refused(model, batch, change, message) -> None:
    other = SpectrumModel({**model.network, **change}, model.members, model.elements, model.max_atoms)
    with pytest.raises(ModelError, match=message):
        other.predict(batch)


def test_missing_and_foreign_parameters_are_refused(network) -> None:
    arrays = network.parameter_arrays()
    with pytest.raises(ModelError, match="do not fit the network"):
        network.set_parameters({**arrays, "foreign": np.zeros(1)})
    arrays.pop("embedding.bias")
    with pytest.raises(ModelError, match=r"embedding\.bias do not fit the network"):
        network.set_parameters(arrays)


def test_phonons_must_fit_the_model(model, batch) -> None:
    dos = np.ones((len(batch.atomic_numbers), 51))
    with pytest.raises(ModelError, match="knows no phonons"):
        model.predict(batch, dos)
    informed = ensemble(2, phonon_informed=True)
    with pytest.raises(ModelError, match="phonon-informed: give site_phonon_dos"):
        informed.predict(batch)
    with pytest.raises(ModelError, match=r"shape \(8, 40\), the batch needs \(8, 51\)"):
        informed.predict(batch, dos[:, :40])
    assert np.isfinite(informed.predict(batch, dos)["alpha2f"]).all()


def test_unknown_folder(tmp_path) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        load_spectrum_model(tmp_path / "nothing")
