"""What becomes of a prediction when all atoms of one element are replaced by another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.symbols import atomic_number, symbols
from onnes.errors import CrystalError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

QUANTITIES = ("tc_K", "lambda_", "omega_log_K")
"""What is compared: Tc (K), lambda, omega_log (K)."""


@dataclass(frozen=True, eq=False)
class ReplacedCrystals:
    """Crystals made from one by replacing an element, R in all.

    Attributes
    ----------
    elements, replacements
        Symbol of the element that went and of the one that came, length R.
    batch
        The crystals.
    """

    elements: tuple[str, ...]
    replacements: tuple[str, ...]
    batch: CrystalBatch


@dataclass(frozen=True)
class Replacement:
    """One replaced element and what is predicted then; None where nothing could be predicted.

    Attributes
    ----------
    element, replacement
        Symbols of the element that went and of the one that came.
    tc_K, lambda_, omega_log_K
        Predicted for the new crystal.
    tc_change_K, lambda_change, omega_log_change_K
        Minus what is predicted for the crystal that it was made from.
    in_domain
        Whether the model can be trusted there; None when that is not known.
    """

    element: str
    replacement: str
    tc_K: float | None
    lambda_: float | None
    omega_log_K: float | None
    tc_change_K: float | None
    lambda_change: float | None
    omega_log_change_K: float | None
    in_domain: bool | None = None


def replaced_crystals(
    crystal: tuple[Floats, Floats, Ints],
    candidates: Mapping[str, Collection[str]],
    *,
    volume: Callable[[Ints], float],
    scale_limits: tuple[float, float],
) -> ReplacedCrystals:
    """Make every crystal in which all atoms of one element are another element.

    Fractional coordinates and the shape of the cell stay. The cell takes the volume of the crystal times the ratio of
    the estimated volumes after and before. Nothing is relaxed.

    Parameters
    ----------
    crystal
        Lattice (3, 3) in angstrom with vectors as rows, frac_coords (n, 3), atomic_numbers (n,).
    candidates
        By symbol of an element: the symbols that may come in its place. Elements that are not named stay.
    volume
        Estimates a volume in cubic angstrom from the atomic numbers of a cell, for example
        `onnes.propose.radii.estimated_volume`.
    scale_limits
        Least and largest linear scale of the cell.

    Returns
    -------
    ReplacedCrystals
        In the order of the elements' atomic numbers, then of the candidates.

    Raises
    ------
    CrystalError
        When the crystal does not hold an element that candidates are given for, or a symbol is no element.

    Examples
    --------
    >>> crystal = (3.0 * np.eye(3), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([55, 17]))
    >>> made = replaced_crystals(crystal, {"Cl": ["F", "Br"]}, volume=lambda numbers: float(sum(numbers)),
    ...                          scale_limits=(0.8, 1.25))
    >>> made.replacements, made.batch.atomic_numbers.tolist(), (made.batch.volumes / 27).round(3).tolist()
    (('F', 'Br'), [55, 9, 55, 35], [0.889, 1.25])
    """
    lattice, frac_coords, numbers = crystal
    wanted = {atomic_number(element): element for element in candidates}
    missing = [element for z, element in wanted.items() if z not in numbers]
    if missing:
        raise CrystalError(f"the crystal holds no {missing[0]}; give candidates for its own elements")
    elements: list[str] = []
    replacements: list[str] = []
    crystals: list[tuple[Floats, Floats, Ints]] = []
    before = volume(numbers) if wanted else 1.0
    for old in sorted(wanted):
        for symbol in candidates[wanted[old]]:
            new = np.where(numbers == old, atomic_number(symbol), numbers)
            scale = float(np.clip((volume(new) / before) ** (1 / 3), *scale_limits))
            elements.append(symbols()[old])
            replacements.append(symbol)
            crystals.append((lattice * scale, frac_coords, new))
    return ReplacedCrystals(tuple(elements), tuple(replacements), CrystalBatch.of(crystals))


def compare_replacements(
    made: ReplacedCrystals,
    predicted: Mapping[str, Floats],
    original: Mapping[str, float],
    in_domain: Sequence[bool | None] | None = None,
) -> list[Replacement]:
    """Set what is predicted for the replaced crystals beside the crystal that they were made from.

    Parameters
    ----------
    made
        R crystals of `replaced_crystals`.
    predicted
        `QUANTITIES` of each, shape (R,); NaN where the prediction failed.
    original
        `QUANTITIES` of the crystal that they were made from.
    in_domain
        Whether the model can be trusted for each, length R.

    Returns
    -------
    list of Replacement
        In the order of ``made``.

    Raises
    ------
    ModelError
        When a quantity is missing, or its length is another.
    """
    n = len(made.batch)
    for name in QUANTITIES:
        if name not in predicted or name not in original or len(predicted[name]) != n:
            raise ModelError(f"{name} is needed for the crystal and for each of its {n} replacements")
    trusted = [None] * n if in_domain is None else in_domain
    rows = []
    for i, (element, replacement) in enumerate(zip(made.elements, made.replacements, strict=True)):
        after = [float(predicted[name][i]) for name in QUANTITIES]
        change = [value - original[name] for name, value in zip(QUANTITIES, after, strict=True)]
        rows.append(
            Replacement(element, replacement, *map(_number, after), *map(_number, change), in_domain=trusted[i])
        )
    return rows


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None
