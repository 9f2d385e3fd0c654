import pytest

from onnes.crystals.table import crystal_table
from onnes.tools import predict_benchmark
from onnes.tools.predict_benchmark import benchmark_predict
from tests.potentials.fakes import FakePotential, fcc_batch


@pytest.fixture
def watched(monkeypatch):
    """Fake potentials, and a predict that passes them once and takes note of its rows."""
    fakes = {name: FakePotential(name) for name in ("sevennet-0", "sevennet-l3i5", "chgnet")}
    rows: list[list[str]] = []

    def predict(part, *, device):
        rows.append(part["id"].to_pylist())
        for fake in fakes.values():
            fake.evaluate(predict_benchmark.CrystalBatch.from_table(part), forces=False, features=True)

    class Model:
        potentials = ("sevennet-0", "sevennet-l3i5")
        moments = "chgnet"

    monkeypatch.setattr(predict_benchmark, "load_superconductivity_model", Model)
    monkeypatch.setattr(predict_benchmark, "load_potential", lambda name, device: fakes[name])
    monkeypatch.setattr(predict_benchmark, "predict", predict)
    monkeypatch.setattr(predict_benchmark, "_TURN", 16)
    return rows, fakes


def _table(n):
    batch = fcc_batch([13 + i % 60 for i in range(n)])
    return crystal_table(batch, ids=[str(i) for i in range(n)], source="tests", identified=False)


def test_every_row_goes_through_both_once(watched) -> None:
    rows, fakes = watched
    seen = []
    benchmark_predict(_table(40), on_rows=seen.append)
    warm_up, *turns = rows
    assert len(warm_up) == 8
    assert sorted(int(i) for turn in turns for i in turn) == list(range(40))
    assert [len(turn) for turn in turns] == [16, 16, 8]
    assert seen == [16, 16, 8]
    for fake in fakes.values():
        assert sum(map(len, fake.calls)) == 8 + 40 + 40  # warm-up, ours, plain
    assert max(sum(call) for call in fakes["chgnet"].calls[2::2]) <= 96


def test_numbers(watched) -> None:
    result = benchmark_predict(_table(32))
    assert 0.3 < result.values["ratio"] < 3  # the same work twice
    assert 0.05 < result.values["memory_GB"] < 20
    assert result.values["rate"] > 1
    assert [row[2] for row in result.rows] == ["1.00", f"{result.values['ratio']:.2f}"]
    assert f"{result.values['rate']:.1f}" == result.rows[1][1]
