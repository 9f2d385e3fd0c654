"""The tool ``phonons`` by a potential that takes milliseconds, and once by the default one."""

import json

import numpy as np
import pytest

import onnes
from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.schema import with_columns
from onnes.crystals.symmetry import describe
from onnes.physics.phonon_bands import NO_NAC
from onnes.potentials import phonon_tables
from onnes.potentials import potential as registry
from onnes.tools import phonons as tools
from onnes.tools.inputs import as_table
from onnes.tools.phonons import PhononTable, phonons
from onnes.tools.registry import tool
from tests.potentials.fakes import NEAREST_A, FakePotential, barium_titanate, fcc

HOW = {"potential": "fake", "refine": False, "min_length_A": 7.5}
SIMPLE_CUBIC = (NEAREST_A * np.eye(3), np.zeros((1, 3)), [29])


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): FakePotential(raises_for=[47])})


@pytest.fixture
def found(fake, tmp_path) -> PhononTable:
    batch = CrystalBatch.of([fcc(29, scale=1.02), SIMPLE_CUBIC, fcc(47)])
    rows = []
    result = phonons(batch, **HOW, follow=True, plots=tmp_path / "figures", on_rows=rows.append)
    assert sum(rows) == 5  # three relaxed, two with phonons
    return result


def test_rows_and_children(found) -> None:
    assert found["phonon_grade"] == ["stable", "unstable", None, None]
    assert found["parent_id"][2] == found["id"][1]
    assert found["source"][2] == "soft mode"
    assert found["geometry"][:3] == ["fake"] * 3
    assert found.n_failed == 1
    assert "relaxation failed" in found["error"][3]
    assert set(found.details) == set(found["id"][:2])


def test_details(found) -> None:
    detail = found.details[found["id"][0]]
    assert detail.bands.ticks()[1][:2] == ["Γ", "X"]
    assert detail.thermal.n_atoms == 1
    assert detail.supercell == "4x4x4"
    assert np.trapezoid(detail.dos.dos, detail.dos.omega_meV) == pytest.approx(3, rel=0.01)


def test_json_has_bands_dos_and_thermal_properties(found) -> None:
    rows = json.loads(found.to_json())
    assert rows[0]["phonons"]["remark"] == NO_NAC
    assert "non-analytic correction" in NO_NAC
    assert rows[0]["phonons"]["bands"]["segments"][0]["start"] == "Γ"
    thermal = rows[0]["phonons"]["thermal"]
    assert len(thermal["temperatures_K"]) == len(thermal["free_energy_kJ_per_mol_cell"])
    assert rows[1]["phonons"]["bands"]["segments"]
    assert "phonons" not in rows[2]
    assert json.loads(found.to_json(["id"])) == [{"id": name} for name in found["id"]]


def test_printed_table(found) -> None:
    text = repr(found)
    headings = ("lowest / THz", "grade", "highest / THz", "C(300 K) / J/K", "per mole of atoms", "supercell")
    for words in (*headings, "unstable", "4x4x4"):
        assert words in text
    assert "below the parent" in " ".join(text.split())
    assert "0.01 A" in text


def test_figures(found, tmp_path) -> None:
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["phonons-1.svg", "phonons-2.svg", "thermal-1.svg", "thermal-2.svg"]
    bands = (tmp_path / "figures" / "phonons-1.svg").read_text(encoding="utf-8")
    for words in ("Γ", "U|K", "frequency (THz)", "modes per THz and cell", "Cu, fake"):
        assert words in bands
    thermal = (tmp_path / "figures" / "thermal-1.svg").read_text(encoding="utf-8")
    for words in (
        "temperature (K)",
        "free energy (kJ per mole of atoms)",
        "heat capacity (J/K per mole of atoms)",
        "3R",
    ):
        assert words in thermal
    assert [str(path) for path in sorted((tmp_path / "figures").glob("*-1.svg"))] == sorted(
        found.details[found["id"][0]].figures
    )


def test_given_geometry_without_relaxation(fake) -> None:
    stretched = CrystalBatch.of([fcc(29, scale=1.12)])
    there = phonons(stretched, **HOW, relax=False)
    assert there["phonon_grade"] == ["unstable"]
    assert there["geometry"] == ["input"]
    assert phonons(stretched, **HOW)["phonon_grade"] == ["stable"]


def test_followed_without_success_is_said(fake) -> None:
    """Torn crystals snap, but a stable one has nothing to follow, and says nothing."""
    stable = phonons(CrystalBatch.of([fcc(29)]), **HOW, follow=True)
    assert len(stable) == 1
    assert stable["notes"] == [None]


def test_every_note_of_a_row_is_kept(fake, monkeypatch) -> None:
    def broken(*_, **__):
        raise ArithmeticError("no number")

    table = as_table(CrystalBatch.of([SIMPLE_CUBIC, fcc(29)]))
    monkeypatch.setattr(tools, "phonon_bands", broken)
    monkeypatch.setattr(phonon_tables, "follow_soft_modes", broken)
    found = phonons(with_columns(table, {"notes": ["old", None]}), **HOW, follow=True)
    bands = "no bands: ArithmeticError: no number"
    assert found["notes"] == [f"old; {bands}; soft modes not followed: ArithmeticError: no number", bands]
    assert found["error"] == [None, None]
    assert [detail.bands for detail in found.details.values()] == [None, None]
    assert json.loads(found.to_json())[0]["phonons"]["bands"] is None


def test_figures_that_cannot_be_drawn_cost_nothing_else(fake, tmp_path) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be", encoding="utf-8")
    found = phonons(CrystalBatch.of([fcc(29)]), **HOW, plots=tmp_path / "taken")
    assert found["phonon_grade"] == ["stable"]
    assert found["notes"][0].startswith("not drawn: ")
    assert found.details[found["id"][0]].figures == ()


def test_small_distortion_survives_the_relaxation(monkeypatch) -> None:
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FlatPotential")})
    monkeypatch.setattr(registry, "_LOADED", {})
    found = phonons(CrystalBatch.of([barium_titanate()]), **(HOW | {"min_length_A": 3.0}))
    assert found["geometry"] == ["fake"]
    [crystal] = CrystalBatch.from_table(found.table)
    assert describe(*crystal, symprec=0.01).space_group == 99
    assert describe(*barium_titanate(0.005), symprec=0.01).space_group == 221


def test_every_crystal_at_its_own_pressure(fake) -> None:
    table = with_columns(as_table(CrystalBatch.of([fcc(29), fcc(29)])), {"pressure_GPa": [20.0, 0.0]})
    found = phonons(table, **HOW)
    assert found["pressure_GPa"] == [20.0, 0.0]
    pressed, free = CrystalBatch.from_table(found.table).volumes
    assert pressed < 0.97 * free
    assert found["max_phonon_THz"][0] > 1.05 * found["max_phonon_THz"][1]


def test_nothing_given(fake) -> None:
    assert len(phonons(CrystalBatch.of([]), **HOW)) == 0


def test_default_potential_and_its_sibling() -> None:
    """Aluminium: 7.5 THz by the default potential at 3x3x3, measured before; 9.7 THz by neutrons."""
    found = onnes.phonons(known_crystal("Al", primitive=True), min_length_A=5.5)
    assert found["phonon_grade"] == ["stable"]
    assert found["max_phonon_THz"][0] == pytest.approx(7.5, abs=0.8)
    assert "sevennet-0 2x2x2" in found["phonon_reason"][0]
    assert "sevennet-l3i5 2x2x2" in found["phonon_reason"][0]


def test_registered() -> None:
    assert tool("phonons").function() is phonons
