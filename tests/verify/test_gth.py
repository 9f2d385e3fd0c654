import re
from pathlib import Path

import pytest
from ase.data import chemical_symbols

from onnes.errors import VerificationError
from onnes.verify import gth as gth_room
from onnes.verify.gth import gth_entries, gth_tables, read_gth

# invented numbers in CP2K's layout: no channel, one channel, three channels of 3, 2 and 1 projectors, an empty channel
TABLES = """\
# a comment
H GTH-PBE-q1 GTH-PBE
    1
     0.25000000    2    -4.00000000     0.50000000
    0
#
Li GTH-PBE-q1
    1    0    0
     0.70000000    1    -1.50000000
    1
     0.80000000    1     1.25000000
Li GTH-PBE-q3 GTH-PBE
    3    # comment after numbers
     0.40000000    0
    1
     0.30000000    1     2.25000000
Li GTH-PADE-q3 GTH-LDA-q3 GTH-PADE GTH-LDA
    3
     0.41000000    0
    1
     0.31000000    1     2.35000000
#
Nb GTH-PBE-q13 GTH-PBE
    3    6    4
     0.46000000    2    11.00000000     1.50000000
    3
     0.35000000    3     3.10000000     1.20000000    -0.30000000
                                       -2.20000000     0.70000000
                                                      -0.90000000
     0.40000000    2     1.60000000     0.40000000
                                       -1.10000000
     0.42000000    1    -5.30000000
O GTH-PBE-q6 GTH-PBE
    2    4
     0.24000000    2   -16.00000000     2.40000000
    2
     0.22000000    1    18.00000000
     0.26000000    0
Xe GTH-PBE-q8 GTH-PBE
    2    6
     0.56000000    1     6.00000000
    1
     0.50000000    2     3.00000000     1.00000000
Kr GTH-PBE-q8 GTH-PBE
    2    6
     0.56000000    1     many
    0
"""
FIRST = {
    "H": "GTH-PBE-q1 H\n1 1 000000\n10 11 0 1 2001 0\n0.25 2 -4.0 0.5\n1\n0.2 0\n",
    "Li": "GTH-PBE-q3 Li\n3 3 000000\n10 11 0 1 2001 0\n0.4 0\n1\n0.3 1 2.25\n",
    "O": "GTH-PBE-q6 O\n8 6 000000\n10 11 1 2 2001 0\n0.24 2 -16.0 2.4\n2\n0.22 1 18.0\n0.26 0\n",
}
NIOBIUM = """\
GTH-PBE-q13 Nb
41 13 000000
10 11 2 3 2001 0
0.46 2 11.0 1.5
3
0.35 3 3.1 1.2 -0.3
-2.2 0.7
-0.9
0.4 2 1.6 0.4
-1.1
0.0 0.0
0.0
0.42 1 -5.3
0.0
"""


@pytest.fixture
def tables(tmp_path):
    path = tmp_path / "GTH_POTENTIALS"
    path.write_text(TABLES)
    return path


@pytest.mark.parametrize("symbol", FIRST)
def test_layouts_of_few_channels(tables, symbol):
    assert read_gth(symbol, tables=tables).as_psp10() == FIRST[symbol]


def test_triangles_and_spin_orbit_blocks_of_three_channels(tables):
    potential = read_gth("Nb", tables=tables)
    assert potential.valence == 13
    assert potential.channels[0] == (0.35, ((3.1, 1.2, -0.3), (-2.2, 0.7), (-0.9,)))
    assert potential.as_psp10() == NIOBIUM


def test_families_and_entries(tables):
    assert gth_entries("Li", tables=tables) == ("GTH-PBE-q3", "GTH-PBE-q1")  # the default one first
    assert read_gth("Li", tables=tables, name="GTH-PBE-q1").valence == 1
    lda = read_gth("Li", "PADE", tables)
    assert lda.r_loc == 0.41
    assert lda.as_psp10().splitlines()[2].split()[1] == "1"  # ABINIT's code of the functional


def test_layout_of_pyscf(tmp_path):
    path = tmp_path / "gth-pbe.dat"
    path.write_text(
        re.sub(r"^(?=[A-Z][a-z]? GTH)", "#PSEUDOPOTENTIAL\n", TABLES.replace("#\n", ""), flags=re.MULTILINE)
    )
    assert "#PSEUDOPOTENTIAL\nNb" in path.read_text()
    assert read_gth("Nb", tables=path).as_psp10() == NIOBIUM


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("Xe", "a channel of 2 projectors needs 3 coefficients"),
        ("Kr", "could not convert"),
        ("Pu", "has no GTH-PBE pseudopotential of Pu"),
    ],
)
def test_entries_that_cannot_be_used(tables, symbol, message):
    with pytest.raises(VerificationError, match=message):
        read_gth(symbol, tables=tables)


def test_unknown_names(tables):
    with pytest.raises(VerificationError, match=r"no entry GTH-PBE-q2 of Li, only GTH-PBE-q3, GTH-PBE-q1"):
        read_gth("Li", tables=tables, name="GTH-PBE-q2")
    with pytest.raises(VerificationError, match="no family"):
        read_gth("Li", "SCAN", tables)


def test_tables_are_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("CP2K_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(gth_room, "_CP2K_FILES", ())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(VerificationError, match="cp2k-data"):
        gth_tables()
    with pytest.raises(VerificationError, match="cannot be read"):
        read_gth("H", tables=tmp_path / "none")


def test_tables_of_the_environment_come_first(monkeypatch, tables):
    monkeypatch.setenv("CP2K_DATA_DIR", str(tables.parent))
    assert gth_tables() == tables


def _installed() -> Path | None:
    try:
        return gth_tables()
    except VerificationError:
        return None


@pytest.mark.skipif(_installed() is None, reason="no GTH tables installed (cp2k-data or pyscf)")
def test_every_element_up_to_radon_of_the_installed_tables_converts():
    for charge, symbol in enumerate(chemical_symbols[1:87], start=1):
        for name in gth_entries(symbol):
            potential = read_gth(symbol, name=name)
            assert name.endswith(f"-q{potential.valence}")
            lines = [[float(word) for word in line.split()] for line in potential.as_psp10().splitlines()[1:]]
            assert lines[0][:2] == [charge, potential.valence]
            assert lines[3] == [max(len(potential.channels), 1)]
            assert lines[1][3] == lines[3][0] == lines[1][2] + 1
            expected = sum(
                max(len(rows), 1) + (len(rows) if l else 0) for l, (_, rows) in enumerate(potential.channels)
            )
            assert len(lines) == 4 + max(expected, 1)
