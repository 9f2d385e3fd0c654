"""A language model as a ranking: the order that it gives to a pool, for the benchmark of planners."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from onnes.crystals.schema import values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from onnes.agent.endpoint import Endpoint

PAGE = 40
"""Rows shown at once."""
TOOL = "score_rows"
_SHOWN = (
    "reduced_formula", "space_group", "n_atoms", "tc_K", "tc_lo_K", "tc_hi_K", "lambda_", "e_above_hull_eV_per_atom",
    "is_metal_probability", "in_domain", "exp_superconductor_probability", "exp_tc_K",
)  # fmt: skip
_PROMPT = """You judge crystals for a laboratory that looks for superconductors. For every row of the table give a score from 0 (surely not) to
100 (surely a superconductor above 4 K that can be made). tc_K and lambda_ are predictions for phonon-mediated pairing; exp_ columns are what a model
of the literature expects to be measured. Use them, and what you know of the chemistry. Call score_rows once, with one score a row, in the order of the rows."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "scores": {"type": "array", "items": {"type": "number"}, "description": "One score a row, in order."}
    },
    "required": ["scores"],
}


def model_order(endpoint: Endpoint) -> Callable[[pa.Table], Sequence[str]]:
    """Make a planner of `onnes.tools.agent_benchmark` that asks a language model.

    Parameters
    ----------
    endpoint
        Where it answers.

    Returns
    -------
    Callable
        From a table of predictions to ids, best first. Rows that the model did not score are left out; equal scores keep the
        order of the rows. Raises ConfigError when the endpoint fails.
    """

    def order(table: pa.Table) -> list[str]:
        scored: list[tuple[float, int, str]] = []
        ids = values(table, "id")
        for start in range(0, table.num_rows, PAGE):
            page = table.slice(start, PAGE)
            found = _scores(endpoint, _shown(page))
            scored += [(-score, start + i, ids[start + i]) for i, score in enumerate(found[: page.num_rows])]
        return [row for _, _, row in sorted(scored)]

    return order


def _shown(page: pa.Table) -> str:
    names = [name for name in _SHOWN if name in page.column_names]
    rows = zip(*(values(page, name) for name in names), strict=True)
    lines = [" | ".join(_cell(value) for value in row) for row in rows]
    return "\n".join([" | ".join(names), *lines])


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _scores(endpoint: Endpoint, rows: str) -> list[float]:
    """Ask for the scores of one page; what is no list of numbers counts as no answer."""
    from pydantic_ai.messages import InstructionPart, ModelMessage, ModelRequest, ToolCallPart, UserPromptPart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    from onnes.agent.chat_model import object_of, open_model, request, trouble_of
    from onnes.agent.client import run_blocking

    parameters = ModelRequestParameters(
        function_tools=[ToolDefinition(name=TOOL, description="Score the rows.", parameters_json_schema=_SCHEMA)],
        allow_text_output=False,
        instruction_parts=[InstructionPart(content=_PROMPT)],
    )
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart(content=rows)], instructions=_PROMPT)]

    async def asked() -> list[Any]:
        async with open_model(endpoint) as model:
            answer = await request(model, endpoint, messages, parameters, endpoint.answer_tokens)
        calls = [object_of(part.args) for part in answer.parts if isinstance(part, ToolCallPart)]
        return _listed(calls[0].get("scores") if calls else None)

    for attempt in range(1, endpoint.tries + 1):
        try:
            given = run_blocking(asked())
        except Exception as error:  # whatever an endpoint does, the answer is a sentence
            trouble = trouble_of(error, endpoint)
            if trouble.final or attempt == endpoint.tries:
                raise ConfigError(trouble.why) from error
            continue
        return [float(one) for one in given if isinstance(one, int | float) and not isinstance(one, bool)]
    raise AssertionError("unreachable")


def _listed(given: Any) -> list[Any]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return []
    return given if isinstance(given, list) else []
