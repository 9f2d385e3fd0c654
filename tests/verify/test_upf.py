import pytest

from onnes.errors import VerificationError
from onnes.verify.upf import PseudopotentialHeader, functional_name, parse_header
from tests.verify.samples import gth, upf_1, upf_2


def test_version_2():
    header = parse_header(upf_2("Al", ecutwfc=30, ecutrho=150), "Al.UPF")
    assert header == PseudopotentialHeader("Al", "NC", "PBE", 3.0, 30.0, 150.0)


def test_version_2_on_several_lines_with_odd_comments():
    text = (
        upf_2("Al", ecutwfc=30, ecutrho=150)
        .decode()
        .replace(' comment=""', '\n comment="cut > 20 & < 40"')
        .replace('" ', '"\n  ')
    )
    assert parse_header(text.encode(), "Al.UPF") == PseudopotentialHeader("Al", "NC", "PBE", 3.0, 30.0, 150.0)


def test_version_1():
    header = parse_header(upf_1("Mg", functional="SLA  PZ   NOGX NOGC   PZ  ", ecutwfc=20, ecutrho=90), "Mg.upf")
    assert header == PseudopotentialHeader("Mg", "NC", "LDA", 2.0, 20.0, 90.0)


def test_types_and_relativity():
    assert parse_header(upf_2("Al", kind="US"), "Al.UPF").kind == "US"
    assert parse_header(upf_2("Al", kind="US", extra='is_paw="true"'), "Al.UPF").kind == "PAW"
    assert parse_header(upf_2("Al", kind="SL"), "Al.UPF").kind == "NC"
    assert not parse_header(upf_1("Al"), "Al.UPF").fully_relativistic
    assert parse_header(upf_1("Al") + b"<PP_ADDINFO>\n</PP_ADDINFO>\n", "Al.UPF").fully_relativistic
    assert parse_header(upf_2("Al", extra='has_so=".true."'), "Al.UPF").fully_relativistic


def test_a_density_cutoff_without_the_other_is_a_radius_and_counts_for_nothing():
    header = parse_header(upf_2("Al", ecutwfc=0, ecutrho=6.01), "Al.upf")
    assert (header.ecutwfc_Ry, header.ecutrho_Ry) == (None, None)


def test_a_density_cutoff_that_is_too_small_is_replaced():
    assert parse_header(upf_2("Al", ecutwfc=40, ecutrho=6.01), "Al.upf").ecutrho_Ry == 160
    assert parse_header(upf_2("Al", kind="PAW", ecutwfc=40, ecutrho=0), "Al.upf").ecutrho_Ry == 320


def test_gth():
    assert parse_header(gth("Al"), "Al.gth") == PseudopotentialHeader("Al", "NC", "PBE", 3.0)
    assert parse_header(gth("Al", code=1), "Al.gth").functional == "LDA"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("PBE", "PBE"),
        ("PBESOL", "PBEsol"),
        ("SLA-PW-PSX-PSC", "PBEsol"),
        ("SLA+PW+PBE+PBE", "PBE"),
        ("SLA PW NOGX NOGC", "LDA"),
        ("sla b88 lyp blyp", "SLA B88 LYP BLYP"),
    ],
)
def test_functionals(words, name):
    assert functional_name(words) == name


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"nothing", "Al.UPF", "no PP_HEADER"),
        (upf_2("Al").replace(b"z_valence", b"valence"), "Al.UPF", "z_valence"),
        (upf_2("Al").replace(b'z_valence="3.0"', b'z_valence="three"'), "Al.UPF", "could not convert"),
        (upf_2("Qq"), "Qq.UPF", "no pseudopotential of an element"),
        (upf_1("Al")[:80], "Al.UPF", "cannot be read"),
        (gth("Al").replace(b"\n10 ", b"\n3 "), "Al.gth", "pspcod 3"),
        (b"", "Al.gth", "cannot be read"),
    ],
)
def test_files_that_cannot_be_used(content, name, message):
    with pytest.raises(VerificationError, match=message):
        parse_header(content, name)
