"""Crystals that a person brings into a study, from files or from Python; no tool of an agent does."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.crystals.table import identify
from onnes.errors import CrystalError
from onnes.flow.shards import parquet_bytes
from onnes.tools.inputs import Crystals, as_table

if TYPE_CHECKING:
    from onnes.campaign.study import SetInfo, Study

SOURCE = "files"
"""What the origin of such a set says in place of a tool."""


def bring_in(study: Study, crystals: Crystals) -> SetInfo:
    """Make a set of crystals that were given by a person.

    Parameters
    ----------
    study
        Where they shall be.
    crystals
        See `onnes.tools.inputs.as_table`.

    Returns
    -------
    SetInfo
        The set; the same crystals give the same one. A bad file is a row with ``error``.

    Raises
    ------
    CrystalError
        When there is none.

    Examples
    --------
    >>> import tempfile
    >>> from onnes.campaign.study import Study
    >>> from onnes.crystals.known import known_table
    >>> info = bring_in(Study.create(tempfile.mkdtemp()), known_table(["Nb", "Pb"]))
    >>> info.tool, info.n_rows
    ('files', 2)
    """
    table = identify(as_table(crystals))  # so that rows can be told apart, and found by their structure
    if not table.num_rows:
        raise CrystalError("there is no crystal in what was given; name files of crystals")
    arguments = {"sha256": hashlib.sha256(parquet_bytes(table)).hexdigest(), "from": _names(crystals)}
    set_id = study.name_of(SOURCE, {"sha256": arguments["sha256"]})
    if study.has(set_id):
        return study.info(set_id)
    return study.add(set_id, table, tool=SOURCE, arguments=arguments)


def _names(crystals: Any) -> list[str]:
    """Names of files without their folders, which are nobody's business."""
    items = crystals if isinstance(crystals, list | tuple) else [crystals]
    return sorted({Path(one).name for one in items if isinstance(one, str | Path)})
