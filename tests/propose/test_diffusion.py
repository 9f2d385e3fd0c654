import json

import numpy as np
import pytest
from pymatgen.core import Composition
from tests.propose.small_generator import QUICK, small_generator

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import free_parameters
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values
from onnes.errors import ConfigError, ModelError
from onnes.propose.diffusion import diffusion_candidates, replay_diffusion
from onnes.propose.drafts import assignments_of
from onnes.propose.template_guesses import TemplateGuesses


def written(name):
    return free_parameters(*CrystalBatch.from_structures([known_crystal(name, primitive=True)]).crystal(0))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_generator(tmp_path_factory.mktemp("weights") / "small")


def drawn(model, n=6, **request):
    return diffusion_candidates(n, model=model, sampler=QUICK, **request)


def test_the_same_seed_gives_the_same_table(model):
    assert drawn(model, seed=4).equals(drawn(model, seed=4))
    assert not drawn(model, seed=4).equals(drawn(model, seed=5))


def test_a_composition_is_kept(model):
    table = drawn(model, formula="NbTi")
    assert set(values(table, "reduced_formula")) == {Composition("NbTi").reduced_formula}
    assert {json.loads(how)["template"] for how in values(table, "how")} <= {"221:1a 1b", "225:4a 4b", "129:2a 2c"}


def test_a_space_group_is_kept(model):
    table = drawn(model, space_group=191)
    assert {json.loads(how)["template"] for how in values(table, "how")} == {"191:1a 2d"}


def test_only_the_elements_allowed_occur(model):
    table = drawn(model, elements=["Nb", "C"])
    assert {z for numbers in values(table, "atomic_numbers") for z in numbers} <= {41, 6}


def test_excluded_elements_do_not_occur(model):
    table = drawn(model, n=30)
    numbers = {z for row in values(table, "atomic_numbers") for z in row}
    assert not numbers & {2, 10, 18, 36, 54, 86, 43, 61}


def test_without_symmetry(model):
    table = drawn(model, formula="NbTi", symmetry=False)
    assert all(set(json.loads(how)["template"].removeprefix("1:").split()) == {"1a"} for how in values(table, "how"))


def test_template_of_a_parent_with_its_lattice_and_one_position_kept(model):
    parent = known_table(["FeSe"])
    table = drawn(model, like=parent, keep=["lattice", "2c"])
    assert set(values(table, "parent_id")) == {"FeSe"}
    own = written("FeSe")
    for how in map(json.loads, values(table, "how")):
        assert how["lattice"] == pytest.approx(own.lattice_parameters.tolist(), abs=1e-5)
        kept = own.template.positions.index("2c")
        assert how["coordinates"][kept] == pytest.approx(own.coordinates[kept].tolist(), abs=1e-5)
        assert how["elements"][kept] == "Se"


def test_elements_of_a_parent_kept(model):
    table = drawn(model, like=known_table(["MgB2"]), keep=["elements"])
    assert set(values(table, "reduced_formula")) == {"MgB2"}


@pytest.mark.parametrize(
    "request_", [{"seed": 2}, {"symmetry": False, "formula": "NbTi"}, {"like": known_table(["FeSe"])}]
)
def test_every_row_replays(model, request_):
    table = drawn(model, **request_)
    parent = known_crystal("FeSe", primitive=True) if "like" in request_ else None
    for crystal, how in zip(CrystalBatch.from_table(table), values(table, "how"), strict=True):
        lattice, frac, numbers = CrystalBatch.from_structures([replay_diffusion(parent, how, model=model)]).crystal(0)
        assert numbers.tolist() == crystal[2].tolist()
        assert np.allclose(lattice @ lattice.T, crystal[0] @ crystal[0].T)
        apart = frac - crystal[1]
        assert np.abs(apart - np.round(apart)).max() < 1e-6


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"formula": "Xx2"}, "no formula"),
        ({"formula": "Nb5Ti7C3"}, "no template fits"),
        ({"space_group": 230}, "space group 230"),
        ({"symmetry": False, "space_group": 191}, "needs symmetry"),
        ({"symmetry": False, "formula": "Nb20Ti"}, "more than 12"),
        ({"like": known_table(["FeSe"]), "keep": ["4h"]}, "no 4h"),
        ({"like": known_table(["FeSe"]), "formula": "Fe2Se3"}, "does not fit"),
        ({"like": known_table(["FeSe", "Nb"])}, "one crystal"),
    ],
)
def test_what_cannot_be_asked(model, request_, words):
    with pytest.raises(ConfigError, match=words):
        drawn(model, **request_)


def test_a_property_that_the_model_does_not_know(model):
    with pytest.raises(ModelError, match="hardness"):
        drawn(model, conditions={"hardness": 3.0})


def test_a_template_of_another_generator_is_refused(model):
    how = json.loads(values(drawn(model), "how")[0]) | {"template": "2:1a 2i"}
    with pytest.raises(ConfigError, match="2:1a 2i"):
        replay_diffusion(None, json.dumps(how), model=model)


def test_assignments_fill_whole_formula_units():
    assert assignments_of([1, 2], {41: 1, 7: 1}) == []
    assert [one.tolist() for one in assignments_of([2, 6], {41: 3, 50: 1})] == [[50, 41]]
    assert len(assignments_of([1] * 4, {41: 1, 7: 1})) == 6


def test_guesses_from_crystals_of_the_same_template():
    known = [written(name) for name in ("Nb3Sn", "MgB2", "FeSe")]
    guesses = TemplateGuesses(known)
    target = written("V3Si")
    assert np.allclose(guesses.mean(target).lattice_parameters, known[0].lattice_parameters)
    assert guesses.nearest(written("FeSe")).coordinates == pytest.approx(known[2].coordinates)
    assert guesses.mean(written("YBa2Cu3O7")) is None
    assert guesses.nearest(written("YBa2Cu3O7")) is None


def test_a_circular_mean_does_not_cross_the_middle():
    one = written("FeSe")
    free = np.arange(3) < one.template.n_free[:, None]
    pair = [
        type(one)(one.template, one.elements, one.lattice_parameters, np.where(free, value, 0.0))
        for value in (0.98, 0.04)
    ]
    mean = TemplateGuesses(pair).mean(one)
    assert mean.coordinates[free] == pytest.approx(0.01, abs=1e-6)


def test_like_orbits_take_elements_in_the_order_in_which_they_were_learned():
    found = assignments_of([1, 2, 2, 1], {8: 2, 22: 2, 56: 2}, "abbc")
    assert sorted(one.tolist() for one in found) == [[8, 56, 22, 8], [22, 56, 8, 22], [56, 22, 8, 56]]
    found = assignments_of([2, 2, 2], {8: 2, 22: 4}, "dda")
    assert sorted(one.tolist() for one in found) == [[22, 8, 22], [22, 22, 8]]


def test_without_symmetry_a_cell_holds_one_or_more_formula_units(model):
    table = drawn(model, n=30, formula="NbTi", symmetry=False)
    sizes = set(values(table, "n_atoms"))
    assert all(size % 2 == 0 for size in sizes)
    assert len(sizes) > 1


@pytest.mark.parametrize(("request_", "says"), [
    ({"keep": ["lattice"]}, "no parent"),
    ({"like": "FeSe", "space_group": 129}, "own template"),
    ({"like": "FeSe", "symmetry": False}, "own template"),
    ({"like": "YBa2Cu3O7"}, "more than 12 atoms"),
])  # fmt: skip
def test_what_a_parent_does_not_go_with_is_refused(model, request_, says):
    if "like" in request_:
        request_ = {**request_, "like": known_table([request_["like"]])}
    with pytest.raises(ConfigError, match=says):
        drawn(model, **request_)


def test_a_parent_with_a_formula_takes_all_assignments(model):
    like = known_table(["NiAl"])
    found = {tuple(row) for row in values(drawn(model, n=20, like=like, formula="NbTi"), "atomic_numbers")}
    assert found == {(41, 22), (22, 41)}


def test_the_shipped_generator_draws_sound_crystals_that_can_be_made_again():
    table = diffusion_candidates(4, formula="Nb3Sn", seed=3)
    assert set(values(table, "reduced_formula")) == {"Nb3Sn"}
    assert values(table, "error") == [None] * 4
    batch = CrystalBatch.from_table(table)
    for row, how in enumerate(values(table, "how")):
        again = replay_diffusion(None, how)
        lattice, frac, numbers = batch.crystal(row)
        assert np.allclose(again.lattice.matrix, lattice, atol=1e-6)
        assert np.allclose(again.frac_coords, frac, atol=1e-6)
        assert [site.specie.Z for site in again] == list(numbers)


def test_the_shipped_generator_keeps_atoms_apart():
    table = diffusion_candidates(20, seed=0)
    assert sum(error is None for error in values(table, "error")) >= 19
    structures = CrystalBatch.from_table(table).to_structures()
    assert all(one.is_valid(tol=0.5) for one in structures)
