"""Figures of a verification, from recorded runs and from small XML files made here."""

import numpy as np
import pytest
from ase.cell import Cell

from onnes.figure import save, svg_text
from onnes.physics.spectra import ALPHA2F_GRID_MEV
from onnes.verify.coupling import coupling_of
from onnes.verify.dos import dos_at
from onnes.verify.figure import alpha2f_figure, verification_figures
from onnes.verify.interpolated import interpolated_coupling
from onnes.verify.pw_output import BOHR_A, HARTREE_EV, read_pw
from onnes.verify.result import Verification
from onnes.verify.verdict import Verdict
from tests.verify.recordings import RECORDED, recorded

FCC = 2.0 * (1 - np.eye(3))
ALAT_BOHR = 4.0 / BOHR_A


def verification(**values):
    return Verification(
        **{"key": "k", "level": "final", "verdict": Verdict.SUPERCONDUCTOR, "formula": "Al", "n_atoms": 1, **values}
    )


def coupling(name, n_atoms=1):
    grid, points = recorded(name)
    return coupling_of(points, grid, n_atoms=n_atoms)


def xml(folder, name, cartesian, energies_eV, weights=None):
    """Write what `pw.x` would; wave vectors in 2 pi / alat."""
    weights = np.ones(len(cartesian)) if weights is None else weights
    rows = "".join(
        f"<ks_energies><k_point weight='{w}'>{' '.join(map(str, k))}</k_point>"
        f"<eigenvalues>{' '.join(str(e / HARTREE_EV) for e in bands)}</eigenvalues></ks_energies>"
        for k, bands, w in zip(cartesian, energies_eV, weights, strict=True)
    )
    cell = "".join(f"<a{i}>{' '.join(map(str, row / BOHR_A))}</a{i}>" for i, row in enumerate(FCC, 1))
    place = folder / "steps" / name
    place.mkdir(parents=True)
    (place / "data-file-schema.xml").write_text(
        f"<espresso><output><atomic_structure alat='{ALAT_BOHR}'><cell>{cell}</cell><atomic_positions>"
        f"<atom name='Al'>0 0 0</atom></atomic_positions></atomic_structure><band_structure><nelec>3</nelec>{rows}"
        "</band_structure></output></espresso>"
    )


def free_electrons(cartesian, n_bands=6):
    """Energies (eV) of electrons in an empty lattice."""
    shifts = np.array([[i, j, k] for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]) @ np.linalg.inv(FCC).T
    q = 2 * np.pi * (np.asarray(cartesian)[:, None] / (ALAT_BOHR * BOHR_A) + shifts)
    return np.sort(3.81 * (q**2).sum(-1))[:, :n_bands]


@pytest.fixture(scope="module")
def full():
    grid, points = recorded("al2")
    return verification(
        coupling=coupling("al4"),
        coarse_coupling=coupling_of(points, grid, n_atoms=1),
        interpolated_coupling=interpolated_coupling(RECORDED / "al2", grid),
    )


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}


def test_lambda_against_smearing_has_a_line_for_each_grid_and_the_plateau(full) -> None:
    (axes,) = verification_figures(full, predicted={"lambda_": 0.5})["lambda_sigma"].axes
    drawn = lines(axes)
    assert set(drawn) == {"q grid 4×4×4", "q grid 2×2×2", "interpolated from 2×2×2", "predicted"}
    for name, one in (("q grid 4×4×4", full.coupling), ("interpolated from 2×2×2", full.interpolated_coupling)):
        np.testing.assert_allclose(drawn[name].get_xdata(), [point.sigma_Ry for point in one.curve])
        np.testing.assert_allclose(drawn[name].get_ydata(), [point.lambda_ for point in one.curve])
    assert drawn["predicted"].get_ydata() == [0.5, 0.5]
    (span,) = [patch for patch in axes.patches if patch.get_label() == "plateau"]
    box = span.get_extents().transformed(axes.transData.inverted())
    assert (box.x0, box.x1) == pytest.approx(full.coupling.plateau_Ry)


def test_accumulated_lambda_ends_at_lambda(full) -> None:
    left, right = verification_figures(full)["alpha2f"].axes
    assert set(lines(left)) == {"q grid 4×4×4", "interpolated from 2×2×2"}
    np.testing.assert_allclose(lines(left)["q grid 4×4×4"].get_ydata(), full.coupling.alpha2f)
    assert right.get_lines()[0].get_ydata()[-1] == pytest.approx(full.coupling.lambda_, rel=0.03)


def test_a_predicted_spectrum_of_51_bins_stands_beside(full) -> None:
    predicted = np.exp(-(((ALPHA2F_GRID_MEV[:51] - 30) / 5) ** 2))
    left, right = verification_figures(full, predicted={"alpha2f": predicted, "lambda_": None})["alpha2f"].axes
    np.testing.assert_allclose(lines(left)["predicted"].get_ydata(), predicted)
    assert len(right.get_lines()) == 3
    assert alpha2f_figure({}, predicted) is None


def test_without_plateau_there_is_neither_span_nor_spectrum() -> None:
    figures = verification_figures(verification(verdict=Verdict.NOT_CONVERGED, coupling=coupling("mgb2", 3)))
    assert list(figures) == ["lambda_sigma", "phonons"]
    assert not figures["lambda_sigma"].axes[0].patches


def test_marks_of_phonons_grow_with_lambda(full) -> None:
    (axes,) = verification_figures(full)["phonons"].axes
    places = axes.collections[0].get_offsets()
    modes = full.coupling.modes
    assert len(places) == len(modes) == 24
    assert axes.get_xticklabels()[0].get_text() == "Γ"
    areas = axes.collections[0].get_sizes()
    strongest = max(modes, key=lambda mode: mode.lambda_)
    assert places[areas.argmax()][1] == pytest.approx(strongest.frequency_THz)


def test_imaginary_modes_are_marked() -> None:
    unstable = verification(verdict=Verdict.UNSTABLE, coupling=coupling("sc2"))
    figures = verification_figures(unstable)
    assert list(figures) == ["phonons"]
    marks = {one.get_label(): one for one in figures["phonons"].axes[0].collections}
    below = sorted(mode.frequency_THz for mode in unstable.coupling.modes if mode.frequency_THz < 0)
    assert len(below) > 0
    assert sorted(marks["imaginary"].get_offsets()[:, 1]) == pytest.approx(below)


def test_nothing_computed_nothing_drawn(tmp_path) -> None:
    assert verification_figures(verification(verdict=Verdict.NOT_AVAILABLE), tmp_path) == {}


def test_states_around_the_fermi_level(tmp_path) -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (60, 3))
    xml(tmp_path, "scf_dense", points, free_electrons(points))
    bands = read_pw(tmp_path / "steps" / "scf_dense" / "data-file-schema.xml", self_consistent=False)
    fermi = 9.0
    known = float(dos_at(bands, np.array([fermi]))[0])
    figures = verification_figures(verification(fermi_eV=fermi, dos_ef_states_per_eV=known), tmp_path)
    assert list(figures) == ["dos"]
    (axes,) = figures["dos"].axes
    curve = axes.get_lines()[0]
    assert np.interp(0.0, *curve.get_data()) == pytest.approx(known, rel=1e-3)
    assert lines(axes)["N(E_F)"].get_ydata() == [known]
    top = bands.eigenvalues_eV[:, -1].min() - fermi
    assert max(curve.get_xdata()) < min(4.0, top)  # bands are missing above


def test_bands_follow_the_path(tmp_path) -> None:
    path = Cell(FCC).bandpath(density=5)
    cartesian = path.cartesian_kpts() * ALAT_BOHR * BOHR_A
    energies = free_electrons(cartesian)
    xml(tmp_path, "bands", cartesian, energies)
    (axes,) = verification_figures(verification(fermi_eV=8.0, lattice=tuple(FCC.ravel())), tmp_path)["bands"].axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["Γ", "X", "W", "K", "Γ", "L", "U", "W", "L", "K|U", "X"]
    pieces = [line for line in axes.get_lines() if len(line.get_xdata()) > 2]
    assert len(pieces) == 2 * energies.shape[1]  # the path jumps once
    first = np.concatenate([pieces[0].get_ydata(), pieces[energies.shape[1]].get_ydata()])
    np.testing.assert_allclose(first, energies[:, 0] - 8.0, atol=1e-9)


def test_a_cut_off_file_is_not_drawn(tmp_path) -> None:
    place = tmp_path / "steps" / "nscf"
    place.mkdir(parents=True)
    (place / "data-file-schema.xml").write_text("<espresso><output>")
    assert verification_figures(verification(fermi_eV=8.0), tmp_path) == {}


def test_same_numbers_same_bytes(full, tmp_path) -> None:
    first, second = (verification_figures(full)["lambda_sigma"] for _ in range(2))
    assert svg_text(first) == svg_text(second)
    save(first, tmp_path / "a.svg")
    assert "plateau" in (tmp_path / "a.svg").read_text("utf-8")
