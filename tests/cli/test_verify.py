import json

import pytest

import onnes.cli.verify as command
from onnes.crystals.known import known_table
from onnes.crystals.writers import write_crystals
from onnes.verify import tables
from onnes.verify.result import Verification
from onnes.verify.settings import RunSettings, VerifySettings
from onnes.verify.steps import StepState, Try
from onnes.verify.verdict import Verdict
from tests.cli.faces import one_line_error, onnes
from tests.verify.fake_programs import pseudos, with_program, without_espresso
from tests.verify.samples import upf_2


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "two.parquet"
    write_crystals(known_table(["Al", "Nb"]), path)
    return path


@pytest.fixture
def asked(monkeypatch):
    """Settings that verifications were asked with; each finds a metal after one step of two tries."""
    seen = []

    def verify(crystal, settings, folder, *, run, on_step):
        seen.append((crystal, settings, folder, run))
        step = StepState(name="scf", key="k")
        step.tries = [Try(number=i, input_sha256="", version="6.7", wall_s=2.0) for i in (1, 2)]
        on_step(step)
        on_step(step.model_copy(update={"state": "done"}))
        return Verification(
            key="k1", level=settings.level, verdict=Verdict.METALLIC, formula="Al", n_atoms=1, energy_eV_per_atom=-1.0
        )

    monkeypatch.setattr(tables, "verify", verify)
    return seen


def test_without_programs_the_command_says_how_to_get_them(call, file, tmp_path, monkeypatch):
    without_espresso(monkeypatch, tmp_path)
    outcome = call("verify", file, "--id", "Al", "--out", tmp_path / "work")
    assert outcome.code == 4
    assert "not_available" in outcome.out
    assert "apt-get install" in " ".join(outcome.out.split())
    outcome = call("verify", file, "--json", "--out", tmp_path / "work")
    assert outcome.code == 4
    assert [row["dft_verdict"] for row in json.loads(outcome.out)] == ["not_available"] * 2


def test_every_step_is_one_line_with_its_time(call, file, tmp_path, asked):
    outcome = call("verify", file, "--level", "dos", "--out", tmp_path / "work")
    assert outcome.code == 0
    lines = [" ".join(line.split()) for line in outcome.err.splitlines()]
    assert lines == ["Al scf done 4.0 s 2 tries", "Nb scf done 4.0 s 2 tries"]
    assert "metallic" in outcome.out
    assert str(tmp_path / "work" / "Al-") in outcome.out
    assert call("verify", file, "--level", "dos", "--out", tmp_path / "work", "--quiet").err == ""


def test_a_row_without_an_answer_is_told_by_the_exit_code(call, file, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "verify", lambda *_, **__: 1 / 0)
    outcome = call("verify", file, "--out", tmp_path / "work")
    assert outcome.code == 3
    assert "division by zero" in outcome.out


def test_options_become_settings(call, file, tmp_path, asked):
    outcome = call(
        "verify", file, "--id", "Nb", "--level", "final", "--functional", "LDA", "--q-grid", "2,2,2", "--k-grid", "8x8x8",
        "--dense-k-grid", "16,16,16", "--no-relax", "--no-interpolate", "--bands", "--pressure", "3", "--mu-star", "0.1",
        "--mu-star", "0.2", "--ranks", "4", "--launcher", "srun -n {ranks}", "--hours", "2", "--out", tmp_path / "work",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    ((crystal, settings, folder, run),) = asked
    assert crystal.pressure_GPa == 3.0
    assert folder.parent == tmp_path / "work"
    assert settings == VerifySettings(
        level="final", functional="LDA", q_grid=(2, 2, 2), k_grid=(8, 8, 8), dense_k_grid=(16, 16, 16), relax=False,
        interpolate=False, bands=True, mu_stars=(0.1, 0.2),
    )  # fmt: skip
    assert (run.ranks, run.launcher) == (4, "srun -n {ranks}")
    assert 1.99 < run.hours <= 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--level", "best"), "level"),
        (("--q-grid", "2,2"), "is no grid"),
        (("--q-grid", "0,2,2"), "is no grid"),
        (("--level", "dos", "--q-grid", "2,2,2"), "has no phonons"),
        (("--hours", "0"), "hours"),
        (("--id", "Sn"), "no row 'Sn'"),
        (("--slurm", "--time", "soon"), "walltime"),
        (("--slurm", "--partition", "a b"), "partition"),
    ],
)
def test_mistakes_are_one_line(call, file, tmp_path, words, said):
    one_line_error(call("verify", file, *words, "--out", tmp_path / "work"), said)
    assert not (tmp_path / "work").exists()


def test_slurm_scripts_call_the_same_verification(call, file, tmp_path, asked):
    how = (
        "--level", "screen", "--functional", "PBE", "--q-grid", "3,3,3", "--no-bands", "--relax", "--mu-star", "0.1", "--mu-star",
        "0.12", "--max-atoms", "8", "--pressure", "5",
    )  # fmt: skip
    outcome = call(
        "verify",
        file,
        *how,
        "--slurm",
        "--no-submit",
        "--ntasks",
        "4",
        "--time",
        "12:00:00",
        "--out",
        tmp_path / "work",
        "--json",
    )
    jobs = json.loads(outcome.out)
    assert [(job["id"], job["state"]) for job in jobs] == [("Al", "written"), ("Nb", "written")]
    assert asked == []
    import shlex
    from pathlib import Path

    words = shlex.split(Path(jobs[1]["script"]).read_text().splitlines()[-1])[2:]
    assert call(*words).code == 0
    ((crystal, settings, folder, run),) = asked
    assert settings == VerifySettings(
        level="screen", functional="PBE", q_grid=(3, 3, 3), bands=False, relax=True, mu_stars=(0.1, 0.12), max_atoms=8
    )
    assert (crystal.atomic_numbers, crystal.pressure_GPa) == ([41], 5.0)
    assert (run.ranks, run.launcher) == (4, "srun --ntasks={ranks}")
    assert run.hours == pytest.approx(11.4, abs=0.01)
    assert folder.parent == tmp_path / "work"


def test_arguments_of_defaults_are_defaults():
    words = command._arguments(VerifySettings(), RunSettings())
    assert words[0] == "--level=smoke"
    assert not [word for word in words if word.startswith(("--mu", "--q-", "--relax", "--no-", "--pseudos"))]


def test_jobs_that_cannot_be_submitted(call, file, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    one_line_error(call("verify", file, "--slurm", "--out", tmp_path / "work"), "sbatch is not there")


def test_pseudos(call, tmp_path):
    folder = pseudos(tmp_path, "Al", "Nb")
    outcome = call("pseudos", folder)
    assert outcome.code == 0
    assert "Al.UPF" in outcome.out
    assert "pseudos.toml" in outcome.out
    (folder / "Mg.UPF").write_bytes(upf_2("Mg"))
    listed = json.loads(call("pseudos", folder, "--json").out)
    assert (listed["Al"]["ecutwfc_Ry"], listed["Mg"]["ecutwfc_Ry"]) == (30.0, None)
    assert "add ecutwfc_Ry below [Mg]" in call("pseudos", folder).out
    one_line_error(call("pseudos", tmp_path / "nowhere"), "is no folder")
    one_line_error(call("pseudos", folder, "--hint", "best"), "one of low, normal, high")


def test_doctor_shows_programs(call, monkeypatch, tmp_path):
    with_program(monkeypatch, tmp_path)
    found = json.loads(call("doctor", "--json").out)["first principles"]
    assert found["pw.x"] == "6.7MaX"
    without_espresso(monkeypatch, tmp_path)
    found = json.loads(call("doctor", "--json").out)
    assert found["first principles"]["pw.x"] == "not found"
    assert "apt-get" in found["first principles"]["install"]
    assert not [fault for fault in found["faults"] if "pw.x" in fault]  # all else works without
