"""`onnes serve` by plain HTTP: what REST answers, and who is let in."""

import json
import socket

import pytest
from mcp import MCPError

from onnes.agent.record import Record
from onnes.errors import ConfigError
from onnes.serve.access import Token
from onnes.serve.app import MAX_BODY_BYTES, serve
from onnes.serve.calls import Calls
from onnes.serve.description import describe
from onnes.tools.registry import tools
from tests.serve.clients import over_http, serving

FOUND = {"formulas": ["Nb"], "superconductors": True}


@pytest.fixture(scope="module")
def web(server):
    with server.http() as client:
        yield client


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A server with a token."""
    folder = tmp_path_factory.mktemp("closed")
    with serving(folder / "study", "--token-file", str(folder / "token")) as running:
        yield running


def test_tools_are_listed_with_effect_and_schemas(web):
    found = web.get("/api/tools").json()
    assert found == [describe(spec.name).model_dump(mode="json") for spec in tools()]
    assert {one["name"]: one["effect"] for one in found} == {spec.name: spec.effect for spec in tools()}


def test_a_tool_is_called_and_its_set_shown(web, study):
    answer = web.post("/api/tools/search", json=FOUND)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["state"], found["rows"][0]["formula"]) == ("done", "Nb")
    assert study.has(found["set_id"])
    page = web.get(f"/api/sets/{found['set_id']}", params={"first": 0, "count": 1}).json()
    assert page["rows"] == found["rows"][:1]
    assert page["n_rows"] == found["n_rows"]
    assert web.get(f"/api/sets/{found['set_id']}", params={"first": found["n_rows"]}).json()["rows"] == []


@pytest.mark.parametrize(
    ("name", "arguments", "status", "words"),
    [
        ("search", {"formulas": ["@"]}, 422, "is no formula"),
        ("search", {"formula": ["Nb"]}, 422, "Arguments of search: "),
        ("crystal", {"crystal": "0123456789ab/x"}, 422, "no set"),
        ("status", {}, 422, "set_id"),
        ("guess", {}, 404, "no tool 'guess'"),
        ("measure", {"crystal": "0123456789ab/x"}, 403, "needs the consent of a person"),
    ],
)
def test_a_bad_call_has_a_status_and_a_message(web, name, arguments, status, words):
    answer = web.post(f"/api/tools/{name}", json=arguments)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "headers", "statuses"),
    [
        (b"{", {"Content-Type": "application/json"}, {422}),
        (b"[1]", {"Content-Type": "application/json"}, {422}),
        (b'{"formulas": ["Nb"]}', {"Content-Type": "text/plain"}, {422}),
        (b"[" * 100_000, {"Content-Type": "application/json"}, {400, 422}),
        (b"\xff\xfe", {"Content-Type": "application/json"}, {400, 422}),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(web, body, headers, statuses):
    answer = web.post("/api/tools/search", content=body, headers=headers)
    assert answer.status_code in statuses
    assert answer.json()["error"]


@pytest.mark.parametrize("name", ["0123456789ab", "..", "%2e%2e%2fstudy.toml", "x" * 300])
def test_an_unknown_set_is_404(web, name):
    answer = web.get(f"/api/sets/{name}")
    assert answer.status_code == 404
    assert "error" in answer.json()


def test_the_head_of_the_record_is_that_on_disk(web, study):
    web.post("/api/tools/search", json=FOUND)
    head = web.get("/api/record/head").json()
    last = Record(study.folder).events()[-1]
    assert head == {"events": last.number + 1, "hash": last.hash, "faults": []}


def test_there_is_an_api_description_and_no_page_that_loads_scripts(web):
    paths = web.get("/api/openapi.json").json()["paths"]
    assert set(paths) == {"/api/tools", "/api/tools/{name}", "/api/sets/{set_id}", "/api/record/head"}
    assert {web.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json", "/")} == {404}


@pytest.mark.parametrize("path", ["/api/tools", "/mcp", "/api/openapi.json"])
def test_another_host_is_421_everywhere(web, path):
    assert web.get(path, headers={"Host": "evil.example"}).status_code == 421
    assert web.post(path, headers={"Host": "evil.example:80"}, json={}).status_code == 421


@pytest.mark.parametrize("path", ["/api/tools/search", "/mcp"])
def test_a_page_of_another_origin_cannot_ask(web, path):
    answer = web.post(path, headers={"Origin": "http://evil.example"}, json=FOUND)
    assert answer.status_code == 403
    preflight = web.options(path, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 403
    assert not [name for name in (*answer.headers, *preflight.headers) if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/api/tools/search", "/mcp"])
def test_a_body_that_is_too_large_is_413(web, path):
    body = json.dumps({"formulas": ["Nb" * MAX_BODY_BYTES]})
    assert web.post(path, content=body, headers={"Content-Type": "application/json"}).status_code == 413

    def pieces():
        yield from (b"x" * 65536 for _ in range(17))

    assert web.post(path, content=pieces(), headers={"Content-Type": "application/json"}).status_code == 413


@pytest.mark.parametrize("path", ["/api/tools", "/api/record/head", "/api/openapi.json", "/mcp", "/nowhere"])
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic x"])
def test_without_the_token_nothing_is_answered(closed, path, header):
    with closed.http() as client:
        headers = {"Authorization": header or ""}
        answers = [client.get(path, headers=headers), client.post(path, headers=headers, json={})]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    assert "error" in answers[0].json()


def test_with_the_token_rest_and_mcp_answer(closed):
    with closed.http() as client:
        assert len(client.get("/api/tools").json()) == len(tools())
    with over_http(closed.url, closed.token) as asking:
        assert len(asking.tools()) == len(tools())


def test_mcp_without_the_token_is_refused(closed):
    with pytest.raises(BaseExceptionGroup) as error, over_http(closed.url, "wrong"):
        pass
    assert error.group_contains(MCPError)


def test_beyond_this_machine_it_asks_for_a_token(study, tmp_path):
    for host in ("0.0.0.0", "::", "lab.example.org"):  # noqa: S104
        with pytest.raises(ConfigError, match="--token-file"):
            serve(Calls.of(study), host=host, port=0)


def test_a_port_that_is_taken_is_an_error(study):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="give another --port"):
        serve(Calls.of(study), port=taken.getsockname()[1])


def test_the_server_keeps_no_token(closed, tmp_path_factory):
    assert Token.of(closed.token).fits(closed.token)
    kept = [path.read_bytes() for path in tmp_path_factory.getbasetemp().rglob("*") if path.is_file()]
    assert kept
    assert not any(closed.token.encode() in content for content in kept)
