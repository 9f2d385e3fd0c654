import xml.etree.ElementTree as ET

import numpy as np
import pytest

from onnes.errors import VerificationError
from onnes.verify.pw_output import read_pw
from tests.verify.replay import AL, BOHR_A, XML

TEXT = XML.read_text()


def changed(tmp_path, old, new):
    assert old in TEXT
    path = tmp_path / "changed.xml"
    path.write_text(TEXT.replace(old, new))
    return path


def test_the_recorded_run() -> None:
    result = read_pw(XML)
    assert result.lattice == pytest.approx(AL.lattice, abs=1e-8)
    assert result.frac_coords == pytest.approx(np.zeros((1, 3)))
    assert result.atomic_numbers.tolist() == [13]
    assert result.energy_eV == pytest.approx(-4.186 * 13.6057, rel=2e-3)
    assert result.n_electrons == 3
    assert result.fermi_eV == pytest.approx(8.3, abs=0.3)
    # -(-4.895e-5) hartree/bohr^3
    assert result.pressure_GPa == pytest.approx(4.895098767276544e-5 * 29421.0157, rel=1e-4)
    assert result.eigenvalues_eV.shape == (29, 6)
    assert result.weights.sum() == pytest.approx(1)
    assert (np.diff(result.eigenvalues_eV, axis=1) > -1e-6).all()
    # nearly free electrons: from the bottom to W = (1, 1/2, 0) 2 pi / a it rises by h^2 k^2 / 2m, a little less
    free = 0.5 * 1.25 * (2 * np.pi / 7.5) ** 2 * 27.2114
    bottom = result.eigenvalues_eV.min()
    lowest = result.eigenvalues_eV[:, 0].max() - bottom
    assert 0.7 * free < lowest < free
    assert len(result.atoms) == 1
    assert result.atoms.cell.volume == pytest.approx((7.5 * BOHR_A) ** 3 / 4)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off(tmp_path, part) -> None:
    path = tmp_path / "cut.xml"
    path.write_text(TEXT[: int(part * len(TEXT))])
    with pytest.raises(VerificationError, match="is not whole"):
        read_pw(path)


def test_a_missing_file(tmp_path) -> None:
    with pytest.raises(VerificationError, match="is missing"):
        read_pw(tmp_path / "none.xml")


@pytest.mark.parametrize("gone", ["band_structure", "atomic_structure", "total_energy"])
def test_a_missing_part(tmp_path, gone) -> None:
    tree = ET.parse(XML)
    output = tree.getroot().find("output")
    output.remove(output.find(gone))
    tree.write(tmp_path / "part.xml")
    with pytest.raises(VerificationError, match="is not whole"):
        read_pw(tmp_path / "part.xml")


def test_a_density_that_did_not_converge(tmp_path) -> None:
    old = "<convergence_achieved>true</convergence_achieved>"
    path = changed(tmp_path, old, old.replace("true", "false"))
    with pytest.raises(VerificationError, match="has not converged"):
        read_pw(path)
    result = read_pw(path, self_consistent=False)
    assert result.energy_eV is None
    assert len(result.eigenvalues_eV) == 29


def test_eigenvalues_that_are_no_numbers(tmp_path) -> None:
    path = changed(tmp_path, '<eigenvalues size="6">\n', '<eigenvalues size="6">\n ******** ')
    with pytest.raises(VerificationError, match="is not whole"):
        read_pw(path)
