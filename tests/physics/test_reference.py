import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.errors import ConfigError, ReferenceMismatch
from onnes.physics.reference import SCHEMA, Reference
from onnes.potentials.fingerprints import potential_sha256
from tests.physics.references import PHASES, reference


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "reference.parquet"
    reference().save(path)
    return path


def test_what_is_saved_is_loaded(path) -> None:
    made, loaded = reference(), Reference.load(path)
    assert loaded.table.schema.equals(SCHEMA)
    assert loaded.table.equals(made.table)
    for name in ("name", "potential", "potential_sha256", "energy_scheme", "notes"):
        assert getattr(loaded, name) == getattr(made, name)


def test_sha256_is_that_of_the_file_and_changes_with_it(path, tmp_path) -> None:
    other = tmp_path / "other.parquet"
    reference([*PHASES[:-1], ("HfNb", -9.91, "HfNb")]).save(other)
    first, second = Reference.load(path).sha256, Reference.load(other).sha256
    assert len(first) == 64
    assert first != second
    assert Reference.find(str(path), "sevennet-0").sha256 == first


def test_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(ConfigError, match="onnes reference build"):
        Reference.load(tmp_path / "none.parquet")


def _cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def _text(path):
    path.write_text("id,energy\n")


def _flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) - 200] ^= 0xFF
    data[20] ^= 0xFF
    path.write_bytes(bytes(data[: len(data) // 2]))


def _no_header(path):
    pq.write_table(reference().table, path)


def _half_a_header(path):
    pq.write_table(reference().table.replace_schema_metadata({b"onnes_reference": b'{"name": "x"}'}), path)


def _column_lost(path):
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["prototype"]).replace_schema_metadata(table.schema.metadata), path)


@pytest.mark.parametrize("damage", [_cut, _text, _flipped, _no_header, _half_a_header, _column_lost])
def test_damaged_file(path, damage) -> None:
    damage(path)
    with pytest.raises(ConfigError, match=r"reference\.parquet: not a reference file"):
        Reference.load(path)


def test_energies_of_another_potential_are_refused() -> None:
    reference().require("sevennet-0")
    with pytest.raises(ReferenceMismatch, match=r"'chgnet'.*'sevennet-0'"):
        reference().require("chgnet")


def test_lowest_energy_of_each_formula() -> None:
    lowest = reference().lowest
    assert lowest["Nb3Sn"] == (-8.70, "Nb3Sn-A15")
    assert lowest["Nb"] == (-10.10, "Nb-bcc")
    assert "Nb4AlSn" not in lowest  # known, without an energy
    assert len(lowest) == len({formula for formula, energy, _ in PHASES if energy is not None})


def test_labels_give_the_first_id() -> None:
    prototypes: list[str | None] = [None] * len(PHASES)
    prototypes[5], prototypes[6] = "A15:Nb-Sn", "A15:Nb-Sn"
    made = reference(prototypes=prototypes)
    assert made.labels == {("Nb3Sn", "A15:Nb-Sn"): "Nb3Sn-A15"}


def test_no_shipped_reference_for_other_potentials() -> None:
    with pytest.raises(ConfigError, match="--potential chgnet"):
        Reference.shipped("chgnet")


def test_shipped_reference_is_complete(shipped_reference) -> None:
    assert shipped_reference.potential == "sevennet-0"
    assert shipped_reference.potential_sha256 == potential_sha256("sevennet-0")
    lowest = shipped_reference.lowest
    assert len(lowest) > 10_000
    elements = {
        formula for formula in lowest if formula.rstrip("2").isalpha() and sum(c.isupper() for c in formula) == 1
    }
    assert {"Be", "Nb", "Hf", "O2", "H2", "Mg", "B", "Si", "Na", "Fe"} <= elements
    for formula in ("Be2Nb3", "MgB2", "Nb3Sn", "NaCl"):
        assert formula in lowest, formula
    assert ("Be2Nb3", "A2B3_tP10_127_g_ah:Be-Nb") in shipped_reference.labels
    energies = shipped_reference.table["energy_eV_per_atom"]
    assert energies.null_count < 0.3 * len(energies)  # the others are known, but do not compete
    assert pa.types.is_float64(energies.type)
