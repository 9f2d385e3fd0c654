"""What is asked for: a form, filled in by hand, from a TOML file, or from words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from onnes.agent.limits import Limits
from onnes.agent.words import read_words
from onnes.errors import ConfigError

RouteName = Literal["rediscovery", "motif", "de-novo", "reinterpretation", "latent"]
ROUTES: tuple[RouteName, ...] = ("rediscovery", "motif", "de-novo", "reinterpretation", "latent")


class Goal(BaseModel):
    """A goal. Frozen; None asks for nothing.

    Examples
    --------
    >>> goal = Goal.from_words("superconductor above 8 K, no Be, at most 3 elements among Nb Ti N C Be")
    >>> goal.min_tc_K, goal.elements, goal.exclude, goal.max_elements
    (8.0, ('Nb', 'Ti', 'N', 'C'), ('Be',), 3)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: str = ""
    """As it was put."""
    route: RouteName | None = None
    """One of `ROUTES`; the planner chooses by default."""
    min_tc_K: float = Field(default=5.0, ge=0, le=400)
    elements: tuple[str, ...] = ()
    """Elements that may occur; any by default."""
    required: tuple[str, ...] = ()
    """Elements that must occur."""
    exclude: tuple[str, ...] = ()
    """Elements that must not."""
    min_elements: int = Field(default=2, ge=1, le=8)
    """Elements alone are known; 1 lets them onto the short list."""
    max_elements: int = Field(default=4, ge=1, le=8)
    max_atoms: int = Field(default=12, ge=1, le=40)
    max_e_above_hull_eV_per_atom: float = Field(default=0.1, ge=0, le=1)
    formulas: tuple[str, ...] = ()
    """Compositions: parents, or a composition to reinterpret."""
    motif: str | None = None
    """A family of structure types, such as a15 or laves."""
    new: Literal["crystals", "compositions"] | None = None
    """Keep only what the reference does not know."""
    count: int = Field(default=10, ge=1, le=100)
    """Length of the short list."""
    candidates: int = Field(default=300, ge=1, le=20_000)
    """Candidates to relax at most; of more the most promising are taken."""
    phonons: int = Field(default=20, ge=0, le=100)
    """Of how many crystals to compute phonons at most."""
    limits: Limits = Limits()

    @field_validator("elements", "required", "exclude", mode="before")
    @classmethod
    def _symbols(cls, given: object) -> object:
        names = given.replace(",", " ").split() if isinstance(given, str) else given
        if isinstance(names, list | tuple):
            for name in names:
                if name not in atomic_numbers or name == "X":
                    raise ValueError(f"{name!r} is no chemical element")
            return tuple(dict.fromkeys(names))
        return names

    @classmethod
    def from_file(cls, path: str | Path) -> Goal:
        """Read a TOML file with these fields; raises ConfigError that names the field."""
        try:
            return cls.model_validate(tomllib.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot read the goal {path}: {error}") from None
        except ValidationError as error:
            raise ConfigError(f"goal {path}: {_first(error)}") from None

    @classmethod
    def from_words(cls, words: str) -> Goal:
        """Fill the form in from words, by rules.

        Understood are "above 8 K", "no Be", "without Tl", "at most 4 elements", "among Nb Zr ...", "of Nb and Ti", "containing
        Nb", "ambient pressure", "new compositions", "within 50 meV/atom of the hull", "at most 8 atoms", "top 20", formulas,
        and names of motifs. `leftovers` says which words were not.

        Raises
        ------
        ConfigError
            When nothing is understood, when a number is not, or when a pressure is asked for.
        """
        form, rest = read_words(words)
        if not form:
            raise ConfigError(
                f"nothing in {words[:100]!r} could be understood without a language model; say for example 'above 8 K, no Be, at "
                "most 3 elements among Nb Ti N C', or give --goal FILE.toml"
            )
        if numbers := [word for word in rest if any(char.isdigit() for char in word)]:
            raise ConfigError(
                f"{', '.join(numbers)} in the goal could not be understood without a language model; say it otherwise, "
                "or give --goal FILE.toml"
            )
        try:
            return cls.model_validate({"words": words, **form})
        except ValidationError as error:
            raise ConfigError(f"goal: {_first(error)}") from None

    @classmethod
    def leftovers(cls, words: str) -> list[str]:
        """Words of a goal that the rules have no use for."""
        return read_words(words)[1]

    def allowed(self) -> tuple[str, ...]:
        """Elements that may occur, those excluded taken out; empty for any."""
        return tuple(one for one in self.elements if one not in self.exclude)


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    return f"{'.'.join(map(str, one['loc'])) or 'goal'}: {one['msg']}"
