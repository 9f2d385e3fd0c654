import logging

import pytest
from tests.agent.plays import GOOD, play
from tests.agent.scripted_server import KEY

from onnes.agent.endpoint import Endpoint
from onnes.errors import ConfigError

ENVIRONMENT = {"ONNES_LLM_URL": "http://127.0.0.1:8000/v1", "ONNES_LLM_MODEL": "qwen3", "ONNES_LLM_KEY": KEY}


def test_it_is_read_from_the_environment_and_what_is_given_comes_first():
    one = Endpoint.of(environ=ENVIRONMENT)
    assert (one.url, one.model, one.host, one.is_local) == ("http://127.0.0.1:8000/v1", "qwen3", "127.0.0.1:8000", True)
    other = Endpoint.of(
        url="https://example.org/v1/",
        model="m",
        environ=ENVIRONMENT | {"ONNES_LLM_TIMEOUT_S": "30", "ONNES_LLM_STREAM": "true"},
    )
    assert (other.url, other.model, other.timeout_s, other.stream) == ("https://example.org/v1", "m", 30.0, True)
    assert not other.is_local
    assert other.temperature == 0
    assert Endpoint.is_set(ENVIRONMENT)
    assert not Endpoint.is_set({})


@pytest.mark.parametrize(
    "given", ["http://127.0.0.1:1/v1/chat/completions", "http://127.0.0.1:1/v1/", " http://127.0.0.1:1/v1 "]
)
def test_urls_are_cut_to_their_base(given):
    assert Endpoint(url=given, model="m").url == "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(("change", "why"), [
    ({"ONNES_LLM_URL": ""}, "no url .* set ONNES_LLM_URL or give --endpoint.*--planner rules"),
    ({"ONNES_LLM_MODEL": ""}, "set ONNES_LLM_MODEL or give --llm"),
    ({"ONNES_LLM_URL": "localhost:8000"}, "ONNES_LLM_URL: .*write it as http"),
    ({"ONNES_LLM_URL": "file:///etc/passwd"}, "write it as http"),
    ({"ONNES_LLM_URL": "http://user:secret@example.org/v1"}, "the key belongs into ONNES_LLM_KEY"),
    ({"ONNES_LLM_URL": "http://example.org/v1?api_key=secret"}, "the key belongs into ONNES_LLM_KEY"),
    ({"ONNES_LLM_TIMEOUT_S": "soon"}, "ONNES_LLM_TIMEOUT_S: "),
    ({"ONNES_LLM_TRIES": "0"}, "ONNES_LLM_TRIES: "),
])  # fmt: skip
def test_wrong_settings_are_named_and_show_no_secret(change, why):
    with pytest.raises(ConfigError, match=why) as raised:
        Endpoint.of(environ=ENVIRONMENT | change)
    assert "secret" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_the_key_shows_nowhere():
    one = Endpoint.of(environ=ENVIRONMENT)
    for text in (repr(one), str(one), one.model_dump_json(), str(one.described())):
        assert KEY not in text
    assert one.described()["model"] == "qwen3"
    assert one.redacted(f"wrong key {KEY}!") == "wrong key [key]!"
    assert Endpoint(url="http://127.0.0.1/v1", model="m").redacted("wrong key") == "wrong key"


@pytest.mark.parametrize(("url", "local"), [
    ("http://localhost:1/v1", True), ("http://[::1]:1/v1", True), ("http://127.8.8.8/v1", True), ("http://10.0.0.1/v1", False),
    ("http://localhost.example.org/v1", False),
])  # fmt: skip
def test_local_is_this_machine_alone(url, local):
    assert Endpoint(url=url, model="m").is_local is local


def test_the_key_is_not_logged_at_any_level(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        assert play(tmp_path / "s", GOOD).outcome.state == "answered"
    assert KEY not in caplog.text
