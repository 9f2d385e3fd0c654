import json
import os
import shutil
import subprocess
from hashlib import md5, sha256

import pytest
import tomlkit

from onnes.errors import VerificationError
from onnes.verify import gth as gth_room
from onnes.verify.gth import gth_tables, read_gth
from onnes.verify.gth_cutoffs import load_cutoffs
from onnes.verify.manifest import MANIFEST, make_manifest, read_manifest
from onnes.verify.pseudopotentials import DEBIAN, find_pseudopotentials
from onnes.verify.upf import density_cutoff, read_header
from tests.verify.samples import gth, upf_1, upf_2

LDA_1, LDA_2 = "SLA  PZ   NOGX NOGC   PZ", "SLA PZ NOGX NOGC"


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two UPF files that suggest cut-offs, and its manifest."""
    place = tmp_path / "pseudos"
    place.mkdir()
    (place / "Al one.UPF").write_bytes(upf_2("Al", ecutwfc=30, ecutrho=150))
    (place / "b_ours.upf").write_bytes(upf_1("B", ecutwfc=45, ecutrho=180))
    make_manifest(place)
    return place


def edit(folder, element, **values):
    document = tomlkit.parse((folder / MANIFEST).read_text())
    for key, value in values.items():
        document[element][key] = value
    (folder / MANIFEST).write_text(tomlkit.dumps(document))


def test_manifest_lists_what_the_headers_say(folder):
    entries = read_manifest(folder)
    assert sorted(entries) == ["Al", "B"]
    assert entries["Al"].file == "Al one.UPF"
    assert entries["Al"].sha256 == sha256((folder / "Al one.UPF").read_bytes()).hexdigest()
    assert (entries["B"].functional, entries["B"].ecutwfc_Ry, entries["B"].ecutrho_Ry) == ("PBE", 45.0, 180.0)


def test_a_folder_gives_its_files(folder, tmp_path):
    found = find_pseudopotentials(["B", "Al", "B"], folder)
    assert list(found) == ["B", "Al"]
    assert [(p.ecutwfc_Ry, p.ecutrho_Ry, p.valence, p.provider) for p in found.values()] == [
        (45.0, 180.0, 3.0, "directory"),
        (30.0, 150.0, 3.0, "directory"),
    ]
    assert not any(p.lower_confidence or p.remarks for p in found.values())
    written = [p.write(tmp_path / "run") for p in found.values()]
    assert [path.name for path in written] == ["B_b_ours.upf", "Al_one.UPF"]
    assert written[1].read_bytes() == (folder / "Al one.UPF").read_bytes()
    assert found["Al"].used().model_dump() == {
        "element": "Al",
        "file": "Al one.UPF",
        "sha256": sha256(written[1].read_bytes()).hexdigest(),
        "functional": "PBE",
        "provider": "directory",
        "ecutwfc_Ry": 30.0,
        "ecutrho_Ry": 150.0,
        "lower_confidence": False,
    }
    assert "PP_HEADER" not in repr(found["Al"])


def test_sssp_table_gives_cutoffs_and_decides_between_files(folder):
    (folder / "Al.new.UPF").write_bytes(upf_2("Al", kind="US", ecutwfc=20, ecutrho=80))
    with pytest.raises(VerificationError, match=r"several files.*Al \(Al one.UPF, Al.new.UPF\)"):
        make_manifest(folder)
    row = {"filename": "Al.new.UPF", "cutoff_wfc": 35, "cutoff_rho": 280, "pseudopotential": "by hand"}
    row["md5"] = md5((folder / "Al.new.UPF").read_bytes(), usedforsecurity=False).hexdigest()
    (folder / "SSSP.json").write_text(json.dumps({"Al": row, "Ne": {**row, "filename": "Ne.upf"}}))
    make_manifest(folder)
    found = find_pseudopotentials(["Al", "B"], folder)
    assert (found["Al"].file, found["Al"].ecutwfc_Ry, found["Al"].ecutrho_Ry) == ("Al.new.UPF", 35.0, 280.0)
    assert found["Al"].remarks[0].startswith("Al: US pseudopotential")
    assert found["B"].ecutwfc_Ry == 45.0
    (folder / "SSSP.json").write_text(json.dumps({"Al": {**row, "md5": "0" * 32}}))
    with pytest.raises(VerificationError, match=r"Al\.new\.UPF is not the file of the SSSP table"):
        make_manifest(folder)


def test_hints_of_pseudodojo_are_in_hartree(folder):
    report = {"symbol": "Al", "hints": {"low": {"ecut": 16}, "normal": {"ecut": 20}, "high": {"ecut": 26}}}
    (folder / MANIFEST).unlink()
    (folder / "Al one.djrepo").write_text(json.dumps(report))
    make_manifest(folder)
    assert (read_manifest(folder)["Al"].ecutwfc_Ry, read_manifest(folder)["Al"].ecutrho_Ry) == (52.0, 208.0)
    (folder / MANIFEST).unlink()
    make_manifest(folder, hint="low")
    assert read_manifest(folder)["Al"].ecutwfc_Ry == 32.0


def test_unknown_cutoffs_are_asked_for_and_kept_when_given(folder):
    (folder / "Mg.UPF").write_bytes(upf_2("Mg"))
    (folder / "Nb.gth").write_bytes(gth("Nb"))
    make_manifest(folder)
    with pytest.raises(
        VerificationError, match=r"no cut-off for Mg, Nb; add `ecutwfc_Ry = \.\.\.` below \[Mg\], \[Nb\]"
    ):
        find_pseudopotentials(["Mg", "Al", "Nb"], folder)
    edit(folder, "Mg", ecutwfc_Ry=50.0)
    make_manifest(folder)  # what a person wrote stays while the file stays
    (mg,) = find_pseudopotentials(["Mg"], folder).values()
    assert (mg.ecutwfc_Ry, mg.ecutrho_Ry) == (50.0, 200.0)
    (folder / "Mg.UPF").write_bytes(upf_2("Mg", extra='date="later"'))
    make_manifest(folder)
    assert read_manifest(folder)["Mg"].ecutwfc_Ry is None


def test_density_cutoff_of_an_ultrasoft_file_by_default(folder):
    (folder / "Al one.UPF").write_bytes(upf_2("Al", kind="PAW"))
    make_manifest(folder)
    edit(folder, "Al", ecutwfc_Ry=40)
    (al,) = find_pseudopotentials(["Al"], folder).values()
    assert al.ecutrho_Ry == density_cutoff("PAW", 40.0) == 320.0
    assert len(al.remarks) == 2


def test_a_changed_file_is_refused(folder):
    (folder / "Al one.UPF").write_bytes(upf_2("Al", ecutwfc=30, ecutrho=151))
    with pytest.raises(VerificationError, match=r"Al one\.UPF is not the file that pseudos\.toml lists for Al"):
        find_pseudopotentials(["Al"], folder)
    assert find_pseudopotentials(["B"], folder)["B"].file == "b_ours.upf"


def test_mixed_functionals_are_refused_only_where_they_meet(folder):
    (folder / "Mg.UPF").write_bytes(upf_1("Mg", functional=LDA_1, ecutwfc=32))
    make_manifest(folder)
    with pytest.raises(VerificationError, match=r"mixes functionals \(Mg LDA, B PBE\)"):
        find_pseudopotentials(["Mg", "B"], folder)
    assert find_pseudopotentials(["Mg"], folder)["Mg"].functional == "LDA"
    with pytest.raises(VerificationError, match="for LDA, not for PBE"):
        find_pseudopotentials(["Mg"], folder, "PBE")


def test_all_missing_elements_are_named(folder):
    with pytest.raises(VerificationError, match=r"no pseudopotential of Nb, Ti; .*onnes pseudos"):
        find_pseudopotentials(["Nb", "Al", "Ti"], folder)


@pytest.mark.parametrize("name", ["../outside.UPF", "/etc/outside.UPF", "sub/inside.UPF", "..", "a\\b.UPF"])
def test_a_manifest_names_no_path(folder, name):
    (folder.parent / "outside.UPF").write_bytes((folder / "Al one.UPF").read_bytes())
    edit(folder, "Al", file=name)
    with pytest.raises(VerificationError, match=r"\[Al\] cannot be used: file"):
        find_pseudopotentials(["Al"], folder)


def test_a_manifest_that_contradicts_the_file(folder):
    edit(folder, "Al", functional="LDA")
    with pytest.raises(VerificationError, match="but the file is for Al and PBE"):
        find_pseudopotentials(["Al"], folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[Al", "cannot be read"),
        ('[Al]\nfile = "Al.UPF"', "sha256: Field required"),
        (f'[Al]\nfile = "Al.UPF"\nsha256 = "{"0" * 64}"\nfunctional = "BLYP"', "functional: Input should be"),
        (f'[Al]\nfile = "Al.UPF"\nsha256 = "{"0" * 64}"\nfunctional = "PBE"\necutwfc_Ry = -3', "ecutwfc_Ry"),
    ],
)
def test_manifests_that_cannot_be_used(folder, text, message):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(VerificationError, match=message):
        find_pseudopotentials(["Al"], folder)


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(VerificationError, match="onnes pseudos"):
        find_pseudopotentials(["Al"], tmp_path)
    with pytest.raises(VerificationError, match="is no folder"):
        find_pseudopotentials(["Al"], tmp_path / "none")
    with pytest.raises(VerificationError, match="has no pseudopotentials"):
        make_manifest(tmp_path)
    (tmp_path / "H.UPF").write_bytes(upf_2("H", functional="SLA B88 LYP BLYP"))
    with pytest.raises(VerificationError, match=r"H\.UPF: .* for the functional SLA B88 LYP BLYP cannot be used"):
        make_manifest(tmp_path)


# without a folder -----------------------------------------------------------------------------------------------------

GTH = """\
Al GTH-PBE-q3 GTH-PBE
 2 1
 0.45 1 -7.5
 0
Al GTH-PADE-q3 GTH-LDA-q3 GTH-PADE GTH-LDA
 2 1
 0.46 1 -7.6
 0
Nb GTH-PBE-q13 GTH-PBE
 3 6 4
 0.46 1 11.0
 0
Mg GTH-PBE-q10 GTH-PBE
 4 6
 0.19 1 -20.0
 0
Mg GTH-PBE-q2
 2
 0.58 1 -2.7
 0
Be GTH-PBE-q4 GTH-PBE
 4
 0.32 1 -20.0
 0
Pm GTH-PBE-q15 GTH-PBE
 4 6 5
 0.55 1 15.0
 0
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a folder as of quantum-espresso-data, beside a folder of GTH tables; nothing else is to be found."""
    place = tmp_path / "espresso"
    place.mkdir()
    (place / "Al.pz-vbc.UPF").write_bytes(upf_2("Al", functional=LDA_2))
    (place / "Mg.pz-n-vbc.UPF").write_bytes(upf_1("Mg", functional=LDA_1))
    (tmp_path / "GTH_POTENTIALS").write_text(GTH)
    monkeypatch.setattr(gth_room, "_CP2K_FILES", ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ESPRESSO_PSEUDO", str(place))
    return place


def test_by_default_everything_is_gth_for_pbe(installed):
    found = find_pseudopotentials(["Nb", "Al"])
    table = load_cutoffs()
    for element, pseudo in found.items():
        assert (pseudo.provider, pseudo.functional, pseudo.lower_confidence) == ("gth", "PBE", True)
        assert pseudo.file == f"{element}.{table[element].name}.gth"
        assert pseudo.text == read_gth(element).as_psp10().encode()
        assert pseudo.ecutwfc_Ry == table[element].structural_Ry
        assert pseudo.ecutrho_Ry == 4 * pseudo.ecutwfc_Ry
    assert (
        find_pseudopotentials(["Nb"], level="dos")["Nb"].ecutwfc_Ry
        == table["Nb"].electronic_Ry
        < table["Nb"].structural_Ry
    )


def test_entry_that_was_found_soft_enough_replaces_the_default_one(installed):
    (mg,) = find_pseudopotentials(["Mg"]).values()
    assert (mg.file, mg.valence) == ("Mg.GTH-PBE-q2.gth", 2.0)


def test_lda_takes_the_packaged_files_where_they_cover_the_crystal(installed, tmp_path):
    found = find_pseudopotentials(["Mg", "Al"], functional="LDA")
    assert [(p.provider, p.functional, p.file) for p in found.values()] == [
        ("debian", "LDA", "Mg.pz-n-vbc.UPF"),
        ("debian", "LDA", "Al.pz-vbc.UPF"),
    ]
    (installed / "Mg.pz-n-vbc.UPF").unlink()
    with pytest.raises(VerificationError, match="GTH-PADE pseudopotential of Mg"):
        find_pseudopotentials(["Mg", "Al"], functional="LDA")
    (al,) = find_pseudopotentials(["Al"], functional="LDA", debian=tmp_path / "none").values()
    assert (al.provider, al.functional, al.file) == ("gth", "LDA", "Al.GTH-PADE-q3.gth")
    assert "measured for the PBE" in al.remarks[0]


def test_a_packaged_file_of_another_kind_is_left_alone(installed):
    (installed / "Al.pz-vbc.UPF").write_bytes(upf_2("Al", functional=LDA_2, kind="US"))
    assert find_pseudopotentials(["Al"], functional="LDA")["Al"].provider == "gth"


def test_elements_that_no_provider_can_serve_are_all_named(installed):
    with pytest.raises(VerificationError) as caught:
        find_pseudopotentials(["Al", "Pu", "Pm"])
    for part in ("no GTH-PBE pseudopotential of Pu", "no cut-off was measured for", "of Pm", "onnes pseudos"):
        assert part in str(caught.value)
    with pytest.raises(VerificationError, match="no pseudopotentials for PBEsol"):
        find_pseudopotentials(["Al"], functional="PBEsol")


def test_nothing_is_installed(installed, monkeypatch, tmp_path):
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path / "none"))
    with pytest.raises(VerificationError, match="cp2k-data"):
        find_pseudopotentials(["Al"])


# installed data -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="quantum-espresso-data is not installed")
def test_files_of_the_package_are_what_the_table_takes_them_for():
    found = find_pseudopotentials(["Mg", "B", "Al", "H", "Si"], functional="LDA")
    assert {p.provider for p in found.values()} == {"debian"}
    assert [p.valence for p in found.values()] == [2, 3, 3, 1, 4]
    files = [path for path in DEBIAN.iterdir() if path.suffix.lower() == ".upf"]
    assert all(read_header(path).valence > 0 for path in files)


def _gth_installed() -> bool:
    try:
        return gth_tables().is_file()
    except VerificationError:
        return False


@pytest.mark.dft
@pytest.mark.skipif(shutil.which("pw.x") is None, reason="pw.x is not installed")
@pytest.mark.skipif(not _gth_installed(), reason="no GTH tables are installed")
def test_aluminium_converges_with_the_gth_file_near_its_equilibrium(tmp_path):
    (al,) = find_pseudopotentials(["Al"]).values()
    path = al.write(tmp_path)
    # a = 7.63 bohr is close to the lattice constant of aluminium in PBE, so the pressure is small
    text = f"""&control
  calculation='scf', prefix='al', outdir='./out', pseudo_dir='.', tstress=.true., disk_io='none'
/
&system
  ibrav=2, celldm(1)=7.63, nat=1, ntyp=1, ecutwfc={al.ecutwfc_Ry}, ecutrho={al.ecutrho_Ry}
  occupations='smearing', smearing='mv', degauss=0.02
/
&electrons
  conv_thr=1e-8
/
ATOMIC_SPECIES
Al 26.98 {path.name}
ATOMIC_POSITIONS alat
Al 0 0 0
K_POINTS automatic
12 12 12 0 0 0
"""
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(
        ["pw.x"], input=text, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "convergence has been achieved" in done.stdout
    assert f"Zval =    {al.valence:.1f}" in done.stdout or f"{al.valence:.2f}" in done.stdout
    pressure = float(done.stdout.split("P=")[-1].split()[0])
    assert abs(pressure) < 15  # kbar
