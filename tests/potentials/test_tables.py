import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import COLUMNS, concat, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.potentials.relaxation import RelaxSettings
from onnes.potentials.tables import evaluate_table, relax_at_own_pressure, relax_table
from tests.potentials.fakes import FakePotential, fcc_batch

FREE = RelaxSettings(keep_symmetry=False)
NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def table():
    """Four rattled crystals; b has failed before, d was rejected."""
    batch = fcc_batch((13, 29, 47, 79), rattle=0.06, strain=0.02)
    table = crystal_table(batch, ids=NAMES, source="tests", how="rattled")
    return with_columns(
        table,
        {
            "error": [None, "b.cif: no atoms", None, None],
            "rejected_by": [None] * 3 + ["gate"],
            "reason": [None] * 3 + ["no"],
        },
    )


def _same_but(before, after, names, rows):
    for name in before.column_names:
        if name not in names:
            assert values(after, name) == values(before, name), name
    for name in names:
        for row in rows:
            assert values(after, name)[row] == values(before, name)[row], (name, row)


def test_relaxed_rows(table) -> None:
    seen = []
    out = relax_table(table, FakePotential(), FREE, on_rows=seen.append)
    assert sum(seen) == 2
    assert values(out, "id") == NAMES
    assert values(out, "geometry") == ["fake", "input", "fake", "input"]
    assert values(out, "potential") == ["fake", None, "fake", None]
    assert values(out, "relax_converged") == [True, None, True, None]
    assert values(out, "pressure_GPa") == [0.0] * 4
    assert values(out, "space_group")[0] == 225  # found anew: the start was rattled
    assert values(table, "space_group")[0] != 225
    assert values(out, "crystal_hash")[0] != values(table, "crystal_hash")[0]
    assert all(values(out, "forces_max_eV_per_A")[row] < 0.02 for row in (0, 2))
    assert all(values(out, "relax_steps")[row] > 0 for row in (0, 2))
    for field in out.schema:
        assert field.type == COLUMNS[field.name], field.name


def test_energy_belongs_to_the_new_geometry_and_counts_per_atom(table) -> None:
    out = relax_table(table, FakePotential(), FREE)
    batch = CrystalBatch.from_table(out.take([0, 2]))
    wanted = FakePotential().evaluate(batch).energies_eV / 4
    np.testing.assert_allclose([values(out, "energy_eV_per_atom")[row] for row in (0, 2)], wanted, atol=1e-9)


def test_geometry_before_is_kept(table) -> None:
    out = relax_table(table, FakePotential(), FREE)
    for before, after in (("lattice", "input_lattice"), ("frac_coords", "input_frac_coords")):
        kept = values(out, after)
        assert [kept[row] for row in (0, 2)] == [values(table, before)[row] for row in (0, 2)]
        assert kept[1] is None
        assert kept[3] is None
    again = relax_table(out, FakePotential(), FREE.model_copy(update={"pressure_GPa": 10.0}))
    assert values(again, "input_lattice") == values(out, "input_lattice")  # the very first one
    assert values(again, "lattice")[0] != values(out, "lattice")[0]
    assert values(again, "pressure_GPa") == [10.0, 0.0, 10.0, 0.0]


def test_failed_and_rejected_rows_stay_as_they_are(table) -> None:
    out = relax_table(table, FakePotential(), FREE)
    assert out.num_rows == 4
    for name in table.column_names:
        for row in (1, 3):
            assert values(out, name)[row] == values(table, name)[row], name


def test_row_that_fails_keeps_its_geometry(table) -> None:
    out = relax_table(table, FakePotential(nan_for=[47]), FREE)
    assert "not finite" in values(out, "error")[2]
    assert values(out, "error")[:2] == [None, "b.cif: no atoms"]
    assert values(out, "geometry")[2] == "input"
    assert values(out, "lattice")[2] == values(table, "lattice")[2]
    assert values(out, "energy_eV_per_atom")[2] is None
    assert values(out, "energy_eV_per_atom")[0] is not None


def test_row_that_does_not_converge_says_so_and_keeps_its_numbers(table) -> None:
    out = relax_table(table, FakePotential(), FREE.model_copy(update={"max_steps": 1}))
    error = values(out, "error")[0]
    assert error.startswith("not relaxed after 1 steps: largest force")
    assert "wanted 0.02" in error
    assert values(out, "relax_converged")[0] is False
    assert values(out, "relax_steps")[0] == 1
    assert values(out, "energy_eV_per_atom")[0] is not None
    assert values(out, "geometry")[0] == "fake"


def test_every_row_at_its_own_pressure(table) -> None:
    pressed = with_columns(table, {"pressure_GPa": [20.0, 5.0, None, 20.0]})
    seen = []
    out = relax_at_own_pressure(pressed, FakePotential(), FREE, on_rows=seen.append)
    assert sum(seen) == 2
    assert values(out, "id") == NAMES
    assert values(out, "pressure_GPa") == [20.0, 5.0, 0.0, 20.0]
    volumes = CrystalBatch.from_table(out).volumes
    assert volumes[0] < 0.97 * volumes[2]
    alone = relax_table(table, FakePotential(), FREE.model_copy(update={"pressure_GPa": 20.0}))
    assert values(out, "lattice")[0] == values(alone, "lattice")[0]
    assert values(out, "lattice")[2] == values(relax_table(table, FakePotential(), FREE), "lattice")[2]
    for row in (1, 3):
        assert out.slice(row, 1).select(pressed.column_names).equals(pressed.slice(row, 1))


def test_evaluation_leaves_the_geometry(table) -> None:
    seen = []
    out = evaluate_table(table, FakePotential(), on_rows=seen.append)
    assert sum(seen) == 2
    _same_but(table, out, ("potential", "energy_eV_per_atom", "forces_max_eV_per_A"), (1, 3))
    result = FakePotential().evaluate(CrystalBatch.from_table(table.take([0, 2])))
    np.testing.assert_allclose(
        [values(out, "energy_eV_per_atom")[row] for row in (0, 2)], result.energies_eV / 4, atol=1e-9
    )
    largest = np.linalg.norm(result.forces_eV_per_A, axis=1).reshape(2, 4).max(1)
    np.testing.assert_allclose([values(out, "forces_max_eV_per_A")[row] for row in (0, 2)], largest, atol=1e-9)
    assert values(out, "geometry") == ["input"] * 4
    assert values(out, "potential") == ["fake", None, "fake", None]


def test_evaluation_keeps_an_energy_that_is_there(table) -> None:
    table = with_columns(
        table, {"potential": ["dft", None, None, None], "energy_eV_per_atom": [-1.0, None, None, None]}
    )
    fake = FakePotential()
    out = evaluate_table(table, fake)
    assert values(out, "potential")[0] == "dft"
    assert values(out, "energy_eV_per_atom")[0] == -1.0
    assert sum(map(len, fake.calls)) == 1


def test_evaluation_of_a_bad_row(table) -> None:
    out = evaluate_table(table, FakePotential(nan_for=[13]))
    assert "not finite" in values(out, "error")[0]
    assert values(out, "potential") == [None, None, "fake", None]


@pytest.mark.parametrize("function", [relax_table, relax_at_own_pressure, evaluate_table])
def test_nothing_to_do(table, function) -> None:
    assert function(table.slice(0, 0), FakePotential()).num_rows == 0
    closed = table.take([1, 3])
    fake = FakePotential()
    out = function(concat([closed]), fake)
    assert values(out, "error") == ["b.cif: no atoms", None]
    assert fake.calls == []
