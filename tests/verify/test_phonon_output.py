"""Reading of what ph.x leaves, on recorded outputs."""

import numpy as np
import pytest
from scipy import constants

from onnes.errors import VerificationError
from onnes.verify.phonon_output import THZ_PER_RY, read_q_list, read_qpoint, signed_THz
from tests.verify.recordings import RECORDED, files, recorded

PER_CM = 1e10 / constants.c  # 1/cm in one THz
HALF = (
    0.35355339  # 1/4 in units of the cubic lattice constant, in 2 pi / alat of the primitive cell: the L point of fcc
)


def test_unit() -> None:
    assert pytest.approx(3289.842, abs=1e-3) == THZ_PER_RY
    assert signed_THz(np.array([-1.0, 4.0])).tolist() == [-THZ_PER_RY, 2 * THZ_PER_RY]


def test_fcc_aluminium_at_l() -> None:
    grid, points = recorded("al2")
    assert grid == (2, 2, 2)
    point = points[1]
    assert np.abs(np.abs(point.q) - HALF).max() < 1e-6
    assert point.weight == 4
    assert point.star.shape == (4, 3)
    # 149 (twice) and 323 1/cm: our runs of other settings, see the table in README.md; neutron scattering has 143 and 324
    assert point.frequencies_THz * PER_CM == pytest.approx([149, 149, 323], rel=0.05)
    assert point.symmetries == ("E_u", "E_u", "A_2u")
    assert point.sigmas_Ry == pytest.approx(0.005 * np.arange(1, 11))
    # read off the file by eye
    assert point.dos[[0, -1]].tolist() == [1.338511, 2.589584]
    assert point.fermi_eV[[0, -1]].tolist() == [8.321652, 8.291428]
    assert point.lambdas[4].tolist() == [0.0817, 0.0791, 0.1359]
    assert point.gammas_GHz[4].tolist() == [3.62, 3.50, 28.28]


def test_lambda_is_the_linewidth_over_pi_n_omega2() -> None:
    """gamma = pi N(E_F) omega^2 lambda in Rydberg units: the columns are what they are taken for."""
    _, points = recorded("mgb2")
    for point in points:
        gamma = np.pi * point.dos[:, None] * point.omega2_Ry2 * point.lambdas * THZ_PER_RY * 1e3
        error = 0.5e-2 + np.pi * point.dos[:, None] * point.omega2_Ry2 * 0.5e-4 * THZ_PER_RY * 1e3
        clear = np.abs(point.frequencies_THz) * PER_CM > 20  # below, ph.x writes 0
        assert (np.abs(gamma - point.gammas_GHz)[:, clear] < 1.01 * error[:, clear]).all()


@pytest.mark.parametrize(
    ("name", "weights"), [("al2", [1, 4, 3]), ("al4", [1, 8, 4, 6, 24, 12, 3, 6]), ("mgb2", [1, 1, 3, 3])]
)
def test_stars_make_up_the_grid(name, weights) -> None:
    grid, points = recorded(name)
    assert [point.weight for point in points] == weights
    assert sum(weights) == np.prod(grid)
    assert [point.is_gamma for point in points] == [True] + [False] * (len(points) - 1)
    for point in points:
        assert np.abs(point.star - point.q).sum(1).min() < 1e-6


def test_nine_modes_on_two_lines() -> None:
    _, points = recorded("mgb2")
    gamma = points[0]
    assert len(gamma.omega2_Ry2) == len(gamma.frequencies_THz) == gamma.lambdas.shape[1] == 9
    assert gamma.symmetries == ("A_2u", "E_1u", "E_1u", "E_1u", "E_1u", "A_2u", "E_2g", "E_2g", "B_1g")
    assert gamma.is_acoustic.tolist() == [True] * 3 + [False] * 6
    assert not points[1].is_acoustic.any()


def test_negative_lambda_of_imaginary_modes_is_kept() -> None:
    _, points = recorded("sc2")
    point = points[2]
    assert point.frequencies_THz[0] == pytest.approx(-5.09427)
    assert point.omega2_Ry2[0] < 0
    assert point.lambdas[4].tolist() == [-0.0064, 0.1664, 0.1665]
    assert point.is_unstable.tolist() == [True, False, False]
    assert not points[0].is_unstable.any()


def replaced(tmp_path, name, i, *, output=(), elph=()):
    """Copies of recorded files with text replaced."""
    paths = []
    for path, changes in zip(files(name, i), (output, elph), strict=True):
        text = path.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        paths.append(tmp_path / path.name)
        paths[-1].write_text(text)
    return paths


def test_star_with_a_half_of_minus_q(tmp_path) -> None:
    """A crystal without inversion: the star has 8 points, though only 4 are counted in its heading."""
    text = (RECORDED / "no_inversion" / "ph2.out").read_text()
    half = text[text.index("     In addition there is the -q list") : text.index("     Diagonalizing")]
    _, points = recorded("al4")
    output, elph = replaced(
        tmp_path, "al4", 3, output=[("\n\n     Diagonalizing", "\n" + half + "\n     Diagonalizing")]
    )
    assert points[2].weight == 4
    assert read_qpoint(output, elph).weight == 8


@pytest.mark.parametrize(
    ("name", "what"), [("killed", "no electron-phonon coupling"), ("unconverged", "did not converge")]
)
def test_failed_runs(name, what) -> None:
    """The second printed JOB DONE."""
    output = RECORDED / "incomplete" / f"{name}.out"
    assert ("JOB DONE" in output.read_text()) == (name == "unconverged")
    with pytest.raises(VerificationError, match=what) as caught:
        read_qpoint(output, files("al4", 5)[1])
    assert "run this q point again" in str(caught.value)


@pytest.mark.parametrize("which", [0, 1])
def test_cut_off_anywhere(tmp_path, which) -> None:
    whole = files("al2", 2)
    paths = [tmp_path / path.name for path in whole]
    text = [path.read_text() for path in whole]
    ends = range(0, len(text[which].rstrip()) - 20, 211)
    for end in ends:
        for path, content in zip(paths, text, strict=True):
            path.write_text(content)
        paths[which].write_text(text[which][:end])
        with pytest.raises(VerificationError):
            read_qpoint(*paths)
    assert len(ends) > 10


def test_missing_files(tmp_path) -> None:
    with pytest.raises(VerificationError, match=r"ph1.out cannot be read"):
        read_qpoint(tmp_path / "ph1.out", files("al2", 1)[1])
    with pytest.raises(VerificationError, match=r"elph.inp_lambda.1 cannot be read"):
        read_qpoint(files("al2", 1)[0], tmp_path / "elph.inp_lambda.1")
    with pytest.raises(VerificationError, match=r"x.dyn0 cannot be read"):
        read_q_list(tmp_path / "x.dyn0")


@pytest.mark.parametrize(
    ("output", "elph", "what"),
    [
        ([], [("0.183921E-05  0.183921E-05", "0.183921E-05  0.193921E-05")], "frequencies differ"),
        ([], [("0.1359", "0.1459")], "lambdas differ"),
        ([("0.1359", "0.1459")], [], "lambdas differ"),
        ([], [("8.317738", "8.417738")], "fermi differ"),
        ([], [("-0.353553     -0.353553      0.353553", "-0.353553     -0.353553     -0.353553")], "q is"),
        ([], [("10     3", "11     3")], "10 of 11 smearings"),
        ([], [("10     3", "10     6")], "3 of 6 squared frequencies"),
        ([("   JOB DONE.", "")], [], "JOB DONE is missing"),
    ],
)
def test_files_that_do_not_fit(tmp_path, output, elph, what) -> None:
    with pytest.raises(VerificationError, match=what):
        read_qpoint(*replaced(tmp_path, "al2", 2, output=output, elph=elph))


def test_file_of_another_q_point() -> None:
    with pytest.raises(VerificationError, match="different runs"):
        read_qpoint(files("al2", 2)[0], files("al2", 3)[1])


def test_two_q_points_in_one_output(tmp_path) -> None:
    both = tmp_path / "both.out"
    both.write_text(files("al2", 2)[0].read_text() + files("al2", 3)[0].read_text())
    with pytest.raises(VerificationError, match="holds 2 q points"):
        read_qpoint(both, files("al2", 2)[1])


def test_number_that_does_not_fit_its_column(tmp_path) -> None:
    changes = [("0.1359", "********")]
    point = read_qpoint(*replaced(tmp_path, "al2", 2, output=changes, elph=changes))
    assert np.isnan(point.lambdas[4, 2])
    assert np.isfinite(point.lambdas).sum() == 29


@pytest.mark.parametrize(
    "text", ["", "   2   2   2\n", "   2   2   2\n   3\n 0.0 0.0 0.0\n", "   2   2   0\n   1\n 0. 0. 0.\n"]
)
def test_list_of_q_points_that_is_not_whole(tmp_path, text) -> None:
    path = tmp_path / "x.dyn0"
    path.write_text(text)
    with pytest.raises(VerificationError, match=r"x\.dyn0"):
        read_q_list(path)


def test_list_of_q_points() -> None:
    grid, q_list = read_q_list(RECORDED / "al4" / "x.dyn0")
    assert grid == (4, 4, 4)
    assert len(q_list) == 8
    assert q_list[3] == pytest.approx((HALF, 0.0, 0.0), abs=1e-8)
    assert [point.q for point in recorded("al4")[1]] == [pytest.approx(q, abs=1e-6) for q in q_list]
