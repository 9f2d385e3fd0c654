"""From a recipe to the weights of a generator."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from onnes.models.generation.denoiser import Denoiser
from onnes.models.generation.generative_model import GenerativeModel, load_generator, template_library
from onnes.models.generation.packed import pack
from onnes.models.generation.structure_types import structure_types
from onnes.models.weights import save_weights
from onnes.training.cards import generator_card
from onnes.training.data import VALIDATION_BUCKETS
from onnes.training.generator import losses, train_generator, with_noise
from onnes.training.generator_data import CONDITIONS, generator_data, in_units, without_symmetry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from onnes.models.generation.structure_types import StructureTypes
    from onnes.training.generator_data import GeneratorData
    from onnes.training.recipe import GeneratorRecipe

_VALIDATION_SOURCES = ("mp_structures", "epc_dft_alexandria")
_VALIDATION_ROUNDS = 8
_MANY_FREE = 9
_STILL_ANY = 0.3
_SPLITS = {
    "composition": "composition buckets int(md5(reduced_formula), 16) % 100: trained below 80, scored on 80-89",
    "published": "trained on the published training part, scored on the published validation part",
}
_NAMES = {
    "mp_structures": "Materials Project (MP-20)",
    "epc_dft_alexandria": "Alexandria's electron-phonon set",
    "elasticity_binaries": "elasticity set of MatCalc",
    "phonon_dos_jarvis": "phonon set of JARVIS",
    "epc_dft_jarvis3d": "electron-phonon set of JARVIS",
    "wbm_equilibrium_sample": "WBM",
    "phonon_heat_capacity_binaries": "heat-capacity set of MatCalc",
    "perov_5": "perovskites of Castelli et al. in the split of CDVAE",
}


@dataclass(frozen=True)
class GeneratorScore:
    """Losses on crystals of the validation part, each the mean over random times.

    Attributes
    ----------
    n
        Crystals.
    lattice
        Squared error of the velocity of the scaled lattice parameters.
    slope
        Squared error of the slope of the coordinates over its mean square; 1 is what a constant guess of zero gives.
    elements
        Cross-entropy of hidden elements, in nats; ln 94 = 4.5 is a guess.
    """

    n: int
    lattice: float
    slope: float
    elements: float


def train_generator_model(
    recipe: GeneratorRecipe,
    folder: Path,
    *,
    on_rows: Callable[[int], None] | None = None,
    on_epoch: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Train below bucket 80, score on 80-89, write the folder; returns the configuration.

    Unlike other models it is not trained again on all rows: what it generates is judged against crystals that it has not
    seen.

    Parameters
    ----------
    recipe
        Settings; one with ``start`` trains those weights further on the crystals that it selects.
    folder
        Where weights, configuration, card and the checkpoint of an unfinished training go.
    on_rows
        Called with the number of crystals read since the last call.
    on_epoch
        Called after every `GeneratorRecipe.report_every` steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = "train" if recipe.split == "published" else None
    data = generator_data(max_atoms=recipe.max_atoms, sources=recipe.sources, part=part, on_rows=on_rows)
    data = shown(chosen(data, recipe), recipe)
    start = load_generator(recipe.start) if recipe.start else None
    plain = [without_symmetry(one) for one in data.crystals] if recipe.symmetry and recipe.plain_share else []
    library = (start.templates, start.keys, counts_of(data, start)) if start else template_library(data.crystals)
    crystals = pack([*data.crystals, *plain], library[1])
    # Further training keeps the types of the start; its crystals may be among theirs. Without symmetry there are none.
    known = pack(data.crystals, library[1] if recipe.symmetry else ())
    types, own = (start.types, None) if start else structure_types(known)
    memory = types.recall(crystals, None if own is None else np.concatenate([own, np.full(len(plain), -1)]))
    weights = drawing_weights(data, recipe, with_plain=bool(plain))
    mean, std = (start.condition_mean, start.condition_std) if start else units(data)
    conditions = in_units(data, mean, std).repeat(2 if plain else 1, 1)

    def on_step(step: int, _: dict[str, float]) -> None:
        if on_epoch and step % recipe.report_every == 0:
            on_epoch()

    settings = recipe.settings.model_copy(
        update={
            "network": recipe.settings.network.model_copy(
                update={"conditions": CONDITIONS, "templates": len(library[1])}
            )
        }
    )
    network = train_generator(
        crystals, conditions, weights, settings, memory=memory,
        network=start.network if start else None, checkpoint=folder / "checkpoint.pt", on_step=on_step,
    )  # fmt: skip
    score = score_generator(network, library[1], types, recipe)
    model = GenerativeModel(recipe.name, "", network, *library, types, mean, std)
    config = {
        **model.config(),
        "training_rows": len(data),
        "training_data": ", ".join(_NAMES.get(name, name) for name in recipe.sources),
        "split": _SPLITS[recipe.split],
        "validation": asdict(score),
        "recipe": recipe.model_dump(mode="json"),
        "licence": "MIT",
    }
    save_weights(folder, model.tensors(), config, generator_card(recipe.name, config))
    return config


def drawing_weights(data: GeneratorData, recipe: GeneratorRecipe, *, with_plain: bool) -> torch.Tensor:
    """How often each crystal is drawn, shape (P,).

    Those without free coordinates, which teach the lattice alone, less often; those with many, of which there are few, more often.
    Without their symmetry the crystals come a second time, with `GeneratorRecipe.plain_share` of the whole weight.
    """
    free = [one.template.n_free_total for one in data.crystals]
    drawn = np.interp(free, (0, 3, _MANY_FREE), (recipe.rigid_weight, 1.0, recipe.soft_weight))
    weights = torch.tensor(drawn, dtype=torch.float32)
    if not with_plain:
        return weights
    share = recipe.plain_share / (1 - recipe.plain_share)
    return torch.cat([weights, torch.full_like(weights, share * float(weights.mean()))])


def units(data: GeneratorData) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and spread of the conditions, shape (C,); 0 and 1 for one that is known of no crystal."""
    columns = [column[np.isfinite(column)] for column in data.conditions.T]
    mean = [float(column.mean()) if len(column) else 0.0 for column in columns]
    std = [float(column.std()) or 1.0 if len(column) else 1.0 for column in columns]
    return torch.tensor(mean), torch.tensor(std)


def counts_of(data: GeneratorData, start: GenerativeModel) -> torch.Tensor:
    """How often each template of a trained generator shall be drawn after further training, shape (T,).

    As often as it occurs among the crystals, but `_STILL_ANY` of the draws stay as they were: few crystals know few
    templates.
    """
    own = Counter(one.template.key for one in data.crystals)
    counts = torch.tensor([float(own[key]) for key in start.keys])
    rest = start.counts / start.counts.sum()
    if not counts.any():
        return rest
    return len(data) * ((1 - _STILL_ANY) * counts / counts.sum() + _STILL_ANY * rest)


def shown(data: GeneratorData, recipe: GeneratorRecipe) -> GeneratorData:
    """Crystals as the network sees them: without their symmetry where the recipe says so."""
    if recipe.symmetry:
        return data
    return replace(data, crystals=tuple(without_symmetry(one) for one in data.crystals))


def chosen(data: GeneratorData, recipe: GeneratorRecipe) -> GeneratorData:
    """Crystals that a recipe selects: all, or a seeded sample of those with a computed Tc of at least so much."""
    if recipe.min_tc_K is None:
        return data
    tc = np.expm1(data.conditions[:, CONDITIONS.index("ln_tc")])
    rows = np.flatnonzero(tc >= recipe.min_tc_K)
    if recipe.crystals is not None and recipe.crystals < len(rows):
        rows = np.sort(np.random.default_rng(recipe.settings.seed).permutation(rows)[: recipe.crystals])
    return data.take(rows)


def score_generator(
    network: Denoiser, keys: Sequence[str], types: StructureTypes, recipe: GeneratorRecipe
) -> GeneratorScore:
    """Losses on the crystals of the validation buckets, elements hidden in half of them."""
    if recipe.split == "published":
        data = generator_data(max_atoms=recipe.max_atoms, sources=recipe.sources, part="val")
    else:
        data = generator_data(VALIDATION_BUCKETS, max_atoms=recipe.max_atoms, sources=_VALIDATION_SOURCES)
    data = shown(data, recipe)
    crystals = pack(data.crystals, keys)
    memory = types.recall(crystals)
    generator = torch.Generator().manual_seed(0)
    sums: dict[str, float] = {}
    with torch.no_grad():
        for _ in range(_VALIDATION_ROUNDS):
            for rows in crystals.n_sites.argsort(stable=True).split(256):
                clean = crystals.take(rows)
                known = memory[rows, : clean.elements.shape[1]]
                noisy = with_noise(network, clean, generator, element_share=0.5)
                found = losses(network, clean, noisy, None, known)
                sums = {name: sums.get(name, 0.0) + len(rows) * float(value) for name, value in found.items()}
    return GeneratorScore(len(data), **{name: value / (_VALIDATION_ROUNDS * len(data)) for name, value in sums.items()})
