"""The benchmarks by name: accuracy and speed against a peer or a baseline of the same run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from onnes.training.benchmarks.report import Benchmark

_TRAINING = "onnes.training.benchmarks."
# Where each is, and which of the options it takes.
_TABLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "tc": (f"{_TRAINING}models:benchmark_tc", ("names", "seeds", "plots", "device", "on_rows")),
    "classifier": (f"{_TRAINING}models:benchmark_classifier", ("names", "plots", "device", "on_rows")),
    "experimental": (f"{_TRAINING}experimental:benchmark_experimental", ("on_rows",)),
    "jarvis": (f"{_TRAINING}jarvis:benchmark_jarvis", ("seeds", "device", "on_rows")),
    "metal": (f"{_TRAINING}models:benchmark_metal", ("device", "on_rows")),
    "spectrum": (f"{_TRAINING}spectrum:benchmark_spectrum", ("plot",)),
    "speed": (f"{_TRAINING}model_speed:benchmark_model_speed", ("table", "models", "device", "on_rows")),
    "predict": ("onnes.tools.predict_benchmark:benchmark_predict", ("table", "device", "on_rows")),
    "relax": (f"{_TRAINING}speed:benchmark_relax", ("on_rows",)),
    "hull": (f"{_TRAINING}hull:benchmark_hull", ("on_rows",)),
    "unrelaxed": ("onnes.tools.unrelaxed_benchmark:benchmark_unrelaxed", ("device", "on_rows")),
    "substitution": ("onnes.propose.recall:benchmark_substitution", ("on_rows",)),
    "proposals": ("onnes.tools.proposals_benchmark:benchmark_proposals", ("on_rows",)),
    "search": ("onnes.tools.search_benchmark:benchmark_search", ("names", "seeds", "device", "on_rows")),
    "csp": ("onnes.tools.csp_benchmark:benchmark_csp", ("model", "count", "seeds", "on_rows")),
    "perov-5": ("onnes.tools.csp_benchmark:benchmark_perov_5", ("model", "count", "seeds", "on_rows")),
    "generation": ("onnes.tools.generation_benchmark:benchmark_generation", ("model", "count", "device", "on_rows")),
    "guidance": ("onnes.tools.guidance_benchmark:benchmark_guidance", ("model", "count", "device", "on_rows")),
    "elasticity": (f"{_TRAINING}elasticity:benchmark_elasticity", ("names", "plots", "device", "on_rows")),
    "stability": (f"{_TRAINING}stability:benchmark_stability", ("plots", "device", "on_rows")),
    "phases": (f"{_TRAINING}phases:benchmark_phases", ("device", "on_rows")),
    "phonons": (f"{_TRAINING}phonons:benchmark_phonons", ("plots", "device", "on_rows")),
    "dynamic": (f"{_TRAINING}phonon_stability:benchmark_phonon_stability", ("device", "on_rows")),
    "heat-capacity": (f"{_TRAINING}heat_capacity:benchmark_heat_capacity", ("plots", "device", "on_rows")),
    "gates": ("onnes.tools.gates_benchmark:benchmark_funnel_gates", ("plots", "device", "on_rows")),
    "dos": ("onnes.tools.dos_benchmark:benchmark_dos", ("count", "plots", "on_rows")),
    "agent": ("onnes.tools.agent_benchmark:benchmark_agent", ("plots", "device", "on_rows")),
}
BENCHMARKS = tuple(_TABLE)


def run_benchmark(
    what: str,
    *,
    models: Sequence[str] | None = None,
    seeds: int = 1,
    count: int | None = None,
    files: Sequence[str] | None = None,
    plots: Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Run one of `BENCHMARKS`.

    Parameters
    ----------
    what
        Its name.
    models
        Recipes to train (``tc``, ``classifier``), models to time (``speed``), potentials (``elasticity``), formulas
        (``search``), a generator (``csp``, ``perov-5``, ``generation``, ``guidance``).
    seeds
        Ensembles trained from different seeds (``tc``, ``jarvis``), searches (``search``), samples (``csp``, ``perov-5``).
    count
        Crystals (``csp``, ``perov-5``, ``generation``, ``guidance``); each has its own default.
    files
        Crystals to measure the speed on (``predict``, ``speed``); the Alexandria training table by default.
    plots
        Folder for figures.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals done since the last call.

    Raises
    ------
    ConfigError
        For an unknown name, or without the data that it needs.
    """
    if what not in _TABLE:
        raise ConfigError(f"unknown benchmark {what!r}; one of {', '.join(BENCHMARKS)}")
    target, taken = _TABLE[what]
    module, name = target.split(":")
    given: dict[str, Any] = {"seeds": seeds, "plots": plots, "device": device, "on_rows": on_rows}
    given["plot"] = plots / f"{what}.svg" if plots is not None else None
    given["models"] = tuple(models or ("fast",))
    if models:
        given["names"], given["model"] = tuple(models), models[0]
    if count is not None:
        given["count"] = count
    if "table" in taken:
        given["table"] = _crystals(files)
    chosen = {option: given[option] for option in taken if option in given}
    return getattr(importlib.import_module(module), name)(**chosen)


def _crystals(files: Sequence[str] | None) -> pa.Table:
    from onnes.crystals.readers import read_crystals
    from onnes.training.data import data_folder

    return read_crystals(list(files) if files else [str(data_folder() / "epc_dft_alexandria.parquet")])
