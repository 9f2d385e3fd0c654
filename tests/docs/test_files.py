"""The tables of the documentation say what the source says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from onnes.crystals.schema import COLUMNS

ROOT = Path(__file__).parents[2]
# Longest first: eV_per_atom before atom-less endings.
UNITS = {
    "_J_per_mol_K": "J/(mol K)",
    "_states_per_eV": "states/eV",
    "_eV_per_atom": "eV/atom",
    "_eV_per_A": "eV/Å",
    "_eV": "eV",
    "_g_per_cm3": "g/cm³",
    "_GPa": "GPa",
    "_THz": "THz",
    "_muB": "μB",
    "_K": "K",
}
# A column that is read from a table, not written.
READ = re.compile(r'\b(?:floats|values)\(table, "\w+"\)')


def rows(page: str, header: str) -> list[list[str]]:
    """Cells of the table under a header line."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    start = lines.index(header) + 2
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[start:end]]


COLUMN_ROWS = rows("files.md", "| column | type | unit | meaning |")


def test_every_column_is_described_in_order() -> None:
    assert [row[0].strip("`") for row in COLUMN_ROWS] == list(COLUMNS)


@pytest.mark.parametrize("row", COLUMN_ROWS, ids=lambda row: row[0].strip("`"))
def test_type_unit_and_meaning(row: list[str]) -> None:
    name, kind, unit, meaning = row
    name = name.strip("`")
    assert kind.strip("`") == str(COLUMNS[name])
    expected = next((u for ending, u in UNITS.items() if name.removesuffix("_std").endswith(ending)), None)
    if name.endswith("lattice"):
        expected = "Å"
    assert unit == (expected or "")
    assert meaning


def test_columns_marked_as_unwritten_are_written_nowhere() -> None:
    sources = [
        READ.sub("", path.read_text(encoding="utf-8"))
        for path in (ROOT / "src" / "onnes").rglob("*.py")
        if path.name not in ("schema.py", "report_text.py", "report_data.py") and "training" not in path.parts
    ]
    for name, _, _, meaning in COLUMN_ROWS:
        mentioned = any(re.search(rf'"{name.strip("`")}"', text) for text in sources)
        if meaning.endswith("*"):
            assert not mentioned, f"{name} is written now: take the star away"


def test_formats_are_those_that_can_be_read() -> None:
    from onnes.crystals.readers import _BY_SUFFIX

    described = set(
        re.findall(r"`(\.\w+)`", "".join(row[0] for row in rows("files.md", "| name | read | written | crystals |")))
    )
    assert described == {*_BY_SUFFIX, ".parquet"}


def test_data_files_are_those_that_training_reads() -> None:
    described = {
        row[0].strip("`").removesuffix(".parquet") for row in rows("training.md", "| file | used for | origin |")
    }
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "onnes" / "training").rglob("*.py"))
    assert {name for name in described if f'"{name}"' not in text} == set()
    read = set(re.findall(r'read_data\("(\w+)"\)', text))
    assert read <= described


def test_stages_and_gate_settings_are_described() -> None:
    from onnes.campaign.funnels import register_builtin_stages
    from onnes.flow.gate import GateSettings
    from onnes.flow.stage import stage_class, stage_names

    register_builtin_stages()
    table = {row[0].strip("`"): row[1] for row in rows("funnel.md", "| `use` | kind | what it does |")}
    shipped = [name for name in stage_names() if stage_class(name).__module__.startswith("onnes.")]
    assert table == {name: str(stage_class(name).kind) for name in shipped}
    keys = {key for row in rows("funnel.md", "| key | meaning |") for key in re.findall(r"`(\w+)`", row[0])}
    assert keys == set(GateSettings.model_fields)


def test_settings_of_the_other_stages_are_described() -> None:
    from onnes.campaign.funnels import register_builtin_stages
    from onnes.flow.stage import stage_class

    register_builtin_stages()
    described: dict[str, set[str]] = {}
    for stages, keys, _ in rows("funnel.md", "| stage | key | meaning |"):
        for stage in re.findall(r"`(\w+)`", stages):
            described.setdefault(stage, set()).update(re.findall(r"`(\w+)`", keys))
    for stage, keys in described.items():
        assert keys == set(stage_class(stage).settings_type.model_fields), stage
