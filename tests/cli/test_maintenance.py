import json
import re

import pytest

import onnes.tools.doctor as doctor_module
from onnes.tools import benchmarks
from onnes.training.benchmarks.report import Benchmark
from onnes.training.recipe import recipe_names
from tests.cli.faces import one_line_error, onnes


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


FOUND = {
    "onnes": "0.1.0",
    "packages": {"torch": "2.4"},
    "models": {"structure": "a" * 64},
    "threads_per_process": "1",
    "faults": [],
}


def test_doctor_prints_json_and_code_4_for_faults(call, monkeypatch):
    monkeypatch.setattr(doctor_module, "examine", lambda: FOUND)
    outcome = call("doctor", "--json")
    assert (outcome.code, json.loads(outcome.out)) == (0, FOUND)
    broken = {**FOUND, "faults": ["package torch is missing: pip install torch"]}
    monkeypatch.setattr(doctor_module, "examine", lambda: broken)
    outcome = call("doctor", "--json")
    assert (outcome.code, json.loads(outcome.out)) == (4, broken)


def test_doctor_speaks_to_people(call, monkeypatch):
    monkeypatch.setattr(doctor_module, "examine", lambda: FOUND)
    outcome = call("doctor")
    assert outcome.code == 0
    for words in ("torch", "2.4", "a" * 64, "everything is in place"):
        assert words in outcome.out
    monkeypatch.setattr(doctor_module, "examine", lambda: {**FOUND, "faults": ["weights [x] are damaged"]})
    outcome = call("doctor")
    assert outcome.code == 4
    assert "weights [x] are damaged" in outcome.out
    assert "1 fault(s)" in outcome.out


def test_doctor_finds_damaged_weights(monkeypatch):
    from onnes.errors import ModelError

    def damaged(name):
        raise ModelError(f"weights {name} are damaged")

    monkeypatch.setattr(doctor_module, "weights_sha256", damaged)
    monkeypatch.setattr(doctor_module, "weight_names", lambda: ["structure"])
    monkeypatch.setattr(doctor_module, "potential_names", list)
    found = doctor_module.examine()
    assert "weights structure are damaged" in found["faults"]
    assert found["models"]["structure"].startswith("unusable")
    assert found["packages"]["pyarrow"] != "missing"
    assert found["cores"] >= 1


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["benchmark", "luck", "--quiet"], "unknown benchmark 'luck'"),
        (["reference", "info", "--reference", "nowhere.parquet"], "nowhere.parquet does not exist"),
        (["reference", "info", "--potential", "magic"], "magic"),
        (["reference", "build", "nowhere.cif", "--out", "ref.parquet", "--quiet"], "nowhere.cif"),
        (["train", "wisdom", "--out", "weights", "--quiet"], "wisdom"),
    ],
)
def test_faults_are_one_line(call, words, fault, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one_line_error(call(*words), fault)
    assert list(tmp_path.iterdir()) == []


def test_benchmark_passes_its_options_on_and_prints_the_numbers(call, monkeypatch, tmp_path):
    given = {}

    def run(what, **request):
        given.update(request, what=what)
        return Benchmark("Luck", ("figure",), [("1.0",)], [], {"luck": 1.0})

    monkeypatch.setattr(benchmarks, "run_benchmark", run)
    words = ("--model", "weights/mine", "-n", 7, "--seeds", 2, "--out", tmp_path / "luck.md", "--json")
    outcome = call("benchmark", "csp", *words)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out) == {"luck": 1.0}
    assert "| 1.0 |" in (tmp_path / "luck.md").read_text(encoding="utf-8")
    asked = {"what": "csp", "models": ["weights/mine"], "count": 7, "seeds": 2, "device": "cpu"}
    assert {name: given[name] for name in asked} == asked


def test_help_names_every_benchmark_and_recipe(call):
    offered = " ".join(call("benchmark", "--help").out.split())
    for name in benchmarks.BENCHMARKS:
        assert re.search(rf"\b{name}\b", offered), name
    offered = " ".join(call("train", "--help").out.split())
    for name in recipe_names():
        if name != "spectrum":  # a template for one's own data
            assert re.search(rf"\b{name}\b", offered), name
