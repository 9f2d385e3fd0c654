"""The rule of the grade."""

import pytest

from onnes.physics.phonon_grade import GradeTolerances, PhononCheck, graded, phonon_check
from tests.physics.test_phonons import FCC, SIMPLE, SPRING, phonons_of_springs

ZERO, CORNER, BETWEEN = (0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.1, 0.1, 0.0)


def check(exact=0.0, interpolated=0.0, *, potential="one", displacement=0.01):
    where = ZERO if exact == 0 else CORNER
    return PhononCheck(potential, "4x4x4", displacement, exact, where, interpolated, BETWEEN, 9.0)


@pytest.mark.parametrize(
    ("exact", "interpolated", "grade"),
    [
        (0.0, 0.0, "stable"),
        (-0.09, -0.25, "stable"),  # noise
        (-0.11, -0.11, "unstable"),  # where frequencies are exact, little is noise
        (-0.05, -0.31, "doubtful"),  # between, force constants are missing
        (-3.0, -3.2, "unstable"),
    ],
)
def test_one_calculation(exact, interpolated, grade) -> None:
    assert check(exact, interpolated).grade(GradeTolerances()) == grade
    assert graded([check(exact, interpolated)])[0] == grade


@pytest.mark.parametrize(
    ("first", "others", "grade"),
    [
        (-2.0, [-2.0], "unstable"),
        (-2.0, [0.0], "doubtful"),  # a sign that changes with displacement or potential
        (0.0, [-2.0], "doubtful"),
        (0.0, [0.0, 0.0], "stable"),
        (-2.0, [-1.0, 0.0], "doubtful"),
    ],
)
def test_only_a_unanimous_vote_is_a_grade(first, others, grade) -> None:
    assert graded([check(first), *(check(one) for one in others)])[0] == grade


def test_tolerances_decide() -> None:
    assert graded([check(-0.11)], GradeTolerances(exact_THz=0.2))[0] == "stable"
    assert graded([check(0.0, -0.2)], GradeTolerances(interpolated_THz=0.1))[0] == "doubtful"


def test_words_name_potential_supercell_displacement_and_place() -> None:
    _, words = graded([check(-2.0, -2.5), check(0.0, -0.5, potential="two", displacement=0.03)])
    assert words == (
        "one 4x4x4 0.01 A: -2.00 THz at q = (0.5, 0.5, 0), unstable; two 4x4x4 0.03 A: -0.50 THz at q = (0.1, 0.1, 0), "
        "which does not fit into the supercell, doubtful"
    )


def test_check_of_a_stable_crystal() -> None:
    phonons = phonons_of_springs(FCC, [(3.0, SPRING)], mesh_length=30)
    found = phonon_check(phonons, "springs")
    assert (found.potential, found.supercell, found.displacement_A) == ("springs", phonons.displaced.label, 0.01)
    assert found.exact_THz == pytest.approx(0, abs=1e-3)
    assert found.min_THz > -1e-3
    assert found.highest_THz == pytest.approx(phonons.highest_meV / 4.13567, rel=1e-4)
    assert found.grade(GradeTolerances()) == "stable"


def test_check_finds_an_instability_that_fits_into_the_supercell() -> None:
    shells = [(3.1, SPRING), (4.3, -0.05 * SPRING)]
    found = phonon_check(phonons_of_springs(SIMPLE, shells, min_length_A=12.0), "springs")
    assert found.supercell == "4x4x4"
    assert found.exact_THz == pytest.approx(found.interpolated_THz, rel=0.05)
    assert 0.5 in [abs(x) for x in found.exact_q]
    assert found.grade(GradeTolerances()) == "unstable"
