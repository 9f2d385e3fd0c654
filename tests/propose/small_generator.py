"""Weights of a generator that was never trained: enough to see what is kept and what is refused."""

import torch

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import free_parameters
from onnes.crystals.known import known_crystal
from onnes.models.generation.denoiser import Denoiser, DenoiserSettings
from onnes.models.generation.generative_model import GenerativeModel, template_library
from onnes.models.generation.packed import pack
from onnes.models.generation.sampler import SamplerSettings
from onnes.models.generation.structure_types import structure_types
from onnes.models.weights import save_weights

NAMES = ("Nb3Sn", "MgB2", "FeSe", "Be2Nb3", "Nb", "NiAl", "TiN", "YBa2Cu3O7")
QUICK = SamplerSettings(steps=3)


def small_generator(folder):
    batch = CrystalBatch.from_structures([known_crystal(name, primitive=True) for name in NAMES])
    crystals = [free_parameters(*crystal) for crystal in batch]
    templates, keys, counts = template_library(crystals)
    torch.manual_seed(0)
    settings = DenoiserSettings(width=16, layers=1, waves=2, radial=4, templates=len(keys), conditions=("ln_tc",))
    network = Denoiser(settings)
    network.set_scale(pack(crystals))
    types, _ = structure_types(pack([*crystals, *crystals], keys))  # each twice, so that each is a type
    units = torch.tensor([1.0]), torch.tensor([2.0])
    made = GenerativeModel("small", "", network, templates, keys, counts, types, *units)
    save_weights(folder, made.tensors(), made.config(), "card")
    return str(folder)
