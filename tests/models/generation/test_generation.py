import numpy as np
import pytest
import torch

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import free_parameters
from onnes.crystals.known import known_crystal
from onnes.crystals.symmetry import describe
from onnes.errors import ModelError
from onnes.models.generation.denoiser import Denoiser, DenoiserSettings
from onnes.models.generation.generative_model import GenerativeModel, load_generator, template_library
from onnes.models.generation.noise import SIGMA_MAX, SIGMA_MIN, signal, slope_norm, spread, wrapped_slope
from onnes.models.generation.packed import pack
from onnes.models.generation.sampler import Fixed, SamplerSettings, sample
from onnes.models.generation.structure_types import structure_types
from onnes.models.weights import save_weights

NAMES = ("Nb3Sn", "MgB2", "FeSe", "Be2Nb3", "Nb", "YBa2Cu3O7", "FeSe")
SMALL = DenoiserSettings(width=16, layers=2, waves=3, radial=6, conditions=("ln_tc",))


@pytest.fixture(scope="module")
def crystals():
    batch = CrystalBatch.from_structures([known_crystal(name, primitive=True) for name in NAMES])
    return [free_parameters(*crystal) for crystal in batch]


@pytest.fixture(scope="module")
def packed(crystals):
    return pack(crystals)


@pytest.fixture(scope="module")
def network(packed):
    torch.manual_seed(0)
    network = Denoiser(SMALL)
    network.set_scale(packed)
    return network.eval()


def test_packing_loses_nothing(crystals, packed):
    for one, (lattice, frac, numbers) in zip(crystals, packed.crystals(), strict=True):
        expected = one.crystal()
        assert np.allclose(lattice @ lattice.T, expected[0] @ expected[0].T, rtol=1e-4, atol=1e-3)
        apart = frac - expected[1]
        assert np.abs(apart - np.round(apart)).max() < 1e-5
        assert numbers.tolist() == expected[2].tolist()


def test_taking_some_cuts_the_padding(packed):
    small = packed.take(torch.tensor([4, 1]))
    assert small.is_site.shape[1] == 3
    assert [len(numbers) for _, _, numbers in small.crystals()] == [1, 3]


def test_projection_to_orbits_undoes_the_maps(packed):
    moves = torch.randn(packed.coordinates.shape, generator=torch.Generator().manual_seed(0)) * packed.is_free
    index = packed.orbit_of_site[..., None].expand(-1, -1, 3)
    vectors = (packed.maps @ moves.gather(1, index)[..., None])[..., 0]
    assert torch.allclose(packed.to_orbits(vectors), moves, atol=1e-5)


def test_the_slope_is_that_of_the_density():
    x = torch.linspace(-0.49, 0.49, 99, dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor(0.2, dtype=torch.float64)
    images = x[:, None] + torch.arange(-30, 31, dtype=torch.float64)
    density = torch.logsumexp(-(images**2) / (2 * sigma**2), 1)
    expected = -torch.autograd.grad(density.sum(), x)[0]
    assert torch.allclose(wrapped_slope(x.detach(), sigma.expand(99)), expected, atol=1e-9)


def test_descending_the_slope_leads_home():
    d = torch.tensor([0.2, -0.2, 0.8])
    assert torch.sign(wrapped_slope(d, torch.tensor(0.3).expand(3))).tolist() == [1.0, -1.0, -1.0]


def test_slopes_are_divided_by_their_own_size():
    t = torch.tensor([0.0, 0.3, 0.7])
    sigma = spread(t)
    noise = torch.randn(3, 50_000, generator=torch.Generator().manual_seed(1)) * sigma[:, None]
    size = wrapped_slope(noise, sigma[:, None].expand_as(noise)).square().mean(1).sqrt()
    assert torch.allclose(size / slope_norm(t), torch.ones(3), atol=0.05)


def test_schedules_run_from_all_signal_to_all_noise():
    alpha, sigma = signal(torch.tensor([0.0, 1.0]))
    assert alpha[0] == pytest.approx(1.0)
    assert alpha[1] < 0.01
    assert sigma[1] == pytest.approx(1.0, abs=1e-4)
    assert spread(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([SIGMA_MIN, SIGMA_MAX])


def test_output_does_not_depend_on_the_choice_of_periods_or_the_order_of_the_batch(network, packed):
    t = torch.full((len(packed),), 0.4)
    out = network(packed, t)
    shifted = packed.moved(packed.lattice, packed.coordinates + 1.0 * packed.is_free)
    again = network(shifted, t)
    assert torch.allclose(out.slope, again.slope, atol=1e-4)
    order = torch.tensor([5, 0, 3])
    part = network(packed.take(order), t[:3])
    assert torch.allclose(part.lattice, out.lattice[order], atol=1e-4)
    assert torch.allclose(part.slope, out.slope[order, : part.slope.shape[1]], atol=1e-4)


def test_what_symmetry_fixes_gets_no_output(network, packed):
    out = network(packed, torch.full((len(packed),), 0.4))
    assert out.slope[~packed.is_free].abs().max() == 0
    assert out.lattice[~packed.lattice_free].abs().max() == 0


def test_samples_have_at_least_the_space_group_asked_for(network, packed):
    made = sample(network, packed, torch.Generator().manual_seed(3), SamplerSettings(steps=5))
    kept = 0
    for (lattice, frac, numbers), one in zip(made.crystals(), packed.space_group.tolist(), strict=True):
        found = describe(lattice, frac, numbers, symprec=1e-3).space_group
        kept += found == one or found > one
    assert kept == len(packed)


def test_the_seed_decides(network, packed):
    hidden = packed.moved(packed.lattice, packed.coordinates, torch.zeros_like(packed.elements))
    one, two, other = (
        sample(network, hidden, torch.Generator().manual_seed(s), SamplerSettings(steps=4)) for s in (1, 1, 2)
    )
    assert torch.equal(one.coordinates, two.coordinates)
    assert torch.equal(one.elements, two.elements)
    assert not torch.equal(one.elements, other.elements)


def test_every_orbit_gets_an_element_of_those_allowed(network, packed):
    hidden = packed.moved(packed.lattice, packed.coordinates, torch.zeros_like(packed.elements))
    allowed = torch.zeros(*packed.elements.shape, 95, dtype=torch.bool)
    allowed[..., [41, 5]] = True
    made = sample(
        network, hidden, torch.Generator().manual_seed(0), SamplerSettings(steps=4), fixed=Fixed(elements=allowed)
    )
    assert set(made.elements[made.is_orbit].tolist()) <= {41, 5}
    assert (made.elements[made.is_orbit] > 0).all()


def test_known_elements_stay(network, packed):
    made = sample(network, packed, torch.Generator().manual_seed(0), SamplerSettings(steps=4))
    assert torch.equal(made.elements, packed.elements)


def test_fixed_parts_of_a_crystal_come_back_as_they_were(network, packed):
    keep = torch.zeros_like(packed.is_orbit)
    keep[:, 0] = True
    everything = torch.ones(len(packed), dtype=torch.bool)
    made = sample(
        network,
        packed,
        torch.Generator().manual_seed(0),
        SamplerSettings(steps=4),
        fixed=Fixed(lattice=everything, orbits=keep),
    )
    assert torch.allclose(made.lattice, packed.lattice, atol=1e-5)
    assert torch.allclose(made.coordinates[:, 0], packed.coordinates[:, 0], atol=1e-5)
    assert not torch.allclose(made.coordinates[:, 1:], packed.coordinates[:, 1:], atol=1e-2)


def model_of(network, crystals):
    templates, keys, counts = template_library(crystals)
    types, _ = structure_types(pack([*crystals, *crystals], keys))
    return GenerativeModel(
        "small", "", network, templates, keys, counts, types, torch.tensor([1.0]), torch.tensor([2.0])
    )


def test_a_model_comes_back_from_its_folder(tmp_path, network, crystals, packed):
    model = model_of(network, crystals)
    save_weights(tmp_path / "small", model.tensors(), model.config(), "card")
    again = load_generator(str(tmp_path / "small"))
    assert again.keys == model.keys
    assert model.counts.tolist()[0] == 2  # FeSe is there twice
    t = torch.full((len(packed),), 0.3)
    assert torch.allclose(again.network(packed, t).slope, network(packed, t).slope, atol=2e-2)
    assert torch.equal(again.templates.maps, model.templates.maps)
    assert torch.allclose(again.templates.inverse_maps, model.templates.inverse_maps, atol=1e-6)


def test_conditions_are_named(network, crystals):
    model = model_of(network, crystals)
    assert model.asked({}, 3) is None
    assert model.asked({"ln_tc": 3.0}, 2).tolist() == [[1.0], [1.0]]
    with pytest.raises(ModelError, match="ln_tc"):
        model.asked({"colour": 1.0}, 2)


def test_other_weights_are_no_generator():
    with pytest.raises(ModelError, match="no generator"):
        load_generator("metal")
