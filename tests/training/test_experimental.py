from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from onnes.errors import ConfigError
from onnes.models.composition import composition_features, experimental_families
from onnes.models.experimental import STRUCTURAL_NAMES
from onnes.training import experimental, experimental_data
from onnes.training.benchmarks.experimental import benchmark_experimental
from onnes.training.data import bucket, buckets, data_folder
from onnes.training.experimental import (
    calibrate_experimental,
    class_weights,
    coverage,
    fit_experimental,
    predict_rows,
    score_experimental,
    tree_baseline,
    trivial_baselines,
    used_rows,
)
from onnes.training.experimental_data import (
    ExperimentalData,
    composition_key,
    composition_split,
    load_experimental_data,
    system_split,
)
from onnes.training.trainer import TrainSettings

QUICK = TrainSettings(members=2, hidden=32, epochs=16, batch_size=64, learning_rate=5e-3, dropout=0.0, noise=0.0)
QUICK_CLASSES = QUICK.model_copy(update={"loss": "binary", "epochs": 8})
METALS, PARTNERS = (
    ("Nb", "V", "Ta", "Mo", "Ti", "Zr", "Hf", "W", "Re", "Ru"),
    ("Al", "Si", "Ga", "Ge", "Sn", "In", "Cu", "Ni"),
)


def made_up_data(n=900, *, noise=0.05, crystals=True, seed=0):
    """Alloys whose ln Tc follows their composition and, where there is a crystal, its volume; some superconduct."""
    rng = np.random.default_rng(seed)
    formulas = []
    for _ in range(n):
        a, b = rng.choice(METALS, 2, replace=False)
        x, y = rng.integers(1, 6, 2)
        formulas.append(f"{a}{x}{b}{y}{rng.choice(PARTNERS)}{rng.integers(1, 4)}")
    formulas = list({composition_key(formula): formula for formula in formulas}.values())
    n = len(formulas)
    features = composition_features(formulas)
    law = (features[:, 15] - features[:, 15].mean()) / features[:, 15].std()
    positive = law + 0.3 * rng.normal(size=n) > -0.2
    structural = rng.normal(size=(n, len(STRUCTURAL_NAMES))).astype(np.float32)
    ln_tc = np.where(
        positive, 1.5 + law + (0.8 * structural[:, 0] if crystals else 0) + noise * rng.normal(size=n), np.nan
    )
    systems = ["-".join(sorted(p.split(":")[0] for p in composition_key(f).split("|"))) for f in formulas]
    copies = 2 if crystals else 1
    plain = np.full_like(structural, np.nan)
    kind = np.where(positive, "superconductor", "background")

    def twice(column):
        return np.concatenate([column] * copies)

    return ExperimentalData(
        twice(features), np.concatenate([plain, structural][:copies]), twice(ln_tc), twice(positive.astype(float)),
        twice(kind), twice(np.array(experimental_families(formulas))), twice(~positive), twice(np.ones(n, bool)),
        np.ones(copies * n), twice(buckets(formulas)), twice(np.array([bucket(s) for s in systems])),
        twice(np.arange(n)), twice(np.unique(systems, return_inverse=True)[1]),
        np.repeat(["", "made up"], n)[: copies * n], twice(np.arange(n)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return made_up_data()


@pytest.fixture(scope="module")
def model(data):
    return fit_experimental(data, composition_split(data).train, QUICK, classifier_settings=QUICK_CLASSES)


# --- splits and weights ---


def test_composition_split_follows_the_buckets(data) -> None:
    split = composition_split(data)
    assert set(data.buckets[split.train]) == set(range(80))
    assert set(data.buckets[split.score]) <= set(range(80, 90))
    assert not set(data.groups[split.train]) & set(data.groups[split.score])


def test_system_split_shares_no_chemical_system(data) -> None:
    split = system_split(data)
    assert not set(data.systems[split.train]) & set(data.systems[split.score])
    assert data.buckets[split.train].max() < 80  # validation compositions are not trained on here either
    assert data.buckets[split.score].max() < 90  # and reserved ones are not scored
    assert data.buckets[split.score].min() < 80
    assert 0.5 < split.train.mean() < 0.75
    assert split.score.mean() > 0.1


def test_classes_weigh_the_same_with_and_without_structure(data) -> None:
    rows = np.arange(len(data.label)) % 7 > 0
    weight = class_weights(data, rows)
    assert weight[~rows].tolist() == [0] * int((~rows).sum())
    for crystal in (False, True):
        positive, negative = (weight[(data.label == k) & (data.has_structure == crystal)].sum() for k in (1, 0))
        assert positive == pytest.approx(negative)
    assert weight[rows].mean() == pytest.approx(1)


def test_unlabelled_rows_weigh_nothing(data) -> None:
    some = replace(data, label=np.where(np.arange(len(data.label)) < 50, np.nan, data.label))
    assert class_weights(some, np.ones(len(data.label), bool))[:50].max() == 0


def test_composition_variant_sees_each_composition_once(data) -> None:
    rows = np.ones(len(data.label), bool)
    assert used_rows(data, rows, "composition").sum() == len(data.label) / 2
    assert used_rows(data, rows, "structure").sum() == len(data.label)


# --- training and scores ---


def test_learns_and_beats_the_trivial(data, model) -> None:
    split = composition_split(data)
    rows = split.score & ~data.has_structure
    found = predict_rows(model, data, rows)
    ours = score_experimental(found["ln_tc_K"], found["probability"], data, rows)
    trivial = [
        score_experimental(*pair, data, rows)
        for pair in trivial_baselines(data, split.train & ~data.has_structure, rows).values()
    ]
    assert ours.ln_tc_mae < trivial[0].ln_tc_mae
    assert trivial[0].auc == 0.5
    assert ours.auc > max(t.auc for t in trivial)
    assert ours.auc > 0.9
    assert model.variant == "composition"


def test_structure_helps_where_it_matters_and_is_not_needed(data, model) -> None:
    """Half of ln Tc is in the volume: only the variant that sees it can know."""
    split = composition_split(data)
    fuller = fit_experimental(data, split.train, QUICK, classifier_settings=QUICK_CLASSES, variant="structure")
    crystals, plain = split.score & data.has_structure, split.score & ~data.has_structure
    errors = {}
    for name, one, rows in (("with", fuller, crystals), ("without", fuller, plain), ("composition", model, crystals)):
        found = predict_rows(one, data, rows)
        errors[name] = score_experimental(found["ln_tc_K"], found["probability"], data, rows).ln_tc_mae
    assert errors["with"] < 0.8 * errors["composition"]
    assert errors["without"] < 1.5 * errors["composition"]


def test_pooled_features_are_used_where_given(data) -> None:
    rng = np.random.default_rng(0)
    hint = np.nan_to_num(data.structural[:, :1]) * rng.normal(size=(1, 12)) + 0.01 * rng.normal(
        size=(len(data.label), 12)
    )
    blind = replace(
        data,
        pooled=np.where(data.has_structure[:, None], hint, np.nan).astype(np.float32),
        structural=np.where(data.has_structure[:, None], 0, np.nan).astype(np.float32),
    )
    split = composition_split(blind)
    rows = split.score & blind.has_structure
    seeing = fit_experimental(
        blind, split.train, QUICK, classifier_settings=QUICK_CLASSES, variant="structure", components=4
    )
    found = predict_rows(seeing, blind, rows)
    plain = trivial_baselines(blind, split.train & ~blind.has_structure, rows)
    ours = score_experimental(found["ln_tc_K"], found["probability"], blind, rows).ln_tc_mae
    assert ours < 0.8 * min(score_experimental(*pair, blind, rows).ln_tc_mae for pair in plain.values())


def test_unlabelled_rows_are_not_trained_on(data, model) -> None:
    """Wrong numbers on rows without a label change nothing."""
    rows = composition_split(data).train
    hidden = rows & (np.arange(len(rows)) % 5 == 0)
    unlabelled = replace(
        data, label=np.where(hidden, np.nan, data.label), ln_tc_K=np.where(hidden, np.nan, data.ln_tc_K)
    )
    one = fit_experimental(unlabelled, rows, QUICK, classifier_settings=QUICK_CLASSES)
    other = fit_experimental(data, rows & ~hidden, QUICK, classifier_settings=QUICK_CLASSES)
    np.testing.assert_array_equal(one.regression.weights[1], other.regression.weights[1])
    np.testing.assert_array_equal(one.classifier.weights[1], other.classifier.weights[1])


def test_weights_of_crystals_reach_the_training() -> None:
    """Of two contradicting labels the heavier one wins."""
    data = made_up_data(300, noise=0, crystals=False)
    hot = np.isfinite(data.ln_tc_K)
    both = ExperimentalData(*(
        np.concatenate([getattr(data, name)] * 2) for name in ExperimentalData.__dataclass_fields__
        if name not in ("pooled", "label_noise")
    ))  # fmt: skip
    n = len(hot)
    both = replace(
        both,
        ln_tc_K=np.concatenate([data.ln_tc_K, data.ln_tc_K + 4]),
        weight=np.concatenate([np.full(n, 1.0), np.full(n, 0.01)]),
    )
    rows = np.ones(2 * n, bool)
    model = fit_experimental(both, rows, QUICK, classifier_settings=QUICK_CLASSES)
    found = predict_rows(model, data, hot)["ln_tc_K"]
    assert np.abs(found - data.ln_tc_K[hot]).mean() < 0.5


def test_calibrated_interval_covers_ninety_percent() -> None:
    data = made_up_data(2700, noise=0.3, crystals=False, seed=4)
    parts = np.arange(len(data.label)) % 3
    model = fit_experimental(data, parts == 0, QUICK, classifier_settings=QUICK_CLASSES)
    interval = calibrate_experimental(model, data, parts == 1)
    calibrated = replace(model, interval=interval)
    assert 0.86 < coverage(calibrated, data, parts == 2) < 0.94
    assert coverage(replace(model, interval=(1.645, 0.0)), data, parts == 2) < 0.8


def test_score_by_hand() -> None:
    kind = [
        "superconductor",
        "superconductor",
        "superconductor",
        "background",
        "background",
        "measured zero",
        "unreported",
    ]
    n = len(kind)
    made = made_up_data(20, crystals=False)
    data = replace(
        made, kind=np.array(kind), groups=np.array([0, 0, 1, 2, 3, 4, 5]), weight=np.array([0.25, 0.75, 1, 1, 1, 1, 1]),
        ln_tc_K=np.array([1.0, 1.0, 3.0, *[np.nan] * 4]), family=np.array(["cuprate", "cuprate", *["other"] * 5]),
        is_metal=np.array([False] * 3 + [True, False, False, False]),
        stoichiometric=np.array([False, False] + [True] * 5),
    )  # fmt: skip
    s = score_experimental(
        np.array([1.0, 3.0, 2.0, *[9.0] * 4]), np.array([0.2, 0.6, 0.9, 0.95, 0.1, 0.45, 1.0]), data, np.ones(n, bool)
    )
    assert s.family_ln_tc_mae == {
        "cuprate": pytest.approx(1.5),
        "other": pytest.approx(1.0),
    }  # 0.25 * 1 + 0.75 * 3 = 2.5
    assert s.family_n == {"cuprate": 1, "other": 1}
    assert s.ln_tc_mae == pytest.approx(1.25)
    assert s.log10_tc_mae == pytest.approx(1.25 / np.log(10))
    assert (s.n_tc, s.n, s.n_metals, s.n_measured) == (2, 4, 2, 1)
    assert s.auc == pytest.approx(0.5)  # 0.5 and 0.9 against 0.95 and 0.1
    assert s.average_precision == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (s.prevalence, s.prevalence_metals) == (0.5, 0.5)
    assert s.auc_metals == 0  # 0.9 against 0.95
    assert s.auc_measured == 1  # 0.5 and 0.9 against 0.45


def test_score_without_a_class_is_missing(data) -> None:
    rows = data.label == 1
    n = int(rows.sum())
    s = score_experimental(np.zeros(n), np.zeros(n), data, rows)
    assert np.isnan([s.auc, s.average_precision, s.auc_metals, s.auc_measured]).all()
    assert s.ln_tc_mae > 0


# --- baselines ---


def test_trivial_baselines_by_hand(data) -> None:
    split = composition_split(data)
    train, rows = split.train & ~data.has_structure, split.score & ~data.has_structure
    found = trivial_baselines(data, train, rows)
    hot = train & np.isfinite(data.ln_tc_K)
    median, family, nearest = found.values()
    assert set(median[0]) == {np.median(data.ln_tc_K[hot])}
    assert set(median[1]) == {data.label[train].mean()}
    assert all(len(part) == rows.sum() for pair in found.values() for part in pair)
    assert len(set(family[0])) == len(set(data.family[hot]))
    itself = trivial_baselines(data, train, hot)["5 nearest compositions"][0]
    np.testing.assert_allclose(itself, data.ln_tc_K[hot], atol=1e-6)  # the nearest is the composition itself
    assert np.abs(nearest[0] - median[0]).max() > 0.1


def test_trees_learn_and_are_deterministic(data) -> None:
    split = composition_split(data)
    rows = split.score & data.has_structure
    plain, again = (tree_baseline(data, split.train, rows, iterations=10) for _ in range(2))
    fuller = tree_baseline(data, split.train, rows, variant="structure", iterations=10)
    np.testing.assert_array_equal(plain[0], again[0])
    scores = [score_experimental(*pair, data, rows) for pair in (plain, fuller)]
    assert scores[1].ln_tc_mae < 0.95 * scores[0].ln_tc_mae
    assert scores[0].auc > 0.85
    assert all(((p >= 0) & (p <= 1)).all() for _, p in (plain, fuller))


# --- reading ---

CUBIC = [4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0]


def _key(*shares):
    return "|".join(f"{element}:{share:.4f}" for element, share in shares)


@pytest.fixture
def files(monkeypatch):
    nb, pb, nbti = _key(("Nb", 1)), _key(("Pb", 1)), _key(("Nb", 0.3), ("Ti", 0.7))
    zero, dull, huge = _key(("Fe", 1)), _key(("Cu", 1)), _key(("Ta", 1))
    tables = {
        "tc_exp_by_composition": pa.table({
            "comp_key": [nb, pb, nbti, zero, dull, huge],
            "reduced_formula": ["Nb", "Pb", "Nb0.3000Ti0.7000", "Fe", "Cu", "Ta"],
            "label_superconductor": [True, True, True, False, False, True],
            "tc_median_K": [9.2, 7.2, 6.0, 0.0, 0.0, 4.4],
        }),
        "tc_exp_supercon_tables": pa.table({
            "comp_key": [nb, nb, nb, pb, pb, zero, dull],
            "tc_K": [9.0, 9.2, 10.0, 7.2, 7.2, 0.0, 0.0],
            "source": ["superband"] * 6 + ["supercon_stanev2018"], "tc_suspicious": [False] * 7,
        }),
        "tc_exp_3dsc_mp": pa.table({
            "comp_key": [nb, nb, nbti, pb, zero, huge],
            "reduced_formula": ["Nb", "Nb", "Nb0.3000Ti0.7000", "Pb", "Fe", "Ta"],
            "lattice": [*[CUBIC] * 5, [float(x) for x in 2 * np.array(CUBIC)]], "frac_coords": [[0.0, 0, 0]] * 6,
            "site_atomic_numbers": [[[41]], [[41]], [[41, 22]], [[82]], [[26]], [[73]]],
            "site_occupancies": [[[1.0]], [[1.0]], [[0.3, 0.7]], [[1.0]], [[1.0]], [[1.0]]],
            "tc_K": [9.3, 9.3, 6.1, 0.0, 0.0, 4.4], "sample_weight": [0.5, 0.5, 1.0, 1.0, 1.0, 1.0],
        }),
        "mp_structures": pa.table({
            "reduced_formula": ["Nb", "NaCl", "NiAl", "NiAl", "NiAl", "Cu", "KBr"],
            "lattice": [CUBIC] * 7, "frac_coords": [[0.0, 0, 0]] + [[0.0, 0, 0, 0.5, 0.5, 0.5]] * 4 + [[0.0, 0, 0], [0.0, 0, 0, 0.5, 0.5, 0.5]],
            "atomic_numbers": [[41], [11, 17], [28, 13], [28, 13], [28, 13], [29], [19, 35]],
            "band_gap_eV": [0.0, 5.0, 0.0, 0.3, None, 0.0, 4.0],
            "duplicate_id": [False, False, False, False, True, False, False],
            "md5_bucket": [1, 2, 3, 3, 3, 4, 95],
        }),
    }  # fmt: skip
    monkeypatch.setattr(experimental_data, "read_data", tables.__getitem__)


def test_kinds_of_rows(files) -> None:
    data = load_experimental_data()
    assert data.kind.tolist() == [
        "superconductor", "superconductor", "superconductor", "measured zero", "unreported", "superconductor",
        "background", "background",
    ]  # fmt: skip
    np.testing.assert_array_equal(data.label, [1, 1, 1, np.nan, np.nan, 1, 0, 0])
    np.testing.assert_allclose(np.exp(data.ln_tc_K), [9.2, 7.2, 6.0, np.nan, np.nan, 4.4, np.nan, np.nan])
    # Neither the listed Nb and Cu nor the reserved KBr are background; NaCl is no metal, NiAl is in one of its entries.
    np.testing.assert_array_equal(data.features[6:], composition_features(["NaCl", "NiAl"]))
    assert data.is_metal.tolist() == [False] * 7 + [True]
    assert data.stoichiometric.tolist() == [True, True, False, True, True, True, True, True]
    assert data.system_buckets.tolist() == [
        bucket(s) for s in ("Nb", "Pb", "Nb-Ti", "Fe", "Cu", "Ta", "Cl-Na", "Al-Ni")
    ]
    assert data.buckets[2] == bucket("Nb0.3000Ti0.7000")
    assert not data.has_structure.any()
    deviations = np.abs(np.log([9.0, 9.2, 10.0]) - np.log(9.2))  # the two equal reports of lead say nothing
    assert data.label_noise == pytest.approx(deviations.mean())


def test_crystals_follow_the_compositions(files) -> None:
    described = []
    data = load_experimental_data(structures=True, on_rows=described.append)
    assert data.has_structure.tolist() == [False] * 8 + [True] * 6
    assert sum(described) == 6
    # lead with Tc zero in its file, iron and the 512 cubic angstrom an atom of tantalum are left out
    assert list(zip(data.file[8:].tolist(), data.file_row[8:].tolist(), strict=True)) == [
        ("tc_exp_3dsc_mp", 0), ("tc_exp_3dsc_mp", 1), ("tc_exp_3dsc_mp", 2), ("mp_structures", 1), ("mp_structures", 2),
        ("mp_structures", 3),
    ]  # fmt: skip
    np.testing.assert_allclose(np.exp(data.ln_tc_K[8:11]), [9.2, 9.2, 6.0])  # one label a composition: the median
    assert data.weight[8:].tolist() == [0.5, 0.5, 1, 1, 0.5, 0.5]
    assert data.groups[8:].tolist() == [data.groups[i] for i in (0, 0, 2, 6, 7, 7)]
    assert data.is_metal[8:].tolist() == [False] * 4 + [True] * 2
    volume = data.structural[8:, STRUCTURAL_NAMES.index("volume_per_atom_A3")]
    np.testing.assert_allclose(volume, [64, 64, 64, 32, 32, 32])


def test_composition_key() -> None:
    assert composition_key("Ti2Nb") == "Nb:0.3333|Ti:0.6667"
    assert composition_key("NbTi2") == composition_key("Nb0.5Ti")


# --- benchmark ---


def test_benchmark_table(data, monkeypatch) -> None:
    asked = []

    def trees(data, train, rows, *, variant="composition", iterations):
        """Wrong by 0.4 everywhere, and right about every class."""
        asked.append((variant, iterations))
        return np.nan_to_num(data.ln_tc_K[rows]) + 0.4, np.nan_to_num(data.label[rows])

    monkeypatch.setattr(experimental, "tree_baseline", trees)
    zero = replace(data, kind=np.where(np.arange(len(data.kind)) == 3, "measured zero", data.kind))
    zero.label[3], zero.ln_tc_K[3] = np.nan, np.nan
    result = benchmark_experimental(settings=QUICK, classifier_settings=QUICK_CLASSES, tree_iterations=3, data=zero)
    names = [row[:2] for row in result.rows]
    assert names[0] == ("median, share of superconductors", "compositions")
    assert ("networks and trees", "compositions") in names
    assert ("networks and trees, with structure", "with a crystal") in names
    assert len(names) == len(set(names)) == 9
    assert all(len(row) == len(result.columns) for row in result.rows)
    assert asked == [("composition", 3), ("structure", 3)] * 2
    cells = {row[:2]: [float(x) for x in row[2:6]] for row in result.rows}
    trivial, ours = cells[names[0]], cells["networks and trees", "compositions"]
    assert all(mine < theirs for mine, theirs in zip(ours[:2], trivial[:2], strict=True))
    assert all(mine > theirs for mine, theirs in zip(ours[2:], trivial[2:], strict=True))
    fuller, plain = (cells[f"networks and trees{which}", "with a crystal"] for which in (", with structure", ""))
    assert fuller[0] < plain[0]
    for scored_on in ("compositions", "with a crystal"):
        assert cells["boosted trees", scored_on] == [0.4, 0.4, 1.0, 1.0]
    split = composition_split(zero)
    plain = split.score & ~zero.has_structure
    assert (
        f"{int((plain & (zero.label == 1)).sum())} / {int((plain & np.isfinite(zero.label)).sum())} /"
        in result.rows[0][-1]
    )
    assert result.values["composition: networks and trees, compositions: ln_tc_mae"] == pytest.approx(ours[0], abs=1e-3)
    assert 0.5 < result.values["chemical system: coverage"] <= 1
    assert "chemical system split: ln Tc MAE of others minus ours" in result.markdown()
    assert any("SODNet" in note and "other conditions" in note for note in result.notes)
    assert "against 1 compositions measured not to superconduct" in result.markdown()


# --- the real tables ---


@pytest.fixture
def real():
    try:
        data_folder()
    except ConfigError:
        pytest.skip("no training data; set ONNES_DATA")
    return load_experimental_data()


def test_real_tables(real) -> None:
    assert real.buckets.max() < 90
    assert np.isfinite(real.features).all()
    for split in (composition_split(real), system_split(real)):
        assert not set(real.groups[split.train]) & set(real.groups[split.score])
        counts = [int(((real.label == label) & split.score).sum()) for label in (0, 1)]
        assert min(counts) > 1000
    split = system_split(real)
    assert not set(real.systems[split.train]) & set(real.systems[split.score])
    assert 10 < (real.kind == "measured zero").sum() < 100
    assert np.exp(np.nanmax(real.ln_tc_K)) < 140
    assert 0.02 < real.label_noise < 0.3
