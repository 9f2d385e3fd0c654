"""Verifications with Quantum ESPRESSO itself; `make dft` runs them.

Literature values of aluminium are those that Xie, Stewart, Hamlin, Hirschfeld and Hennig, Phys. Rev. B 100, 174513 (2019), list.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from onnes.errors import VerificationError
from onnes.verify.chain import Crystal, verify
from onnes.verify.gth import gth_tables
from onnes.verify.pseudopotentials import DEBIAN
from onnes.verify.settings import RunSettings, VerifySettings
from onnes.verify.steps import read_state
from onnes.verify.verdict import Verdict
from tests.verify.replay import AL, BOHR_A

PROGRAMS = ("pw.x", "ph.x", "q2r.x", "matdyn.x", "mpirun")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
PSEUDOS = Path(os.environ.get("ESPRESSO_PSEUDO") or DEBIAN)
if not (PSEUDOS / "Al.pz-vbc.UPF").is_file():
    MISSING.append("quantum-espresso-data")
pytestmark = [
    pytest.mark.dft,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
AT_L_THZ = np.array([149, 149, 323]) / 33.35641  # of aluminium at (1/2, 1/2, 1/2) 2 pi / a, from 1/cm
AL_SETTINGS = {"functional": "LDA", "relax": False, "ecutwfc_Ry": 15}
TWO = RunSettings(ranks=2)


def gth_is_there() -> bool:
    try:
        return gth_tables().is_file()
    except VerificationError:
        return False


def verified(crystal, folder, *, run=TWO, on_step=lambda _: None, **settings):
    return verify(crystal, VerifySettings(**settings), folder, run=run, on_step=on_step)


def show(capsys, *lines):
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def frequencies_at(coupling, length):
    """Frequencies (THz) at the q point of that length (2 pi / a) of a face-centred crystal with `alat` = a / sqrt(2)."""
    there = [mode for mode in coupling.modes if abs(np.linalg.norm(mode.q) * np.sqrt(2) - length) < 1e-4]
    return sorted(mode.frequency_THz for mode in there)


@pytest.fixture(scope="module")
def al2(tmp_path_factory):
    """Aluminium on the coarse grid with one rank: the result and its folder of folders."""
    folder = tmp_path_factory.mktemp("al2")
    return verified(AL, folder, run=RunSettings(), **AL_SETTINGS), folder


def test_aluminium_on_the_coarse_grid(al2) -> None:
    result, _ = al2
    assert result.verdict is Verdict.SUPERCONDUCTOR
    assert (result.coupling.q_grid, result.k_grid, result.dense_k_grid) == ((2, 2, 2), (8, 8, 8), (16, 16, 16))
    assert 0.27 < result.coupling.lambda_ < 0.35
    assert frequencies_at(result.coupling, np.sqrt(0.75)) == pytest.approx(AT_L_THZ, rel=0.05)
    assert any("coarse grid" in remark for remark in result.coupling.remarks)


def test_repeating_it_starts_no_program(al2) -> None:
    result, folder = al2
    seen = []
    start = time.monotonic()
    assert verified(AL, folder, run=RunSettings(), on_step=seen.append, **AL_SETTINGS) == result
    assert time.monotonic() - start < 5
    assert seen == []


def test_two_ranks_agree_with_one(al2, tmp_path) -> None:
    result, _ = al2
    other = verified(AL, tmp_path, **AL_SETTINGS)
    # lambda of a mode is printed with four decimals, and shared among degenerate modes as the rounding falls
    assert other.coupling.lambda_ == pytest.approx(result.coupling.lambda_, rel=0.01)
    assert other.coupling.omega_log_K == pytest.approx(result.coupling.omega_log_K, rel=0.01)
    assert other.energy_eV_per_atom == pytest.approx(result.energy_eV_per_atom, abs=1e-6)
    assert other.max_phonon_THz == pytest.approx(result.max_phonon_THz, abs=0.01)


def test_aluminium_on_the_finer_grid_agrees_with_the_literature(tmp_path) -> None:
    """Lambda 0.43 to 0.44, omega_log 296 to 300 K."""
    result = verified(AL, tmp_path, level="screen", **AL_SETTINGS)
    assert result.verdict is Verdict.SUPERCONDUCTOR
    assert (result.coupling.q_grid, result.k_grid, result.dense_k_grid) == ((4, 4, 4), (8, 8, 8), (16, 16, 16))
    assert 0.36 < result.coupling.lambda_ < 0.46
    assert 0.33 < result.interpolated_coupling.lambda_ < 0.46
    for coupling in (result.coupling, result.interpolated_coupling):
        assert 290 < coupling.omega_log_K < 365
        assert 0.3 < coupling.tc_allen_dynes_K[0] < 3
    assert frequencies_at(result.coupling, np.sqrt(0.75)) == pytest.approx(AT_L_THZ, rel=0.05)
    assert not result.lower_confidence


def test_a_relaxation_finds_the_cell_of_this_functional(tmp_path) -> None:
    start = Crystal(AL.lattice * 1.02, AL.frac_coords, AL.atomic_numbers)
    result = verified(start, tmp_path, level="smoke", functional="LDA", q_grid=(1, 1, 1), ecutwfc_Ry=20)
    assert result.relaxed
    assert result.lattice[1] * 2 == pytest.approx(3.95, abs=0.03)
    assert abs(result.stress_pressure_GPa) < 0.3


def test_the_e2g_mode_of_mgb2_couples_most(tmp_path, capsys) -> None:
    a, c = 5.826 * BOHR_A, 5.826 * 1.1421 * BOHR_A
    lattice = [[a, 0, 0], [-a / 2, a * np.sqrt(0.75), 0], [0, 0, c]]
    mgb2 = Crystal(lattice, [[0, 0, 0], [1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]], [12, 5, 5])
    # 6 x 6 x 6 points, as the level has them, are too few for this mode: 27 THz instead of 16
    settings = {"level": "smoke", "functional": "LDA", "relax": False, "ecutwfc_Ry": 32, "k_grid": (8, 8, 6)}
    result = verified(mgb2, tmp_path, **settings)
    coupling = result.coupling
    assert result.verdict in (Verdict.SUPERCONDUCTOR, Verdict.NOT_CONVERGED)
    total = sum(mode.weight * mode.lambda_ for mode in coupling.modes)
    modes = sorted(coupling.modes, key=lambda mode: -mode.weight * mode.lambda_)
    lines = [f"MgB2, {'x'.join(map(str, coupling.q_grid))}: {result.verdict}, {result.reason}"]
    lines.append("q (2 pi/alat)            weight   THz    lambda  share  symmetry")
    for mode in modes[:8]:
        q = " ".join(f"{x:7.4f}" for x in mode.q)
        numbers = f"{mode.frequency_THz:6.2f}  {mode.lambda_:7.3f}  {100 * mode.weight * mode.lambda_ / total:4.0f} %"
        lines.append(f"{q}  {mode.weight:4d}  {numbers}  {mode.symmetry}")
    show(capsys, *lines)
    strongest = max(coupling.modes, key=lambda mode: mode.lambda_)
    assert strongest.q == (0, 0, 0)
    assert strongest.symmetry == "E_2g"
    pair = [mode for mode in coupling.modes if mode.q == (0, 0, 0) and mode.symmetry == "E_2g"]
    assert pair[0].lambda_ == pytest.approx(pair[1].lambda_, rel=0.1)
    # E_2u at A = (0, 0, 1/2) is the same stretching of bonds between boron atoms, opposite in neighbouring layers
    others = [mode.lambda_ for mode in coupling.modes if mode.symmetry not in ("E_2g", "E_2u")]
    assert strongest.lambda_ > 3 * max(others)


def test_simple_cubic_aluminium_is_unstable(tmp_path) -> None:
    side = 5.03 * BOHR_A
    result = verified(
        Crystal(np.eye(3) * side, [[0, 0, 0]], [13]), tmp_path, q_grid=(2, 2, 2), k_grid=(6, 6, 6), **AL_SETTINGS
    )
    assert result.verdict is Verdict.UNSTABLE
    assert result.min_phonon_THz < -3
    assert result.coupling.lambda_ is None
    assert result.coupling.tc_allen_dynes_K == result.coupling.tc_eliashberg_K == ()
    assert "displace the atoms" in result.advice


@pytest.mark.skipif(not gth_is_there(), reason="no GTH tables are installed (cp2k-data)")
def test_niobium_with_gth_pseudopotentials(tmp_path, capsys) -> None:
    half = 6.25 / 2 * BOHR_A
    niobium = Crystal(half * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), [[0, 0, 0]], [41])
    result = verified(niobium, tmp_path, level="smoke", relax=False, ecutwfc_Ry=70, k_grid=(6, 6, 6))
    show(capsys, f"Nb: {result.verdict}, {result.reason}")
    assert result.functional == "PBE"
    assert result.lower_confidence
    assert "GTH" in result.lower_confidence[0]
    assert result.verdict in (Verdict.SUPERCONDUCTOR, Verdict.NOT_CONVERGED)
    assert 1.0 < result.dos_ef_states_per_eV < 2.0  # 1.4 to 1.6 states/eV, both spins
    assert 5.0 < result.max_phonon_THz < 8.0  # 6.5 THz at H
    middle = result.coupling.curve[len(result.coupling.curve) // 2].lambda_
    assert 0.5 < middle < 2.0


# What is killed while which step runs, once this stands in its output; nothing stands there at the beginning.
MOMENTS_OF_PW = [
    ("scf_dense", ""),
    ("scf_dense", "iteration #  1"),
    ("scf_dense", "iteration #  3"),
    ("scf_coarse", ""),
    ("scf_coarse", "iteration #  2"),
]
MOMENTS_OF_PH = [
    ("phonons_2x2x2_01", ""),
    ("phonons_2x2x2_02", ""),
    ("phonons_2x2x2_02", "iter #   2"),
    ("phonons_2x2x2_03", "Representation #   2"),
    ("phonons_2x2x2_03", "electron-phonon interaction"),
]
MOMENTS_OF_THE_DRIVER = [MOMENTS_OF_PW[1], MOMENTS_OF_PW[3], *MOMENTS_OF_PH[1:4]]


def seen_in(folder, step, words, seconds=60):
    """Wait for words in the output of the first try of a step; True when they came."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in folder.glob(f"*/steps/{step}/try-1.out"):
            if words in path.read_text(errors="replace"):
                return True
        time.sleep(0.002)
    return False


def kill_program(folder, step, words):
    """SIGKILL for the program that this process started."""
    killed = not seen_in(folder, step, words)
    while not killed:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if child.name() in ("pw.x", "ph.x"):
                    child.kill()
                    killed = True


def of_finished_points(folder):
    paths = sorted(folder.glob("*/steps/phonons_*/status.json"))
    done = [path for path in paths if (state := read_state(path.parent)) and state.state == "done"]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in done}


def assert_same(result, reference):
    assert result.verdict is reference.verdict
    assert result.coupling.lambda_ == pytest.approx(reference.coupling.lambda_, rel=0.05)
    assert result.coupling.omega_log_K == pytest.approx(reference.coupling.omega_log_K, rel=0.05)
    for mode, other in zip(result.coupling.modes, reference.coupling.modes, strict=True):
        assert mode.frequency_THz == pytest.approx(other.frequency_THz, rel=0.05)


@pytest.mark.parametrize(("step", "words"), [*MOMENTS_OF_PW, *MOMENTS_OF_PH])
def test_a_killed_program_is_started_again(al2, tmp_path, step, words) -> None:
    finished = {}

    def watch(state) -> None:
        begun = state.name == step and len(state.tries) == 1 and state.tries[0].exit_code is None
        if begun and state.state == "running":
            finished.update(of_finished_points(tmp_path))
            threading.Thread(target=partial(kill_program, tmp_path, step, words), daemon=True).start()

    result = verified(AL, tmp_path, run=RunSettings(), on_step=watch, **AL_SETTINGS)
    (place,) = tmp_path.glob(f"*/steps/{step}")
    first, second = read_state(place).tries
    assert (first.exit_code, first.symptom) == (-signal.SIGKILL, "killed")
    assert (second.exit_code, second.symptom) == (0, "")
    assert second.change == ("continued" if step.startswith("scf") else "from scratch")
    assert finished.items() <= of_finished_points(tmp_path).items()
    assert_same(result, al2[0])


@pytest.mark.parametrize(("step", "words"), MOMENTS_OF_THE_DRIVER)
def test_a_killed_verification_goes_on(al2, tmp_path, step, words) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.verify import test_dft as t; "
        "t.verified(t.AL, Path(sys.argv[1]), run=t.RunSettings(), **t.AL_SETTINGS)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2], start_new_session=True
    )
    try:
        assert seen_in(tmp_path, step, words)
    finally:
        driver.kill()
        driver.wait()
    finished = of_finished_points(tmp_path)
    expected = int(step[-2:]) - 1 if step.startswith("phonons") else 0
    assert len(finished) == expected
    result = verified(AL, tmp_path, run=RunSettings(), **AL_SETTINGS)
    assert finished.items() <= of_finished_points(tmp_path).items()
    assert_same(result, al2[0])
