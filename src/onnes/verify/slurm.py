"""Verifications as jobs of SLURM: one script a crystal, pressure and settings, written, submitted, and found again."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from onnes.crystals.schema import is_open, values
from onnes.errors import ConfigError, VerificationError
from onnes.flow.shards import key_sha256, parquet_bytes, write_bytes
from onnes.verify.state import verification_states
from onnes.verify.tables import crystal_of, place_of
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from onnes.verify.chain import Crystal
    from onnes.verify.settings import VerifySettings

JOBS, FOLDER = "jobs.json", "slurm"
LAUNCHER = "srun --ntasks={ranks}"
_NAME = r"^[A-Za-z0-9_.,@+-]+$"
_MARGIN_S, _MARGIN_SHARE, _MOST_MARGIN = 300.0, 0.05, 0.5
_TIMEOUT_S = 60
_WALLTIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")


class SlurmSettings(BaseModel):
    """What the header of a job script asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partition: str | None = Field(default=None, pattern=_NAME)
    account: str | None = Field(default=None, pattern=_NAME)
    time: str = "24:00:00"
    """Walltime as SLURM writes it, such as ``90`` (minutes), ``12:00:00`` or ``2-00``."""
    nodes: int = Field(default=1, ge=1)
    ntasks: int = Field(default=1, ge=1)
    """MPI processes."""
    options: tuple[str, ...] = ()
    """Further options of sbatch, such as ``--mem=8G``."""

    @field_validator("time")
    @classmethod
    def _is_walltime(cls, text: str) -> str:
        walltime_s(text)
        return text

    @field_validator("options")
    @classmethod
    def _are_options(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            if not re.fullmatch(r"--[a-z][a-z-]*(=[^\s]+)?", line):
                raise ValueError(f"{line!r} is no option of sbatch; write it as in --mem=8G")
        return lines

    @property
    def hours(self) -> float:
        """Time (h) after which a verification stops by itself: the walltime less a margin to end cleanly."""
        whole = walltime_s(self.time)
        margin = min(max(_MARGIN_S, _MARGIN_SHARE * whole), _MOST_MARGIN * whole)
        return (whole - margin) / 3600


class SlurmJob(BaseModel):
    """One row and its job."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of the row."""
    script: str
    state: str
    """``written``, ``submitted``, ``queued`` (an earlier job of it waits or runs) or ``done`` (there is a result)."""
    job_id: str | None = None
    submitted_at: str | None = None


def walltime_s(text: str) -> float:
    """Length (s) of a walltime as SLURM writes it.

    Raises
    ------
    ValueError
        When it is none.

    Examples
    --------
    >>> [walltime_s(text) for text in ("90", "10:30", "12:00:00", "2-12", "1-00:30")]
    [5400.0, 630.0, 43200.0, 216000.0, 88200.0]
    """
    found = _WALLTIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no walltime; write it as in 90 (minutes), 12:00:00 or 2-00:00:00")
    parts = [int(part) for part in found["clock"].split(":")]
    if found["days"] is not None:  # days-hours, days-hours:minutes, days-hours:minutes:seconds
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 1:  # minutes
        hours, minutes, seconds = 0, parts[0], 0
    else:  # minutes:seconds, hours:minutes:seconds
        hours, minutes, seconds = [0, *parts][-3:]
    whole = float(((int(found["days"] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)
    if whole <= 0:
        raise ValueError(f"the walltime {text!r} is no time at all")
    return whole


def job_script(name: str, command: Sequence[str], settings: SlurmSettings, log: Path) -> str:
    """Text of a job script.

    The job may be put back into the queue at any time, by SLURM or by whoever submits it again: what is finished stays, and the
    rest begins at the step that was interrupted.

    Parameters
    ----------
    name
        Of the job.
    command
        Words of the command that it runs.
    settings
        The header.
    log
        File that receives what the command prints, those of all jobs one after the other.
    """
    header = [
        f"--job-name={name}", f"--output={log}", "--open-mode=append", "--requeue", f"--nodes={settings.nodes}",
        f"--ntasks={settings.ntasks}", "--cpus-per-task=1", f"--time={settings.time}",
        *([f"--partition={settings.partition}"] if settings.partition else []),
        *([f"--account={settings.account}"] if settings.account else []),
        *settings.options,
    ]  # fmt: skip
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in header), "", "export OMP_NUM_THREADS=1"]
    return "\n".join([*lines, f"exec {shlex.join(command)}", ""])


def slurm_jobs(
    table: pa.Table,
    verify_settings: VerifySettings,
    arguments: Sequence[str],
    settings: SlurmSettings,
    out: Path,
    *,
    submit: bool,
) -> list[SlurmJob]:
    """Write a job script for every open row, and submit it where that is asked for.

    Parameters
    ----------
    table
        Crystals.
    verify_settings
        What is computed; a row of which a finished verification like this at its pressure lies in ``out`` needs no job.
    arguments
        Options of ``onnes verify`` that say the same, and how programs are run.
    settings
        Header of the scripts.
    out
        Folder of the work; scripts lie in ``out/slurm``, the numbers of the jobs in ``out/jobs.json``. Both are named by geometry,
        pressure and ``verify_settings``.
    submit
        Submit what is not done and not in the queue.

    Returns
    -------
    list of SlurmJob
        One an open row.

    Raises
    ------
    VerificationError
        When something is to be submitted and ``sbatch`` is missing or refuses; scripts and earlier jobs are kept.
    """
    if submit and shutil.which("sbatch") is None:
        raise VerificationError(
            "sbatch is not there: run this where jobs are submitted, or write the scripts only (--no-submit) and submit them there"
        )
    folder = out.resolve() / FOLDER
    known = read_jobs(out)
    verify_settings = _resolved(verify_settings)
    jobs = []
    for row in np.flatnonzero(is_open(table)).tolist():
        row_id, crystal = values(table, "id")[row], crystal_of(table, row)
        place = place_of(crystal)
        name = _name(place, crystal, verify_settings)
        before = known.get(name)
        script = folder / f"{name}.sh"
        rows = folder / f"{name}.parquet"
        write_bytes(parquet_bytes(table.slice(row, 1)), rows)
        command = [
            _onnes(),
            "verify",
            str(rows),
            *arguments,
            f"--out={out.resolve()}",
            f"--hours={settings.hours:.4g}",
        ]
        write_bytes(job_script(f"onnes-{name}", command, settings, folder / f"{name}.log").encode(), script)
        if _is_done(out / place, crystal, verify_settings):
            job = SlurmJob(id=row_id, script=str(script), state="done", job_id=before.job_id if before else None)
        elif before is not None and before.job_id and _is_queued(before.job_id):
            job = before.model_copy(update={"id": row_id, "state": "queued"})
        elif submit:
            job = SlurmJob(
                id=row_id, script=str(script), state="submitted", job_id=_submitted(script), submitted_at=_now()
            )
        else:
            job = SlurmJob(id=row_id, script=str(script), state="written", job_id=before.job_id if before else None)
        jobs.append(job)
        known[name] = job
        content: dict[str, Any] = {one: kept.model_dump(mode="json") for one, kept in known.items()}
        write_bytes(json.dumps(content, indent=1).encode() + b"\n", out / JOBS)  # after each: a number must not be lost
    return jobs


def read_jobs(out: Path) -> dict[str, SlurmJob]:
    """Jobs of earlier calls by the name of their script; raises ConfigError when their file cannot be read."""
    path = out / JOBS
    if not path.is_file():
        return {}
    try:
        return {name: SlurmJob(**values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; move it away, and no job is known any more") from error


def _onnes() -> str:
    """The command of this installation: a job has no shell that was prepared for it."""
    beside = Path(sys.executable).with_name("onnes")
    return str(beside) if beside.is_file() else "onnes"


def _resolved(settings: VerifySettings) -> VerifySettings:
    """The same with the folder of pseudopotentials as a job names it: whole, for a job may start anywhere."""
    if settings.pseudos is None:
        return settings
    return settings.model_copy(update={"pseudos": str(Path(settings.pseudos).expanduser().resolve())})


def _name(place: str, crystal: Crystal, settings: VerifySettings) -> str:
    """Name of what is computed. Ranks and launcher are no part of it: two jobs of one verification would lock each other out."""
    digest = key_sha256(place=place, pressure=crystal.pressure_GPa, settings=settings.model_dump(mode="json"))
    return f"{place}-{digest[:8]}"


def _is_done(place: Path, crystal: Crystal, settings: VerifySettings) -> bool:
    return any(
        _resolved(state.settings) == settings
        and state.result is not None
        and state.result.pressure_GPa == crystal.pressure_GPa
        and state.result.verdict is not Verdict.FAILED
        for state in verification_states(place)
    )


def _is_queued(job_id: str) -> bool:
    if shutil.which("squeue") is None:
        return False
    done = _run(["squeue", "--noheader", "--jobs", job_id.partition(";")[0]])
    return done.returncode == 0 and bool(done.stdout.strip())


def _submitted(script: Path) -> str:
    done = _run(["sbatch", "--parsable", str(script)])
    number = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    if done.returncode or not re.match(r"\d+", number):
        raise VerificationError(f"sbatch refused {script}: {(done.stderr or done.stdout).strip() or 'no reason given'}")
    return number


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - SLURM's own programs, no shell
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VerificationError(f"{command[0]} gave no answer: {error}") from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
