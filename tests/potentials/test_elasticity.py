import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.crystals.schema import values, with_columns
from onnes.crystals.table import crystal_table
from onnes.flow.stage import StageContext, StageKind, stage_class
from onnes.physics.strain_response import ElasticResponse
from onnes.potentials import potential as registry
from onnes.potentials.elasticity import ELASTIC_COLUMNS, elastic_responses, elastic_table
from onnes.potentials.potential import load_potential
from onnes.potentials.relaxation import relax_batch
from onnes.potentials.stages import Elastic, ElasticSettings
from tests.potentials.fakes import FakePotential, fcc


def mixed():
    return CrystalBatch.of([fcc(13), fcc(29, cells=2, rattle=0.03), fcc(47, scale=0.98)])


def rows(*numbers):
    batch = CrystalBatch.of(fcc(z) for z in numbers)
    return crystal_table(batch, ids=[f"row-{z}" for z in numbers], source="tests")


def test_one_is_equal_to_many() -> None:
    done = []
    together = elastic_responses(mixed(), FakePotential(), on_done=done.append)
    assert sum(done) == 3
    for i, found in enumerate(together):
        [alone] = elastic_responses(mixed().select([i]), FakePotential())
        np.testing.assert_allclose(alone.tensor_GPa, found.tensor_GPa, atol=1e-6)
    assert elastic_responses(CrystalBatch.of([]), FakePotential()) == []


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"raises_for": [29]}, "ValueError: an element that makes"),
        ({"nan_for": [29]}, "ValueError: the potential gave a value that is not finite"),
        ({}, "CrystalError: the primitive cell has 8 atoms, more than 4"),
    ],
)
def test_one_failure_harms_nobody_else(faults, message) -> None:
    results = elastic_responses(mixed(), FakePotential(**faults), max_atoms=100 if faults else 4)
    assert isinstance(results[0], ElasticResponse)
    assert isinstance(results[2], ElasticResponse)
    assert results[1].startswith(f"elastic tensor failed: {message}")


def test_default_potential() -> None:
    """Aluminium, measured C11, C12, C44 = 114, 62, 32 GPa; NaCl 57, 12, 13 (0 K): soft, but of the right kind."""
    batch = CrystalBatch.from_structures([known_crystal(name, primitive=True) for name in ("Al", "NaCl")])
    potential = load_potential()
    aluminium, salt = elastic_responses(relax_batch(batch, potential).batch, potential)
    for found, wanted in ((aluminium, (114, 62, 32)), (salt, (57, 12, 13))):
        c = found.tensor_GPa
        assert [c[0, 0], c[0, 1], c[3, 3]] == pytest.approx(wanted, rel=0.3)
        assert found.stable
        np.testing.assert_allclose(c, c.T, atol=1e-9)


def test_table() -> None:
    table = with_columns(rows(13, 29, 47), {"error": [None, "broken before", None]})
    done = []
    out = elastic_table(table, FakePotential(raises_for=[47]), on_rows=done.append)
    assert sum(done) == 2
    assert values(out, "id") == values(table, "id")
    bulk, debye = values(out, "bulk_modulus_GPa"), values(out, "debye_from_moduli_K")
    assert bulk[0] > 0
    assert debye[0] > 0
    assert bulk[1:] == debye[1:] == [None, None]
    errors = values(out, "error")
    assert errors[:2] == [None, "broken before"]
    assert errors[2].startswith("elastic tensor failed: ValueError")
    density = values(out, "density_g_per_cm3")
    silver = CrystalBatch.from_table(table).to_structures()[2]
    assert density[0] > 0
    assert density[1:] == [None, pytest.approx(silver.density)]  # needs no tensor
    assert values(out, "elastic_potential") == ["fake", None, None]
    tensor = np.reshape(values(out, "elastic_tensor_GPa")[0], (6, 6))
    assert tensor[:3, :3].mean() == pytest.approx(bulk[0])
    assert values(out, "bulk_modulus_spread_GPa") == [None] * 3


def test_spread_is_the_difference_to_a_second_potential() -> None:
    class Stiffer(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            found = super().evaluate(batch)
            return type(found)(found.energies_eV, 1.2 * found.forces_eV_per_A, 1.2 * found.stresses_eV_per_A3)

    table = rows(13, 29)
    alone = elastic_table(table, FakePotential())
    both = elastic_table(table, FakePotential(), sibling=Stiffer())
    assert values(both, "bulk_modulus_GPa") == values(alone, "bulk_modulus_GPa")
    for name in ("bulk_modulus", "shear_modulus"):
        expected = 0.2 * np.array(values(alone, f"{name}_GPa"))
        np.testing.assert_allclose(values(both, f"{name}_spread_GPa"), expected, rtol=1e-6)
    theta = np.array(values(alone, "debye_from_moduli_K"))
    np.testing.assert_allclose(values(both, "debye_from_moduli_spread_K"), theta * (np.sqrt(1.2) - 1), rtol=1e-6)


def test_a_second_potential_that_fails_leaves_the_spread_empty() -> None:
    table = with_columns(rows(13, 29), {"notes": ["old", None]})
    out = elastic_table(table, FakePotential(), sibling=FakePotential("other", raises_for=[13]))
    assert values(out, "notes")[0].startswith("old; no spread of the moduli, other: elastic tensor failed: ValueError")
    assert values(out, "notes")[1] is None
    assert values(out, "bulk_modulus_spread_GPa")[1] == 0
    out = out.slice(0, 1)
    assert values(out, "error") == [None]
    assert values(out, "bulk_modulus_GPa")[0] > 0
    assert values(out, "bulk_modulus_spread_GPa") == [None]


def test_unstable_row_keeps_its_bulk_modulus() -> None:
    batch = CrystalBatch.of([(2.73 * np.eye(3), np.zeros((1, 3)), [29])])
    out = elastic_table(crystal_table(batch, ids=["sc"], source="tests"), FakePotential())
    assert values(out, "mechanically_stable") == [False]
    assert values(out, "shear_modulus_GPa") == [None]
    assert values(out, "bulk_modulus_GPa")[0] > 0
    assert values(out, "error") == [None]


def test_stage(monkeypatch) -> None:
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): FakePotential()})
    assert stage_class("elastic") is Elastic
    assert Elastic.kind is StageKind.MAP
    assert set(ELASTIC_COLUMNS) <= set(Elastic.writes)
    done = []
    settings = ElasticSettings(potential="fake", sibling="fake")
    out = Elastic(settings).apply(rows(13, 29), StageContext("elastic", on_rows=done.append))
    assert sum(done) == 2
    assert set(Elastic.writes) <= set(out.column_names)
    assert values(out, "shear_modulus_spread_GPa") == [0, 0]
    assert set(Elastic(ElasticSettings(sibling="chgnet")).fingerprints()) == {
        "potential sevennet-0",
        "potential chgnet",
    }
