"""What the header of a pseudopotential file says, in the formats that `pw.x` reads here: UPF 1, UPF 2, and GTH (``.gth``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ase.data import atomic_numbers, chemical_symbols

from onnes.errors import VerificationError
from onnes.verify.gth import FUNCTIONAL_CODES

if TYPE_CHECKING:
    from pathlib import Path

FUNCTIONALS = ("PBE", "PBEsol", "LDA")
"""Functionals that a verification can use."""
_SHORT = {"PBE": "PBE", "PBESOL": "PBEsol", "PZ": "LDA", "LDA": "LDA"}
_PARTS: dict[tuple[str, ...], str] = {
    ("SLA", "PW", "PBX", "PBC"): "PBE",
    ("SLA", "PW", "PBE", "PBE"): "PBE",
    ("SLA", "PW", "PSX", "PSC"): "PBEsol",
    ("SLA", "PZ", "NOGX", "NOGC"): "LDA",
    ("SLA", "PW", "NOGX", "NOGC"): "LDA",
}
_KINDS = {"NC": "NC", "SL": "NC", "US": "US", "USPP": "US", "PAW": "PAW"}
_ATTRIBUTE = re.compile(r"""([\w.:-]+)\s*=\s*("[^"]*"|'[^']*')""")
_HEADER_2 = re.compile(r"""<PP_HEADER((?:\s+[\w.:-]+\s*=\s*(?:"[^"]*"|'[^']*'))+)\s*/?>""")
_HEADER_1 = re.compile(r"<PP_HEADER>(.*?)</PP_HEADER>", re.DOTALL)


@dataclass(frozen=True)
class PseudopotentialHeader:
    """The part of a pseudopotential file that decides how it may be used.

    Attributes
    ----------
    kind
        ``NC`` (norm-conserving), ``US`` (ultrasoft), ``PAW``, or what the file says.
    functional
        ``PBE``, ``PBEsol``, ``LDA``, or what the file says.
    ecutwfc_Ry, ecutrho_Ry
        Cut-offs that the file itself suggests; None where it suggests none.
    fully_relativistic
        With spin-orbit coupling.
    """

    element: str
    kind: str
    functional: str
    valence: float
    ecutwfc_Ry: float | None = None
    ecutrho_Ry: float | None = None
    fully_relativistic: bool = False


def density_cutoff(kind: str, ecutwfc_Ry: float) -> float:
    """Return the cut-off of the density where none is given: 4 times that of the wavefunctions, 8 times unless norm-conserving.

    Examples
    --------
    >>> density_cutoff("NC", 40.0), density_cutoff("US", 40.0)
    (160.0, 320.0)
    """
    return (4.0 if kind == "NC" else 8.0) * ecutwfc_Ry


def read_header(path: Path) -> PseudopotentialHeader:
    """Read the header of a file ending in ``.upf`` or ``.gth``.

    Raises
    ------
    VerificationError
        When the file cannot be read, or has no such header.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VerificationError(f"{path} cannot be read: {error.strerror}") from error
    return parse_header(content, path.name)


def parse_header(content: bytes, name: str) -> PseudopotentialHeader:
    """Read the header from the content of a file; its name tells the format and stands in messages.

    Raises
    ------
    VerificationError
        When there is no header, or a value in it makes no sense.
    """
    text = content.decode("utf-8", errors="replace")
    try:
        header = _gth(text) if name.lower().endswith(".gth") else _upf(text)
    except (ValueError, IndexError, KeyError) as error:
        raise VerificationError(f"{name} cannot be read as a pseudopotential: {error}") from error
    if header.element not in atomic_numbers or header.element == "X" or not header.valence > 0:
        raise VerificationError(
            f"{name}: no pseudopotential of an element ({header.element!r}, valence {header.valence})"
        )
    return header


def _upf(text: str) -> PseudopotentialHeader:
    if match := _HEADER_2.search(text):
        return _version_2({key: value[1:-1].strip() for key, value in _ATTRIBUTE.findall(match[1])})
    if match := _HEADER_1.search(text):
        return _version_1(match[1].strip("\n").splitlines(), fully_relativistic="<PP_ADDINFO>" in text)
    raise ValueError("there is no PP_HEADER")


def _version_2(attributes: dict[str, str]) -> PseudopotentialHeader:
    wavefunctions, density = (_positive(attributes.get(key, "0")) for key in ("wfc_cutoff", "rho_cutoff"))
    is_paw = _true(attributes.get("is_paw", ""))  # some sets write the type of the norm instead
    return _header(
        attributes["element"].capitalize(),
        "PAW" if is_paw else attributes["pseudo_type"],
        attributes["functional"],
        _number(attributes["z_valence"]),
        wavefunctions,
        density,
        fully_relativistic=_true(attributes.get("has_so", "")),
    )


def _version_1(lines: list[str], *, fully_relativistic: bool) -> PseudopotentialHeader:
    # version, element, type, core correction, functional, valence, energy, cut-offs
    words = [line.split() for line in lines]
    functional = words[4][: 4 if words[4][0].upper() == "SLA" else 1]
    cutoffs = [_positive(word) for word in words[7][:2]]
    return _header(
        words[1][0].capitalize(),
        words[2][0],
        " ".join(functional),
        _number(words[5][0]),
        *cutoffs,
        fully_relativistic=fully_relativistic,
    )


def _header(
    element: str,
    kind: str,
    functional: str,
    valence: float,
    wavefunctions: float | None,
    density: float | None,
    *,
    fully_relativistic: bool,
) -> PseudopotentialHeader:
    kind = _KINDS.get(kind.upper(), kind)
    if wavefunctions is None:
        density = None  # some generators write a radius there
    else:
        density = density if density and density >= 4 * wavefunctions else density_cutoff(kind, wavefunctions)
    return PseudopotentialHeader(
        element, kind, functional_name(functional), valence, wavefunctions, density, fully_relativistic
    )


def _gth(text: str) -> PseudopotentialHeader:
    lines = text.splitlines()
    charge, valence = lines[1].split()[:2]
    code, functional = (int(word) for word in lines[2].split()[:2])
    if code != 10:
        raise ValueError(f"pspcod {code}, but pw.x reads 10 only")
    names = {number: "LDA" if family == "PADE" else family for family, number in FUNCTIONAL_CODES.items()}
    return PseudopotentialHeader(
        chemical_symbols[int(float(charge))], "NC", names.get(functional, f"pspxc {functional}"), float(valence)
    )


def functional_name(words: str) -> str:
    """Return the common name of a functional as UPF files write it; unknown ones come back as they are.

    Examples
    --------
    >>> functional_name(" SLA  PW   PBX  PBC"), functional_name("SLA PZ NOGX NOGC"), functional_name("SLA PW TPSS TPSS")
    ('PBE', 'LDA', 'SLA PW TPSS TPSS')
    """
    parts = tuple(re.split(r"[\s+-]+", words.strip().upper()))
    return _SHORT.get(parts[0], " ".join(parts)) if len(parts) == 1 else _PARTS.get(parts, " ".join(parts))


def _number(word: str) -> float:
    return float(word.upper().replace("D", "E"))


def _true(word: str) -> bool:
    return word.strip(".").lower() in {"true", "t"}


def _positive(word: str) -> float | None:
    value = _number(word)
    return value if value > 0 else None
