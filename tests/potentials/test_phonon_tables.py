"""Phonons of table rows, rows for children, and the two stages."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from onnes.campaign.funnels import register_builtin_stages
from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values, with_columns
from onnes.crystals.table import crystal_table
from onnes.flow.stage import StageContext, StageKind, stage_class
from onnes.potentials import phonon_tables
from onnes.potentials import potential as registry
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.phonon_settings import PHONON_COLUMNS, FollowSettings, GradeSettings
from onnes.potentials.phonon_stages import PhononSettings, PhononStage, SoftModeSettings, SoftModeStage
from onnes.potentials.phonon_tables import phonon_table, with_soft_mode_children
from tests.potentials.fakes import NEAREST_A, FakePotential, fcc

HOW = {"potential": "fake", "sibling": "fake", "refine": "never", "min_length_A": 7.5}
SIMPLE_CUBIC = (NEAREST_A * np.eye(3), np.zeros((1, 3)), [29])


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    made = FakePotential(raises_for=[47])
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): made})
    return made


@pytest.fixture
def table():
    batch = CrystalBatch.of([fcc(29), SIMPLE_CUBIC, fcc(47), fcc(13)])
    made = crystal_table(batch, ids=["good", "saddle", "bad", "closed"], source="tests")
    return with_columns(made, {"error": [None, None, None, "before"]})


def test_columns(table) -> None:
    rows, received = [], {}
    out = phonon_table(table, GradeSettings(**HOW), on_rows=rows.append, receive=received.__setitem__)
    assert sum(rows) == 3
    assert values(out, "id") == values(table, "id")
    assert values(out, "phonon_grade") == ["stable", "unstable", None, None]
    assert values(out, "min_phonon_THz")[0] == pytest.approx(0, abs=0.01)
    assert values(out, "min_phonon_THz")[1] < -1
    assert values(out, "max_phonon_THz")[0] > 3
    assert values(out, "phonon_supercell")[:2] == ["4x4x4", "4x4x4"]
    assert 20 < values(out, "heat_capacity_300K_J_per_mol_K")[0] < 24.95
    assert "fake 4x4x4 0.01 A" in values(out, "phonon_reason")[1]
    assert "phonons failed" in values(out, "error")[2] or "relaxation failed" in values(out, "error")[2]
    assert values(out, "error")[3] == "before"
    assert values(out, "lattice") == values(table, "lattice")  # the rows stay where they are
    assert sorted(received) == [0, 1]
    assert received[1].grade == "unstable"


def test_children_come_behind_their_parents(table) -> None:
    out = phonon_table(table, GradeSettings(**HOW))
    rows = []
    more = with_soft_mode_children(out, FollowSettings(), GradeSettings(**HOW), on_rows=rows.append)
    assert sum(rows) == 4
    assert values(more, "id") == ["good", "saddle", "saddle-soft-1", "bad", "closed"]
    child = more.slice(2, 1).to_pylist()[0]
    assert child["parent_id"] == "saddle"
    assert child["source"] == "soft mode"
    assert json.loads(child["how"])["op"] == "soft mode"
    assert child["geometry"] == child["potential"] == "fake"
    assert "meV/atom below the parent, space group 221 ->" in child["notes"]
    assert child["relax_converged"]
    assert child["space_group"] != 221
    assert child["phonon_grade"] is None  # its own phonons are not known yet
    again = with_soft_mode_children(out, FollowSettings(), GradeSettings(**HOW))
    assert values(again, "how") == values(more, "how")


def test_only_the_wanted_grades_are_followed(table) -> None:
    out = phonon_table(table, GradeSettings(**HOW))
    more = with_soft_mode_children(out, None, GradeSettings(**HOW), grades=("doubtful",))
    assert more.num_rows == 4
    unknown = with_columns(out, {"phonon_grade": [None] * 4})
    assert with_soft_mode_children(unknown, None, GradeSettings(**HOW)).num_rows == 4


def test_parent_that_cannot_be_followed_says_so(table) -> None:
    graded = with_columns(table, {"phonon_grade": [None, None, "unstable", None], "notes": [None, None, "old", None]})
    out = with_soft_mode_children(graded, None, GradeSettings(**HOW))
    assert out.num_rows == 4
    assert values(out, "notes")[2].startswith("old; soft modes not followed: ")
    assert values(out, "error")[2] is None


def test_parent_whose_modes_lead_nowhere_says_why(table) -> None:
    graded = with_columns(table, {"phonon_grade": ["unstable", "unstable", None, None]})
    out = with_soft_mode_children(graded, FollowSettings(max_child_atoms=1), GradeSettings(**HOW))
    assert out.num_rows == 4
    assert values(out, "notes")[0].startswith("no soft mode to follow")
    assert "not tried, because their cells have more than 1 atoms" in values(out, "notes")[1]


def test_anything_that_goes_wrong_with_one_row_stays_there(table, monkeypatch) -> None:
    def broken(*_, **__):
        raise ArithmeticError("no number")

    def receive(row, found):
        if row == 0:
            raise TypeError("not this one")

    out = phonon_table(table, GradeSettings(**HOW), receive=receive)
    assert values(out, "error")[:2] == ["phonons failed: TypeError: not this one", None]
    monkeypatch.setattr(phonon_tables, "follow_soft_modes", broken)
    more = with_soft_mode_children(out, None, GradeSettings(**HOW))
    assert more.num_rows == 4
    assert values(more, "notes")[1] == "soft modes not followed: ArithmeticError: no number"
    monkeypatch.setattr(phonon_tables, "heat_capacity_J_per_mol_cell_K", broken)
    out = phonon_table(table, GradeSettings(**HOW))
    assert values(out, "error")[:2] == ["phonons failed: ArithmeticError: no number"] * 2


def test_empty_table(table) -> None:
    empty = table.slice(0, 0)
    assert phonon_table(empty, GradeSettings(**HOW)).num_rows == 0
    assert with_soft_mode_children(empty, None, GradeSettings(**HOW)).num_rows == 0


def test_stages_are_registered() -> None:
    register_builtin_stages()
    assert stage_class("phonons") is PhononStage
    assert stage_class("soft-mode") is SoftModeStage
    assert PhononStage.kind is StageKind.MAP
    assert SoftModeStage.kind is StageKind.EXPANDER
    assert not PhononStage.whole_table
    assert PhononStage.writes == PHONON_COLUMNS


def test_stages_do_what_the_functions_do(table) -> None:
    open_rows = table.slice(0, 2)
    rows = []
    context = StageContext("phonons", on_rows=rows.append)
    graded = PhononStage(PhononSettings(**HOW)).apply(open_rows, context)
    assert values(graded, "phonon_grade") == ["stable", "unstable"]
    stage = SoftModeStage(SoftModeSettings(phonons=HOW, follow={"max_children": 2}))
    more = stage.apply(graded, context)
    assert values(more, "parent_id")[2] == "saddle"
    assert sum(rows) == 4


def test_fingerprints() -> None:
    both = PhononStage(PhononSettings()).fingerprints()
    assert both == {f"potential {name}": potential_sha256(name) for name in ("sevennet-0", "sevennet-l3i5")}
    assert len(PhononStage(PhononSettings(refine="never")).fingerprints()) == 1
    assert SoftModeStage(SoftModeSettings()).fingerprints() == {"potential": potential_sha256("sevennet-0")}


@pytest.mark.parametrize("settings", [{"min_length_A": -1}, {"refine": "sometimes"}, {"grade": "stable"}])
def test_senseless_settings(settings) -> None:
    with pytest.raises(ValidationError):
        PhononSettings(**settings)
