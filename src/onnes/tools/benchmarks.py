"""The benchmarks by name: accuracy and speed against a peer or a baseline of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pyarrow as pa

    from onnes.training.benchmarks.report import Benchmark

BENCHMARKS = ("tc", "classifier", "experimental", "jarvis", "metal", "spectrum", "speed", "predict", "relax")


def run_benchmark(
    what: str,
    *,
    models: Sequence[str] | None = None,
    seeds: int = 1,
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
        Recipes to train (``tc``, ``classifier``), models to time (``speed``).
    seeds
        Ensembles trained from different seeds (``tc``, ``jarvis``).
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
    common: dict[str, Any] = {"device": device, "on_rows": on_rows}
    chosen = {} if not models else {"names": tuple(models)}
    if what == "tc":
        from onnes.training.benchmarks.models import benchmark_tc

        return benchmark_tc(seeds=seeds, plots=plots, **chosen, **common)
    if what == "classifier":
        from onnes.training.benchmarks.models import benchmark_classifier

        return benchmark_classifier(plots=plots, **chosen, **common)
    if what == "experimental":
        from onnes.training.benchmarks.experimental import benchmark_experimental

        return benchmark_experimental(on_rows=on_rows)
    if what == "jarvis":
        from onnes.training.benchmarks.jarvis import benchmark_jarvis

        return benchmark_jarvis(seeds=seeds, **common)
    if what == "metal":
        from onnes.training.benchmarks.models import benchmark_metal

        return benchmark_metal(**common)
    if what == "spectrum":
        from onnes.training.benchmarks.spectrum import benchmark_spectrum

        return benchmark_spectrum(plot=plots / "niobium.svg" if plots is not None else None)
    if what == "speed":
        from onnes.training.benchmarks.model_speed import benchmark_model_speed

        return benchmark_model_speed(_crystals(files), models=tuple(models or ("fast",)), **common)
    if what == "predict":
        from onnes.tools.predict_benchmark import benchmark_predict

        return benchmark_predict(_crystals(files), **common)
    if what == "relax":
        from onnes.training.benchmarks.speed import benchmark_relax

        return benchmark_relax(on_rows=on_rows)
    raise ConfigError(f"unknown benchmark {what!r}; one of {', '.join(BENCHMARKS)}")


def _crystals(files: Sequence[str] | None) -> pa.Table:
    from onnes.crystals.readers import read_crystals
    from onnes.training.data import data_folder

    return read_crystals(list(files) if files else [str(data_folder() / "epc_dft_alexandria.parquet")])
