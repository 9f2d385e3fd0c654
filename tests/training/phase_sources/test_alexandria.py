import bz2
import gzip
import json

import pytest
from pymatgen.entries.computed_entries import ComputedStructureEntry

from onnes.crystals.known import known_crystal
from onnes.errors import CrystalError
from onnes.training.phase_sources import alexandria
from onnes.training.phase_sources.alexandria import alexandria_phases
from onnes.training.phase_sources.request import PhaseRequest

PHASES = {"Nb3Sn": 0.0, "NbN": 0.2, "MgB2": 0.01}


def _entries():
    """What pymatgen writes, in the layout of the dumps."""
    found = []
    for number, (name, above) in enumerate(PHASES.items()):
        data = {"mat_id": f"agm{number:09d}", "e_above_hull": above, "energy_total": -1.0}
        found.append(ComputedStructureEntry(known_crystal(name), -1.0, data=data).as_dict())
    return found


def _write(path, document):
    text = json.dumps(document)
    opened = {".bz2": bz2.open, ".gz": gzip.open}.get(path.suffix, open)
    with opened(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


@pytest.mark.parametrize("name", ["alexandria_000.json", "alexandria_000.json.bz2", "alexandria_000.json.gz"])
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_entries_of_a_dump(tmp_path, monkeypatch, name, wrapped, chunk) -> None:
    monkeypatch.setattr(alexandria, "_CHUNK", max(chunk, 300 if wrapped else chunk))
    document = {"@module": "x", "entries": _entries()} if wrapped else _entries()
    found = list(alexandria_phases(_write(tmp_path / name, document), PhaseRequest()))
    assert [item["id"] for item in found] == ["agm000000000", "agm000000001", "agm000000002"]
    assert found[0]["sites"][0]["species"][0]["element"] == "Nb"
    assert set(found[0]) == {"id", "lattice", "sites"}


def test_wanted_crystals_only(tmp_path) -> None:
    path = _write(tmp_path / "a.json", {"entries": _entries()})
    assert len(list(alexandria_phases(path, PhaseRequest(elements=("Nb", "Sn"))))) == 1
    assert len(list(alexandria_phases(path, PhaseRequest(within_eV_per_atom=0.1)))) == 2
    assert len(list(alexandria_phases(path, PhaseRequest(elements=("Nb", "N"), within_eV_per_atom=0.1)))) == 0
    small = [item["id"] for item in alexandria_phases(path, PhaseRequest(max_atoms=7))]
    assert small == ["agm000000002"]  # Nb3Sn and NbN have 8 atoms


def test_an_entry_without_a_name(tmp_path) -> None:
    entries = _entries()
    entries[0]["data"] = {}
    (first, *_) = alexandria_phases(_write(tmp_path / "a.json", entries), PhaseRequest())
    assert first["id"] == "a-000001"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no list of entries"),
        ('{"a": 1}', "no list of entries"),
        ('{"entries": [{"structure": {"lattice"', "cut off"),
        ('{"entries": [1, 2]}', "not a dump"),
        ('{"entries": [{"energy": -1.0}]}', "entry 1 has no structure"),
    ],
)
def test_no_dump(tmp_path, text, message) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CrystalError, match=message):
        list(alexandria_phases(tmp_path / "a.json", PhaseRequest()))


def test_damaged_archive(tmp_path) -> None:
    path = _write(tmp_path / "a.json.bz2", _entries())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CrystalError, match=r"a\.json\.bz2: not a dump"):
        list(alexandria_phases(path, PhaseRequest()))
