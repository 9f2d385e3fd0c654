"""Job scripts, and a queue that remembers what it was given; SLURM itself where it runs."""

import json
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError, VerificationError
from onnes.verify.chain import REQUEST, RESULT
from onnes.verify.result import Verification
from onnes.verify.settings import VerifySettings
from onnes.verify.slurm import SlurmSettings, job_script, read_jobs, slurm_jobs, walltime_s
from onnes.verify.tables import crystal_of, place_of
from onnes.verify.verdict import Verdict

SBATCH = """#!/bin/sh
echo "$@" >> "$FAKE_QUEUE/calls"
[ -f "$FAKE_QUEUE/refuse" ] && { echo "sbatch: error: invalid partition" >&2; exit 1; }
n=$(cat "$FAKE_QUEUE/calls" | wc -l)
echo $((100 + n))
"""
SQUEUE = """#!/bin/sh
for id in $(cat "$FAKE_QUEUE/running" 2>/dev/null); do [ "$id" = "$3" ] && echo "$id onnes R"; done
exit 0
"""
ARGUMENTS = ["--level=smoke", "--ranks=4"]


@pytest.fixture
def queue(monkeypatch, tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_QUEUE", str(tmp_path))
    return tmp_path


def jobs(out, table=None, *, submit=True, asked=None, **settings):
    table = known_table(["Al", "Nb"]) if table is None else table
    return slurm_jobs(table, asked or VerifySettings(), ARGUMENTS, SlurmSettings(**settings), out, submit=submit)


def at_pressure(pressure_GPa, name="Al"):
    return with_columns(known_table(["Al"]), {"pressure_GPa": [pressure_GPa], "id": [name]})


def finished(out, table, asked=None, verdict=Verdict.SUPERCONDUCTOR):
    """A verification of the first row, as the chain leaves it."""
    crystal = crystal_of(table, 0)
    place = out / place_of(crystal) / "key"
    place.mkdir(parents=True)
    (place / REQUEST).write_text((asked or VerifySettings()).model_dump_json())
    result = Verification(
        key="key", level="smoke", verdict=verdict, formula="Al", n_atoms=1, pressure_GPa=crystal.pressure_GPa
    )
    (place / RESULT).write_text(result.model_dump_json())


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-5", "0", "00:00:00", "1-", "24h", "1\n#SBATCH --wrap=rm"])
def test_what_is_no_walltime(text):
    with pytest.raises(ValueError, match="walltime"):
        walltime_s(text)
    with pytest.raises(ValidationError):
        SlurmSettings(time=text)


@pytest.mark.parametrize(("time", "hours"), [("24:00:00", 22.8), ("60", 55 / 60), ("00:06:00", 0.05), ("2-00", 45.6)])
def test_a_job_stops_by_itself_before_its_walltime_is_over(time, hours):
    assert SlurmSettings(time=time).hours == pytest.approx(hours)


@pytest.mark.parametrize(
    "bad",
    [{"partition": "a b"}, {"account": "a\n#SBATCH --wrap"}, {"options": ("mem=8G",)}, {"options": ("--mem=8 G",)}],
)
def test_what_does_not_fit_into_a_header(bad):
    with pytest.raises(ValidationError):
        SlurmSettings(**bad)


def test_a_script(tmp_path):
    settings = SlurmSettings(partition="long", account="me", time="2-00", nodes=2, ntasks=8, options=("--mem=8G",))
    text = job_script(
        "onnes-Al", ["onnes", "verify", "a b.parquet", "--launcher=srun -n {ranks}"], settings, tmp_path / "log"
    )
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    header = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")]
    for option in (
        "--job-name=onnes-Al", f"--output={tmp_path / 'log'}", "--open-mode=append", "--requeue", "--nodes=2", "--ntasks=8",
        "--time=2-00", "--partition=long", "--account=me", "--mem=8G",
    ):  # fmt: skip
        assert option in header
    assert shlex.split(lines[-1]) == ["exec", "onnes", "verify", "a b.parquet", "--launcher=srun -n {ranks}"]
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def test_each_open_row_gets_a_script_with_its_crystal(queue, tmp_path):
    table = with_columns(known_table(["Al", "NaCl"]), {"rejected_by": [None, "tc"]})
    (job,) = jobs(tmp_path / "out", table, submit=False, time="12:00:00")
    assert (job.id, job.state, job.job_id) == ("Al", "written", None)
    words = shlex.split((tmp_path / "out" / "slurm" / job.script).read_text().splitlines()[-1])
    assert words[2] == "verify"
    assert words[3].endswith(".parquet")
    assert {"--level=smoke", "--ranks=4", f"--out={tmp_path / 'out'}", "--hours=11.4"} <= set(words)
    assert not (queue / "calls").exists()


def test_jobs_are_submitted_once_and_their_numbers_kept(queue, tmp_path):
    out = tmp_path / "out"
    first = jobs(out)
    assert [(one.id, one.state, one.job_id) for one in first] == [
        ("Al", "submitted", "101"),
        ("Nb", "submitted", "102"),
    ]
    assert (queue / "calls").read_text().splitlines()[0] == f"--parsable {first[0].script}"
    assert read_jobs(out) == {Path(one.script).stem: one for one in first}
    (queue / "running").write_text("102")
    again = jobs(out)
    assert [(one.state, one.job_id) for one in again] == [("submitted", "103"), ("queued", "102")]
    assert json.loads((out / "jobs.json").read_text())[Path(first[0].script).stem]["job_id"] == "103"


@pytest.mark.parametrize(("verdict", "state"), [(Verdict.SUPERCONDUCTOR, "done"), (Verdict.FAILED, "submitted")])
def test_what_is_done_needs_no_job(queue, tmp_path, verdict, state):
    table, out = known_table(["Al"]), tmp_path / "out"
    finished(out, table, verdict=verdict)
    assert [one.state for one in jobs(out, table)] == [state]
    assert [one.state for one in jobs(out, table, asked=VerifySettings(level="final"))] == ["submitted"]


def test_what_is_done_at_one_pressure_is_not_done_at_another(queue, tmp_path):
    finished(tmp_path, at_pressure(0.0))
    assert [one.state for one in jobs(tmp_path, at_pressure(20.0))] == ["submitted"]
    assert [one.state for one in jobs(tmp_path, at_pressure(None))] == ["done"]


def test_one_geometry_at_two_pressures_is_two_jobs(queue, tmp_path):
    table = pa.concat_tables([at_pressure(0.0, "free"), at_pressure(20.0, "pressed")])
    found = jobs(tmp_path, table)
    assert [(one.id, one.state, one.job_id) for one in found] == [
        ("free", "submitted", "101"),
        ("pressed", "submitted", "102"),
    ]
    files = [shlex.split(Path(one.script).read_text().splitlines()[-1])[3] for one in found]
    assert [pq.read_table(file)["pressure_GPa"].to_pylist() for file in files] == [[0.0], [20.0]]
    assert list(read_jobs(tmp_path).values()) == found


def test_a_queued_job_of_one_level_holds_no_other_level_back(queue, tmp_path):
    table = known_table(["Al"])
    (first,) = jobs(tmp_path, table, asked=VerifySettings(level="dos"))
    (queue / "running").write_text(first.job_id)
    (other,) = jobs(tmp_path, table, asked=VerifySettings(level="screen"))
    assert (other.state, other.job_id) == ("submitted", "102")
    (again,) = jobs(tmp_path, table, asked=VerifySettings(level="dos"))
    assert (again.state, again.job_id) == ("queued", "101")


def test_a_queued_verification_is_not_submitted_again_with_other_ranks(queue, tmp_path):
    table = known_table(["Al"])
    (first,) = jobs(tmp_path, table)
    (queue / "running").write_text(first.job_id)
    again = slurm_jobs(
        table, VerifySettings(), ["--level=smoke", "--ranks=8"], SlurmSettings(ntasks=8), tmp_path, submit=True
    )
    assert [(one.state, one.job_id) for one in again] == [("queued", "101")]


def test_pseudopotentials_are_the_same_by_a_relative_and_a_whole_path(queue, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table, relative = known_table(["Al"]), VerifySettings(pseudos="sssp")
    whole = VerifySettings(pseudos=str((tmp_path / "sssp").resolve()))
    (first,) = jobs(tmp_path, table, asked=relative)
    (queue / "running").write_text(first.job_id)
    assert [one.state for one in jobs(tmp_path, table, asked=whole)] == ["queued"]
    finished(tmp_path, table, whole)  # a job is told the whole path
    assert [one.state for one in jobs(tmp_path, table, asked=relative)] == ["done"]
    assert [one.state for one in jobs(tmp_path, table, asked=VerifySettings(pseudos="other"))] == ["submitted"]


def test_a_refusal_is_told_and_the_script_stays(queue, tmp_path):
    (queue / "refuse").touch()
    with pytest.raises(VerificationError, match=r"sbatch refused .*invalid partition"):
        jobs(tmp_path / "out")
    assert list((tmp_path / "out" / "slurm").glob("Al-*.sh"))


def test_without_slurm_scripts_can_be_written_but_not_submitted(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VerificationError, match=r"sbatch is not there: .*--no-submit"):
        jobs(tmp_path / "out")
    assert [one.state for one in jobs(tmp_path / "out", submit=False)] == ["written", "written"]


def test_a_list_of_jobs_that_was_damaged(queue, tmp_path):
    (tmp_path / "jobs.json").write_text("[1]")
    with pytest.raises(ConfigError, match=r"jobs\.json cannot be read"):
        read_jobs(tmp_path)


@pytest.mark.slow
def test_slurm_itself_runs_a_job(tmp_path):
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no SLURM answers on this machine")
    (job,) = jobs(tmp_path / "out", known_table(["Al"]), time="5")
    log = next((tmp_path / "out" / "slurm").glob("*.sh")).with_suffix(".log")
    end = time.monotonic() + 120
    while not (log.is_file() and "Al" in log.read_text()) and time.monotonic() < end:
        time.sleep(1)
    assert job.job_id.isdecimal()
    assert "verdict" in log.read_text()
