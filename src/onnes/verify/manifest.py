"""A folder of pseudopotentials and its manifest: which file stands for which element, its hash, functional and cut-offs."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from onnes.errors import VerificationError
from onnes.flow.shards import write_bytes
from onnes.verify.upf import FUNCTIONALS, PseudopotentialHeader, density_cutoff, read_header

MANIFEST = "pseudos.toml"
"""Name of the manifest in its folder."""
_SUFFIXES = {".upf", ".gth"}
_KINDS = {"NC", "US", "PAW"}
_HARTREE_RY = 2.0


class ManifestEntry(BaseModel):
    """What a manifest says about one element."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^[^/\\]*[^/\\.][^/\\]*$")
    """Name of a file in the folder of the manifest; never a path."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    functional: Literal["PBE", "PBEsol", "LDA"]
    ecutwfc_Ry: float | None = Field(default=None, gt=0)
    """Cut-off of the wavefunctions; to be added by a person where no source gives it."""
    ecutrho_Ry: float | None = Field(default=None, gt=0)
    """Cut-off of the density; 4 times the other for norm-conserving files and 8 times for others by default."""


def read_manifest(directory: Path) -> dict[str, ManifestEntry]:
    """Read the manifest of a folder.

    Parameters
    ----------
    directory
        Folder with pseudopotentials and ``pseudos.toml``.

    Returns
    -------
    dict
        Entries by element.

    Raises
    ------
    VerificationError
        When there is no manifest, or it cannot be used: not TOML, a missing or wrong value, a file that is not in the folder.
    """
    path = directory / MANIFEST
    if not path.is_file():
        what = f"has no manifest; make one with: onnes pseudos {directory}" if directory.is_dir() else "is no folder"
        raise VerificationError(f"{directory} {what}")
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path} cannot be read: {error}") from error
    entries = {}
    for element, values in document.items():
        try:
            entries[element] = ManifestEntry.model_validate(values)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            note = " (a file is named without folders: it lies beside the manifest)" if "file" in problems else ""
            raise VerificationError(f"{path}: [{element}] cannot be used: {problems}{note}") from error
    return entries


def make_manifest(directory: Path, *, hint: Literal["low", "normal", "high"] = "high") -> Path:
    """Write the manifest of a folder of pseudopotentials (``*.UPF``, ``*.upf``, ``*.gth``), one file an element.

    Cut-offs come, in this order, from an existing manifest where the file has not changed since (so that what a person
    wrote stays), from an SSSP table in the folder (JSON: file name, MD5, ``cutoff_wfc``, ``cutoff_rho``; it also decides
    between several files of an element), from the hints of PseudoDojo beside the file (``<name>.djrepo`` or ``.json``,
    in hartree), and from the header of the file. An element for which none of them has a cut-off is written without: add
    a line ``ecutwfc_Ry = ...`` below its name.

    Parameters
    ----------
    directory
        The folder.
    hint
        Which of PseudoDojo's hints: phonons ask for the high ones (M. J. van Setten et al., Comput. Phys. Commun. 226, 39 (2018)).

    Returns
    -------
    Path
        Of the manifest.

    Raises
    ------
    VerificationError
        When there is no usable file, an element has several, a file differs from the MD5 of the SSSP table, or a file
        cannot be used at all.
    """
    import tomlkit

    old = read_manifest(directory) if (directory / MANIFEST).is_file() else {}
    sssp = _sssp(directory)
    document = tomlkit.document()
    document.add(
        tomlkit.comment("Pseudopotentials of this folder. Add ecutwfc_Ry (and ecutrho_Ry) where they are missing.")
    )
    for element, (path, header) in sorted(_files(directory, sssp).items()):
        entry = _entry(path, header, sssp.get(element), old.get(element), hint)
        document.add(element, tomlkit.item(entry.model_dump(exclude_none=True)))
    write_bytes(tomlkit.dumps(document).encode(), directory / MANIFEST)
    return directory / MANIFEST


def _files(directory: Path, sssp: dict[str, dict[str, Any]]) -> dict[str, tuple[Path, PseudopotentialHeader]]:
    """One usable file of each element."""
    if not directory.is_dir():
        raise VerificationError(f"{directory} is no folder")
    found: dict[str, list[tuple[Path, PseudopotentialHeader]]] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() in _SUFFIXES and path.is_file():
            header = read_header(path)
            if sssp.get(header.element, {"filename": path.name})["filename"] == path.name:
                found.setdefault(header.element, []).append((path, header))
    if not found:
        raise VerificationError(f"{directory} has no pseudopotentials (*.UPF, *.upf, *.gth) that could be listed")
    several = [f"{el} ({', '.join(p.name for p, _ in files)})" for el, files in found.items() if len(files) > 1]
    if several:
        raise VerificationError(f"{directory} has several files of one element, keep one of each: {'; '.join(several)}")
    for path, header in (files[0] for files in found.values()):
        if header.functional not in FUNCTIONALS or header.kind not in _KINDS:
            raise VerificationError(
                f"{path}: a pseudopotential of type {header.kind} for the functional {header.functional} cannot be used "
                f"(types {', '.join(sorted(_KINDS))}; functionals {', '.join(FUNCTIONALS)}); move it out of the folder"
            )
    return {element: files[0] for element, files in found.items()}


def _entry(
    path: Path, header: PseudopotentialHeader, sssp: dict[str, Any] | None, old: ManifestEntry | None, hint: str
) -> ManifestEntry:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    wavefunctions, density = header.ecutwfc_Ry, header.ecutrho_Ry
    if (hinted := _pseudodojo(path, hint)) is not None:
        wavefunctions, density = hinted, None
    if sssp is not None:
        # the hash that the publishers of the table chose; it tells an older release of a file, nothing more
        md5 = sssp.get("md5")
        if md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            raise VerificationError(
                f"{path} is not the file of the SSSP table in its folder (MD5 differs); get both from the same release"
            )
        wavefunctions, density = _positive(sssp.get("cutoff_wfc")), _positive(sssp.get("cutoff_rho"))
    if old is not None and old.sha256 == digest and old.ecutwfc_Ry is not None:
        wavefunctions, density = old.ecutwfc_Ry, old.ecutrho_Ry
    if wavefunctions is not None and density is None:
        density = density_cutoff(header.kind, wavefunctions)
    return ManifestEntry.model_validate(
        {
            "file": path.name,
            "sha256": digest,
            "functional": header.functional,
            "ecutwfc_Ry": wavefunctions,
            "ecutrho_Ry": density,
        }
    )


def _sssp(directory: Path) -> dict[str, dict[str, Any]]:
    """Rows by element of the SSSP tables in a folder."""
    rows: dict[str, dict[str, Any]] = {}
    for path in sorted(directory.glob("*.json")):
        table = _json(path)
        rows |= {
            element: row
            for element, row in table.items()
            if isinstance(row, dict) and isinstance(row.get("filename"), str) and "cutoff_wfc" in row
        }
    return rows


def _pseudodojo(path: Path, hint: str) -> float | None:
    """Cut-off in Ry that PseudoDojo's report beside a file hints at."""
    for report in (path.with_suffix(".djrepo"), path.with_suffix(".json")):
        hints = _json(report).get("hints") if report.is_file() else None
        if isinstance(hints, dict) and isinstance(hints.get(hint), dict):
            ecut = _positive(hints[hint].get("ecut"))
            return None if ecut is None else _HARTREE_RY * ecut
    return None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerificationError(f"{path} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
