import math
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from onnes.campaign.criteria import CRITERIA, cautious_tc_K, criterion_names, findings
from onnes.campaign.judgement import COLUMNS, FLOOR, Weights, judge, pareto_front
from onnes.errors import ConfigError
from tests.campaign.report_sample import sample_table

GOOD = {
    "id": "good",
    "atomic_numbers": [41, 41, 41, 50],
    "tc_K": 18.0,
    "tc_lo_K": 14.0,
    "e_above_hull_eV_per_atom": 0.0,
    "hull_coverage": 3,
    "phonon_grade": "stable",
    "is_metal_probability": 0.99,
    "in_domain": True,
    "domain_distance": 0.3,
    "is_novel": True,
}
NAMES = {
    "Nb": 41,
    "Tl": 81,
    "Sn": 50,
    "Tc": 43,
    "Rh": 45,
    "Mg": 12,
    "B": 5,
    "N": 7,
    "Zr": 40,
    "Ag": 47,
    "U": 92,
    "Th": 90,
}


def score(name, **changes):
    return findings(GOOD | changes)[name].score


def of(*elements):
    return {"atomic_numbers": [NAMES[element] for element in elements]}


def table(*rows):
    return pa.Table.from_pylist([GOOD | row for row in rows])


@pytest.mark.parametrize(
    ("name", "better", "worse"),
    [
        ("tc", {"tc_K": 12.0, "tc_lo_K": 9.0}, {"tc_K": 12.0, "tc_lo_K": 2.0}),
        ("tc", {"tc_K": 30.0, "tc_lo_K": 9.0}, {"tc_K": 12.0, "tc_lo_K": 9.0}),
        ("hull", {"e_above_hull_eV_per_atom": 0.01}, {"e_above_hull_eV_per_atom": 0.1}),
        ("phonons", {"phonon_grade": "doubtful"}, {"phonon_grade": "unstable"}),
        ("metal", {"is_metal_probability": 0.9}, {"is_metal_probability": 0.1}),
        ("domain", {"domain_distance": 0.5}, {"domain_distance": 1.4, "in_domain": False}),
        ("domain", {}, {"in_domain": False, "warnings": "magnetic (CHGNet moment 2.1 muB)"}),
        ("novelty", {}, {"is_novel": False}),
        ("mixing", of("Nb", "Sn"), of("Nb", "Zr")),
        ("toxicity", of("Nb", "Sn"), of("Nb", "Tl")),
        ("radioactivity", of("U", "B"), of("Tc", "B")),
        ("radioactivity", of("Nb", "B"), of("Th", "B")),
        ("volatility", of("Nb", "B"), of("Mg", "B")),
        ("air", of("Nb", "B"), of("Tl", "B")),
        ("price", of("Nb", "B"), of("Rh", "B")),
        ("melting", of("Nb", "Zr"), of("Nb", "Sn")),
    ],
)
def test_every_criterion_tells_the_better_from_the_worse(name, better, worse):
    assert 0 <= score(name, **worse) < score(name, **better) <= 1


def test_scores_by_hand():
    assert cautious_tc_K({"tc_K": 18.0, "tc_lo_K": 14.0}) == pytest.approx(16)
    assert score("tc") == pytest.approx(16 / 26)
    assert score("tc", tc_lo_K=None) == pytest.approx(18 / 28)
    assert score("tc", tc_K=0.0, tc_lo_K=0.0) == 0
    assert score("hull", e_above_hull_eV_per_atom=0.067) == pytest.approx(0.5)
    assert score("hull", e_above_hull_eV_per_atom=-0.02) == 1
    assert score("domain", domain_distance=1.0) == pytest.approx(0.5)
    assert score("domain", domain_distance=1.0, warnings="hydride: few in the training data") == pytest.approx(0.25)
    assert score(
        "domain", domain_distance=1.0, warnings="unlike the training crystals (distance 1.00, edge 1)"
    ) == pytest.approx(0.5)
    # Mg boils at 1363 K, B melts at 2349 K
    assert score("volatility", **of("Mg", "B", "B")) == pytest.approx(1 / (1 + math.exp(10.6 * (1 - 1363 / 2349))))
    assert score("volatility", **of("Nb", "N")) == 0.5
    assert score("melting", **of("Nb", "Sn")) == pytest.approx(1 - (2750 - 505.08 - 500) / 2500)
    assert score("mixing", **of("Nb")) == 1
    assert score("price", **of("Nb")) == pytest.approx(1 - math.log10(40 / 30) / 4)


@pytest.mark.parametrize("missing", [None, math.nan, math.inf])
def test_what_is_missing_is_neutral_and_named(missing):
    blank = {name: missing for name, value in GOOD.items() if isinstance(value, float)}
    row = {"id": "x", "atomic_numbers": [41], **blank}
    found = findings(row)
    for name in ("tc", "literature", "hull", "phonons", "metal", "domain", "novelty"):
        assert (found[name].score, found[name].known) == (0.5, False)
    [judged] = judge(pa.Table.from_pylist([row])).to_pylist()
    assert [line.partition(":")[0] for line in judged["unknown"]] == [
        "tc",
        "literature",
        "hull",
        "phonons",
        "metal",
        "domain",
        "novelty",
    ]
    assert judged["concerns"] == []
    assert judged["pareto_front"] is False


def test_an_unknown_element_is_neutral_but_does_not_hide_a_known_hazard():
    silver = findings(GOOD | of("Nb", "Ag"))["toxicity"]
    assert (silver.score, silver.known) == (0.5, False)
    assert "toxicity of Ag unknown" in silver.said
    both = findings(GOOD | of("Tl", "Ag"))["toxicity"]
    assert both.score == 0
    assert "fatal if inhaled (H330)" in both.said


def test_a_system_without_known_compounds_is_no_proof_of_stability():
    lone = findings(GOOD | {"hull_coverage": 0})["hull"]
    assert (lone.score, lone.known) == (0.5, False)
    assert score("hull", hull_coverage=0, e_above_hull_eV_per_atom=0.2) < 0.2
    assert score("hull", hull_coverage=0, atomic_numbers=[41, 41]) == 1  # an element has no compounds
    fronts = judge(table({"id": "a", "hull_coverage": 0}, {"id": "b", "tc_lo_K": 1.0}))["pareto_front"].to_pylist()
    assert fronts == [False, True]


def test_computed_mixing_replaces_the_estimate():
    alike = findings(GOOD | of("Nb", "Zr"))["mixing"]
    assert "Zr/Nb are alike" in alike.said
    computed = findings(GOOD | of("Nb", "Zr") | {"disorder": 0.05})["mixing"]
    assert computed.score == pytest.approx(0.95)
    assert computed.said is None
    assert findings(GOOD | {"disorder": 0.9})["mixing"].source == "onnes.propose.mixing"


def test_the_score_is_the_weighted_geometric_mean():
    weights = Weights(**dict.fromkeys(criterion_names(), 0.0) | {"tc": 3.0, "hull": 1.0})
    [row] = judge(table({"e_above_hull_eV_per_atom": 0.067}), weights).to_pylist()
    assert row["score"] == pytest.approx(((16 / 26) ** 3 * 0.5) ** 0.25)
    assert row["risk"] == 0  # nothing of practice weighs
    [worst] = judge(table({"tc_K": 0.0, "tc_lo_K": 0.0}), weights).to_pylist()
    assert worst["score"] == pytest.approx(FLOOR**0.75)
    practice = [criterion.name for criterion in CRITERIA if criterion.part == "practice"]
    [row] = judge(table(of("Nb", "Tl"))).to_pylist()
    own = {name: getattr(Weights(), name) for name in practice}
    logs = [own[name] * math.log(max(FLOOR, row[f"score_{name}"])) for name in practice]
    assert row["risk"] == pytest.approx(1 - math.exp(sum(logs) / sum(own.values())))


def test_a_chemist_would_agree():
    same = {"tc_K": 10.0, "tc_lo_K": 8.0}
    rows = [
        {"id": "Nb3Sn", **same, **of("Nb", "Nb", "Nb", "Sn")},
        {"id": "Nb3Tl", **same, **of("Nb", "Nb", "Nb", "Tl")},
        {"id": "Nb3Rh", **same, **of("Nb", "Nb", "Nb", "Rh")},
        {"id": "Nb3Tc", **same, **of("Nb", "Nb", "Nb", "Tc")},
        {"id": "insulator", **same, **of("Nb", "Nb", "Nb", "Sn"), "is_metal_probability": 0.0},
        {"id": "unstable", **same, **of("Nb", "Nb", "Nb", "Sn"), "e_above_hull_eV_per_atom": 0.4},
        {"id": "no superconductor", **of("Nb", "Nb", "Nb", "Sn"), "tc_K": 0.0, "tc_lo_K": 0.0},
    ]
    places = dict(zip([row["id"] for row in rows], judge(table(*rows))["judged_rank"].to_pylist(), strict=True))
    assert places["Nb3Sn"] == 1
    assert places["Nb3Rh"] < places["Nb3Tl"] < places["Nb3Tc"]
    assert min(places["insulator"], places["unstable"], places["no superconductor"]) > places["Nb3Rh"]
    assert places["no superconductor"] > places["Nb3Tl"]


def test_ranks_are_the_same_in_any_order_with_ties_by_id():
    rows = [{"id": f"c{i}", "tc_K": tc, "tc_lo_K": tc / 2} for i, tc in enumerate([4.0, 9.0, 9.0, 2.0, 30.0, 9.0])]
    expected = {"c4": 1, "c1": 2, "c2": 3, "c5": 4, "c0": 5, "c3": 6}
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(len(rows))
        judged = judge(table(*(rows[i] for i in shuffled)))
        assert dict(zip(judged["id"].to_pylist(), judged["judged_rank"].to_pylist(), strict=True)) == expected


def test_rows_out_of_the_race_stay_and_get_nothing():
    sample = sample_table()
    judged = judge(sample)
    assert judged["id"].to_pylist() == sample["id"].to_pylist()
    for row in judged.to_pylist():
        out = row["error"] is not None or row["rejected_by"] is not None
        assert all((row[name] is None) == out for name in COLUMNS), row["id"]
    ranks = [rank for rank in judged["judged_rank"].to_pylist() if rank is not None]
    assert sorted(ranks) == list(range(1, len(ranks) + 1))
    again = judge(judged, Weights(tc=0))
    assert again.column_names == judged.column_names
    assert again["judged_rank"].to_pylist() != judged["judged_rank"].to_pylist()
    assert judge(again).equals(judged)


def test_an_empty_table_and_one_without_open_rows():
    assert judge(table({"error": "broken"}))["score"].to_pylist() == [None]
    assert judge(table({}).slice(0, 0)).num_rows == 0


def test_concerns_carry_their_source():
    row = {**of("Tl", "Nb"), "e_above_hull_eV_per_atom": 0.1, "hull_reference": "r1", "decomposes_to": "Nb + Tl",
           "phonon_grade": "unstable", "min_phonon_THz": -2.5, "phonon_reason": "2x2x2, 0.01 Å",
           "is_novel": False, "known_as": "mp-1", "tc_lo_K": 0.2, "tc_model": "fast"}  # fmt: skip
    [judged] = judge(table(row)).to_pylist()
    concerns = dict(line.split(": ", 1) for line in judged["concerns"])
    assert concerns["hull"] == "0.100 eV/atom above the hull, decomposes to Nb + Tl [reference r1]"
    assert concerns["phonons"] == "phonons unstable, lowest mode -2.50 THz [2x2x2, 0.01 Å]"
    assert concerns["novelty"] == "known as mp-1 [reference r1]"
    assert concerns["tc"] == "Tc 18.0 K, may be as low as 0.2 K [model fast]"
    assert concerns["toxicity"].endswith("Annex VI, 081-001-00-3]")
    assert "Tl boils at 1746 K, before Nb melts at 2750 K" in concerns["volatility"]
    assert "6,001 USD/kg" in concerns["price"]
    assert all(re.search(r" \[.+\]$", line) for line in judged["concerns"])


def beats(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


@pytest.mark.parametrize("seed", range(6))
def test_the_front_is_that_of_the_definition(seed):
    rows = [tuple(row) for row in np.random.default_rng(seed).integers(0, 6, (60, 3)).astype(float).tolist()]
    assert len(set(rows)) < len(rows)  # some are equal
    assert pareto_front(rows) == [not any(beats(other, row) for other in rows) for row in rows]


def test_the_front_where_numbers_are_missing():
    assert pareto_front([(1.0, None), (2.0, None)]) == [True, False]
    assert pareto_front([(None, None)]) == [False]
    assert pareto_front([]) == []


def test_the_front_uses_the_lower_end_of_tc_the_hull_and_the_risk():
    rows = (
        {"id": "sure", "tc_K": 10.0, "tc_lo_K": 9.0},
        {"id": "vague", "tc_K": 20.0, "tc_lo_K": 2.0},
        {"id": "hot", "tc_K": 30.0, "tc_lo_K": 20.0, "e_above_hull_eV_per_atom": 0.15},
        {"id": "poison", "tc_K": 10.0, "tc_lo_K": 9.0, **of("Nb", "Tl")},
    )
    fronts = judge(table(*rows))["pareto_front"].to_pylist()
    assert fronts == [True, False, True, False]


# --- weights ---------------------------------------------------------------------------------------------------------


def test_weights_name_every_criterion():
    assert list(Weights.model_fields) == criterion_names()
    assert set(COLUMNS) >= {f"score_{name}" for name in criterion_names()}


def test_weights_of_a_file(tmp_path):
    file = tmp_path / "weights.toml"
    file.write_text("tc = 5\nprice = 0\n", encoding="utf-8")
    weights = Weights.from_file(file)
    assert (weights.tc, weights.price, weights.hull) == (5, 0, Weights().hull)
    assert weights.changed({"tc": 1}).tc == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcc = 5", r"no criterion is called 'tcc'; known: tc, literature, hull"),
        ("tc = -1", r"tc: .*greater than or equal to 0"),
        ("tc = nan", r"tc: "),
        ('tc = "much"', r"tc: .*number"),
        ("tc = ", r"no TOML file"),
        ("\n".join(f"{name} = 0" for name in criterion_names()), r"at least one weight"),
    ],
)
def test_bad_weights_are_refused(tmp_path, text, words):
    file = tmp_path / "weights.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        Weights.from_file(file)


def test_a_missing_file_of_weights(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        Weights.from_file(tmp_path / "none.toml")


def test_the_page_lists_the_weights():
    page = (Path(__file__).parents[2] / "docs" / "judgement.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, flags=re.MULTILINE))
    assert {name: float(weight) for name, weight in listed.items()} == Weights().model_dump()
    assert list(listed) == criterion_names()


def test_the_model_of_the_literature_counts_and_a_low_probability_is_said():
    likely, unlikely = (findings({"exp_superconductor_probability": p})["literature"] for p in (0.97, 0.2))
    assert (likely.score, likely.said) == (0.97, None)
    assert unlikely.score == 0.2
    assert "probability 0.20 that it superconducts" in unlikely.said
