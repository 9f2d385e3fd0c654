"""Pseudopotentials for a crystal: from the user's folder, from Quantum ESPRESSO's examples, or from GTH tables."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from onnes.errors import VerificationError
from onnes.flow.shards import write_bytes
from onnes.verify.gth import INSTALL, gth_entries, gth_tables, read_gth
from onnes.verify.gth_cutoffs import HIGHER_CUTOFFS_RY, load_cutoffs
from onnes.verify.manifest import MANIFEST, ManifestEntry, read_manifest
from onnes.verify.result import UsedPseudopotential
from onnes.verify.upf import density_cutoff, parse_header, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence

DEBIAN = Path("/usr/share/espresso/pseudo")
"""Where the package quantum-espresso-data puts its files; ``ESPRESSO_PSEUDO`` names another folder."""
ELECTRONIC_LEVELS = frozenset({"dos"})
"""Levels that compute electrons at a given geometry, for which a softer cut-off is enough."""
_FAMILIES = {"PBE": "PBE", "LDA": "PADE"}


@dataclass(frozen=True)
class Pseudopotential:
    """One pseudopotential and how to use it.

    Attributes
    ----------
    file
        Name where it came from.
    functional
        ``PBE``, ``PBEsol`` or ``LDA``.
    ecutwfc_Ry, ecutrho_Ry
        Cut-offs of wavefunctions and density that it needs.
    provider
        ``directory``, ``gth`` or ``debian``.
    valence
        Electrons that are not in the core.
    lower_confidence
        Whether results made with it deserve a mark.
    text
        Content of the file.
    remarks
        What a reader of the results should know.
    """

    element: str
    file: str
    sha256: str
    functional: str
    ecutwfc_Ry: float
    ecutrho_Ry: float
    provider: str
    valence: float
    lower_confidence: bool
    text: bytes = field(repr=False)
    remarks: tuple[str, ...] = ()

    @property
    def safe_name(self) -> str:
        """Name under which it is written: plain characters, the element first.

        Examples
        --------
        >>> Pseudopotential("Al", "my file.UPF", "", "PBE", 30, 120, "directory", 3, False, b"").safe_name
        'Al_my_file.UPF'
        """
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", self.file)
        return name if re.match(rf"{self.element}[^A-Za-z]", name) else f"{self.element}_{name}"

    def write(self, folder: Path) -> Path:
        """Write the file into a folder under its safe name."""
        path = folder / self.safe_name
        write_bytes(self.text, path)
        return path

    def used(self) -> UsedPseudopotential:
        """Return what results say about it."""
        return UsedPseudopotential(
            element=self.element,
            file=self.file,
            sha256=self.sha256,
            functional=self.functional,
            provider=self.provider,
            ecutwfc_Ry=self.ecutwfc_Ry,
            ecutrho_Ry=self.ecutrho_Ry,
            lower_confidence=self.lower_confidence,
        )


def find_pseudopotentials(
    elements: Sequence[str],
    directory: Path | None = None,
    functional: str | None = None,
    *,
    level: str = "smoke",
    debian: Path | None = None,
) -> dict[str, Pseudopotential]:
    """Find the pseudopotentials of a crystal, all from one provider and for one functional.

    With a folder, its manifest decides. Without, GTH tables give the files; for LDA the norm-conserving files of Quantum
    ESPRESSO's examples come first where they cover all elements.

    Parameters
    ----------
    elements
        Symbols; repeated ones count once.
    directory
        Folder with a manifest (`onnes.verify.manifest.make_manifest`).
    functional
        ``PBE``, ``PBEsol`` or ``LDA``. By default that of the folder, or ``PBE`` without one.
    level
        Of the verification: ``dos`` may take softer cut-offs from the table of GTH cut-offs.
    debian
        Folder of Quantum ESPRESSO's example files; by default ``ESPRESSO_PSEUDO``, or where Debian's package puts them.

    Returns
    -------
    dict
        By element.

    Raises
    ------
    VerificationError
        When an element is missing or has no known cut-off, a file is not the one of the manifest, functionals are mixed,
        or nothing is installed.

    Examples
    --------
    >>> found = find_pseudopotentials(["Nb", "C"])  # doctest: +SKIP
    >>> max(p.ecutwfc_Ry for p in found.values())  # doctest: +SKIP
    150.0
    """
    wanted = list(dict.fromkeys(elements))
    if directory is not None:
        return _from_directory(wanted, directory, functional)
    functional = functional or "PBE"
    if functional not in _FAMILIES:
        raise VerificationError(
            f"no pseudopotentials for {functional} are installed; put UPF files into a folder, "
            "list them with `onnes pseudos FOLDER`, and name the folder"
        )
    place = debian or Path(os.environ.get("ESPRESSO_PSEUDO") or DEBIAN)
    return _from_debian(wanted, place, functional) or _from_gth(wanted, functional, level)


def _from_directory(elements: list[str], directory: Path, functional: str | None) -> dict[str, Pseudopotential]:
    manifest, path = read_manifest(directory), directory / MANIFEST
    if missing := [element for element in elements if element not in manifest]:
        raise VerificationError(
            f"{path} has no pseudopotential of {', '.join(missing)}; put the files into the folder "
            f"and run: onnes pseudos {directory}"
        )
    if unknown := [element for element in elements if manifest[element].ecutwfc_Ry is None]:
        raise VerificationError(
            f"{path} gives no cut-off for {', '.join(unknown)}; add `ecutwfc_Ry = ...` below "
            f"{', '.join(f'[{element}]' for element in unknown)}, as the publisher of the file recommends"
        )
    functionals = {element: manifest[element].functional for element in elements}
    if len(set(functionals.values())) > 1:
        listed = ", ".join(f"{element} {name}" for element, name in functionals.items())
        raise VerificationError(f"{path} mixes functionals ({listed}); use files of one functional")
    if functional is not None and set(functionals.values()) - {functional}:
        raise VerificationError(
            f"{path} has pseudopotentials for {next(iter(functionals.values()))}, not for {functional}"
        )
    return {element: _listed(element, manifest[element], directory) for element in elements}


def _listed(element: str, entry: ManifestEntry, directory: Path) -> Pseudopotential:
    """Read one file of a manifest, and check that it is the one that was listed."""
    path = directory / entry.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VerificationError(f"{path}, listed for {element}, cannot be read: {error.strerror}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256:
        raise VerificationError(
            f"{path} is not the file that {MANIFEST} lists for {element} (sha256 {digest[:12]}..., expected "
            f"{entry.sha256[:12]}...); restore it, or run: onnes pseudos {directory}"
        )
    header = parse_header(content, entry.file)
    if header.element != element or header.functional != entry.functional:
        raise VerificationError(
            f"{directory / MANIFEST} lists {entry.file} for {element} and {entry.functional}, "
            f"but the file is for {header.element} and {header.functional}"
        )
    assert entry.ecutwfc_Ry is not None  # noqa: S101 - refused before
    remarks = []
    if header.kind != "NC":
        remarks.append(
            f"{element}: {header.kind} pseudopotential; electron-phonon coupling was tested with norm-conserving ones"
        )
    if entry.ecutrho_Ry is None:
        remarks.append(f"{element}: cut-off of the density not given, a multiple of ecutwfc_Ry is used")
    return Pseudopotential(
        element,
        entry.file,
        digest,
        entry.functional,
        entry.ecutwfc_Ry,
        entry.ecutrho_Ry or density_cutoff(header.kind, entry.ecutwfc_Ry),
        provider="directory",
        valence=header.valence,
        lower_confidence=False,
        text=content,
        remarks=tuple(remarks),
    )


@lru_cache(maxsize=1)
def _debian_files() -> dict[str, dict[str, dict[str, str | float]]]:
    """File and cut-off of each element, by functional."""
    return tomllib.loads(files("onnes.verify").joinpath("data/debian_cutoffs.toml").read_text(encoding="utf-8"))


def _from_debian(elements: list[str], folder: Path, functional: str) -> dict[str, Pseudopotential]:
    """Norm-conserving files with a measured cut-off; nothing unless they cover all elements."""
    table = _debian_files().get(functional, {})
    rows = {element: table[element] for element in elements if element in table}
    paths = {element: folder / str(row["file"]) for element, row in rows.items()}
    if len(rows) < len(elements) or not all(path.is_file() for path in paths.values()):
        return {}
    found = {}
    for element, path in paths.items():
        header, content = read_header(path), path.read_bytes()
        if (header.element, header.kind, header.functional) != (element, "NC", functional) or header.fully_relativistic:
            return {}
        cutoff = float(rows[element]["ecutwfc_Ry"])
        found[element] = Pseudopotential(
            element,
            path.name,
            hashlib.sha256(content).hexdigest(),
            functional,
            cutoff,
            density_cutoff(header.kind, cutoff),
            provider="debian",
            valence=header.valence,
            lower_confidence=False,
            text=content,
        )
    return found


def _from_gth(elements: list[str], functional: str, level: str) -> dict[str, Pseudopotential]:
    try:
        tables = gth_tables(_FAMILIES[functional])
    except VerificationError as error:
        lda = " quantum-espresso-data has LDA files of a few elements." if functional == "LDA" else ""
        raise VerificationError(
            f"no pseudopotentials: install GTH tables with: {INSTALL}.{lda} Or put UPF files into a folder and list them "
            "with `onnes pseudos FOLDER`"
        ) from error
    found, problems = {}, []
    for element in elements:
        try:
            found[element] = _gth(element, functional, level, tables)
        except VerificationError as error:
            problems.append(str(error))
    if problems:
        raise VerificationError(
            f"{'; '.join(problems)}. Put UPF files of all elements of the crystal into a folder, list them with "
            "`onnes pseudos FOLDER`, and name the folder"
        )
    return found


def _gth(element: str, functional: str, level: str, tables: Path) -> Pseudopotential:
    """Entry of the tables with the cut-off that was measured for it.

    Cut-offs were measured for PBE. The LDA entry with as many electrons has nearly the same radii, which decide, and takes the same.
    """
    family, remarks = _FAMILIES[functional], []
    row = load_cutoffs().get(element)
    if row is None:
        gth_entries(element, family, tables)  # says so when there is none at all
        raise VerificationError(f"no cut-off was measured for the GTH pseudopotential of {element}")
    electronic = level in ELECTRONIC_LEVELS
    cutoff = row.electronic_Ry if electronic else row.structural_Ry
    if cutoff is None:
        purpose = "a density of states" if electronic else "relaxation and phonons"
        raise VerificationError(f"{row.name} of {element} is not converged at {HIGHER_CUTOFFS_RY[-2]} Ry for {purpose}")
    if functional != "PBE":
        remarks.append(f"{element}: cut-off measured for the PBE pseudopotential with as many electrons")
    potential = read_gth(element, family, tables, name=row.name.replace("GTH-PBE", f"GTH-{family}"))
    content = potential.as_psp10().encode()
    return Pseudopotential(
        element,
        f"{element}.{potential.name}.gth",
        hashlib.sha256(content).hexdigest(),
        functional,
        float(cutoff),
        density_cutoff("NC", float(cutoff)),
        provider="gth",
        valence=float(potential.valence),
        lower_confidence=True,
        text=content,
        remarks=tuple(remarks),
    )
