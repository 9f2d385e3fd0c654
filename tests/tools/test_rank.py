import itertools
import json
import re

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

import onnes
from onnes.campaign.folder import RESULTS, SETTINGS
from onnes.campaign.judgement import Weights
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import with_columns
from onnes.errors import ConfigError
from onnes.tools.rank import changes
from onnes.tools.registry import tool
from tests.campaign.report_sample import sample_table

NAMES = ["Pb", "Nb3Sn", "MgB2", "NbN"]


@pytest.fixture
def predicted():
    return with_columns(
        known_table(NAMES),
        {
            "tc_K": [7.0, 15.0, 25.0, 12.0],
            "tc_lo_K": [5.0, 10.0, 12.0, 6.0],
            "e_above_hull_eV_per_atom": [0.0, 0.005, 0.0, 0.1],
            "hull_coverage": [0, 4, 3, 5],
            "is_metal_probability": [1.0, 1.0, 1.0, 1.0],
        },
    )


def test_the_best_comes_first_and_says_why(predicted):
    ranked = onnes.rank(predicted)
    assert ranked["judged_rank"] == [1, 2, 3, 4]
    assert ranked["id"][0] == "Nb3Sn"
    scores = ranked["score"]
    assert scores == sorted(scores, reverse=True)
    assert ranked.front == ranked["id"]  # MgB2 is the hottest, Pb the most stable, NbN the easiest to make
    reasons = ranked.reasons().to_dicts()
    [lead] = [reason for reason in reasons if reason["id"] == "Pb" and reason["criterion"] == "toxicity"]
    assert "H360FD" in lead["said"]
    assert lead["source"].endswith("082-014-00-7")
    assert lead["weight"] == Weights().toxicity
    text = repr(ranked)
    assert "unknown: phonons" in text
    assert "E_hull / eV/atom" in text
    told = repr(ranked.reasons())
    assert "unknown of every crystal: phonons, domain, novelty" in told
    assert "no phonon grade" not in told  # said once, not in every row
    assert "Mg boils at 1363 K" in told


def test_weights_turn_the_order(predicted):
    cheap = onnes.rank(predicted, weights=dict.fromkeys(Weights.model_fields, 0) | {"price": 1})
    assert cheap["id"][0] == "Pb"
    hot = onnes.rank(predicted, weights=dict.fromkeys(Weights.model_fields, 0) | {"tc": 1})
    assert hot["id"] == ["MgB2", "Nb3Sn", "NbN", "Pb"]
    with pytest.raises(ConfigError, match="no criterion is called 'prize'; known: tc"):
        onnes.rank(predicted, weights={"prize": 1})


def test_structures_need_no_columns():
    ranked = onnes.rank([known_crystal("Pb"), known_crystal("Nb")])
    assert ranked["reduced_formula"] == ["Nb", "Pb"]
    assert ranked.front == []
    assert len(ranked["unknown"][0]) == 6


def test_predict_first(monkeypatch, predicted):
    asked = []

    def predict(table, *, device, on_rows):
        asked.append((table.num_rows, device))
        on_rows(table.num_rows)
        return onnes.rank(predicted)  # any result with a table

    monkeypatch.setattr("onnes.tools.crystals.predict", predict)
    done: list[int] = []
    ranked = onnes.rank(known_table(NAMES), predict=True, device="cuda", on_rows=done.append)
    assert (asked, done) == ([(4, "cuda")], [4])
    assert None not in ranked["tc_K"]


def test_survivors_of_a_campaign(tmp_path):
    (tmp_path / SETTINGS).write_text("title = 'toy'\n", encoding="utf-8")
    sample = sample_table()
    pq.write_table(sample, tmp_path / RESULTS)
    for given in (str(tmp_path), tmp_path, [str(tmp_path)]):
        assert len(onnes.rank(given)) == 6  # of twelve rows
    pq.write_table(sample.filter(pa.array([e is not None for e in sample["error"].to_pylist()])), tmp_path / RESULTS)
    with pytest.raises(ConfigError, match="no survivor"):
        onnes.rank(tmp_path)


def test_rows_out_of_the_race_come_last(predicted):
    broken = with_columns(predicted, {"error": ["not read", None, None, None]})
    ranked = onnes.rank(broken)
    assert (ranked["id"][-1], ranked["judged_rank"][-1], ranked.n_failed) == ("Pb", None, 1)
    assert ranked.remarks()[-1] == "not read"
    assert "Pb" not in ranked.reasons()["id"]
    assert ranked.head(2)["id"] == ranked["id"][:2]


def test_written_and_read_again(predicted, tmp_path):
    ranked = onnes.rank(predicted)
    ranked.write(tmp_path / "judged.csv")
    rows = pacsv.read_csv(tmp_path / "judged.csv").to_pylist()
    assert [row["id"] for row in rows] == ranked["id"]
    assert "lattice" not in rows[0]
    assert rows[0]["concerns"] == "; ".join(ranked["concerns"][0])
    ranked.write(tmp_path / "judged.parquet")
    assert pq.read_table(tmp_path / "judged.parquet").equals(ranked.table)
    again = onnes.rank(tmp_path / "judged.parquet")
    assert again["score"] == ranked["score"]
    plain = json.loads(ranked.to_json())
    assert [row["judged_rank"] for row in plain] == [1, 2, 3, 4]
    assert not {"lattice", "frac_coords"} & set(plain[0])
    assert isinstance(plain[0]["concerns"], list)


def test_the_figure_marks_the_front(predicted, tmp_path):
    ranked = onnes.rank(
        with_columns(
            predicted, {"is_novel": [True] * 4, "tc_lo_K": [5.0, 10.0, 12.0, None], "tc_K": [7.0, 15.0, 25.0, None]}
        )
    )
    ranked.plot(tmp_path / "a.svg")
    ranked.plot(tmp_path / "b.svg")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg == (tmp_path / "b.svg").read_text(encoding="utf-8")
    for row in ranked.to_dicts():
        named = f"{row['judged_rank']} {row['reduced_formula']}" in svg
        assert named == row["pareto_front"] == (row["id"] != "NbN")
    assert "energy above hull (eV/atom)" in svg
    with pytest.raises(ConfigError, match="svg"):
        ranked.plot(tmp_path / "a.pdf")
    with pytest.raises(ConfigError, match="no ranked row has both"):
        onnes.rank(known_table(["Pb"])).plot(tmp_path / "none.svg")


def test_labels_of_crystals_at_one_place_do_not_cover_each_other(predicted, tmp_path):
    same = {"tc_K": [9.0] * 4, "tc_lo_K": [8.0] * 4, "e_above_hull_eV_per_atom": [0.01] * 4, "hull_coverage": [3] * 4}
    crystal = known_table(["Nb3Sn"])
    twins = with_columns(pa.concat_tables([crystal] * 4), {"id": ["a", "b", "c", "d"], **same})
    ranked = onnes.rank(twins)
    assert ranked.front == ["a", "b", "c", "d"]
    ranked.plot(tmp_path / "twins.svg")
    svg = (tmp_path / "twins.svg").read_text(encoding="utf-8")
    places = re.findall(r'x="(\S+)" y="(\S+)"[^>]*>\d Nb3Sn<', svg)
    assert len(places) == 4
    heights = sorted(float(y) for _, y in places)
    assert all(above - below >= 6 for below, above in itertools.pairwise(heights))


@pytest.mark.parametrize("word", ["tc", "tc=", "tc=much", "=3"])
def test_weights_of_another_form(word):
    with pytest.raises(ConfigError, match=r"name=number|no criterion"):
        Weights().changed(changes([word]))


def test_the_tool_is_registered():
    assert tool("rank").function() is onnes.rank


def test_a_row_without_coordinates_reads_no_file_of_its_name(tmp_path, monkeypatch):
    from onnes.crystals.known import known_crystal, known_table
    from onnes.crystals.schema import with_columns
    from onnes.tools.rank import with_literature

    known_crystal("MgB2").to(str(tmp_path / "NbN"), fmt="poscar")
    monkeypatch.chdir(tmp_path)
    nothing = {key: [None] for key in ("lattice", "frac_coords", "atomic_numbers")}
    bare = with_columns(known_table(["Nb"]), {**nothing, "formula": ["NbN"], "reduced_formula": ["NbN"]})
    by_name = with_literature(bare)["exp_tc_K"].to_pylist()
    monkeypatch.chdir(tmp_path.parent)
    assert by_name == with_literature(bare)["exp_tc_K"].to_pylist()
