import pytest

from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError
from onnes.training.phase_sources.optimade import optimade_phases
from onnes.training.phase_sources.request import PhaseRequest
from tests.training.phase_sources.servers import optimade_object, server

PAGES = [[optimade_object(name, known_crystal(name)) for name in names] for names in (("Nb3Sn", "NbN"), ("MgB2",))]
REQUEST = PhaseRequest(elements=("Nb", "N", "Sn"), max_atoms=30)


def _pages(link):
    """Answer two pages, the second one named by ``link(query)``."""

    def answer(path, query, headers):
        assert path == "/optimade/v1/structures"
        assert headers["User-Agent"].startswith("onnes/")
        if query.get("page_offset") == "2":
            return 200, {"data": PAGES[1], "links": {"next": None}}
        return 200, {"data": PAGES[0], "links": {"next": link(query)}}

    return answer


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/structures", "/v1/structures/"])
def test_all_pages_are_read(ending) -> None:
    with server(_pages(lambda query: f"/optimade/v1/structures?page_offset=2&response_fields={query['response_fields']}")) as (
        address, seen,
    ):  # fmt: skip
        found = list(optimade_phases(f"{address}/optimade{ending}", REQUEST))
    assert [item["id"] for item in found] == ["Nb3Sn", "NbN", "MgB2"]
    assert seen[0][1]["filter"] == 'nsites<=30 AND elements HAS ONLY "N","Nb","Sn"'
    assert "cartesian_site_positions" in seen[0][1]["response_fields"]
    assert len(seen) == 2


def test_fields_that_the_server_forgets_are_asked_for_again() -> None:
    with server(_pages(lambda _: {"href": "structures?page_offset=2"})) as (address, seen):
        assert len(list(optimade_phases(f"{address}/optimade", REQUEST))) == 3
    assert seen[1][1]["response_fields"] == seen[0][1]["response_fields"]


def test_a_busy_server_is_asked_again() -> None:
    calls = []

    def answer(*_):
        calls.append(1)
        return (503, b"busy") if len(calls) < 3 else (200, {"data": PAGES[1], "links": {}})

    with server(answer) as (address, _):
        assert len(list(optimade_phases(address, REQUEST, wait_s=0.001))) == 1
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (200, b"<html>", "no JSON"),
        (200, {"hello": "world"}, "no list of OPTIMADE structures"),
        (400, {"errors": [{"detail": "cannot parse the filter"}]}, "400.*cannot parse the filter"),
        (503, b"", "503"),
    ],
)
def test_wrong_answers(status, body, message) -> None:
    with server(lambda *_: (status, body)) as (address, _), pytest.raises(ConfigError, match=message):
        list(optimade_phases(address, REQUEST, wait_s=0.001))


@pytest.mark.parametrize(
    ("link", "message"), [("file:///etc/passwd", "no address"), ("/v1/structures?response_fields=x", "twice")]
)
def test_wrong_next_pages(link, message) -> None:
    with server(lambda *_: (200, {"data": PAGES[1], "links": {"next": link}})) as (address, _):
        with pytest.raises(ConfigError, match=message):
            list(optimade_phases(address, REQUEST, wait_s=0.001))


@pytest.mark.parametrize("address", ["optimade.org", "file:///tmp/x.json", "ftp://x.org", ""])
def test_no_address(address) -> None:
    with pytest.raises(ConfigError, match="no address"):
        list(optimade_phases(address, REQUEST))


def test_nobody_answers() -> None:
    with pytest.raises(ConfigError, match="check the address and the network"):
        list(optimade_phases("http://127.0.0.1:9", REQUEST, wait_s=0.001))


def test_optimade_knows_no_hull() -> None:
    with pytest.raises(ConfigError, match="--within"):
        list(optimade_phases("http://127.0.0.1:9", PhaseRequest(within_eV_per_atom=0.1)))


def test_unknown_elements() -> None:
    with pytest.raises(ConfigError, match="'Xx'"):
        PhaseRequest(elements=("Nb", "Xx"))
