import pytest

from onnes.errors import ConfigError
from onnes.models.superconductivity import TARGETS
from onnes.potentials.potential import potential_names
from onnes.training.recipe import (
    MetalRecipe,
    SpectrumRecipe,
    SuperconductivityRecipe,
    read_recipe,
    recipe_names,
    superconductivity_recipe,
)
from onnes.training.trainer import TrainSettings

TEXT = """
kind = "superconductivity"
name = "mine"
potentials = ["sevennet-0"]

[target_weights]
ln_lambda = 1.0
ln_omega_log_K = 1.0
ln_omega2_ratio = 0.2
ln_dos_ef_per_atom = 0.3
ln_debye_K = 0.3

[heads]
members = 2
hidden = 16
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


def test_recipes_of_the_package() -> None:
    assert {"structure", "electronic", "fast", "metal", "spectrum"} <= set(recipe_names())
    for name in recipe_names():
        assert read_recipe(name).name == name


@pytest.mark.parametrize("name", ["structure", "electronic", "fast"])
def test_superconductivity_recipes(name) -> None:
    found = read_recipe(name)
    assert isinstance(found, SuperconductivityRecipe)
    assert set(found.target_weights) == set(TARGETS)
    assert set(found.potentials) <= set(potential_names())
    assert found.heads.loss == "huber"
    assert found.electronic == (name == "electronic")
    assert (found.fallback is not None) == found.electronic
    if found.fallback:
        assert not superconductivity_recipe(found.fallback).electronic
    if found.teacher:
        assert superconductivity_recipe(found.teacher).teacher is None


def test_metal_and_spectrum_recipes() -> None:
    metal = read_recipe("metal")
    assert isinstance(metal, MetalRecipe)
    assert metal.heads.loss == "binary"
    assert isinstance(read_recipe("spectrum"), SpectrumRecipe)


def test_file_is_read(file) -> None:
    found = read_recipe(file(TEXT))
    assert found == read_recipe(str(file(TEXT)))
    assert (found.name, found.potentials, found.cross_members) == ("mine", ("sevennet-0",), 2)
    assert found.heads == TrainSettings(members=2, hidden=16)
    assert found.target_weights["ln_omega2_ratio"] == 0.2


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("members = 2", "members = 0", r"heads\.members: Input should be greater than or equal to 1"),
        ("hidden = 16", 'hidden = "wide"', r"heads\.hidden: Input should be a valid integer"),
        ("hidden = 16", "hiden = 16", r"heads\.hiden: Extra inputs are not permitted"),
        ('["sevennet-0"]', "[]", "potentials: "),
        ('potentials = ["sevennet-0"]\n', "", "potentials: Field required"),
        ('name = "mine"', 'name = "mine"\nelectronic_gain = -1', "electronic_gain: "),
        ('name = "mine"', 'name = "mine"\nelectrons = true', "electrons: Extra inputs"),
        ("ln_lambda = 1.0", 'ln_lambda = "much"', r"target_weights\.ln_lambda: "),
        ('kind = "superconductivity"', 'kind = "perpetuum mobile"', "perpetuum mobile"),
        ('kind = "superconductivity"\n', "", "kind"),
        ("[heads]", "[heads", "recipe .*mine.toml: "),
    ],
)
def test_errors_name_the_file_and_the_setting(file, old, new, fault) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError, match=fault) as caught:
        read_recipe(file(TEXT.replace(old, new)))
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "setting"),
    [("ln_debye_K = 0.3\n", "", "ln_debye_K"), ("ln_debye_K = 0.3", "ln_debye_K = 0.3\nln_luck = 1.0", "ln_luck")],
    ids=["missing", "unknown"],
)
def test_weights_must_be_those_of_the_targets(file, old, new, setting) -> None:
    with pytest.raises(ConfigError, match=setting):
        read_recipe(file(TEXT.replace(old, new)))


def test_kind_that_is_needed(file) -> None:
    assert superconductivity_recipe(file(TEXT)).name == "mine"
    with pytest.raises(ConfigError, match="recipe metal: of kind metal, a superconductivity recipe is needed"):
        superconductivity_recipe("metal")


def test_unknown_recipe_lists_the_known_ones(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no recipe phonons: give a TOML file or one of electronic, .*structure"):
        read_recipe("phonons")
