"""Who is asked about which crystal, and what becomes of the answers."""

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.physics.phonons import Phonons
from onnes.potentials import potential as registry
from onnes.potentials.phonon_grades import GradedPhonons, grade_phonons
from onnes.potentials.phonon_settings import GradeSettings
from onnes.potentials.potential import Evaluation
from tests.potentials.fakes import FakePotential, fcc

SMALL = {"min_length_A": 7.5, "even": False}


class Restless(FakePotential):
    """Calls every crystal unstable: the forces have the wrong sign."""

    def evaluate(self, batch, *, forces=True, features=False):
        found = super().evaluate(batch, forces=forces)
        return Evaluation(found.energies_eV, -found.forces_eV_per_A, found.stresses_eV_per_A3)


class ShallowWell(FakePotential):
    """Along one axis the forces have the wrong sign as long as they are small: each site lies on a low hill."""

    limit_eV_per_A = 0.0

    def evaluate(self, batch, *, forces=True, features=False):
        found = super().evaluate(batch, forces=forces)
        low = np.abs(found.forces_eV_per_A).max() < self.limit_eV_per_A
        sign = np.array([1, 1, -1]) if low else 1
        return Evaluation(found.energies_eV, sign * found.forces_eV_per_A, found.stresses_eV_per_A3)


@pytest.fixture
def potentials(monkeypatch):
    """Two potentials by name; the test decides what they are."""
    loaded = {}
    monkeypatch.setattr(registry, "_ADAPTERS", dict.fromkeys("ab", ("tests.potentials.fakes", "FakePotential")))
    monkeypatch.setattr(registry, "_LOADED", loaded)

    def use(first, second):
        loaded[("a", "cpu")], loaded[("b", "cpu")] = first, second
        return first, second

    return use


def graded_by(potentials, first, second, batch, **settings):
    potentials(first, second)
    done = []
    how = GradeSettings(**{"potential": "a", "sibling": "b", "relax": False, **SMALL, **settings})
    found = grade_phonons(batch, how, on_done=done.append)
    assert sum(done) == len(batch)
    return found


def asked(fake):
    return sum(len(call) for call in fake.calls)


COPPER = CrystalBatch.of([fcc(29)])


@pytest.mark.parametrize(("refine", "asks_sibling"), [("never", False), ("not stable", False), ("always", True)])
def test_stable_crystal(potentials, refine, asks_sibling) -> None:
    first, second = FakePotential("a"), FakePotential("b")
    [found] = graded_by(potentials, first, second, COPPER, refine=refine)
    assert isinstance(found, GradedPhonons)
    assert isinstance(found.phonons, Phonons)
    assert found.grade == "stable"
    assert [check.potential for check in found.checks] == (["a", "b"] if asks_sibling else ["a"])
    assert (asked(second) > 0) is asks_sibling
    assert found.checks[0].supercell == "3x3x3"  # of the primitive cell
    assert found.min_THz == pytest.approx(0, abs=1e-2)
    assert "a 3x3x3 0.01 A: " in found.reason


def test_crystal_without_a_real_mode_has_no_phonons(potentials) -> None:
    [found] = graded_by(potentials, Restless("a"), FakePotential("b"), COPPER)
    assert isinstance(found, str)
    assert "no real phonon" in found


@pytest.fixture
def torn():
    """Copper torn apart: the bonds resist stretching no more."""
    return CrystalBatch.of([fcc(29, scale=1.12)])


def test_unstable_needs_every_calculation(potentials, torn) -> None:
    first, second = FakePotential("a"), FakePotential("b")
    [found] = graded_by(potentials, first, second, torn, refine="not stable")
    assert found.grade == "unstable"
    assert [(check.potential, check.displacement_A) for check in found.checks] == [
        ("a", 0.01),
        ("a", 0.03),
        ("b", 0.01),
    ]
    assert found.min_THz < -0.5
    [once] = graded_by(potentials, first, second, torn, refine="never", second_displacement_A=None)
    assert [(check.potential, check.displacement_A) for check in once.checks] == [("a", 0.01)]


def wrong(scale_A):
    """Another potential: lengths are multiplied before it looks."""

    class Scaled(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            larger = CrystalBatch(scale_A * batch.lattices, batch.frac_coords, batch.atomic_numbers, batch.offsets)
            return super().evaluate(larger, forces=forces)

    return Scaled("b")


def test_sibling_that_disagrees_makes_doubt(potentials, torn) -> None:
    [found] = graded_by(potentials, FakePotential("a"), wrong(1 / 1.12), torn, refine="not stable")
    assert [check.grade(GradeSettings().tolerances) for check in found.checks] == ["unstable", "unstable", "stable"]
    assert found.grade == "doubtful"
    [found] = graded_by(potentials, FakePotential("a"), wrong(1.12), COPPER, refine="always")
    assert found.grade == "doubtful"
    [found] = graded_by(potentials, FakePotential("a"), wrong(1.12), COPPER, refine="not stable")
    assert found.grade == "stable"  # nobody asked


def test_sign_that_changes_with_the_displacement_makes_doubt_and_ends_the_questions(potentials) -> None:
    tetragonal = CrystalBatch.of([(fcc(29)[0] @ np.diag([1, 1, 1.004]), fcc(29)[1], [29] * 4)])
    first, second = ShallowWell("a"), FakePotential("b")
    [found] = graded_by(potentials, first, second, tetragonal, refine="never")
    assert found.grade == "stable"
    # Forces grow with the displacement: those of the first are below this, those of the second above.
    first.limit_eV_per_A = 1.5 * max(np.abs(one).max() for one in found.phonons.displaced.phonopy.forces)
    [found] = graded_by(potentials, first, second, tetragonal, refine="always")
    assert found.grade == "doubtful"
    assert [(check.potential, check.displacement_A) for check in found.checks] == [("a", 0.01), ("a", 0.03)]
    assert asked(second) == 0


def test_sibling_that_fails_is_named_and_has_no_vote(potentials) -> None:
    [found] = graded_by(potentials, FakePotential("a"), FakePotential("b", raises_for=[29]), COPPER)
    assert found.grade == "stable"
    assert len(found.checks) == 1
    assert "b: phonons failed: ValueError" in found.reason


def test_one_crystal_that_fails_harms_nobody_else(potentials) -> None:
    batch = CrystalBatch.of([fcc(13), fcc(29), fcc(47)])
    found = graded_by(potentials, FakePotential("a", raises_for=[29]), FakePotential("b"), batch)
    assert [getattr(one, "grade", None) for one in found] == ["stable", None, "stable"]
    assert "phonons failed" in found[1]


def test_each_potential_goes_to_its_own_minimum(potentials) -> None:
    start = CrystalBatch.of([fcc(29, scale=1.05)])
    [found] = graded_by(potentials, FakePotential("a"), wrong(1.1), start, relax=True, refine="always")
    assert found.grade == "stable"
    edge = np.linalg.norm(found.phonons.displaced.phonopy.primitive.cell[0])
    assert edge == pytest.approx(2.730165, rel=1e-3)


def test_relaxation_that_fails(potentials) -> None:
    start = CrystalBatch.of([fcc(29, scale=1.05)])
    [found] = graded_by(potentials, FakePotential("a"), FakePotential("b"), start, relax=True, max_steps=1)
    assert found == "a did not relax it in 1 steps"


def test_pressure_squeezes(potentials) -> None:
    batch = CrystalBatch.of([fcc(29), fcc(29)])
    how = GradeSettings(potential="a", sibling="b", refine="never", **SMALL)
    potentials(FakePotential("a"), FakePotential("b"))
    free, pressed = grade_phonons(batch, how, pressures_GPa=[np.nan, 20.0])
    assert pressed.checks[0].highest_THz > 1.05 * free.checks[0].highest_THz


def test_nothing_to_do(potentials) -> None:
    assert graded_by(potentials, FakePotential("a"), FakePotential("b"), CrystalBatch.of([])) == []
