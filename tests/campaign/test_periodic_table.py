"""The map of hits."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ase.data import atomic_numbers

from onnes.campaign.periodic_table import periodic_table, position
from onnes.campaign.report_data import ElementHits

HITS = [
    ElementHits(symbol="Be", n_survivors=1, mean_tc_K=None),
    ElementHits(symbol="Nb", n_survivors=12, mean_tc_K=8.254),
]


def test_no_two_elements_share_a_square():
    places = [position(z) for z in range(1, 119)]
    assert len(set(places)) == 118
    assert all(0 <= column < 18 for _, column in places)


def test_groups_of_the_periodic_table():
    columns = {symbol: position(z)[1] for symbol, z in atomic_numbers.items() if 0 < z <= 118}
    assert {columns[s] for s in ("H", "Li", "Cs")} == {0}
    assert {columns[s] for s in ("V", "Nb", "Ta", "Db")} == {4}
    assert {columns[s] for s in ("B", "Al", "Tl", "Nh")} == {12}
    assert {columns[s] for s in ("He", "Ne", "Xe", "Og")} == {17}
    assert position(atomic_numbers["Lu"]) == (7, 16)
    assert position(atomic_numbers["Hf"]) == (5, 3)


def test_titles_give_count_and_mean_tc():
    titles = [e.text for e in ElementTree.fromstring(periodic_table(HITS)).iter("{http://www.w3.org/2000/svg}title")]
    assert titles[1:] == ["Be: 1 survivor", "Nb: 12 survivors, mean Tc 8.25 K"]


def test_more_survivors_are_darker():
    colours = re.findall(r'class="hit">.*?fill="#(\w{6})"', periodic_table(HITS))
    few, many = (sum(bytes.fromhex(colour)) for colour in colours)
    assert many < few


def test_every_element_is_there_without_hits_too():
    svg = periodic_table([])
    assert svg == periodic_table([])
    assert svg.count("<rect") == 118
    assert 'class="hit"' not in svg
