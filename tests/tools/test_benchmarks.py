import importlib
import inspect

import pytest

from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError
from onnes.tools import benchmarks
from onnes.tools.benchmarks import BENCHMARKS, run_benchmark

TAKEN = {name: options for name, (_, options) in benchmarks._TABLE.items()}
ONLY_IF_GIVEN = {"count", "model", "names"}


@pytest.fixture
def passed_on(monkeypatch):
    """Run a benchmark by name with a function in its place that keeps what it was given."""

    def run(what, **request):
        module, name = benchmarks._TABLE[what][0].split(":")
        kept = {}
        monkeypatch.setattr(importlib.import_module(module), name, lambda **given: kept.update(given) or what)
        assert run_benchmark(what, **request) == what
        return kept

    return run


@pytest.mark.parametrize("what", BENCHMARKS)
def test_the_function_takes_what_the_table_says(what):
    module, name = benchmarks._TABLE[what][0].split(":")
    function = getattr(importlib.import_module(module), name)
    assert inspect.getdoc(function)
    parameters = inspect.signature(function).parameters
    by_name = {p.name for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    assert set(TAKEN[what]) <= by_name
    always = set(TAKEN[what]) - ONLY_IF_GIVEN
    assert {p.name for p in parameters.values() if p.default is p.empty} <= always
    assert by_name & {"device", "on_rows"} <= set(TAKEN[what])  # neither machine nor progress bar is forgotten


@pytest.mark.parametrize("what", BENCHMARKS)
def test_each_gets_what_it_takes_and_nothing_else(what, passed_on, tmp_path):
    known_crystal("Nb").to(str(tmp_path / "Nb.cif"), fmt="cif")
    bars = [].append
    given = passed_on(
        what, models=["a", "b"], seeds=3, count=7, files=[str(tmp_path / "Nb.cif")], plots=tmp_path, device="cuda", on_rows=bars
    )  # fmt: skip
    assert set(given) == set(TAKEN[what])
    table = given.pop("table", None)
    assert table is None or table["id"].to_pylist() == ["Nb"]
    wanted = {
        "names": ("a", "b"), "models": ("a", "b"), "model": "a", "seeds": 3, "count": 7, "plots": tmp_path,
        "plot": tmp_path / f"{what}.svg", "device": "cuda", "on_rows": bars,
    }  # fmt: skip
    assert given == {name: wanted[name] for name in given}


@pytest.mark.parametrize("what", [what for what in BENCHMARKS if "table" not in TAKEN[what]])
def test_a_benchmark_keeps_its_own_count_and_model(what, passed_on):
    assert set(passed_on(what)) == set(TAKEN[what]) - ONLY_IF_GIVEN


def test_an_unknown_one_names_the_known():
    with pytest.raises(ConfigError, match=r"unknown benchmark 'luck'; one of tc, .*guidance"):
        run_benchmark("luck")
