import pytest
from tests.agent.scripted_server import KEY, MODEL, Call, Reply, ScriptedServer, call

from onnes.agent.doctor import FORMULAS, doctor
from onnes.agent.endpoint import Endpoint

RIGHT = call("experimental", formulas=list(FORMULAS))


def look(reply, **more):
    with ScriptedServer([reply], models=more.pop("models", (MODEL,))) as server:
        checks = doctor(Endpoint.model_validate({"url": server.url, "model": MODEL, "timeout_s": 5, **more}))
        return {one.name: one for one in checks}, server


@pytest.mark.parametrize("stream", [False, True])
def test_a_good_endpoint_passes_and_is_asked_once_with_the_tools_of_a_run(stream):
    checks, server = look(RIGHT, stream=stream)
    assert list(checks) == ["address", "model", "tool call", "tool result", "usage"]
    assert all(one.ok for one in checks.values()), checks
    assert len(server.requests) == 1
    sent = server.requests[0]
    assert len(sent["tools"]) > 15
    assert [one["role"] for one in sent["messages"]] == ["system", "user"]


def test_arguments_as_small_models_write_them_are_right():
    checks, _ = look(Reply(calls=(Call("experimental", '{"formulas": "Nb3Sn, V3Si"}'),)))
    assert checks["tool call"].ok
    assert checks["tool result"].ok


def test_nobody_there_is_said_with_what_to_do():
    with ScriptedServer([RIGHT]) as server:
        url = server.url
    checks = doctor(Endpoint(url=url, model=MODEL))
    assert [one.ok for one in checks] == [False]
    assert "nobody answers there" in checks[0].text


def test_an_unknown_model_names_those_that_are_known():
    checks, _ = look(RIGHT, models=("llama", "qwen\x1b[2J"))
    assert not checks["model"].ok
    assert "ONNES_LLM_MODEL to one of: llama, qwen[2J" in checks["model"].text


def test_an_endpoint_that_lists_nothing_may_still_do():
    checks, _ = look(RIGHT, models=None)
    assert checks["model"].ok
    assert checks["tool call"].ok


@pytest.mark.parametrize(("reply", "why"), [
    (Reply(text="Sure! I would call experimental."), "called no tool; it wrote 'Sure!"),
    (Reply(), "called no tool"),
    (call("search", where="reference"), "instead of experimental"),
    (call("experimental", formulas=["Nb3Sn"]), "instead of experimental"),
    (call("experimental", formulas=list(FORMULAS), crystals=["x"]), "instead of experimental"),
    (Reply(calls=(Call("experimental", "{formulas: Nb3Sn"),)), "instead of experimental"),
    (call("experimental", formulas=7), "instead of experimental"),
])  # fmt: skip
def test_a_model_that_cannot_call_is_found_out(reply, why):
    checks, _ = look(reply)
    assert not checks["tool call"].ok
    assert why in checks["tool call"].text
    assert "tool result" not in checks


def test_a_context_that_is_too_short_is_found_out():
    checks, _ = look(Reply(calls=RIGHT.calls, usage=(2048, 20)))
    assert not checks["usage"].ok
    assert "OLLAMA_CONTEXT_LENGTH" in checks["usage"].text
    checks, _ = look(Reply(calls=RIGHT.calls, usage="none"))
    assert checks["usage"].ok
    assert "estimated" in checks["usage"].text


@pytest.mark.parametrize(("status", "why"), [(401, "ONNES_LLM_KEY"), (404, "/v1"), (500, "no usable answer")])
def test_a_refusal_says_what_to_do_and_keeps_the_key(status, why):
    checks, _ = look(Reply(status=status, body=f"bad key {KEY}"), key=KEY)
    assert not checks["answer"].ok
    assert why in checks["answer"].text
    assert KEY not in checks["answer"].text


def test_a_key_on_an_open_line_is_a_fault(monkeypatch):
    from onnes.agent import chat_model

    monkeypatch.setattr(chat_model, "listed_models", lambda _: [MODEL])
    monkeypatch.setattr(
        chat_model,
        "sample",
        lambda *_: chat_model.Sample(("experimental", {"formulas": list(FORMULAS)}), "", (9000, 9), 30_000),
    )
    checks = doctor(Endpoint.model_validate({"url": "http://example.org/v1", "model": MODEL, "key": KEY}))
    assert not checks[0].ok
    assert "unencrypted" in checks[0].text
