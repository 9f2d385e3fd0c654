"""Volumes guessed from radii."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError
from onnes.propose.radii import atomic_radii, estimated_volume


@pytest.mark.parametrize(
    "name", ["Nb3Sn", "V3Si", "Be2Nb3", "NbBe2", "HfBe5", "ZrV2", "TiN", "NbN", "MgB2", "Al", "Nb"]
)
def test_volumes_of_metals_are_within_a_tenth(name: str) -> None:
    structure = known_crystal(name)
    assert estimated_volume([site.specie.Z for site in structure]) == pytest.approx(structure.volume, rel=0.1)


def test_volume_is_extensive_and_grows_down_a_column() -> None:
    assert estimated_volume([41, 41, 7, 7]) == pytest.approx(2 * estimated_volume([41, 7]))
    assert estimated_volume([22]) < estimated_volume([40])


def test_hydrogen_takes_the_room_that_it_takes_in_metals() -> None:
    assert 2.0 < estimated_volume([1]) < 3.0


def test_every_usable_element_has_a_radius_of_sensible_size() -> None:
    missing = {2, 10, 36, 54, 85, 86, 87}
    radii = atomic_radii([z for z in range(1, 95) if z not in missing])
    assert np.all((radii >= 0.5) & (radii < 2.8))


@pytest.mark.parametrize("number", [0, 2, 87, 95, -1])
def test_elements_without_a_radius_are_named(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"\[{number}\]"):
        atomic_radii([41, number])
