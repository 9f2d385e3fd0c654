import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.errors import ConfigError
from onnes.training.benchmarks.rediscovery import (
    Candidates,
    draw_pool,
    formula_systems,
    load_candidates,
    superconducting_systems,
    training_systems,
    within,
)
from onnes.training.data import bucket
from onnes.training.experimental_data import composition_key

ALL = [
    f"{a}{x}{b}"
    for x in (2, 3, 5)
    for a in ("V", "Nb", "Ta", "Ti", "Zr", "Hf", "Mo", "W", "Re", "Ru", "Sc", "Y")
    for b in ("Al", "Ga", "Si", "Ge", "Sn", "In", "Pb", "Sb")
]
VALIDATION = [formula for formula in ALL if bucket(formula) in range(80, 90)]
HIDDEN, OTHERS = VALIDATION[:5], VALIDATION[5:]
TRAINED = [formula for formula in ALL if bucket(formula) < 80]
RESERVED = [formula for formula in ALL if bucket(formula) >= 90]


def crystal(formula, *, volume_per_atom_A3=15.0, **columns):
    from pymatgen.core import Composition

    numbers = [e.Z for e, k in Composition(formula).items() for _ in range(int(k))]
    n = len(numbers)
    return {
        "reduced_formula": formula, "lattice": [volume_per_atom_A3 * n, 0, 0, 0, 1, 0, 0, 0, 1.0],
        "frac_coords": [x for i in range(n) for x in (i / n, 0.0, 0.0)], "atomic_numbers": numbers, **columns,
    }  # fmt: skip


def superconductor(formula, tc_K=9.0, *, is_ordered=True, **columns):
    return crystal(formula, tc_K=tc_K, is_ordered=is_ordered, comp_key=composition_key(formula), **columns)


def metal(formula, band_gap_eV=0.0, *, duplicate_id=False, **columns):
    return crystal(formula, band_gap_eV=band_gap_eV, duplicate_id=duplicate_id, **columns)


def report(formula, *, superconducts=True):
    return {"reduced_formula": formula, "comp_key": composition_key(formula), "label_superconductor": superconducts}


@pytest.fixture
def files():
    """Rows of small data files in place of the real ones."""
    return {
        "tc_exp_3dsc_mp": [superconductor(f) for f in HIDDEN],
        "mp_structures": [metal(f) for f in (*OTHERS, TRAINED[5])],
        "tc_exp_by_composition": [report(f) for f in (*HIDDEN, TRAINED[0])] + [report(TRAINED[1], superconducts=False)],
        "tc_exp_supercon_tables": [report(TRAINED[2])],
        "epc_dft_alexandria": [crystal(TRAINED[3])],
        "epc_dft_jarvis3d": [crystal(TRAINED[4])],
        "tc_dft_jarvis_hydrides_nostructure": [{"reduced_formula": "LaH10"}],
    }


@pytest.fixture
def written(files, tmp_path, monkeypatch):
    def write():
        for name, rows in files.items():
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")

    monkeypatch.setenv("ONNES_DATA", str(tmp_path))
    return write


def read(written):
    written()
    return load_candidates()


# --- who is a candidate ---


def test_superconductors_and_metals_of_the_validation_buckets(files, written) -> None:
    found = read(written)
    hot = found.superconducts
    assert found.formulas[hot].tolist() == HIDDEN
    assert found.formulas[~hot].tolist() == OTHERS  # the metal of a training bucket is no candidate
    assert found.tc_K[hot].tolist() == [9.0] * len(HIDDEN)
    assert found.systems.tolist() == formula_systems([*HIDDEN, *OTHERS]).tolist()
    assert found.alike.all()
    assert not found.cuprate.any()


@pytest.mark.parametrize(
    "spoiled",
    [
        superconductor(OTHERS[0], 3.9),
        superconductor(OTHERS[0], is_ordered=False),
        superconductor(OTHERS[0], volume_per_atom_A3=101.0),
        superconductor(TRAINED[0]),
        superconductor(RESERVED[0]),
    ],
    ids=["below 4 K", "disordered", "too roomy", "training bucket", "reserved bucket"],
)
def test_these_are_no_hidden_superconductors(spoiled, files, written) -> None:
    files["tc_exp_3dsc_mp"].append(spoiled)
    found = read(written)
    assert found.superconducts.sum() == len(HIDDEN)


def test_a_superconductor_of_just_4_K_is_one(files, written) -> None:
    files["tc_exp_3dsc_mp"].append(superconductor(OTHERS[0], 4.0))
    assert OTHERS[0] in read(written).formulas[: len(HIDDEN) + 1]


@pytest.mark.parametrize(
    "spoiled",
    [metal(OTHERS[0], 0.01), metal(OTHERS[0], None), metal(OTHERS[0], duplicate_id=True), metal(RESERVED[0])],
    ids=["gap", "no gap given", "duplicate", "reserved bucket"],
)
def test_these_are_no_unlabelled_metals(spoiled, files, written) -> None:
    files["mp_structures"] = [metal(f) for f in OTHERS[1:]] + [spoiled]
    found = read(written)
    assert found.formulas[~found.superconducts].tolist() == OTHERS[1:]


@pytest.mark.parametrize(
    "file",
    ["tc_exp_by_composition", "tc_exp_supercon_tables", "tc_exp_3dsc_mp", "epc_dft_alexandria", "epc_dft_jarvis3d",
     "tc_dft_jarvis_hydrides_nostructure"],
)  # fmt: skip
def test_a_metal_that_any_table_lists_is_not_unlabelled(file, files, written) -> None:
    row = files[file][0]
    # in the tables of measurements a Tc of zero means that none was reported: it is listed all the same
    listed = {"reduced_formula": OTHERS[0], "comp_key": composition_key(OTHERS[0]), "label_superconductor": False,
              "tc_K": 0.0, "is_ordered": True}  # fmt: skip
    files[file].append({**row, **{name: listed[name] for name in row if name in listed}})
    found = read(written)
    assert OTHERS[0] not in found.formulas
    assert set(OTHERS[1:]) <= set(found.formulas)


def test_alike_means_the_sizes_of_the_metals(files, written) -> None:
    def fitting(formulas):
        return next(f for f in formulas if bucket(f) in range(80, 90))

    five = fitting(f"NbTiZr{x}Sn{y}Al" for x in range(2, 20) for y in (1, 2, 3))
    large = fitting(f"Nb{x}Sn" for x in range(21, 60))
    just = fitting(f"{a}{19}{b}" for a in ("Nb", "V", "Ta", "Mo", "W") for b in ("Sn", "Al", "Ge", "Si"))
    element = next(e for e in ("Ta", "Hg", "Bi", "Pb", "Sn") if bucket(e) in range(80, 90))
    for formula in (five, large, just, element):
        files["tc_exp_3dsc_mp"].append(superconductor(formula))
    found = read(written)
    alike = dict(zip(found.formulas.tolist(), found.alike.tolist(), strict=True))
    assert [alike[f] for f in (five, large, just, element)] == [False, False, True, False]


# --- pools ---


def candidates(n_hot=3, n_cold=60, polymorphs=3):
    formulas = [f for f in ALL[: n_hot + n_cold] for _ in range(polymorphs)]
    hot = np.arange(len(formulas)) < n_hot * polymorphs
    return Candidates(
        pa.table({"reduced_formula": formulas}), np.where(hot, 8.0, np.nan), formula_systems(formulas)
    )  # fmt: skip


def test_a_pool_has_one_crystal_of_each_formula() -> None:
    given = candidates()
    pool = draw_pool(given, np.ones(len(given.tc_K), bool))
    assert len(pool) == 33
    assert pool.hidden.sum() == 3
    assert len(set(given.formulas[pool.rows])) == 33
    assert (given.superconducts[pool.rows] == pool.hidden).all()
    assert set(given.formulas[pool.rows[pool.hidden]]) == set(ALL[:3])


def test_a_pool_follows_its_seed_alone() -> None:
    given = candidates()
    everything = np.ones(len(given.tc_K), bool)
    pools = [draw_pool(given, everything, seed=seed).rows.tolist() for seed in (1, 1, 2)]
    assert pools[0] == pools[1] != pools[2]
    drawn = np.concatenate([draw_pool(given, everything, seed=seed).rows for seed in range(60)])
    assert set(drawn[given.superconducts[drawn]]) == set(range(9))  # every polymorph has its turn
    first = [np.flatnonzero(draw_pool(given, everything, seed=seed).hidden).mean() for seed in range(60)]
    assert np.mean(first) == pytest.approx(16, abs=3)  # the hidden ones stand nowhere in particular


def test_only_what_is_allowed_enters() -> None:
    given = candidates()
    allowed = np.zeros(len(given.tc_K), bool)
    allowed[[4, 20, 21, 30, 31, 32, 40]] = True  # a polymorph of the second formula, metals of four formulas
    pool = draw_pool(given, allowed, ratio=4)
    assert len(pool) == 5
    assert pool.rows[pool.hidden].tolist() == [4]
    assert allowed[pool.rows].all()
    assert {20, 21, 40} <= set(pool.rows.tolist())
    kept = pool.only(~pool.hidden)
    assert len(kept) == 4
    assert not kept.hidden.any()


def test_a_pool_that_cannot_be_drawn_is_refused() -> None:
    given = candidates(n_cold=20)
    with pytest.raises(ConfigError, match="3 superconductors cannot be hidden among 10 times as many of 20 metals"):
        draw_pool(given, np.ones(len(given.tc_K), bool))
    with pytest.raises(ConfigError, match="0 superconductors"):
        draw_pool(given, np.zeros(len(given.tc_K), bool))


# --- chemical systems ---


def test_systems_of_formulas() -> None:
    assert formula_systems(["Nb3Sn", "SnNb", "La1.85Sr0.15CuO4", "PdD"]).tolist() == [
        "Nb-Sn", "Nb-Sn", "Cu-La-O-Sr", "H-Pd",
    ]  # fmt: skip


def test_within_a_system_or_a_larger_one() -> None:
    assert within(["Nb-Sn", "Nb-Sn", "Sn"], ["Nb-Sn"]).tolist() == [True, True, True]
    assert within(["Nb-Sn-Ta", "Al"], ["Nb-Sn", "Nb-Ta"]).tolist() == [False, False]
    assert within([], ["Nb"]).tolist() == []


def test_training_systems_by_kind(files, written) -> None:
    files["epc_dft_alexandria"].append(crystal(OTHERS[0]))  # a validation bucket is not trained on
    written()
    found = training_systems()
    expected = {"reports": TRAINED[:3], "computed": TRAINED[3:5], "background": [TRAINED[5]]}
    assert found == {kind: frozenset(formula_systems(formulas).tolist()) for kind, formulas in expected.items()}
    assert superconducting_systems() == frozenset(formula_systems(TRAINED[:1]).tolist())
