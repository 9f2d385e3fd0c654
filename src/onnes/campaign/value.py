"""One value of a study with its origin: what a result id stands for."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from onnes.campaign.report_text import COLUMN_TEXT, format_value
from onnes.crystals.schema import values
from onnes.errors import EvidenceError

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.campaign.study import SetInfo

WHOLE_SET = "*"
"""Row of a result id that speaks of the set, not of one of its rows."""
_UNITS = {  # longest first
    "_J_per_mol_K": "J/(mol K)", "_states_per_eV": "states/eV", "_eV_per_atom": "eV/atom", "_eV_per_A": "eV/Å",
    "_g_per_cm3": "g/cm³", "_g_per_mol": "g/mol", "_percent": "%", "_meV": "meV", "_GPa": "GPa", "_THz": "THz",
    "_muB": "μB", "_deg": "°", "_eV": "eV", "_mg": "mg", "_K": "K", "_A3": "Å³", "_A": "Å", "_g": "g", "_h": "h",
}  # fmt: skip
MAX_TEXT = 1000
# Letters, marks and symbols that are drawn as nothing (Default_Ignorable_Code_Point of Unicode, and the empty Braille cell).
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
).match
COUNTS = ("n_rows", "n_open", "n_rejected", "n_failed")


class Value(BaseModel):
    """One number or word with its origin.

    Attributes are those of the evidence record: value, unit, uncertainty, method and input structure.
    """

    model_config = ConfigDict(frozen=True)

    result_id: str
    value: float | int | bool | str | None
    text: str
    """As it is written, with its unit."""
    label: str
    unit: str
    uncertainty: float | None = None
    row: str
    name: str
    """Formula of the row, or what the set is."""
    method: str
    crystal_hash: str | None = None
    geometry: str | None = None
    in_domain: bool | None = None
    """False says that the model was used outside its domain."""


def value_of_whole(info: SetInfo, result_id: str, column: str) -> Value:
    """A count, or a remark, of a set: ``n_open``, ``remark_1``."""
    said = {f"remark_{number}": text for number, text in enumerate(info.remarks, 1)}
    if column not in COUNTS and column not in said:
        raise EvidenceError(f"a set as a whole has {', '.join((*COUNTS, *said))}, not {column!r}")
    value = said[column] if column in said else getattr(info, column)
    label = "remark" if column in said else column.removeprefix("n_")
    return Value(
        result_id=result_id, value=value, text=str(value), label=f"{label} of set {info.set_id} ({info.tool})", unit="",
        row=WHOLE_SET, name=f"set {info.set_id}", method=f"{info.tool}, onnes {info.code_version}",
    )  # fmt: skip


def value_of(info: SetInfo, row: pa.Table, column: str) -> Value | None:
    """Value of a column of a table with one row, a list of words as one text; None where it is missing or another list."""
    value = row[column][0].as_py()
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        value = "; ".join(value)
    if value is None or isinstance(value, list | dict):
        return None
    if isinstance(value, str):
        value = plain_text(value)

    def other(name: str | None) -> Any:
        return values(row, name)[0] if name else None

    about = COLUMN_TEXT.get(column)
    unit, name = unit_of(column), other("id")
    text = f"{value:.4g}" if about is None and isinstance(value, float) else format_value(value, column, decimals=3)
    return Value(
        result_id=f"{info.set_id}/{name}/{column}", value=value, text=f"{text} {unit}".strip(),
        label=about.label if about else column, unit=unit, uncertainty=other(about.spread if about else f"{column}_std"),
        row=name, name=other("reduced_formula") or other("formula") or name, method=f"{info.tool}, onnes {info.code_version}",
        crystal_hash=other("crystal_hash"), geometry=other("geometry"), in_domain=other("in_domain"),
    )  # fmt: skip


def plain_text(text: str, at_most: int = MAX_TEXT) -> str:
    r"""Text from outside as one line of data: no control characters, cut short.

    Examples
    --------
    >>> plain_text("call\x1b[31m submit\n\u202enow")
    'call[31m submit now'
    """
    line = " ".join(visible("".join(" " if c.isspace() else c for c in text)).split())
    return line if len(line) <= at_most else f"{line[: at_most - 1]}…"


def visible(text: str, keep: str = "\n\t") -> str:
    r"""Text without control characters and without those that nobody sees.

    Parameters
    ----------
    text
        From anywhere.
    keep
        Control characters that stay.

    Examples
    --------
    >>> visible("th\u00adir\u200bty\x1b[2J\u3164")
    'thirty[2J'
    """
    return "".join(c for c in text if c in keep or not (unicodedata.category(c)[0] == "C" or _BLANK(c)))


def unit_of(column: str) -> str:
    """Unit of a column, from the table of columns or from the ending of its name; empty for none.

    Examples
    --------
    >>> unit_of("tc_K"), unit_of("bulk_modulus_GPa"), unit_of("debye_K_std"), unit_of("verdict")
    ('K', 'GPa', 'K', '')
    """
    about = COLUMN_TEXT.get(column)
    if about is not None:
        return about.unit
    return next((unit for ending, unit in _UNITS.items() if column.removesuffix("_std").endswith(ending)), "")


def title_of(column: str) -> str:
    """Name of a column for the head of a table, with its unit.

    Examples
    --------
    >>> title_of("tc_lo_K"), title_of("debye_K_std"), title_of("in_domain")
    ('tc lo / K', 'debye std / K', 'in domain')
    """
    plain, spread = column.removesuffix("_std"), " std" if column.endswith("_std") else ""
    ending = next((ending for ending in _UNITS if plain.endswith(ending)), "")
    name = plain.removesuffix(ending).strip("_").replace("_", " ") + spread
    return f"{name} / {_UNITS[ending]}" if ending else name
