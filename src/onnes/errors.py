"""The exceptions of onnes: one base, a few kinds, each message says what to do next."""

from __future__ import annotations


class OnnesError(Exception):
    """Base of every error that onnes raises on purpose."""


class CrystalError(OnnesError):
    """A crystal, or the file it came from, cannot be used."""


class ModelError(OnnesError):
    """A learned model or a potential is missing, damaged, or asked for something it cannot do."""


class ReferenceMismatch(OnnesError):
    """Energies of two origins were about to be compared."""


class EngineError(OnnesError):
    """A funnel or one of its shards could not be run."""


class ConfigError(OnnesError):
    """A setting, a funnel file or a command-line choice is wrong."""


class SpectrumError(OnnesError, ValueError):
    """A spectrum cannot be used: its grid is not increasing, or its shape does not fit the grid."""


class VerificationError(OnnesError):
    """A first-principles calculation cannot be set up or read: pseudopotentials, a step, a folder in use."""


class EvidenceError(OnnesError):
    """A number has no source, or the record of a study was changed."""


class BudgetSpent(OnnesError):
    """The budget of a study does not allow another step."""


class NotApproved(OnnesError):
    """Something that writes or submits was not allowed by a person."""
