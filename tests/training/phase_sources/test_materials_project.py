import pytest
from pymatgen.core import SETTINGS

from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError
from onnes.training.phase_sources.materials_project import materials_project_phases
from onnes.training.phase_sources.request import PhaseRequest
from tests.training.phase_sources.servers import server

KEY = "k" * 32
# As https://api.materialsproject.org answers, cut down to the fields that were asked for.
SUMMARY = [
    {"material_id": "mp-1326", "energy_above_hull": 0.0, "structure": known_crystal("Nb3Sn").as_dict()},
    {"material_id": "mp-2", "energy_above_hull": 0.3, "structure": known_crystal("Nb3Sn").as_dict()},
]


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("MP_API_KEY", KEY)


def _fetch(monkeypatch, answer, request):
    with server(answer) as (address, seen):
        monkeypatch.setitem(SETTINGS, "PMG_MAPI_ENDPOINT", f"{address}/")
        return list(materials_project_phases(request)), seen


def test_all_systems_of_the_elements(monkeypatch, key) -> None:
    keys = []

    def answer(path, query, headers):
        keys.append(headers["x-api-key"])
        return 200, {"data": SUMMARY}

    found, seen = _fetch(monkeypatch, answer, PhaseRequest(elements=("Nb", "Sn"), within_eV_per_atom=0.1))
    assert [item["id"] for item in found] == ["mp-1326"]
    ((path, query),) = seen
    assert path == "/materials/summary/"
    assert query["chemsys"] == "Nb,Sn,Nb-Sn"
    assert query["energy_above_hull_max"] == "0.1"
    assert query["_fields"] == "material_id,structure,energy_above_hull"
    assert keys == [KEY]


def test_large_cells_are_left_out(monkeypatch, key) -> None:
    request = PhaseRequest(elements=("Nb", "Sn"), max_atoms=7)
    assert _fetch(monkeypatch, lambda *_: (200, {"data": SUMMARY}), request)[0] == []


def test_many_systems_are_asked_for_in_parts(monkeypatch, key) -> None:
    request = PhaseRequest(elements=("Nb", "Sn", "Al", "Ti", "V", "Zr"))
    found, seen = _fetch(monkeypatch, lambda *_: (200, {"data": []}), request)
    assert found == []
    assert sum(query["chemsys"].count(",") + 1 for _, query in seen) == 2**6 - 1


def test_without_a_key(monkeypatch) -> None:
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="MP_API_KEY"):
        list(materials_project_phases(PhaseRequest(elements=("Nb",))))


def test_without_elements(key) -> None:
    with pytest.raises(ConfigError, match="--elements"):
        list(materials_project_phases(PhaseRequest()))


@pytest.mark.parametrize(("status", "body"), [(401, b"no"), (200, b"<html>"), (200, {"data": [{"material_id": "x"}]})])
def test_wrong_answers_do_not_show_the_key(monkeypatch, key, status, body) -> None:
    with pytest.raises(ConfigError, match="gives no crystals") as caught:
        _fetch(monkeypatch, lambda *_: (status, body), PhaseRequest(elements=("Nb",)))
    assert KEY not in str(caught.value)


def test_a_key_of_the_wrong_length(monkeypatch) -> None:
    monkeypatch.setenv("MP_API_KEY", "short")
    with pytest.raises(ConfigError, match="key"):
        list(materials_project_phases(PhaseRequest(elements=("Nb",))))
