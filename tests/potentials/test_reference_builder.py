import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values, with_columns
from onnes.crystals.table import crystal_table
from onnes.physics.reference import SCHEMA, Reference
from onnes.potentials import reference_builder
from onnes.potentials.reference_builder import ReferenceSettings, build_reference, load_piece, piece_key, store_piece
from tests.potentials.fakes import FakePotential, fcc

AL, CU = 13, 29


def _mixed(strain, *, scale=1.0, seed=0):
    """AlCu on an fcc lattice: a compound of the two elements."""
    lattice, frac, _ = fcc(AL, scale=scale, strain=strain, seed=seed)
    return lattice, frac, [AL, CU, AL, CU]


@pytest.fixture
def table():
    """Elements and compounds: at rest, strained near the hull, strained far above it, and one that failed to be read."""
    crystals = {
        "al": fcc(AL),
        "cu": fcc(CU),
        "cu-strained": fcc(CU, scale=1.02),
        "alloy-near": _mixed(0.012, seed=3),
        "alloy-far": _mixed(0, scale=1.25),
        "bad": fcc(AL),
    }
    table = crystal_table(CrystalBatch.of(crystals.values()), ids=list(crystals), source="tests")
    return with_columns(table, {"error": [None] * 5 + ["bad.cif: broken"]})


def _rows(reference):
    return {row["id"]: row for row in reference.table.to_pylist()}


def _build(table, folder, fake, **how):
    settings = ReferenceSettings(relax_above_stress_GPa=0.5, fmax_eV_per_A=0.005)
    return build_reference(table, fake, name="fakes", cache=folder, settings=settings, **how)


def test_reference_of_a_fake(table, tmp_path) -> None:
    seen = []
    made = _build(table, tmp_path, FakePotential(), notes={"coverage": "five"}, on_rows=seen.append)
    assert (made.name, made.potential, made.potential_sha256) == ("fakes", "fake", "f" * 64)
    assert made.energy_scheme == "Lennard-Jones"
    assert made.table.schema.equals(SCHEMA)
    assert set(_rows(made)) == {"al", "cu", "cu-strained", "alloy-near", "alloy-far"}  # the unread one is no phase
    assert made.notes["coverage"] == "five"
    assert "crystals within 0.05 eV/atom" in made.notes["geometry"]
    assert sum(seen) >= 5
    formulas = values(made.table, "reduced_formula")
    assert formulas == sorted(formulas)
    assert _rows(made)["al"]["prototype"] == "A_cF4_225_a:Al"


def test_only_strained_crystals_near_the_hull_are_relaxed(table, tmp_path) -> None:
    rows = _rows(_build(table, tmp_path, FakePotential()))
    # copper at rest lies below strained copper, which therefore cannot touch the hull
    assert {name for name, row in rows.items() if row["relaxed"]} == {"alloy-near"}
    still = FakePotential().evaluate(CrystalBatch.of([fcc(AL)])).energies_eV[0] / 4
    assert rows["al"]["energy_eV_per_atom"] == pytest.approx(still, abs=1e-12)
    assert rows["alloy-near"]["energy_eV_per_atom"] == pytest.approx(still, abs=1e-3)
    assert rows["alloy-near"]["forces_max_eV_per_A"] < 0.005
    assert rows["alloy-far"]["energy_eV_per_atom"] > still + 0.2


def test_saved_and_loaded(table, tmp_path) -> None:
    made = _build(table, tmp_path / "cache", FakePotential())
    made.save(tmp_path / "reference.parquet")
    assert Reference.load(tmp_path / "reference.parquet").table.equals(made.table)


def test_pieces_are_reused(table, tmp_path) -> None:
    first, second = FakePotential(), FakePotential()
    one, two = _build(table, tmp_path, first), _build(table, tmp_path, second)
    assert first.calls
    assert second.calls == []
    assert two.table.equals(one.table)


def test_an_interrupted_build_goes_on(table, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(reference_builder, "PIECE", 2)
    whole = _build(table, tmp_path / "whole", FakePotential())
    folder = tmp_path / "interrupted"

    def stop_after_one(_rows):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _build(table, folder, FakePotential(), on_rows=stop_after_one)
    assert len(list(folder.iterdir())) == 1
    rest = FakePotential()
    assert _build(table, folder, rest).table.equals(whole.table)
    assert sum(map(len, rest.calls[:2])) == 3  # five rows in pieces of two: the first two are done


def test_another_potential_never_gets_the_pieces_of_the_first(table, tmp_path) -> None:
    other = FakePotential(offset_eV=1.0)
    other.sha256 = "e" * 64
    _build(table, tmp_path, FakePotential())
    rows = _rows(_build(table, tmp_path, other))
    assert other.calls
    assert rows["al"]["energy_eV_per_atom"] > -2.5


@pytest.mark.parametrize("fault", [{"nan_for": [CU]}, {"raises_for": [CU]}])
def test_unknown_element_and_failure_stay_without_energy(fault, tmp_path) -> None:
    batch = CrystalBatch.of([fcc(AL), fcc(96), fcc(CU)])
    table = crystal_table(batch, ids=["al", "cm", "cu"], source="tests")
    made = _build(table, tmp_path, FakePotential(**fault))
    energies = {name: row["energy_eV_per_atom"] for name, row in _rows(made).items()}
    assert energies["al"] is not None
    assert energies["cm"] is None
    assert energies["cu"] is None
    assert set(made.lowest) == {"Al"}
    assert ("Cm", "A_cF4_225_a:Cm") in made.labels  # known, but no competitor


def test_relaxation_that_leaves_the_crystal_is_not_used(table, tmp_path) -> None:
    settings = ReferenceSettings(
        relax_above_stress_GPa=0.5, relax_within_eV_per_atom=5.0, fmax_eV_per_A=0.005, max_volume_change=0.04
    )
    made = build_reference(table, FakePotential(), name="fakes", cache=tmp_path, settings=settings)
    rows = _rows(made)
    assert not rows["alloy-far"]["relaxed"]  # it would shrink by half
    assert not rows["cu-strained"]["relaxed"]  # by 6 %
    assert rows["alloy-near"]["relaxed"]


def test_empty_table(table, tmp_path) -> None:
    made = _build(table.slice(5, 1), tmp_path, FakePotential())
    assert made.table.num_rows == 0


def test_piece_key_depends_on_crystals_and_method() -> None:
    one, other = CrystalBatch.of([fcc(AL)]), CrystalBatch.of([fcc(CU)])
    keys = {piece_key(one, "a"), piece_key(one, "b"), piece_key(other, "a")}
    assert len(keys) == 3
    assert piece_key(one, "a") == piece_key(CrystalBatch.of([fcc(AL)]), "a")


def test_store_and_load(tmp_path) -> None:
    store_piece(tmp_path / "x.npz", np.arange(3.0), np.array([True, False]))
    numbers, flags = load_piece(tmp_path / "x.npz")
    np.testing.assert_array_equal(numbers, [0, 1, 2])
    np.testing.assert_array_equal(flags, [True, False])
    assert [p.name for p in tmp_path.iterdir()] == ["x.npz"]


def _guesses():
    """Too small, too large, and one with an atom out of its place."""
    lattice, frac, numbers = _mixed(0.0, scale=1.02)
    moved = np.array(frac) + [[0.03, 0.01, 0.0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    crystals = {"small": fcc(AL, scale=0.93), "large": fcc(CU, scale=1.06), "mixed": (lattice, moved, numbers)}
    return crystal_table(CrystalBatch.of(crystals.values()), ids=list(crystals), source="prototype")


def test_guessed_geometries_are_all_relaxed(tmp_path) -> None:
    seen = []
    fake = FakePotential()
    made = build_reference(
        _guesses(), fake, name="g", cache=tmp_path, settings=reference_builder.GUESSED, on_rows=seen.append
    )
    still = FakePotential().evaluate(CrystalBatch.of([fcc(AL)])).energies_eV[0] / 4
    rows = _rows(made)
    assert all(row["relaxed"] for row in rows.values())
    for row in rows.values():
        assert row["energy_eV_per_atom"] == pytest.approx(still, abs=2e-3)
    assert sum(seen) == 3
    assert "3 converged" in made.notes["geometry"]
    again = FakePotential()
    repeated = build_reference(_guesses(), again, name="g", cache=tmp_path, settings=reference_builder.GUESSED)
    assert repeated.table.equals(made.table)
    assert again.calls == []


def test_a_guess_that_never_comes_to_rest_or_collapses_has_no_energy(tmp_path) -> None:
    stopped = reference_builder.GUESSED.model_copy(update={"max_steps": 1, "relax_above_force_eV_per_A": 1e-9})
    rows = _rows(build_reference(_guesses(), FakePotential(), name="g", cache=tmp_path, settings=stopped))
    assert rows["mixed"]["energy_eV_per_atom"] is None
    assert not rows["mixed"]["relaxed"]
    tight = reference_builder.GUESSED.model_copy(update={"max_volume_change": 0.05})
    rows = _rows(build_reference(_guesses(), FakePotential(), name="g", cache=tmp_path, settings=tight))
    assert rows["large"]["energy_eV_per_atom"] is None  # it shrinks by 16 %
    assert rows["small"]["energy_eV_per_atom"] is not None  # growing is allowed: radii are too small as often
    broken = FakePotential(nan_for=[CU])
    broken.sha256 = "d" * 64
    rows = _rows(build_reference(_guesses(), broken, name="g", cache=tmp_path, settings=reference_builder.GUESSED))
    assert {name for name, row in rows.items() if row["energy_eV_per_atom"] is None} == {"mixed", "large"}
