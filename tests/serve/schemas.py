"""What every tool takes and answers, as JSON; ``python -m tests.serve.schemas`` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path

from onnes.serve.description import descriptions

FILE = Path(__file__).with_suffix(".json")


def current() -> dict[str, dict[str, object]]:
    """Effects and schemas by name."""
    return {
        one.name: one.model_dump(mode="json", include={"effect", "long", "input_schema", "output_schema"})
        for one in descriptions()
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
