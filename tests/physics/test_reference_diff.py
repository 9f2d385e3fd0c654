import dataclasses

import pytest

from onnes.errors import ReferenceMismatch
from onnes.physics.reference_diff import diff_references
from tests.physics.references import PHASES, reference


def test_nothing_changes() -> None:
    found = diff_references(reference(), reference())
    assert found.only_in_first == found.only_in_second == found.no_longer_stable == found.newly_stable == []
    assert found.energy_change_eV_per_atom == {}


def test_formulas_energies_and_stable_phases() -> None:
    without = [phase for phase in PHASES if phase[0] != "Nb2Al"]
    deeper = [(f, e - 0.45 if f == "NbSn" else e, i) for f, e, i in without]
    seen = []
    found = diff_references(reference(), reference([*deeper, ("SnO2", -5.5, "new")]), on_rows=seen.append)
    assert found.only_in_first == ["Nb2Al"]
    assert found.only_in_second == ["SnO2"]
    assert found.energy_change_eV_per_atom == {"NbSn": pytest.approx(-0.45)}
    # NbSn takes its neighbours off the hull; without Nb2Al its neighbour Nb3Al comes down to it
    assert found.no_longer_stable == ["Nb2Al", "Nb6Sn5", "NbSn2"]
    assert found.newly_stable == ["Nb3Al", "NbSn", "SnO2"]
    assert sum(seen) > 0


def test_a_change_reaches_the_larger_systems() -> None:
    ternary = [*PHASES, ("Nb2AlSn", -7.30, "ternary")]
    found = diff_references(reference(ternary), reference([*ternary, ("AlSn", -5.5, "deep")]))
    assert found.newly_stable == ["AlSn"]
    assert "Nb2AlSn" in found.no_longer_stable


def test_an_energy_gained_by_a_known_formula_counts_as_new() -> None:
    gained = [(f, -7.9 if f == "Nb4AlSn" else e, i) for f, e, i in PHASES]
    assert diff_references(reference(), reference(gained)).only_in_second == ["Nb4AlSn"]


def test_another_potential_is_refused() -> None:
    with pytest.raises(ReferenceMismatch, match="potential_sha256"):
        diff_references(reference(), dataclasses.replace(reference(), potential_sha256="1" * 64))
