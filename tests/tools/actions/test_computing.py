import pyarrow as pa
import pytest

from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.crystals.writers import write_crystals
from onnes.errors import ConfigError
from onnes.models.replacement import Replacement
from onnes.potentials.fingerprints import potential_sha256
from onnes.propose.mixing import REPORT
from onnes.propose.ordered_prediction import SUMMARY
from onnes.tools import crystals, explain, mixing, order
from onnes.tools.explain import CrystalExplanation, Explanation, SiteContribution
from onnes.tools.inputs import wrap
from onnes.tools.known_neighbours import Neighbour
from onnes.tools.study_input import bring_in


@pytest.fixture
def two(study):
    """Set of aluminium, and of a row that an earlier step rejected."""
    rows = with_columns(known_table(["Al", "NaCl"]), {"rejected_by": [None, "tc"], "reason": [None, "tc_K = 0 < 2"]})
    return bring_in(study, rows).set_id


def test_prediction_keeps_ids_and_leaves_closed_rows_alone(call, study, two, table):
    found = call("predict", crystals=two, model="fast")
    aluminium, salt = table(found).to_pylist()
    assert (aluminium["id"], salt["id"]) == ("Al", "NaCl")
    assert 0 < aluminium["tc_lo_K"] < aluminium["tc_K"] < aluminium["tc_hi_K"] < 5
    assert abs(aluminium["e_above_hull_eV_per_atom"]) < 0.01
    assert (salt["tc_K"], salt["rejected_by"]) == (None, "tc")
    assert found.remarks == ["1 of the 2 rows came rejected or failed and stay so"]
    assert set(study.info(found.set_id).fingerprints) >= {"model fast", "model metal", "potential sevennet-0"}
    assert study.value(f"{found.set_id}/Al/tc_K").crystal_hash == aluminium["crystal_hash"]


def test_the_others_work_on_what_is_there(call, two, table):
    relaxed = call("relax", crystals=f"{two}/Al", max_steps=5)
    row = table(relaxed).to_pylist()[0]
    assert (row["geometry"], row["relax_converged"], row["id"]) == ("sevennet-0", True, "Al")
    placed = table(call("hull", crystals=relaxed.set_id)).to_pylist()[0]
    assert placed["energy_eV_per_atom"] == row["energy_eV_per_atom"]
    assert placed["decomposes_to"] == "1.00 Al"
    solid = call("properties", crystals=f"{two}/Al")
    assert solid.rows[0].values["density_g_per_cm3"] == pytest.approx(2.70, abs=0.02)
    waves = call("phonons", crystals=f"{two}/Al", min_length_A=5, relax=False)
    assert waves.rows[0].values["phonon_grade"] == "stable"
    assert waves.rows[0].values["max_phonon_THz"] == pytest.approx(7.2, abs=1.5)


def test_what_a_laboratory_would_measure(call, study, known, table):
    found = call("experimental", crystals=[f"{known}/Nb3Sn", f"{known}/NaCl"])
    rows = table(found).to_pylist()
    assert [row["id"] for row in rows] == ["Nb3Sn", "NaCl"]
    assert rows[0]["has_structure"]
    assert rows[0]["crystal_hash"] == study.table(known)["crystal_hash"][2].as_py()
    assert rows[0]["exp_superconductor_probability"] > rows[1]["exp_superconductor_probability"]
    assert "model experimental" in study.info(found.set_id).fingerprints
    doped = table(call("experimental", formulas="La1.85Sr0.15CuO4")).to_pylist()[0]
    assert (doped["id"], doped["exp_family"], doped["has_structure"]) == ("La1.85Sr0.15CuO4", "cuprate", False)
    assert study.value(f"{found.set_id}/Nb3Sn/exp_tc_K").unit == "K"


@pytest.mark.parametrize("name", ["NbN", "POSCAR", "secret.cif", "/etc/hosts"])
def test_no_text_of_a_caller_or_a_row_is_read_as_a_file(call, study, table, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    if "/" not in name:
        write_crystals(known_table(["Nb3Sn"]), tmp_path / "POSCAR")
        (tmp_path / "POSCAR").rename(tmp_path / name)
    row = with_columns(known_table(["Nb"]), {
        "formula": [name], "lattice": [None], "frac_coords": [None], "atomic_numbers": [None],
    })  # fmt: skip
    study.add("c" * 12, row, tool="files", arguments={})
    (found,) = table(call("experimental", crystals="c" * 12)).to_pylist()
    assert not found["has_structure"]
    assert found["reduced_formula"] == ("NbN" if name == "NbN" else None)
    if name != "NbN":
        assert "be read" in found["error"]
        with pytest.raises(ConfigError, match="is no formula"):
            call("experimental", formulas=[name])
    else:
        (found,) = table(call("experimental", formulas=[name])).to_pylist()
        assert (found["id"], found["formula"], found["has_structure"]) == ("NbN", "NbN", False)


def test_a_phase_without_coordinates_is_judged_by_its_formula_and_a_mixed_crystal_whole(call, study, table):
    phase = call("search", formulas="Nb3Ir", structure_type="A15", with_structure=False)
    row = table(call("experimental", crystals=phase.set_id)).to_pylist()[0]
    assert (row["reduced_formula"], row["has_structure"], row["error"]) == ("Nb3Ir", False, None)
    mixed = bring_in(study, "examples/disordered/Nb0.75Zr0.25.cif").set_id
    row = table(call("experimental", crystals=mixed)).to_pylist()[0]
    assert (row["id"], row["has_structure"], row["error"]) == ("Nb0.75Zr0.25", True, None)


def test_either_crystals_or_formulas(call, known):
    for arguments in ({}, {"crystals": known, "formulas": "Nb"}):
        with pytest.raises(ConfigError, match="either crystals or formulas"):
            call("experimental", **arguments)


def test_pairs_of_sites_have_names_of_their_own(call, known, study, monkeypatch, table):
    pair = {"id": "Nb3Sn", "formula": "Nb3Sn", "element_a": "Nb", "site_a": "6c", "element_b": "Sn", "site_b": "2a"}
    rows = [
        {**pair, "swap_energy_eV": 0.5, "verdict": "ordered"},
        {**pair, "swap_energy_eV": 0.7, "verdict": "ordered"},
        {"id": "Nb", "formula": "Nb", "verdict": "no pair"},
        {"id": "NaCl", "error": "broken"},
    ]
    made = pa.Table.from_pylist(rows, schema=pa.schema(REPORT.items()))
    monkeypatch.setattr(mixing, "mixing", lambda *_, **__: mixing.MixingTable(made))
    found = call("mixing", crystals=known)
    assert [row.id for row in found.rows] == ["Nb3Sn:Nb.6c-Sn.2a", "Nb3Sn:Nb.6c-Sn.2a.1", "Nb", "NaCl"]
    assert found.n_failed == 1
    value = study.value(f"{found.set_id}/Nb3Sn:Nb.6c-Sn.2a/swap_energy_eV")
    assert (value.text, value.name) == ("0.5 eV", "Nb3Sn")
    assert value.crystal_hash == study.table(known)["crystal_hash"][2].as_py()
    assert study.info(found.set_id).fingerprints == {"potential sevennet-0": potential_sha256("sevennet-0")}


def test_each_reason_of_an_explanation_can_be_cited(call, known, study, monkeypatch):
    one = CrystalExplanation(
        "Nb3Sn", "Nb3Sn", 223, {"tc_K": 17.0, "tc_K_std": 1.0, "in_domain": True, "warnings": None}, {"tc_K": 3.0},
        (SiteContribution("Nb", "c", 6, (0, 1), 12.5, 0.9, 0.1, 0.0), SiteContribution("Sn", "a", 2, (6,), 1.5, 0.1, 0.0, 0.0)),
        (Neighbour("mp-1", "Nb3Ge", 0.2, None, None, "a table"),),
        (Replacement("Sn", "Ge", 19.0, 1.9, 200.0, 2.0, 0.1, 5.0, in_domain=True),),
    )  # fmt: skip
    other = CrystalExplanation("NaCl", "NaCl", error="partly occupied")
    made = Explanation("structure", "f" * 64, (one, other))
    monkeypatch.setattr(explain, "explain", lambda *_, **__: made)
    found = call("explain", crystals=[f"{known}/Nb3Sn", f"{known}/NaCl"])
    assert [row.id for row in found.rows] == [
        "Nb3Sn", "Nb3Sn:site-1", "Nb3Sn:site-2", "Nb3Sn:neighbour-1", "Nb3Sn:Sn-Ge", "NaCl",
    ]  # fmt: skip
    assert found.n_failed == 1
    parts = [study.value(f"{found.set_id}/Nb3Sn:site-{i}/tc_contribution_K").value for i in (1, 2)]
    whole = study.value(f"{found.set_id}/Nb3Sn/tc_K")
    assert sum(parts) == whole.value - study.value(f"{found.set_id}/Nb3Sn/baseline_tc_K").value
    assert (whole.uncertainty, whole.text) == (1.0, "17.00 K")
    assert study.value(f"{found.set_id}/Nb3Sn:Sn-Ge/tc_change_K").text == "2 K"
    assert study.info(found.set_id).fingerprints == {"model structure": "f" * 64}


def test_ordered_cells_are_summed_up_under_the_name_of_the_crystal(call, known, study, monkeypatch):
    given = {}
    row = {"parent_id": "Nb3Sn", "formula": "Nb3Sn", "tc_K": 12.0, "tc_spread_K": 1.5, "n_cells": 3}
    summary = pa.Table.from_pylist([row], schema=pa.schema(SUMMARY.items()))
    cells = with_columns(known_table(["Nb3Sn"]), {"tc_model": ["structure"]})

    def fake(rows, **settings):
        given.update(settings)
        return order.OrderTable(summary, wrap(cells))

    monkeypatch.setattr(order, "order", fake)
    found = call("order", crystals=f"{known}/Nb3Sn", temperature_K=900, relax=True)
    assert study.value(f"{found.set_id}/Nb3Sn/tc_spread_K").text == "1.5 K"
    assert (given["temperature_K"], given["relax"], given["seed"]) == (900.0, True, 7)
    assert set(study.info(found.set_id).fingerprints) == {"model structure", "potential sevennet-0"}


def test_settings_reach_the_relaxation(call, known, monkeypatch):
    given = {}

    def fake(rows, **settings):
        given.update(settings)
        return wrap(rows)

    monkeypatch.setattr(crystals, "relax", fake)
    call("relax", crystals=known, fmax_eV_per_A=0.1)
    assert "pressure_GPa" not in given  # each at its own
    call("relax", crystals=known, pressure_GPa=0, potential="chgnet", keep_symmetry=False)
    assert (given["pressure_GPa"], given["potential"], given["keep_symmetry"]) == (0.0, "chgnet", False)
    assert given["device"] == "cpu"


def test_the_device_is_that_of_the_study(call, study, known, monkeypatch):
    path = study.folder / "study.toml"
    path.write_text(path.read_text() + 'device = "cuda"\n')
    given = {}
    monkeypatch.setattr(crystals, "hull", lambda rows, **settings: given.update(settings) or wrap(rows))
    call("hull", crystals=known)
    assert given["device"] == "cuda"


@pytest.mark.parametrize(
    ("tool", "most"), [("relax", 2000), ("predict", 2000), ("properties", 500), ("phonons", 50), ("explain", 50)]
)
def test_a_call_has_a_bound_that_its_error_states(call, study, tool, most):
    n = most + 1
    rows = pa.concat_tables([known_table(["Nb"])] * n)
    study.add("a" * 12, with_columns(rows, {"id": [f"r{i}" for i in range(n)]}), tool="made", arguments={})
    with pytest.raises(ConfigError, match=f"{n} crystals are too many for one call of {tool}: it takes {most}"):
        call(tool, crystals="a" * 12)
