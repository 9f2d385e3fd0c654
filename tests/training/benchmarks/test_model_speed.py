from types import SimpleNamespace

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_table
from onnes.crystals.schema import values, with_columns
from onnes.errors import CrystalError
from onnes.potentials.potential import Evaluation
from onnes.training.benchmarks import model_speed
from onnes.training.benchmarks.model_speed import benchmark_model_speed

MODELS = {
    "fast": SimpleNamespace(potentials=("sevennet-0",), moments=None),
    "structure": SimpleNamespace(potentials=("sevennet-0", "sevennet-l3i5"), moments="chgnet"),
}
SECONDS = {
    "sevennet-0": 0.01,
    "sevennet-l3i5": 0.03,
    "fast": 0.02,
    "structure": 0.05,
    "graphs": 0.001,
    "forward": 0.004,
}


class Clock:
    """Stands still unless somebody works; remembers who worked on how many crystals."""

    def __init__(self) -> None:
        self.now = 100.0
        self.work: list[tuple[str, int]] = []

    def perf_counter(self):
        return self.now

    def spend(self, who, crystals) -> None:
        self.now += SECONDS[who] * crystals
        self.work.append((who, crystals))


class SlowPotential:
    def __init__(self, clock, name) -> None:
        self.clock, self.name = clock, name

    def evaluate(self, batch, *, forces=True, features=False):
        assert not forces
        assert not features
        self.clock.spend(self.name, len(batch))
        return Evaluation(np.zeros(len(batch)))


@pytest.fixture(scope="module")
def table():
    return known_table().slice(0, 10)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    clock.failing = set()

    def predict(part, *, model, device):
        clock.spend(model, part.num_rows)
        errors = ["failed" if one in clock.failing else None for one in values(part, "id")]
        return with_columns(part, {"error": errors})

    class Member:
        def __init__(self, device) -> None:
            pass

        def __call__(self, part):
            clock.spend("graphs", part.num_rows)
            found = {"graphs": SECONDS["graphs"] * part.num_rows}
            clock.spend("forward", part.num_rows)
            for lmax, factor in ((3, 2), (1, 1)):
                found[f"forward {lmax}"] = factor * SECONDS["forward"] * part.num_rows
            return found

    monkeypatch.setattr(model_speed, "time", clock)
    monkeypatch.setattr(model_speed, "load_superconductivity_model", MODELS.__getitem__)
    monkeypatch.setattr(model_speed, "load_potential", lambda name, device: SlowPotential(clock, name))
    monkeypatch.setattr(model_speed, "predict_table", predict)
    monkeypatch.setattr(model_speed, "_Member", Member)
    monkeypatch.setattr(model_speed, "_TURN", 4)
    monkeypatch.setattr(model_speed, "_WARM_ROWS", 3)
    return clock


def test_rates_and_ratios_by_hand(clock, table) -> None:
    found = benchmark_model_speed(table).values
    assert found["crystals"] == 10
    assert found["plain sevennet-0: rate"] == pytest.approx(100)
    assert found["plain sevennet-0 + sevennet-l3i5: rate"] == pytest.approx(25)
    assert found["fast: rate"] == pytest.approx(50)
    assert found["fast: ratio to plain"] == pytest.approx(0.5)
    assert found["structure: rate"] == pytest.approx(20)
    assert found["structure: ratio to plain"] == pytest.approx(0.8)  # both of its potentials
    assert found["e3nn graphs: s"] == pytest.approx(0.01)
    assert found["e3nn lmax 3 one member: s"] == pytest.approx(0.08)
    assert found["e3nn lmax 1: rate"] == pytest.approx(1 / 0.401)  # graphs once, the pass a hundred times
    assert found["e3nn lmax 3: rate"] == pytest.approx(1 / 0.801)
    assert found["fast: ratio to e3nn"] == pytest.approx(0.801 / 0.02)
    assert found["structure: ratio to e3nn"] == pytest.approx(0.801 / 0.05)
    assert found["e3nn lmax 3: ratio to plain"] == pytest.approx(0.01 / 0.801)
    assert found["memory_GB"] > 0


def test_members_count(clock, table) -> None:
    found = benchmark_model_speed(table, models=("fast",), members=7).values
    assert found["e3nn lmax 1: rate"] == pytest.approx(1 / 0.029)
    assert "structure: rate" not in found
    assert not any(who in ("sevennet-l3i5", "structure") for who, _ in clock.work)


def test_table_says_what_was_measured(clock, table) -> None:
    result = benchmark_model_speed(table)
    assert [row[0] for row in result.rows] == [
        "plain pass of sevennet-0",
        "plain pass of sevennet-0 and sevennet-l3i5",
        "onnes, model fast",
        "onnes, model structure",
        "equivariant ensemble, lmax 3, 100 members",
        "equivariant ensemble, lmax 1, 100 members",
    ]
    assert result.rows[2][1:] == ("50.00", "0.500", "40.05")
    assert all(len(row) == len(result.columns) for row in result.rows)
    text = result.markdown()
    assert "10 crystals, one process on cpu" in text
    assert "3 turns of up to 4 random rows" in text
    assert "structure also asks chgnet for magnetic moments" in text
    assert "fast also asks" not in text
    assert "fast: ratio to the plain pass by turn, median 0.500 (quartiles 0.500 to 0.500)" in text
    assert "failed" not in text


def test_turns_cover_every_row_once_and_rotate(clock, table, monkeypatch) -> None:
    monkeypatch.setattr(model_speed, "_WARM_TURNS", 0)
    seen = []
    benchmark_model_speed(table, on_rows=seen.append)
    assert seen == [4, 4, 2]
    for who in SECONDS:
        assert sum(n for name, n in clock.work if name == who) == 10
    per_turn = len(SECONDS)
    firsts = [clock.work[turn * per_turn][0] for turn in range(3)]
    assert firsts == ["sevennet-0", "sevennet-l3i5", "fast"]


def test_closed_rows_are_not_measured(clock, table) -> None:
    closed = with_columns(table, {"error": ["too close"] * 4 + [None] * 6})
    assert benchmark_model_speed(closed).values["crystals"] == 6
    with pytest.raises(CrystalError, match="no open row"):
        benchmark_model_speed(closed.slice(0, 4))


def test_failures_are_told_without_those_of_the_warming_up(clock, table) -> None:
    clock.failing = {values(table, "id")[0]}  # warmed up with as well
    notes = benchmark_model_speed(table).notes
    assert "fast: 1 crystals failed" in notes
    assert "structure: 1 crystals failed" in notes


def test_plain_pass_batches_like_the_features(clock, table) -> None:
    sizes = CrystalBatch.from_table(table).n_atoms
    cpu = model_speed._PlainPass(SlowPotential(clock, "sevennet-0"), "cpu")
    cpu.limits = (int(sizes.max()), 4)
    assert cpu(table) == {"plain sevennet-0": pytest.approx(0.1)}
    assert all(n <= 4 for _, n in clock.work)
    gpu = model_speed._PlainPass(SlowPotential(clock, "sevennet-0"), "cuda:1")
    assert gpu.limits[0] > model_speed._PlainPass(SlowPotential(clock, "sevennet-0"), "cpu").limits[0]


def test_member_passes_every_crystal_through_the_network(monkeypatch, table) -> None:
    monkeypatch.setattr(model_speed, "ENSEMBLE", {"mul": 2, "layers": 1, "embedding": 4, "radial_neurons": 4})
    member = model_speed._Member("cpu")
    seen = []
    for network in member.networks.values():
        network.register_forward_hook(lambda _module, _inputs, out: seen.append(tuple(out.shape)))
    found = member(table)
    assert sum(n for n, _ in seen) == 2 * 10
    assert {bins for _, bins in seen} == {51}
    assert set(found) == {"graphs", "forward 3", "forward 1"}
    assert all(seconds > 0 for seconds in found.values())
