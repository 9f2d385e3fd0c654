"""The pages of a report."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from lxml import html
from pymatgen.core import Composition, Structure

from onnes.campaign import report
from onnes.campaign.report import write_report
from onnes.campaign.report_data import Stopped, report_data
from onnes.campaign.report_text import format_value
from onnes.errors import ConfigError
from tests.campaign.report_sample import COUNTS, EVIL, META, sample_data, sample_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("campaign")
    assert write_report(path, sample_data(), sample_table()) == path / "report" / "index.html"
    return path / "report"


@pytest.fixture(scope="module")
def index(folder) -> html.HtmlElement:
    return html.fromstring((folder / "index.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def best(folder) -> html.HtmlElement:
    return html.fromstring(next((folder / "candidates").glob("0001-*.html")).read_text("utf-8"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_same_input_same_bytes(folder, tmp_path):
    write_report(tmp_path, sample_data(), sample_table())
    write_report(tmp_path, sample_data(), sample_table())
    assert files_of(tmp_path / "report") == files_of(folder)


def test_json_is_the_report_data(folder):
    assert (folder / "report.json").read_text("utf-8") == sample_data().model_dump_json(indent=1)


def test_every_number_of_the_ranked_table_is_in_the_json(folder, index):
    candidates = json.loads((folder / "report.json").read_text("utf-8"))["candidates"]
    rows = index.xpath('//table[@id="ranked"]/tbody/tr')
    assert [row.get("data-id") for row in rows] == [c["id"] for c in candidates]
    seen = 0
    for row, candidate in zip(rows, candidates, strict=True):
        assert int(row[0].text_content()) == candidate["rank"]
        for cell in row.iter("data"):
            column = cell.get("data-column")
            result = candidate["results"][column]
            assert float(cell.get("value")) == result["value"]
            assert cell.text_content() == format_value(float(result["value"]), column)
            assert cell.get("title") == result["result_id"]
            seen += 1
        bare = [text for text in row.xpath(".//text()[not(parent::data)]") if re.search(r"\d\.\d", text)]
        assert bare == []  # no number outside a cited cell
    assert seen == 4 * 9 + 3 + 2  # the two without a Tc still have omega_log and P(metal), one an energy above hull


def test_markup_in_the_data_stays_text(folder, index, best):
    for name, raw in files_of(folder).items():
        if name.endswith(".html"):
            assert b"<script" not in raw, name
            assert b"<b>this" not in raw, name
    assert EVIL in [row.get("data-id") for row in index.xpath('//table[@id="ranked"]//tr[@data-id]')]
    assert best.xpath('string(//*[@id="warnings"])') == "beware of <b>this</b>"
    assert "NaN force <u>" in index.text_content()


def test_pages_are_named_by_slug_and_all_links_resolve(folder):
    names = sorted(p.name for p in (folder / "candidates").iterdir())
    assert len(names) == 6
    assert all(re.fullmatch(r"\d{4}-[0-9a-f]{8}\.html", name) for name in names)
    reached = set()
    for page in folder.rglob("*.html"):
        tree = html.fromstring(page.read_text("utf-8"))
        for link in tree.xpath("//a/@href"):
            target, _, anchor = link.partition("#")
            assert (page.parent / target).exists() if target else tree.xpath(f'//*[@id="{anchor}"]'), link
            reached.add((page.parent / target).resolve())
    assert {p.resolve() for p in folder.rglob("*") if p.is_file()} <= reached


def test_nothing_is_loaded_and_no_script_can_run(folder):
    for page in folder.rglob("*.html"):
        tree = html.fromstring(page.read_text("utf-8"))
        loads = tree.xpath("//@src | //@href | //@srcset | //@action")
        loads += [value for e in tree.iter() for key, value in e.attrib.items() if key.endswith("href")]
        assert not [link for link in loads if "//" in link or link.startswith(("data:", "javascript:"))]
        assert not tree.xpath("//script | //link | //iframe | //img | //@*[starts-with(name(), 'on')]")
        policy = tree.xpath('//meta[@http-equiv="Content-Security-Policy"]/@content')[0]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        text = tree.xpath("string(//style)")
        assert "url(" not in text
        assert "@import" not in text


def test_ids_of_a_page_are_unique(folder):
    for page in folder.rglob("*.html"):
        ids = html.fromstring(page.read_text("utf-8")).xpath("//@id")
        assert len(ids) == len(set(ids)), page.name


def test_index_shows_funnel_flags_and_provenance(index):
    cells = [[td.text_content() for td in tr[:5]] for tr in index.xpath('//table[@id="funnel"]/tbody/tr')]
    assert cells == [[c.title, *map(str, (c.entered, c.passed, c.rejected, c.failed))] for c in COUNTS]
    assert "2 × above 0.2 eV/atom" in index.xpath('string(//table[@id="funnel"])')
    lone = [tr.get("data-id") for tr in index.xpath('//tr[@data-id][.//*[contains(text(), "no known compound")]]')]
    assert lone == ["tie-low"]
    assert META["potential"] in index.xpath('string(//table[@id="provenance"])')
    assert 'note = "<b>"' in index.xpath('string(//table[@id="provenance"])')
    assert index.xpath('string(//p[@id="summary"])').startswith("Of 12 candidates")
    assert len(index.xpath('//ul[@id="caveats"]/li')) == len(sample_data().caveats)


def test_candidate_page_shows_origin_values_and_relaxation(best):
    text = best.text_content()
    assert "2a: Nb -> Hf; 4h: Nb -> Nb" in text
    rows = {tr[0].text_content(): [td.text_content() for td in tr] for tr in best.xpath('//table[@id="values"]//tr')}
    assert rows["Tc"] == ["Tc", "7.12", "0.71", "K", f"t1/{EVIL}/tc_K"]
    assert rows["energy above hull"][1:4] == ["0.049", "", "eV/atom"]
    assert "-2.94 %" in best.xpath('string(//*[@id="volume-change"])')
    lattice = {
        tr[0].text_content(): [td.text_content() for td in tr] for tr in best.xpath('//table[@id="lattice"]//tr')
    }
    assert lattice["a (Å)"][1:] == ["6.0000", "6.0600", "-0.99"]
    assert len(best.xpath('//table[@id="atoms"]/tbody/tr')) == 10
    assert len(best.xpath('//*[local-name()="circle"][@class="atom"]')) > 10


def test_cif_of_the_page_is_the_crystal(best):
    structure = Structure.from_str(best.xpath('string(//pre[@id="cif"])'), fmt="cif")
    row = sample_table().to_pylist()[2]
    assert structure.volume == pytest.approx(abs(np.linalg.det(np.reshape(row["lattice"], (3, 3)))))
    assert structure.composition == Composition("Be4Hf2Nb4")


def test_long_lists_of_stopped_rows_are_cut_with_a_count(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "MAX_STOPPED_ROWS", 5)
    row = Stopped(id="x", name="X", kind="rejected", stage="hull", reason="r", tc_K=None, e_above_hull_eV_per_atom=None)
    data = sample_data().model_copy(update={"stopped": [row] * 12})
    index = html.fromstring(write_report(tmp_path, data, sample_table()).read_text("utf-8"))
    (group,) = index.xpath('//details[starts-with(@id, "stopped")]')
    assert len(group.xpath(".//tbody/tr")) == 5
    assert "Convex hull: 12 rejected" in group.text_content()
    assert "and 7 more" in group.text_content()


def test_pages_of_vanished_candidates_go_and_other_files_stay(tmp_path):
    write_report(tmp_path, sample_data(), sample_table())
    note = tmp_path / "report" / "candidates" / "my notes.html"
    note.write_text("mine")
    write_report(tmp_path, sample_data(top=2), sample_table())
    assert sorted(p.name[:4] for p in note.parent.iterdir()) == ["0001", "0002", "my n"]


def test_empty_campaign_gives_a_page(tmp_path):
    empty = sample_table().slice(0, 0)
    index = write_report(tmp_path, report_data(empty, [], {}, {}), empty)
    text = html.fromstring(index.read_text("utf-8")).text_content()
    assert "No candidate survived." in text
    assert "No stage has run." in text


def test_wrong_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="lack 6 candidates"):
        write_report(tmp_path, sample_data(), sample_table().slice(0, 0))
