"""The plan of an experiment: what to weigh, how to make it, what to look for, where every number comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from onnes.campaign.element_criteria import mixing
from onnes.campaign.element_melting import composition_of
from onnes.campaign.expected_transition import MU_STARS, ExpectedTransition, expected_transition
from onnes.campaign.hazards import Hazard, hazards_of
from onnes.campaign.powder_lines import ExpectedPattern, PhaseLines, expected_pattern, lines_of_others
from onnes.campaign.precursors import Charge
from onnes.campaign.synthesis import Reason, Route, charge_of, suggest_route
from onnes.crystals.parquet import PARTLY_OCCUPIED
from onnes.errors import ConfigError, CrystalError
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core import Structure

    from onnes.physics.hull import Hull

_MOST_OTHER_PHASES = 12
_MAX_MU_STAR = 0.5


class ExperimentPlan(BaseModel):
    """Plan of an experiment on one crystal.

    Attributes
    ----------
    id, formula, space_group, geometry, pressure_GPa
        Of the crystal.
    origin
        File or campaign that it was read from.
    known_as
        Id in the reference of the same crystal, where the table says so.
    charge
        Masses of the precursors.
    route
        How to make it.
    pattern, other_phases
        Powder lines of the crystal, and of what may be in the sample beside it.
    transition
        Tc to expect; None when the table has none.
    warnings
        What makes the plan doubtful.
    hazards
        Of the elements, the precursors and the method.
    onnes
        Version that made the plan.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    formula: str
    space_group: int | None
    geometry: str
    pressure_GPa: float
    origin: str
    known_as: str | None
    charge: Charge
    route: Route
    pattern: ExpectedPattern
    other_phases: tuple[PhaseLines, ...]
    transition: ExpectedTransition | None
    warnings: tuple[Reason, ...]
    hazards: tuple[Hazard, ...]
    onnes: str

    def markdown(self) -> str:
        """Return the plan as a page, with numbered sources."""
        from onnes.campaign.experiment_text import page

        return page(self)


def make_plan(
    row: Mapping[str, Any],
    structure: Structure,
    hull: Hull,
    *,
    mass_g: float = 2.0,
    precursors: Sequence[str] | None = None,
    radiation: str = "CuKa",
    mu_stars: Sequence[float] = MU_STARS,
    phases: Sequence[tuple[Structure, str]] = (),
    origin: str = "python",
) -> ExperimentPlan:
    """Plan an experiment on one crystal.

    Parameters
    ----------
    row
        Its columns of the crystal table. ``energy_eV_per_atom`` counts when it is one of the potential of the reference.
    structure
        The crystal; sites may be partly occupied.
    hull
        Hulls of a reference.
    mass_g
        Mass of the sample.
    precursors
        Formulas to use instead of the chosen ones.
    radiation
        Name that pymatgen knows, or a wavelength in angstrom.
    mu_stars
        Coulomb pseudopotentials for Tc.
    phases
        Structures of other phases and where they come from, for their lines.
    origin
        What the crystal was read from.

    Raises
    ------
    ConfigError
        For an impossible set of precursors, none that avoids a halogen as the element, an unknown radiation, a mass or mu* out of range.
    CrystalError
        When the crystal has no symmetry or no powder line.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.physics.hull import hull_of
    >>> from onnes.physics.reference import Reference
    >>> plan = make_plan({"id": "a15"}, known_crystal("V3Si"), hull_of(Reference.shipped("sevennet-0")))
    >>> plan.route.method, [p.formula for p in plan.charge.precursors], plan.pattern.strongest(1)[0].hkl
    ('arc melting', ['Si', 'V'], '210')
    """
    if bad := [mu for mu in mu_stars if not 0 <= mu <= _MAX_MU_STAR]:
        raise ConfigError(f"mu* = {bad[0]:g}; give values between 0 and {_MAX_MU_STAR:g}")
    formula = structure.composition.reduced_formula
    energy, energy_source = _energy(row, hull)
    route = suggest_route(
        formula, hull, energy_eV_per_atom=energy, energy_source=energy_source, pressure_GPa=row.get("pressure_GPa") or 0.0,
        precursors=precursors,
    )  # fmt: skip
    charge = charge_of(route.method, formula, mass_g, precursors=precursors)
    pattern = expected_pattern(structure, radiation=radiation, geometry=row.get("geometry") or "input")
    others = lines_of_others(_likely(formula, route, charge, phases), pattern, given=phases)
    return ExperimentPlan(
        id=str(row.get("id") or formula),
        formula=formula,
        space_group=row.get("space_group"),
        geometry=row.get("geometry") or "input",
        pressure_GPa=row.get("pressure_GPa") or 0.0,
        origin=origin,
        known_as=row.get("known_as"),
        charge=charge,
        route=route,
        pattern=pattern,
        other_phases=tuple(others),
        transition=expected_transition(row, mu_stars=mu_stars),
        warnings=tuple(_warnings(row, structure, hull)),
        hazards=hazards_of(structure.composition, charge, route),
        onnes=__version__,
    )


def _energy(row: Mapping[str, Any], hull: Hull) -> tuple[float | None, str]:
    energy, potential = row.get("energy_eV_per_atom"), row.get("potential")
    if energy is None or potential != hull.reference.potential:
        return None, "none"
    return energy, f"column energy_eV_per_atom, potential {potential}, geometry {row.get('geometry') or 'input'}"


def _likely(
    formula: str, route: Route, charge: Charge, given: Sequence[tuple[Structure, str]]
) -> dict[str, str]:  # fmt: skip
    """Phases that may be in the sample, most likely first, and why; gases leave no lines."""
    found: dict[str, str] = {}
    competition = route.competition
    for phase in competition.decomposition if competition else ():
        found.setdefault(phase.formula, "it decomposes to this")
    for phase in competition.nearby if competition else ():
        if not phase.hypothetical:
            found.setdefault(phase.formula, "near in composition and energy")
    for precursor in charge.precursors:
        if precursor.kind != "gas":
            found.setdefault(_reduced(precursor.formula), "unreacted precursor")
    asked = [structure.composition.reduced_formula for structure, _ in given]
    gases = {_reduced(e.symbol) for e in route.elements if e.kind == "gas"}
    kept = [name for name in found if name != formula and name not in gases]
    likely = {name: found[name] for name in kept[:_MOST_OTHER_PHASES]}
    return likely | {name: found.get(name, "asked for") for name in asked if name != formula}


def _reduced(formula: str) -> str:
    return composition_of(formula).reduced_formula


def _warnings(row: Mapping[str, Any], structure: Structure, hull: Hull) -> list[Reason]:
    found = []
    if row.get("rejected_by"):
        text = f"The funnel stopped this crystal at {row['rejected_by']}: {row.get('reason') or 'no reason given'}."
        found.append(Reason(text=text, source="columns rejected_by, reason"))
    if structure.is_ordered:
        sites = mixing({**row, "atomic_numbers": list(structure.atomic_numbers)})
        if sites.said:
            text = f"{sites.said[0].upper()}{sites.said[1:]}; refine the occupancies, and compare Tc of other orders (`onnes order`)."
            found.append(Reason(text=text, source=sites.source or "size and electronegativity of the elements"))
    else:
        found.append(Reason(text="Sites are partly occupied: the sample is a solid solution.", source="the crystal"))
    potential = row.get("potential")
    if row.get("energy_eV_per_atom") is not None and potential != hull.reference.potential:
        text = f"The energy in the table is one of {potential or 'an unnamed potential'} and does not belong to the reference: it is not used."
        found.append(Reason(text=text, source="column potential"))
    if (row.get("geometry") or "input") == "input" and row.get("energy_eV_per_atom") is not None:
        text = "Energy and lattice constants are those of the given geometry, not of a relaxed one."
        found.append(Reason(text=text, source="column geometry"))
    return found


def require_geometry(row: Mapping[str, Any], structure: Structure | None) -> Structure:
    """Return the structure of a row; raises CrystalError with the fault of the row when no plan can be made of it."""
    error = row.get("error")
    if structure is None or (error and (structure.is_ordered or PARTLY_OCCUPIED not in error)):
        raise CrystalError(f"{row.get('id')}: {error or 'no geometry'}")
    return structure
