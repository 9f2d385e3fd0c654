"""Tc against the energy above hull."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from onnes.campaign.plots import drawable, tc_against_hull
from onnes.campaign.report_data import Survivor


def survivor(rank: int, **more) -> Survivor:
    values = {
        "id": f"s{rank}",
        "name": f"X{rank}",
        "tc_K": 20.0 - rank,
        "tc_lo_K": 18.0 - rank,
        "tc_hi_K": 23.0 - rank,
        "e_above_hull_eV_per_atom": 0.01 * (rank % 5),
        "is_novel": rank % 2 == 0,
        "in_domain": True,
    }
    return Survivor(rank=rank, **{**values, **more})


MANY = [survivor(rank) for rank in range(1, 16)]


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_same_bytes_twice_and_no_leftovers():
    svg = tc_against_hull(MANY, mu_star=0.1)
    assert svg == tc_against_hull(MANY, mu_star=0.1)
    assert svg.startswith("<svg")
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert "#010203" not in svg
    assert "currentColor" in svg


def test_units_stand_on_the_axes():
    shown = texts(tc_against_hull(MANY, mu_star=0.1))
    assert "energy above hull (eV/atom)" in shown
    assert "Tc (K) at μ* = 0.10" in shown


def test_only_the_first_ten_are_labelled():
    shown = texts(tc_against_hull(MANY))
    assert [t for t in shown if re.fullmatch(r"\d+ X\d+", t)] == [f"{rank} X{rank}" for rank in range(1, 11)]


def test_labels_do_not_cover_each_other():
    crowd = [survivor(rank, tc_K=10.0 - 0.01 * rank, e_above_hull_eV_per_atom=0.05) for rank in range(1, 11)]
    svg = tc_against_hull(crowd)
    places = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+ X\d+)<', svg)
    assert len(places) == 10
    spots = [(float(x), float(y)) for x, y, _ in places]
    for i, (x, y) in enumerate(spots):
        assert all(abs(x - u) > 15 or abs(y - v) > 8 for u, v in spots[:i])


def test_markup_and_mathematics_in_names_stay_text():
    svg = tc_against_hull([survivor(1, name="<script>$x^2$")])
    assert "<script>" not in svg
    assert "1 <script>$x^2$" in texts(svg)


def test_rows_without_both_numbers_are_left_out():
    rows = [survivor(1, tc_K=None), survivor(2, e_above_hull_eV_per_atom=None), survivor(3, tc_lo_K=None)]
    assert [row.rank for row in drawable(rows)] == [3]
    assert tc_against_hull(rows[:2]) == ""
    assert "3 X3" in texts(tc_against_hull(rows))


def test_higher_tc_stands_higher_and_less_stable_further_right():
    svg = tc_against_hull([survivor(1, is_novel=True), survivor(2, is_novel=True)])
    marks = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: #2f7fc1', svg)
    (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in marks][:2]
    assert y1 < y2  # SVG counts downwards
    assert x1 < x2
