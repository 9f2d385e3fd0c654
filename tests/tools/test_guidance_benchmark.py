import json
from functools import partial

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import free_parameters
from onnes.crystals.known import known_crystal
from onnes.crystals.schema import is_open, values, with_columns
from onnes.models.generation.sampler import SamplerSettings
from onnes.potentials import potential as registry
from onnes.propose.diffusion import diffusion_candidates
from onnes.tools import guidance_benchmark as module
from onnes.tools.guidance_benchmark import benchmark_guidance
from onnes.training.generator_data import GeneratorData
from tests.potentials.fakes import FakePotential
from tests.propose.small_generator import QUICK, small_generator

COUNT = 8
UNASKED, USUAL, ONCE, TWICE = (
    "unasked", "asked for 1 K, strength 1", "asked for 20 K, strength 1", "asked for 20 K, strength 2",
)  # fmt: skip
TC_K = {UNASKED: 4.0, USUAL: 3.0, ONCE: 6.0, TWICE: 10.0}


def around(tc_K, n):
    return np.linspace(0.9, 1.1, n) * tc_K


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_generator(tmp_path_factory.mktemp("weights") / "small")


class Watched:
    """A generator whose tables are kept, and a judge who knows which of them it looks at.

    The last sample of each kind fails before relaxation, the last but one in it. Of the others the judge takes the first for
    foreign, at a thousand kelvin, and has no Tc for the second; every other one is a metal.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, float], float]] = []
        self.tables, self.judges, self.settings = [], set(), set()
        self.in_domain = True

    def draw(self, count, *, sampler, conditions, **request):
        self.requests.append((dict(conditions), sampler.guidance))
        table = diffusion_candidates(count, sampler=sampler, conditions=conditions, **request)
        self.tables.append(with_columns(table, {"error": [*values(table, "error")[:-1], "atoms too close"]}))
        return self.tables[-1]

    def relax(self, table, potential, settings, *, on_rows=None):
        self.settings.add(settings)
        if on_rows:
            on_rows(table.num_rows)
        return with_columns(table, {"error": [None] * (table.num_rows - 1) + ["not relaxed"]})

    def judge(self, table, *, model, device):
        self.judges.add(model)
        n, name = table.num_rows, list(TC_K)[len(self.tables) - 1]
        return with_columns(table, {
            "tc_K": [1000.0, None, *around(TC_K[name], n - 2)],
            "in_domain": [False] + [self.in_domain or name != TWICE] * (n - 1),
            "is_metal_probability": [0.9 if row % 2 == 0 else 0.1 for row in range(n)],
        })  # fmt: skip

    def usable(self, place):
        return int(is_open(self.tables[place]).sum())


@pytest.fixture
def watched(monkeypatch):
    watched = Watched()
    nb = free_parameters(*CrystalBatch.from_structures([known_crystal("Nb", primitive=True)]).crystal(0))
    trained = GeneratorData((nb,), ("Nb",), ("Nb",), np.full((1, 2), np.nan), 0)
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): FakePotential()})
    monkeypatch.setattr(module, "SamplerSettings", partial(SamplerSettings, steps=QUICK.steps))
    monkeypatch.setattr(module, "generator_data", lambda: trained)
    monkeypatch.setattr(module, "diffusion_candidates", watched.draw)
    monkeypatch.setattr(module, "relax_table", watched.relax)
    monkeypatch.setattr(module, "predict_table", watched.judge)
    return watched


def run(model, **request):
    return benchmark_guidance(count=COUNT, model=model, potential="fake", seed=1, **request)


def test_the_ratio_is_that_of_the_samples_inside_the_domain(model, watched):
    done = []
    found = run(model, on_rows=done.append)
    for place, (name, tc) in enumerate(TC_K.items()):
        assert found.values[f"{name}: mean_tc_K"] == pytest.approx(tc)
        assert found.values[f"{name}: ratio"] == pytest.approx(tc / 4)
        row = dict(zip(found.columns, ("name", *found.rows[place][1:]), strict=True))
        assert found.rows[place][0] == name
        inside = around(tc, watched.usable(place) - 3)  # one did not relax, one is foreign to the judge, one has no Tc
        assert row["in domain"] == str(len(inside))
        assert row["mean Tc / K"] == f"{tc:.2f} ± {inside.std(ddof=1) / np.sqrt(len(inside)):.2f}"
        low, high = map(float, row["95 %"].split(" to "))
        assert 0.8 * tc / 4 < low < tc / 4 < high < 1.25 * tc / 4
        assert row["Tc of at least 5 K / %"] == ("100" if tc >= 5 else "0")
    assert sum(done) == sum(watched.usable(place) for place in range(len(TC_K)))
    assert watched.judges == {"structure"}
    assert watched.settings == {module.RELAX}


def test_shares_are_those_of_all_samples(model, watched):
    found = run(model)
    for place, name in enumerate(TC_K):
        relaxed = watched.usable(place) - 1
        table = watched.tables[place]
        assert found.values[f"{name}: relaxed"] == relaxed / COUNT
        assert found.values[f"{name}: metals"] == (relaxed + 1) // 2 / COUNT
        sound = module.structurally_valid(CrystalBatch.from_table(table))
        assert found.values[f"{name}: valid"] == pytest.approx(sound.mean())
        balanced = module.compositionally_valid(values(table, "reduced_formula"))
        assert found.values[f"{name}: balanced"] == pytest.approx(balanced.mean())
        trained = [formula == "Nb" for formula in values(table, "reduced_formula")]
        assert found.values[f"{name}: formula in training"] == pytest.approx(np.mean(trained))


def test_templates_are_the_same_with_and_without_condition(model, watched):
    run(model, target_tc_K=30.0, strengths=(0.5, 3.0))
    usual, high = ({"ln_tc": pytest.approx(np.log1p(tc))} for tc in (module.USUAL_TC_K, 30.0))
    assert watched.requests == [({}, 1.0), (usual, 1.0), (high, 0.5), (high, 3.0)]
    kinds = [[json.loads(how) for how in values(table, "how")] for table in watched.tables]
    templates = [[how["template"] for how in kind] for kind in kinds]
    assert all(drawn == templates[0] for drawn in templates)
    assert len(set(templates[0])) > 1
    assert len({str([how["lattice"] for how in kind]) for kind in kinds}) == len(kinds)  # what is asked for matters


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # means of nothing
def test_a_kind_of_which_the_judge_knows_nothing_does_not_spoil_the_others(model, watched):
    watched.in_domain = False
    found = run(model)
    assert found.values[f"{ONCE}: ratio"] == pytest.approx(1.5)
    assert np.isnan(found.values[f"{TWICE}: ratio"])
    assert found.values[f"{TWICE}: relaxed"] == (watched.usable(3) - 1) / COUNT


def test_interval_of_the_ratio():
    rng = np.random.default_rng(3)

    def interval(n, factor):
        return module._interval(factor * rng.gamma(2.0, 3.0, n), rng.gamma(2.0, 3.0, n))

    low, high = interval(400, 2.0)
    assert 1.6 < low < 2.0 < high < 2.4
    few = interval(40, 2.0)
    assert few[1] - few[0] > 2 * (high - low)
    low, high = interval(400, 1.0)
    assert low < 1.0 < high
    assert module._interval(np.full(5, 9.0), np.full(7, 3.0)) == (3.0, 3.0)
