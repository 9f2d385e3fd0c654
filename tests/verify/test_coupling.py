"""Sum over the wave vectors, interpolated coupling and verdict, on recorded outputs."""

import dataclasses
import shutil

import numpy as np
import pytest
from scipy.integrate import trapezoid

from onnes.errors import VerificationError
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, binned_moments
from onnes.verify.coupling import BROADENING_THZ, _broadened, coupling_of
from onnes.verify.interpolated import interpolated_coupling
from onnes.verify.judgement import judge_coupling
from onnes.verify.result import Coupling
from onnes.verify.verdict import Verdict
from tests.verify.recordings import RECORDED, recorded

# lambda.x of Quantum ESPRESSO 6.7 on the recorded files, first line of its input "12 0.12 1": lambda, omega_log (K) and
# Tc (K) by McMillan's form with mu* = 0.10, at 0.005 ... 0.050 Ry
LAMBDA_X = {
    "al2": (
        [0.018675, 0.218763, 0.309375, 0.322325, 0.319950, 0.314625, 0.309900, 0.307225, 0.306325, 0.306125],
        [288.514, 313.575, 328.294, 332.187, 331.213, 329.151, 327.568, 326.784, 326.529, 326.607],
        [np.nan, 0.002, 0.213, 0.309, 0.290, 0.248, 0.215, 0.198, 0.193, 0.192],
    ),
    "al4": (
        [0.302709, 0.441364, 0.427905, 0.397616, 0.375462, 0.365300, 0.363998, 0.367781, 0.373827, 0.380350],
        [383.977, 350.518, 341.372, 337.476, 334.577, 332.024, 329.904, 328.274, 327.066, 326.173],
        [0.202, 2.467, 2.061, 1.369, 0.959, 0.796, 0.772, 0.823, 0.912, 1.014],
    ),
}
N_ATOMS = {"al2": 1, "al4": 1, "sc2": 1, "mgb2": 3}


@pytest.fixture(scope="module")
def couplings():
    return {name: coupling_of(recorded(name)[1], recorded(name)[0], n_atoms=n) for name, n in N_ATOMS.items()}


@pytest.mark.parametrize("name", LAMBDA_X)
def test_sums_are_those_of_lambda_x(couplings, name) -> None:
    lambdas, omega_logs, tcs = LAMBDA_X[name]
    curve = couplings[name].curve
    assert [point.lambda_ for point in curve] == pytest.approx(lambdas, abs=1e-6)
    assert [point.omega_log_K for point in curve] == pytest.approx(omega_logs, abs=0.3)  # it rounds frequencies
    own = [float(allen_dynes_tc_K(point.lambda_, point.omega_log_K, strong_coupling=False)) for point in curve]
    known = np.isfinite(tcs)
    assert np.array(own)[known] == pytest.approx(np.array(tcs)[known], abs=0.02)
    # states per spin, Ry and cell: 1.338511 at 0.005 Ry; 13.6057 eV in one Ry
    assert curve[0].dos_ef_states_per_eV == pytest.approx(2 * 1.338511 / 13.6057, rel=1e-5)


def test_aluminium_on_the_finer_grid(couplings) -> None:
    """Literature: lambda 0.43-0.44, omega_log 296-300 K, Tc 1.2 K."""
    coupling = couplings["al4"]
    assert coupling.method == "q grid"
    assert 0.36 < coupling.lambda_ < 0.46
    assert 290 < coupling.omega_log_K < 365
    assert coupling.omega_log_K < coupling.omega2_K < 501  # the highest phonon
    assert coupling.plateau_Ry == pytest.approx((0.025, 0.045))
    assert coupling.lambda_std == pytest.approx((0.375462 - 0.363998) / 2, abs=1e-6)
    assert coupling.mu_star == (0.10, 0.13, 0.16)
    for values in (coupling.tc_allen_dynes_K, coupling.tc_eliashberg_K):
        assert len(values) == 3
        assert list(values) == sorted(values, reverse=True)
        assert coupling.tc_lo_K <= values[2] < values[0] <= coupling.tc_hi_K
    assert coupling.tc_eliashberg_K[0] == pytest.approx(coupling.tc_allen_dynes_K[0], rel=0.1)
    assert 0.7 < coupling.tc_allen_dynes_K[0] < 1.1  # lambda.x: 0.77 to 0.96 over the plateau, without f1 and f2
    assert not any("coarse" in remark for remark in coupling.remarks)
    assert any("too small for the dense k grid" in remark and "0.010 Ry" in remark for remark in coupling.remarks)


def test_aluminium_on_the_coarse_grid(couplings) -> None:
    coupling = couplings["al2"]
    assert coupling.lambda_ == pytest.approx(np.mean(LAMBDA_X["al2"][0][6:]), abs=1e-5)
    assert coupling.remarks[0].startswith("coarse grid: Gamma has a weight of 1/8")
    assert "too low" in coupling.remarks[0]
    judgement = judge_coupling(recorded("al2")[1], coupling)
    assert judgement.verdict == Verdict.SUPERCONDUCTOR
    assert "finer" in judgement.advice
    assert judge_coupling(recorded("al2")[1], coupling, min_tc_K=0.5).verdict == Verdict.NO_SUPERCONDUCTIVITY


def test_spectrum_on_the_bins(couplings) -> None:
    for name in ("al2", "al4"):
        coupling = couplings[name]
        assert len(coupling.alpha2f) == len(ALPHA2F_GRID_MEV)
        moments = binned_moments(coupling.alpha2f)
        assert float(moments.lambda_) == pytest.approx(coupling.lambda_, rel=0.07)  # smoothed over 10 meV
        assert float(moments.omega_log_K) == pytest.approx(coupling.omega_log_K, rel=0.02)
        top = max(mode.frequency_THz for mode in coupling.modes) * 4.13567
        assert not np.array(coupling.alpha2f)[top + 6 < ALPHA2F_GRID_MEV].any()


@pytest.mark.parametrize("width", [0.06, BROADENING_THZ, 0.3])
def test_broadening_keeps_lambda(width) -> None:
    frequencies, weighted = np.array([2.0, 5.0, 9.0]), np.array([[0.3, 0.2, 0.1], [0.1, 0.0, 0.5]])
    omega, alpha2f = _broadened(frequencies, weighted, width)
    assert trapezoid(2 * alpha2f[:, 1:] / omega[1:], omega[1:]) == pytest.approx(weighted.sum(1), rel=1e-3)
    assert alpha2f.min() >= 0


def test_curve_is_not_confused_by_the_order_of_q_points(couplings) -> None:
    grid, points = recorded("al4")
    turned = coupling_of(points[::-1], grid, n_atoms=1, mu_stars=(0.10,))
    assert turned.lambda_ == pytest.approx(couplings["al4"].lambda_)
    assert turned.tc_allen_dynes_K == pytest.approx(couplings["al4"].tc_allen_dynes_K[:1])


@pytest.mark.parametrize("change", ["drop", "twice"])
def test_set_that_is_not_the_grid(change) -> None:
    grid, points = recorded("al4")
    wrong = points[:-1] if change == "drop" else [*points, points[2]]
    count = {"drop": "7 q points have 58 of the 64", "twice": "9 q points have 68 of the 64"}[change]
    with pytest.raises(VerificationError, match=f"incomplete q set: the stars of {count} points of the 4x4x4 grid"):
        coupling_of(wrong, grid, n_atoms=1)


def test_q_points_of_different_runs() -> None:
    grid, points = recorded("al2")
    other = dataclasses.replace(points[1], dos=points[1].dos * 1.01)
    with pytest.raises(VerificationError, match="different runs"):
        coupling_of([points[0], other, points[2]], grid, n_atoms=1)
    fewer = dataclasses.replace(
        points[1], **{name: getattr(points[1], name)[:5] for name in ("sigmas_Ry", "dos", "lambdas")}
    )
    with pytest.raises(VerificationError, match="different runs"):
        coupling_of([points[0], fewer, points[2]], grid, n_atoms=1)
    with pytest.raises(VerificationError, match="3 modes, not 3 x 2"):
        coupling_of(points, grid, n_atoms=2)


def test_unstable_crystal_has_no_tc(couplings) -> None:
    """lambda.x gives this crystal 1.80, matdyn.x 4.23, at the smallest smearing."""
    grid, points = recorded("sc2")
    coupling = couplings["sc2"]
    nothing = (coupling.lambda_, coupling.omega_log_K, coupling.tc_lo_K, coupling.tc_hi_K, coupling.alpha2f)
    assert nothing == (None,) * 5
    assert coupling.curve == coupling.tc_allen_dynes_K == coupling.tc_eliashberg_K == ()
    judgement = judge_coupling(points, coupling)
    assert judgement.verdict == Verdict.UNSTABLE
    assert judgement.step == "phonons-3"
    assert "9 of 24 modes" in judgement.reason
    assert "-5.09 THz at q = (0, -0.5, -0.5)" in judgement.reason
    assert "K" not in judgement.reason.split()
    assert "follow the mode" in judgement.advice
    assert len(coupling.modes) == 12
    assert sum(mode.weight for mode in coupling.modes) == 3 * np.prod(grid)


@pytest.mark.parametrize(("shift", "verdict"), [(-0.4, Verdict.SUPERCONDUCTOR), (-1.2, Verdict.UNSTABLE)])
def test_acoustic_modes_at_gamma_may_be_slightly_imaginary(couplings, shift, verdict) -> None:
    grid, points = recorded("al4")
    gamma = points[0]
    imaginary = dataclasses.replace(
        gamma, frequencies_THz=np.full(3, shift), omega2_Ry2=-np.full(3, (shift / 3289.842) ** 2)
    )
    moved = [imaginary, *points[1:]]
    coupling = coupling_of(moved, grid, n_atoms=1, mu_stars=(0.10,))
    judgement = judge_coupling(moved, coupling)
    assert judgement.verdict == verdict
    if verdict == Verdict.SUPERCONDUCTOR:
        assert coupling.lambda_ == pytest.approx(couplings["al4"].lambda_)
    else:
        assert "sum rule" in judgement.advice


def test_optical_mode_at_gamma_is_no_acoustic_one() -> None:
    grid, points = recorded("mgb2")
    omega2 = points[0].omega2_Ry2.copy()
    frequencies = points[0].frequencies_THz.copy()
    omega2[3], frequencies[3] = -((0.9 / 3289.842) ** 2), -0.9
    soft = dataclasses.replace(points[0], omega2_Ry2=omega2, frequencies_THz=frequencies)
    assert soft.is_unstable.tolist() == [False] * 3 + [True] + [False] * 5
    moved = [soft, *points[1:]]
    judgement = judge_coupling(moved, coupling_of(moved, grid, n_atoms=3))
    assert judgement.verdict == Verdict.UNSTABLE
    assert "1 of 72 modes" in judgement.reason
    assert "follow the mode" in judgement.advice


def test_lambda_without_plateau(couplings) -> None:
    coupling = couplings["mgb2"]
    assert coupling.plateau_Ry is None
    assert coupling.lambda_ is None
    assert coupling.tc_hi_K is None
    assert len(coupling.curve) == 10
    judgement = judge_coupling(recorded("mgb2")[1], coupling)
    assert judgement.verdict == Verdict.NOT_CONVERGED
    assert "3.438 at 0.005 Ry to 0.960 at 0.050 Ry" in judgement.reason
    assert "denser" in judgement.advice
    assert "too high" in coupling.remarks[0]


def test_strongest_mode_of_mgb2(couplings) -> None:
    modes = couplings["mgb2"].modes
    assert len(modes) == 36
    strongest = max(modes, key=lambda mode: mode.lambda_)
    assert strongest.symmetry == "E_2g"
    assert max(map(abs, strongest.q)) == 0
    # the same bond-stretching branch at both q points on the axis, 5 times as strong as any other mode
    others = sorted(mode.lambda_ for mode in modes)
    assert sorted(mode.symmetry for mode in modes if mode.lambda_ >= others[-4]) == ["E_2g", "E_2g", "E_2u", "E_2u"]
    assert others[-4] > 5 * others[-5]
    assert any("lambda of the modes is that at 0.030 Ry" in remark for remark in couplings["mgb2"].remarks)
    # acoustic modes at Gamma carry none, though ph.x prints one for those above 20 1/cm
    assert recorded("mgb2")[1][0].lambdas[5, 1] > 0.03
    assert [mode.lambda_ for mode in modes[:3]] == [0, 0, 0]


def test_lambda_that_is_no_number() -> None:
    grid, points = recorded("al4")
    lambdas = points[3].lambdas.copy()
    lambdas[9, 0] = np.nan
    broken = [*points[:3], dataclasses.replace(points[3], lambdas=lambdas), *points[4:]]
    coupling = coupling_of(broken, grid, n_atoms=1, mu_stars=(0.10,))
    assert len(coupling.curve) == 9
    assert any("no number at 0.050 Ry" in remark for remark in coupling.remarks)
    assert coupling.plateau_Ry == pytest.approx((0.025, 0.045))


def test_result_survives_json(couplings) -> None:
    for coupling in couplings.values():
        assert Coupling.model_validate_json(coupling.model_dump_json()) == coupling


def test_interpolated_coupling() -> None:
    coupling = interpolated_coupling(RECORDED / "al2", (2, 2, 2), mu_stars=(0.10,))
    assert coupling.method == "interpolated"
    # as matdyn.x sums it on its mesh, file `lambda`
    stated = [0.0201, 0.2521, 0.3702, 0.3892, 0.3843, 0.3743, 0.3650, 0.3581, 0.3532, 0.3493]
    assert [point.lambda_ for point in coupling.curve] == pytest.approx(stated, rel=3e-3)
    omega_logs = [265.31, 290.67, 303.66, 306.65, 305.94, 304.58, 303.77, 303.69, 304.15, 304.92]
    assert [point.omega_log_K for point in coupling.curve] == pytest.approx(omega_logs, rel=3e-3)
    assert 0.35 < coupling.lambda_ < 0.39
    assert 300 < coupling.omega_log_K < 310
    assert coupling.tc_lo_K <= coupling.tc_allen_dynes_K[0] <= coupling.tc_hi_K
    assert coupling.remarks[0].startswith("coarse grid: interpolated")
    assert coupling.alpha2f is not None


def copied(tmp_path, change):
    """Copy the interpolated files, with each row of omega and alpha2F at each smearing changed."""
    shutil.copy(RECORDED / "al2" / "lambda", tmp_path)
    for i in range(1, 11):
        lines = (RECORDED / "al2" / f"a2F.dos{i}").read_text().splitlines()
        for j, line in enumerate(lines):
            words = line.split()
            if len(words) == 5 and words[0] != "#":
                omega, total = change(i, float(words[0]), float(words[1]))
                lines[j] = f"{omega:19.6E}{total:16.6E}" + "".join(f"{word:>16s}" for word in words[2:])
        (tmp_path / f"a2F.dos{i}").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_interpolated_spectrum_below_zero(tmp_path) -> None:
    """A width with omega_log above the highest phonon is left out; one with a small negative part is clipped."""

    def change(i, omega, total):
        if i == 1 and omega < 1.66e-3:
            return omega, -total  # what is left of lambda is small, and all of it at the highest frequencies
        return omega, total - (0.001 if i == 2 and omega < 3e-4 else 0)

    coupling = interpolated_coupling(copied(tmp_path, change), (2, 2, 2), mu_stars=(0.10,))
    assert coupling.curve[0].omega_log_K is None
    assert all(point.omega_log_K is not None for point in coupling.curve[1:])
    assert any(
        "omega_log lies above the highest phonon" in remark and "0.005 Ry" in remark for remark in coupling.remarks
    )
    assert any("negative alpha2F was set to 0 at 2 of 10" in remark for remark in coupling.remarks)


def test_interpolated_imaginary_frequencies(tmp_path) -> None:
    folder = copied(tmp_path, lambda _, omega, total: (omega - 1e-3, total))
    coupling = interpolated_coupling(folder, (2, 2, 2))
    assert coupling.lambda_ is None
    assert coupling.curve == ()
    assert any("imaginary frequencies down to -3.26 THz" in remark for remark in coupling.remarks)


@pytest.mark.parametrize("fault", ["no table", "no spectrum", "cut spectrum", "empty table", "other frequencies"])
def test_interpolated_files_that_are_not_whole(tmp_path, fault) -> None:
    folder = copied(
        tmp_path, lambda i, omega, total: (omega * (1.1 if fault == "other frequencies" and i == 3 else 1), total)
    )
    spectrum = folder / "a2F.dos7"
    if fault == "no table":
        (folder / "lambda").unlink()
    elif fault == "empty table":
        (folder / "lambda").write_text("")
    elif fault == "no spectrum":
        spectrum.unlink()
    elif fault == "cut spectrum":
        spectrum.write_text(spectrum.read_text()[:5000])
    with pytest.raises(VerificationError, match=r"run matdyn\.x"):
        interpolated_coupling(folder, (2, 2, 2))
