from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from onnes.errors import ConfigError
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.training.benchmarks import jarvis
from onnes.training.benchmarks.jarvis import benchmark_jarvis, leaderboard_rows
from onnes.training.data import buckets, data_folder
from onnes.training.electron_phonon import ElectronPhononData
from onnes.training.recipe import read_recipe
from onnes.training.trainer import TrainSettings

N_ALEXANDRIA, N_TRAIN, N_VAL, N_TEST = 120, 60, 6, 10
N = N_ALEXANDRIA + N_TRAIN + N_VAL + N_TEST
TEST = np.arange(N) >= N - N_TEST
QUICK = TrainSettings(members=2, hidden=32, epochs=25, batch_size=32, learning_rate=1e-2, dropout=0.0, noise=0.0)


def tc(lambda_, omega_log_K):
    return allen_dynes_tc_K(lambda_, omega_log_K, mu_star=0.085, strong_coupling=False)


@pytest.fixture
def names():
    """Formulas; the first test formula is also in Alexandria, the second in the official training rows."""
    names = [f"A{i + 1}B" for i in range(N)]
    test = np.flatnonzero(TEST)
    hit = int(np.flatnonzero(np.isin(buckets(names[:N_ALEXANDRIA]), range(80)))[0])
    names[test[0]] = names[hit]
    names[N_ALEXANDRIA + 3] = names[test[1]]
    return names


@pytest.fixture
def data(names):
    """Lambda and omega_log are plain functions of two features; JARVIS has no other label."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 30)).astype(np.float32)
    ln_lambda, ln_log = np.log(0.6) + 0.4 * x[:, 0], np.log(200) + 0.2 * x[:, 1]
    targets = np.stack([ln_lambda, ln_log, np.full(N, 0.1), 0.1 * x[:, 2], 5 + 0.1 * x[:, 3]], axis=1)
    targets[N_ALEXANDRIA:, 2:] = np.nan
    return ElectronPhononData(
        {"sevennet-0": x}, np.full((N, 3), np.nan, np.float32), targets, allen_dynes_tc_K(np.exp(ln_lambda), np.exp(ln_log)),
        buckets(names), np.unique(names, return_inverse=True)[1], np.arange(N) < N_ALEXANDRIA, frozenset({13}),
    )  # fmt: skip


@pytest.fixture
def file(data):
    """The JARVIS file: two rows more than what is loaded, one unphysical and one outside the task."""
    rows = ~data.scored
    lambda_ = [*data.lambda_[rows], -1.0, 0.5]
    split = ["train"] * N_TRAIN + ["val"] * N_VAL + ["test"] * N_TEST
    return pa.table(
        {
            "lambda_": lambda_,
            "tc_K": [*tc(data.lambda_[rows], data.omega_log_K[rows]), 0.0, 1.0],
            "leaderboard_tc_split": [*split, "train", None],
            "in_leaderboard_tc_benchmark": [True] * (len(split) + 1) + [False],
            "label_physical": [True] * len(split) + [False, True],
        }
    )


@pytest.fixture
def loaded(monkeypatch, data, file):
    monkeypatch.setattr(jarvis, "load_electron_phonon", lambda *_, **__: data)
    monkeypatch.setattr(jarvis, "read_data", lambda name: {"epc_dft_jarvis3d": file}[name])
    return data


@pytest.fixture
def recipe():
    return read_recipe("fast").model_copy(update={"heads": QUICK})


@pytest.fixture
def fitted(monkeypatch):
    """Models that predict the labels with lambda a tenth too large; remembers rows and seeds."""
    calls = []

    def fit(_, rows, recipe):
        calls.append((rows, recipe.heads.seed))
        return SimpleNamespace(seed=recipe.heads.seed)

    def predict(model, data, rows):
        return {"lambda_": (1.1 + model.seed / 10) * data.lambda_[rows], "omega_log_K": data.omega_log_K[rows]}

    monkeypatch.setattr(jarvis, "fit_superconductivity", fit)
    monkeypatch.setattr(jarvis, "predict_rows", predict)
    return calls


def test_rows_of_the_task(loaded) -> None:
    task = leaderboard_rows(loaded)
    np.testing.assert_array_equal(task.test, TEST)
    assert task.official.sum() == N_TRAIN + N_VAL
    assert task.training.sum() == N_TRAIN + N_VAL - 1  # one has the formula of a test row
    assert not task.training[N_ALEXANDRIA + 3]
    assert task.same_formula.sum() == 2
    assert task.unphysical == 1
    assert np.isnan(task.tc_K[:N_ALEXANDRIA]).all()
    np.testing.assert_allclose(task.tc_K[TEST], tc(loaded.lambda_[TEST], loaded.omega_log_K[TEST]))


def test_no_test_formula_is_trained_on(loaded, fitted, recipe) -> None:
    benchmark_jarvis(recipe)
    (few, _), (many, _) = fitted
    for rows in (few, many):
        assert not set(loaded.groups[rows].tolist()) & set(loaded.groups[TEST].tolist())
        assert rows[N_ALEXANDRIA:].sum() == N_TRAIN + N_VAL - 1
    assert not few[:N_ALEXANDRIA].any()
    assert set(loaded.buckets[:N_ALEXANDRIA][many[:N_ALEXANDRIA]].tolist()) <= set(range(80))
    assert many[:N_ALEXANDRIA].sum() == (loaded.buckets[:N_ALEXANDRIA] < 80).sum() - 1


def test_errors_by_hand(loaded, fitted, recipe) -> None:
    result = benchmark_jarvis(recipe)
    task = leaderboard_rows(loaded)
    lam, log_K, truth = loaded.lambda_[TEST], loaded.omega_log_K[TEST], task.tc_K[TEST]
    wanted = np.abs(tc(1.1 * lam, log_K) - truth)
    found = result.values
    assert found["n_test"] == N_TEST
    assert found["fast, JARVIS: tc_mae_K"] == pytest.approx(wanted.mean())
    assert found["fast, JARVIS: lambda_mae"] == pytest.approx(0.1 * lam.mean())
    assert found["fast, JARVIS: omega_log_mae_K"] == pytest.approx(0)
    assert found["fast, JARVIS: tc_mae_low_K"] < wanted.mean() < found["fast, JARVIS: tc_mae_high_K"]
    # the interval of a mean of ten numbers is about two standard errors wide on each side
    width = found["fast, JARVIS: tc_mae_high_K"] - found["fast, JARVIS: tc_mae_low_K"]
    assert width == pytest.approx(2 * 1.96 * wanted.std() / np.sqrt(N_TEST), rel=0.2)
    median = np.median(task.tc_K[task.training])
    assert found["constant: tc_mae_K"] == pytest.approx(np.abs(truth - median).mean())


def test_table_and_conditions(loaded, fitted, recipe) -> None:
    result = benchmark_jarvis(recipe)
    by_name = {row[0]: row for row in result.rows}
    assert by_name["ALIGNN, published"][1:] == ("official", "30", "2.03", "")
    assert by_name["fast, JARVIS"][1:3] == (str(N_TRAIN + N_VAL - 1), str(N_TEST))
    assert float(by_name["fast, JARVIS"][3]) == pytest.approx(result.values["fast, JARVIS: tc_mae_K"], abs=0.005)
    assert any(name.startswith("median of the training rows") for name in by_name)
    assert all(len(row) == len(result.columns) for row in result.rows)
    text = result.markdown()
    assert f"all 30 test rows, ours those of the {N_TEST} in the data: they do not rank" in text
    assert "1 with the formula of a test row and 1 with an unphysical label are left out" in text
    assert "Alexandria: buckets 0-79; 1 rows with the formula of a test row are left out" in text


def test_seeds_give_mean_and_spread(loaded, fitted, recipe) -> None:
    result = benchmark_jarvis(recipe, seeds=2)
    assert [seed for _, seed in fitted] == [0, 1, 0, 1]
    task = leaderboard_rows(loaded)
    lam, log_K = loaded.lambda_[TEST], loaded.omega_log_K[TEST]
    each = [np.abs(tc(factor * lam, log_K) - task.tc_K[TEST]).mean() for factor in (1.1, 1.2)]
    row = next(row for row in result.rows if row[0] == "fast, JARVIS")
    assert row[3] == f"{np.mean(each):.2f} ± {np.std(each, ddof=1):.2f}"
    assert result.values["fast, JARVIS: tc_mae_K"] == pytest.approx(np.mean(each))
    assert result.values["fast, JARVIS: lambda_mae"] == pytest.approx(0.15 * lam.mean())


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_heads_learn_without_labels_of_the_other_targets(loaded, recipe) -> None:
    """Real training: JARVIS alone has only lambda and omega_log."""
    found = benchmark_jarvis(recipe).values
    assert found["fast, JARVIS: tc_mae_K"] < 0.7 * found["constant: tc_mae_K"]
    assert found["fast, JARVIS and Alexandria: lambda_mae"] < 0.15
    assert all(np.isfinite(list(found.values())))


def test_electronic_recipe_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"recipe electronic reads N\(E_F\)"):
        benchmark_jarvis(read_recipe("electronic"))


def test_lost_crystal_is_noticed(loaded, file, monkeypatch) -> None:
    monkeypatch.setattr(jarvis, "read_data", lambda _: pa.concat_tables([file, file.slice(0, 1)]))
    with pytest.raises(ConfigError, match=f"{N - N_ALEXANDRIA} JARVIS crystals are loaded"):
        leaderboard_rows(loaded)
    shuffled = file.take([1, 0, *range(2, file.num_rows)])
    monkeypatch.setattr(jarvis, "read_data", lambda _: shuffled)
    with pytest.raises(ConfigError, match="the leaderboard's split cannot be assigned"):
        leaderboard_rows(loaded)


def test_without_test_rows(loaded, file, monkeypatch) -> None:
    column = pa.array(["train"] * file.num_rows)
    index = file.schema.get_field_index("leaderboard_tc_split")
    monkeypatch.setattr(jarvis, "read_data", lambda _: file.set_column(index, "leaderboard_tc_split", column))
    with pytest.raises(ConfigError, match="no row with leaderboard_tc_split 'test'"):
        leaderboard_rows(loaded)


def test_labels_of_the_file_follow_the_formula() -> None:
    """What the benchmark assumes of the real labels."""
    try:
        data_folder()
    except ConfigError:
        pytest.skip("no training data; set ONNES_DATA")
    table = jarvis.read_data("epc_dft_jarvis3d").to_pylist()
    rows = [row for row in table if row["in_leaderboard_tc_benchmark"] and row["leaderboard_tc_split"] == "test"]
    assert len(rows) == 26
    found = tc([row["lambda_"] for row in rows], [row["omega_log_K"] for row in rows])
    np.testing.assert_allclose(found, [row["tc_K"] for row in rows], atol=1e-9)
