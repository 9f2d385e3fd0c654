import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from onnes.models.heads import HeadEnsemble

TARGETS = ("one", "two")


@pytest.fixture(scope="module")
def heads():
    rng = np.random.default_rng(0)

    def stack(*shape):
        return rng.normal(0, 0.4, shape).astype(np.float32)

    return HeadEnsemble(
        TARGETS, stack(6), np.abs(stack(6)) + 0.5, stack(2), np.abs(stack(2)) + 0.5,
        (stack(3, 6, 8), stack(3, 8, 8), stack(3, 8, 2)), (stack(3, 1, 8), stack(3, 1, 8), stack(3, 1, 2)),
    )  # fmt: skip


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

    x = torch.tensor((features - heads.x_mean) / heads.x_scale).clip(-6, 6)
    for member in range(3):
        hidden = x
        for layer in range(3):
            hidden = hidden @ torch.tensor(heads.weights[layer][member]) + torch.tensor(heads.biases[layer][member])
            hidden = torch.nn.functional.silu(hidden) if layer < 2 else hidden
        wanted = hidden.numpy() * heads.y_scale + heads.y_mean
        for t, name in enumerate(TARGETS):
            np.testing.assert_allclose(heads.predict(features)[name][member], wanted[:, t], rtol=1e-4, atol=1e-5)


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


def test_stored_and_read(heads, features, tmp_path) -> None:
    save_file(heads.tensors(), tmp_path / "heads.safetensors")
    read = HeadEnsemble.from_tensors(load_file(tmp_path / "heads.safetensors"), TARGETS)
    assert read.targets == TARGETS
    assert read.n_members == 3
    for name in TARGETS:
        np.testing.assert_allclose(read.predict(features)[name], heads.predict(features)[name], atol=0.01)
    again = HeadEnsemble.from_tensors(read.tensors(), TARGETS)  # half precision once, then for good
    np.testing.assert_array_equal(again.predict(features)["one"], read.predict(features)["one"])
