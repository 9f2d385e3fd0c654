import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import FreeParameters, free_parameters
from onnes.crystals.known import known_crystal
from onnes.tools import csp_benchmark
from onnes.tools.csp_benchmark import benchmark_csp, benchmark_perov_5, match_score
from onnes.training.generator_data import GeneratorData, without_symmetry
from tests.propose.small_generator import QUICK, small_generator


def written(name):
    return free_parameters(*CrystalBatch.from_structures([known_crystal(name, primitive=True)]).crystal(0))


def shifted(one, by):
    return FreeParameters(one.template, one.elements, one.lattice_parameters, (one.coordinates + by) % 1.0)


def perovskite(a, b, x, shift=0.01):
    frac = np.array([[0, 0, 0], [0.5, 0.5, 0.5 + shift], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return free_parameters(4.1 * np.eye(3), frac, np.array([a, b, x, x, x]))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_generator(tmp_path_factory.mktemp("weights") / "small")


def data(crystals):
    names = tuple(str(i) for i in range(len(crystals)))
    return GeneratorData(tuple(crystals), names, names, np.full((len(crystals), 2), np.nan), 0)


def test_what_counts_as_a_match():
    targets = [written(name) for name in ("YBa2Cu3O7", "FeSe", "NbSe2")]
    perfect = match_score(targets, targets)
    assert perfect.match_rate == 1
    assert perfect.rms == pytest.approx(0, abs=1e-6)
    missed = match_score([targets[0], None, shifted(targets[2], 0.25)], targets)
    assert missed.match_rate < 1
    assert missed.by_free[0] != missed.by_free[0] or 0 <= missed.by_free[0] <= 1
    plain = match_score([without_symmetry(one) for one in targets], targets)
    assert plain.match_rate == 1  # another setting of the same crystal


def test_baselines_and_model_stand_side_by_side(model, monkeypatch):
    known = [written("YBa2Cu3O7"), written("FeSe")]
    monkeypatch.setattr(csp_benchmark, "generator_data", lambda *_, **__: data(known))
    monkeypatch.setattr(csp_benchmark, "csp_targets", lambda *_, **__: known)
    done = []
    found = benchmark_csp(model=model, settings=QUICK, seeds=2, on_rows=done.append)
    # What is in the training crystals is guessed from them without error.
    assert found.values["mean of the template: match_rate"] == 1
    assert found.values["nearest crystal of the template: rms"] == pytest.approx(0, abs=1e-6)
    assert sum(done) == 2 * 2 * len(known)
    assert [row[0] for row in found.rows][4:] == [f"{model}, template given", f"{model}, without template"]
    assert "±" in found.rows[4][1]


def test_coin_flips_on_the_ideal_cube(model, monkeypatch):
    targets = [perovskite(56, 22, 8), perovskite(22, 56, 8)] * 20
    monkeypatch.setattr(csp_benchmark, "generator_data", lambda *_, **__: data(targets))
    found = benchmark_perov_5(model=model, settings=QUICK)
    assert 0.2 < found.values["ideal cube, coin flip: match_rate"] < 0.8
    assert found.values["ideal cube, larger cation on A: match_rate"] == pytest.approx(0.5)
    assert len(found.rows) == 3
