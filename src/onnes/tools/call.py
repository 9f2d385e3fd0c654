"""Calling a tool by name, on the sets of a study: what command line, REST, MCP and agent share."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from onnes.campaign.value import plain_text
from onnes.crystals.schema import values
from onnes.errors import ConfigError, OnnesError
from onnes.tools.registry import tool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pyarrow as pa

    from onnes.campaign.study import SetInfo, Study

SHOWN_ROWS = 20
SHOWN_TEXT = 300
INJECTED = ("study", "on_rows", "observer", "own_id")
"""Parameters of an action that no caller gives; ``own_id`` is the name of the set that it makes."""
UNNAMED = frozenset({"workers", "top"})
"""Arguments that change nothing in a set, and so not its name."""
MAX_NAMES = 20_000


def listed(value: Any) -> Any:
    """Small language models write one name, or names with commas, or nothing, where a list is asked for."""
    if value is None:
        return []
    if isinstance(value, str):
        return [name for part in value.strip("[] ").split(",") if (name := part.strip(" \t\"'"))]
    return value


def _symbols(names: tuple[str, ...]) -> tuple[str, ...]:
    """The order of elements does not matter, so that the same question has one name."""
    from onnes.crystals.symbols import atomic_numbers

    for name in names:
        if name not in atomic_numbers():
            raise ValueError(f"{name[:20]!r} is no chemical symbol")
    return tuple(sorted(set(names)))


# Bounds stand before the validators: behind them the schema would bound a text.
Names = Annotated[tuple[str, ...], Field(max_length=MAX_NAMES), BeforeValidator(listed)]
CrystalIds = Annotated[
    tuple[str, ...],
    Field(
        min_length=1, max_length=MAX_NAMES, description="Sets, as their set_id, or single crystals, as set_id/row id."
    ),
    BeforeValidator(listed),
]
Elements = Annotated[
    tuple[str, ...],
    Field(max_length=120, description="Chemical symbols, such as Nb."),
    BeforeValidator(listed),
    AfterValidator(_symbols),
]


class Row(BaseModel):
    """One row of a set. The result id of a value is ``set_id/id/column``."""

    model_config = ConfigDict(frozen=True)

    id: str
    formula: str | None
    values: dict[str, float | int | bool | str]
    """Column name, with its unit, to value."""
    remark: str | None = None


class SetResult(BaseModel):
    """What a tool that makes or finds rows answers."""

    model_config = ConfigDict(frozen=True)

    set_id: str
    tool: str
    state: str = "done"
    """``done``, ``running``, ``failed`` or ``cancelled``; long work that runs is asked for with `status` and `result`."""
    n_rows: int = 0
    n_open: int = 0
    """Rows that were neither rejected nor failed."""
    n_rejected: int = 0
    n_failed: int = 0
    rows: list[Row] = []
    remarks: list[str] = []
    rows_done: int | None = None
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """Rows that an action made, on their way into the study.

    Attributes
    ----------
    table
        Rows with ``id``; a crystal table where they are crystals.
    shown
        Columns worth showing; those of the short list by default.
    remarks
        What is to be said of the whole.
    fingerprints
        sha256 of models and references, where the action knows more than the columns tell.
    """

    table: pa.Table
    shown: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    fingerprints: Mapping[str, str] = field(default_factory=dict)


@cache
def arguments_of(name: str) -> type[BaseModel]:
    """Model of the arguments of a tool, from the signature of its action."""
    action = tool(name).action_function()
    hints = get_type_hints(action, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in inspect.signature(action).parameters.values()
        if parameter.name not in INJECTED
    }
    title = "".join(part.title() for part in name.split("-")) + "Arguments"
    return create_model(title, __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def checked_arguments(name: str, arguments: Mapping[str, Any]) -> BaseModel:
    """Validate the arguments of a tool.

    Raises
    ------
    ConfigError
        For an unknown tool, an unknown argument or a bad value; the message names it and what it may be.
    """
    model = arguments_of(name)
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, one['loc'])) or 'arguments'}: {one['msg']}" for one in error.errors()[:4]]
        known = ", ".join(model.model_fields)
        raise ConfigError(f"{name}: {'; '.join(faults)}. Arguments of {name}: {known or 'none'}") from None


def set_name(study: Study, name: str, arguments: BaseModel) -> str:
    """Name of the set that a call makes."""
    return study.name_of(name, arguments.model_dump(mode="json", exclude=set(UNNAMED)), inputs_of(arguments))


def inputs_of(arguments: BaseModel) -> tuple[str, ...]:
    """Sets that a call reads."""
    return tuple(dict.fromkeys(one.partition("/")[0] for one in getattr(arguments, "crystals", None) or ()))


def call_tool(
    study: Study,
    name: str,
    arguments: Mapping[str, Any] | BaseModel,
    *,
    on_rows: Callable[[int], None] | None = None,
    observer: Any = None,
) -> BaseModel:
    """Run a tool in this process and keep what it makes.

    Parameters
    ----------
    study
        Where sets are read from and kept.
    name, arguments
        The tool and its arguments. The same call in the same study is answered from the set that is there.
    on_rows, observer
        Whoever wants to know how it goes.

    Returns
    -------
    BaseModel
        A `SetResult`, or the result model of a tool that makes no set.

    Raises
    ------
    OnnesError
        What the tool raises; its message says what to do.
    """
    spec = tool(name)
    checked = arguments if isinstance(arguments, BaseModel) else checked_arguments(name, arguments)
    action = spec.action_function()
    set_id = set_name(study, name, checked) if spec.makes_set else None
    if set_id is not None and study.has(set_id):
        return set_result(study, study.info(set_id))
    injected = {"study": study, "on_rows": on_rows, "observer": observer, "own_id": set_id}
    accepted = inspect.signature(action).parameters
    given = {field: getattr(checked, field) for field in type(checked).model_fields}
    made = action(**{key: value for key, value in injected.items() if key in accepted}, **given)
    if not isinstance(made, Made):
        return made
    if set_id is None:
        raise TypeError(f"{name} made rows, and the registry says that it makes none")
    info = study.add(
        set_id,
        made.table,
        tool=name,
        arguments=checked.model_dump(mode="json"),
        inputs=inputs_of(checked),
        shown=made.shown,
        remarks=made.remarks,
        fingerprints={**fingerprints(made.table), **made.fingerprints},
    )
    return set_result(study, info)


def set_result(study: Study, info: SetInfo, *, first: int = 0, count: int = SHOWN_ROWS) -> SetResult:
    """Summarise a set: its counts and some of its rows."""
    table = study.table(info.set_id).slice(first, count)
    columns = shown_columns(table, info.shown)
    data = {name: values(table, name) for name in columns}
    names = [
        reduced or full
        for reduced, full in zip(values(table, "reduced_formula"), values(table, "formula"), strict=True)
    ]
    said = [values(table, name) for name in ("error", "reason", "warnings", "notes")]
    remarks = [
        next((plain_text(text, SHOWN_TEXT) for text in texts if text), None) for texts in zip(*said, strict=True)
    ]
    rows = [
        Row(
            id=row, formula=names[i], remark=remarks[i],
            values={name: _shown(data[name][i]) for name in columns if data[name][i] is not None},
        )
        for i, row in enumerate(values(table, "id"))
    ]  # fmt: skip
    remarks_of_all = list(info.remarks)
    if info.n_rows > first + len(rows):
        remarks_of_all.append(f"rows {first} to {first + len(rows) - 1} of {info.n_rows}; `result` shows others")
    return SetResult(
        set_id=info.set_id, tool=info.tool, n_rows=info.n_rows, n_open=info.n_open, n_rejected=info.n_rejected,
        n_failed=info.n_failed, rows=rows, remarks=remarks_of_all,
    )  # fmt: skip


def _shown(value: float | str) -> float | str:
    """As much of a value as is worth reading; the set holds all of it."""
    if isinstance(value, str):
        return plain_text(value, SHOWN_TEXT)
    return float(f"{value:.6g}") if isinstance(value, float) else value


_SHORT = (
    "space_group", "n_atoms", "tc_K", "tc_lo_K", "tc_hi_K", "lambda_", "omega_log_K", "e_above_hull_eV_per_atom",
    "formation_energy_eV_per_atom", "energy_eV_per_atom", "is_metal_probability", "in_domain", "is_novel", "known_as",
    "phonon_grade", "rejected_by",
)  # fmt: skip


def shown_columns(table: pa.Table, shown: tuple[str, ...]) -> tuple[str, ...]:
    """Columns that a summary shows: of those asked for, or of the short list, those that hold anything."""
    return tuple(
        name for name in shown or _SHORT if name in table.column_names and table[name].null_count < table.num_rows
    )


def fingerprints(table: pa.Table) -> dict[str, str]:
    """sha256 of what the columns name: superconductivity models, potentials, the shipped reference of the hull."""
    from onnes.models.weights import weights_sha256
    from onnes.physics.reference import Reference
    from onnes.potentials.fingerprints import potential_sha256
    from onnes.potentials.potential import DEFAULT_POTENTIAL

    def reference_sha256(name: str) -> str:
        shipped = Reference.find(None, DEFAULT_POTENTIAL)
        if shipped.name != name:
            raise ConfigError(f"{name} is not the shipped reference")
        return shipped.sha256

    kinds: tuple[tuple[str, str, Callable[[str], str]], ...] = (
        ("model", "tc_model", weights_sha256),
        ("potential", "potential", potential_sha256),
        ("reference", "hull_reference", reference_sha256),
    )
    found: dict[str, str] = {}
    for kind, column, sha256 in kinds:
        for name in sorted({one for one in values(table, column) if one}):
            try:
                found[f"{kind} {name}"] = sha256(name)
            except OnnesError:  # of another place than the package: the campaign's ledger still names it
                continue
    return found
