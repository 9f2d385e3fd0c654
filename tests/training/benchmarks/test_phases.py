from dataclasses import replace

import pyarrow as pa
import pytest

from onnes.crystals.binary_phases import BinarySystem, phase_crystals
from onnes.crystals.known import entries_table
from onnes.physics.hull import Hull
from onnes.physics.reference import SCHEMA, Reference
from onnes.training.benchmarks import phases as module
from onnes.training.benchmarks.phases import RelaxedPhases, benchmark_phases, relax_phases, score_system


def table(energies):
    rows = {"id": [f"mp-{i}" for i in range(len(energies))], "reduced_formula": list(energies)}
    rows["energy_eV_per_atom"] = list(energies.values())
    return pa.table({f.name: pa.array(rows.get(f.name, [None] * len(energies)), f.type) for f in SCHEMA})


def reference(energies):
    return Reference("made up", "sevennet-0", "", "raw", table(energies), "", {})


ENERGIES = {
    "Nb": -10.0,
    "Sn": -4.0,
    "Nb3Sn": -8.8,
    "NbSn2": -6.2,
    "Nb6Sn5": -7.48,
    "NbSn": -7.25,
    "Nb2Sn": -7.9,
    "NbSn5": -5.05,
}
# formation: Nb3Sn -0.3, NbSn2 -0.2, Nb6Sn5 -0.207, NbSn -0.25, Nb2Sn +0.1, NbSn5 -0.05


def test_found_near_missed_and_spurious() -> None:
    system = BinarySystem("Nb-Sn", ("Nb3Sn", "Nb6Sn5", "NbSn2", "Nb9Sn"), "made up")
    score = score_system(Hull(reference(ENERGIES)), system)
    assert score.found == ["Nb3Sn", "NbSn2"]
    assert score.missed == ["Nb6Sn5", "Nb9Sn"]
    assert score.heights["Nb9Sn"] is None
    assert score.heights["Nb6Sn5"] == pytest.approx(0.0518, abs=1e-3)  # above the line from Nb3Sn to NbSn
    assert score.spurious == ("NbSn",)


def test_a_little_above_the_hull_is_near_it() -> None:
    score = score_system(Hull(reference({**ENERGIES, "Nb6Sn5": -7.52})), BinarySystem("Nb-Sn", ("Nb6Sn5",), ""))
    assert (score.found, score.near, score.missed) == ([], ["Nb6Sn5"], [])


def test_relaxed_crystals_that_change_are_left_out(monkeypatch, tmp_path) -> None:
    entry = phase_crystals()["AlNi3"]
    swollen = replace(entry, name="swollen", cell=(3.8, 3.8, 3.8, 90.0, 90.0, 90.0))
    mislabelled = replace(entry, name="mislabelled", space_group=225)
    made = {e.name: e for e in (entry, swollen, mislabelled)}
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "phase_crystals", lambda: made)
    crystals = entries_table([entry, swollen, replace(entry, name="mislabelled")])
    found = relax_phases(crystals, "sevennet-0")
    assert found.table["id"].to_pylist() == ["known:AlNi3"]
    assert found.table.schema.equals(SCHEMA)
    assert found.table["energy_eV_per_atom"][0].as_py() == pytest.approx(-5.7008, abs=2e-3)
    assert found.lost["swollen"].startswith("volume changed by -")
    assert found.lost["mislabelled"] == "space group 225 became 221"
    assert abs(found.volume_change["AlNi3"]) < 0.02
    assert found.forces_eV_per_A["AlNi3"] < 0.01
    monkeypatch.setattr(module, "relax_table", None)  # a second run finds every crystal on disk
    again = relax_phases(crystals, "sevennet-0")
    assert again.table.equals(found.table)
    assert (again.lost, again.forces_eV_per_A) == (found.lost, found.forces_eV_per_A)


def test_table_of_systems(monkeypatch) -> None:
    systems = {
        "Nb-Sn": BinarySystem("Nb-Sn", ("Nb3Sn", "Nb6Sn5", "NbSn2"), "made up", remark="hot"),
        "Al-Ni": BinarySystem("Al-Ni", ("AlNi3", "Al9Ni2"), "made up"),
    }
    shipped = {**{k: v for k, v in ENERGIES.items() if k != "NbSn2"}, "Al": -3.7, "Ni": -5.8}
    relaxed = RelaxedPhases(
        table({"NbSn2": -6.2, "AlNi3": -5.7}),
        {"NbSn2": 0.2, "AlNi3": 0.1},
        {"NbSn2": -0.03, "AlNi3": 0.01},
        {"Al9Ni2": "bad"},
    )
    monkeypatch.setattr(module, "binary_systems", lambda: systems)
    monkeypatch.setattr(module, "system_table", lambda: None)
    monkeypatch.setattr(module, "relax_phases", lambda *_, **__: relaxed)
    monkeypatch.setattr(module.Reference, "shipped", lambda _: reference(shipped))
    result = benchmark_phases()
    assert result.rows == [
        ("Nb-Sn", "Nb3Sn, NbSn2", "–", "Nb6Sn5 (52)", "NbSn"), ("Al-Ni", "AlNi3", "–", "Al9Ni2 (no crystal)", "–"),
    ]  # fmt: skip
    counts = {key: result.values[key] for key in ("known", "found", "near", "missed", "spurious")}
    assert counts == {"known": 5, "found": 3, "near": 0, "missed": 2, "spurious": 1}
    assert "no energy of NbSn2, AlNi3, Al9Ni2" in result.notes[3]
    assert "0.20 (NbSn2)" in result.notes[3]
    assert "Al9Ni2 (bad)" in result.notes[4]
    assert "Nb3Sn 0.0 meV/atom" in result.notes[5]
    assert "V3Si without an energy" in result.notes[5]


def test_another_crystal_than_the_published_one_is_named() -> None:
    rows = table({**ENERGIES, "NbSn2": -6.1})
    labels = ["A", "B", "Nb3Sn-A15", "NbSn2-found", *["other"] * 4]
    found = rows.set_column(SCHEMA.get_field_index("prototype"), SCHEMA.field("prototype"), pa.array(labels))
    published = table({"NbSn2": -6.0, "Nb3Sn": -8.7}).set_column(
        SCHEMA.get_field_index("id"), SCHEMA.field("id"), pa.array(["known:NbSn2", "known:Nb3Sn"])
    )
    published = published.set_column(
        SCHEMA.get_field_index("prototype"), SCHEMA.field("prototype"), pa.array(["NbSn2-published", "Nb3Sn-A15"])
    )
    fuller = replace(reference({}), table=pa.concat_tables([found, published]))
    hull = Hull(fuller)
    score = score_system(hull, BinarySystem("Nb-Sn", ("Nb3Sn", "NbSn2", "NbSn"), "made up"))
    assert module._other_crystals(fuller, hull, score) == ["NbSn2 (mp-3)"]
