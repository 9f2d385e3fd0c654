"""Where the training data lie, and the composition-hash split."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

TRAINING_BUCKETS = range(80)
VALIDATION_BUCKETS = range(80, 90)


def data_folder() -> Path:
    """Folder of the data files: ``$ONNES_DATA``, by default ``../shared/data``.

    Raises
    ------
    ConfigError
        When it does not exist.
    """
    folder = Path(os.environ.get("ONNES_DATA", "../shared/data"))
    if not folder.is_dir():
        raise ConfigError(
            f"no training data at {folder}: set ONNES_DATA to the folder of the Parquet files (docs/training.md lists "
            "them); predicting and screening do not need them"
        )
    return folder


def read_data(name: str) -> pa.Table:
    """Read one data file, ``name`` without ``.parquet``; raises ConfigError when it is missing."""
    path = data_folder() / f"{name}.parquet"
    if not path.is_file():
        raise ConfigError(f"data file {path} is missing")
    return pq.read_table(path)


def bucket(reduced_formula: str) -> int:
    """Composition bucket 0-99 that decides the split; all polymorphs of a formula share it.

    Examples
    --------
    >>> bucket("MgB2")
    65
    """
    return int(hashlib.md5(reduced_formula.encode(), usedforsecurity=False).hexdigest(), 16) % 100


def buckets(formulas: Iterable[str]) -> NDArray[np.int64]:
    """Buckets of many reduced formulas."""
    return np.array([bucket(formula) for formula in formulas], dtype=np.int64)
