"""Recipes: what a model is trained from, in TOML files."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from onnes.errors import ConfigError
from onnes.models.superconductivity import TARGETS
from onnes.training.data import VALIDATION_BUCKETS
from onnes.training.generator import GeneratorSettings
from onnes.training.generator_data import SOURCES
from onnes.training.spectrum import SpectrumSettings
from onnes.training.trainer import TrainSettings
from onnes.training.trees import TreeSettings


class _Recipe(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="name of the model")
    potentials: tuple[str, ...] = Field(min_length=1, description="potentials whose features the heads read")
    heads: TrainSettings = TrainSettings()


class SuperconductivityRecipe(_Recipe):
    """Recipe of a superconductivity model."""

    kind: Literal["superconductivity"]
    electronic: bool = Field(default=False, description="read N(E_F) as well")
    electronic_gain: float = Field(default=1.0, gt=0, description="what the N(E_F) features are multiplied by")
    fallback: str | None = Field(default=None, description="model for rows without N(E_F)")
    moments: str | None = Field(default=None, description="potential that is asked for magnetic moments")
    teacher: str | None = Field(
        default=None,
        description="recipe of a larger model whose predictions for unlabelled crystals are learned as well",
    )
    teacher_weight: float = Field(default=0.5, ge=0, description="weight of a crystal that the teacher labelled")
    target_weights: dict[str, float] = Field(description="weight of each target in the loss")
    cross_members: int = Field(default=2, ge=1, description="networks of each fold of the cross-validation")

    @field_validator("target_weights")
    @classmethod
    def _one_weight_a_target(cls, weights: dict[str, float]) -> dict[str, float]:
        if wrong := set(weights) ^ set(TARGETS):
            raise ValueError(f"unknown or missing: {', '.join(sorted(wrong))}; give one weight to each target")
        return weights

    @model_validator(mode="after")
    def _teachers_read_crystals_alone(self) -> SuperconductivityRecipe:
        if self.teacher is not None and self.electronic:
            raise ValueError("a recipe with a teacher cannot read N(E_F): unlabelled crystals have none")
        return self


class MetalRecipe(_Recipe):
    """Recipe of a metal model."""

    kind: Literal["metal"]


class SpectrumRecipe(BaseModel):
    """Recipe of a spectrum model, trained on alpha2F of one's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["spectrum"]
    name: str = Field(description="name of the model")
    data: Path = Field(description="spectra, .parquet or .json; relative to the recipe or to the working directory")
    crystals: Path | None = Field(default=None, description="folder of the CIF files of a .json, likewise")
    validation_buckets: tuple[Annotated[int, Field(ge=0, le=99)], ...] = tuple(VALIDATION_BUCKETS)
    settings: SpectrumSettings = SpectrumSettings()

    @field_validator("data", "crystals")
    @classmethod
    def _beside_the_recipe(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        """Prefer a path beside the recipe to one in the working directory."""
        folder = (info.context or {}).get("folder")
        return folder / path if folder and path and (folder / path).exists() else path


class ExperimentalRecipe(BaseModel):
    """Recipe of a model of measured superconductivity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["experimental"]
    name: str = Field(description="name of the model")
    variant: Literal["composition", "structure"] = Field(
        default="structure", description="read the composition alone, or the crystal too where there is one"
    )
    heads: TrainSettings = Field(description="networks of ln Tc")
    trees: TreeSettings = Field(default=TreeSettings(), description="trees of ln Tc")
    classifier: TrainSettings = Field(description="networks of the probability")

    @field_validator("heads", "classifier")
    @classmethod
    def _loss(cls, settings: TrainSettings, info: ValidationInfo) -> TrainSettings:
        needed = "binary" if info.field_name == "classifier" else "huber"
        if settings.loss != needed:
            raise ValueError(f"its loss must be {needed!r}, not {settings.loss!r}")
        return settings


class FormationRecipe(BaseModel):
    """Recipe of a formation-energy model of compositions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["formation"]
    name: str = Field(description="name of the model")
    heads: TrainSettings = TrainSettings()


class GeneratorRecipe(BaseModel):
    """Recipe of a generator of crystals."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["generator"]
    name: str = Field(description="name of the model")
    start: str | None = Field(default=None, description="weights that are trained further")
    sources: tuple[str, ...] = Field(default=SOURCES, min_length=1, description="data files")
    split: Literal["composition", "published"] = Field(
        default="composition", description="composition buckets, or the parts that the data file publishes"
    )
    symmetry: bool = Field(default=True, description="false: space group 1 only, all coordinates free")
    max_atoms: int = Field(default=12, ge=1, description="atoms in the cell at most")
    min_tc_K: float | None = Field(
        default=None, ge=0, description="only crystals whose computed Tc is at least so high"
    )
    crystals: int | None = Field(default=None, ge=1, description="a random sample of so many of them")
    plain_share: float = Field(
        default=0.15, ge=0, lt=1, description="share of the crystals that are shown without their symmetry"
    )
    rigid_weight: float = Field(
        default=0.3,
        gt=0,
        le=1,
        description="how often a crystal without a free coordinate is shown, against one with three",
    )
    soft_weight: float = Field(
        default=2.0,
        gt=0,
        description="how often a crystal with nine free coordinates and more is shown, against one with three",
    )
    report_every: int = Field(default=100, ge=1, description="steps of the progress bar")
    settings: GeneratorSettings = GeneratorSettings()


Recipe = GeneratorRecipe | SuperconductivityRecipe | MetalRecipe | SpectrumRecipe | ExperimentalRecipe | FormationRecipe
_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, Field(discriminator="kind")])


def recipe_names() -> list[str]:
    """Names of the recipes in the package."""
    folder = files("onnes.training").joinpath("recipes")
    return sorted(Path(item.name).stem for item in folder.iterdir() if item.name.endswith(".toml"))


def read_recipe(source: str | Path) -> Recipe:
    """Read a recipe by its name in the package, or from a TOML file.

    Raises
    ------
    ConfigError
        For an unknown name, a file that is no TOML, or a setting that is wrong; the message names it.

    Examples
    --------
    >>> read_recipe("fast").name
    'fast'
    """
    context = None
    if str(source) in recipe_names():
        text = files("onnes.training").joinpath(f"recipes/{source}.toml").read_text(encoding="utf-8")
    elif Path(source).is_file():
        text, context = Path(source).read_text(encoding="utf-8"), {"folder": Path(source).parent}
    else:
        raise ConfigError(f"no recipe {source!s}: give a TOML file or one of {', '.join(recipe_names())}")
    try:
        return _ADAPTER.validate_python(tomllib.loads(text), context=context)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe {source}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"recipe {source}: {place}: {first['msg']}") from error


def superconductivity_recipe(source: str | Path) -> SuperconductivityRecipe:
    """Read a recipe that must be one of a superconductivity model; raises ConfigError otherwise."""
    recipe = read_recipe(source)
    if not isinstance(recipe, SuperconductivityRecipe):
        raise ConfigError(f"recipe {source}: of kind {recipe.kind}, a superconductivity recipe is needed")
    return recipe


def experimental_recipe(source: str | Path) -> ExperimentalRecipe:
    """Read a recipe that must be one of a model of measured superconductivity; raises ConfigError otherwise."""
    recipe = read_recipe(source)
    if not isinstance(recipe, ExperimentalRecipe):
        raise ConfigError(f"recipe {source}: of kind {recipe.kind}, an experimental recipe is needed")
    return recipe
