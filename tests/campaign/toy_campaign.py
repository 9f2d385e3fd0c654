"""A campaign of 300 slow toy rows, to be run in a process of its own and killed: ``python -m ... FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from onnes.campaign.folder import Campaign
from onnes.flow.funnel import Funnel
from onnes.flow.local import LocalEngine
from tests.flow.toy_stages import Witness, toy_table

ROWS = 300
SHARDS = 15
FUNNEL = Funnel(
    name="toy",
    stage=(
        {"use": "toy-tc", "name": "quick", "sleep_ms": 10},
        {"use": "toy-rank"},
        {"use": "gate", "name": "hot", "column": "tc_K", "min": 3.0},
        {"use": "toy-children"},
        {"use": "toy-fail", "rows": ["toy-0007", "toy-0123", "toy-0250"]},
        {"use": "toy-tc", "name": "full", "offset": 0.25, "sleep_ms": 8},
    ),
)


def main(folder: Path) -> None:
    """Create or resume the campaign, and run it to the end."""
    campaign = Campaign.create(folder, toy_table(ROWS), FUNNEL, title="toy", seed=3, request={"limit": None})
    with LocalEngine(2) as engine:
        campaign.run(engine, Witness())
    campaign.write_report(top=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
