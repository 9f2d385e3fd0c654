import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from onnes.campaign.powder_lines import expected_pattern, lines_of_others
from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError
from onnes.physics.diffraction import reflections

COPPER_A = 1.54184


def test_lines_obey_braggs_law_in_the_conventional_cell():
    pattern = expected_pattern(known_crystal("Nb", primitive=True))
    a = known_crystal("Nb").lattice.a
    assert pattern.lattice_A_deg == pytest.approx((a, a, a, 90, 90, 90))
    assert [peak.hkl for peak in pattern.peaks] == ["110", "200", "211", "220"]
    for peak in pattern.peaks:
        d = a / np.sqrt(sum(int(i) ** 2 for i in peak.hkl))
        assert peak.d_A == pytest.approx(d)
        assert peak.two_theta_deg == pytest.approx(2 * np.degrees(np.arcsin(COPPER_A / (2 * d))))
    assert max(peak.intensity for peak in pattern.peaks) == 100


def test_another_radiation_shows_the_same_planes():
    copper, molybdenum = (expected_pattern(known_crystal("V3Si"), radiation=name) for name in ("CuKa", "MoKa"))
    assert [peak.hkl for peak in molybdenum.peaks] == [peak.hkl for peak in copper.peaks]
    assert molybdenum.peaks[0].two_theta_deg < copper.peaks[0].two_theta_deg
    assert expected_pattern(known_crystal("V3Si"), radiation="0.4").wavelength_A == 0.4
    with pytest.raises(ConfigError, match="unknown radiation"):
        expected_pattern(known_crystal("V3Si"), radiation="sunlight")


def test_indices_of_hexagonal_and_rhombohedral_crystals_are_the_usual_ones():
    hexagonal = [peak.hkl for peak in expected_pattern(known_crystal("MgB2")).peaks]
    assert hexagonal == ["001", "100", "101", "002", "110", "102", "111", "200", "201", "112"]
    bismuth = Structure.from_spacegroup("R-3m", Lattice.hexagonal(4.546, 11.862), ["Bi"], [[0, 0, 0.234]])
    pattern = expected_pattern(bismuth)
    first = [peak.hkl for peak in pattern.peaks][:8]
    assert first == ["003", "101", "012", "104", "110", "015", "006", "113"]
    for peak in pattern.peaks:
        if len(peak.hkl) == 3:
            h, k, l = map(int, peak.hkl)
            assert (-h + k + l) % 3 == 0


def test_partly_occupied_sites_scatter_as_their_mean():
    def mixed(symbol_a, symbol_b, share):
        sites = [{symbol_a: share, symbol_b: 1 - share}, {"Cl": 1}]
        return Structure.from_spacegroup("Pm-3m", Lattice.cubic(4.0), sites, [[0, 0, 0], [0.5, 0.5, 0.5]])

    def odd_line(structure):
        pattern = expected_pattern(structure)
        return next(peak.intensity for peak in pattern.peaks if peak.hkl == "100")

    light, half, heavy = (odd_line(mixed("Cs", "Na", share)) for share in (0.0, 0.5, 1.0))
    assert light < half < heavy


def test_the_note_says_whose_lattice_constants():
    given = expected_pattern(known_crystal("Nb"))
    relaxed = expected_pattern(known_crystal("Nb"), geometry="sevennet-0")
    assert "as given" in given.source
    assert "sevennet-0" in relaxed.source
    # 1 % in the last line at 82.7 degrees: 2 tan(theta) / 100
    shift = np.degrees(2 * 0.01 * np.tan(np.radians(relaxed.peaks[-1].two_theta_deg / 2)))
    assert f"up to about {shift:.1f} degrees" in relaxed.note


def test_strongest_lines_come_by_angle():
    pattern = expected_pattern(known_crystal("V3Si"))
    kept = pattern.strongest(3)
    assert [peak.two_theta_deg for peak in kept] == sorted(peak.two_theta_deg for peak in kept)
    assert min(peak.intensity for peak in kept) == sorted(peak.intensity for peak in pattern.peaks)[-3]


def test_lines_of_other_phases():
    pattern = expected_pattern(known_crystal("Nb3Sn"))
    found = {p.formula: p for p in lines_of_others({"Nb": "precursor", "La": "x", "NbSn": "x", "C": "x"}, pattern)}
    niobium = found["Nb"]
    assert niobium.why == "precursor"
    assert niobium.source == "Wyckoff, Crystal Structures, vol. 1 (1963)"
    assert niobium.lines[0].hkl == "110"
    assert [line.intensity for line in niobium.lines] == sorted((x.intensity for x in niobium.lines), reverse=True)
    for missing in ("NbSn", "C", "La"):  # diamond is not what is weighed
        assert found[missing].lines == ()
        assert "--phase" in found[missing].source


@pytest.mark.parametrize("symbol", ["U", "Np", "La", "Pr", "Nd", "Sm", "Pu", "Ga", "Hg", "K", "Po", "Mn"])
def test_elements_of_other_structures_show_no_lines(symbol):
    (found,) = lines_of_others({symbol: "precursor"}, expected_pattern(known_crystal("Nb3Sn")))
    assert found.lines == ()


@pytest.mark.parametrize(
    ("symbol", "hkl", "d_A"),  # strongest line, by the lattice constants of room temperature
    [("Zr", "101", 2.459), ("V", "110", 2.141), ("Ge", "111", 3.266), ("Bi", "012", 3.28), ("Th", "111", 2.935)],
)
def test_elements_of_simple_structure_show_their_lines(symbol, hkl, d_A):
    (found,) = lines_of_others({symbol: "precursor"}, expected_pattern(known_crystal("Nb3Sn")))
    assert (found.lines[0].hkl, found.lines[0].d_A) == (hkl, pytest.approx(d_A, rel=0.01))


def test_a_line_under_one_of_the_crystal_is_marked():
    pattern = expected_pattern(known_crystal("Nb"))
    same = Structure(Lattice.cubic(3.302), ["Ta", "Ta"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    other = Structure(Lattice.cubic(4.2), ["Pd"], [[0, 0, 0]])
    near, far = lines_of_others({"Ta": "", "Pd": ""}, pattern, given=[(same, "mine"), (other, "mine")])
    assert not any(line.clear for line in near.lines)
    assert any(line.clear for line in far.lines)
    assert near.source == "mine"


def test_what_is_given_comes_before_what_is_published():
    pattern = expected_pattern(known_crystal("Nb3Sn"))
    swollen = known_crystal("Nb")
    swollen.scale_lattice(1.2 * swollen.volume)
    (given,) = lines_of_others({"Nb": ""}, pattern, given=[(swollen, "mine")])
    (published,) = lines_of_others({"Nb": ""}, pattern)
    assert given.lines[0].two_theta_deg < published.lines[0].two_theta_deg


def test_reflections_are_indexed_in_the_given_cell():
    conventional = [line.hkl for line in reflections(known_crystal("Nb"), two_theta_deg=(30, 45))]
    primitive = [line.hkl for line in reflections(known_crystal("Nb", primitive=True), two_theta_deg=(30, 45))]
    assert conventional == [((1, 1, 0),)]
    assert primitive != conventional
