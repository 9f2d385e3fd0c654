import pyarrow as pa
import pytest
from pydantic import ValidationError

from onnes.crystals.schema import values, with_columns
from onnes.flow.gate import Gate, GateSettings
from onnes.flow.stage import StageContext


def judged(settings, **columns):
    n = len(next(iter(columns.values())))
    table = with_columns(pa.table({"id": [str(i) for i in range(n)]}), columns)
    result = Gate(GateSettings(**settings)).apply(table, StageContext("the-gate"))
    assert values(result, "id") == values(table, "id")
    assert values(result, "rejected_by") == [None if r is None else "the-gate" for r in values(result, "reason")]
    return values(result, "reason")


def test_bounds_are_inclusive():
    reasons = judged({"column": "tc_K", "min": 5, "max": 10}, tc_K=[4.9999, 5.0, 7.0, 10.0, 10.01])
    assert reasons == ["tc_K = 5 < 5", None, None, None, "tc_K = 10.01 > 10"]


def test_one_bound_leaves_the_other_side_open():
    assert judged({"column": "tc_K", "min": 5}, tc_K=[1e9, -1.0]) == [None, "tc_K = -1 < 5"]
    hull = "e_above_hull_eV_per_atom"
    assert judged({"column": hull, "max": 0.2}, **{hull: [-3.0, 0.25]}) == [None, f"{hull} = 0.25 > 0.2"]


@pytest.mark.parametrize(("missing", "expected"), [("reject", "tc_K is missing"), ("pass", None)])
def test_missing_values_follow_the_policy(missing, expected):
    assert judged({"column": "tc_K", "min": 5, "missing": missing}, tc_K=[None, 6.0]) == [expected, None]
    assert judged({"column": "tc_K", "min": 5, "missing": missing}, n_atoms=[1]) == [expected]


@pytest.mark.parametrize(("missing", "expected"), [("reject", "tc_K is missing"), ("pass", None)])
def test_not_a_number_is_missing(missing, expected):
    table = pa.table({"id": ["a"], "tc_K": pa.array([float("nan")])})
    gate = Gate(GateSettings(column="tc_K", min=5, missing=missing))
    assert values(gate.apply(table, StageContext("g")), "reason") == [expected]


def test_missing_is_rejected_by_default():
    assert judged({"column": "tc_K", "min": 5}, tc_K=[None]) == ["tc_K is missing"]


def test_equals_takes_words_and_switches():
    assert judged({"column": "phonon_grade", "equals": "stable"}, phonon_grade=["stable", "doubtful"]) == [
        None,
        "phonon_grade = doubtful, wanted stable",
    ]
    assert judged({"column": "is_novel", "equals": False}, is_novel=[False, True]) == [
        None,
        "is_novel = True, wanted False",
    ]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"column": "tc", "min": 1}, "column 'tc' is not in the crystal table"),
        ({"column": "tc_K"}, "needs min, max or equals"),
        ({"column": "tc_K", "min": 1, "missing": "maybe"}, "missing"),
        ({"column": "formula", "min": 1}, "no numbers"),
        ({"column": "lattice", "max": 1}, "no numbers"),
        ({"column": "tc_K", "minimum": 1}, "minimum"),
    ],
)
def test_senseless_settings_are_refused(settings, fault):
    with pytest.raises(ValidationError, match=fault):
        GateSettings(**settings)


def test_rows_are_counted():
    told = []
    table = with_columns(pa.table({"id": ["a", "b"]}), {"tc_K": [1.0, 2.0]})
    Gate(GateSettings(column="tc_K", min=0)).apply(table, StageContext("g", on_rows=told.append))
    assert sum(told) == 2
