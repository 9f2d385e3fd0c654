"""From a chemical space to random crystals: the compositions that chemistry allows, each with some random structures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from onnes.crystals.schema import concat
from onnes.errors import ConfigError
from onnes.propose.compositions import compositions
from onnes.propose.random_crystals import MAX_ATOMS, RandomCrystals, RandomSettings
from onnes.propose.relaxed_rows import SOURCE
from onnes.propose.rows import failed_formula, proposal_table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa

    from onnes.propose.compositions import CompositionEnergy, States

PER_FORMULA = 10


def composition_candidates(
    elements: Collection[str] = (),
    *,
    formulas: Sequence[str] = (),
    n_elements: Sequence[int] = (2, 3),
    max_each: int | None = None,
    states: States | None = "icsd24",
    energy: CompositionEnergy | None = None,
    threshold_eV_per_atom: float | None = None,
    per_formula: int = PER_FORMULA,
    crystals: RandomSettings | None = None,
    limit: int | None = None,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Random crystals of the compositions of a chemical space, not relaxed.

    Parameters
    ----------
    elements
        Chemical space: the compositions are those of `onnes.propose.compositions.compositions`.
    formulas
        Compositions to use instead.
    n_elements, max_each, states, energy, threshold_eV_per_atom
        See `onnes.propose.compositions.compositions`; its ``max_atoms`` is the one of ``crystals``.
    per_formula
        Random crystals of each composition.
    crystals
        How they are drawn, with the largest cell.
    limit
        Most candidates: fewer compositions are taken, the lowest by the model or without one a random sample.
    seed
        Of that sample and of the crystals: the same seed and settings give the same table.
    on_rows
        Called with the number of crystals done since the last call.

    Returns
    -------
    Crystal table in the order of the compositions. ``how`` can be replayed
    (`onnes.propose.random_crystals.replay_random`). A composition of which no crystal can be made is one row without a
    geometry, whose ``error`` counts the failures.

    Raises
    ------
    ConfigError
        For bad settings, when no composition is left, or without PyXtal and SMACT.

    Examples
    --------
    >>> table = composition_candidates(formulas=["NbC"], per_formula=3, crystals=RandomSettings(max_atoms=4))
    >>> table["source"].to_pylist()
    ['composition', 'composition', 'composition']
    """
    if per_formula < 1 or (limit is not None and limit < 1):
        raise ConfigError("per_formula and limit count crystals; give 1 or more")
    if bool(elements) == bool(formulas):
        raise ConfigError("give either elements, whose compositions are listed, or formulas")
    settings = crystals or RandomSettings()
    most = None if limit is None else -(-limit // per_formula)
    chosen = list(formulas)[:most]
    if elements:
        extra: dict[str, Any] = (
            {} if threshold_eV_per_atom is None else {"threshold_eV_per_atom": threshold_eV_per_atom}
        )
        found = compositions(
            elements,
            n_elements=n_elements,
            max_atoms=settings.max_atoms,
            max_each=max_each,
            states=states,
            energy=energy,
            limit=most,
            seed=seed,
            **extra,
        )
        chosen = list(found.formulas)
        if not chosen:
            raise ConfigError(
                f"none of {found.listed} stoichiometries is left ({found.balanced} have balanced oxidation states); "
                "give other elements, states=None or a higher threshold"
            )
    tables = []
    for formula in chosen:
        tables.append(_crystals_of(formula, per_formula, settings, seed))
        if on_rows:
            on_rows(tables[-1].num_rows)
    return concat(tables).slice(0, limit)


def _crystals_of(formula: str, count: int, settings: RandomSettings, seed: int) -> pa.Table:
    source = RandomCrystals(formula, settings, seed)
    proposals = source.take(count)
    if proposals:
        return proposal_table(proposals, source=SOURCE)
    reasons = ", ".join(f"{times} {reason}" for reason, times in source.failures.most_common())
    return failed_formula(source.formula, source=SOURCE, error=f"no random crystal of {source.formula}: {reasons}")


def requested(
    *,
    elements: Collection[str] = (),
    formulas: Sequence[str] = (),
    max_atoms: int = MAX_ATOMS,
    n_elements: Sequence[int] = (2, 3),
    per_formula: int = PER_FORMULA,
    limit: int | None = None,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """`composition_candidates` with the size of the cell as the only setting of the crystals."""
    return composition_candidates(
        elements, formulas=formulas, n_elements=n_elements, per_formula=per_formula,
        crystals=RandomSettings(max_atoms=max_atoms), limit=limit, seed=seed, on_rows=on_rows,
    )  # fmt: skip
