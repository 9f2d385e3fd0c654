"""The one face of the room."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values
from onnes.errors import ConfigError, CrystalError
from onnes.potentials import potential as potentials
from onnes.propose.sources import METHODS, ProposalRequest, propose, replay


def test_parents_from_a_file_and_from_memory_agree(pytestconfig: pytest.Config) -> None:
    path = pytestconfig.rootpath / "examples" / "Be2Nb3.cif"
    from_file = propose(ProposalRequest(method="neighbour", parents=(path,), fixed_elements=("Be",)))
    in_memory = propose(ProposalRequest(method="neighbour", parents=known_table(["Be2Nb3"]), fixed_elements=("Be",)))
    assert values(from_file, "prototype") == values(in_memory, "prototype")
    assert from_file.num_rows == 80


def test_prototypes_through_the_same_face() -> None:
    table = propose(ProposalRequest(method="prototype", elements=("Nb", "N"), prototypes=("B1", "A2")))
    assert table.num_rows == 3
    assert propose(ProposalRequest(method="prototype", elements=("Nb", "N"), limit=5)).num_rows == 5


def test_settings_reach_the_substitution() -> None:
    request = ProposalRequest(
        method="neighbour", parents=known_table(["Be2Nb3"]), exclude_elements=("Hf",), max_substituted=1, limit=100
    )
    assert propose(request).num_rows == 7 + 7 + 4


def test_the_request_is_frozen_and_strict() -> None:
    request = ProposalRequest(method="prototype", elements=("Nb",))
    with pytest.raises(ValidationError):
        request.seed = 1  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValidationError, match="elemnts"):
        ProposalRequest(method="prototype", elemnts=("Nb",))  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValidationError):
        ProposalRequest(method="prototype", elements=("Nb",), limit=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "neighbour"}, "needs parents"),
        ({"method": "prototype"}, "needs elements"),
        ({"method": "prototype", "elements": ("Nb",), "fixed_elements": ("Be",)}, "no use for fixed_elements"),
        ({"method": "neighbour", "parents": (Path("a.cif"),), "elements": ("Nb",)}, "no use for elements"),
        ({"method": "reinterpret", "elements": ("Nb",)}, "needs formulas"),
        ({"method": "reinterpret", "formulas": ("NbN",), "ordering": "sqs"}, "no use for ordering"),
        ({"method": "like", "parents": (Path("a.cif"),), "rank": "energy"}, "no use for rank"),
        ({"method": "ionic", "parents": (Path("a.cif"),), "symmetry": False}, "no use for symmetry"),
    ],
)
def test_what_does_not_belong_together_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ProposalRequest(**settings)


def test_no_usable_parent_is_an_error_that_says_why(tmp_path: Path) -> None:
    (tmp_path / "empty.cif").write_text("")
    with pytest.raises(CrystalError, match=r"empty\.cif"):
        propose(ProposalRequest(method="neighbour", parents=(tmp_path / "empty.cif",)))
    with pytest.raises(CrystalError, match="28 atoms"):
        propose(ProposalRequest(method="neighbour", parents=known_table(["HfBe13"])))


def test_replay_covers_both_methods() -> None:
    parent = known_crystal("Be2Nb3")
    how = '{"op":"neighbour","sites":{"2a":"Hf"}}'
    assert replay(parent, how).composition.alphabetical_formula == "Be4 Hf2 Nb4"
    how = '{"elements":{"A":"Nb","B":"N"},"op":"prototype","prototype":"B1"}'
    assert replay(None, how).composition.reduced_formula == "NbN"


@pytest.mark.parametrize("how", ['{"op":"neighbour","sites":{"2a":"Hf"}}', '{"op":"dream"}', "{}"])
def test_what_cannot_be_replayed_is_refused(how: str) -> None:
    with pytest.raises(ConfigError):
        replay(None, how)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"method": "ionic", "parents": known_table(["Nb3Sn"]), "limit": 4, "seed": 1}, 4),
        ({"method": "saps", "parents": known_table(["Nb3Sn"]), "limit": 4}, 4),
        ({"method": "like", "parents": known_table(["Nb3Sn"]), "elements": ("V", "Ga"), "limit": 1}, 1),
        ({"method": "prototype", "elements": ("Zr", "V"), "motif": "laves", "limit": 2}, 2),
        ({"method": "composition", "formulas": ("NbC",), "per_formula": 2, "max_atoms": 4}, 2),
        ({"method": "disorder", "parents": (Path("examples/disordered/Nb0.75Zr0.25.cif"),), "limit": 3}, 3),
        (
            {
                "method": "reinterpret",
                "formulas": ("Nb3Sn",),
                "prototypes": ("A15", "L1_2", "C15"),
                "potential": "none",
            },
            2,
        ),
    ],
)
def test_every_method_through_the_same_face(settings: dict, count: int, pytestconfig: pytest.Config) -> None:
    if isinstance(settings.get("parents"), tuple):
        settings = settings | {"parents": tuple(pytestconfig.rootpath / path for path in settings["parents"])}
    table = propose(ProposalRequest(**settings))
    assert table.num_rows == count
    assert set(values(table, "source")) == {settings["method"]}
    parent = known_crystal("Nb3Sn")
    if settings["method"] == "disorder":
        return  # its parent has partly occupied sites, which `replay` gets from the file
    for crystal, how in zip(CrystalBatch.from_table(table).to_structures(), values(table, "how"), strict=True):
        made = replay(parent, how)
        assert made.composition == crystal.composition
        assert made.volume == pytest.approx(crystal.volume)


def test_every_method_says_what_it_is_and_takes_only_fields_that_exist() -> None:
    for name, method in METHODS.items():
        assert method.about
        assert {*method.needs, *method.takes} <= set(ProposalRequest.model_fields), name


def test_fields_of_single_methods_reach_them(pytestconfig: pytest.Config) -> None:
    alloy = (pytestconfig.rootpath / "examples" / "disordered" / "Nb0.75Zr0.25.cif",)
    table = propose(ProposalRequest(method="disorder", parents=alloy, ordering="sqs", max_atoms=8, limit=1))
    assert json.loads(values(table, "how")[0])["method"] == "sqs"
    with pytest.raises(ConfigError, match="not pattern"):
        propose(ProposalRequest(method="disorder", parents=alloy, rank="pattern"))
    with pytest.raises(ConfigError, match="needs a potential, and no other"):
        propose(ProposalRequest(method="disorder", parents=alloy, rank="size", potential="sevennet-0"))
    named = {"method": "prototype", "elements": ("Zr", "V"), "max_atoms": 30}
    few, many = (propose(ProposalRequest(**named, collections=c)) for c in (("superconductors",), ("general",)))
    assert not set(values(few, "how")) & set(values(many, "how"))
    likely = ProposalRequest(method="ionic", parents=known_table(["Nb3Sn"]), threshold=0.3, limit=1000)
    anything = ProposalRequest(method="ionic", parents=known_table(["Nb3Sn"]), limit=1000)
    assert 0 < propose(likely).num_rows < propose(anything).num_rows


def test_ordered_cells_are_ranked_by_the_potential_that_is_named(
    pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(potentials._ADAPTERS, "fake", ("tests.potentials.fakes", "FakePotential"))
    alloy = (pytestconfig.rootpath / "examples" / "disordered" / "Nb0.75Zr0.25.cif",)
    request = ProposalRequest(method="disorder", parents=alloy, rank="energy", potential="fake", max_atoms=4)
    table = propose(request)
    assert set(values(table, "potential")) == {"fake"}
    assert values(table, "energy_eV_per_atom") == sorted(values(table, "energy_eV_per_atom"))
