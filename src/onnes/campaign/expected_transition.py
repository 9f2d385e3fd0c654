"""What to expect when a sample is cooled, and how far to cool it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from onnes.physics.allen_dynes import MU_STAR, MU_STAR_HIGH, allen_dynes_tc_K

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MU_STARS = (MU_STAR, MU_STAR_HIGH)
INTERVAL = 0.90
_CRYOSTATS = ((1.8, "pumped helium-4"), (0.4, "helium-3"), (0.05, "a dilution refrigerator"))
_MARGIN = 0.5  # a transition is measured well down to half its temperature
_SAME = 0.01  # relative difference of two Tc that count as the same
_MAX_LAMBDA = 20.0
_BASE = "base temperatures of common cryostats; down to half of Tc by rule of thumb"
_FORMULA = "Allen and Dynes, Phys. Rev. B 12, 905 (1975)"


class TcAt(BaseModel):
    """Critical temperature at one Coulomb pseudopotential, with its 90 % interval where it is known."""

    model_config = ConfigDict(frozen=True)

    mu_star: float
    tc_K: float
    tc_lo_K: float | None
    tc_hi_K: float | None
    source: str


class ExpectedTransition(BaseModel):
    """What to expect of a measurement.

    Attributes
    ----------
    values
        Tc by Coulomb pseudopotential.
    measure_down_to_K, cryostat
        Temperature that covers half the lowest Tc expected, as far as cryostats go.
    text
        What to do, and what a missing transition means.
    source
        Of the temperatures in it.
    notes
        Why to distrust the numbers.
    """

    model_config = ConfigDict(frozen=True)

    values: tuple[TcAt, ...]
    measure_down_to_K: float
    cryostat: str
    text: str
    notes: tuple[str, ...]
    source: str


def expected_transition(
    row: Mapping[str, Any], *, mu_stars: Sequence[float] = MU_STARS
) -> ExpectedTransition | None:  # fmt: skip
    """Collect what a row of a crystal table says of its transition.

    The table holds Tc at two values of mu*. At others it follows from lambda, omega_log and omega_2, where these give the Tc of
    the table. The interval is that of lambda, carried from the mu* of the table to the others.

    Parameters
    ----------
    row
        Columns of the crystal table.
    mu_stars
        Coulomb pseudopotentials.

    Returns
    -------
    ExpectedTransition or None
        None for a row without ``tc_K``.

    Examples
    --------
    >>> row = {"tc_K": 9.0, "mu_star": 0.1, "tc_lo_K": 6.0, "tc_hi_K": 13.0, "tc_model": "structure"}
    >>> found = expected_transition(row)
    >>> found.values[0].tc_lo_K, found.measure_down_to_K
    (6.0, 1.8)
    """
    if row.get("tc_K") is None:
        return None
    model = f"column tc_K, model {row.get('tc_model') or 'not named'}"
    values = [value for mu in mu_stars if (value := _at(row, mu, model)) is not None]
    if not values:
        return None
    expected = [value.tc_K if value.tc_lo_K is None else value.tc_lo_K for value in values]
    lowest, highest = min(expected), max(value.tc_hi_K or value.tc_K for value in values)
    down_to, cryostat = next(
        ((base, name) for base, name in _CRYOSTATS if base <= _MARGIN * lowest), _CRYOSTATS[-1] if lowest > 0 else _CRYOSTATS[0]
    )  # fmt: skip
    return ExpectedTransition(
        values=tuple(values), measure_down_to_K=down_to, cryostat=cryostat, text=_text(lowest, highest, down_to, cryostat),
        notes=tuple(_notes(row)), source=f"intervals above; {_BASE}",
    )  # fmt: skip


def _at(row: Mapping[str, Any], mu_star: float, model: str) -> TcAt | None:
    """Tc at one mu*: from the table where it is there, otherwise from the moments."""
    own = row.get("mu_star") or MU_STAR
    if math.isclose(mu_star, own):
        low, high = row.get("tc_lo_K"), row.get("tc_hi_K")
        return TcAt(mu_star=mu_star, tc_K=row["tc_K"], tc_lo_K=low, tc_hi_K=high, source=model)
    low, high = (_carried(row, row.get(name), own, mu_star) for name in ("tc_lo_K", "tc_hi_K"))
    if math.isclose(mu_star, MU_STAR_HIGH) and row.get("tc_mu016_K") is not None:
        source = model.replace("tc_K", "tc_mu016_K")
        return TcAt(mu_star=mu_star, tc_K=row["tc_mu016_K"], tc_lo_K=low, tc_hi_K=high, source=f"{source}; {_FORMULA}")
    if not _consistent(row, own):
        return None
    tc = _tc(row, row["lambda_"], mu_star)
    return TcAt(mu_star=mu_star, tc_K=tc, tc_lo_K=low, tc_hi_K=high, source=f"{model}; {_FORMULA}")


def _tc(row: Mapping[str, Any], lambda_: float, mu_star: float) -> float:
    return float(allen_dynes_tc_K(lambda_, row["omega_log_K"], row.get("omega2_K"), mu_star=mu_star))


def _consistent(row: Mapping[str, Any], mu_star: float) -> bool:
    """Whether the moments of a row give its Tc."""
    if row.get("lambda_") is None or row.get("omega_log_K") is None:
        return False
    return math.isclose(_tc(row, row["lambda_"], mu_star), row["tc_K"], rel_tol=_SAME, abs_tol=_SAME)


def _carried(row: Mapping[str, Any], tc_K: float | None, own: float, mu_star: float) -> float | None:
    """Carry an end of the interval to another mu*: by the lambda that gives it at the mu* of the table."""
    from scipy.optimize import root_scalar

    if tc_K is None or not _consistent(row, own):
        return None
    if tc_K <= 0:  # any lambda below the threshold gives it, and stays below it at a higher mu*
        return 0.0 if mu_star > own else None
    if _tc(row, _MAX_LAMBDA, own) < tc_K:
        return None
    found = root_scalar(lambda x: _tc(row, x, own) - tc_K, bracket=(1e-3, _MAX_LAMBDA))
    return _tc(row, float(found.root), mu_star)


def _text(lowest: float, highest: float, down_to: float, cryostat: str) -> str:
    first = _CRYOSTATS[0][0]
    start = f"Expect a transition between {lowest:.1f} and {highest:.1f} K. Measure resistance, and magnetisation for the volume"
    limit = f"Without a transition down to {first:g} K that is a limit, not a zero: record it with --no-transition-above {first:g}."
    if lowest <= 0:
        return f"{start}; it may also have none. Measure to {first:g} K. {limit}"
    if down_to >= first:
        return f"{start}; measure to {first:g} K ({cryostat}). {limit}"
    enough = f"only {cryostat} ({down_to:g} K) covers all of that range" if _MARGIN * lowest >= down_to else "no common cryostat covers all of that range"  # fmt: skip
    return f"{start}; measure to {first:g} K first, but {enough}. {limit}"


def _notes(row: Mapping[str, Any]) -> list[str]:
    notes = []
    if row.get("warnings"):
        notes.append(f"The model warns: {row['warnings']}.")
    elif row.get("in_domain") is False:
        notes.append("Outside the domain of the model.")
    if row.get("is_magnetic"):
        notes.append("Probably magnetic: Tc by phonons alone means little.")
    metal = row.get("is_metal_probability")
    if metal is not None and metal < 0.5:
        notes.append(f"Probability of being a metal only {metal:.2f}.")
    if row.get("phonon_grade") in ("unstable", "doubtful"):
        notes.append(f"Phonons {row['phonon_grade']}: the crystal may distort.")
    return notes
