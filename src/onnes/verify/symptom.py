"""Symptoms: what can go wrong in a run of Quantum ESPRESSO, and what to do about it."""

from __future__ import annotations

from enum import StrEnum


class Symptom(StrEnum):
    """What is wrong with a run."""

    SCF_NOT_CONVERGED = "scf_not_converged"
    """`pw.x` used up its iterations; it says JOB DONE all the same."""
    SCF_DIVERGED = "scf_diverged"
    """The energy is no number any more; the saved density is of no use."""
    OUT_OF_TIME = "out_of_time"
    """The program stopped itself at ``max_seconds``; `pw.x` can go on from what it saved."""
    TIME_LIMIT = "time_limit"
    """The program was ended at the time limit of the step."""
    DIAGONALISATION = "diagonalisation"
    """Too many bands not converged, or a Cholesky factorisation that failed."""
    BFGS_HISTORY = "bfgs_history"
    """The relaxation gave up and calls itself converged."""
    RELAXATION_STEPS = "relaxation_steps"
    """The relaxation used up its steps."""
    FINAL_SCF_OF_RELAXATION = "final_scf_of_relaxation"
    """The cell is relaxed; the scf that follows in the same run failed."""
    CELL_VOLUME_CHANGED = "cell_volume_changed"
    """The cell shrank beyond the tables that were made for the first one (``cell_factor``)."""
    BASIS_CHANGED = "basis_changed"
    """The cell was relaxed with the plane waves of a much different one, and is under pressure with its own."""
    PHONON_NOT_CONVERGED = "phonon_not_converged"
    """`ph.x` used up ``niter_ph``, or diverged; it says JOB DONE all the same."""
    PHONON_CHOLESKY = "phonon_cholesky"
    """Diagonalisation failed in `ph.x`."""
    MISSING_PSEUDOPOTENTIAL = "missing_pseudopotential"
    """A pseudopotential is missing or cannot be read."""
    MISSING_SCF_DATA = "missing_scf_data"
    """What the scf saved is missing or damaged."""
    MISSING_A2F_DATA = "missing_a2f_data"
    """The file ``<prefix>.a2Fsave`` of the scf with ``la2F`` is missing or empty."""
    MISSING_PHONON_DATA = "missing_phonon_data"
    """`q2r.x` or `matdyn.x` did not find the files of the step before."""
    INPUT_ERROR = "input_error"
    """The program refused its input, before the first iteration."""
    PROGRAM_ERROR = "program_error"
    """The program stopped with an error message that is none of the others."""
    KILLED = "killed"
    """Ended from outside: SIGKILL (also the kernel's answer to too little memory), SIGTERM, ..."""
    CRASHED = "crashed"
    """Segmentation fault, abort, illegal instruction, ..."""
    OUT_OF_MEMORY = "out_of_memory"
    """The program was refused memory and said so."""
    DISK_FULL = "disk_full"
    """A scratch file could not be written, or not read back."""
    MPI_ERROR = "mpi_error"
    """The launcher could not start the program."""
    TRUNCATED = "truncated"
    """Exit code 0, but the output has no final line."""
    INCOMPLETE = "incomplete"
    """Exit code 0 and a final line, but a result is missing."""
    RESTART_BROKEN = "restart_broken"
    """The program stumbled over leftovers of an earlier run."""
    UNKNOWN = "unknown"
    """An exit code other than 0 and no explanation."""


ADVICE = {
    Symptom.SCF_NOT_CONVERGED: "lower mixing_beta, start from the saved density; more empty bands or smearing for a metal",
    Symptom.SCF_DIVERGED: "lower mixing_beta much, start from scratch; check distances between atoms and the pseudopotentials",
    Symptom.OUT_OF_TIME: "allow more time; pw.x can be continued, ph.x must begin its q point anew",
    Symptom.TIME_LIMIT: "allow more time, or use more ranks and pools",
    Symptom.DIAGONALISATION: "another diagonalization (paro, cg); check distances between atoms and the pseudopotentials",
    Symptom.BFGS_HISTORY: "forces are too noisy for the steps asked for: tighter conv_thr, smaller trust radius, damped dynamics",
    Symptom.RELAXATION_STEPS: "go on from the last geometry",
    Symptom.FINAL_SCF_OF_RELAXATION: "take the relaxed geometry and run an scf of its own",
    Symptom.CELL_VOLUME_CHANGED: "larger cell_factor, or start from a cell nearer to equilibrium (relax with the potential first)",
    Symptom.BASIS_CHANGED: "relax again from the last geometry, whose plane waves fit it; or raise ecutwfc",
    Symptom.PHONON_NOT_CONVERGED: "lower alpha_mix(1), larger nmix_ph (at most 5 in version 6.7)",
    Symptom.PHONON_CHOLESKY: "repeat the scf and the q point with diagonalization = 'cg'",
    Symptom.MISSING_PSEUDOPOTENTIAL: "check the directory of pseudopotentials and its manifest",
    Symptom.MISSING_SCF_DATA: "repeat the scf on the coarse k grid in the same outdir; check that the disk is not full",
    Symptom.MISSING_A2F_DATA: "repeat the scf with la2F on the dense k grid, then the one on the coarse grid",
    Symptom.MISSING_PHONON_DATA: "repeat the step that writes the file",
    Symptom.INPUT_ERROR: "correct the settings or the crystal; trying again changes nothing",
    Symptom.PROGRAM_ERROR: "read the output; the message is the program's own",
    Symptom.KILLED: "run again; if it recurs, look for too little memory or a time limit of the queue",
    Symptom.CRASHED: "run again; if it recurs, try another build of the program",
    Symptom.OUT_OF_MEMORY: "more memory, more ranks without pools, lower cut-offs or fewer k points",
    Symptom.DISK_FULL: "make room in the folder of the calculation: pw.x itself does not notice a full disk",
    Symptom.MPI_ERROR: "check the launcher and the number of ranks; with Open MPI, --oversubscribe and enough slots",
    Symptom.TRUNCATED: "check that the disk is not full, and run again",
    Symptom.INCOMPLETE: "read the output, and run again",
    Symptom.RESTART_BROKEN: "start this step from scratch, without recover",
    Symptom.UNKNOWN: "read the output and the messages of the launcher",
}
"""What to do, for each symptom."""
