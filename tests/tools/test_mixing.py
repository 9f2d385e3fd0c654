import pytest

import onnes
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError
from onnes.potentials import potential as registry
from onnes.potentials.relaxation import RelaxSettings
from onnes.propose import mixing as room
from onnes.tools.mixing import MixingTable
from onnes.tools.registry import tool


def test_niobium_and_tin_keep_their_sites_iron_and_cobalt_less_so() -> None:
    """Iron and cobalt in caesium-chloride order mix above 1000 K by experiment."""
    done: list[int] = []
    iron_cobalt = known_crystal("Nb", primitive=False)
    iron_cobalt.replace(0, "Fe")
    iron_cobalt.replace(1, "Co")
    iron_cobalt.scale_lattice(2.85**3)
    found = onnes.mixing([known_crystal("Nb3Sn"), iron_cobalt], temperature_K=2000, on_rows=done.append)
    assert sum(done) == 2
    tin, cobalt = found.to_dicts()
    assert tin["verdict"] == "ordered"
    assert tin["swap_energy_eV"] > 1
    assert cobalt["swap_energy_eV"] < 0.5 * tin["swap_energy_eV"]
    assert cobalt["disorder"] > tin["disorder"]


def test_face_errors_and_settings(monkeypatch) -> None:
    monkeypatch.setitem(registry._ADAPTERS, "fake", ("tests.potentials.fakes", "FakePotential"))
    table = with_columns(known_table(["V3Ga", "NaCl", "Al"]), {"error": [None, "broken before", None]})
    found = onnes.mixing(table, potential="fake", temperature_K=700)
    assert isinstance(found, MixingTable)
    assert found["id"] == ["V3Ga", "NaCl", "Al"]
    assert found["verdict"] == ["mixed", None, "no pair"]  # all elements are alike to this potential
    assert found["error"] == [None, "broken before", None]
    assert found.n_failed == 1
    assert "swap / eV" in repr(found)
    assert onnes.mixing(table.slice(0, 1), potential="fake", max_radius_ratio=1.0001)["verdict"] == ["no pair"]
    with pytest.raises(ConfigError, match="above 0 K"):
        onnes.mixing(table, potential="fake", temperature_K=-1)


def test_exchanged_crystals_are_relaxed_without_their_symmetry(monkeypatch) -> None:
    monkeypatch.setitem(registry._ADAPTERS, "fake", ("tests.potentials.fakes", "FakePotential"))
    settings = []
    relax_batch = room.relax_batch

    def watched(batch, potential, how):
        settings.append(how)
        return relax_batch(batch, potential, RelaxSettings(max_steps=1, keep_symmetry=False))

    monkeypatch.setattr(room, "relax_batch", watched)
    for relax in (False, True):
        assert onnes.mixing(known_table(["V3Ga"]), potential="fake", relax=relax)["error"] == [None]
    [used] = settings
    assert used.relax_cell
    assert not used.keep_symmetry


def test_registered() -> None:
    assert tool("mixing").function() is onnes.mixing
    assert tool("mixing").effect == "compute"
