import pytest

from onnes.errors import ModelError
from onnes.potentials import potential as registry
from onnes.potentials.potential import (
    DEFAULT_POTENTIAL,
    Potential,
    load_potential,
    potential_names,
    register_potential,
    sibling_of,
)


@pytest.fixture
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_ADAPTERS", dict(registry._ADAPTERS))
    monkeypatch.setattr(registry, "_LOADED", {})


def test_shipped_adapters() -> None:
    assert potential_names() == ["chgnet", "sevennet-0", "sevennet-l3i5"]
    assert DEFAULT_POTENTIAL == "sevennet-0"


def test_sibling_is_another_one() -> None:
    siblings = {name: sibling_of(name) for name in potential_names()}
    assert siblings == {"sevennet-0": "sevennet-l3i5", "sevennet-l3i5": "sevennet-0", "chgnet": "sevennet-0"}


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'mace'; known: chgnet, sevennet-0"):
        load_potential("mace")


def test_registered_potential_is_loaded_once(empty_registry) -> None:
    register_potential("lj", "tests.potentials.fakes", "FakePotential")
    loaded = load_potential("lj")
    assert loaded.name == "lj"
    assert isinstance(loaded, Potential)
    assert load_potential("lj") is loaded


def test_missing_package_is_named(empty_registry) -> None:
    register_potential("far", "a_package_that_nobody_has", "Far")
    with pytest.raises(ModelError, match="a_package_that_nobody_has"):
        load_potential("far")


@pytest.mark.parametrize("name", ["sevennet-0", "chgnet"])
def test_adapters_fulfil_the_protocol(name) -> None:
    loaded = load_potential(name)
    assert isinstance(loaded, Potential)
    assert load_potential(name) is loaded
    assert loaded.name == name
    assert {1, 5, 8, 14, 26, 41, 72} <= loaded.elements
    assert loaded.energy_scheme


def test_energies_of_the_adapters_are_not_of_one_scheme() -> None:
    assert load_potential("sevennet-0").energy_scheme != load_potential("chgnet").energy_scheme
