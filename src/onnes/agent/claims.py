"""Numbers with sources: text is rendered from result ids, and a number without one is refused."""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnes.agent.numerals import folded, is_disguised, is_number_word, is_numeric, spells_number
from onnes.campaign.value import visible
from onnes.crystals.schema import GEOMETRY_COLUMNS, values
from onnes.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

    from onnes.campaign.study import Study
    from onnes.campaign.value import Value

CITATION = re.compile(r"\[\[([^\[\]\n]{3,300})\]\]")
_CODE = re.compile(r"`([^`\n]{1,200})`")
_TOKEN = re.compile(r"[^\s,;()\"'“”‘’]+")
_CAPITALS = re.compile(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])")
_SPACED = re.compile(r"(?<!\w)[^\W\d_](?: [^\W\d_]){2,}(?!\w)")
_WITH_UNIT = re.compile(r"\b(?:one|[IVXLCDM])[ -](?:kelvins?|K|m?eV|GPa|THz|per ?cent|degrees?)\b")
_TYPE = re.compile(r"\b[Tt]ype[- ]I{1,2}\b")
_SIGNS = "-−~≈≃≅∼≲≳≤≥<>+±∓×"
_CHANGING = "(?:minus|plus|times|negative|about|around|nearly|roughly|approximately|circa|ca)"
_SIGN = re.compile(rf"(?:[{_SIGNS}–—./\\^·√%¬]|\]\])[*_`]*$|[{_SIGNS}][*_`]*\s+$|\b{_CHANGING}\b\W*$", re.IGNORECASE)
_HANGING = re.compile(
    rf"(?:[{_SIGNS.translate({60: None, 62: None})}–]|(?<!\S)[<>])[*_`]*\s*$|\b{_CHANGING}[*_`\s]*$", re.IGNORECASE
)
_BEGINNING = re.compile(r"^(?:\s*>)*\s*(?:[-*+]\s+)?")
_RULE = re.compile(r"[-*_|:>=\s]*")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_LETTERS = re.compile(r"[^\W\d_]+")
_MARKS = str.maketrans("", "", "*_~\\")
_FORMULA = re.compile(r"(?:[A-Z][a-z]?(?:\d+(?:\.\d+)?)?|[()])+")
_STRIP = ".:!?*_–—-|"
_QUANTITY = re.compile(r".*\dK|(?:Tc|At)\d.*")
"""Formulas that read as a temperature."""


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

    Digits of any script, number words, and chemical formulas of which the study has no crystal count as numbers, and so does a
    sign before a citation. Names of sets and crystals may stand in backticks.

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
    wrong += unsupported(study, rest) + _signs(text)
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
    """Numbers in a text without citations.

    `onnes.agent.numerals` says which words and signs count. Formatting marks, entities and invisible characters between letters
    do not hide a number, and neither do letters of another script.
    """
    known: _Names | None = None
    wrong = []
    plain = _seen(text)
    for code in _CODE.findall(plain):
        if why := _fault(code):
            known = known or _names(study)
            if code not in known.codes and not _crystal(study, code):
                wrong.append(f"`{code}` {why}, and no set, crystal or formula of this study")
    words = _TYPE.sub(" ", _CODE.sub(" ", plain))
    for token in _TOKEN.findall(words):
        bare, clear = token.strip(_STRIP), token.translate(_MARKS).strip(_STRIP)
        why = _fault(bare) or _fault(clear)
        if not why:
            continue
        known = known or _names(study)
        if bare not in known.words and clear not in known.words:
            wrong.append(f"{bare!r} {why}; write [[set_id/row id/column]] instead, or leave it out")
    return wrong or _spelled(plain)


def _spelled(plain: str) -> list[str]:
    """Numbers that no word shows: spelled in pieces, or by a letter or a pronoun before a unit."""
    letters = folded(plain)
    pieces = [chunk for chunk in letters.split() if spells_number(chunk)]
    pieces += [one for one in _SPACED.findall(letters) if is_number_word(one.replace(" ", ""))]
    pieces += _WITH_UNIT.findall(letters.translate(_MARKS))
    return [f"{one!r} is a number; write [[set_id/row id/column]] instead, or leave it out" for one in pieces]


def _signs(text: str) -> list[str]:
    """Signs and words before a citation that would make another number of it, and those that end a line before the next."""
    wrong = []
    for line in _seen(text).split("\n"):
        start = _BEGINNING.match(line)
        begun = start.end() if start else 0
        before = [(one, _SIGN.search(line[begun : one.start()])) for one in CITATION.finditer(line)]
        wrong += [
            f"{sign[0].strip()!r} before {one[0]} makes another number of it; leave it out"
            for one, sign in before
            if sign
        ]
        if not _RULE.fullmatch(line) and (found := _HANGING.search(line[begun:])):
            wrong.append(f"{found[0].strip()!r} ends a line, and would be read with the next; leave it out")
    return wrong


def _seen(text: str) -> str:
    """Text as it is seen: entities and compatibility characters as plain ones, nothing invisible between letters."""
    for _ in range(3):
        text = html.unescape(text)
    # A Roman numeral of one character would become letters.
    return "".join(c if c.isnumeric() else unicodedata.normalize("NFKC", c) for c in visible(text))


def _fault(token: str) -> str | None:
    """What is wrong with a token; None for a word."""
    if is_numeric(token):
        return "has no source"
    if any(map(is_disguised, _LETTERS.findall(token))):
        return "is in letters that can hide a number"
    plain = folded(token)
    if any(map(is_number_word, {*_CAPITALS.sub(" ", plain).split(), *_LETTERS.findall(plain)})):
        return "is a number in words"
    return None


@dataclass(frozen=True)
class _Names:
    """What may be written without a citation: formulas of crystals and sets as words; those and rows in backticks."""

    words: frozenset[str]
    codes: frozenset[str]


def _names(study: Study) -> _Names:
    sets, formulas, rows = set(), set(), set()
    for info in study.sets():
        sets.add(info.set_id)
        table = _with_coordinates(study.table(info.set_id))
        rows |= set(_texts(values(table, "id")))
        for column in ("formula", "reduced_formula"):
            formulas |= set(_texts(values(table, column)))
    formulas = {name for name in formulas if _FORMULA.fullmatch(name) and not _QUANTITY.fullmatch(name)}
    words = formulas | {name for name in sets if not name.isdecimal()}
    return _Names(frozenset(words), frozenset(words | sets | {name for name in rows if not _plain_number(name)}))


def _crystal(study: Study, name: str) -> bool:
    """Whether a name is that of a crystal, ``set_id/row id``."""
    set_id, _, row = name.partition("/")
    return bool(row) and study.has(set_id) and row in values(_with_coordinates(study.table(set_id)), "id")


def _with_coordinates(table: pa.Table) -> pa.Table:
    """Rows that are crystals: names of others are what somebody typed."""
    for name in GEOMETRY_COLUMNS:
        if name not in table.column_names:
            return table.slice(0, 0)
        table = table.filter(table[name].is_valid())
    return table


def _texts(column: Iterable[object]) -> Iterable[str]:
    return (one for one in column if isinstance(one, str))


def _plain_number(name: str) -> bool:
    """Whether a name could pass for a quantity: it must not open the door to numbers."""
    short = bool(re.match(r"^[-+.\d]", name) and len(name) < 8)
    return not re.search(r"[A-Za-z]", name) or short or bool(_QUANTITY.fullmatch(name))
