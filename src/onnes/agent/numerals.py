"""Numbers in disguise: words and signs that a reader takes for a number."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_ENGLISH = (
    "zero one two three four fourty five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety ninty hundred thousand million billion trillion "
    "quadrillion zillion dozen umpteen half quarter naught nought"
)
# Alone they mean something else, but not inside a number: on point, the score, first principles.
_JOINTS = "and a an point score first second"
_ORDINALS = (
    "zeroth third fourth fifth sixth seventh eighth eigth ninth tenth eleventh twelfth twelvth twentieth thirtieth fortieth "
    "fiftieth sixtieth seventieth eightieth ninetieth hundredth thousandth millionth billionth"
)
_DECADES = "teens twenties thirties forties fourties fifties sixties seventies eighties nineties halves"
_OTHER = (
    "twice thrice double doubly triple triply treble unity nil percent percentage permille cent halve halved halving century "
    "centuries decade decades"
)
_MULTIPLES = re.compile(
    r"(?:doubl|tripl|trebl|quadrupl|quintupl|sextupl|septupl|octupl|nonupl|decupl|centupl)(?:e|es|ed|ing|y|ication)"
)
_UNITS = "kelvins?|degrees?|percent|celsius|m?ev|gpa|thz"
_GERMAN = (
    "eins zwei zwo drei vier funf fuenf sechs sieben acht neun zehn elf zwolf zwoelf sechzehn siebzehn zwanzig dreissig dreiszig vierzig "
    "funfzig fuenfzig sechzig siebzig achtzig neunzig hundert tausend million millionen milliarde milliarden dutzend halb halbe"
)
_FRENCH = (
    "deux trois quatre cinq sept huit neuf dix onze douze treize quatorze quinze vingt vingts trente quarante cinquante soixante "
    "septante huitante octante nonante cents mille milliard douzaine dizaine vingtaine trentaine centaine moitie"
)
_SPANISH = (
    "dos tres cuatro cinco seis siete ocho nueve diez doce trece catorce quince dieciseis diecisiete dieciocho diecinueve veinte veinti "
    "treinta cuarenta cincuenta sesenta setenta ochenta noventa cien ciento cientos mil millon millones mitad docena"
)
_ITALIAN = (
    "uno tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette diciotto "
    "diciannove venti trenta quaranta cinquanta sessanta settanta ottanta novanta cento mille mila milione milioni dozzina mezzo"
)


def _chain(words: str, joints: str, endings: str) -> re.Pattern[str]:
    """Matches number words, alone or written as one, with what may stand between and behind them: twentythreepointfive."""
    core, between = ("|".join(sorted(one.split(), key=len, reverse=True)) for one in (words, joints))
    return re.compile(rf"(?:{between})*(?:{core})(?:{core}|{between})*(?:{endings})?")


_CHAINS = (
    _chain(
        f"{_ENGLISH} {_ORDINALS} {_DECADES}", _JOINTS, f"(?:s|es|ths?|st|nd|rd|fold|ish|something|plus)?(?:{_UNITS})*"
    ),
    _chain(_GERMAN, "und ein komma", "s?te[nrsm]?|tel|fach|er"),
    _chain(_FRENCH, "et un virgule", "i?emes?|s"),
    _chain(_SPANISH, "y i coma", "s|avos?"),
    _chain(_ITALIAN, "un due virgola vent trent quarant cinquant sessant settant ottant novant", "esim[oi]"),
)
_ALONE = frozenset(("one", "ones"))
_WHOLE = frozenset(f"{_OTHER} {_DECADES}".split())
_RUSSIAN = re.compile(
    r"(?:\w*(?:дцат|десят|сорок|девяност|тысяч|миллион|миллиард|полтор|половин|четверт|дюжин|четыр|восем|восьм|девят)"
    r"\w*|од(?:ин|на|но|ного|ной|ним)|дв(?:а|е|ух|ум|умя|ое)|тр(?:и|ех|ем|емя|ое)|пят(?:ь|и|ью|ый|ого)|шест(?:ь|и|ью|ой|ого)"
    r"|двести|двухсот|триста|тр[её]хсот|сем(?:ь|и|ью)|седьм\w+|ст[оа]|ноль|нуля|пол)"
)
_ROMAN = re.compile(r"(?=.)m{0,4}(?:cm|cd|d?c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})")
_LETTER = re.compile(r"(?:LATIN|INDICATOR SYMBOL) (?:CAPITAL |SMALL )?LETTER (?:[A-Z-]+ )*?([A-Z])(?: WITH .*)?$")
_SPELLED = frozenset(f"{_ENGLISH} one".upper().split())
_LETTER_LIKE = frozenset("αβγδεζηθκλμνξπρσςτφχψωϑϕΓΔΘΛΞΠΣΦΨΩ")
_GREEK_AS_LATIN = str.maketrans("αβγεζηικμνορστυχω", "abyeznikuvopotuxw") | str.maketrans(
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"
)
_ELEMENT = re.compile(r"[A-Z][a-z]?")


def is_numeric(text: str) -> bool:
    r"""Whether a text holds a digit or numeral of any script, or a symbol that shows a number, such as a keycap.

    Examples
    --------
    >>> is_numeric("٩ K"), is_numeric("Ⅸ"), is_numeric("\N{KEYCAP TEN}"), is_numeric("μB")
    (True, True, True, False)
    """
    return any(c.isnumeric() or (not c.isascii() and _shows_number(c)) for c in text)


@lru_cache(maxsize=4096)
def _shows_number(char: str) -> bool:
    if unicodedata.category(char)[0] != "S":
        return False
    name = re.split(r"[ -]", unicodedata.name(char, ""))
    return any(part in _SPELLED or any(c.isdigit() for c in part) for part in name)


def folded(text: str) -> str:
    """Text in plain letters: without accents, with letters that look like Latin ones as those.

    Examples
    --------
    >>> folded("thírty ⓣen fünfzig ᴛᴇɴ"), folded("dreißig")
    ('thirty ten funfzig TEN', 'dreissig')
    """
    return "".join(c if c.isascii() else _plain(c) for c in text)


@lru_cache(maxsize=4096)
def _plain(char: str) -> str:
    if char == "ß":
        return "ss"
    if _script(char) == "CYRILLIC":
        return char
    kept = "".join(c for c in unicodedata.normalize("NFKD", char) if unicodedata.category(c)[0] != "M")
    if kept.isascii():
        return kept
    if letter := _LETTER.search(unicodedata.name(char, "")):
        return letter[1]
    return kept.translate(_GREEK_AS_LATIN) if len(kept) == 1 else kept


def is_number_word(word: str) -> bool:
    """Whether letters spell a number.

    Covered are: English words with those written as one, ordinals from the third on, fractions, decades, multiples, and what
    counts in dozens; German, French, Italian and Spanish cardinals; Russian ones with their endings; Roman numerals of more than
    one letter (not MD, DC, ML and other pairs with C, D or M). Not covered are first, second, once, one as a pronoun, the English
    words seize, once and due, DOS and ELF, and other languages.

    Examples
    --------
    >>> [is_number_word(word) for word in ("twentythree", "thirties", "neununddreissig", "XXXIX", "one", "often", "DOS")]
    [True, True, True, True, False, False, False]
    """
    plain = folded(word)
    lower = plain.lower()
    if not lower.isalpha() or lower in _ALONE:
        return False
    if lower in _WHOLE or _MULTIPLES.fullmatch(lower) or _CHAINS[0].fullmatch(lower) or _is_roman(plain):
        return True
    russian = unicodedata.normalize("NFC", word.lower().replace("ё", "е"))
    if _RUSSIAN.fullmatch(russian):
        return True
    abbreviation = plain.isupper() and len(plain) <= 3
    camel = any(c.isupper() for c in plain[1:]) and not plain.isupper()
    return not (abbreviation or camel) and any(one.fullmatch(lower) for one in _CHAINS[1:])


def _is_roman(word: str) -> bool:
    lower = word.lower()
    if not _ROMAN.fullmatch(lower):
        return False
    small = set(lower) <= set("ivxl")
    if word.isupper():
        return len(word) >= (2 if small else 3)
    return small and len(word) >= 3


def is_disguised(word: str) -> bool:
    r"""Whether a word mixes scripts, or is of a script whose number words nobody here knows.

    Latin, Cyrillic and Chinese words pass, and Greek letters, alone or beside Latin ones as in physics.

    Examples
    --------
    >>> [is_disguised(word) for word in ("thirt\N{CYRILLIC SMALL LETTER U}", "μB", "ωlog", "niobium", "عشرون")]
    [True, False, False, False, True]
    """
    letters = [c for c in word if c.isalpha()]
    scripts = {_script(c) for c in letters}
    if not scripts <= {"LATIN", "CYRILLIC", "GREEK", "CJK"}:
        return True
    if len(scripts) > 1 and scripts not in ({"LATIN", "GREEK"}, {"LATIN", "CJK"}):
        return True
    greek = [c for c in letters if _script(c) == "GREEK"]
    if len(greek) > 1 or not set(greek) <= _LETTER_LIKE:
        return True
    return bool(greek) and len(letters) > 1 and greek[0] not in (letters[0], letters[-1])


@lru_cache(maxsize=4096)
def _script(char: str) -> str:
    name = unicodedata.name(char, "UNKNOWN").split()[0]
    return (
        "GREEK" if name == "MICRO" else "LATIN" if name in ("FEMININE", "MASCULINE", "MODIFIER", "FULLWIDTH") else name
    )


def spells_number(chunk: str) -> bool:
    """Whether a piece of text between spaces spells a number through marks set between its letters, as ``thir-ty``."""
    parts = re.findall(r"[^\W\d_]+", chunk)
    if len(parts) < 2 or all(_ELEMENT.fullmatch(part) for part in parts):  # the second a bond, as Te-N
        return False
    return is_number_word("".join(parts))
