"""Numbers with sources: text is rendered from result ids, and a number without one is refused."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnes.crystals.schema import values
from onnes.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnes.campaign.study import Study
    from onnes.campaign.value import Value

CITATION = re.compile(r"\[\[([^\[\]\n]{3,300})\]\]")
_CODE = re.compile(r"`([^`\n]{1,200})`")
_TOKEN = re.compile(r"[^\s,;()\"'“”‘’]+")
_CAPITALS = re.compile(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LETTERS = re.compile(r"[^\W\d_]+")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?(?:\d+(?:\.\d+)?)?|[()])+")
_STRIP = ".:!?*_–—-|"
_WORDS = frozenset(
    re.findall(
        r"\w+",
        "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions "
        "billion dozen dozens half twice thrice double triple quarter percent",
    )
)


@dataclass(frozen=True)
class Rendered:
    """Text with its values.

    Attributes
    ----------
    text
        Every citation replaced by name, label and value; where something is wrong, what was found there.
    values
        Values cited, in order of appearance.
    unsupported
        Numbers that have no source, and citations that lead nowhere, each in a sentence.
    """

    text: str
    values: tuple[Value, ...]
    unsupported: tuple[str, ...]


def render(study: Study, text: str, *, bare: bool = False) -> Rendered:
    """Replace every ``[[result id]]`` by its value, and find numbers that have none.

    Digits of any script, number words, and chemical formulas that the study does not know count as numbers. Names of
    rows and sets may stand in backticks.

    Parameters
    ----------
    study
        Where result ids are looked up.
    text
        With citations.
    bare
        Write the value and its unit alone, as in the cells of a table; otherwise name, quantity and value, so that a value
        cited for something else is seen.
    """
    found: list[Value] = []
    wrong: list[str] = []

    def written(match: re.Match[str]) -> str:
        try:
            value = study.value(match[1].strip())
        except EvidenceError as error:
            wrong.append(f"[[{match[1]}]]: {error}")
            return f"[no such result: {match[1]}]"
        found.append(value)
        return shown(value, bare=bare)

    rest = CITATION.sub(" ", text)
    wrong += unsupported(study, rest)
    return Rendered(CITATION.sub(written, text), tuple(found), tuple(wrong))


def shown(value: Value, *, bare: bool = False) -> str:
    """Write a value with its unit, spread, and what it is of."""
    text = value.text
    if value.uncertainty is not None:
        number, _, unit = text.partition(" ")
        digits = len(number.partition(".")[2])
        text = f"{number} ± {value.uncertainty:.{digits}f} {unit}".strip()
    if bare:
        return harmless(text).replace("|", "\\|")
    return harmless(f"{text} ({value.name}: {value.label})")


def harmless(text: str) -> str:
    """Text that does nothing where Markdown is rendered: no tags, links or images.

    Examples
    --------
    >>> harmless("<b>see</b> ![it](http://example.org) where a < b")
    '&lt;b>see&lt;/b> ![it] (http://example.org) where a < b'
    """
    return _TAG.sub("&lt;", text).replace("](", "] (").replace("]:", "] :")


def unsupported(study: Study, text: str) -> list[str]:
    """Numbers in a text without citations."""
    known: _Names | None = None
    wrong = []
    plain = _visible(text)
    for code in _CODE.findall(plain):
        if _numeric(code) or _counts(code):
            known = known or _names(study)
            if code not in known.codes and not _crystal(study, code):
                wrong.append(f"`{code}` is no set, row or formula of this study")
    for token in _TOKEN.findall(_CODE.sub(" ", plain)):
        bare = token.strip(_STRIP)
        if not (_numeric(bare) or _counts(bare)):
            continue
        known = known or _names(study)
        if bare not in known.words:
            kind = "has no source" if _numeric(bare) else "is a number in words"
            wrong.append(f"{bare!r} {kind}; write [[set_id/row id/column]] instead, or leave it out")
    return wrong


def _visible(text: str) -> str:
    """Text as it looks: compatibility characters as plain ones, nothing invisible between letters."""
    seen = (c for c in text if c in "\n\t" or unicodedata.category(c)[0] != "C")
    # A Roman numeral of one character would become letters.
    return "".join(c if c.isnumeric() else unicodedata.normalize("NFKC", c) for c in seen)


def _counts(token: str) -> bool:
    """Whether a token holds a number word."""
    parts = {part.lower() for part in _CAPITALS.sub(" ", token).split()} | set(_LETTERS.findall(token.lower()))
    return any(
        part in _WORDS or part.removesuffix("fold") in _WORDS or part.removesuffix("s").removesuffix("th") in _WORDS
        for part in parts
    )


def _numeric(text: str) -> bool:
    return any(char.isnumeric() for char in text)


@dataclass(frozen=True)
class _Names:
    """What may be written without a citation: formulas and sets as words; those and rows in backticks."""

    words: frozenset[str]
    codes: frozenset[str]


def _names(study: Study) -> _Names:
    sets, formulas, rows = set(), set(), set()
    for info in study.sets():
        sets.add(info.set_id)
        table = study.table(info.set_id)
        rows |= set(_texts(values(table, "id")))
        for column in ("formula", "reduced_formula"):
            formulas |= set(_texts(values(table, column)))
    words = {name for name in formulas if _FORMULA.fullmatch(name)} | {name for name in sets if not name.isdecimal()}
    return _Names(frozenset(words), frozenset(words | sets | {name for name in rows if not _plain_number(name)}))


def _crystal(study: Study, name: str) -> bool:
    """Whether a name is that of a crystal, ``set_id/row id``."""
    set_id, _, row = name.partition("/")
    return bool(row) and study.has(set_id) and row in values(study.table(set_id), "id")


def _texts(column: Iterable[object]) -> Iterable[str]:
    return (one for one in column if isinstance(one, str))


def _plain_number(name: str) -> bool:
    """Whether a name could pass for a quantity: it must not open the door to numbers."""
    return not re.search(r"[A-Za-z]", name) or bool(re.match(r"^[-+.\d]", name) and len(name) < 8)
