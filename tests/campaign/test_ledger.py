from dataclasses import replace
from datetime import datetime

import pytest

from onnes.campaign.ledger import Ledger
from onnes.flow.engine import StageRun

RUN = StageRun(
    "abc123", "tc", "predict", "2", "map", {"model": "structure", "reference": None}, {"model": "f" * 64}, 7, "cpu",
    "a" * 64, "stages/00-tc/in/a.parquet", "stages/00-tc/out/b.parquet", 20, 1.5,
)  # fmt: skip


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def test_a_run_is_kept_whole(ledger):
    ledger.record_runs([RUN], "0.1.0")
    assert ledger.runs() == [{**RUN.__dict__, "code_version": "0.1.0"}]


def test_a_run_is_kept_once_as_it_was_first(ledger):
    ledger.record_runs([RUN, replace(RUN, run_id="def456")], "0.1.0")
    ledger.record_runs([replace(RUN, seconds=None), replace(RUN, run_id="def456", seconds=9.0)], "0.2.0")
    assert [(r["run_id"], r["seconds"], r["code_version"]) for r in ledger.runs()] == [
        ("abc123", 1.5, "0.1.0"),
        ("def456", 1.5, "0.1.0"),
    ]


def test_nothing_is_recorded_of_nothing(ledger):
    ledger.record_runs([], "0.1.0")
    assert ledger.runs() == []


def test_events_come_in_order_with_their_time(ledger):
    ledger.record_event("run started", device="cpu", version="0.1.0")
    ledger.record_event("run finished", rows=3)
    assert [(e["what"], e["details"]) for e in ledger.events()] == [
        ("run started", {"device": "cpu", "version": "0.1.0"}),
        ("run finished", {"rows": 3}),
    ]
    assert all(datetime.fromisoformat(e["at"]).tzinfo is not None for e in ledger.events())


def test_a_result_id_leads_to_its_run(ledger):
    ledger.record_runs([RUN], "0.1.0")
    assert ledger.trace("abc123/row/with/slashes/tc_K")["settings"] == {"model": "structure", "reference": None}
    with pytest.raises(KeyError, match="nobody/row/tc_K"):
        ledger.trace("nobody/row/tc_K")


def test_it_is_there_when_opened_again(tmp_path):
    path = tmp_path / "what? 100% #1.sqlite"
    first = Ledger(path)
    first.record_runs([RUN], "0.1.0")
    first.close()
    second = Ledger(path)
    assert [run["run_id"] for run in second.runs()] == ["abc123"]
    second.close()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # one file, so that a copy is whole
