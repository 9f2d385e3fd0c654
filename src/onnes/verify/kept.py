"""Results that take seconds to compute from the outputs of programs, kept beside them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from onnes import __version__
from onnes.flow.shards import key_sha256, write_bytes
from onnes.verify.result import Coupling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path


def kept_coupling(
    path: Path, sources: Iterable[Path], mu_stars: Sequence[float], compute: Callable[[], Coupling]
) -> Coupling:
    """Compute a coupling, or read it where it was computed before from the same outputs.

    Parameters
    ----------
    path
        Of the file it is kept in.
    sources
        Files that it is computed from.
    mu_stars
        Coulomb pseudopotentials.
    compute
        Called where there is nothing, or something else: other outputs, another version of this package.
    """
    key = key_sha256(
        version=__version__,
        mu_stars=list(mu_stars),
        sources=[hashlib.sha256(source.read_bytes()).hexdigest() for source in sources],
    )
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            return Coupling.model_validate(kept["coupling"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    coupling = compute()
    content = {"key": key, "coupling": coupling.model_dump(mode="json")}
    write_bytes(json.dumps(content).encode(), path)
    return coupling
