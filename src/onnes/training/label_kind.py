"""Kinds of labels: where a training value comes from. Values of two kinds are never trained on as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnes.crystals.schema import values
from onnes.errors import ConfigError
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, bucket

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

KIND = "label_kind"
"""The column that names the kind."""
FIRST_PRINCIPLES = "first_principles_verified"
"""Computed by `onnes.verify`."""
TRAIN, VALIDATION, RESERVED = "train", "validation", "reserved"


def one_kind(tables: Iterable[pa.Table], where: str = "these tables") -> str | None:
    """Return the kind of labels that all rows share.

    Parameters
    ----------
    tables
        With or without the column ``label_kind``.
    where
        What they are called in the message.

    Returns
    -------
    str or None
        None where no row names a kind.

    Raises
    ------
    ConfigError
        When rows are of two kinds, or only some of them name one.

    Examples
    --------
    >>> import pyarrow as pa
    >>> one_kind([pa.table({"label_kind": ["first_principles_verified"]}), pa.table({"tc_K": [9.2]})])
    Traceback (most recent call last):
    onnes.errors.ConfigError: these tables mix labels: first_principles_verified, unnamed. Keep each kind in a file of its own
    """
    kinds = {kind for table in tables for kind in values(table, KIND)}
    if len(kinds) > 1:
        named = ", ".join(sorted("unnamed" if kind is None else str(kind) for kind in kinds))
        raise ConfigError(f"{where} mix labels: {named}. Keep each kind in a file of its own")
    return kinds.pop() if kinds else None


def split_of(reduced_formula: str) -> str:
    """Part of the data that a formula belongs to: ``train``, ``validation`` (buckets 80-89) or ``reserved`` (90-99).

    Examples
    --------
    >>> split_of("MgB2"), split_of("Nb3Sn")
    ('train', 'train')
    """
    number = bucket(reduced_formula)
    if number in TRAINING_BUCKETS:
        return TRAIN
    return VALIDATION if number in VALIDATION_BUCKETS else RESERVED
