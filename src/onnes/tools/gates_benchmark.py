"""The gates of a shipped funnel, scored one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.campaign.funnels import load_funnel
from onnes.potentials.potential import DEFAULT_POTENTIAL
from onnes.training.benchmarks.gates import FunnelGate, benchmark_gates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from onnes.flow.funnel import Funnel
    from onnes.training.benchmarks.report import Benchmark


def funnel_gates(funnel: Funnel) -> list[FunnelGate]:
    """Gates of a funnel in order, one for each bound, with the model or potential whose numbers each of them judges.

    Examples
    --------
    >>> [gate.name for gate in funnel_gates(load_funnel())][:2]
    ['quick-metal', 'quick-tc']
    """
    from onnes.flow.gate import GateSettings
    from onnes.models.stages import PredictSettings

    makers = {"e_above_hull_eV_per_atom": DEFAULT_POTENTIAL}
    gates: list[FunnelGate] = []
    for step in funnel.steps:
        if step.use == "predict":
            settings = PredictSettings(**step.settings)
            makers |= {"tc_K": settings.model, "is_metal_probability": settings.metal_model}
        elif step.use == "hull":
            makers["e_above_hull_eV_per_atom"] = str(step.settings.get("potential", DEFAULT_POTENTIAL))
        elif step.use == "gate":
            bounds = GateSettings(**step.settings)
            for limit, upper in ((bounds.min, False), (bounds.max, True)):
                if limit is not None:
                    gates.append(FunnelGate(step.name, bounds.column, limit, upper, makers.get(bounds.column, "")))
    return gates


def benchmark_funnel_gates(
    *,
    funnel: str = "default",
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Score the gates of a shipped funnel; see `onnes.training.benchmarks.gates.benchmark_gates`."""
    return benchmark_gates(funnel_gates(load_funnel(funnel)), plots=plots, device=device, on_rows=on_rows)
