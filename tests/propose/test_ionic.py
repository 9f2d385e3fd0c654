"""Ranked substitution of whole elements in parents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.propose.ionic import ionic_candidates, replay_ionic
from onnes.propose.observed import observed_probabilities
from onnes.propose.periodic import atomic_number

if TYPE_CHECKING:
    import pyarrow as pa


@pytest.fixture(scope="module")
def found() -> pa.Table:
    return ionic_candidates(known_table(["Nb3Sn", "V3Si", "NbN"]), limit=150)


def test_the_likeliest_come_first_and_each_crystal_once(found: pa.Table) -> None:
    assert found.num_rows == 150
    scores = values(found, "proposal_score")
    assert scores == sorted(scores, reverse=True)
    for name in ("id", "prototype", "crystal_hash"):
        assert len(set(values(found, name))) == 150
    assert set(values(found, "source")) == {"ionic"}
    assert set(values(found, "error")) == {None}
    assert not {"A3B_cP8_223_c_a:Nb-Sn", "A3B_cP8_223_c_a:V-Si"} & set(values(found, "prototype"))


def test_the_score_sums_over_the_parents_of_the_prototype(found: pa.Table) -> None:
    p = observed_probabilities()
    v, nb, si, sn = (atomic_number(s) for s in ("V", "Nb", "Si", "Sn"))
    row = next(row for row in found.to_pylist() if row["prototype"] == "A3B_cP8_223_c_a:Nb-Si")
    assert row["proposal_score"] == pytest.approx(p[sn, si] + p[v, nb])
    likeliest = {"Sn": "Si"} if p[sn, si] > p[v, nb] else {"V": "Nb"}
    assert json.loads(row["how"])["replace"] == likeliest
    assert row["parent_id"] == ("Nb3Sn" if "Sn" in likeliest else "V3Si")


def test_replay_makes_the_same_crystals(found: pa.Table) -> None:
    for row in found.to_pylist()[::7]:
        made = CrystalBatch.from_structures([replay_ionic(known_crystal(row["parent_id"]), row["how"])]).crystal(0)
        np.testing.assert_allclose(made[0].ravel(), row["lattice"], atol=1e-9)
        np.testing.assert_allclose(made[1].ravel(), row["frac_coords"], atol=1e-9)
        assert made[2].tolist() == row["atomic_numbers"]


def test_replay_refuses_another_parent() -> None:
    with pytest.raises(CrystalError, match="holds no Na"):
        replay_ionic(known_crystal("Nb3Sn"), '{"op":"ionic","replace":{"Na":"K"}}')


def test_two_elements_may_change_places() -> None:
    table = ionic_candidates(known_table(["ZrV2"]), elements=["Zr", "V"], threshold=1e-6)
    assert values(table, "how") == ['{"op":"ionic","replace":{"V":"Zr","Zr":"V"}}']
    assert values(table, "reduced_formula") == ["Zr2V"]


def test_the_ionic_score_needs_ions() -> None:
    table = ionic_candidates(known_table(["Nb3Sn", "MgO"]), score="ionic", limit=5)
    assert table.num_rows == 6
    assert "no oxidation states balance" in values(table, "error")[0]
    assert values(table, "id")[0] == "Nb3Sn"
    assert ionic_candidates(known_table(["Nb3Sn", "MgO"]), score="auto", limit=5).num_rows == 5


def test_settings_narrow_the_choice() -> None:
    parent = known_table(["YNi2B2C"])
    table = ionic_candidates(
        parent, elements=["Lu", "Co", "N", "Pd"], fixed_elements=["B"], exclude=["N"], known_formulas=["Y(PdB)2C"]
    )
    elements = {s for how in values(table, "how") for s in json.loads(how)["replace"].values()}
    assert elements <= {"Lu", "Co", "Pd"}
    assert "B" not in {s for how in values(table, "how") for s in json.loads(how)["replace"]}
    assert "YB2CPd2" not in {name.split("-")[0] for name in values(table, "id")}
    assert {"LuB2CNi2", "B2CLuNi2"} & {name.split("-")[0] for name in values(table, "id")}
    assert ionic_candidates(parent, elements=["Pd"], threshold=0.05).num_rows == 1


def test_unusable_parents_stay_with_their_error() -> None:
    table = ionic_candidates(known_table(["HfBe13", "NbN"]), limit=2)
    assert values(table, "error")[0] is not None
    assert table.num_rows == 3
    assert ionic_candidates(with_columns(known_table(["NbN"]), {"rejected_by": ["hull"]})).num_rows == 0


@pytest.mark.parametrize(
    "settings", [{"limit": 0}, {"threshold": 0}, {"threshold": 2}, {"elements": ["Xx"]}, {"score": "best"}]
)
def test_wrong_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        ionic_candidates(known_table(["NbN"]), **settings)
