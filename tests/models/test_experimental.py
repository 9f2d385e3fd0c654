import json

import numpy as np
import pytest

from onnes.errors import ModelError
from onnes.models.composition import EXPERIMENTAL_FAMILIES, FEATURE_NAMES, element_fractions
from onnes.models.experimental import (
    CLASS_TARGET,
    STRUCTURAL_NAMES,
    TC_TARGET,
    ExperimentalModel,
    StructureBlock,
    load_experimental_model,
    structural_features,
)
from onnes.models.heads import HeadEnsemble
from onnes.models.trees import TreeEnsemble
from onnes.models.weights import save_weights

NB = (3.3 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [41, 41])
NBN = (4.39 * np.eye(3), [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0], [0.5, 0.5, 0.5], [0.5, 0, 0],
       [0, 0.5, 0], [0, 0, 0.5]], [41] * 4 + [7] * 4)  # fmt: skip
MGB2 = (np.array([[3.086, 0, 0], [-1.543, 2.67255, 0], [0, 0, 3.524]]),
        [[0, 0, 0], [1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]], [12, 5, 5])  # fmt: skip
FORMULAS = ["YBa2Cu3O7", "Nb3Sn", "FeSe", "MgB2", "CeCoIn5", "LaH10"]


def named(crystal):
    return dict(zip(STRUCTURAL_NAMES, structural_features([crystal])[0].tolist(), strict=True))


# --- descriptors ---


def test_niobium_by_hand() -> None:
    found = named(NB)
    assert found["volume_per_atom_A3"] == pytest.approx(3.3**3 / 2, rel=1e-5)
    assert found["density_g_per_cm3"] == pytest.approx(8.58, abs=0.03)  # measured 8.57
    assert found["packing"] == pytest.approx(2 * 4 / 3 * np.pi * 1.45**3 / 3.3**3, rel=1e-5)
    assert found["ln_primitive_sites"] == 0
    assert found["min_distance_A"] == found["mean_nearest_distance_A"] == pytest.approx(3.3 * np.sqrt(3) / 2, rel=1e-5)
    assert found["b_over_a"] == found["c_over_a"] == pytest.approx(1, abs=1e-5)
    assert (found["space_group"], found["cubic"], found["hexagonal"]) == (229, 1, 0)


def test_layers_of_mgb2() -> None:
    found = named(MGB2)
    assert (found["space_group"], found["hexagonal"]) == (191, 1)
    assert found["c_over_a"] == pytest.approx(3.524 / 3.086, rel=1e-4)
    assert found["min_distance_A"] == pytest.approx(3.086 / np.sqrt(3), rel=1e-3)
    assert found["mean_nearest_distance_A"] > found["min_distance_A"]  # magnesium has farther neighbours
    assert np.exp(found["ln_primitive_sites"]) == pytest.approx(3)


@pytest.mark.parametrize("crystal", [NB, NBN, MGB2])
def test_another_cell_of_the_same_crystal_changes_nothing(crystal) -> None:
    lattice, coords, sites = np.asarray(crystal[0], float), np.asarray(crystal[1], float), crystal[2]
    double = np.diag([2.0, 1, 1]) @ lattice
    copies = np.concatenate([coords / [2, 1, 1], coords / [2, 1, 1] + [0.5, 0, 0]])
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for other in (
        (double, copies, [*sites, *sites]),
        (lattice @ turn, coords + 0.123, sites),
        (lattice, coords[::-1], sites[::-1]),
    ):
        np.testing.assert_allclose(
            structural_features([other])[0], structural_features([crystal])[0], rtol=1e-4, atol=1e-4
        )


def test_occupancies_weigh() -> None:
    alloy = (NB[0], NB[1], [{"Nb": 0.75, "Ti": 0.25}] * 2)
    pure, mixed = named(NB), named(alloy)
    assert mixed["space_group"] == 229
    ratio = (0.75 * 92.906 + 0.25 * 47.867) / 92.906
    assert mixed["density_g_per_cm3"] / pure["density_g_per_cm3"] == pytest.approx(ratio, rel=1e-4)
    vacancies = named((NBN[0], NBN[1], [41] * 4 + [{7: 0.5}] * 4))
    assert vacancies["volume_per_atom_A3"] == pytest.approx(named(NBN)["volume_per_atom_A3"] * 8 / 6, rel=1e-5)
    assert vacancies["space_group"] == 225


def test_sites_with_other_occupants_differ_in_symmetry() -> None:
    ordered = named((NB[0], NB[1], [{"Nb": 0.9, "Ti": 0.1}, {"Nb": 0.1, "Ti": 0.9}]))
    assert ordered["space_group"] == 221
    assert np.exp(ordered["ln_primitive_sites"]) == pytest.approx(2)


def test_parts_of_a_split_site_are_no_neighbours() -> None:
    split = (3.3 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.49], [0.5, 0.5, 0.51]], [41, {41: 0.5}, {41: 0.5}])
    assert named(split)["min_distance_A"] > 2.5


def test_crystal_without_neighbours_is_missing() -> None:
    far = (40 * np.eye(3), [[0, 0, 0]], [41])
    found = structural_features([NB, far, MGB2])
    assert np.isnan(found).all(1).tolist() == [False, True, False]
    assert not np.isnan(found).any(1)[[0, 2]].any()
    assert structural_features([]).shape == (0, len(STRUCTURAL_NAMES))


def test_unknown_occupant() -> None:
    with pytest.raises(ModelError, match="Qq"):
        structural_features([(NB[0], NB[1], [{"Qq": 1.0}, 41])])


# --- how the structure enters ---


def test_missing_structure_takes_the_mean_and_says_so() -> None:
    rng = np.random.default_rng(0)
    structural = rng.normal(3, 1, (50, 4))
    structural[10] = np.nan
    block = StructureBlock.fit(structural, None)
    known = np.delete(structural, 10, 0)
    np.testing.assert_allclose(block.mean, known.mean(0), rtol=1e-6)
    features = rng.normal(size=(50, 3))
    inputs = block.inputs(features, structural, None)
    assert inputs.shape == (50, 3 + 4 + 1)
    np.testing.assert_allclose(inputs[10, 3:7], known.mean(0), rtol=1e-6)
    np.testing.assert_allclose(inputs[9, 3:7], structural[9], rtol=1e-6)
    assert inputs[:, 7].sum() == 49
    assert inputs[10, 7] == 0
    np.testing.assert_array_equal(block.inputs(features, None, None)[:, 3:], np.tile([*block.mean, 0], (50, 1)))


def test_pooled_features_are_compressed() -> None:
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(200, 3))
    pooled = hidden @ rng.normal(size=(3, 40)) + 5
    pooled[7] = np.nan
    block = StructureBlock.fit(rng.normal(size=(200, 2)), pooled, n_components=3)
    inputs = block.inputs(np.zeros((200, 1)), None, pooled)
    assert inputs.shape == (200, 1 + 2 + 1 + 3 + 1)
    components = np.delete(inputs[:, 4:7], 7, 0)
    np.testing.assert_allclose(components.std(0), 1, atol=0.02)
    fit = np.linalg.lstsq(components, np.delete(hidden - hidden.mean(0), 7, 0), rcond=None)[1]
    assert fit.max() < 2  # all of the hidden law is in the three components
    assert inputs[7, 4:].tolist() == [0, 0, 0, 0]


def test_wrong_shapes_are_refused() -> None:
    block = StructureBlock.fit(np.ones((5, 4)), None)
    with pytest.raises(ModelError, match=r"shape \(2, 3\), the model needs \(2, 4\)"):
        block.inputs(np.zeros((2, 1)), np.zeros((2, 3)), None)
    with pytest.raises(ModelError, match="without pooled"):
        block.inputs(np.zeros((2, 1)), None, np.zeros((2, 3)))


# --- the model ---


def heads(target, width, *, seed=0, members=3):
    rng = np.random.default_rng(seed)

    def stack(*shape):
        return rng.normal(0, 0.2, shape).astype(np.float32)

    ones = np.ones(width, np.float32)
    return HeadEnsemble(
        targets=(target,), x_mean=0 * ones, x_scale=10 * ones, x_gain=ones, y_mean=np.array([2.0], np.float32),
        y_scale=np.array([1.0], np.float32), weights=(stack(members, width, 8), stack(members, 8, 8), stack(members, 8, 1)),
        biases=(stack(members, 1, 8), stack(members, 1, 8), stack(members, 1, 1)),
    ).rounded()  # fmt: skip


def made_up(*, structure=False, pooled=False, interval=(1.6, 0.3)):
    width, block = len(FEATURE_NAMES), None
    rng = np.random.default_rng(9)
    if structure:
        numbers = rng.normal(size=(30, 20)) if pooled else None
        block = StructureBlock.fit(structural_features([NB, NBN, MGB2]), numbers, n_components=4)
        width += len(STRUCTURAL_NAMES) + 1 + (5 if pooled else 0)
    tc, kind = heads(TC_TARGET, width, seed=1), heads(CLASS_TARGET, width, seed=2)
    return ExperimentalModel("made-up", "0" * 64, tc, trees(), kind, interval, block)


def trees():
    """Two trees: one leaf each on both sides of 0.1 of oxygen, and a single leaf."""
    oxygen = FEATURE_NAMES.index("fraction_O")
    return TreeEnsemble(
        np.array([0, oxygen], np.uint16), np.array([0, 3], np.int32), np.array([2, 0, 0, 0], np.uint16),
        np.array([1, 0, 0, 0], np.uint8), np.array([0.1, 1.5, 3.0, 2.5], np.float16),
    )  # fmt: skip


def test_every_column_for_every_row() -> None:
    found = made_up().predict(FORMULAS)
    assert set(found) == {"exp_superconductor_probability", "exp_tc_K", "exp_tc_lo_K", "exp_tc_hi_K", "exp_family"}
    assert all(column.shape == (len(FORMULAS),) for column in found.values())
    assert ((found["exp_superconductor_probability"] > 0) & (found["exp_superconductor_probability"] < 1)).all()
    assert found["exp_family"].tolist() == [
        "cuprate",
        "other",
        "iron-based",
        "other",
        "heavy-fermion candidate",
        "hydride",
    ]
    assert set(found["exp_family"]) <= set(EXPERIMENTAL_FAMILIES)


def test_tc_is_the_geometric_mean_and_its_interval() -> None:
    model = made_up()
    found, raw = model.predict(FORMULAS), model.predict_features(*_features())
    members = model.regression.predict(*_features())[TC_TARGET]
    grown = np.stack([np.where(element_fractions(FORMULAS)[:, 7] > 0.1, 3.0, 1.5), np.full(len(FORMULAS), 2.5)])
    np.testing.assert_allclose(np.log(found["exp_tc_K"]), (members.mean(0) + grown.mean(0)) / 2, rtol=1e-6)
    drawn = np.concatenate([np.repeat(members, 2, axis=0), np.repeat(grown, 3, axis=0)])  # both kinds weigh the same
    width = 1.6 * np.sqrt(drawn.std(0) ** 2 + 0.3**2)
    np.testing.assert_allclose(found["exp_tc_hi_K"], found["exp_tc_K"] * np.exp(width), rtol=1e-6)
    np.testing.assert_allclose(found["exp_tc_lo_K"], found["exp_tc_K"] * np.exp(-width), rtol=1e-6)
    np.testing.assert_allclose(raw["ln_tc_K_std"], drawn.std(0))


def _features():
    from onnes.models.composition import composition_features

    return (composition_features(FORMULAS),)


def test_compositions_only_refuses_a_structure() -> None:
    model = made_up()
    assert model.variant == "composition"
    with pytest.raises(ModelError, match="compositions only"):
        model.predict(["Nb"], structural_features([NB]))


def test_structure_matters_and_may_be_missing() -> None:
    model = made_up(structure=True)
    assert model.variant == "structure"
    structural = structural_features([NB, MGB2])
    with_both = model.predict(["Nb", "MgB2"], structural)["exp_tc_K"]
    without = model.predict(["Nb", "MgB2"])["exp_tc_K"]
    assert (with_both != without).all()
    structural[0] = np.nan
    mixed = model.predict(["Nb", "MgB2"], structural)["exp_tc_K"]
    np.testing.assert_allclose(mixed, [without[0], with_both[1]])


@pytest.mark.parametrize("kind", [{}, {"structure": True}, {"structure": True, "pooled": True}])
def test_saved_and_loaded(kind, tmp_path) -> None:
    model = made_up(**kind)
    model.save(tmp_path / "mine", {"licence": "MIT"}, "a card")
    loaded = load_experimental_model(str(tmp_path / "mine"))
    assert (loaded.variant, loaded.interval) == (model.variant, model.interval)
    structural = structural_features([NB] * 6) if kind else None
    pooled = np.random.default_rng(2).normal(size=(6, 20)) if "pooled" in kind else None
    read, made = (m.predict(FORMULAS, structural, pooled) for m in (loaded, model))
    for name in ("exp_tc_K", "exp_tc_hi_K", "exp_superconductor_probability"):
        np.testing.assert_allclose(read[name], made[name], rtol=0.02)
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert (config["kind"], config["variant"], config["licence"]) == ("experimental", model.variant, "MIT")
    assert (tmp_path / "mine" / "README.md").read_text() == "a card"


def test_weights_of_another_kind_are_refused(tmp_path) -> None:
    save_weights(tmp_path / "metal", {"x": np.zeros(1, np.float32)}, {"kind": "metal"}, "")
    with pytest.raises(ModelError, match="of kind 'metal'"):
        load_experimental_model(str(tmp_path / "metal"))


def test_weights_without_trees_are_refused(tmp_path) -> None:
    model = made_up()
    tensors = {f"tc.{name}": array for name, array in model.regression.tensors().items()}
    save_weights(tmp_path / "old", tensors, {"kind": "experimental", "interval": [1.6, 0.3]}, "")
    with pytest.raises(ModelError, match="older onnes"):
        load_experimental_model(str(tmp_path / "old"))


def test_changed_weights_are_refused(tmp_path) -> None:
    made_up().save(tmp_path / "mine", {}, "")
    path = tmp_path / "mine" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match="sha256"):
        load_experimental_model(str(tmp_path / "mine"))
