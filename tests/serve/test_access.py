import hashlib
import stat

import anyio
import pytest
from starlette.datastructures import Headers

from onnes.errors import ConfigError
from onnes.serve.access import LOCAL_NAMES, Guard, Token, host_names, is_loopback, name_of


def guard(token=None, hosts=LOCAL_NAMES):
    return Guard(None, hosts=hosts, token=token)


def status(of, **headers):
    answer = of.refusal(Headers({name.replace("_", "-"): value for name, value in headers.items()}))
    return None if answer is None else answer.status_code


def test_a_token_is_made_once_and_kept_as_a_hash(tmp_path):
    path = tmp_path / "token"
    token, text = Token.from_file(path)
    assert text is not None
    assert len(text) >= 40
    assert path.read_text() == f"sha256:{hashlib.sha256(text.encode()).hexdigest()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again, shown = Token.from_file(path)
    assert (again, shown) == (token, None)
    assert again.fits(text)
    assert not again.fits(text[:-1])
    assert Token.from_file(tmp_path / "other")[1] != text


@pytest.mark.parametrize("content", [b"", b"secret\n", b"sha256:12ab\n", b"\xff\xfe", b"sha256:" + b"G" * 64])
def test_a_file_without_a_hash_is_refused(content, tmp_path):
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="token"):
        Token.from_file(path)
    assert path.read_bytes() == content


def test_a_token_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use the token file"):
        Token.from_file(tmp_path / "file" / "token")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8642", "127.0.0.1:8642", "[::1]:8642", "[::1]"])
def test_this_machine_may_be_asked_for(host):
    assert status(guard(), host=host) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "evil.example:8642", "localhost@evil.example", "localhost:8642/x", "::1",
     "127.0.0.1.evil.example", "localhost:8642:1", "localhost,evil.example"],
)  # fmt: skip
def test_another_host_is_421(host):
    assert status(guard(), host=host) == 421


def test_a_missing_host_is_421():
    assert status(guard()) == 421


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("http://localhost:8642", None), ("https://localhost:8642", None), ("http://localhost:3000", 403), ("null", 403),
     ("http://evil.example", 403), ("http://localhost", 403), ("", 403), ("http://localhost:8642.evil.example", 403)],
)  # fmt: skip
def test_only_a_page_of_the_same_origin_may_ask(origin, expected):
    assert status(guard(), host="localhost:8642", origin=origin) == expected


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic right", "right", "Bearer right right"]
)
def test_without_the_token_it_is_401(header):
    headers = {} if header is None else {"authorization": header}
    assert status(guard(Token.of("right")), host="localhost", **headers) == 401


@pytest.mark.parametrize("header", ["Bearer right", "bearer right", "Bearer  right "])
def test_with_the_token_it_passes(header):
    assert status(guard(Token.of("right")), host="localhost", authorization=header) is None


def test_a_wrong_host_is_not_told_whether_the_token_is_right():
    for header in ("Bearer right", "Bearer wrong"):
        assert status(guard(Token.of("right")), host="evil.example", authorization=header) == 421


def test_names_are_those_of_this_machine_and_those_given():
    assert host_names("127.0.0.1") == LOCAL_NAMES
    assert host_names("0.0.0.0", ["Lab.example.org"]) == LOCAL_NAMES | {"lab.example.org"}  # noqa: S104
    assert host_names("10.0.0.7") == LOCAL_NAMES | {"10.0.0.7"}
    assert host_names("fe80::1") == LOCAL_NAMES | {"[fe80::1]"}
    assert name_of("lab.example.org:443") in host_names("::", ["lab.example.org"])


@pytest.mark.parametrize("name", ["", "*", "a b", "lab.example.org:443", "http://lab"])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ConfigError, match="no name of a host"):
        host_names("127.0.0.1", [name])


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "example.org", "", "127.0.0.1.example.org"],  # noqa: S104
)
def test_other_addresses_are_not_loopback(host):
    assert not is_loopback(host)


def test_there_is_nothing_to_talk_to_by_websocket():
    sent = []

    async def send(message):
        sent.append(message)

    anyio.run(guard(), {"type": "websocket"}, None, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
