import json

import pyarrow.parquet as pq
import pytest

from onnes.crystals.known import known_crystal
from onnes.models.weights import weight_names
from tests.cli.faces import onnes

pytestmark = pytest.mark.skipif(
    not {"structure", "metal"} <= set(weight_names()), reason="the weights are not installed; train them"
)


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def files(tmp_path):
    known_crystal("Al", primitive=True).to(str(tmp_path / "Al.cif"))
    (tmp_path / "broken.cif").write_text("no crystal\n", encoding="utf-8")
    return tmp_path


def test_json_of_one_crystal(call, files) -> None:
    outcome = call("properties", files / "Al.cif", "--json")
    assert outcome.code == 0
    [row] = json.loads(outcome.out)
    assert row["reduced_formula"] == "Al"
    assert 60 < row["bulk_modulus_GPa"] < 95
    assert row["density_g_per_cm3"] == pytest.approx(2.70, abs=0.05)
    assert row["is_magnetic"] is False
    assert len(row["elastic_tensor_GPa"]) == 36


def test_table_and_file(call, files) -> None:
    out = files / "found.parquet"
    outcome = call("properties", files / "Al.cif", files / "broken.cif", "--out", out, "--quiet")
    assert outcome.code == 3  # one row failed
    assert f"2 rows written to {out}, 1 of them with an error" in outcome.err
    table = pq.read_table(out)
    assert table["bulk_modulus_GPa"].null_count == 1
    printed = call("properties", files / "Al.cif", "--quiet")
    assert "K / GPa" in printed.out
    assert "ρ / g/cm³" in printed.out
