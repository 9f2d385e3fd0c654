from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from onnes.models.heads import HeadEnsemble, MixedEnsemble

TARGETS = ("one", "two")


def ensemble(width, *, members=3, seed=0):
    rng = np.random.default_rng(seed)

    def stack(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

    return HeadEnsemble(
        TARGETS, stack(width), np.abs(stack(width)) + 0.5, np.abs(stack(width)) + 0.5, stack(2), np.abs(stack(2)) + 0.5,
        (stack(members, width, 8), stack(members, 8, 8), stack(members, 8, 2)),
        (stack(members, 1, 8), stack(members, 1, 8), stack(members, 1, 2)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def heads():
    return ensemble(6)


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)


def test_shapes(heads, features) -> None:
    out = heads.predict(features)
    assert heads.n_members == 3
    assert set(out) == set(TARGETS)
    assert all(array.shape == (3, 5) and array.dtype == np.float64 for array in out.values())
    assert heads.predict(features[:0])["one"].shape == (3, 0)


def test_equal_to_torch(heads, features) -> None:
    import torch

    x = torch.tensor((features - heads.x_mean) / heads.x_scale).clip(-6, 6) * torch.tensor(heads.x_gain)
    for member in range(3):
        hidden = x
        for layer in range(3):
            hidden = hidden @ torch.tensor(heads.weights[layer][member]) + torch.tensor(heads.biases[layer][member])
            hidden = torch.nn.functional.silu(hidden) if layer < 2 else hidden
        wanted = hidden.numpy() * heads.y_scale + heads.y_mean
        for t, name in enumerate(TARGETS):
            np.testing.assert_allclose(heads.predict(features)[name][member], wanted[:, t], rtol=1e-4, atol=1e-5)


def test_gain_makes_a_feature_louder_after_it_was_clipped(heads, features) -> None:
    gain = np.array([1, 1, 8, 1, 1, 0], np.float32)
    loud = replace(heads, x_gain=gain)
    far = features.copy()
    far[0, 2] = 1e6
    np.testing.assert_allclose(loud.inputs(far), ((far - heads.x_mean) / heads.x_scale).clip(-6, 6) * gain, rtol=1e-6)
    assert loud.inputs(far)[0, 2] == 48
    assert loud.inputs(far).dtype == np.float32
    turned = far.copy()
    turned[:, 5] += 3  # its gain is zero
    np.testing.assert_array_equal(loud.predict(turned)["one"], loud.predict(far)["one"])


def test_rows_do_not_see_each_other(heads, features) -> None:
    together = heads.predict(features)["two"]
    alone = np.concatenate([heads.predict(features[i : i + 1])["two"] for i in range(5)], axis=1)
    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_missing_features_give_missing_predictions(heads, features) -> None:
    broken = features.copy()
    broken[2, 4] = np.nan
    out, whole = heads.predict(broken), heads.predict(features)
    for name in TARGETS:
        assert np.isnan(out[name]).any(0).tolist() == [False, False, True, False, False]
        kept = [0, 1, 3, 4]
        np.testing.assert_allclose(out[name][:, kept], whole[name][:, kept], rtol=1e-6)


def test_far_features_stay_finite(heads, features) -> None:
    far = heads.predict(features * 1e8)
    assert all(np.isfinite(array).all() for array in far.values())
    np.testing.assert_allclose(far["one"], heads.predict(features * 1e9)["one"])  # clipped at six deviations


def test_first_layer_is_stored_in_eight_bits_with_a_scale_for_each_neuron(heads) -> None:
    stored = heads.tensors()
    first = heads.weights[0]
    assert stored["weight_0"].dtype == np.int8
    assert [stored[f"weight_{i}"].dtype for i in (1, 2)] == [np.float16] * 2
    assert np.abs(stored["weight_0"].astype(int)).max(axis=1).tolist() == [[127] * 8] * 3  # every neuron uses the range
    error = np.abs(stored["weight_0"] * stored["weight_0_scale"] - first)
    assert (error <= np.abs(first).max(axis=1, keepdims=True) / 254 * (1 + 1e-4)).all()  # half a step


def test_idle_neuron_can_be_stored(heads, features) -> None:
    first = heads.weights[0].copy()
    first[1, :, 3] = 0
    read = replace(heads, weights=(first, *heads.weights[1:])).rounded()
    assert (read.weights[0][1, :, 3] == 0).all()
    assert np.isfinite(read.predict(features)["one"]).all()


def test_storing_changes_predictions_by_little() -> None:
    big = ensemble(200, seed=2)
    big = replace(big, weights=(big.weights[0] / 10, *big.weights[1:]))  # else every neuron is saturated
    x = np.random.default_rng(3).normal(size=(300, 200)).astype(np.float32)
    exact, stored = big.predict(x), big.rounded().predict(x)
    for name in TARGETS:
        change = np.sqrt(((stored[name] - exact[name]) ** 2).mean())
        assert 0 < change < 0.01 * exact[name].std(axis=1).mean()


def test_stored_and_read(heads, features, tmp_path) -> None:
    save_file(heads.tensors(), tmp_path / "heads.safetensors")
    read = HeadEnsemble.from_tensors(load_file(tmp_path / "heads.safetensors"), TARGETS)
    assert read.targets == TARGETS
    assert read.n_members == 3
    for name in ("x_mean", "x_scale", "x_gain", "y_mean", "y_scale"):
        np.testing.assert_array_equal(getattr(read, name), getattr(heads, name))
    for name in TARGETS:
        np.testing.assert_array_equal(read.predict(features)[name], heads.rounded().predict(features)[name])
        np.testing.assert_allclose(read.predict(features)[name], heads.predict(features)[name], atol=0.02)
    again = read.rounded()  # rounded once, then for good
    for one, other in zip(again.weights, read.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


COLUMNS = (((0, 2), (6, 8)), ((2, 6), (6, 8)))
"""The first reads columns 0, 1, 6, 7, the second 2 to 7."""


@pytest.fixture(scope="module")
def mixed():
    first, second = ensemble(4, seed=4), ensemble(6, members=2, seed=5)
    shared = {name: getattr(first, name)[-2:] for name in ("x_mean", "x_scale")}  # the same columns, the same standard
    second = replace(second, **{name: np.append(getattr(second, name)[:4], value) for name, value in shared.items()})
    return MixedEnsemble((first, second), COLUMNS)


@pytest.fixture(scope="module")
def wide():
    return np.random.default_rng(6).normal(size=(5, 8)).astype(np.float32)


def test_mixed_members_each_read_their_columns(mixed, wide) -> None:
    assert mixed.n_members == 5
    assert mixed.targets == TARGETS
    out = mixed.predict(wide)
    first, second = mixed.ensembles
    for name in TARGETS:
        np.testing.assert_array_equal(out[name][:3], first.predict(wide[:, [0, 1, 6, 7]])[name])
        np.testing.assert_array_equal(out[name][3:], second.predict(wide[:, 2:])[name])


def test_mixed_standardisation_is_that_of_every_column(mixed, wide) -> None:
    first, second = mixed.ensembles
    np.testing.assert_array_equal(mixed.x_mean, np.concatenate([first.x_mean[:2], second.x_mean]))
    np.testing.assert_array_equal(mixed.x_scale, np.concatenate([first.x_scale[:2], second.x_scale]))
    wanted = ((wide - mixed.x_mean) / mixed.x_scale).clip(-6, 6)
    np.testing.assert_allclose(mixed.inputs(wide), wanted, rtol=1e-6)  # the gain belongs to the networks alone


def test_mixed_missing_features_miss_only_where_they_are_read(mixed, wide) -> None:
    broken = wide.copy()
    broken[1, 0] = np.nan
    broken[3, 7] = np.nan
    missing = np.isnan(mixed.predict(broken)["one"])
    assert missing[:3].all(0).tolist() == [False, True, False, True, False]
    assert missing[3:].all(0).tolist() == [False, False, False, True, False]
    assert np.isnan(mixed.predict(broken)["one"].mean(0)).tolist() == [False, True, False, True, False]


def test_mixed_stored_and_read(mixed, wide, tmp_path) -> None:
    save_file(mixed.tensors(), tmp_path / "mixed.safetensors")
    read = MixedEnsemble.from_tensors(load_file(tmp_path / "mixed.safetensors"), TARGETS, COLUMNS)
    assert (read.n_members, read.columns) == (5, COLUMNS)
    for part, wanted in zip(read.ensembles, mixed.ensembles, strict=True):
        np.testing.assert_array_equal(part.weights[0], wanted.rounded().weights[0])
    np.testing.assert_allclose(read.predict(wide)["two"], mixed.predict(wide)["two"], atol=0.02)


def test_more_than_ten_ensembles_keep_their_order() -> None:
    parts = tuple(ensemble(1, members=1, seed=i) for i in range(12))
    columns = tuple(((i, i + 1),) for i in range(12))
    read = MixedEnsemble.from_tensors(MixedEnsemble(parts, columns).tensors(), TARGETS, columns)
    for part, wanted in zip(read.ensembles, parts, strict=True):
        np.testing.assert_array_equal(part.x_mean, wanted.x_mean)
