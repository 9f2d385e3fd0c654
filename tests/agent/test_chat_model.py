import json

import pytest
from tests.agent.misbehaviours import FAULTS, alternately
from tests.agent.plays import GOAL, GOOD, evil_study, found, good_end, play
from tests.agent.scripted_server import Reply, ScriptedServer, call

from onnes.agent import chat
from onnes.agent.chat_model import KEPT_RESULTS
from onnes.agent.endpoint import Endpoint
from onnes.agent.language_model import plan_with_model
from onnes.agent.session import Session
from onnes.agent.transcript import TRANSCRIPT


@pytest.mark.parametrize(("fault", "stream"), alternately(FAULTS))
def test_an_endpoint_that_fails_once_is_asked_again(tmp_path, fault, stream):
    played = play(tmp_path / "s", [found, FAULTS[fault], good_end], stream=stream, answer_tokens=256)
    assert played.outcome.state == "answered", played.outcome
    assert played.spent().requests == 3
    failed = [one for one in played.events("words") if "failed" in one]
    assert len(failed) == 1
    assert "scripted at 127.0.0.1" in failed[0]["failed"]


def test_a_silent_endpoint_is_left_in_time_and_a_stream_without_an_end_is_no_answer(tmp_path):
    silent = Reply(fault="silent")
    played = play(tmp_path / "s", [silent, *GOOD], timeout_s=0.3)
    assert played.outcome.state == "answered"
    assert "ONNES_LLM_TIMEOUT_S" in played.events("words")[0]["failed"]
    assert played.events("words")[0]["tokens"] > 4096  # it may have worked all the time
    assert play(tmp_path / "t", [Reply(text="cut", fault="no_end"), *GOOD], stream=True).outcome.state == "answered"


@pytest.mark.parametrize(("fault", "stream"), [("429", False), ("hang-up in the middle", True), ("no choices", False)])
def test_an_endpoint_that_keeps_failing_ends_the_run_which_resumes(tmp_path, fault, stream):
    played = play(tmp_path / "s", [found, FAULTS[fault]], tries=3, stream=stream)
    assert played.outcome.state == "endpoint_failed"
    assert played.spent().requests == 4
    assert len([one for one in played.events("words") if "failed" in one]) == 3
    again = play(tmp_path / "s", [good_end], resume=True, stream=stream)
    assert again.outcome.state == "answered", again.outcome
    assert len(again.server.requests) == 1  # what was found before is not asked for again
    assert [one["tool"] for one in again.events("call")] == ["search"]


def test_waits_are_those_asked_for_up_to_a_bound(tmp_path, monkeypatch):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(chat, "sleep", sleep)
    asked = [
        Reply(status=429, headers=one)
        for one in ({"retry-after": "3"}, {"retry-after-ms": "250"}, {"retry-after": "86400"})
    ]
    play(tmp_path / "s", [*asked, Reply(status=500), *GOOD], longest_wait_s=20)
    assert waits == [3, 0.25, 20, 8]


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "ONNES_LLM_KEY"), (404, "/v1"), (400, "ONNES_LLM_FORCE_TOOLS"), (402, "used up")]
)
def test_a_refusal_is_not_repeated_and_says_what_to_do(tmp_path, status, remedy):
    echo = json.dumps({"error": {"message": "incorrect key sk-secret-of-the-tests, see \x1b[31mhelp"}})
    played = play(tmp_path / "s", [Reply(status=status, body=echo)])
    assert played.outcome.state == "endpoint_failed"
    assert played.spent().requests == 1
    assert played.spent().tokens == 0
    assert remedy in played.outcome.reason
    assert "sk-secret" not in played.outcome.reason


def test_nobody_at_the_address(tmp_path):
    study, _ = evil_study(tmp_path / "s")
    with ScriptedServer([Reply()]) as server:
        url = server.url
    outcome = plan_with_model(Session(study), GOAL, Endpoint(url=url, model="m", longest_wait_s=0, tries=2))
    assert outcome.state == "endpoint_failed"
    assert "nobody answers there" in outcome.reason


def test_old_results_are_not_paid_for_again_and_again(tmp_path):
    names = ("Nb3Sn", "Nb3Ge", "Nb", "MgB2")
    looks = [
        lambda seen, i=i: call(
            "crystal", crystal=f"{seen.results[0]['set_id']}/{names[i % 4]}", format=("cif", "poscar")[i // 4 % 2]
        )
        for i in range(KEPT_RESULTS + 2)
    ]
    played = play(tmp_path / "s", [found, *looks, Reply(status=400)])
    assert played.outcome.state == "endpoint_failed"
    sizes = [len(json.dumps(one["messages"])) for one in played.server.requests]
    assert sizes[-1] - sizes[-2] < 0.5 * (sizes[3] - sizes[2])
    results = [one["content"] for one in played.server.requests[-1]["messages"] if one["role"] == "tool"]
    assert ["cut, as it is old" in one for one in results[:4]] == [True, True, True, False]
    whole = json.loads((tmp_path / "s" / TRANSCRIPT).read_text())
    assert "cut, as it is old" not in json.dumps(whole)


def test_nothing_of_the_environment_goes_to_the_endpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-service")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-service")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-another-service")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-secret: of-another-service")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://of-another-service.example.org")
    monkeypatch.setenv("HTTP_PROXY", "http://of-another-service.example.org:1")
    with_key = play(tmp_path / "s", GOOD)
    without = play(tmp_path / "t", GOOD, key=None)
    assert all("of-another-service" not in json.dumps(one) for run in (with_key, without) for one in run.server.headers)
    assert all("authorization" not in one for one in without.server.headers)


def test_an_endpoint_that_cannot_force_a_call_is_not_asked_to(tmp_path):
    assert play(tmp_path / "s", GOOD).server.requests[0]["tool_choice"] == "required"
    assert play(tmp_path / "t", GOOD, force_tools=False).server.requests[0]["tool_choice"] == "auto"
