import numpy as np
import pytest
import torch

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.electronegativity import electronegativity_places
from onnes.crystals.free_parameters import FreeParameters, free_parameters
from onnes.crystals.known import known_crystal
from onnes.models.generation.elements import N_ELEMENTS, element_facts, element_likeness
from onnes.models.generation.packed import pack
from onnes.models.generation.structure_types import WAVES, structure_types


@pytest.fixture(scope="module")
def selenide():
    """FeSe: 129:2a 2c, one free coordinate."""
    return free_parameters(*CrystalBatch.from_structures([known_crystal("FeSe", primitive=True)]).crystal(0))


def moved(one, z, elements=None):
    coordinates = one.coordinates.copy()
    coordinates[one.template.n_free > 0, 0] = z
    return FreeParameters(one.template, one.elements if elements is None else np.array(elements), one.lattice_parameters, coordinates)  # fmt: skip


@pytest.fixture(scope="module")
def known(selenide):
    """Two types of one template: iron chalcogenides near 0.27, lead oxides near 0.75, and one crystal between."""
    crystals = [
        moved(selenide, 0.26, [26, 34]), moved(selenide, 0.28, [26, 16]), moved(selenide, 0.27, [26, 52]),
        moved(selenide, 0.98, [82, 8]), moved(selenide, 0.02, [50, 8]), moved(selenide, 0.5, [3, 7]),
    ]  # fmt: skip
    return pack(crystals, [selenide.template.key])


def free_waves(found, selenide):
    orbit = int(np.flatnonzero(selenide.template.n_free)[0])
    return found[:, orbit, 0]


def test_crystals_with_like_coordinates_are_one_type_and_single_ones_none(known):
    types, own = structure_types(known)
    assert len(types) == 2
    assert own[0] == own[1] == own[2] != own[3] == own[4]  # 0.98 and 0.02 are neighbours
    assert own[5] == -1
    assert sorted(types.counts.tolist()) == [2, 3]


def test_waves_point_to_where_the_atoms_are(known, selenide):
    types, own = structure_types(known)
    waves = free_waves(types.waves_of(own[[0, 3]], 2).numpy(), selenide)
    first = np.arctan2(waves[:, 0], waves[:, WAVES]) / (2 * np.pi) % 1
    assert first == pytest.approx([0.27, 0.0], abs=2e-3)
    assert (types.waves_of(np.array([-1]), 2) == 0).all()


def test_the_type_of_the_most_similar_elements_is_recalled(known, selenide):
    types, own = structure_types(known)
    asked = pack([moved(selenide, 0.1, [27, 34]), moved(selenide, 0.1, [83, 8])], [selenide.template.key])
    assert types.nearest(asked).tolist() == [own[0], own[3]]
    assert torch.equal(types.recall(asked), types.waves_of(own[[0, 3]], 2))
    stranger = pack([selenide], ["something else"])
    assert types.nearest(stranger).tolist() == [-1]
    assert (types.recall(stranger) == 0).all()


def test_a_training_crystal_is_not_recalled_by_itself(known, selenide):
    types, own = structure_types(known)
    # Without itself the second type would be of one crystal alone, so the first is the only one left for its members.
    assert types.nearest(known, own).tolist() == [own[0], own[0], own[0], own[0], own[0], types.nearest(known)[5]]
    waves = free_waves(types.recall(known, own).numpy(), selenide)
    angle = np.arctan2(waves[:3, 0], waves[:3, WAVES]) / (2 * np.pi) % 1
    assert angle == pytest.approx([0.275, 0.265, 0.27], abs=1e-6)  # means of the other two


def test_types_are_drawn_as_often_as_they_occur(known):
    types, own = structure_types(known)
    drawn = types.drawn(np.ones(3000, int), np.array([6.0]), np.random.default_rng(0))
    shares = [(drawn == one).mean() for one in (own[0], own[3], -1)]
    assert shares == pytest.approx([3 / 6, 2 / 6, 1 / 6], abs=0.03)
    assert (types.drawn(np.zeros(5, int), np.array([6.0]), np.random.default_rng(0)) == -1).all()


def test_facts_of_elements_tell_all_of_them_apart():
    facts = element_facts().numpy()
    assert facts.shape[0] == N_ELEMENTS
    assert (facts[0] == 0).all()
    assert len(np.unique(facts[1:].round(4), axis=0)) == N_ELEMENTS - 1
    likeness = element_likeness()
    apart = np.linalg.norm(likeness[1:, None] - likeness[None, 1:], axis=-1)
    place = {z: apart[z - 1] for z in (41, 34)}
    assert place[41][73 - 1] < place[41][8 - 1]
    assert place[34][16 - 1] < place[34][26 - 1]


def test_every_element_has_its_own_place():
    places = electronegativity_places()
    assert sorted(places.tolist()) == list(range(119))
    assert places[9] > places[8] > places[7] > places[6] > places[1] > places[41] > places[20] > places[55]


def test_without_templates_there_are_no_types(selenide):
    packed = pack([selenide, selenide])
    types, own = structure_types(packed)
    assert len(types) == 0
    assert own.tolist() == [-1, -1]
    assert types.nearest(packed).tolist() == [-1, -1]
    assert types.recall(packed).shape == (2, 2, 3, 2 * WAVES)
    assert types.drawn(np.zeros(2, int), np.zeros(1), np.random.default_rng(0)).tolist() == [-1, -1]
