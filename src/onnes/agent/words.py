"""Reading a goal in words by rules: what is read is certain, what is not is named."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from ase.data import atomic_names, chemical_symbols

from onnes.agent.ambient import without_pressure
from onnes.errors import ConfigError
from onnes.propose.motifs import motif_names

if TYPE_CHECKING:
    from collections.abc import Callable

    Form = dict[str, Any]
    Reader = Callable[[re.Match[str]], Form | None]

_ALSO = {"aluminum": "Al", "cesium": "Cs", "sulphur": "S", "wolfram": "W", "columbium": "Nb"}
_NAMES = {
    name.lower(): symbol for name, symbol in zip(atomic_names, chemical_symbols, strict=True) if symbol != "X"
} | _ALSO
# "No" begins sentences far more often than it means nobelium, which nobody makes crystals of.
_SYMBOL = "|".join(sorted((s for s in chemical_symbols if s not in ("X", "No")), key=len, reverse=True))
_NAME = f"(?i:{'|'.join(sorted(_NAMES, key=len, reverse=True))})"
_VERB = r"(?!At (?:most|least)\b|I (?:want|need|am|look|would|have)\b)"
"""Words that look like a symbol where they stand."""
_ONE = rf"(?:{_VERB}(?:{_SYMBOL})(?![A-Za-z0-9.]?[A-Za-z0-9]|-[a-z])|{_NAME}(?![\w-]))"
_FORMULA = rf"(?:(?:{_SYMBOL})\d*){{2,}}(?![\w.-]?\w)"
_NEXT = r"(?: ?, ?(?:(?i:and|or|nor) )?| ?[/&+–-] ?| (?:(?i:and|or|nor) )?)"
_ELEMENTS = rf"((?<![\w.]){_ONE}(?:{_NEXT}{_ONE})*)"
_ANY = rf"((?<![\w.])(?:{_FORMULA}|{_ONE})(?:{_NEXT}(?:{_FORMULA}|{_ONE}))*)"
_NUMBER = r"(?<![\w.,-])(\d+(?:\.\d+)?)"
_COUNT = r"(?<![\w.,-])(\d+)"
_LEAST = r"(?:at least|minimum(?: of)?|(?:no|not) (?:less|lower|fewer) than|not (?:below|under)|>=|≥)"
_ABOVE = rf"(?:{_LEAST}|above|over|more than|exceeding|higher than|greater than|>)"
_MOST = r"(?:at most|up to|(?:no|not) more than|maximum(?: of)?|max\.?|<=|≤)"
_SMALL = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10",
          "twelve": "12", "twenty": "20"}  # fmt: skip
_KINDS = {"binary": 2, "binaries": 2, "ternary": 3, "ternaries": 3, "quaternary": 4, "quaternaries": 4}
NEGATION = (
    r"(?:no|not|never|nor|neither|none|nothing|non|without|avoid(?:ing)?|exclud(?:e|es|ed|ing)|except(?: for)?|lacking|"
    r"cannot|(?:all|anything|everything) but|\w{1,9}n['’]t)"
)
# A word or two may stand between a negation and what it denies: "not necessarily above 10 K".
_DENIED = re.compile(rf"(?<![\w-])(?:{NEGATION}(?:[ -]+[\w'’]+){{0,2}}|unlike|than)[ -]*$", re.IGNORECASE)
_WITHOUT = (
    r"(?:(?:but|and|or|with|of|contain(?:s|ing)?|do|does|must|should|may) )?"
    r"(?:no|not|neither|nor|without|avoid(?:ing)?|exclud(?:es|ed|e|ing)|except(?: for)?|free (?:of|from)|none of|other than|"
    r"lacking|cannot|(?:do|does|must|should)n['’]t)"
    r"(?: (?:contain(?:ing)?|includ(?:e|ing)|us(?:e|ing)|with|have|having|any|the|elements?))*:? "
)
_IDLE = frozenset(
    re.findall(
        r"\w+",
        "a an the of with and or in at to for find me us we i want need give show suggest propose look looking search searching "
        "some any is are it its that which what there you please superconductor superconductors superconducting compound "
        "compounds material materials crystal crystals candidate candidates composition compositions structure structures phase "
        "phases system systems tc temperature critical transition ambient conventional phonon mediated elements element from by "
        "have has must should but reinterpret reinterpretation list short stable best promising",
    )
)


def _symbols(text: str) -> tuple[str, ...]:
    found: list[str] = re.findall(rf"{_NAME}(?![\w-])|(?:{_SYMBOL})(?![a-z])", text)
    return tuple(dict.fromkeys(_NAMES.get(one.lower(), one) if len(one) > 2 else one for one in found))


def _excluded(found: re.Match[str]) -> Form | None:
    """Elements to leave out; None where a composition is among them, which no field of the form excludes."""
    return None if re.search(rf"(?<![\w.]){_FORMULA}", found[1]) else {"exclude": _symbols(found[1])}


def _required(found: re.Match[str]) -> Form | None:
    """Elements that must occur; None for "with Tc", which means no technetium."""
    return None if found[1] == "Tc" else {"required": _symbols(found[1])}


def _hull(found: re.Match[str]) -> Form:
    return {"max_e_above_hull_eV_per_atom": float(found[1]) / (1000 if found[2] else 1)}


def _kind(found: re.Match[str]) -> Form:
    number = _KINDS[found[2].lower()]
    return {"max_elements": number} if found[1] else {"min_elements": number, "max_elements": number}


def _new(found: re.Match[str]) -> Form:
    return {"new": "crystals" if found[1].lower() == "crystals" else "compositions"}


# Taken out of the words one after the other; chemical symbols keep their case, other words need not. What denies something stands
# first, so that a denial left over is one that was not understood.
_PHRASES: tuple[tuple[str, Reader], ...] = (
    (rf"(?<![\w-])(?i:{_WITHOUT}){_ANY}", _excluded),
    (rf"(?<![\w.-])({_NAME}|{_SYMBOL})-(?i:free)\b", lambda m: {"exclude": _symbols(m[1])}),
    (rf"(?i:{_MOST} ?){_COUNT} (?i:(?:different )?elements?)\b", lambda m: {"max_elements": int(m[1])}),
    (rf"(?i:{_LEAST} ?){_COUNT} (?i:(?:different )?elements?)\b", lambda m: {"min_elements": int(m[1])}),
    (rf"(?i:({_MOST} )?\b({'|'.join(_KINDS)})\b)", _kind),
    (
        rf"(?i:{_MOST} ?){_COUNT} (?i:atoms(?: (?:in|per) (?:the |a )?(?:primitive |unit )?cell)?)\b",
        lambda m: {"max_atoms": int(m[1])},
    ),
    (
        rf"(?i:(?:within|at most|below|less than) ){_NUMBER} ?(m?)eV(?i:(?: ?/ ?atom| per atom)?"
        r"(?: (?:of|above|from) (?:the )?(?:convex )?hull)?)(?![\w/])",
        _hull,
    ),
    (
        rf"(?i:(?:\btc (?:of |= ?)?)?(?<!\w){_ABOVE} ?){_NUMBER} ?(?:K|(?i:kelvins?))\b",
        lambda m: {"min_tc_K": float(m[1])},
    ),
    (
        rf"(?i:\b(?:top|best|short ?list of|list of(?: at least)?|give me) ){_COUNT}(?![\w.])",
        lambda m: {"count": int(m[1])},
    ),
    (
        r"(?i:\b(?:new|novel|unknown|unreported) (compositions?|crystals|compounds?|materials?|superconductors?)\b)",
        _new,
    ),
    (
        rf"\b(?i:containing|contains?|including|includes?|with|must have|based on) (?i:the elements? )?{_ELEMENTS}",
        _required,
    ),
    (rf"(?<![\w.-])({_NAME}|{_SYMBOL})-(?i:based|containing)\b", _required),
    (
        rf"\b(?i:among|from|out of|of|in|made of|only|using|elements?):? (?i:(?:any of )?(?:the )?(?:elements )?){_ELEMENTS}",
        lambda m: None if m[1] == "Tc" else {"elements": _symbols(m[1])},
    ),
    (rf"(?<![\w.-])({_FORMULA})", lambda m: {"formulas": (m[1],)}),
)


@cache
def _motifs() -> re.Pattern[str]:
    """Names of motifs, one or many; ``MAX`` is one only as a name, "max" is a word of its own."""
    names = "|".join(re.escape(name) for name in sorted(motif_names(), key=len, reverse=True) if name != "max")
    return re.compile(rf"(?<![\w-])(?:(?i:({names})(?:e?s)?(?: phases?)?)|(MAX|[Mm]ax(?= phase)))(?![\w-])")


def _motif(found: re.Match[str]) -> Form:
    return {"motif": (found[1] or found[2]).lower()}


class _Reading:
    """Words on their way into a form."""

    def __init__(self, words: str) -> None:
        self.rest = re.sub(r"\s+", " ", words)
        self.form: Form = {}
        self.unread: list[str] = []
        self.said: dict[str, str] = {}

    def take(self, pattern: str | re.Pattern[str], read: Reader) -> None:
        """Take out whatever fits a pattern; what is denied, or said twice and differently, counts as not understood."""
        compiled, start = re.compile(pattern), 0
        while found := compiled.search(self.rest, start):
            denied = _DENIED.search(self.rest[: found.start()])
            start = denied.start() if denied else found.start()
            fields = None if denied else read(found)
            text = self.rest[start : found.end()].strip()
            if fields is None or self._differs(fields, text):
                self.unread.append(text)
            else:
                self._fill(fields, text)
            self.rest = f"{self.rest[:start]} ; {self.rest[found.end() :]}"
            start += 3

    def _differs(self, fields: Form, text: str) -> bool:
        """Whether a field has another value already; it is emptied then, as nobody can tell which was meant."""
        other = [key for key, value in fields.items() if not isinstance(value, tuple) and self.said.get(key) is not None
                 and self.form.get(key, None) != value]  # fmt: skip
        for key in other:
            before = self.said[key]
            self.form.pop(key, None)
            if before not in (*self.unread, text):
                self.unread.append(before)
        return bool(other)

    def _fill(self, fields: Form, text: str) -> None:
        for key, value in fields.items():
            both = isinstance(value, tuple) and key in self.form
            self.form[key] = tuple(dict.fromkeys((*self.form[key], *value))) if both else value
            self.said[key] = text

    def leftovers(self) -> list[str]:
        """Phrases that were not understood, words without a meaning of their own left out at their ends."""
        found = list(self.unread)
        for phrase in re.split(r"[;,:!?()\"“”]|\.(?!\d)", self.rest):
            words = phrase.split()
            while words and _idle(words[0]):
                words.pop(0)
            while words and _idle(words[-1]):
                words.pop()
            if words:
                found.append(" ".join(words))
        return found


def _idle(word: str) -> bool:
    return all(part in _IDLE or not part for part in re.split(r"[-–'’]", word.lower()))


def read_words(words: str) -> tuple[Form, list[str]]:
    """Take what is understood out of the words, phrase by phrase.

    Returns
    -------
    tuple
        Fields of `onnes.agent.goal.Goal`, and the phrases that were not understood. Whatever is denied and has no field, such
        as "not above 10 K" or "without Nb3Sn", is among the latter and in no field.

    Raises
    ------
    ConfigError
        When a pressure is asked for, or when every element allowed is excluded.

    Examples
    --------
    >>> read_words("Laves phases above 5 K without mercury")
    ({'exclude': ('Hg',), 'motif': 'laves', 'min_tc_K': 5.0}, [])
    >>> read_words("not above 10 K, among Nb N")
    ({'elements': ('Nb', 'N')}, ['not above 10 K'])
    """
    reading = _Reading(without_pressure(words))
    for name, number in _SMALL.items():
        reading.rest = re.sub(rf"\b{name}\b", number, reading.rest, flags=re.IGNORECASE)
    # Names of motifs hold names of elements, and formulas stand in denials: motifs come after those, before lists of elements.
    reading.take(*_PHRASES[0])
    reading.take(_motifs(), _motif)
    for pattern, read in _PHRASES[1:]:
        reading.take(pattern, read)
    form = reading.form
    if form.get("max_elements") == 1:
        form.setdefault("min_elements", 1)
    if "elements" in form:
        form["elements"] = tuple(one for one in form["elements"] if one not in form.get("exclude", ()))
        if not form["elements"]:
            raise ConfigError("the goal excludes every element that it allows; name others after 'among'")
    return form, reading.leftovers()
