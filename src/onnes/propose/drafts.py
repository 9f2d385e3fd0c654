"""Drafts: what is known of a crystal before the generator draws the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.electronegativity import electronegativity_places
from onnes.crystals.free_parameters import FreeParameters, WyckoffTemplate, free_parameters, plain_template
from onnes.errors import ConfigError, CrystalError
from onnes.models.generation.elements import N_ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.models.generation.generative_model import GenerativeModel

    Ints = NDArray[np.int64]

_TRIES = 2000  # assignments of elements to orbits that are looked at for one template


@dataclass(frozen=True, eq=False)
class Draft:
    """A crystal before sampling: what is known of it, and what of that is kept.

    Attributes
    ----------
    start
        Template; elements, 0 where the generator chooses; free parameters, of which only the kept ones matter.
    template
        Index in the generator's templates, -1 for none (space group 1), None when it is that of the parent.
    kept_orbits
        Whose coordinates stay, shape (O,).
    keeps_lattice
        Whether the lattice stays.
    """

    start: FreeParameters
    template: int | None
    kept_orbits: NDArray[np.bool_]
    keeps_lattice: bool = False


def template_drafts(
    generator: GenerativeModel,
    n: int,
    rng: np.random.Generator,
    formula: str | None,
    space_group: int | None,
    max_atoms: int,
) -> list[Draft]:
    """Drafts of n crystals whose templates are drawn as often as they occur among the training crystals."""
    sizes, groups = generator.templates.n_sites, generator.templates.space_group
    fits = (sizes <= max_atoms) & ((groups == space_group) if space_group is not None else True)
    weights = torch.where(fits, generator.counts, 0.0).double().numpy(force=True)
    wanted = None if formula is None else _composition(formula)
    choices: dict[int, list[Ints]] = {}
    if wanted is not None:
        for index in np.flatnonzero(weights).tolist():
            orbits = generator.templates.is_orbit[index]
            counts = generator.templates.multiplicity[index][orbits].tolist()
            letters = generator.templates.letters[index][orbits].tolist()
            choices[index] = assignments_of(counts, wanted, letters)
            if not choices[index]:
                weights[index] = 0.0
    if not weights.any():
        asked = [f"formula {formula}"] * bool(formula) + [f"space group {space_group}"] * bool(space_group)
        raise ConfigError(
            f"no template fits {' and '.join(asked) or 'this'} with at most {max_atoms} atoms; ask for less"
        )
    drafts = []
    for index in rng.choice(len(weights), n, p=weights / weights.sum()).tolist():
        template = generator.template(index)
        free = np.zeros(len(template.positions), np.int64)
        numbers = choices[index][rng.integers(len(choices[index]))] if wanted is not None else free
        drafts.append(_draft(template, numbers, index))
    return drafts


def plain_drafts(
    generator: GenerativeModel, n: int, rng: np.random.Generator, formula: str | None, max_atoms: int
) -> list[Draft]:
    """Drafts of n crystals without symmetry, of sizes that occur among the training crystals."""
    if formula is not None:
        wanted = _composition(formula)
        unit = sum(wanted.values())
        if unit > max_atoms:
            raise ConfigError(f"{formula} has more than {max_atoms} atoms; raise max_atoms")
        ordered = sorted(wanted, key=electronegativity_places().__getitem__)
        one = np.repeat(ordered, [wanted[z] for z in ordered])
        units = [size // unit for size in _drawn_sizes(generator, n, rng, max_atoms, unit)]
        return [_draft(plain_template(unit * k), np.repeat(one, k), -1) for k in units]
    drawn = _drawn_sizes(generator, n, rng, max_atoms, 1)
    return [_draft(plain_template(size), np.zeros(size, np.int64), -1) for size in drawn]


def _drawn_sizes(generator: GenerativeModel, n: int, rng: np.random.Generator, max_atoms: int, unit: int) -> list[int]:
    """Atoms of n cells, multiples of ``unit``, as often as they occur among the training crystals."""
    sizes = np.arange(unit, max_atoms + 1, unit)
    known = generator.templates.n_sites.numpy(force=True)
    weights = np.bincount(known, generator.counts.numpy(force=True), minlength=max_atoms + 1)[sizes]
    if not weights.any():
        weights = np.ones(len(sizes))
    return rng.choice(sizes, n, p=weights / weights.sum()).tolist()


def _draft(template: WyckoffTemplate, numbers: Ints, index: int) -> Draft:
    orbits = len(numbers)
    start = FreeParameters(template, np.asarray(numbers, np.int64), np.zeros(6), np.zeros((orbits, 3)))
    return Draft(start, index, np.zeros(orbits, bool))


def parent_drafts(
    like: pa.Table, n: int, rng: np.random.Generator, keep: Collection[str], formula: str | None, max_atoms: int
) -> list[Draft]:
    """Drafts of n crystals with the template of a parent, a table of one row, of which parts may be kept."""
    if like.num_rows != 1:
        raise ConfigError(f"like takes one crystal, not {like.num_rows}")
    name = like["id"][0].as_py()
    try:
        found = free_parameters(*CrystalBatch.from_table(like).crystal(0))
    except CrystalError as error:
        raise ConfigError(f"crystal {name}: {error}") from error
    names = found.template.positions
    if unknown := set(keep) - {*names, "lattice", "elements"}:
        raise ConfigError(f"the crystal has no {sorted(unknown)[0]}; it has {', '.join(names)}, lattice, elements")
    if len(found.template.orbit_of_site) > max_atoms:
        raise ConfigError(f"the primitive cell of {name} has more than {max_atoms} atoms; raise max_atoms")
    kept = np.array([one in keep for one in names])
    elements = np.where(kept | ("elements" in keep), found.elements, 0)
    if elements.max() >= N_ELEMENTS:
        raise ConfigError(f"{name} has an element beyond plutonium, which the generator does not know")
    choices = [elements]
    if formula is not None:
        counts = np.bincount(found.template.orbit_of_site).tolist()
        # What stays is told apart by where it is.
        letters = [i if one else name for i, (one, name) in enumerate(zip(kept, names, strict=True))]
        fitting = assignments_of(counts, _composition(formula), letters)
        choices = [one for one in fitting if (one == elements)[elements > 0].all()]
        if not choices:
            raise ConfigError(f"{formula} does not fit the positions {', '.join(names)} of the crystal")
    drawn = [choices[i] for i in rng.integers(len(choices), size=n).tolist()]
    starts = [FreeParameters(found.template, one, found.lattice_parameters, found.coordinates) for one in drawn]
    return [Draft(start, None, kept, "lattice" in keep) for start in starts]


def _composition(formula: str) -> dict[int, int]:
    """Atoms of each element in the reduced formula."""
    from pymatgen.core import Composition, Element

    try:
        reduced = Composition(Composition(formula).get_integer_formula_and_factor()[0])
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{formula!r} is no formula ({error}); write it as Nb3Sn") from error
    wanted = {element.Z: round(amount) for element, amount in reduced.items() if isinstance(element, Element)}
    if len(wanted) < len(reduced) or not wanted or max(wanted) >= N_ELEMENTS:
        raise ConfigError(f"{formula!r} is no formula of elements up to plutonium; write it as Nb3Sn")
    return wanted


def assignments_of(
    multiplicities: Sequence[int], wanted: Mapping[int, int], letters: Sequence[object] | None = None
) -> list[Ints]:
    """All ways to put elements on orbits so that the cell holds a whole number of formula units.

    Parameters
    ----------
    multiplicities
        Atoms of each orbit.
    wanted
        Atoms of each element, by atomic number, in one formula unit.
    letters
        Orbits of one letter are alike: they take elements by electronegativity, the order in which the generator has learned
        them.

    Examples
    --------
    >>> [found.tolist() for found in assignments_of([1, 2, 1], {41: 1, 7: 1})]
    [[41, 7, 41], [7, 41, 7]]
    >>> [found.tolist() for found in assignments_of([1, 1], {41: 1, 7: 1}, "aa")]
    [[41, 7]]
    """
    total, unit = sum(multiplicities), sum(wanted.values())
    if total % unit:
        return []
    left = {z: count * (total // unit) for z, count in wanted.items()}
    places = electronegativity_places()
    before = [None] * len(multiplicities)
    if letters is not None:
        before = [max((j for j in range(i) if letters[j] == letters[i]), default=None) for i in range(len(letters))]
    found: list[Ints] = []
    chosen: list[int] = []

    def place(orbit: int) -> None:
        if len(found) >= _TRIES:
            return
        if orbit == len(multiplicities):
            found.append(np.array(chosen, np.int64))
            return
        alike = before[orbit]
        lowest = 0 if alike is None else places[chosen[alike]]
        for z, count in list(left.items()):
            if count >= multiplicities[orbit] and places[z] >= lowest:
                left[z] = count - multiplicities[orbit]
                chosen.append(z)
                place(orbit + 1)
                chosen.pop()
                left[z] = count

    place(0)
    return found
