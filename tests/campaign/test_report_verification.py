"""What a report says of first-principles verifications."""

from __future__ import annotations

import json
import shutil

import pytest
from lxml import html

from onnes.campaign.report import write_report
from onnes.campaign.report_verification import OF_COUPLING, read_verification
from onnes.crystals.schema import values, with_columns
from tests.campaign.report_sample import sample_data, sample_table
from tests.campaign.verification_sample import KEYS, TC_K, verifications, verified_data, verified_table, write_work


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified")
    return pages(folder, write_work(folder), verified_table())


def pages(folder, work, table):
    data = verified_data(work, table)
    write_report(folder, data, table)
    return folder / "report", data


def page(report, name):
    folder, data = report
    slug = next(c.slug for c in data.candidates if c.id == name)
    return html.fromstring((folder / "candidates" / f"{slug}.html").read_text("utf-8"))


def section(tree):
    (found,) = tree.xpath('//section[@id="verification"]')
    return found


def shown(tree, column):
    return [cell.get("value") for cell in tree.xpath(f'.//data[@data-column="{column}"]')]


def table_of(tree, name):
    return [[cell.text_content() for cell in row] for row in tree.xpath(f'.//table[@id="{name}"]/tbody/tr')]


def test_verdict_method_and_numbers_side_by_side(report):
    part = section(page(report, "al"))
    found = verifications()["al"]
    assert part.xpath('string(.//span[contains(@class, "tag")])') == "superconductor"
    assert "Quantum ESPRESSO 6.7MaX" in part.xpath('string(.//*[@id="verdict-method"])')
    assert found.reason in part.xpath('string(.//*[@id="verdict-reason"])')
    assert shown(part, "dft_lambda") == [repr(found.coupling.lambda_)]
    assert shown(part, "lambda_") == ["0.438"]
    assert float(shown(part, "dft_dos_ef_states_per_eV")[0]) == pytest.approx(4 * found.dos_ef_states_per_eV)
    rows = {row[0]: row for row in table_of(part, "compared")}
    assert rows["Tc"][1].startswith("1.90")
    assert rows["Tc"][1].endswith("t1/al/tc_K")
    assert rows["Tc"][2].endswith("v1/al/dft_tc_K")
    assert f"{found.coupling.tc_lo_K:.2f} to {found.coupling.tc_hi_K:.2f}" in rows["Tc"][2]
    assert rows["lowest phonon frequency"][1] == "–"


def test_details_come_from_the_folder_and_name_it(report):
    part = section(page(report, "al"))
    found = verifications()["al"]
    assert [figure.get("id") for figure in part.xpath(".//figure")] == [
        "verification-lambda_sigma", "verification-alpha2f", "verification-phonons",
    ]  # fmt: skip
    assert [row[:2] for row in table_of(part, "couplings")] == [
        ["q grid", "4×4×4"], ["q grid", "2×2×2"], ["interpolated", "2×2×2"],
    ]  # fmt: skip
    assert [row[0] for row in table_of(part, "steps")] == ["relax", "phonons_4x4x4_01"]
    assert table_of(part, "steps")[1][2:] == ["2", "61.2", "58.0", "alpha_mix 0.3"]
    modes = table_of(part, "modes")
    assert len(modes) == 12
    strongest = max(found.coupling.modes, key=lambda mode: mode.weight * mode.lambda_)
    assert modes[0][1:4] == [str(strongest.weight), f"{strongest.frequency_THz:.2f}", f"{strongest.lambda_:.3f}"]
    assert f"verification/{KEYS['al']}/result.json" in part.text_content()


@pytest.mark.parametrize("name", ["mgb2", "no-plateau", "absent", "broken"])
def test_other_verdicts_show_no_verified_coupling(report, name):
    part = section(page(report, name))
    for column in OF_COUPLING:
        assert shown(part, column) == []
    assert part.xpath('string(.//span[contains(@class, "tag")])') == verifications()[name].verdict.replace("_", " ")
    assert verifications()[name].reason in part.text_content()
    assert verifications()[name].advice in part.text_content()
    assert not part.xpath('.//figure[@id="verification-alpha2f"]')


def test_an_unstable_crystal_has_no_tc_even_when_the_table_holds_one(tmp_path):
    table = with_columns(
        verified_table(("sc",)),
        {
            "dft_tc_K": [99.5, None],
            "dft_lambda": [3.3, None],
            "dft_alpha2f": [[1.0] * 101, None],
            "rejected_by": [None, None],
        },
    )
    report = pages(tmp_path, write_work(tmp_path), table)
    part = section(page(report, "sc"))
    assert part.xpath('string(.//span[contains(@class, "tag")])') == "unstable"
    for text in (html.tostring(part, encoding="unicode"), (report[0] / "report.json").read_text("utf-8")):
        assert "99.5" not in text
        assert "3.3," not in text
    assert "Imaginary modes" in part.text_content()
    assert all(float(row[2]) < 0 for row in table_of(part, "modes"))
    assert report[1].parity.rows[0].results["dft_tc_K"].value is None


def test_lower_confidence_is_told_and_escaped(report):
    text = section(page(report, "mgb2")).xpath('string(.//*[@id="verdict-confidence"])')
    assert "no <b>core</b> correction" in text
    assert "coarse grid" in text
    assert not section(page(report, "al")).xpath('.//*[@id="verdict-confidence"]')


def test_rows_without_verdict_have_no_section(report):
    assert not page(report, "plain").xpath('//section[@id="verification"]')


def test_a_page_does_without_the_folder(tmp_path):
    report = pages(tmp_path, tmp_path / "verification", verified_table())
    part = section(page(report, "al"))
    assert [figure.get("id") for figure in part.xpath(".//figure")] == ["verification-alpha2f"]
    assert "not here" in part.xpath('string(.//*[@id="verdict-remark"])')
    assert len(table_of(part, "compared")) > 4


@pytest.mark.parametrize("content", [b"", b"{}", b'{"key": 1', b"\xff\xfe"])
def test_a_damaged_result_is_as_good_as_none(tmp_path, content):
    work = write_work(tmp_path)
    (work / KEYS["al"] / "result.json").write_bytes(content)
    assert "cannot be read" in section(page(pages(tmp_path, work, verified_table()), "al")).text_content()


def test_a_folder_that_came_to_another_verdict_is_not_mixed_in(tmp_path):
    work = write_work(tmp_path)
    shutil.copy(work / KEYS["sc"] / "result.json", work / KEYS["al"] / "result.json")
    part = section(page(pages(tmp_path, work, verified_table()), "al"))
    assert "meanwhile come to the verdict unstable" in part.xpath('string(.//*[@id="verdict-remark"])')
    assert not part.xpath('.//table[@id="modes"]')


@pytest.mark.parametrize("key", ["../secret", "/etc", "a/../b", "a/b/c", "", ".", "a/.."])
def test_keys_are_no_paths(tmp_path, key):
    work = write_work(tmp_path)
    (tmp_path / "secret").mkdir()
    shutil.copy(work / KEYS["al"] / "result.json", tmp_path / "secret" / "result.json")
    assert read_verification(work, key) is None
    assert read_verification(work, KEYS["al"]) == verifications()["al"]


def test_keys_of_two_parts_are_found(tmp_path):
    work = write_work(tmp_path)
    (work / "Al-1234").mkdir()
    shutil.move(work / KEYS["al"], work / "Al-1234" / KEYS["al"])
    assert read_verification(work, f"Al-1234/{KEYS['al']}") == verifications()["al"]


def test_index_has_verdicts_where_there_are_any(report, tmp_path):
    index = html.fromstring((report[0] / "index.html").read_text("utf-8"))
    (row,) = index.xpath('//table[@id="ranked"]//tr[@data-id="al"]')
    assert "superconductor" in row.text_content()
    assert shown(row, "dft_tc_K") == [repr(verifications()["al"].coupling.tc_allen_dynes_K[0])]
    (row,) = index.xpath('//table[@id="ranked"]//tr[@data-id="no-plateau"]')
    assert "not converged" in row.text_content()
    assert "unstable" in index.xpath('string(//details[starts-with(@id, "stopped")])')
    assert "1 superconductor" in index.xpath('string(//ul[@id="caveats"])')
    plain = write_report(tmp_path, sample_data(), sample_table()).read_text("utf-8")
    assert "first<br>principles" not in plain
    assert "parity.html" not in plain


def test_parity_page_compares_and_says_what_is_missing(report):
    folder, data = report
    tree = html.fromstring((folder / "parity.html").read_text("utf-8"))
    found = verifications()["al"].coupling
    agreement = {row[0]: row for row in table_of(tree, "agreement")}
    assert agreement["λ"][1:3] == ["1", f"{abs(0.438 - found.lambda_):.3f}"]
    assert agreement["Tc"][1:3] == ["1", f"{abs(TC_K['al'] - found.tc_allen_dynes_K[0]):.2f}"]
    assert agreement["N(E_F), both spins, per cell"][1:3] == ["0", "–"]
    assert [row.get("data-id") for row in tree.xpath('//table[@id="rows"]/tbody/tr')] == [
        "al", "sc", "mgb2", "no-plateau", "broken", "absent",
    ]  # fmt: skip
    missing = [item.text_content() for item in tree.xpath('//ul[@id="without"]/li')]
    assert len(missing) == 5
    assert any("not available. Quantum ESPRESSO is not there" in item for item in missing)
    assert any("modes of the grid are imaginary" in item for item in missing)
    assert "labels of a kind of their own" in tree.xpath('string(//*[@id="own-kind"])')
    assert "GTH" in tree.xpath('string(//*[@id="own-kind"])')
    assert tree.xpath('//figure[@id="plot"]')
    stored = json.loads((folder / "report.json").read_text("utf-8"))["parity"]
    assert stored == json.loads(data.parity.model_dump_json())
    row = next(row for row in tree.xpath('//table[@id="rows"]/tbody/tr') if row.get("data-id") == "al")
    titles = {cell.get("data-column"): cell.get("title") for cell in row.iter("data")}
    assert titles["dft_lambda"] == "v1/al/dft_lambda"


def test_mean_absolute_error_is_over_rows_with_both_numbers():
    table = verified_table()
    dft = [v if v is not None else None for v in values(table, "dft_dos_ef_states_per_eV")]
    given = [None if v is None else v + (0.5 if i % 2 else -0.25) for i, v in enumerate(dft)]
    data = verified_data(None, with_columns(table, {"dos_ef_states_per_eV": given}))
    one = next(a for a in data.parity.agreement if a.column == "dos_ef_states_per_eV")
    errors = [g - d for g, d in zip(given, dft, strict=True) if g is not None]
    assert one.n == len(errors) == 3
    assert one.mean_absolute_error == pytest.approx(sum(map(abs, errors)) / 3)
    assert one.mean_error == pytest.approx(sum(errors) / 3)


def test_a_density_of_states_from_first_principles_is_no_prediction(tmp_path, monkeypatch):
    from tests.campaign import verification_sample

    table = with_columns(verified_table(), {"dos_ef_states_per_eV": [2.0] * 7})
    monkeypatch.setitem(verification_sample.WRITERS, "dos_ef_states_per_eV", "verify")
    report = pages(tmp_path, write_work(tmp_path), table)
    assert shown(section(page(report, "al")), "dos_ef_states_per_eV") == []
    assert all(row.results["dos_ef_states_per_eV"].value is None for row in report[1].parity.rows)


def test_an_old_parity_page_goes(tmp_path):
    report = pages(tmp_path, None, verified_table())
    assert (report[0] / "parity.html").exists()
    write_report(tmp_path, sample_data(), sample_table())
    assert not (report[0] / "parity.html").exists()


def test_links_resolve_ids_are_unique_and_nothing_is_loaded(report):
    folder, _ = report
    reached = set()
    for path in folder.rglob("*.html"):
        tree = html.fromstring(path.read_text("utf-8"))
        ids = tree.xpath("//@id")
        assert len(ids) == len(set(ids)), path.name
        for link in tree.xpath("//a/@href"):
            target, _, anchor = link.partition("#")
            assert (path.parent / target).exists() if target else anchor in ids, link
            reached.add((path.parent / target).resolve())
        inside = [v for e in tree.iter() for k, v in e.attrib.items() if k.endswith("href") and v.startswith("#")]
        assert {link[1:] for link in inside} <= set(ids)
        assert not tree.xpath("//script | //link | //img | //@src")
    assert {p.resolve() for p in folder.rglob("*") if p.is_file()} <= reached


def test_same_input_same_bytes(report, tmp_path):
    again, _ = pages(tmp_path, write_work(tmp_path), verified_table())
    first = {p.name: p.read_bytes() for p in report[0].rglob("*") if p.is_file()}
    assert {p.name: p.read_bytes() for p in again.rglob("*") if p.is_file()} == first
