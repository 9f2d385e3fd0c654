"""Faults: recognise from exit code and output whether a run of Quantum ESPRESSO succeeded, and if not, why.

Exit codes and messages are those of version 6.7 as recorded in runs of our own; version 7 writes the same error blocks.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from onnes.verify.symptom import ADVICE, Symptom

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Fault", "Program", "Symptom", "recognise"]

Program = Literal["pw.x", "ph.x", "q2r.x", "matdyn.x", "dos.x", "bands.x"]

BASIS_KBAR = 5.0
"""Largest change of pressure from the plane waves of the first cell to those of the last: 0.5 GPa, under 1 % of most volumes."""
_LONGEST = 300

_END_OF_RELAXATION = "End final coordinates"
_FINAL_SCF_FAULTS = (
    Symptom.SCF_NOT_CONVERGED, Symptom.SCF_DIVERGED, Symptom.OUT_OF_TIME, Symptom.DIAGONALISATION,
)  # fmt: skip
_KILLING = (
    signal.SIGKILL,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGXCPU,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


@dataclass(frozen=True)
class Fault:
    """What went wrong in a run.

    Attributes
    ----------
    symptom
        Kind of fault.
    message
        The program's own words where it said anything, one line.
    advice
        What to do.
    """

    symptom: Symptom
    message: str
    advice: str


def fault(symptom: Symptom, message: str) -> Fault:
    """Make a fault with the advice for its symptom; the message becomes one line."""
    return Fault(symptom, " ".join(message.split())[:_LONGEST], ADVICE[symptom])


_Rule = tuple[Symptom, tuple[Program, ...], re.Pattern[str]]


def _rule(symptom: Symptom, pattern: str, *programs: Program) -> _Rule:
    return symptom, programs, re.compile(pattern)


_PW: Program = "pw.x"
_PH: Program = "ph.x"
_LINEAR_ALGEBRA = (
    r"(?i)too many bands are not converged|cholesky|S matrix not positive|diaghg|[cr]egterg|MatChol|invchol"
)
_BLOCK_RULES = (
    _rule(Symptom.MISSING_PSEUDOPOTENTIAL, r"^(?:readpp|read_pseudo\w*|read_upf\w*|upf_\w+|read_psp\w*):|pspcod"),
    _rule(Symptom.CELL_VOLUME_CHANGED, r"cell_factor|^scale_h:"),
    _rule(Symptom.DIAGONALISATION, _LINEAR_ALGEBRA, _PW),
    _rule(Symptom.PHONON_CHOLESKY, _LINEAR_ALGEBRA, _PH),
    _rule(Symptom.DISK_FULL, r"^davcio:|No space left"),
    _rule(Symptom.MISSING_SCF_DATA, r"^(?:read_xml_file|qexsd\w*|read_file\w*|check_tempdir|pw_readfile|read_rhog|read_collected\w*):"),
    _rule(Symptom.RESTART_BROKEN, r"^(?:ph_restart\w*|initialize_grid_variables|phq_recover|check_\w*restart\w*):"),
)  # fmt: skip
"""Of the text ``routine: message`` of an error block."""
_TEXT_RULES = (
    _rule(Symptom.BFGS_HISTORY, r"history already reset at previous step: stopping", _PW),
    _rule(Symptom.SCF_DIVERGED, r"(?:total energy\s+=|estimated scf accuracy\s+<)\s+NaN.*", _PW),
    _rule(Symptom.SCF_NOT_CONVERGED, r"convergence NOT achieved.*", _PW),
    _rule(Symptom.PHONON_NOT_CONVERGED, r"No convergence has been achieved|\|ddv_scf\|\^2 =\s+NaN", _PH),
    _rule(Symptom.OUT_OF_TIME, r"Maximum CPU time exceeded", _PW, _PH),
    _rule(Symptom.RELAXATION_STEPS, r"The maximum number of steps has been reached\.?", _PW),
    _rule(Symptom.OUT_OF_MEMORY, r".*(?:Cannot allocate memory|exceed memory limit|std::bad_alloc|oom-kill).*"),
    _rule(Symptom.DISK_FULL, r".*(?:No space left on device|Disk quota exceeded).*"),
    _rule(Symptom.MISSING_A2F_DATA, r".*file = '\S*a2Fsave'.*|.*Cannot open file '\S*a2Fsave'.*", _PH),
    _rule(Symptom.MISSING_SCF_DATA, r".*file = '\S*\.save/\S*'.*", _PH, "dos.x", "bands.x", _PW),
    _rule(Symptom.RESTART_BROKEN, r".*not allowed after EOF marker.*|end of file reached, tag \S+ not found", _PH),
    _rule(Symptom.MISSING_PHONON_DATA, r"file \S+\s+not found|.*Cannot open file '.*", "q2r.x", "matdyn.x"),
)
"""Of the whole output; a message is what matched."""
_MPI = re.compile(
    r"not enough slots available[^\n]*|unable to (?:launch|find|access)[^\n]*|MPI_ERRORS_ARE_FATAL[^\n]*|ORTE was unable[^\n]*"
)
_ABORT = re.compile(r"MPI_ABORT was invoked|application called MPI_Abort")
_ENDED_BY = re.compile(r"exited on signal (\d+)[^\n]*")
_RUNTIME = re.compile(r"(?:^At line.*\n)?Fortran runtime error:.*|^forrtl:.*|^Program aborted.*", re.MULTILINE)
_BLOCKS = (
    re.compile(r"Error in routine\s+(\S+)\s+\((-?\d+)\):\s*\n(.*?)\n\s*%{20}", re.DOTALL),
    re.compile(r"from\s+(\S+)\s+:\s*error #\s*(-?\d+)\s*\n(.*?)\n\s*%{20}", re.DOTALL),
)
_ITERATION = re.compile(r"^\s*(?:iteration #|iter #|CG style|Davidson|Band Structure Calculation)", re.MULTILINE)
_PRESSURE = re.compile(r"\(kbar\)\s+P=\s*(-?\d+\.\d+)")


def recognise(
    program: Program,
    *,
    exit_code: int,
    output: str,
    crash: str = "",
    timed_out: bool = False,
    calculation: str = "",
) -> Fault | None:
    r"""Tell whether a run succeeded, and if not, why.

    Neither the exit code nor "JOB DONE" is believed alone: `pw.x` and `ph.x` say JOB DONE without having converged, `ph.x`
    leaves with 0 on a dynamically unstable crystal, and `pw.x` with 0 where its BFGS gave up, or its output file was cut
    off by a full disk. Stability is not judged here, nor are the files that a program writes (`onnes.verify.saved`).

    Parameters
    ----------
    program
        What was run.
    exit_code
        As `subprocess` gives it (negative for a signal), or as a shell does (128 + signal).
    output
        Standard output and standard error of this run, together.
    crash
        Text of the file ``CRASH`` that this run wrote.
    timed_out
        Whether the caller ended the run at the time limit of the step.
    calculation
        Of `pw.x`: ``scf`` (default), ``nscf``, ``bands``, ``relax``, ``vc-relax``; of `ph.x`: ``elph`` (default; with
        electron-phonon coupling) or ``ph``.

    Returns
    -------
    Fault or None
        None where exit code, final line and every expected result agree.

    Examples
    --------
    >>> text = "End of self-consistent calculation\nconvergence NOT achieved after 100 iterations: stopping\nJOB DONE."
    >>> recognise("pw.x", exit_code=2, output=text).symptom.value
    'scf_not_converged'
    >>> recognise("ph.x", exit_code=-9, output="").message
    'ended by SIGKILL'
    """
    if timed_out:
        return fault(Symptom.TIME_LIMIT, f"{program} was ended at the time limit of the step")
    found = (
        _from_blocks(program, output, crash)
        or _from_text(program, output)
        or _from_exit_code(program, exit_code, output)
        or _from_missing_markers(program, calculation, output)
    )
    over = _END_OF_RELAXATION in output and calculation == "vc-relax"
    if found is not None and over and found.symptom in _FINAL_SCF_FAULTS:
        return fault(Symptom.FINAL_SCF_OF_RELAXATION, found.message)
    return found


def _from_blocks(program: Program, output: str, crash: str) -> Fault | None:
    """Between lines of percent signs, in the output or the file CRASH."""
    blocks = list(dict.fromkeys(_blocks(output + "\n", crash + "\n")))
    for block in blocks:
        for symptom, programs, pattern in _BLOCK_RULES:
            if (not programs or program in programs) and pattern.search(block):
                return fault(symptom, block)
    if not blocks:
        return None
    started = _ITERATION.search(output)
    return fault(Symptom.PROGRAM_ERROR if started else Symptom.INPUT_ERROR, blocks[0])


def _blocks(*texts: str) -> Iterator[str]:
    for text, pattern in zip(texts, _BLOCKS, strict=True):
        for routine, _, message in pattern.findall(text):
            yield f"{routine}: {' '.join(message.split())}"


def _from_text(program: Program, output: str) -> Fault | None:
    for symptom, programs, pattern in _TEXT_RULES:
        if (not programs or program in programs) and (found := pattern.search(output)):
            return fault(symptom, found.group())
    return None


def _from_exit_code(program: Program, exit_code: int, output: str) -> Fault | None:
    if ended := _ENDED_BY.search(output):  # mpirun's words
        return _by_signal(int(ended.group(1)), program, output)
    if _ABORT.search(output):
        # The library of linear algebra of 6.7 aborts without a word when a Cholesky factorisation fails; the exit code is
        # then the order of the minor that is not positive, and may look like a signal.
        symptom = {_PW: Symptom.DIAGONALISATION, _PH: Symptom.PHONON_CHOLESKY}.get(program, Symptom.PROGRAM_ERROR)
        return fault(symptom, f"{program} aborted with exit code {exit_code} and without an error message")
    if exit_code < 0 or 128 < exit_code < 128 + signal.NSIG:
        return _by_signal(-exit_code if exit_code < 0 else exit_code - 128, program, output)
    if found := _MPI.search(output):
        return fault(Symptom.MPI_ERROR, found.group())
    if exit_code:
        found = _RUNTIME.search(output)
        return fault(Symptom.PROGRAM_ERROR, found.group()) if found else fault(
            Symptom.UNKNOWN, f"{program} ended with exit code {exit_code} and without an error message"
        )  # fmt: skip
    return None


def _by_signal(number: int, program: Program, output: str) -> Fault:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number in _KILLING:
        return fault(Symptom.KILLED, f"ended by {name}")
    reading = "Reading xml data from directory" in output and "G-vector sticks info" not in output
    if number == signal.SIGABRT and reading and program != _PW:
        return fault(Symptom.MISSING_SCF_DATA, f"{program} aborted while reading what the scf had saved")
    return fault(Symptom.CRASHED, f"{program} crashed with {name}")


def _from_missing_markers(program: Program, calculation: str, output: str) -> Fault | None:
    """Judge a run with exit code 0 and no complaint."""
    if "JOB DONE." not in output[-1500:]:
        last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "nothing")
        return fault(Symptom.TRUNCATED, f"exit code 0, but the output ends with: {last}")
    problem = next(_missing(program, calculation, output), None)
    if problem is not None:
        return fault(Symptom.INCOMPLETE, f"JOB DONE, but {problem}")
    return _basis_fault(output) if program == _PW and calculation == "vc-relax" else None


def _missing(program: Program, calculation: str, output: str) -> Iterator[str]:
    """Say what is missing of the results of a run."""
    if program == _PW and calculation in {"nscf", "bands"}:
        yield from _lacks(output, "End of band structure calculation")
        if calculation == "nscf":
            yield from _lacks(output, "Fermi energy", "highest occupied")
    elif program == _PW:
        relaxation, _, rest = output.rpartition(_END_OF_RELAXATION)
        if calculation in {"relax", "vc-relax"}:
            yield from _lacks(relaxation, "Final enthalpy", "Final energy", "convergence achieved, Efinal")
        # the scf of a cell relaxed by BFGS follows; damped dynamics and relaxations of the atoms alone have none
        scf = rest if calculation == "vc-relax" and "bfgs converged" in output else output
        yield from _lacks(scf, "convergence has been achieved")
        yield from _lacks(scf, "!    total energy")
    elif program == _PH:
        yield from _missing_of_phonons(calculation, output)
    elif program == "q2r.x":
        yield from _lacks(output, "q-space grid ok")


def _lacks(text: str, *markers: str) -> Iterator[str]:
    if not any(marker in text for marker in markers):
        yield f"there is no {markers[0].strip('! ')!r} in the output"


def _missing_of_phonons(calculation: str, output: str) -> Iterator[str]:
    """Every q point that was begun must have its frequencies, and its coupling at every broadening."""
    begun = len(re.findall(r"^\s*Calculation of q =", output, re.MULTILINE))
    points = re.split(r"^\s*Diagonalizing the dynamical matrix", output, flags=re.MULTILINE)[1:]
    if not begun or len(points) != begun:
        yield f"{len(points)} of {begun} q points have a dynamical matrix"
    for number, point in enumerate(points, 1):
        name = f"q point {number} of this run"
        frequencies = re.findall(r"^\s*freq \(\s*\d+\) =\s*(\S+)", point, re.MULTILINE)
        if not frequencies or any("*" in value or "NaN" in value for value in frequencies):
            yield f"{name} has no frequencies, or some that are no numbers"
        if calculation in {"", "elph"}:
            widths = point.count("Gaussian Broadening:")
            couplings = len(re.findall(r"^\s*lambda\(\s*\d+\)=", point, re.MULTILINE))
            if not widths or couplings != widths * len(frequencies):
                yield f"{name} has {couplings} couplings for {len(frequencies)} modes at {widths} broadenings"


def _basis_fault(output: str) -> Fault | None:
    relaxation, _, rest = output.rpartition(_END_OF_RELAXATION)
    before, after = _PRESSURE.findall(relaxation), _PRESSURE.findall(rest)
    if not before or not after or abs(float(after[-1]) - float(before[-1])) <= BASIS_KBAR:
        return None
    return fault(
        Symptom.BASIS_CHANGED,
        f"pressure {before[-1]} kbar with the plane waves of the first cell, {after[-1]} kbar with those of the last",
    )
