import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from pymatgen.core import Composition

import onnes
from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values, with_columns
from onnes.crystals.table import crystal_table
from onnes.crystals.writers import write_crystals
from onnes.errors import ConfigError, CrystalError, ModelError, ReferenceMismatch
from onnes.models.weights import weight_names
from onnes.physics.hull import Hull
from onnes.potentials import potential as registry
from onnes.tools.result import CrystalTable
from tests.physics.references import reference
from tests.potentials.fakes import FakePotential, fcc_batch

NAMES = ["Nb3Sn", "Al"]


@pytest.fixture(scope="module")
def shipped():
    missing = {"structure", "metal"} - set(weight_names())
    if missing:
        pytest.skip(f"the package has no weights {sorted(missing)} yet; train them with `onnes train`")


@pytest.fixture
def fake(monkeypatch):
    fake = FakePotential()
    monkeypatch.setitem(registry._ADAPTERS, "fake", ("tests.potentials.fakes", "FakePotential"))
    monkeypatch.setitem(registry._LOADED, ("fake", "cpu"), fake)
    return fake


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Reference with made-up energies of Nb, Sn, Al, O and their compounds, of potential sevennet-0."""
    path = tmp_path_factory.mktemp("reference") / "by-hand.parquet"
    reference().save(path)
    return str(path)


def _forms(folder):
    """The same two crystals in everything that users have in hand."""
    structures = [known_crystal(name, primitive=True) for name in NAMES]
    batch = CrystalBatch.from_structures(structures)
    table = crystal_table(batch, ids=NAMES, source="tests")
    for name, structure in zip(NAMES, structures, strict=True):
        structure.to(str(folder / f"{NAMES.index(name)}-{name}.cif"))
    write_crystals(table, folder / "both.parquet")
    return {
        "structures": structures,
        "atoms": batch.to_atoms(),
        "batch": batch,
        "arrow table": table,
        "result": CrystalTable(table),
        "pandas": table.to_pandas(),
        "geometry alone": table.select(["lattice", "frac_coords", "atomic_numbers"]).to_pandas(),
        "files": sorted(str(path) for path in folder.glob("*.cif")),
        "table file": folder / "both.parquet",
    }


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    return _forms(tmp_path_factory.mktemp("forms"))


FORMS = [
    "structures", "atoms", "batch", "arrow table", "result", "pandas", "geometry alone", "files", "table file",
]  # fmt: skip


@pytest.fixture(scope="module")
def predicted(shipped):
    return onnes.predict(known_table(NAMES), hull=False)


@pytest.mark.parametrize("form", FORMS)
def test_predict_takes_whatever_there_is(forms, predicted, form) -> None:
    result = onnes.predict(forms[form], hull=False)
    assert isinstance(result, CrystalTable)
    assert result["error"] == [None, None]
    np.testing.assert_allclose(result["tc_K"], predicted["tc_K"], rtol=0.02)
    assert result["tc_K"][0] > result["tc_K"][1]
    assert result["geometry"] == ["input", "input"]
    assert "Tc" in repr(result)


def test_one_crystal_needs_no_list(shipped, predicted) -> None:
    structure = known_crystal("Nb3Sn")
    for one in (structure, CrystalBatch.from_structures([structure]).to_atoms()[0]):
        result = onnes.predict(one, hull=False)
        assert len(result) == 1
        assert result["tc_K"][0] == pytest.approx(predicted["tc_K"][0], rel=0.02)


def test_predict_keeps_rows_columns_and_errors(shipped) -> None:
    table = known_table(["Al", "Pb", "Nb"])
    table = with_columns(table, {"error": [None, "broken.cif: no atoms", None]}).append_column(
        "mine", pa.array([1, 2, 3])
    )
    seen = []
    result = onnes.predict(table, hull=False, on_rows=seen.append)
    assert result["id"] == ["Al", "Pb", "Nb"]
    assert result["mine"] == [1, 2, 3]
    assert result["error"] == [None, "broken.cif: no atoms", None]
    assert [tc is None for tc in result["tc_K"]] == [False, True, False]
    assert sum(seen) == 2
    assert (result.n_failed, result.n_open) == (1, 2)


def test_bad_file_is_a_row(shipped, tmp_path) -> None:
    known_crystal("Al").to(str(tmp_path / "good.cif"))
    (tmp_path / "bad.cif").write_text("data_\nloop_\n")
    result = onnes.predict(tmp_path, hull=False)
    assert len(result) == 2
    by_id = dict(zip(result["id"], result["error"], strict=True))
    assert sorted(e is None for e in by_id.values()) == [False, True]
    assert "bad" in next(e for e in by_id.values() if e)


def test_predict_places_on_the_hull(shipped, by_hand) -> None:
    result = onnes.predict(known_table(["Nb3Sn", "Pb"]), reference=by_hand)
    place = Hull(reference()).place("Nb3Sn", result["energy_eV_per_atom"][0])
    assert result["e_above_hull_eV_per_atom"][0] == pytest.approx(place.e_above_hull_eV_per_atom)
    assert result["hull_reference"] == ["by hand", None]
    assert result["e_above_hull_eV_per_atom"][1] is None
    assert result["error"] == [None, None]  # a missing place does not spoil the other numbers
    assert result["tc_K"][1] > 1


def test_predict_after_relaxing(shipped) -> None:
    squeezed = known_crystal("Al", primitive=True)
    squeezed.apply_strain(-0.03)
    before, after = onnes.predict(squeezed, hull=False), onnes.predict(squeezed, relax=True, hull=False)
    assert before["geometry"] == ["input"]
    assert after["geometry"] == ["sevennet-0"]
    assert after["energy_eV_per_atom"][0] < before["energy_eV_per_atom"][0] - 0.01
    assert after["omega_log_K"][0] < before["omega_log_K"][0]  # softer when larger


def test_unknown_model(shipped) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        onnes.predict(known_crystal("Al"), model="nothing")


def test_relax(fake) -> None:
    batch = fcc_batch((13, 29), rattle=0.05, strain=0.02)
    seen = []
    result = onnes.relax(batch.to_structures(), potential="fake", keep_symmetry=False, on_rows=seen.append)
    assert sum(seen) == 2
    assert result["relax_converged"] == [True, True]
    assert result["space_group"] == [225, 225]
    assert result["geometry"] == ["fake", "fake"]
    np.testing.assert_allclose(result["input_lattice"], batch.lattices.reshape(2, 9))


@pytest.mark.parametrize("form", FORMS)
def test_relax_takes_whatever_there_is(fake, forms, form) -> None:
    result = onnes.relax(forms[form], potential="fake", max_steps=0)
    assert result["reduced_formula"] == NAMES
    assert result["relax_steps"] == [0, 0]


def test_relax_passes_settings_on(fake) -> None:
    batch = fcc_batch((13,), rattle=0.05)
    volume = abs(np.linalg.det(np.reshape(onnes.relax(batch, potential="fake")["lattice"][0], (3, 3))))
    pressed = onnes.relax(batch, potential="fake", pressure_GPa=20.0)
    assert abs(np.linalg.det(np.reshape(pressed["lattice"][0], (3, 3)))) < 0.97 * volume
    assert pressed["pressure_GPa"] == [20.0]
    with pytest.raises(ValidationError):
        onnes.relax(batch, potential="fake", fmax=0.1)


def test_each_crystal_is_relaxed_at_its_own_pressure_unless_told(fake, monkeypatch) -> None:
    monkeypatch.setattr("onnes.tools.crystals._on_hull", lambda table, *_, **__: table)
    table = crystal_table(fcc_batch((13, 13)), ids=["pressed", "free"], source="tests")
    table = with_columns(table, {"pressure_GPa": [20.0, 0.0]})
    for result in (onnes.relax(table, potential="fake"), onnes.hull(table, relax=True, potential="fake")):
        assert result["pressure_GPa"] == [20.0, 0.0]
        pressed, free = CrystalBatch.from_table(result.table).volumes
        assert pressed < 0.97 * free
    assert onnes.relax(table, potential="fake", pressure_GPa=5.0)["pressure_GPa"] == [5.0, 5.0]


def test_relax_with_the_default_potential() -> None:
    squeezed = known_crystal("Al", primitive=True)
    squeezed.apply_strain(-0.03)
    result = onnes.relax(squeezed)
    assert result["potential"] == ["sevennet-0"]
    assert result["space_group"] == [225]
    volume = abs(np.linalg.det(np.reshape(result["lattice"][0], (3, 3))))
    assert (4 * volume) ** (1 / 3) == pytest.approx(4.05, rel=0.01)


def test_hull_of_given_energies(by_hand) -> None:
    table = known_table(["Nb3Sn", "Al"])
    table = with_columns(table, {"potential": ["sevennet-0"] * 2, "energy_eV_per_atom": [-8.60, -3.70]})
    result = onnes.hull(table, reference=by_hand)
    assert result["e_above_hull_eV_per_atom"] == pytest.approx([0.10, 0.05])
    assert result["decomposes_to"] == ["1.00 Nb3Sn", "1.00 Al"]
    assert result["hull_coverage"] == [4, 0]
    assert result["geometry"] == ["input", "input"]


def test_hull_computes_missing_energies(by_hand) -> None:
    result = onnes.hull(known_crystal("Nb3Sn"), reference=by_hand)
    energy = result["energy_eV_per_atom"][0]
    assert energy == pytest.approx(-8.75, abs=0.1)
    assert result["e_above_hull_eV_per_atom"][0] == pytest.approx(energy + 8.70)


def test_hull_reports_what_it_cannot_place(by_hand) -> None:
    table = known_table(["Nb3Sn", "Pb"])
    table = with_columns(table, {"potential": ["sevennet-0"] * 2, "energy_eV_per_atom": [-8.60, -3.70]})
    result = onnes.hull(table, reference=by_hand)
    assert result["error"][0] is None
    assert "by hand has no energy for an element of Pb" in result["error"][1]


def test_hull_refuses_energies_of_another_potential(by_hand, fake) -> None:
    with pytest.raises(ReferenceMismatch, match="'fake'"):
        onnes.hull(fcc_batch((13,)), potential="fake", reference=by_hand)


def test_hull_without_a_reference_for_the_potential(fake) -> None:
    with pytest.raises(ConfigError, match="onnes reference build FILE --potential fake"):
        onnes.hull(fcc_batch((13,)), potential="fake")


@pytest.mark.parametrize("form", FORMS)
def test_hull_takes_whatever_there_is(forms, by_hand, monkeypatch, form) -> None:
    monkeypatch.setitem(registry._LOADED, ("sevennet-0", "cpu"), FakePotential("sevennet-0"))
    result = onnes.hull(forms[form], reference=by_hand)
    assert result["error"] == [None, None]
    assert None not in result["e_above_hull_eV_per_atom"]


def test_propose_substitutes_in_parents() -> None:
    result = onnes.propose(known_crystal("Be2Nb3"), fixed=["Be"])
    compositions = {Composition(formula) for formula in result["reduced_formula"]}
    # the pair that was made, with Hf on one or the other site of niobium
    assert {Composition("Be2HfNb2"), Composition("Be2Hf2Nb")} <= compositions
    assert all("Be" in composition for composition in compositions)
    assert set(result["source"]) == {"neighbour"}
    assert len(set(result["parent_id"])) == 1
    assert None not in result["how"]


def test_propose_is_a_function_after_its_room_was_imported() -> None:
    import onnes.propose.sources

    for _ in range(2):
        assert len(onnes.propose(elements=["Nb", "N"], prototypes=["B1"])) == 1


def test_propose_takes_files_and_limits(tmp_path) -> None:
    known_crystal("Be2Nb3").to(str(tmp_path / "Be2Nb3.cif"))
    everything = onnes.propose(tmp_path / "Be2Nb3.cif")
    some = onnes.propose(str(tmp_path / "Be2Nb3.cif"), limit=5, seed=1)
    assert len(some) == 5 < len(everything)
    assert set(some["crystal_hash"]) <= set(everything["crystal_hash"])
    assert onnes.propose(tmp_path / "Be2Nb3.cif", limit=5, seed=1)["id"] == some["id"]


def test_propose_decorates_prototypes() -> None:
    result = onnes.propose(elements=["Nb", "N", "C"], prototypes=["B1"])
    assert {"NbN", "NbC"} <= set(result["reduced_formula"])
    assert set(result["space_group"]) == {225}


def test_propose_excludes() -> None:
    with_hf = onnes.propose(known_crystal("Be2Nb3"), fixed=["Be"])
    without = onnes.propose(known_crystal("Be2Nb3"), fixed=["Be"], exclude=["Hf"])
    assert any("Hf" in formula for formula in with_hf["reduced_formula"])
    assert not any("Hf" in formula for formula in without["reduced_formula"])


def test_propose_needs_one_of_both() -> None:
    for arguments in ({}, {"parents": known_crystal("Al"), "elements": ["Nb"]}):
        with pytest.raises(ConfigError, match="either parents"):
            onnes.propose(**arguments)


@pytest.mark.parametrize("function", [onnes.predict, onnes.relax, onnes.hull])
def test_what_is_no_crystal(function) -> None:
    with pytest.raises(CrystalError, match="cannot read crystals from"):
        function([1, 2, 3])
    with pytest.raises(CrystalError, match=r"none\.cif"):
        function("none.cif")


def test_row_without_geometry_is_reported_not_raised(fake) -> None:
    table = known_table(["Al", "Nb"])
    holes = table.set_column(
        table.column_names.index("lattice"),
        "lattice",
        pa.array([None, *values(table, "lattice")[1:]], table["lattice"].type),
    )
    result = onnes.relax(holes, potential="fake", max_steps=0)
    assert "no geometry" in result["error"][0]
    assert result["potential"] == [None, "fake"]


def test_table_without_a_geometry_column(fake) -> None:
    with pytest.raises(CrystalError, match="without column lattice"):
        onnes.relax(pa.table({"id": ["a"], "formula": ["Al"]}), potential="fake")


def test_write(fake, tmp_path) -> None:
    result = onnes.relax(fcc_batch((13, 29)), potential="fake", max_steps=0)
    result.write(tmp_path / "out.parquet")
    read = onnes.relax(tmp_path / "out.parquet", potential="fake", max_steps=0)
    assert read["id"] == result["id"]
    assert read["energy_eV_per_atom"] == pytest.approx(result["energy_eV_per_atom"])
