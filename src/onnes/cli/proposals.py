"""Options of the commands that propose crystals, and what they ask for."""

from __future__ import annotations

import functools
import inspect
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from onnes.cli.options import Seed, split
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_DRAWN = {"composition", "diffusion"}
_SLOW = {*_DRAWN, "disorder", "reinterpret"}


@dataclass(frozen=True, kw_only=True)
class ProposalOptions:
    """What a user asked for; None where nothing was said. The help of each option names the methods that use it."""

    parent: Annotated[list[Path] | None, typer.Option(help="Parent crystal (file); repeat for more.")] = None
    like: Annotated[
        list[Path] | None,
        typer.Option(help="Crystal (file) whose geometry is wanted: the same as --method like --parent FILE."),
    ] = None
    method: Annotated[
        str | None,
        typer.Option(
            help="How to propose: neighbour, ionic, saps, like (need --parent), prototype (--elements), composition "
            "(--elements or --formula), diffusion, disorder (--parent), reinterpret (--formula). Default: neighbour with "
            "--parent, prototype with --elements."
        ),
    ] = None
    elements: Annotated[str | None, typer.Option(help="Elements that may be put in, e.g. Nb,Zr,Hf,N,C.")] = None
    formula: Annotated[
        str | None, typer.Option(help="Compositions, e.g. Nb3Sn,MgB2 (composition, diffusion, reinterpret).")
    ] = None
    fixed: Annotated[str | None, typer.Option(help="Elements of the parents that stay, e.g. Be,B.")] = None
    exclude: Annotated[str | None, typer.Option(help="Elements never put in, e.g. Tl,Cd.")] = None
    prototypes: Annotated[str | None, typer.Option(help="Structure types, e.g. A15,B1 (prototype, reinterpret).")] = (
        None
    )
    motif: Annotated[str | None, typer.Option(help="Family of structure types, e.g. laves (prototype).")] = None
    collection: Annotated[
        str | None,
        typer.Option(help="Lists of structure types: general, superconductors, aflow (prototype, reinterpret)."),
    ] = None
    max_atoms: Annotated[int, typer.Option(help="Atoms in the primitive cell at most.")] = 12
    max_substituted: Annotated[int | None, typer.Option(help="Wyckoff orbits changed at once at most (neighbour).")] = (
        None
    )
    score: Annotated[
        str | None,
        typer.Option(help="Probability of replacements: observed, ionic, metallic, auto, neighbour (ionic, saps)."),
    ] = None
    threshold: Annotated[
        float | None, typer.Option(help="Smallest probability of a replacement (0 to 1; ionic, saps).")
    ] = None
    max_cells: Annotated[
        int | None, typer.Option(help="Primitive cells in which atoms are told apart, at most (saps).")
    ] = None
    charge_balanced: Annotated[
        bool, typer.Option("--charge-balanced", help="Only compositions whose oxidation states balance (saps).")
    ] = False
    per_formula: Annotated[int | None, typer.Option(help="Random crystals of each composition (composition).")] = None
    space_group: Annotated[int | None, typer.Option(help="Space group of the crystals, 1 to 230 (diffusion).")] = None
    no_symmetry: Annotated[
        bool, typer.Option("--no-symmetry", help="Draw every coordinate, not only the free ones (diffusion).")
    ] = False
    keep: Annotated[
        str | None,
        typer.Option(help="What stays of the parent: Wyckoff positions such as 4h, lattice, elements (diffusion)."),
    ] = None
    target_tc: Annotated[
        float | None, typer.Option(help="Ask the generator for crystals of this Tc (K; diffusion).")
    ] = None
    target_formation_energy: Annotated[
        float | None, typer.Option(help="Ask the generator for this formation energy (eV/atom), diffusion only.")
    ] = None
    guidance: Annotated[
        float | None, typer.Option(help="How strongly to ask (a factor: 1 as learned, more exaggerates; diffusion).")
    ] = None
    generator: Annotated[str | None, typer.Option(help="Generator: a shipped name, or a folder (diffusion).")] = None
    ordering: Annotated[
        str | None,
        typer.Option(help="Ordered cells: enumerate (all different ones) or sqs (quasi-random; disorder)."),
    ] = None
    rank: Annotated[
        str | None,
        typer.Option(
            help="What comes first: auto, ewald, energy, size (disorder); auto, energy, pattern (reinterpret)."
        ),
    ] = None
    potential: Annotated[
        str | None,
        typer.Option(
            help="Potential that relaxes (reinterpret; none to leave it) or ranks by energy (disorder). "
            "Default: sevennet-0."
        ),
    ] = None
    pattern: Annotated[
        Path | None,
        typer.Option(help="Powder pattern to compare with: a file of two theta and intensity (reinterpret)."),
    ] = None
    radiation: Annotated[
        str | None, typer.Option(help="Of the pattern, e.g. CuKa or a wavelength in Å (reinterpret).")
    ] = None
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", help="Most candidates: a random sample, the best, or how many to draw."),
    ] = None
    seed: Seed = 0

    @property
    def slow(self) -> bool:
        """Whether it takes more than a second or two."""
        return self.method in _SLOW

    @property
    def total(self) -> int | None:
        """How many candidates there will be, where that is known beforehand."""
        return self.limit if self.method in _DRAWN else None

    def request(self) -> dict[str, Any]:
        """Arguments of `onnes.tools.crystals.propose`, among them settings that are None where not given.

        Raises
        ------
        ConfigError
            For ``--like`` together with another starting point.
        """
        parents, method = self.parent, self.method
        if self.like:
            if parents or method not in {None, "like"}:
                other = "--parent" if parents else f"--method {method}"
                raise ConfigError(f"--like FILE means --method like --parent FILE; leave out {other} or --like")
            parents, method = self.like, "like"
        lists = {"prototypes": self.prototypes, "collections": self.collection, "formulas": self.formula}
        lists |= {"keep": self.keep, "exclude": self.exclude}
        same = (
            "max_atoms", "limit", "seed", "motif", "max_substituted", "score", "threshold", "max_cells", "per_formula",
            "space_group", "guidance", "generator", "ordering", "rank", "potential", "pattern", "radiation",
        )  # fmt: skip
        return {
            "parents": [str(path) for path in parents] if parents else None,
            "method": method,
            "elements": split(self.elements),
            "fixed": split(self.fixed),
            **{name: None if text is None else tuple(split(text)) for name, text in lists.items()},
            **{name: getattr(self, name) for name in same},
            "charge_balanced": self.charge_balanced or None,
            "symmetry": False if self.no_symmetry else None,
            "conditions": self._conditions() or None,
        }

    def _conditions(self) -> dict[str, float]:
        asked: dict[str, float] = {}
        if self.target_tc is not None:
            if self.target_tc < 0:
                raise ConfigError(f"--target-tc {self.target_tc:g} K is below zero; give a temperature")
            asked["ln_tc"] = math.log1p(self.target_tc)
        if self.target_formation_energy is not None:
            asked["formation_energy_eV_per_atom"] = self.target_formation_energy
        return asked


def with_proposal_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of `ProposalOptions`; it receives them as its first argument."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    hints = get_type_hints(ProposalOptions, include_extras=True)
    asked = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
        for one in fields(ProposalOptions)
    ]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        options = ProposalOptions(**{one.name: given.pop(one.name) for one in asked})
        command(options, **given)

    parameters = [*asked, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own)]
    del wrapped.__wrapped__  # or its signature would be read
    wrapped.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    wrapped.__annotations__ = {one.name: one.annotation for one in parameters}
    return wrapped
