import pytest
from pydantic import ValidationError

from onnes.crystals.schema import values
from onnes.crystals.table import crystal_table
from onnes.flow.stage import StageContext, StageKind, stage_class
from onnes.potentials import potential as registry
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.stages import Relax, RelaxStageSettings
from tests.potentials.fakes import FakePotential, fcc_batch


@pytest.fixture
def fake(monkeypatch):
    fake = FakePotential()
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): fake})
    return fake


def test_registered() -> None:
    assert stage_class("relax") is Relax
    assert Relax.kind is StageKind.MAP
    assert not Relax.whole_table


def test_stage_relaxes_with_its_settings(fake) -> None:
    table = crystal_table(fcc_batch((13, 29), rattle=0.05, strain=0.02), ids=["a", "b"], source="tests")
    seen = []
    settings = RelaxStageSettings(potential="fake", fmax_eV_per_A=0.005, keep_symmetry=False)
    out = Relax(settings).apply(table, StageContext("relax", on_rows=seen.append))
    assert sum(seen) == 2
    assert values(out, "geometry") == ["fake", "fake"]
    assert max(values(out, "forces_max_eV_per_A")) < 0.005
    assert set(Relax.writes) <= set(out.column_names)


def test_unconverged_is_an_error(fake) -> None:
    table = crystal_table(fcc_batch((13,), rattle=0.05), ids=["a"], source="tests")
    settings = RelaxStageSettings(potential="fake", max_steps=1, keep_symmetry=False)
    out = Relax(settings).apply(table, StageContext("relax"))
    assert "not relaxed after 1 steps" in values(out, "error")[0]


def test_fingerprint_is_that_of_the_weights() -> None:
    assert Relax(RelaxStageSettings()).fingerprints() == {"potential": potential_sha256("sevennet-0")}
    assert Relax(RelaxStageSettings(potential="chgnet")).fingerprints() != Relax(RelaxStageSettings()).fingerprints()


@pytest.mark.parametrize("settings", [{"fmax": 0.1}, {"fmax_eV_per_A": -1}, {"max_steps": -1}])
def test_senseless_settings(settings) -> None:
    with pytest.raises(ValidationError):
        RelaxStageSettings(**settings)
