import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.errors import CrystalError, ModelError
from onnes.models.replacement import compare_replacements, replaced_crystals
from onnes.propose.radii import estimated_volume

LIMITS = (0.8, 1.25)
NB3SN = CrystalBatch.from_structures([known_crystal("Nb3Sn")]).crystal(0)
CANDIDATES = {"Sn": ["Ge", "Pb"], "Nb": ["V", "Zr", "Ta"]}


@pytest.fixture(scope="module")
def made():
    return replaced_crystals(NB3SN, CANDIDATES, volume=estimated_volume, scale_limits=LIMITS)


def test_every_candidate_once_in_order(made) -> None:
    assert list(zip(made.elements, made.replacements, strict=True)) == [
        ("Nb", "V"), ("Nb", "Zr"), ("Nb", "Ta"), ("Sn", "Ge"), ("Sn", "Pb"),
    ]  # fmt: skip
    assert len(made.batch) == 5


def test_all_atoms_of_the_element_and_no_others_change(made) -> None:
    _, frac, numbers = NB3SN
    for z_old, z_new, (_, new_frac, new) in zip([41, 41, 41, 50, 50], [23, 40, 73, 32, 82], made.batch, strict=True):
        np.testing.assert_array_equal(new[numbers == z_old], z_new)
        np.testing.assert_array_equal(new[numbers != z_old], numbers[numbers != z_old])
        np.testing.assert_array_equal(new_frac, frac)


def test_the_cell_takes_the_volume_that_the_radii_suggest(made) -> None:
    lattice, _, numbers = NB3SN
    for volume, (new_lattice, _, new) in zip(made.batch.volumes, made.batch, strict=True):
        ratio = estimated_volume(new) / estimated_volume(numbers)
        assert volume == pytest.approx(abs(np.linalg.det(lattice)) * ratio)
        np.testing.assert_allclose(new_lattice / new_lattice[0, 0], lattice / lattice[0, 0], atol=1e-12)  # same shape
    assert made.batch.volumes[0] < made.batch.volumes[1]  # V is smaller than Zr


def test_the_scale_is_limited() -> None:
    def leap(numbers):
        return 1000.0 if 82 in numbers else 1.0 if 32 in numbers else 100.0

    made = replaced_crystals(NB3SN, {"Sn": ["Ge", "Pb"]}, volume=leap, scale_limits=LIMITS)
    scales = made.batch.lattices[:, 0, 0] / NB3SN[0][0, 0]
    np.testing.assert_allclose(scales, LIMITS)


def test_no_candidates_make_no_crystals() -> None:
    for candidates in ({}, {"Nb": []}):
        made = replaced_crystals(NB3SN, candidates, volume=estimated_volume, scale_limits=LIMITS)
        assert len(made.batch) == 0
        assert compare_replacements(made, _predicted(0), {"tc_K": 1.0, "lambda_": 1.0, "omega_log_K": 1.0}) == []


@pytest.mark.parametrize(
    ("candidates", "fault"), [({"Al": ["Ga"]}, "holds no Al"), ({"Nb": ["Xx"]}, "Xx"), ({"Xx": ["Nb"]}, "Xx")]
)
def test_candidates_that_make_no_sense(candidates, fault) -> None:
    with pytest.raises(CrystalError, match=fault):
        replaced_crystals(NB3SN, candidates, volume=estimated_volume, scale_limits=LIMITS)


def _predicted(n):
    return {"tc_K": 10.0 + np.arange(n), "lambda_": 1.0 - 0.1 * np.arange(n), "omega_log_K": 200.0 + np.arange(n)}


def test_differences_from_the_original(made) -> None:
    rows = compare_replacements(made, _predicted(5), {"tc_K": 12.0, "lambda_": 0.9, "omega_log_K": 200.0})
    assert [(row.element, row.replacement) for row in rows][:2] == [("Nb", "V"), ("Nb", "Zr")]
    assert [row.tc_change_K for row in rows] == pytest.approx([-2, -1, 0, 1, 2])
    assert [row.lambda_change for row in rows] == pytest.approx([0.1, 0, -0.1, -0.2, -0.3])
    assert (rows[4].tc_K, rows[4].lambda_, rows[4].omega_log_K) == pytest.approx((14, 0.6, 204))
    assert rows[4].omega_log_change_K == pytest.approx(4)
    assert [row.in_domain for row in rows] == [None] * 5


def test_what_lies_outside_the_domain_is_marked(made) -> None:
    whole = {"tc_K": 12.0, "lambda_": 0.9, "omega_log_K": 200.0}
    rows = compare_replacements(made, _predicted(5), whole, [True, False, True, None, True])
    assert [row.in_domain for row in rows] == [True, False, True, None, True]


def test_failed_predictions_are_missing(made) -> None:
    predicted = _predicted(5)
    predicted["tc_K"][1] = np.nan
    rows = compare_replacements(made, predicted, {"tc_K": 12.0, "lambda_": 0.9, "omega_log_K": 200.0})
    assert (rows[1].tc_K, rows[1].tc_change_K) == (None, None)
    assert rows[1].lambda_ is not None
    assert rows[0].tc_K is not None


def test_predictions_must_fit(made) -> None:
    whole = {"tc_K": 12.0, "lambda_": 0.9, "omega_log_K": 200.0}
    with pytest.raises(ModelError, match="tc_K is needed"):
        compare_replacements(made, _predicted(4), whole)
    with pytest.raises(ModelError, match="omega_log_K is needed"):
        compare_replacements(made, _predicted(5), {"tc_K": 12.0, "lambda_": 0.9})
