"""Crystals by diffusion: a template, elements, and free parameters drawn by the trained generator."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import FreeParameters, free_parameters, plain_template
from onnes.crystals.schema import concat, is_open
from onnes.errors import ConfigError
from onnes.models.generation.elements import N_ELEMENTS
from onnes.models.generation.generative_model import DEFAULT_GENERATOR, load_generator
from onnes.models.generation.packed import pack
from onnes.models.generation.sampler import Fixed, SamplerSettings, sample
from onnes.propose.drafts import parent_drafts, plain_drafts, template_drafts
from onnes.propose.periodic import DEFAULT_EXCLUDED, atomic_number, atomic_numbers, symbol_of
from onnes.propose.rows import Proposal, encode, proposal_table

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import pyarrow as pa
    from pymatgen.core import Structure

    from onnes.models.generation.generative_model import GenerativeModel
    from onnes.models.generation.packed import PackedCrystals
    from onnes.propose.drafts import Draft

DEFAULT_CRYSTALS = 100
MAX_ATOMS = 12  # the generator has seen cells up to this size
_BATCH = 128
_DIGITS = 6  # of what is written down in `how`, and therefore of the crystals


def diffusion_candidates(
    n: int,
    *,
    formula: str | None = None,
    elements: Collection[str] = (),
    exclude: Collection[str] = DEFAULT_EXCLUDED,
    space_group: int | None = None,
    symmetry: bool = True,
    like: pa.Table | None = None,
    keep: Collection[str] = (),
    conditions: Mapping[str, float] | None = None,
    max_atoms: int = MAX_ATOMS,
    model: str = DEFAULT_GENERATOR,
    sampler: SamplerSettings | None = None,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Draw crystals from the trained generator.

    A template (space group and occupied Wyckoff positions) is drawn from those of the training crystals, as often as it occurs
    there. Then elements, lattice and free coordinates are drawn together; what symmetry fixes cannot change. The method is
    that of Jiao et al., ICLR 2024 (space-group constrained) and NeurIPS 2023, with elements that are hidden and revealed
    (Austin et al., NeurIPS 2021).

    Parameters
    ----------
    n
        How many.
    formula
        Composition of all crystals, such as ``Nb3Sn``; the cell holds one or more of it.
    elements
        The only elements that may occur; all but ``exclude`` by default.
    exclude
        Elements that the generator may not choose.
    space_group
        International number that the template must have.
    symmetry
        False draws without a template: space group 1, all coordinates free.
    like
        Crystal table of one row, a parent: its template is used.
    keep
        Parts of the parent that stay: names of its Wyckoff positions such as ``4h`` (element and coordinates), ``lattice``,
        ``elements``.
    conditions
        Properties asked for, by name: ``ln_tc`` (ln(1 + Tc / K)), ``formation_energy_eV_per_atom``.
    max_atoms
        Atoms in the primitive cell at most.
    model
        Name or folder of the generator.
    sampler
        Settings, among them the strength of the conditions.
    seed
        The same seed and request give the same table.
    on_rows
        Called with the number of crystals drawn since the last call.

    Returns
    -------
    Crystal table of primitive cells; ``how`` holds the free parameters and can be replayed (`replay_diffusion`). A crystal
    that fails validation carries ``error``.

    Raises
    ------
    ConfigError
        When no template fits what is asked for.

    Examples
    --------
    >>> table = diffusion_candidates(2, formula="MgB2", space_group=191)  # doctest: +SKIP
    """
    if n < 1:
        raise ConfigError("n counts crystals; give 1 or more")
    if keep and like is None:
        raise ConfigError(f"there is no parent to keep {', '.join(keep)} of; give one")
    generator = load_generator(model)
    rng = np.random.default_rng(seed)
    if like is not None:
        if space_group is not None or not symmetry:
            raise ConfigError(
                "a parent brings its own template; leave out the space group and the wish for no symmetry"
            )
        drafts = parent_drafts(like, n, rng, keep, formula, max_atoms)
    elif symmetry:
        drafts = template_drafts(generator, n, rng, formula, space_group, max_atoms)
    else:
        if space_group not in {None, 1}:
            raise ConfigError(f"space group {space_group} needs symmetry; leave one of the two out")
        drafts = plain_drafts(generator, n, rng, formula, max_atoms)
    allowed = _allowed(elements, exclude)
    made = _sampled(generator, drafts, allowed, conditions or {}, sampler or SamplerSettings(), seed, on_rows)
    parent = None if like is None else like["id"][0].as_py()
    proposals = [
        _proposal(one, draft, parent, {"model": generator.sha256[:16], "seed": seed, "row": row})
        for row, (one, draft) in enumerate(zip(made, drafts, strict=True))
    ]
    return proposal_table(proposals, source="diffusion")


def requested(
    *,
    parents: pa.Table | None = None,
    elements: Collection[str] = (),
    formulas: Sequence[str] = (),
    exclude: Collection[str] = DEFAULT_EXCLUDED,
    space_group: int | None = None,
    symmetry: bool = True,
    keep: Collection[str] = (),
    conditions: Mapping[str, float] | None = None,
    guidance: float = 1.0,
    generator: str = DEFAULT_GENERATOR,
    max_atoms: int = MAX_ATOMS,
    limit: int = DEFAULT_CRYSTALS,
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """`diffusion_candidates` for several parents or formulas, ``limit`` crystals in all; each has its share."""
    jobs: list[dict[str, Any]] = [{"formula": formula} for formula in formulas] or [{}]
    if parents is None:
        jobs = [{**job, "keep": keep} for job in jobs]
    else:
        rows = np.flatnonzero(is_open(parents)).tolist()
        jobs = [{**job, "like": parents.slice(row, 1), "keep": keep} for row in rows for job in jobs]
    sampler = SamplerSettings(guidance=guidance)
    tables = []
    for place, job in enumerate(jobs):
        share = limit // len(jobs) + (place < limit % len(jobs))
        if share:
            tables.append(diffusion_candidates(
                share, elements=elements, exclude=exclude, space_group=space_group, symmetry=symmetry, conditions=conditions,
                max_atoms=max_atoms, model=generator, sampler=sampler, seed=seed + place, on_rows=on_rows, **job,
            ))  # fmt: skip
    return concat(tables)


def replay_diffusion(parent: Structure | None, how: str, *, model: str = DEFAULT_GENERATOR) -> Structure:
    """Make a candidate again from its ``how``, and its parent where it took the template from one.

    Raises
    ------
    ConfigError
        When the parent is missing, or when the generator has no such template.
    """
    operation = json.loads(how)
    numbers = np.array([atomic_number(symbol) for symbol in operation["elements"]], np.int64)
    key = operation["template"]
    if operation["from_parent"]:
        if parent is None:
            raise ConfigError("this crystal has the template of its parent; give the crystal named in parent_id")
        template = free_parameters(*CrystalBatch.from_structures([parent]).crystal(0)).template
    elif key == plain_template(len(numbers)).key:
        template = plain_template(len(numbers))
    else:
        generator = load_generator(model)
        if key not in generator.keys:
            raise ConfigError(f"{model} has no template {key}; name the generator that made this crystal")
        template = generator.template(generator.keys.index(key))
    lattice, coordinates = np.array(operation["lattice"]), np.array(operation["coordinates"], float).reshape(-1, 3)
    made = FreeParameters(template, numbers, lattice, coordinates).crystal()
    return CrystalBatch.of([made]).to_structures()[0]


def _allowed(elements: Collection[str], exclude: Collection[str]) -> torch.Tensor:
    """Elements that the generator may choose, shape (N_ELEMENTS,)."""
    allowed = torch.zeros(N_ELEMENTS, dtype=torch.bool)
    chosen = atomic_numbers(elements) if elements else frozenset(range(1, N_ELEMENTS)) - atomic_numbers(exclude)
    allowed[[z for z in chosen if z < N_ELEMENTS]] = True
    if not allowed.any():
        raise ConfigError("no element is left to choose from; exclude fewer")
    return allowed


def _sampled(
    generator: GenerativeModel,
    drafts: Sequence[Draft],
    allowed: torch.Tensor,
    conditions: Mapping[str, float],
    settings: SamplerSettings,
    seed: int,
    on_rows: Callable[[int], None] | None,
) -> list[FreeParameters]:
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(seed)
    packed = pack([draft.start for draft in drafts], generator.keys)
    lattice = torch.tensor([draft.keeps_lattice for draft in drafts])
    orbits = torch.zeros_like(packed.is_orbit)
    for row, draft in enumerate(drafts):
        orbits[row, : len(draft.kept_orbits)] = torch.from_numpy(draft.kept_orbits)
    memory = _memory(generator, packed, seed)
    made: list[FreeParameters | None] = [None] * len(drafts)
    for rows in packed.n_sites.argsort(stable=True).split(_BATCH):
        part = packed.take(rows)
        fixed = Fixed(lattice[rows], orbits[rows, : part.is_orbit.shape[1]], allowed.expand(*part.elements.shape, -1))
        asked = generator.asked(conditions, len(rows))
        known = memory[rows, : part.is_orbit.shape[1]]
        found = sample(generator.network, part, random, settings, fixed=fixed, conditions=asked, memory=known)
        for place, row in enumerate(rows.tolist()):
            whole = found.free_parameters(place, drafts[row].start.template)
            made[row] = replace(
                whole,
                lattice_parameters=np.round(whole.lattice_parameters, _DIGITS),
                coordinates=np.round(whole.coordinates, _DIGITS),
            )
        if on_rows:
            on_rows(len(rows))
    return [one for one in made if one is not None]


def _memory(generator: GenerativeModel, packed: PackedCrystals, seed: int) -> torch.Tensor:
    """Waves of the structure type that each crystal shall be near.

    Where all elements are given, the type with the most similar ones; otherwise one is drawn as often as it occurs.
    """
    types, rng = generator.types, np.random.default_rng([seed, 1])
    templates = packed.template.numpy(force=True)
    given = ((packed.elements > 0) | ~packed.is_orbit).all(1).numpy(force=True)
    drawn = types.drawn(templates, generator.counts.numpy(force=True), rng)
    chosen = np.where(given, types.nearest(packed), drawn)
    return types.waves_of(chosen, packed.is_orbit.shape[1])


def _proposal(one: FreeParameters, draft: Draft, parent: str | None, origin: dict[str, Any]) -> Proposal:
    how = encode({
        "op": "diffusion",
        "template": one.template.key,
        "from_parent": draft.template is None,
        "elements": [symbol_of(int(z)) for z in one.elements],
        "lattice": one.lattice_parameters.tolist(),
        "coordinates": one.coordinates.tolist(),
        **origin,
    })  # fmt: skip
    return Proposal(*one.crystal(), parent, how)
