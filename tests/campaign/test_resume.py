"""Killed with SIGKILL and run again, a campaign ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from onnes.campaign.folder import Campaign
from onnes.campaign.ledger import Ledger
from onnes.crystals.schema import values
from tests.campaign.toy_campaign import FUNNEL, ROWS, SHARDS
from tests.flow.toy_stages import LOG, logged

ROOT = Path(__file__).parents[2]


def start(folder, log):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.campaign.toy_campaign", str(folder)],
        cwd=ROOT,
        env={**os.environ, LOG: str(log)},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_to_the_end(folder, log):
    process = start(folder, log)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def kill_after(folder, log, rows):
    """Start it and kill the whole process group once so many rows have been computed in all."""
    process = start(folder, log)
    end = time.monotonic() + 120
    while len(logged(log)) < rows:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def ledger_of(folder):
    """Step by run id, and how often the campaign was started."""
    ledger = Ledger(folder / "ledger.sqlite")
    runs, events = ledger.runs(), ledger.events()
    ledger.close()
    assert len({run["run_id"] for run in runs}) == len(runs)
    return {run["run_id"]: run["step"] for run in runs}, [event["what"] for event in events].count("run started")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A campaign that nobody disturbed."""
    place = tmp_path_factory.mktemp("finished")
    run_to_the_end(place / "campaign", place / "log")
    return place


def test_three_kills_change_no_byte_and_lose_no_row(finished, tmp_path):
    whole = len(logged(finished / "log"))
    rng = np.random.default_rng(5)
    folder, log = tmp_path / "campaign", tmp_path / "log"
    for share in (0.1, 0.4, 0.7):
        kill_after(folder, log, int(whole * (share + 0.2 * rng.random())))
        assert not (folder / "results.parquet").exists()
    # what a write that was cut off leaves behind
    for place in (folder / "stages" / "00-quick" / "out", folder / "stages" / "05-full" / "out", folder):
        place.mkdir(parents=True, exist_ok=True)
        (place / ".0123.parquet.1.tmp").write_bytes(b"PAR1 half")
    before = len(logged(log))
    run_to_the_end(folder, log)
    again = len(logged(log)) - before
    assert (folder / "results.parquet").read_bytes() == (finished / "campaign" / "results.parquet").read_bytes()
    # each kill costs the shards in work of two workers at most, 20 rows each
    assert whole <= len(logged(log)) <= whole + 3 * 2 * 20
    assert again < whole / 2
    ids = values(Campaign.open(folder).results, "id")
    assert len(ids) == len(set(ids)) > ROWS
    assert ids[:ROWS] == [f"toy-{i:04d}" for i in range(ROWS)]
    runs, starts = ledger_of(folder)
    assert (runs, 1) == ledger_of(finished / "campaign")
    assert starts == 4
    assert set(runs.values()) == {step.name for step in FUNNEL.steps}
    assert list(runs.values()).count("quick") == SHARDS


def test_a_finished_campaign_changes_nothing_when_run_again(finished):
    folder = finished / "campaign"
    computed = len(logged(finished / "log"))
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.startswith("ledger")}
    assert folder / "report" / "index.html" in files
    run_to_the_end(folder, finished / "log")
    assert len(logged(finished / "log")) == computed
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.startswith("ledger")} == files
