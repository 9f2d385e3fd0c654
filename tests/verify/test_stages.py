"""Stages without any program: what is chosen, what becomes of a row, where unfinished work lies."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from onnes.campaign.funnels import load_funnel
from onnes.crystals.known import known_table
from onnes.crystals.schema import values, with_columns
from onnes.errors import ConfigError
from onnes.flow.engine import run_funnel
from onnes.flow.funnel import Funnel
from onnes.flow.local import LocalEngine
from onnes.flow.stage import StageContext
from onnes.verify import tables
from onnes.verify.columns import DFT_COLUMNS
from onnes.verify.programs import INSTALL
from onnes.verify.result import Verification
from onnes.verify.stages import DosStage, VerifyStage, VerifyStageSettings, default_folder
from onnes.verify.steps import opened
from onnes.verify.tables import crystal_of, place_of, verify_table
from onnes.verify.watcher import OWNER, end_programs
from tests.flow.toy_stages import InlineEngine, Witness
from tests.verify.fake_programs import BROKEN, pseudos, with_program, without_espresso

NONE = VerifyStageSettings(pw_command="no-such-pw.x")


def stage(**settings):
    return VerifyStage(VerifyStageSettings(**settings))


def test_without_programs_every_row_says_how_to_get_them_and_none_is_an_error(monkeypatch, tmp_path):
    without_espresso(monkeypatch, tmp_path)
    rows = []
    found = stage().apply(
        known_table(["Al", "Nb"]), StageContext("verify", on_rows=rows.append, work_folder=tmp_path / "work")
    )
    assert values(found, "dft_verdict") == ["not_available"] * 2
    assert all(INSTALL in reason for reason in values(found, "dft_reason"))
    assert values(found, "error") == [None, None]
    assert rows == [1, 1]
    assert values(found, "dft_key") == [None, None]


def test_the_best_rows_are_chosen():
    table = with_columns(known_table(["Al", "Nb", "Pb", "NbN"]), {"tc_K": [1.0, None, 7.0, 12.0]})
    assert stage().chosen(table) is None
    assert stage(top=2).chosen(table).tolist() == [False, False, True, True]
    assert stage(top=2, descending=False).chosen(table).tolist() == [True, False, True, False]
    assert stage(top=9).chosen(table).all()
    assert stage(top=1, order_by="e_above_hull_eV_per_atom").chosen(table).tolist() == [True, False, False, False]


def test_settings_of_the_dos_stage_know_no_other_level():
    assert DosStage(DosStage.settings_type()).settings.verify_settings().level == "dos"
    with pytest.raises(ValueError, match="level"):
        DosStage.settings_type(level="smoke")


def test_fingerprints_change_when_something_is_installed(monkeypatch, tmp_path):
    without_espresso(monkeypatch, tmp_path)
    missing = stage(level="dos").fingerprints()
    assert missing["program pw.x"] == "missing"
    assert {"program ph.x", "program q2r.x"} <= set(stage().fingerprints())
    with_program(monkeypatch, tmp_path)
    assert stage(level="dos").fingerprints()["program pw.x"] == "6.7MaX"
    folder = pseudos(tmp_path, "Al")
    before = stage(pseudos=str(folder)).fingerprints()["pseudopotentials"]
    (folder / "pseudos.toml").write_text((folder / "pseudos.toml").read_text() + "\n# a note\n")
    assert stage(pseudos=str(folder)).fingerprints()["pseudopotentials"] != before
    policy = tmp_path / "retries.toml"
    assert stage(retries=policy).fingerprints()["retries"] == "missing"
    policy.write_text("")
    assert len(stage(retries=policy).fingerprints()["retries"]) == 64


def test_settings_that_contradict_each_other_are_found_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match="has no phonons"):
        stage(level="dos", q_grid=(2, 2, 2)).apply(known_table(["Al"]), StageContext("verify", work_folder=tmp_path))


def test_a_crystal_that_fails_costs_no_other(monkeypatch, tmp_path):
    def fail(crystal, *_, **__):
        raise (ValueError("no such symmetry") if crystal.atomic_numbers == [13] else KeyError())

    monkeypatch.setattr(tables, "verify", fail)
    found = stage().apply(known_table(["Al", "Nb"]), StageContext("verify", work_folder=tmp_path))
    assert values(found, "dft_verdict") == ["failed", "failed"]
    assert values(found, "dft_reason") == ["no such symmetry", "KeyError"]
    assert values(found, "error") == [None, None]


def test_a_program_that_fails_is_a_verdict_and_leaves_its_folder(monkeypatch, tmp_path):
    with_program(monkeypatch, tmp_path, BROKEN)
    folder = pseudos(tmp_path, "Al")
    context = StageContext("verify", work_folder=tmp_path / "work")
    found = stage(level="dos", pseudos=str(folder)).apply(known_table(["Al"]), context).to_pylist()[0]
    assert found["dft_verdict"] == "failed"
    assert found["error"] is None
    place = tmp_path / "work" / found["dft_key"]
    assert (place / "result.json").is_file()
    assert place.parent.name == place_of(crystal_of(known_table(["Al"]), 0))


def test_a_crystal_that_another_process_computes_is_open_and_says_so(monkeypatch, tmp_path):
    with_program(monkeypatch, tmp_path, BROKEN)
    table, settings = known_table(["Al"]), VerifyStageSettings(level="dos", pseudos=str(pseudos(tmp_path, "Al")))
    how = (settings.verify_settings(), settings.run_settings(), tmp_path / "work")
    key = verify_table(table, *how)["dft_key"][0].as_py()
    with opened(tmp_path / "work" / key):
        found = verify_table(table, *how).to_pylist()[0]
    assert (found["dft_verdict"], found["error"]) == ("failed", None)
    assert "is in use by another run" in found["dft_reason"]


def test_rows_that_are_not_open_are_left_alone(monkeypatch, tmp_path):
    without_espresso(monkeypatch, tmp_path)
    table = with_columns(known_table(["Al", "Nb"]), {"rejected_by": [None, "tc"], "reason": [None, "tc_K = 0"]})
    found = verify_table(table, NONE.verify_settings(), NONE.run_settings(), tmp_path)
    assert values(found, "dft_verdict") == ["not_available", None]


def test_hours_are_those_of_all_rows(monkeypatch, tmp_path):
    hours = []

    def late(*_, run, **__):
        hours.append(run.hours)
        time.sleep(0.05)
        raise ValueError("late")

    monkeypatch.setattr(tables, "verify", late)
    settings = VerifyStageSettings(hours=1.0)
    verify_table(known_table(["Al", "Nb"]), settings.verify_settings(), settings.run_settings(), tmp_path)
    assert 0.9 < hours[1] < hours[0] <= 1.0


@pytest.mark.parametrize("scale", [1.0, 1.0 + 1e-9])
def test_the_place_of_a_crystal_is_named_by_its_content(scale):
    lattice = scale * 2.02 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    assert place_of(tables.Crystal(lattice, [[0, 0, 0]], [13])) == place_of(
        tables.Crystal(lattice / scale, [[0.0, 0, 0]], [13])
    )
    assert place_of(tables.Crystal(1.01 * lattice, [[0, 0, 0]], [13])) != place_of(
        tables.Crystal(lattice, [[0, 0, 0]], [13])
    )


def test_without_a_campaign_the_work_lies_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    assert default_folder() == tmp_path / "verification"


def funnel(**settings):
    step = {"use": "verify", "name": "verify", "settings": {"pw_command": "no-such-pw.x", **settings}}
    return Funnel(name="only", stage=(step,))


def test_each_row_is_a_shard_and_only_the_best_are_computed(tmp_path):
    load_funnel()
    table = with_columns(known_table(["Al", "Nb", "Pb"]), {"tc_K": [1.0, 9.0, 7.0]})
    witness = Witness()
    how = {"device": "cpu", "seed": 0, "work_folder": tmp_path / "verification"}
    found = run_funnel(table, funnel(top=2), tmp_path / "stages", InlineEngine(), witness, **how)
    assert values(found.table, "id") == ["Al", "Nb", "Pb"]
    assert values(found.table, "dft_verdict") == [None, "not_available", "not_available"]
    assert [len(runs or ()) for runs in values(found.table, "runs")] == [0, 1, 1]
    assert (found.outcomes[0].entered, found.outcomes[0].passed, sum(witness.ticks)) == (3, 3, 3)
    assert len(list((tmp_path / "stages").glob("*/out/*.parquet"))) == 2
    again = Witness()
    run_funnel(table, funnel(top=2), tmp_path / "stages", InlineEngine(), again, **how)
    assert (again.outcomes[0].reused, again.ticks) == (2, [3])
    assert set(found.writers) == set(DFT_COLUMNS)


def test_the_next_run_computes_again_what_failed_and_nothing_else(monkeypatch, tmp_path):
    load_funnel()
    seen = []

    def verify(crystal, *_, **__):
        seen.append(crystal.atomic_numbers)
        if crystal.atomic_numbers == [13] and len(seen) < 3:
            raise ValueError("the disk is full")
        return Verification(key="k", level="smoke", verdict="superconductor", formula="X", n_atoms=1)

    monkeypatch.setattr(tables, "verify", verify)
    verdicts = []
    for _ in range(3):
        how = {"device": "cpu", "seed": 0, "work_folder": tmp_path / "work"}
        found = run_funnel(known_table(["Al", "Nb"]), funnel(), tmp_path / "stages", InlineEngine(), Witness(), **how)
        verdicts.append(values(found.table, "dft_verdict"))
    assert verdicts == [["failed", "superconductor"], ["superconductor"] * 2, ["superconductor"] * 2]
    assert seen == [[13], [41], [13]]


def test_workers_find_the_stage(tmp_path):
    load_funnel()
    with LocalEngine(1) as engine:
        found = run_funnel(
            known_table(["Al"]), funnel(), tmp_path / "stages", engine, Witness(), device="cpu", seed=0,
            work_folder=tmp_path / "verification",
        )  # fmt: skip
    assert values(found.table, "dft_verdict") == ["not_available"]


def test_a_funnel_ends_with_the_verification_that_is_asked_for():
    from onnes.tools.campaigns import _steps

    before = [step.name for step in _steps().steps]
    dos = _steps(verify="dos", verify_top=3)
    assert [step.name for step in dos.steps] == [*before, "dos", "electronic"]
    assert dos.build()[-2].settings.top == 3
    smoke = _steps(verify="smoke", verify_top=None, pseudos="somewhere").build()[-1]
    assert (smoke.settings.level, smoke.settings.top) == ("smoke", None)
    assert Path(smoke.settings.pseudos).is_absolute()
    with pytest.raises(ConfigError, match="level"):
        _steps(verify="best")
    with pytest.raises(ConfigError, match="verify='dos'"):
        _steps(pseudos="somewhere")


def test_a_program_ends_with_the_process_that_started_it_however_that_ends(monkeypatch, tmp_path):
    started = with_program(monkeypatch, tmp_path)
    program = (
        "import sys; from pathlib import Path; from onnes.crystals.known import known_table\n"
        "from onnes.verify.settings import RunSettings, VerifySettings; from onnes.verify.tables import verify_table\n"
        "verify_table(known_table(['Al']), VerifySettings(level='dos', pseudos=sys.argv[1]), RunSettings(), Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(pseudos(tmp_path, "Al")), str(tmp_path / "work")], stderr=subprocess.DEVNULL
    )
    wait(started.is_file, 60)
    pw = psutil.Process(int(started.read_text()))
    assert pw.is_running()
    process.kill()
    process.wait()
    wait(lambda: not psutil.pid_exists(pw.pid), 20)


def wait(condition, within_s):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.05)


def test_only_programs_of_an_owner_are_ended():
    environment = dict(os.environ)
    kept = subprocess.Popen(["sleep", "60"], env=environment | {OWNER: "a"})  # no program of a verification
    ended = subprocess.Popen(["sleep", "60"], env=environment | {OWNER: "a", "ONNES_VERIFY_FOLDER": "/work"})
    other = subprocess.Popen(["sleep", "60"], env=environment | {OWNER: "b", "ONNES_VERIFY_FOLDER": "/work"})
    try:
        assert end_programs("a") == 1
        ended.wait(5)
        assert (kept.poll(), other.poll()) == (None, None)
    finally:
        for process in (kept, other, ended):
            process.kill()
            process.wait()
