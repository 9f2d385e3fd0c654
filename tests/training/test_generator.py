import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import free_parameters
from onnes.crystals.known import known_crystal
from onnes.models.generation.denoiser import Denoiser, DenoiserSettings
from onnes.models.generation.generative_model import GenerativeModel, load_generator, template_library
from onnes.models.generation.packed import pack
from onnes.models.generation.structure_types import structure_types
from onnes.training.generator import GeneratorSettings, losses, train_generator, with_noise
from onnes.training.generator_data import SOURCES, GeneratorData, generator_data, in_units, without_symmetry
from onnes.training.generator_shipping import chosen, counts_of, drawing_weights, shown, train_generator_model, units
from onnes.training.recipe import GeneratorRecipe, read_recipe

NAMES = ("Nb3Sn", "MgB2", "FeSe", "Be2Nb3", "Nb", "NiAl", "YBa2Cu3O7", "NbSe2")
SMALL = GeneratorSettings(
    network=DenoiserSettings(width=24, layers=1, waves=2, radial=4, conditions=("a",)),
    steps=30,
    batch_size=8,
    warm_up=5,
)


@pytest.fixture(scope="module")
def crystals():
    batch = CrystalBatch.from_structures([known_crystal(name, primitive=True) for name in NAMES])
    return [free_parameters(*crystal) for crystal in batch]


@pytest.fixture(scope="module")
def packed(crystals):
    return pack(crystals)


def trained(packed, settings=SMALL, **more):
    asked = torch.full((len(packed), 1), torch.nan)
    return train_generator(packed, asked, torch.ones(len(packed)), settings, **more)


def test_training_learns_the_crystals(packed):
    settings = SMALL.model_copy(update={"steps": 300, "learning_rate": 3e-3})
    seen = []
    trained(packed, settings, on_step=lambda _, found: seen.append(found))
    for name in ("lattice", "slope", "elements"):
        first, last = (np.mean([one[name] for one in part]) for part in (seen[:60], seen[-60:]))
        assert last < 0.9 * first, name


def test_an_interrupted_training_ends_with_the_same_weights(packed, tmp_path):
    whole = trained(packed)

    class Stop(Exception):
        pass

    def stop(step, _):
        if step == 17:
            raise Stop

    with pytest.raises(Stop):
        trained(packed, checkpoint=tmp_path / "c.pt", save_every=8, on_step=stop)
    steps = []
    again = trained(packed, checkpoint=tmp_path / "c.pt", save_every=8, on_step=lambda step, _: steps.append(step))
    assert steps[0] == 17
    for one, two in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_noise_moves_only_what_is_free(packed):
    network = Denoiser(SMALL.network)
    network.set_scale(packed)
    batch = with_noise(network, packed, torch.Generator().manual_seed(0), element_share=1.0)
    apart = batch.noisy.coordinates - packed.coordinates
    assert (apart - apart.round())[~packed.is_free].abs().max() < 1e-6
    assert torch.equal(batch.noisy.lattice[~packed.lattice_free], packed.lattice[~packed.lattice_free])
    assert not torch.allclose(batch.noisy.lattice[packed.lattice_free], packed.lattice[packed.lattice_free], atol=1e-3)
    assert (batch.noisy.elements[batch.hidden] == 0).all()
    assert torch.equal(batch.noisy.elements[~batch.hidden], packed.elements[~batch.hidden])
    assert batch.hidden.any()


def test_no_elements_are_hidden_where_none_shall_be(packed):
    network = Denoiser(SMALL.network)
    batch = with_noise(network, packed, torch.Generator().manual_seed(0), element_share=0.0)
    assert not batch.hidden.any()
    assert losses(network, packed, batch, None)["elements"] == 0


def test_a_crystal_without_its_symmetry_is_the_same_crystal(crystals):
    for one in crystals:
        plain = without_symmetry(one)
        assert plain.template.space_group == 1
        made = [Structure(c[0], c[2], c[1]) for c in (one.crystal(), plain.crystal())]
        assert StructureMatcher().get_rms_dist(*made)[0] < 1e-4


def data_of(crystals):
    tc = np.log1p(np.array([18.0, 39, 8, 2, 9, np.nan, 90, 7]))
    energy = np.linspace(-1, 0, len(crystals))
    return GeneratorData(tuple(crystals), NAMES, NAMES, np.stack([tc, energy], 1), 0)


def test_superconductors_are_selected_by_their_tc(crystals):
    data = data_of(crystals)
    recipe = GeneratorRecipe(kind="generator", name="x", min_tc_K=5.0, crystals=3)
    found = chosen(data, recipe)
    assert len(found) == 3
    assert np.expm1(found.conditions[:, 0]).min() >= 5
    assert found.ids == chosen(data, recipe).ids
    assert chosen(data, GeneratorRecipe(kind="generator", name="x")) is data


def test_conditions_are_in_units_of_their_spread(crystals):
    data = data_of(crystals)
    scaled = in_units(data, *units(data))
    assert scaled.nanmean(0).abs().max() < 1e-6
    assert scaled[5, 0].isnan()


def test_rigid_crystals_are_drawn_less_often_and_plain_ones_have_their_share(crystals):
    recipe = GeneratorRecipe(kind="generator", name="x", plain_share=0.2, rigid_weight=0.3)
    weights = drawing_weights(data_of(crystals), recipe, with_plain=True)
    free = np.array([one.template.n_free_total for one in crystals])
    assert weights[: len(crystals)][torch.from_numpy(free == 0)].tolist() == pytest.approx(
        [0.3] * int((free == 0).sum())
    )
    assert weights[len(crystals) :].sum() / weights.sum() == pytest.approx(0.2)


@pytest.fixture(scope="module")
def start(crystals):
    """A generator that knows five templates, two of them from several crystals."""
    seen = [*crystals[:3], crystals[0], *crystals[4:6], *[crystals[4]] * 3]
    network = Denoiser(SMALL.network)
    library = template_library(seen)
    types, _ = structure_types(pack(seen, library[1]))
    return GenerativeModel("start", "", network, *library, types, torch.zeros(1), torch.ones(1))


def test_further_training_draws_own_templates_seven_times_in_ten(crystals, start):
    data = data_of(crystals).take([0, 0, 1])
    own = [start.keys.index(crystals[i].template.key) for i in (0, 1)]
    before = start.counts / start.counts.sum()
    counts = counts_of(data, start)
    assert counts.sum() == pytest.approx(len(data))
    shares = counts / counts.sum()
    assert shares[own].tolist() == pytest.approx((0.7 * torch.tensor([2 / 3, 1 / 3]) + 0.3 * before[own]).tolist())
    others = [i for i in range(len(start.keys)) if i not in own]
    assert len(others) == 3
    assert shares[others].tolist() == pytest.approx((0.3 * before[others]).tolist())


def test_templates_that_the_generator_does_not_know_change_no_counts(crystals, start):
    foreign = data_of(crystals).take([6])
    assert crystals[6].template.key not in start.keys
    assert counts_of(foreign, start).tolist() == pytest.approx((start.counts / start.counts.sum()).tolist())
    mixed = data_of(crystals).take([6, 0])
    shares = counts_of(mixed, start) / counts_of(mixed, start).sum()
    assert shares[start.keys.index(crystals[0].template.key)] > 0.7


def test_crystals_are_shown_without_their_symmetry_where_the_recipe_says_so(crystals):
    data = data_of(crystals)
    assert shown(data, GeneratorRecipe(kind="generator", name="x")) is data
    plain = shown(data, GeneratorRecipe(kind="generator", name="x", symmetry=False))
    assert {one.template.space_group for one in plain.crystals} == {1}
    atoms = [len(one.crystal()[2]) for one in crystals]
    assert [len(one.template.positions) for one in plain.crystals] == atoms
    assert plain.formulas == data.formulas


def test_the_recipe_of_the_package():
    recipe = read_recipe("generator")
    assert isinstance(recipe, GeneratorRecipe)
    assert recipe.max_atoms == 12


def test_the_recipe_of_superconductors_trains_the_generator_further():
    recipe = read_recipe("generator-superconductors")
    assert isinstance(recipe, GeneratorRecipe)
    assert (recipe.name, recipe.start) == ("generator-superconductors", "generator")
    assert (recipe.crystals, recipe.min_tc_K) == (105, 5.0)
    assert recipe.split == "composition"
    assert recipe.settings.learning_rate < read_recipe("generator").settings.learning_rate
    # Only this file says what Tc is.
    assert recipe.sources == ("epc_dft_alexandria",)


def test_the_recipe_of_the_published_perovskites():
    recipe = read_recipe("perov-5")
    assert isinstance(recipe, GeneratorRecipe)
    assert (recipe.name, recipe.start, recipe.sources) == ("perov-5", None, ("perov_5",))
    assert (recipe.split, recipe.symmetry, recipe.max_atoms) == ("published", False, 5)
    assert recipe.min_tc_K is None


PUBLISHED = {"V3Si": "train", "FeSe": "train", "NiAl": "train", "Nb3Sn": "val", "Be2Nb3": "val"}


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """Data files of known crystals: half of them in a training bucket, half in a validation one; a split across both."""
    names = ["Nb3Sn", "V3Si", "MgB2", "NbSe2", "FeSe", "Be2Nb3", "Nb", "NiAl", "TiN", "YBa2Cu3O7"]
    crystals = CrystalBatch.from_structures([known_crystal(name, primitive=True) for name in names])
    folder = tmp_path / "data"
    folder.mkdir()
    for file in SOURCES:
        columns = {
            "id": names,
            "reduced_formula": names,
            "n_atoms": crystals.n_atoms.tolist(),
            "lattice": [one[0].ravel().tolist() for one in crystals],
            "frac_coords": [one[1].ravel().tolist() for one in crystals],
            "atomic_numbers": [one[2].tolist() for one in crystals],
            "md5_bucket": [5, 85] * (len(names) // 2),
            "source_split": [PUBLISHED.get(name, "test") for name in names],
        }
        if file == "epc_dft_alexandria":
            columns["tc_K"] = np.linspace(1, 20, len(names)).tolist()
        pq.write_table(pa.table(columns), folder / f"{file}.parquet")
    monkeypatch.setenv("ONNES_DATA", str(folder))
    return folder


@pytest.mark.usefixtures("data_folder")
def test_data_is_read_by_bucket_and_size_and_no_crystal_twice():
    data = generator_data()
    assert set(data.formulas) == {"Nb3Sn", "MgB2", "FeSe", "Nb", "TiN"}
    assert len(data) == 5  # the same crystals are in all five files
    assert "V3Si" not in generator_data(range(80, 90), max_atoms=6).formulas
    assert "YBa2Cu3O7" not in generator_data(range(80, 90)).formulas  # thirteen atoms
    assert np.isfinite(data.conditions[:, 0]).all()  # the first file has no Tc, a later one has
    assert np.isnan(data.conditions[:, 1]).all()


def test_from_a_recipe_to_weights_that_generate(data_folder, tmp_path):
    recipe = GeneratorRecipe(
        kind="generator", name="small", settings=SMALL.model_copy(update={"steps": 4}), report_every=2
    )
    ticks = []
    config = train_generator_model(recipe, tmp_path / "small", on_epoch=lambda: ticks.append(1))
    assert len(ticks) == 2
    assert config["training_rows"] == 5
    assert config["validation"]["n"] == 4
    assert "coordinates" in (tmp_path / "small" / "README.md").read_text()
    model = load_generator(str(tmp_path / "small"))
    assert len(model.keys) == len({one.template.key for one in generator_data().crystals})
    further = recipe.model_copy(update={"start": str(tmp_path / "small"), "name": "further", "plain_share": 0.0})
    again = train_generator_model(further, tmp_path / "further")
    assert again["keys"] == config["keys"]


@pytest.mark.usefixtures("data_folder")
def test_parts_of_a_published_split_go_across_the_buckets():
    parts = {part: set(generator_data(part=part, sources=("mp_structures",)).formulas) for part in ("train", "val")}
    assert parts == {"train": {"V3Si", "FeSe", "NiAl"}, "val": {"Nb3Sn", "Be2Nb3"}}


@pytest.mark.usefixtures("data_folder")
def test_a_published_split_is_trained_on_one_part_without_symmetry_and_scored_on_another(tmp_path):
    recipe = GeneratorRecipe(
        kind="generator", name="published", sources=("mp_structures",), split="published", symmetry=False,
        settings=SMALL.model_copy(update={"steps": 4}),
    )  # fmt: skip
    config = train_generator_model(recipe, tmp_path / "published")
    assert config["training_rows"] == 3
    assert config["validation"]["n"] == 2
    assert "published training part" in config["split"]
    # Silicide, selenide and aluminide have 8, 4 and 2 atoms; those of the validation part 8 and 10.
    model = load_generator(str(tmp_path / "published"))
    assert set(model.keys) == {"1:" + " ".join(["1a"] * n) for n in (8, 4, 2)}
    assert model.templates.space_group.tolist() == [1, 1, 1]
    assert model.counts.tolist() == [1, 1, 1]


@pytest.mark.usefixtures("data_folder")
def test_fine_tuned_weights_draw_the_templates_of_the_superconductors(tmp_path):
    settings = SMALL.model_copy(update={"steps": 4})
    train_generator_model(GeneratorRecipe(kind="generator", name="start", settings=settings), tmp_path / "start")
    recipe = GeneratorRecipe(
        kind="generator", name="further", start=str(tmp_path / "start"), sources=("epc_dft_alexandria",), min_tc_K=5.0,
        crystals=1, plain_share=0.0, settings=settings,
    )  # fmt: skip
    config = train_generator_model(recipe, tmp_path / "further")
    assert config["training_rows"] == 1
    before, after = (load_generator(str(tmp_path / name)) for name in ("start", "further"))
    assert after.keys == before.keys
    shares = after.counts / after.counts.sum()
    assert shares.max() == pytest.approx(0.7 + 0.3 / 5)  # five templates, as often each
    assert sorted(shares.tolist())[:-1] == pytest.approx([0.3 / 5] * 4)
