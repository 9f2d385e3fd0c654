import json

import pytest
from tests.agent.misbehaviours import numbered
from tests.agent.plays import GOOD, found, good_end, play
from tests.agent.scripted_server import Reply, with_fault

from onnes.agent.limits import Limits

SMALL = 60_000
"""Tokens for a handful of requests."""


def test_endless_different_calls_end_with_the_calls_or_the_requests(tmp_path):
    steps = [found, numbered("search", lambda i: {"where": "reference", "limit": i % 400 + 1, "formulas": ["Nb3Sn"]})]
    played = play(tmp_path / "s", steps, limits=Limits(calls=6, tokens=None))
    assert played.outcome.state == "budget_spent"
    assert played.spent().calls == 6
    assert "limit `calls`" in played.outcome.reason
    played = play(tmp_path / "t", steps, limits=Limits(requests=4, tokens=None))
    assert (played.outcome.state, played.spent().requests) == ("budget_spent", 4)
    steps[-1] = numbered("result", lambda i: {"set_id": f"{i:012x}"})
    assert play(tmp_path / "u", steps, limits=Limits(calls=5)).outcome.state == "budget_spent"


@pytest.mark.parametrize("usage", ["honest", "none", (0, 0), (-5, -5), (1, 1)])
def test_tokens_end_the_run_whatever_the_server_reports(tmp_path, usage):
    steps = [found, numbered("search", lambda i: {"where": "reference", "limit": i % 400 + 1, "formulas": ["Nb3Sn"]})]
    spend = [lambda seen, step=step: with_fault(step(seen), usage=usage) for step in steps]
    played = play(tmp_path / "s", spend, limits=Limits(tokens=SMALL))
    assert played.outcome.state == "budget_spent"
    assert SMALL / 2 < played.spent().tokens <= SMALL
    assert 2 <= len(played.server.requests) <= 8
    assert all(one["max_tokens"] <= 4096 for one in played.server.requests)
    again = play(tmp_path / "s", [good_end], limits=Limits(tokens=4 * SMALL), resume=True)
    assert again.outcome.state == "answered", again.outcome


def test_a_server_that_reports_more_than_allowed_ends_the_run(tmp_path):
    played = play(
        tmp_path / "s",
        [lambda seen: with_fault(found(seen), usage=(5_000_000, 7)), good_end],
        limits=Limits(tokens=SMALL),
        lies=True,
    )
    assert played.outcome.state == "budget_spent"
    assert played.spent().requests == 1
    assert played.spent().tokens > SMALL  # what it says it took, nothing hidden


def test_no_request_is_made_that_does_not_fit(tmp_path):
    played = play(tmp_path / "s", GOOD, limits=Limits(tokens=5000))
    assert played.outcome.state == "budget_spent"
    assert played.server.requests == []
    assert "limit `tokens`" in played.outcome.reason


def test_an_answer_cut_by_the_last_tokens_is_the_budget_not_a_fault(tmp_path):
    cut = Reply(text="", thinking="so ", finish="length")
    first = play(tmp_path / "s", [cut, *GOOD])
    assert first.outcome.state == "failed"  # the answer had all the tokens that an answer may have
    sent = len(json.dumps(first.server.requests[0]))
    played = play(tmp_path / "t", [cut], limits=Limits(tokens=sent // 2 + 1000))
    assert played.outcome.state == "budget_spent", played.outcome
