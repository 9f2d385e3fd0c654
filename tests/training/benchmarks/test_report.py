from onnes.training.benchmarks.report import Benchmark


def test_markdown() -> None:
    made = Benchmark("Title", ("what", "x / K"), [("a", "1"), ("b", "2")], ["seed 0"], {"x": 1.0})
    assert made.markdown() == ("### Title\n\n| what | x / K |\n|---|---|\n| a | 1 |\n| b | 2 |\n\n* seed 0\n")


def test_without_notes() -> None:
    made = Benchmark("T", ("c",), [("1",)])
    assert made.markdown().endswith("| 1 |\n\n")
    assert made.values == {}
