import json
import shutil
import sys

import pytest

from onnes.errors import VerificationError
from onnes.verify.gth import gth_entries, gth_tables, read_gth
from onnes.verify.gth_cutoffs import (
    CUTOFFS_RY,
    HIGHER_CUTOFFS_RY,
    CutoffScan,
    RecommendedCutoff,
    load_cutoffs,
    measure_cutoffs,
    recommend_cutoffs,
    write_cutoffs,
)

TABLES = """\
Ga GTH-PBE-q3
 2 1
 0.56 1 -1.5
 0
Ga GTH-PBE-q13 GTH-PBE
 2 1 10
 0.49 1 11.0
 0
Si GTH-PBE-q4 GTH-PBE
 2 2
 0.44 1 -7.0
 0
"""
# stands in for pw.x: the error of energy and pressure falls as 10^(-cutoff / scale), and scale grows with the valence
PROGRAM = """\
import re, sys
text = open("pw.in").read()
cutoff = float(re.search(r"ecutwfc=(\\d+)", text)[1])
valence = int(open(re.search(r"(\\S+\\.gth)", text)[1]).read().split()[3])
with open("calls", "a") as log:
    log.write(f"{cutoff:g} ")
if cutoff == 70:
    sys.exit(2)
error = 10 ** (-cutoff / (8.0 * valence))
print(f"!    total energy              =   {-10.0 + error:.8f} Ry")
print(f"     total   stress  (Ry/bohr**3)                   (kbar)     P=  {5.0 - 1000 * error:12.2f}")
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    (tmp_path / "GTH_POTENTIALS").write_text(TABLES)
    (tmp_path / "program.py").write_text(PROGRAM)
    return [sys.executable, str(tmp_path / "program.py")]


def scan(name, errors):
    return CutoffScan(
        name=name, vol=20.0, rows={cutoff: (-1.0 + error / 13.605693, error) for cutoff, error in errors.items()}
    )


def test_an_accidental_agreement_below_a_worse_cutoff_does_not_count():
    crossing = scan("GTH-PBE-q12", {50: 0.001, 60: -20.0, 80: 3.0, 100: 0.1, 120: 0.0})
    assert crossing.lowest(30.0, 5.0) == 80
    assert crossing.lowest(30.0, 50.0) == 50
    assert crossing.lowest(0.3, 50.0) == 100  # at 80 Ry the energy is still wrong


def test_the_highest_cutoff_proves_nothing_about_itself():
    rising = scan("GTH-PBE-q18", {100: 60.0, 120: 30.0, 150: 0.0})
    assert rising.lowest(0.3, 5.0) is None
    assert RecommendedCutoff.from_scan(rising) == RecommendedCutoff(name="GTH-PBE-q18")


def test_failed_calculations_are_left_out():
    rows = {24: None, 32: (-1.1, 20.0), 40: (-1.2, 10.0), 50: None}
    errors = CutoffScan(name="GTH-PBE-q3", vol=10.0, rows=rows).errors()
    assert list(errors) == [32, 40]
    assert errors[32] == (pytest.approx(1.3606, abs=1e-4), 10.0)
    assert CutoffScan(name="GTH-PBE-q3", vol=10.0, rows={24: None}).lowest(1, 1) is None


def test_measurement_stops_when_the_pressure_stands_still_and_resumes(command, tmp_path):
    seen = []
    found = measure_cutoffs(["Si"], tmp_path / "cut", command=command, progress=lambda *step: seen.append(step))
    rows = found["Si.GTH-PBE-q4"].rows
    assert rows[70] is None
    assert rows[80] == (pytest.approx(-10 + 10**-2.5), pytest.approx(5 - 1000 * 10**-2.5, abs=0.01))
    assert sorted(rows) == list(CUTOFFS_RY)  # nothing higher was needed
    assert seen[0] == ("Si", 24, 0, 1)
    assert len(seen) == len(rows)
    path = tmp_path / "cut" / "Si.GTH-PBE-q4.json"
    content = json.loads(path.read_text())
    del content["rows"]["150"]
    path.write_text(json.dumps(content))
    assert measure_cutoffs(["Si"], tmp_path / "cut", command=command) == found
    assert (tmp_path / "cut" / "Si.GTH-PBE-q4" / "calls").read_text().split() == [*map(str, CUTOFFS_RY), "150"]


def test_hard_entries_are_followed_higher_and_replaced_by_a_softer_one(command, tmp_path):
    found = measure_cutoffs(["Ga"], tmp_path / "cut", command=command)
    assert sorted(found) == ["Ga.GTH-PBE-q13", "Ga.GTH-PBE-q3"]
    assert set(HIGHER_CUTOFFS_RY) & set(found["Ga.GTH-PBE-q13"].rows)
    (chosen,) = recommend_cutoffs(tmp_path / "cut").values()
    # 10^(-cutoff / 24) Ry: 24 Ry is off by 1.36 eV, 32 Ry by 0.63; as much times 1000 kbar: 60 Ry is off by 3.2
    assert (chosen.name, chosen.electronic_Ry, chosen.structural_Ry) == ("GTH-PBE-q3", 32, 60)
    assert chosen.electronic_error_kbar == pytest.approx(-46.4, abs=0.05)
    assert chosen.structural_error_kbar == pytest.approx(-3.2, abs=0.05)


def test_the_table_is_written_and_read(tmp_path):
    (tmp_path / "Be.json").write_text(scan("GTH-PBE-q4", {150: 90.0, 200: 0.0}).model_dump_json())
    (tmp_path / "Al.json").write_text(scan("GTH-PBE-q3", {24: 2.0, 32: 0.2, 40: 0.0}).model_dump_json())
    text = write_cutoffs(tmp_path, tmp_path / "out.toml").read_text()
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == [
        'Al = {name = "GTH-PBE-q3", electronic_Ry = 32, electronic_error_kbar = 0.2, structural_Ry = 32, structural_error_kbar = 0.2}',
        'Be = {name = "GTH-PBE-q4"}',
    ]


def test_measurements_that_cannot_be_used(command, tmp_path):
    folder = tmp_path / "cut"
    folder.mkdir()
    with pytest.raises(VerificationError, match="has no measurement"):
        write_cutoffs(folder, tmp_path / "out.toml")
    (folder / "Si.json").write_text(scan("GTH-PBE-q2", {24: 0.0}).model_dump_json())
    with pytest.raises(VerificationError, match="is a measurement of GTH-PBE-q2"):
        measure_cutoffs(["Si"], folder, command=command)
    (folder / "Si.json").write_text("{}")
    with pytest.raises(VerificationError, match="is no measurement"):
        recommend_cutoffs(folder)
    with pytest.raises(VerificationError, match="not installed"):
        measure_cutoffs(["Si"], folder, command=["no-such-program"])


def _installed() -> bool:
    try:
        return "cp2k" in str(gth_tables()) or "pyscf" in str(gth_tables())
    except VerificationError:
        return False


def test_the_packaged_table_is_sound():
    table = load_cutoffs()
    assert len(table) >= 60
    for row in table.values():
        if row.electronic_Ry and row.structural_Ry:
            assert row.electronic_Ry <= row.structural_Ry <= HIGHER_CUTOFFS_RY[-2]
        assert row.structural_error_kbar is None or abs(row.structural_error_kbar) <= 5
    # free electrons, a 4d metal, a 3d metal
    assert table["Al"].structural_Ry < table["Nb"].structural_Ry < table["Cu"].structural_Ry


@pytest.mark.skipif(not _installed(), reason="no GTH tables are installed")
def test_the_packaged_table_names_entries_of_the_installed_tables():
    for element, row in load_cutoffs().items():
        assert row.name in gth_entries(element)
        assert read_gth(element, name=row.name).name == row.name


@pytest.mark.dft
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
@pytest.mark.skipif(not _installed(), reason="no GTH tables are installed")
def test_silicon_is_measured_as_the_packaged_table_has_it(tmp_path):
    measure_cutoffs(["Si"], tmp_path)
    found, packaged = recommend_cutoffs(tmp_path)["Si"], load_cutoffs()["Si"]
    assert (found.electronic_Ry, found.structural_Ry) == (packaged.electronic_Ry, packaged.structural_Ry)
    assert found.electronic_error_kbar == pytest.approx(packaged.electronic_error_kbar, abs=0.5)
