"""What is asked for: a form, filled in by hand, from a TOML file, or from words."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from onnes.agent.limits import Limits
from onnes.agent.words import read_words
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

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

    @model_validator(mode="after")
    def _possible(self) -> Goal:
        if self.elements and not self.allowed():
            raise ValueError("every element that is allowed is excluded")
        if banned := sorted(set(self.required) & set(self.exclude)):
            raise ValueError(f"{', '.join(banned)} is both required and excluded")
        if self.elements and (other := sorted(set(self.required) - set(self.elements))):
            raise ValueError(f"{', '.join(other)} is required, and not among the elements that may occur")
        if self.min_elements > self.max_elements:
            raise ValueError("min_elements is larger than max_elements")
        return self

    @classmethod
    def from_words(cls, words: str, *, partly: bool = False) -> Goal:
        """Fill the form in from words, by rules.

        Understood are "above 8 K", "no Be", "without thallium", "at most 4 elements", "ternary", "among Nb Zr ...", "of Nb and
        Ti", "containing Nb", "ambient pressure", "new compositions", "within 50 meV/atom of the hull", "at most 8 atoms", "top
        20", formulas, and names of motifs; elements by symbol or English name.

        Parameters
        ----------
        words
            The goal.
        partly
            Keep what is understood and leave the rest to whoever reads ``words``, a language model; `leftovers` says what it is.

        Raises
        ------
        ConfigError
            When a phrase is not understood (unless ``partly``), when a pressure is asked for, or when the goal contradicts
            itself.
        """
        form, rest = read_words(words)
        if not form and not partly:
            raise ConfigError(
                f"nothing in {words[:100]!r} could be understood without a language model; say for example 'above 8 K, no Be, at "
                "most 3 elements among Nb Ti N C', or give --goal FILE.toml"
            )
        if rest and not partly:
            raise ConfigError(
                f"{', '.join(repr(one[:60]) for one in rest[:6])} in the goal could not be understood without a language model; "
                "say it otherwise, or give --goal FILE.toml"
            )
        try:
            return cls.model_validate({"words": words, **form})
        except ValidationError as error:
            raise ConfigError(f"goal: {_first(error)}") from None

    @classmethod
    def leftovers(cls, words: str) -> list[str]:
        """Phrases of a goal that the rules do not understand."""
        return read_words(words)[1] if words else []

    def allowed(self) -> tuple[str, ...]:
        """Elements that may occur, those excluded taken out; empty for any."""
        return tuple(one for one in self.elements if one not in self.exclude)

    def is_default(self, field: str) -> bool:
        """Whether a field holds what holds for every goal that says nothing of it."""
        return getattr(self, field) == type(self).model_fields[field].default

    def misfit(self, elements: Iterable[str]) -> str | None:
        """Why a compound of these elements is not what was asked for; None when it is.

        Examples
        --------
        >>> Goal(exclude=("Be",)).misfit(["Be", "Nb"])
        'holds Be, which the goal excludes'
        """
        held = set(elements)
        if banned := held & set(self.exclude):
            return f"holds {', '.join(sorted(banned))}, which the goal excludes"
        if self.elements and (other := held - set(self.allowed())):
            return f"holds {', '.join(sorted(other))}, which the goal does not list"
        if missing := set(self.required) - held:
            return f"lacks {', '.join(sorted(missing))}, which the goal requires"
        if len(held) > self.max_elements:
            return "has more elements than the goal allows"
        return "has fewer elements than the goal asks for" if len(held) < self.min_elements else None


def _first(error: ValidationError) -> str:
    one = error.errors()[0]
    return f"{'.'.join(map(str, one['loc'])) or 'goal'}: {one['msg']}"
