"""The periodic table as a map."""

from __future__ import annotations

import pytest

from onnes.errors import ConfigError
from onnes.propose.periodic import DEFAULT_EXCLUDED, HEAVIEST, NOBLE_GASES, atomic_number, neighbours, symbol_of


def test_niobium_has_eight_neighbours_hafnium_among_them() -> None:
    assert neighbours("Nb") == ("Ti", "V", "Cr", "Zr", "Mo", "Hf", "Ta", "W")


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("Be", {"H", "Li", "Na", "Mg"}),
        ("B", {"C", "Al", "Si"}),
        ("H", {"Li", "Be"}),
        ("Zr", {"Sc", "Ti", "V", "Y", "Nb", "La", "Hf", "Ta"}),
        ("La", {"Sr", "Y", "Zr", "Ba", "Ce", "Hf", "Ra", "Ac"}),
        ("Ce", {"La", "Pr"}),
        ("Lu", {"Yb"}),
        ("U", {"Pa"}),
    ],
)
def test_places_around(symbol: str, expected: set[str]) -> None:
    assert set(neighbours(symbol)) == expected


def test_the_relation_is_symmetric_and_has_at_most_eight() -> None:
    for number in range(1, HEAVIEST + 1):
        symbol = symbol_of(number)
        around = neighbours(symbol)
        assert 1 <= len(around) <= 8
        assert symbol not in around
        assert all(symbol in neighbours(other) for other in around)


def test_defaults_leave_out_what_cannot_be_handled() -> None:
    assert NOBLE_GASES < DEFAULT_EXCLUDED
    assert {"Tc", "Pm", "Po", "At", "Fr", "Ra"} <= DEFAULT_EXCLUDED
    assert not {"U", "Th", "Bi"} & DEFAULT_EXCLUDED


def test_what_is_no_element_is_named() -> None:
    assert atomic_number("Nb") == 41
    for wrong in ("nb", "Qq", "X", ""):
        with pytest.raises(ConfigError, match=repr(wrong)):
            atomic_number(wrong)
