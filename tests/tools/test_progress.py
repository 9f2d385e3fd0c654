import pytest

from onnes.flow.engine import StepOutcome
from onnes.tools.progress import Bars, Silent

OUTCOME = StepOutcome("hot", "gate", 10, 6, 3, 1, 0, 0, 0.5, {"tc_K": 3})


@pytest.fixture
def bars():
    with Bars() as bars:
        yield bars


def test_a_bar_counts_rows_of_its_step(bars):
    bars.step_started("hot", "gate", 10)
    bars.rows_done(4)
    bars.rows_done(3)
    (task,) = bars._progress.tasks
    assert (task.description, task.total, task.completed) == ("hot", 10, 7)


def test_a_finished_step_is_full_and_says_what_came_out(bars):
    bars.step_started("hot", "gate", 10)
    bars.rows_done(2)
    bars.step_finished(OUTCOME, [])
    (task,) = bars._progress.tasks
    assert task.finished
    assert task.fields["outcome"] == "6 pass, 3 rejected, 1 failed"


def test_each_step_has_a_bar_of_its_own(bars):
    for name in ("one", "two"):
        bars.step_started(name, name, 5)
        bars.rows_done(5)
    assert [(t.description, t.completed) for t in bars._progress.tasks] == [("one", 5), ("two", 5)]


def test_a_reused_step_says_so(bars):
    bars.step_started("hot", "gate", 10)
    bars.step_finished(StepOutcome("hot", "gate", 10, 10, 0, 0, 0, 2, 0.0), [None, None])
    assert bars._progress.tasks[0].fields["outcome"] == "10 pass, reused"


def test_rates_appear(bars):
    bars.bar("relax", None)
    now = [0.0]
    bars._progress.get_time = lambda: now[0]
    for _ in range(5):
        now[0] += 0.5
        bars.rows_done(4)
    assert bars._progress.tasks[0].fields["rate"] == "8.0/s"


def test_rows_without_a_bar_do_no_harm(bars):
    bars.rows_done(3)
    bars.step_finished(OUTCOME, [])
    assert bars._progress.tasks == []


def test_bars_go_to_standard_error_and_quiet_ones_nowhere(capfd):
    for quiet in (False, True):
        with Bars(quiet=quiet) as bars:
            bars.step_started("relaxing", "relax", 3)
            bars.rows_done(3)
        out, err = capfd.readouterr()
        assert out == ""
        assert ("relaxing" in err) is not quiet


def test_silence(capfd):
    silent = Silent()
    silent.step_started("a", "b", 1)
    silent.rows_done(1)
    silent.step_finished(OUTCOME, [])
    assert capfd.readouterr() == ("", "")
