"""Reading a goal in words by rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ase.data import chemical_symbols

from onnes.errors import ConfigError
from onnes.propose.motifs import motif_names

if TYPE_CHECKING:
    from collections.abc import Callable

    Form = dict[str, Any]

_SYMBOL = "|".join(sorted((s for s in chemical_symbols if s != "X"), key=len, reverse=True))
_ELEMENTS = rf"((?:(?:{_SYMBOL})(?![a-z0-9])(?:\s*(?:,|and|or|\s)\s*)*)+)"
_NUMBER = r"(\d+(?:\.\d+)?)"
_ABOVE = r"(?:above|over|more than|at least|exceeding|higher than|>=|>|≥)"
_MOST = r"(?:at most|up to|no more than|maximum)"
_SMALL = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6"}
_IDLE = set(
    re.findall(
        r"\w+",
        "a an the of with and or in at to for find me us some any is it its that which superconductor superconductors "
        "superconducting compound compounds material materials crystal crystals candidate candidates please tc temperature "
        "critical transition pressure ambient conventional phonon mediated new elements element from by have has list short "
        "stable",
    )
)


def _symbols(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.findall(rf"(?:{_SYMBOL})(?![a-z])", text)))


def _pressure(found: re.Match[str]) -> Form:
    if float(found[1]) > 0:
        raise ConfigError("models and reference hold at ambient pressure; leave the pressure out of the goal")
    return {}


def _hull(found: re.Match[str]) -> Form:
    return {"max_e_above_hull_eV_per_atom": float(found[1]) / (1000 if found[2] else 1)}


def _new(found: re.Match[str]) -> Form:
    return {"new": "crystals" if found[1].lower() == "crystals" else "compositions"}


# Taken out of the words one after the other; chemical symbols keep their case, other words need not.
_PHRASES: tuple[tuple[str, Callable[[re.Match[str]], Form]], ...] = (
    (rf"(?i:(?:at\s+)?{_NUMBER}\s*[GM]Pa\b)", _pressure),
    (r"(?i:ambient[- ]pressure)", lambda _: {}),
    (rf"(?i:(?:tc\s*(?:of|=)?\s*)?{_ABOVE}\s*){_NUMBER}\s*K\b", lambda m: {"min_tc_K": float(m[1])}),
    (
        rf"(?i:(?:within|at most|below|less than)\s*){_NUMBER}\s*(m?)eV(?i:(?:\s*/\s*atom|\s+per\s+atom)?"
        r"(?:\s+(?:of|above|from)\s+(?:the\s+)?(?:convex\s+)?hull)?)",
        _hull,
    ),
    (rf"(?i:{_MOST}\s*(\d+)\s*(?:different\s+)?elements)", lambda m: {"max_elements": int(m[1])}),
    (
        rf"(?i:{_MOST}\s*(\d+)\s*atoms(?:\s+(?:in|per)\s+(?:the\s+|a\s+)?(?:primitive\s+)?cell)?)",
        lambda m: {"max_atoms": int(m[1])},
    ),
    (r"(?i:(?:top|best|short ?list of|list of(?: at least)?|give me)\s*(\d+))", lambda m: {"count": int(m[1])}),
    (rf"\b(?i:no|not|neither|nor)\s+(?i:contain(?:ing)?\s+)?{_ELEMENTS}", lambda m: {"exclude": _symbols(m[1])}),
    (rf"\b(?i:without|excluding|except|free of)\s+{_ELEMENTS}", lambda m: {"exclude": _symbols(m[1])}),
    (rf"\b(?i:containing|contains|with|must have|based on)\s+{_ELEMENTS}", lambda m: {"required": _symbols(m[1])}),
    (
        rf"\b(?i:among|from|out of|of|in|made of|only|using|elements?:?)\s+(?i:the\s+elements\s+)?{_ELEMENTS}",
        lambda m: {"elements": _symbols(m[1])},
    ),
    (r"(?i:\bnew\s+(compositions|crystals|compounds|materials))", _new),
    (rf"(?<![\w.])((?:(?:{_SYMBOL})\d*){{2,}})(?![\w.])", lambda m: {"formulas": (m[1],)}),
)


def read_words(words: str) -> tuple[Form, list[str]]:
    """Take what is understood out of the words, phrase by phrase.

    Returns
    -------
    tuple
        Fields of `onnes.agent.goal.Goal`, and the words that the rules have no use for.

    Raises
    ------
    ConfigError
        When a pressure is asked for.

    Examples
    --------
    >>> read_words("Laves phases above 5 K without Hg")
    ({'min_tc_K': 5.0, 'exclude': ('Hg',), 'motif': 'laves'}, ['phases'])
    """
    form: Form = {}
    rest = words
    for name, number in _SMALL.items():
        rest = re.sub(rf"\b{name}\b", number, rest, flags=re.IGNORECASE)
    for pattern, read in _PHRASES:
        for found in re.finditer(pattern, rest):
            for key, value in read(found).items():
                both = isinstance(value, tuple) and key in form
                form[key] = tuple(dict.fromkeys((*form[key], *value))) if both else value
        rest = re.sub(pattern, " ; ", rest)
    if "elements" in form:
        form["elements"] = tuple(one for one in form["elements"] if one not in form.get("exclude", ()))
    motifs = [name for name in motif_names() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", rest, re.IGNORECASE)]
    if motifs:
        form["motif"] = max(motifs, key=len)
        rest = re.sub(re.escape(form["motif"]), " ", rest, flags=re.IGNORECASE)
    left = [word.strip(".,;:!?") for word in rest.split()]
    return form, [word for word in left if word and word.lower() not in _IDLE]
