from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.errors import ConfigError
from onnes.models.experimental import load_experimental_model
from onnes.models.metal import load_metal_model
from onnes.models.superconductivity import Calibration, load_superconductivity_model
from onnes.training import experimental
from onnes.training import superconductivity as training
from onnes.training.benchmarks import unseen_systems as module
from onnes.training.benchmarks.rediscovery import formula_systems
from onnes.training.benchmarks.unseen_systems import (
    electron_phonon_systems,
    experimental_rows,
    experimental_systems,
    nearest_compositions,
    unseen_experimental,
    unseen_metal,
    unseen_structure,
)
from onnes.training.data import buckets
from onnes.training.experimental import trivial_baselines
from onnes.training.recipe import experimental_recipe
from onnes.training.trees import TreeSettings
from tests.training.made_up import QUICK, electron_phonon_data, metal_data, metal_recipe, recipe
from tests.training.test_experimental import made_up_data

FORMULAS = [
    f"{a}{x}{b}{y}"
    for a in ("Nb", "V", "Ta", "Mo", "Ti")
    for b in ("Al", "Ge", "Sn", "Pb")
    for x, y in ((3, 1), (2, 3), (5, 2))
]
N_MAIN = 100
LEFT_OUT = ["Al-Nb", "Ge-V", "Mo-Sn"]
SHORT = QUICK.model_copy(update={"members": 2, "epochs": 3, "hidden": 16})
STRUCTURE = recipe(heads=SHORT, cross_members=2)
MEASURED = experimental_recipe("experimental").model_copy(
    update={
        "heads": SHORT,
        "classifier": SHORT.model_copy(update={"loss": "binary"}),
        "trees": TreeSettings(members=2, max_features=0.5, min_samples_leaf=5, seed=0),
    }
)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Files whose content names the weights, and a cache of their own."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("ONNES_DATA", str(data))
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path / "cache"))
    rows = [{"reduced_formula": FORMULAS[i % len(FORMULAS)]} for i in range(160)]
    good = {"in_leaderboard_tc_benchmark": True, "label_physical": True}
    more = [row | good for row in rows[N_MAIN:]] + [{"reduced_formula": "Al", **good, "label_physical": False}]
    for name, table in (("epc_dft_alexandria", rows[:N_MAIN]), ("epc_dft_jarvis3d", more)):
        pq.write_table(pa.Table.from_pylist(table), data / f"{name}.parquet")
    for name in ("tc_exp_by_composition", "tc_exp_supercon_tables", "mp_structures"):
        (data / f"{name}.parquet").write_bytes(name.encode())
    return tmp_path


def computed(*, spoil=()):
    """Electron-phonon rows of `FORMULAS`; the labels of the systems in ``spoil`` are changed."""
    names = np.array([FORMULAS[i % len(FORMULAS)] for i in range(160)])
    data = electron_phonon_data(160)
    wrong = np.isin(formula_systems(names), list(spoil))
    return replace(
        data, buckets=buckets(names), groups=np.unique(names, return_inverse=True)[1],
        targets=data.targets + 3.0 * wrong[:, None], tc_K=data.tc_K + 30 * wrong, scored=np.arange(160) < N_MAIN,
    )  # fmt: skip


def sha_of(model):
    return (model.folder / "model.safetensors").read_bytes()


# --- computed superconductivity ---


@pytest.fixture
def structure(monkeypatch, folders):
    def train(data, systems=LEFT_OUT, *, fresh=True):
        if fresh:
            monkeypatch.setenv("ONNES_CACHE", str(folders / f"cache-{id(data)}"))
        monkeypatch.setattr(training, "load_data", lambda recipes, **_: data)
        return unseen_structure(systems, recipe=STRUCTURE)

    return train


def test_systems_of_the_rows() -> None:
    data = computed()
    assert (
        electron_phonon_systems(data).tolist()
        == formula_systems(FORMULAS[i % len(FORMULAS)] for i in range(160)).tolist()
    )


def test_rows_of_other_files_are_refused() -> None:
    with pytest.raises(ConfigError, match="are not those the features were made of"):
        electron_phonon_systems(replace(computed(), buckets=np.roll(computed().buckets, 1)))


def test_labels_of_left_out_systems_and_of_other_buckets_change_nothing(structure) -> None:
    plain = structure(computed())
    data = computed()
    others = sorted(set(formula_systems(np.array(FORMULAS)[buckets(FORMULAS) >= 80])) - set(LEFT_OUT))
    assert others
    held = replace(data, targets=np.where(data.buckets[:, None] >= 80, 9.0, data.targets),
                   tc_K=np.where(data.buckets >= 80, 99.0, data.tc_K))  # fmt: skip
    calibrations = []
    for other in (computed(spoil=LEFT_OUT), held):
        found = structure(other)
        assert sha_of(found) == sha_of(plain)
        calibrations.append(load_superconductivity_model(str(found.folder)).calibration)
    assert calibrations == [load_superconductivity_model(str(plain.folder)).calibration] * 2
    assert sha_of(structure(computed(spoil=["Al-Ta"]))) != sha_of(plain)


def test_what_was_trained_is_told_and_loads(structure) -> None:
    data = computed()
    found = structure(data)
    rows = data.training & ~np.isin(electron_phonon_systems(data), LEFT_OUT)
    assert (found.n_rows, found.n_left_out) == (rows.sum(), data.training.sum() - rows.sum())
    assert found.n_left_out > 10
    loaded = load_superconductivity_model(str(found.folder))
    direct = training.fit_superconductivity(data, rows, STRUCTURE)
    x = data.inputs(("sevennet-0",), electronic=False)
    np.testing.assert_allclose(loaded.predict(x)["tc_K"], direct.predict(x)["tc_K"], rtol=0.05, atol=0.05)  # 8 bits
    assert loaded.calibration != Calibration()


def test_nothing_is_trained_twice(structure, monkeypatch) -> None:
    data = computed()
    fit = training.fit_superconductivity
    stopped = []

    def interrupted(some, rows, chosen, **how):
        if chosen.heads.members == STRUCTURE.heads.members and len(stopped) == 5:
            raise KeyboardInterrupt
        stopped.append(1)
        return fit(some, rows, chosen, **how)

    monkeypatch.setattr(training, "fit_superconductivity", interrupted)
    with pytest.raises(KeyboardInterrupt):
        structure(data)
    calls = []
    monkeypatch.setattr(training, "fit_superconductivity", lambda *a, **k: calls.append(1) or fit(*a, **k))
    first = structure(data, fresh=False)
    assert len(calls) == 1  # the folds were kept
    assert structure(data, fresh=False) == first
    assert len(calls) == 1
    structure(data, LEFT_OUT[:2], fresh=False)
    assert len(calls) == 7
    assert not list(first.folder.parent.glob("*.tmp"))


# --- metals ---


def test_the_metal_model_sees_training_buckets_only(monkeypatch) -> None:
    data = metal_data(200)
    monkeypatch.setattr(module.metals, "load_metal_data", lambda potentials, **_: data)
    chosen = metal_recipe(epochs=2, hidden=8)
    found = unseen_metal(recipe=chosen)
    assert found.n_rows == data.training.sum() < 200
    loaded = load_metal_model(str(found.folder))
    direct = module.metals.fit_metal(data, data.training, chosen)
    np.testing.assert_allclose(loaded.predict(data.features), direct.predict(data.features), atol=0.02)


# --- measured superconductivity ---


@pytest.fixture(scope="module")
def measured():
    return made_up_data(500)


@pytest.fixture(scope="module")
def some_systems(measured):
    return sorted(set(experimental_systems(measured)))[::7]


def test_systems_from_the_features(measured) -> None:
    found = experimental_systems(measured)
    assert len(np.unique(found)) == len(np.unique(measured.systems))
    assert all(len(set(found[measured.systems == s])) == 1 for s in np.unique(measured.systems))
    assert all(len(system.split("-")) == 3 for system in found)


def test_rows_with_a_label_inside_and_outside(measured, some_systems) -> None:
    unlabelled = replace(measured, label=np.where(np.arange(len(measured.label)) < 20, np.nan, measured.label))
    rows, left_out = experimental_rows(unlabelled, some_systems)
    assert not (rows & left_out).any()
    assert not (rows | left_out)[:20].any()
    assert not (rows | left_out)[measured.has_structure].any()
    assert measured.buckets[rows | left_out].max() < 80
    assert set(experimental_systems(measured)[left_out]) <= set(some_systems)
    assert not set(experimental_systems(measured)[rows]) & set(some_systems)
    assert left_out.sum() > 10


def test_measurements_of_left_out_systems_change_nothing(measured, some_systems, folders, monkeypatch) -> None:
    found = []
    rows, left_out = experimental_rows(measured, some_systems)
    for i, wrong in enumerate((np.zeros(len(rows), bool), left_out | (measured.buckets >= 80), rows)):
        monkeypatch.setenv("ONNES_CACHE", str(folders / f"cache-{i}"))
        labels = replace(
            measured, ln_tc_K=measured.ln_tc_K + 2.0 * wrong, label=np.where(wrong, 1 - measured.label, measured.label)
        )
        found.append(unseen_experimental(labels, some_systems, recipe=MEASURED))
    assert sha_of(found[0]) == sha_of(found[1]) != sha_of(found[2])
    assert (found[0].n_rows, found[0].n_left_out) == (rows.sum(), left_out.sum())
    assert load_experimental_model(str(found[0].folder)).variant == "composition"


def test_other_data_make_other_weights(measured, some_systems, folders, monkeypatch) -> None:
    first = unseen_experimental(measured, some_systems, recipe=MEASURED)
    calls = []
    fit = experimental.fit_experimental
    monkeypatch.setattr(experimental, "fit_experimental", lambda *a, **k: calls.append(1) or fit(*a, **k))
    assert unseen_experimental(measured, some_systems[::-1], recipe=MEASURED) == first
    assert not calls
    (folders / "data" / "mp_structures.parquet").write_bytes(b"another edition")
    assert unseen_experimental(measured, some_systems, recipe=MEASURED).folder != first.folder
    assert len(calls) == 1


def test_nearest_compositions_are_those_of_the_baseline(measured) -> None:
    from onnes.models.composition import element_fractions

    formulas = ["Nb3Al", "V2Ge", "Ta5Sn3"]
    rows, _ = experimental_rows(measured, [])
    ln_tc, share = nearest_compositions(measured, rows, formulas)
    # by hand: five nearest by the fractions, weighted by the inverse distance
    first = experimental.FEATURE_NAMES.index("fraction_H")
    known, asked = measured.features[:, first : first + 94], element_fractions(formulas)[:, :94]
    for target, used, found in (
        (measured.ln_tc_K, rows & np.isfinite(measured.ln_tc_K), ln_tc),
        (measured.label, rows, share),
    ):
        for point, value in zip(asked, found, strict=True):
            distance = np.linalg.norm(known[used] - point, axis=1)
            near = np.argsort(distance)[:5]
            assert value == pytest.approx(np.average(target[used][near], weights=1 / distance[near]), rel=1e-4)
    assert f"{experimental.NEIGHBOURS} nearest compositions" in trivial_baselines(measured, rows, rows)
