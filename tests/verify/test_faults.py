"""Faults are recognised in recorded outputs of Quantum ESPRESSO; see recorded/faults/README.md."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from onnes.verify.faults import Fault, Symptom, recognise
from onnes.verify.saved import check_saved
from onnes.verify.symptom import ADVICE

RECORDED = Path(__file__).parent / "recorded" / "faults"

SYMPTOMS = {
    "pw-scf-not-converged": Symptom.SCF_NOT_CONVERGED,
    "pw-relax-scf": Symptom.SCF_NOT_CONVERGED,
    "pw-scf-diverged": Symptom.SCF_DIVERGED,
    "pw-max-seconds": Symptom.OUT_OF_TIME,
    "pw-vc-relax-max-seconds": Symptom.OUT_OF_TIME,
    "pw-bands-not-converged": Symptom.DIAGONALISATION,
    "pw-cholesky": Symptom.DIAGONALISATION,
    "pw-relax-bfgs-history": Symptom.BFGS_HISTORY,
    "pw-vc-relax-steps": Symptom.RELAXATION_STEPS,
    "pw-vc-relax-final-scf": Symptom.FINAL_SCF_OF_RELAXATION,
    "pw-vc-relax-final-scf-time": Symptom.FINAL_SCF_OF_RELAXATION,
    "pw-vc-relax-cell-factor": Symptom.CELL_VOLUME_CHANGED,
    "pw-vc-relax-other-basis": Symptom.BASIS_CHANGED,
    "pw-missing-pseudopotential": Symptom.MISSING_PSEUDOPOTENTIAL,
    "pw-bad-keyword": Symptom.INPUT_ERROR,
    "pw-bad-value": Symptom.INPUT_ERROR,
    "pw-too-few-bands": Symptom.INPUT_ERROR,
    "pw-sigkill": Symptom.KILLED,
    "pw-sigterm": Symptom.KILLED,
    "pw-sigkill-mpirun": Symptom.KILLED,
    "pw-output-cut-off": Symptom.TRUNCATED,
    "pw-output-empty": Symptom.TRUNCATED,
    "pw-no-memory": Symptom.OUT_OF_MEMORY,
    "pw-no-slots": Symptom.MPI_ERROR,
    "ph-not-converged": Symptom.PHONON_NOT_CONVERGED,
    "ph-max-seconds": Symptom.OUT_OF_TIME,
    "ph-sigkill": Symptom.KILLED,
    "ph-sigterm": Symptom.KILLED,
    "ph-output-cut-off": Symptom.TRUNCATED,
    "ph-no-outdir": Symptom.MISSING_SCF_DATA,
    "ph-empty-outdir": Symptom.MISSING_SCF_DATA,
    "ph-damaged-save": Symptom.MISSING_SCF_DATA,
    "ph-cut-off-wavefunctions": Symptom.MISSING_SCF_DATA,
    "ph-no-a2fsave": Symptom.MISSING_A2F_DATA,
    "ph-recover": Symptom.RESTART_BROKEN,
    "ph-bad-keyword": Symptom.INPUT_ERROR,
    "ph-nmix-8": Symptom.INPUT_ERROR,
    "ph-full-disk": Symptom.DISK_FULL,
    "q2r-no-dyn": Symptom.MISSING_PHONON_DATA,
    "matdyn-no-fc": Symptom.MISSING_PHONON_DATA,
    "dos-no-save": Symptom.MISSING_SCF_DATA,
    "bands-no-save": Symptom.MISSING_SCF_DATA,
}
GOOD = (
    "pw-scf", "pw-nscf", "pw-bands", "pw-relax", "pw-relax-damped", "pw-vc-relax", "pw-full-disk-unnoticed",
    "ph-q", "ph-gamma", "ph-all-q", "ph-without-coupling", "ph-unstable", "q2r", "matdyn", "dos", "bands",
)  # fmt: skip
JOB_DONE_LIES = (
    "pw-scf-not-converged", "pw-max-seconds", "pw-vc-relax-steps", "pw-relax-scf", "pw-vc-relax-final-scf",
    "pw-relax-bfgs-history", "pw-vc-relax-other-basis", "ph-not-converged", "ph-max-seconds",
)  # fmt: skip
ZERO_LIES = (
    "pw-relax-bfgs-history",
    "pw-vc-relax-other-basis",
    "pw-output-cut-off",
    "pw-output-empty",
    "ph-output-cut-off",
)


def recorded(name: str) -> dict:
    folder = RECORDED / name
    crash = folder / "CRASH"
    return {
        **json.loads((folder / "meta.json").read_text()),
        "output": (folder / "out.txt").read_text(),
        "crash": crash.read_text() if crash.exists() else "",
    }


def found(name: str, **changes: object) -> Fault | None:
    run = recorded(name) | changes
    return recognise(run.pop("program"), **run)


def test_every_recording_is_used() -> None:
    assert {folder.name for folder in RECORDED.iterdir() if folder.is_dir()} == {*SYMPTOMS, *GOOD}
    assert all(file.stat().st_size < 30_000 for file in RECORDED.rglob("*"))


@pytest.mark.parametrize(("name", "symptom"), SYMPTOMS.items())
def test_fault_is_recognised(name: str, symptom: Symptom) -> None:
    fault = found(name)
    assert fault is not None
    assert fault.symptom is symptom
    assert fault.advice
    assert fault.message
    assert "\n" not in fault.message


@pytest.mark.parametrize("name", GOOD)
def test_success_is_recognised(name: str) -> None:
    assert found(name) is None


@pytest.mark.parametrize("name", JOB_DONE_LIES)
def test_job_done_is_not_believed(name: str) -> None:
    assert "JOB DONE." in recorded(name)["output"]
    assert found(name) is not None
    assert found(name, exit_code=0) is not None


@pytest.mark.parametrize("name", ZERO_LIES)
def test_exit_code_0_is_not_believed(name: str) -> None:
    assert recorded(name)["exit_code"] == 0
    assert found(name) is not None


@pytest.mark.parametrize("name", GOOD)
def test_exit_code_of_a_good_output_is_believed(name: str) -> None:
    assert found(name, exit_code=1).symptom is Symptom.UNKNOWN
    assert found(name, exit_code=-9).symptom is Symptom.KILLED
    assert found(name, exit_code=0, timed_out=True).symptom is Symptom.TIME_LIMIT


def test_messages_are_the_programs_own_words() -> None:
    assert found("pw-missing-pseudopotential").message == "readpp: file ./pseudo/Al.missing.UPF not found"
    assert found("ph-nmix-8").message == "phq_readin: Wrong nmix_ph"
    assert found("pw-sigkill").message == "ended by SIGKILL"
    assert found("pw-scf-not-converged").message == "convergence NOT achieved after 2 iterations: stopping"
    assert "onnes.a2Fsave" in found("ph-no-a2fsave").message


def test_message_of_the_crash_file_alone_is_enough() -> None:
    fault = found("pw-missing-pseudopotential", output="")
    assert fault.symptom is Symptom.MISSING_PSEUDOPOTENTIAL
    assert "Al.missing.UPF" in fault.message


@pytest.mark.parametrize("name", [name for name in GOOD if name.startswith(("pw", "ph"))])
def test_good_output_cut_anywhere_is_a_fault(name: str) -> None:
    output = recorded(name)["output"]
    for part in (0.1, 0.5, 0.8, 0.95):
        cut = output[: int(part * len(output))].rsplit("JOB DONE.", 1)[0]
        assert found(name, output=cut).symptom is Symptom.TRUNCATED


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("pw-scf", "convergence has been achieved"),
        ("pw-scf", "!    total energy"),
        ("pw-nscf", "End of band structure calculation"),
        ("pw-nscf", "Fermi energy"),
        ("pw-relax", "End final coordinates"),
        ("pw-vc-relax", "Final enthalpy"),
        ("ph-q", "Diagonalizing the dynamical matrix"),
        ("ph-q", "freq ("),
        ("ph-q", "lambda(    2)="),
        ("ph-q", "Gaussian Broadening:"),
        ("q2r", "q-space grid ok"),
    ],
)
def test_a_missing_result_is_a_fault(name: str, marker: str) -> None:
    output = recorded(name)["output"]
    assert marker in output
    kept = "\n".join(line for line in output.splitlines() if marker not in line)
    assert found(name, output=kept).symptom is Symptom.INCOMPLETE


def test_an_scf_before_the_last_geometry_is_not_the_final_one() -> None:
    relaxation, end, rest = recorded("pw-vc-relax")["output"].rpartition("End final coordinates")
    assert "convergence has been achieved" in relaxation
    cut = relaxation + end + rest.replace("convergence has been achieved", "")
    assert found("pw-vc-relax", output=cut).symptom is Symptom.INCOMPLETE


def test_one_of_several_q_points_missing_is_a_fault() -> None:
    output = recorded("ph-all-q")["output"]
    assert output.count("Calculation of q =") == 3
    begin, last = output.rsplit("Diagonalizing the dynamical matrix", 1)
    assert "2 of 3" in found("ph-all-q", output=begin + last).message


def test_frequencies_that_are_no_numbers_are_a_fault() -> None:
    output = recorded("ph-q")["output"].replace("9.071871 [THz]", "     NaN [THz]")
    assert found("ph-q", output=output).symptom is Symptom.INCOMPLETE


def test_calculation_without_coupling_is_no_success_where_coupling_was_asked_for() -> None:
    assert found("ph-without-coupling", calculation="elph").symptom is Symptom.INCOMPLETE


def test_the_same_abort_is_another_symptom_in_each_program() -> None:
    # ph.x could not be made to fail so; its library of linear algebra is that of pw.x, whose recording this is
    assert found("pw-cholesky", program="ph.x").symptom is Symptom.PHONON_CHOLESKY
    # the exit code is the order of a minor, not a signal
    assert found("pw-cholesky", exit_code=137).symptom is Symptom.DIAGONALISATION


@pytest.mark.parametrize(
    ("program", "message", "symptom"),
    [
        # texts in the programs' binaries that no run of ours has shown: only the patterns are tested
        ("pw.x", "problems computing cholesky", Symptom.DIAGONALISATION),
        ("pw.x", "S matrix not positive definite", Symptom.DIAGONALISATION),
        ("ph.x", "problems computing cholesky", Symptom.PHONON_CHOLESKY),
    ],
)
def test_messages_not_recorded(program: str, message: str, symptom: Symptom) -> None:
    percent = "%" * 78
    output = f" {percent}\n     Error in routine  cdiaghg (5):\n      {message}\n {percent}\n"
    assert recognise(program, exit_code=1, output=output).symptom is symptom


@pytest.mark.parametrize(
    ("exit_code", "symptom", "word"),
    [
        (-9, Symptom.KILLED, "SIGKILL"),
        (137, Symptom.KILLED, "SIGKILL"),
        (143, Symptom.KILLED, "SIGTERM"),
        (-11, Symptom.CRASHED, "SIGSEGV"),
        (139, Symptom.CRASHED, "SIGSEGV"),
        (7, Symptom.UNKNOWN, "exit code 7"),
        (255, Symptom.UNKNOWN, "exit code 255"),
        (0, Symptom.TRUNCATED, "nothing"),
    ],
)
def test_exit_codes_alone(exit_code: int, symptom: Symptom, word: str) -> None:
    fault = recognise("pw.x", exit_code=exit_code, output="")
    assert fault.symptom is symptom
    assert word in fault.message


def test_an_error_after_the_first_iteration_is_not_blamed_on_the_input() -> None:
    percent = "%" * 78
    block = f"\n {percent}\n     Error in routine  some_routine (1):\n      some words\n {percent}\n"
    assert recognise("pw.x", exit_code=1, output=block).symptom is Symptom.INPUT_ERROR
    assert recognise("pw.x", exit_code=1, output="     iteration #  1" + block).symptom is Symptom.PROGRAM_ERROR


def test_every_symptom_has_advice() -> None:
    assert set(ADVICE) == set(Symptom)


def record(payload: bytes) -> bytes:
    return struct.pack("<i", len(payload)) + payload + struct.pack("<i", len(payload))


@pytest.fixture
def outdir(tmp_path: Path) -> Path:
    save = tmp_path / "al.save"
    save.mkdir()
    (save / "data-file-schema.xml").write_text("<qes:espresso>\n</qes:espresso>\n")
    (save / "charge-density.dat").write_bytes(record(b"head") + record(b"x" * 100))
    (save / "wfc1.dat").write_bytes(record(b"head") + record(b"y" * 60))
    (tmp_path / "al.a2Fsave").write_text("1 2 3\n")
    return tmp_path


def test_saved_files_are_whole(outdir: Path) -> None:
    assert check_saved(outdir, "al", a2f=True) is None


@pytest.mark.parametrize("file", ["data-file-schema.xml", "charge-density.dat", "wfc1.dat"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
def test_damaged_saved_file_is_found(outdir: Path, file: str, damage: str) -> None:
    path = outdir / "al.save" / file
    content = path.read_bytes()
    path.unlink() if damage == "missing" else path.write_bytes(b"" if damage == "empty" else content[:-6])
    fault = check_saved(outdir, "al")
    assert fault.symptom is Symptom.MISSING_SCF_DATA
    assert file in fault.message


@pytest.mark.parametrize("damage", ["missing", "empty"])
def test_a2f_file_that_ph_would_miss_is_found(outdir: Path, damage: str) -> None:
    (outdir / "al.a2Fsave").unlink() if damage == "missing" else (outdir / "al.a2Fsave").write_text("")
    assert check_saved(outdir, "al") is None
    fault = check_saved(outdir, "al", a2f=True)
    assert fault.symptom is Symptom.MISSING_A2F_DATA
    assert damage in fault.message
