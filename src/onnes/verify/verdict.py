"""Verdicts of a verification."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a verification ends with."""

    SUPERCONDUCTOR = "superconductor"
    """Stable phonons, a plateau of lambda, and a Tc above the lowest that is called one."""
    NO_SUPERCONDUCTIVITY = "no_superconductivity"
    """Stable phonons and a plateau of lambda, but no Tc worth the name."""
    UNSTABLE = "unstable"
    """A mode with omega^2 < 0: no Tc is given, whatever the other modes say."""
    METALLIC = "metallic"
    """Level ``dos`` only: states at the Fermi level; Tc was not looked for."""
    NOT_METALLIC = "not_metallic"
    """No states at the Fermi level, or too few."""
    NOT_CONVERGED = "not_converged"
    """The numbers depend on smearing or grids so much that none of them is given as the result."""
    FAILED = "failed"
    """A step failed, after the tries that the policy allows."""
    NOT_AVAILABLE = "not_available"
    """Programs or pseudopotentials are missing: nothing was computed."""


@dataclass(frozen=True)
class Judgement:
    """A verdict with its reason.

    Attributes
    ----------
    verdict
        What the verification ends with.
    step
        Step that decided it, such as ``relax`` or ``phonons-2``; empty before the first.
    reason
        One sentence on what was seen, with its numbers.
    advice
        What to do next; empty where nothing is to be done.
    """

    verdict: Verdict
    step: str
    reason: str
    advice: str = ""
