"""References: known phases whose energies were computed by one potential, and how they are kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from onnes.errors import ConfigError, ReferenceMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("reduced_formula", pa.string()),
        ("n_atoms", pa.int16()),
        ("prototype", pa.string()),
        ("energy_eV_per_atom", pa.float64()),
        ("forces_max_eV_per_A", pa.float32()),
        ("relaxed", pa.bool_()),
    ]
)
_SHIPPED = {"sevennet-0": "sevennet-0.parquet"}
HYPOTHETICAL = "prototype"
"""Source of phases that nobody reported: they compete on the hull, but a crystal like them counts as novel."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Known phases with energies of one potential.

    Attributes
    ----------
    name
        For reports.
    potential, potential_sha256, energy_scheme
        Whose energies these are; a hull refuses any other.
    table
        Columns of `SCHEMA`. ``energy_eV_per_atom`` is null for a phase that is only known, not computed.
    sha256
        Of the file.
    notes
        How it was made, as written into the file.
    """

    name: str
    potential: str
    potential_sha256: str
    energy_scheme: str
    table: pa.Table
    sha256: str
    notes: Mapping[str, str]

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read a reference file; raises ConfigError when it is none."""
        path = Path(path)
        if not path.is_file():
            raise ConfigError(f"reference {path} does not exist; build one with `onnes reference build`")
        return cls._parse(path.read_bytes(), str(path))

    @classmethod
    def shipped(cls, potential: str) -> Reference:
        """Return the reference that the package ships for a potential; raises ConfigError when there is none."""
        if potential not in _SHIPPED:
            raise ConfigError(
                f"the package ships no reference for potential {potential!r}; build one with "
                f"`onnes reference build FILE --potential {potential} --out REFERENCE` and pass it with --reference"
            )
        file = resources.files("onnes.physics") / "data" / _SHIPPED[potential]
        if not file.is_file():
            raise ConfigError(f"the installed package lacks its reference {_SHIPPED[potential]}; install it again")
        return cls._parse(file.read_bytes(), f"shipped reference of {potential}")

    @classmethod
    def find(cls, reference: str | None, potential: str) -> Reference:
        """Load the file named ``reference``, or the shipped one of the potential when it is None.

        The name of a potential instead of a file means the reference shipped for that potential.
        """
        return _cached(reference, potential)

    @classmethod
    def _parse(cls, data: bytes, origin: str) -> Reference:
        try:
            table = pq.read_table(pa.BufferReader(data))
            header = json.loads((table.schema.metadata or {})[b"onnes_reference"])
            return cls(
                header["name"],
                header["potential"],
                header["potential_sha256"],
                header["energy_scheme"],
                table.select(SCHEMA.names),
                hashlib.sha256(data).hexdigest(),
                header.get("notes", {}),
            )
        except (pa.ArrowInvalid, OSError, KeyError, ValueError) as error:
            raise ConfigError(f"{origin}: not a reference file of onnes ({error})") from error

    def save(self, path: str | Path) -> None:
        """Write the file that `load` reads."""
        header = {
            "name": self.name,
            "potential": self.potential,
            "potential_sha256": self.potential_sha256,
            "energy_scheme": self.energy_scheme,
            "notes": dict(self.notes),
        }
        table = self.table.cast(SCHEMA).replace_schema_metadata({b"onnes_reference": json.dumps(header).encode()})
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", compression_level=19)

    def require(self, potential: str) -> None:
        """Raise ReferenceMismatch unless the energies to be compared come from the same potential."""
        if potential != self.potential:
            raise ReferenceMismatch(
                f"energies of potential {potential!r} cannot be compared with reference {self.name!r}, whose energies "
                f"are those of {self.potential!r} ({self.energy_scheme}); relax with {self.potential!r} or pass a "
                f"reference built with {potential!r}"
            )

    def require_same_origin(self, other: Reference) -> None:
        """Raise ReferenceMismatch unless the energies of both come from the same weights and scheme."""
        for what in ("potential", "potential_sha256", "energy_scheme"):
            mine, theirs = getattr(self, what), getattr(other, what)
            if mine != theirs:
                raise ReferenceMismatch(
                    f"references {self.name!r} and {other.name!r} cannot be combined: {what} {mine!r} against {theirs!r}; "
                    "build one of them again with the potential of the other"
                )

    @cached_property
    def labels(self) -> dict[tuple[str, str], str]:
        """First id of every (reduced formula, prototype label) known here; `HYPOTHETICAL` phases are not."""
        columns = (self.table[name].to_pylist() for name in ("reduced_formula", "prototype", "id", "source"))
        known: dict[tuple[str, str], str] = {}
        for formula, prototype, name, source in zip(*columns, strict=True):
            if prototype is not None and source != HYPOTHETICAL:
                known.setdefault((formula, prototype), name)
        return known

    @cached_property
    def lowest(self) -> dict[str, tuple[float, str]]:
        """Lowest energy (eV/atom) and its id for every reduced formula."""
        table = self.table.filter(pc.field("energy_eV_per_atom").is_valid())
        best: dict[str, tuple[float, str]] = {}
        rows = zip(
            table["reduced_formula"].to_pylist(), table["energy_eV_per_atom"].to_pylist(), table["id"].to_pylist(),
            strict=True,
        )  # fmt: skip
        for formula, energy, name in rows:
            if formula not in best or energy < best[formula][0]:
                best[formula] = (energy, name)
        return best


_CACHE: dict[tuple[str | None, str], Reference] = {}


def _cached(reference: str | None, potential: str) -> Reference:
    key = (reference, potential if reference is None else "")
    if key not in _CACHE:
        shipped = potential if reference is None else reference
        is_file = reference is not None and (reference not in _SHIPPED or Path(reference).is_file())
        _CACHE[key] = Reference.load(shipped) if is_file else Reference.shipped(shipped)
    return _CACHE[key]
