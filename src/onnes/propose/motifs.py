"""Families of structure types, under the names that people search by."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any

from onnes.errors import ConfigError


@lru_cache(maxsize=1)
def _entries() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files("onnes.propose").joinpath("data/motifs.toml").read_text(encoding="utf-8"))


def motif_names() -> list[str]:
    """Names of the families, in the order of the list.

    Examples
    --------
    >>> motif_names()[:2]
    ['laves', 'a15']
    """
    return list(_entries())


def motif_prototypes(name: str) -> list[str]:
    """Names of the structure types of a family (`onnes.propose.prototypes.prototype`).

    Parameters
    ----------
    name
        One of `motif_names`; case does not matter.

    Raises
    ------
    ConfigError
        When there is no such family; the message gives names that look like it.

    Examples
    --------
    >>> motif_prototypes("laves")
    ['C14', 'C15', 'C36']
    """
    return list(_entry(name)["types"])


def motif_about(name: str) -> str:
    """One line on a family; raises ConfigError as `motif_prototypes` does.

    Examples
    --------
    >>> motif_about("a15")
    'A3B with chains of A, such as Nb3Sn'
    """
    return str(_entry(name)["about"])


def _entry(name: str) -> dict[str, Any]:
    key = name.lower()
    if key not in _entries():
        close = get_close_matches(key, motif_names(), n=4, cutoff=0.4)
        hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(motif_names())}"
        raise ConfigError(f"no motif is called {name!r}; {hint}")
    return _entries()[key]
