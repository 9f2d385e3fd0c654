"""Families of structure types."""

from __future__ import annotations

import pytest

from onnes.errors import ConfigError
from onnes.propose.motifs import motif_about, motif_names, motif_prototypes
from onnes.propose.prototypes import prototype


def test_every_family_has_types_that_exist() -> None:
    for name in motif_names():
        types = motif_prototypes(name)
        assert types
        assert len(set(types)) == len(types)
        assert all(prototype(one).name == one for one in types)
        assert motif_about(name)


@pytest.mark.parametrize(
    ("motif", "compound", "counts"),
    [("a15", "Cr3Si", [6, 2]), ("aluminium-diboride", "AlB2", [1, 2]), ("chevrel", "PbMo6S8 (Chevrel)", [1, 6, 8]),
     ("borocarbide", "LuNi2B2C", [1, 2, 2, 1]), ("skutterudite", "LaFe4P12", [1, 4, 12]), ("x2mh6", "K2PtCl6 (Mg2FeH6)", [2, 1, 6])],
)  # fmt: skip
def test_families_hold_their_namesake(motif: str, compound: str, counts: list[int]) -> None:
    found = {kind.compound: kind.counts.tolist() for kind in map(prototype, motif_prototypes(motif))}
    assert found[compound] == counts


def test_case_does_not_matter() -> None:
    assert motif_prototypes("Laves") == ["C14", "C15", "C36"]


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(ConfigError, match="heusler"):
        motif_prototypes("heussler")
