"""Pressure in the words of a goal: ambient pressure is what everything holds at, any other is refused."""

from __future__ import annotations

import re

from onnes.errors import ConfigError

AMBIENT_GPA = 2e-4
"""Up to two bar count as ambient."""
_GPA = {"GPa": 1.0, "MPa": 1e-3, "kPa": 1e-6, "Mbar": 100.0, "kbar": 0.1, "bar": 1e-4, "atm": 1e-4}
_UNIT = "|".join(_GPA)
_VALUE = re.compile(rf"(?:(?i:at) )?(?<![\w.,-])(\d+(?:\.\d+)?) ?({_UNIT})\b")
_AMBIENT = re.compile(
    r"(?:\bat )?\b(?:ambient|normal|atmospheric|standard|zero)[- ](?:pressures?|conditions)\b"
    r"|\b(?:no|without)(?: any| applied| external| high)*[- ]pressures?(?: (?:phases?|synthesis|compounds?))?\b"
    r"|\bpressure[- ]free\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:no|not|non|never|nor|without|above|beyond|outside|than|\w{1,9}n['’]t)(?:[ -]\w+)?[ -]*$", re.IGNORECASE
)
_OTHER = re.compile(rf"pressur|\bcompress|\banvil|(?<![A-Za-z])(?i:{_UNIT})s?\b", re.IGNORECASE)
_REFUSED = "models and reference hold at ambient pressure; leave the pressure out of the goal"


def without_pressure(words: str) -> str:
    """Take "ambient pressure" and its like out of a goal's words.

    Raises
    ------
    ConfigError
        When they ask for any other pressure, in numbers or in words.

    Examples
    --------
    >>> without_pressure("ambient-pressure superconductor at 0 GPa")
    '; superconductor ;'
    """
    rest = re.sub(r"\s+", " ", words)
    for found in _VALUE.finditer(rest):
        if float(found[1]) * _GPA[found[2]] > AMBIENT_GPA:
            raise ConfigError(_REFUSED)
    rest = _VALUE.sub(" ; ", rest)
    while found := _AMBIENT.search(rest):
        if _DENIED.search(rest[: found.start()]):
            raise ConfigError(_REFUSED)
        rest = f"{rest[: found.start()]} ; {rest[found.end() :]}"
    if _OTHER.search(rest):
        raise ConfigError(_REFUSED)
    return re.sub(r"\s+", " ", rest).strip()
