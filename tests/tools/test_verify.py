"""The tool ``verify`` where no program is, and where the program is a stand-in."""

import json
import time

import psutil
import pytest
import tomlkit

import onnes
from onnes.campaign.study import Study
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError, CrystalError, VerificationError
from onnes.tools import jobs
from onnes.tools.call import call_tool
from onnes.tools.campaigns import screen
from onnes.tools.study_input import bring_in
from onnes.tools.verify import verify
from onnes.verify import tables
from onnes.verify.coupling import coupling_of
from onnes.verify.programs import INSTALL
from onnes.verify.result import Verification
from onnes.verify.settings import RunSettings
from onnes.verify.stages import VerifyStage
from onnes.verify.verdict import Verdict
from tests.verify.fake_programs import BROKEN, pseudos, with_program, without_espresso
from tests.verify.recordings import recorded

NONE = RunSettings(pw_command="no-such-pw.x")


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study")


@pytest.fixture
def aluminium(monkeypatch):
    """Every verification finds what was recorded of aluminium."""
    grid, points = recorded("al2")
    coupling = coupling_of(points, grid, n_atoms=1, mu_stars=(0.10, 0.13, 0.16))

    def found(crystal, settings, folder, **_):
        (folder / "k1").mkdir(parents=True, exist_ok=True)
        (folder / "k1" / "request.json").write_text(settings.model_dump_json())
        result = Verification(
            key="k1", level=settings.level, verdict=Verdict.SUPERCONDUCTOR, reason="seen", formula="Al", n_atoms=1,
            energy_eV_per_atom=-56.0, coupling=coupling, functional="LDA", min_phonon_THz=4.0,
        )  # fmt: skip
        (folder / "k1" / "result.json").write_text(result.model_dump_json())
        return result

    monkeypatch.setattr(tables, "verify", found)


def test_it_is_a_function_of_the_package():
    assert onnes.verify is verify


def test_without_programs(tmp_path):
    rows = []
    found = verify(known_table(["Al", "Nb"]), out=tmp_path / "work", run=NONE, on_rows=rows.append)
    assert found["dft_verdict"] == ["not_available"] * 2
    assert (found.n_undone, found.n_failed, sum(rows)) == (2, 0, 2)
    assert INSTALL.split()[0] in repr(found)
    assert json.loads(found.to_json())[0]["verification"]["verdict"] == "not_available"
    assert found.folders == {}
    assert not (tmp_path / "work").exists()


def test_ids_choose_rows(tmp_path):
    table = known_table(["Al", "Nb", "Pb"])
    assert verify(table, ids=["Pb", "Al"], out=tmp_path, run=NONE)["id"] == ["Pb", "Al"]
    with pytest.raises(ConfigError, match="no row 'Sn'; there are Al, Nb, Pb"):
        verify(table, ids=["Sn"], out=tmp_path, run=NONE)
    with pytest.raises(CrystalError, match="no crystal"):
        verify(table.slice(0, 0), out=tmp_path, run=NONE)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"level": "best"}, "level"),
        ({"mu_stars": (0.1,)}, "mu_stars"),
        ({"level": "dos", "q_grid": (2, 2, 2)}, "no phonons"),
    ],
)
def test_bad_settings_are_told_before_anything_is_done(given, words, tmp_path):
    with pytest.raises(ConfigError, match=words):
        verify(known_table(["Al"]), out=tmp_path, run=NONE, **given)


def test_the_pressure_is_that_which_is_given(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(tables, "verify", lambda crystal, *_, **__: asked.append(crystal.pressure_GPa) or 1 / 0)
    table = with_columns(known_table(["Al", "Nb"]), {"pressure_GPa": [5.0, None]})
    verify(table, out=tmp_path)
    verify(table, out=tmp_path, pressure_GPa=20.0)
    assert asked == [5.0, 0.0, 20.0, 20.0]


def test_what_was_found_is_in_table_json_and_figures(aluminium, tmp_path):
    found = verify(known_table(["Al"]), out=tmp_path / "work", plots=tmp_path / "figures")
    assert "superconductor" in repr(found)
    assert "lower: coarse grid" in found.remarks()[0]
    (row,) = json.loads(found.to_json())
    assert len(row["verification"]["coupling"]["curve"]) > 5
    assert row["folder"] == str(found.folders["Al"])
    assert {path.name for path in (tmp_path / "figures").iterdir()} >= {"lambda_sigma-1.svg", "alpha2f-1.svg"}
    assert json.loads(found.to_json(["id", "dft_tc_K"]))[0].keys() == {"id", "dft_tc_K"}


def test_of_a_campaign_the_best_survivor_or_those_named(tmp_path):
    light = tmp_path / "light.toml"
    light.write_text('name = "light"\n[[stage]]\nuse = "gate"\nname = "size"\ncolumn = "n_atoms"\nmax = 6\n')
    table = with_columns(known_table(["Al", "Nb", "Nb3Sn"]), {"tc_K": [1.0, 9.0, 18.0]})
    folder = screen(table, tmp_path / "campaign", funnel=str(light), workers=1).folder
    assert verify(folder, run=NONE)["id"] == ["Nb"]
    assert verify([str(folder)], ids=["Al", "Nb"], run=NONE)["id"] == ["Al", "Nb"]


def test_a_campaign_with_a_verification_finishes_without_programs(monkeypatch, tmp_path):
    without_espresso(monkeypatch, tmp_path)
    found = screen(known_table(["Nb", "NaCl"]), tmp_path / "campaign", verify="smoke", workers=1)
    rows = {row["id"]: row for row in found.table.to_dicts()}
    assert rows["Nb"]["dft_verdict"] == "not_available"
    assert INSTALL in rows["Nb"]["dft_reason"]
    assert rows["Nb"]["tc_K"] > 0
    assert "dft_verdict" not in rows["NaCl"]
    assert found.report.is_file()


def test_a_study_keeps_no_set_of_what_was_not_available(monkeypatch, study, tmp_path):
    without_espresso(monkeypatch, tmp_path)
    known = bring_in(study, known_table(["Al"])).set_id
    with pytest.raises(VerificationError, match="apt-get install"):
        call_tool(study, "verify", {"crystals": [known]})
    assert [one.tool for one in study.sets()] == ["files"]
    report = call_tool(study, "verification", {"crystals": f"{known}/Al"})
    assert (report.state, report.steps) == ("none", [])


def test_a_set_and_the_state_of_its_crystal(aluminium, study):
    known = bring_in(study, known_table(["Al", "Nb"])).set_id
    made = call_tool(study, "verify", {"crystals": f"{known}/Al", "q_grid": "2x2x2"})
    values = made.rows[0].values
    assert (values["dft_verdict"], values["dft_reason"]) == ("superconductor", "seen")
    assert study.value(f"{made.set_id}/Al/dft_tc_K").value > 0
    assert "program pw.x" in study.info(made.set_id).fingerprints
    report = call_tool(study, "verification", {"crystals": f"{made.set_id}/Al"})
    assert (report.state, report.verdict, report.level, report.levels) == ("done", "superconductor", "smoke", ["smoke"])
    assert [one.mu_star for one in report.tc] == [0.10, 0.13, 0.16]
    assert any(one.on_plateau for one in report.lambda_curve)
    assert not all(one.on_plateau for one in report.lambda_curve)
    assert any("coarse grid" in remark for remark in report.remarks)
    assert (study.folder / report.folder / "result.json").is_file()
    assert call_tool(study, "verification", {"crystals": f"{known}/Al", "level": "final"}).state == "none"
    with pytest.raises(ConfigError, match="takes one crystal"):
        call_tool(study, "verification", {"crystals": known})


def test_a_job_that_is_cancelled_leaves_no_program_behind(monkeypatch, study, tmp_path):
    started = with_program(monkeypatch, tmp_path)
    _with_pseudos(study, pseudos(tmp_path, "Al"))
    known = bring_in(study, known_table(["Al"])).set_id
    job = jobs.start(study, "verify", {"crystals": f"{known}/Al", "level": "dos"})
    assert _wait(started.is_file, 60)
    time.sleep(0.1)
    pw = int(started.read_text())
    assert psutil.pid_exists(pw)
    report = call_tool(study, "verification", {"crystals": f"{known}/Al"})
    assert (report.state, [(one.name, one.state) for one in report.steps]) == ("running", [("scf", "running")])
    assert jobs.stop(study, job.set_id).state == "cancelled"
    assert _wait(lambda: not psutil.pid_exists(pw), 20)
    report = call_tool(study, "verification", {"crystals": f"{known}/Al"})
    assert (report.state, [one.state for one in report.steps]) == ("interrupted", ["interrupted"])


def test_the_study_says_which_pseudopotentials(monkeypatch, study, tmp_path):
    with_program(monkeypatch, tmp_path, BROKEN)
    _with_pseudos(study, pseudos(tmp_path, "Al"))
    known = bring_in(study, known_table(["Al"])).set_id
    made = call_tool(study, "verify", {"crystals": known, "level": "dos"})
    assert made.rows[0].values["dft_verdict"] == "failed"
    prints = study.info(made.set_id).fingerprints
    assert prints["program pw.x"] == "6.7MaX"
    assert prints["pseudopotentials"] == VerifyStage(
        VerifyStage.settings_type(level="dos", pseudos=study.settings["pseudos"])
    ).fingerprints()["pseudopotentials"]  # fmt: skip


def _with_pseudos(study, folder):
    (study.folder / "study.toml").write_text(tomlkit.dumps({**study.settings, "pseudos": str(folder)}))


def _wait(condition, within_s):
    end = time.monotonic() + within_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()
