import json

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values, with_columns
from onnes.crystals.writers import write_crystals
from onnes.errors import ConfigError
from onnes.physics.reference import Reference
from onnes.potentials import potential as potentials
from onnes.tools import references
from onnes.tools.references import build, gather_phases, prototype_phases, unusable
from onnes.training import reference_data
from onnes.training.phase_sources.request import PhaseRequest
from tests.potentials.fakes import FakePotential
from tests.training.phase_sources.servers import optimade_object, server

NAMES = ["Al", "Nb", "NbN"]


@pytest.fixture
def crystals(tmp_path):
    path = tmp_path / "crystals.parquet"
    write_crystals(known_table(NAMES), path)
    return path


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "dump.json"
    entries = [
        {"structure": known_crystal(name).as_dict(), "data": {"mat_id": f"agm-{name}", "e_above_hull": 0.0}}
        for name in NAMES
    ]
    path.write_text(json.dumps({"entries": entries}))
    return path


@pytest.fixture
def fake(monkeypatch):
    made = FakePotential()
    monkeypatch.setattr(potentials, "load_potential", lambda *_, **__: made)
    return made


def test_files(crystals, tmp_path) -> None:
    table, notes = gather_phases("files", [str(crystals)], PhaseRequest(), folder=tmp_path / "p")
    assert values(table, "reduced_formula") == NAMES
    assert None not in values(table, "prototype")
    assert notes == {}
    table, _ = gather_phases("files", [str(crystals)], PhaseRequest(elements=("Nb", "N")), folder=tmp_path / "p")
    assert values(table, "reduced_formula") == ["Nb", "NbN"]
    table, _ = gather_phases("files", [str(crystals)], PhaseRequest(max_atoms=1), folder=tmp_path / "p")
    assert "more than 1" in unusable([(table, {})])[0]


def test_a_dump_is_read_once(dump, tmp_path, monkeypatch) -> None:
    seen = []
    folder = tmp_path / "pieces"
    table, notes = gather_phases("alexandria", [str(dump)], PhaseRequest(), folder=folder, on_rows=seen.append)
    assert values(table, "id") == [f"agm-{name}" for name in NAMES]
    assert set(values(table, "source")) == {"Alexandria"}
    assert notes == {"sources": "Alexandria"}
    assert sum(seen) == 3
    monkeypatch.setattr(references, "_fetched", None)
    assert gather_phases("alexandria", [str(dump)], PhaseRequest(), folder=folder)[0].equals(table)
    with pytest.raises(TypeError):  # another request is another file
        gather_phases("alexandria", [str(dump)], PhaseRequest(elements=("Nb",)), folder=folder)


def test_a_broken_download_leaves_nothing(tmp_path, dump) -> None:
    dump.write_text(dump.read_text()[:-500])
    with pytest.raises(Exception, match="cut off"):
        gather_phases("alexandria", [str(dump)], PhaseRequest(), folder=tmp_path / "pieces")
    assert list((tmp_path / "pieces").iterdir()) == []


def test_an_optimade_database(tmp_path) -> None:
    objects = [optimade_object(name, known_crystal(name, primitive=True)) for name in NAMES]
    broken = {"id": "broken", "type": "structures", "attributes": {"lattice_vectors": None}}
    with server(lambda *_: (200, {"data": [*objects, broken], "links": {}})) as (address, _):
        table, notes = gather_phases("optimade", [address], PhaseRequest(), folder=tmp_path)
    assert values(table, "reduced_formula")[:3] == NAMES
    assert notes == {"sources": address}
    assert set(values(table, "source")) == {address}
    assert len(unusable([(table, notes)])) == 1


@pytest.mark.parametrize(
    ("source", "places", "request_", "message"),
    [
        ("optimade", [], PhaseRequest(), "optimade"),
        ("files", [], PhaseRequest(), "files"),
        ("mp", ["x.cif"], PhaseRequest(), "mp takes no files"),
        ("known-phases", ["x.cif"], PhaseRequest(), "known-phases takes no files"),
        ("known-phases", [], PhaseRequest(within_eV_per_atom=0.1), "leave --within out"),
        ("alexandria", ["nowhere.json"], PhaseRequest(), "nowhere.json"),
        ("files", ["CRYSTALS"], PhaseRequest(within_eV_per_atom=0.1), "--within"),
        ("alexandria", ["DUMP"], PhaseRequest(elements=("Au",)), "no crystal of this kind"),
    ],
)
def test_faults(source, places, request_, message, tmp_path, crystals, dump) -> None:
    real = {"CRYSTALS": str(crystals), "DUMP": str(dump)}
    with pytest.raises(ConfigError, match=message):
        gather_phases(source, [real.get(place, place) for place in places], request_, folder=tmp_path / "p")


def test_known_phases(tmp_path, monkeypatch) -> None:
    def small(*, max_atoms):
        return known_table(NAMES), {"sources": "here", "coverage": "all of it"}

    monkeypatch.setattr(reference_data, "known_phases", small)
    table, notes = gather_phases("known-phases", [], PhaseRequest(), folder=tmp_path)
    assert values(table, "reduced_formula") == NAMES
    assert notes == {"sources": "here", "coverage": "all of it"}
    table, notes = gather_phases("known-phases", [], PhaseRequest(elements=("Nb", "N")), folder=tmp_path)
    assert values(table, "reduced_formula") == ["Nb", "NbN"]
    assert notes == {"sources": "here"}  # the coverage was that of all elements


def test_pairs_of_elements_in_structure_types() -> None:
    table = prototype_phases(["Nb", "Hf", "Be"], max_atoms=8)
    ids = values(table, "id")
    assert len(set(ids)) == table.num_rows
    assert {"prototype:A15:Nb-Be", "prototype:A15:Be-Nb", "prototype:C15:Hf-Be", "prototype:B2:Be-Hf"} <= set(ids)
    assert "prototype:B2:Hf-Be" not in ids  # the same crystal
    assert all(len(set(numbers)) == 2 for numbers in values(table, "atomic_numbers"))
    assert set(values(table, "source")) == {"prototype"}
    assert max(values(table, "n_atoms")) == 8
    with_triples = values(prototype_phases(["Nb", "Hf", "Be"], ternaries=True, max_atoms=8), "id")
    assert set(ids) < set(with_triples)
    assert "prototype:L2_1:Be-Nb-Hf" in with_triples
    with pytest.raises(ConfigError, match="two elements"):
        prototype_phases(["Nb", "Nb"], max_atoms=8)


def test_known_and_hypothetical_phases_in_one_reference(fake, crystals, tmp_path) -> None:
    known = gather_phases("files", [str(crystals)], PhaseRequest(), folder=tmp_path)
    guesses = prototype_phases(["Nb", "Al"], max_atoms=2), {}
    seen = []
    made = build([known, guesses], potential="fake", name="mine", folder=tmp_path / "p", on_rows=seen.append)
    sources = dict(zip(made.table["id"].to_pylist(), made.table["source"].to_pylist(), strict=True))
    assert [name for name, source in sources.items() if source != "prototype"] == NAMES
    assert sources["prototype:B2:Al-Nb"] == "prototype"
    assert {formula for formula, _ in made.labels} == set(NAMES)
    assert "NbAl" in made.lowest
    rows = {row["id"]: row for row in made.table.to_pylist()}
    assert rows["prototype:B2:Al-Nb"]["relaxed"]
    assert "as published" in made.notes["geometry"]
    assert "guessed and relaxed" in made.notes["geometry"]
    calls = len(fake.calls)
    assert build([known, guesses], potential="fake", name="mine", folder=tmp_path / "p").table.equals(made.table)
    assert len(fake.calls) == calls


def test_nothing_left_to_compute(fake, crystals, tmp_path) -> None:
    none = gather_phases("files", [str(crystals)], PhaseRequest(elements=("Au",)), folder=tmp_path)
    with pytest.raises(ConfigError, match="no crystal"):
        build([none], potential="fake", name="mine", folder=tmp_path / "p")


def test_rows_with_an_error_are_told(crystals, tmp_path) -> None:
    table, notes = gather_phases("files", [str(crystals)], PhaseRequest(), folder=tmp_path)
    broken = with_columns(table, {"error": ["x.cif: broken", None, None]})
    assert unusable([(broken, notes)]) == ["x.cif: broken"]


@pytest.mark.slow
def test_structure_types_find_the_known_phases_of_be_nb_again(tmp_path) -> None:
    table = prototype_phases(["Be", "Nb"], max_atoms=13)
    wanted = ["prototype:D2_d:Nb-Be", "prototype:PuNi3:Nb-Be", "prototype:D2_b:Nb-Be", "prototype:D5_a:Nb-Be"]
    table = table.filter(pc.is_in(table["id"], pa.array(wanted)))
    made = build([(table, {})], potential="sevennet-0", name="types", folder=tmp_path)
    shipped = Reference.shipped("sevennet-0")
    assert set(made.lowest) == {"Be5Nb", "Be3Nb", "Be12Nb", "Be2Nb3"}
    for formula, (energy, _) in made.lowest.items():
        assert energy == pytest.approx(shipped.lowest[formula][0], abs=0.003), formula
