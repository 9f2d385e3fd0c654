"""Tools on campaigns: screen, discover, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.campaign.folder import Campaign
from onnes.campaign.funnels import load_funnel
from onnes.crystals.schema import is_open
from onnes.errors import ConfigError, CrystalError
from onnes.flow.funnel import FunnelStep
from onnes.flow.local import LocalEngine
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from onnes.campaign.report_data import ReportData
    from onnes.flow.engine import Engine, Observer
    from onnes.flow.funnel import Funnel
    from onnes.tools.result import CrystalTable

VERIFIED = 10
"""Rows that a campaign verifies by first principles where nothing else is said."""


@dataclass(frozen=True, eq=False)
class CampaignResult:
    """What a campaign left behind.

    Attributes
    ----------
    folder
        The campaign folder.
    report
        Index page of the report.
    data
        Its numbers: ``candidates`` are the ranked survivors, ``stages`` the counts.
    """

    folder: Path
    report: Path
    data: ReportData

    @property
    def table(self) -> CrystalTable:
        """Every row where it stopped."""
        from onnes.tools.inputs import wrap

        return wrap(Campaign.open(self.folder).results)

    @property
    def n_failed(self) -> int:
        """Rows with an error."""
        return self.data.n_failed


def screen(
    crystals: Crystals,
    out: str | Path,
    *,
    funnel: str | Funnel = "default",
    min_tc_K: float | None = None,
    max_e_above_hull_eV_per_atom: float | None = None,
    new: str | None = None,
    verify: str | None = None,
    verify_top: int | None = VERIFIED,
    verify_ids: Sequence[str] | None = None,
    pseudos: str | Path | None = None,
    title: str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    top: int = 50,
    engine: Engine | None = None,
    observer: Observer | None = None,
    request: dict[str, Any] | None = None,
) -> CampaignResult:
    """Run a funnel over crystals and keep everything in a campaign folder.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`.
    out
        Campaign folder. The same call again goes on where the last one stopped.
    funnel
        Name of a shipped funnel, a TOML file, or a `Funnel`.
    min_tc_K, max_e_above_hull_eV_per_atom
        Instead of the bounds of the funnel's steps ``tc`` and ``near-hull``.
    new
        Keep only what the reference does not know: ``crystals`` (composition in this structure) or ``compositions`` (in any
        structure). By default known ones are marked and stay.
    verify
        Level of a first-principles verification after the last step: ``dos`` (with Tc by the model that reads N(E_F)), ``smoke``,
        ``screen`` or ``final``. It takes minutes to hours a crystal. Its numbers stand beside those of the models, and it
        rejects nothing; where Quantum ESPRESSO is missing each row says so.
    verify_top
        So many of the rows, those of the highest Tc; None for all.
    verify_ids
        Rows that are verified instead.
    pseudos
        Folder of pseudopotentials with a manifest, for the verification.
    title
        Of the report.
    workers
        Worker processes; by default one a core.
    device
        ``cpu`` or ``cuda``.
    seed
        For any random operation.
    top
        Survivors that get a page of their own.
    engine, observer
        Instead of the local engine; whoever wants to know how it goes.
    request
        What the user asked for, kept in ``campaign.toml``.

    Raises
    ------
    ConfigError
        When ``out`` holds another campaign.
    """
    steps = _steps(funnel, min_tc_K, max_e_above_hull_eV_per_atom, new, verify, verify_top, verify_ids, pseudos)
    table = as_table(crystals)
    if not table.num_rows:
        raise CrystalError("there is no crystal to screen")
    campaign = Campaign.create(
        out, table, steps, title=title or f"Screening of {table.num_rows} crystals", seed=seed, request=request or {}
    )
    watching = observer or Silent()
    if engine is not None:
        campaign.run(engine, watching, device=device)
    else:
        with LocalEngine(workers) as local:
            campaign.run(local, watching, device=device)
    return report(campaign.folder, top=top)


def _steps(
    funnel: str | Funnel = "default",
    min_tc_K: float | None = None,
    max_e_above_hull_eV_per_atom: float | None = None,
    new: str | None = None,
    verify: str | None = None,
    verify_top: int | None = VERIFIED,
    verify_ids: Sequence[str] | None = None,
    pseudos: str | Path | None = None,
) -> Funnel:
    """The funnel with the settings that were asked for."""
    steps = load_funnel(funnel) if isinstance(funnel, str) else funnel
    changes: dict[str, dict[str, Any]] = {}
    if min_tc_K is not None:
        changes["tc"] = {"min": min_tc_K}
        quick = next((step for step in steps.steps if step.name == "quick-tc"), None)
        if quick is not None and quick.settings.get("min", 0.0) > min_tc_K:
            changes["quick-tc"] = {"min": min_tc_K / 2}
    if max_e_above_hull_eV_per_atom is not None:
        changes["near-hull"] = {"max": max_e_above_hull_eV_per_atom}
    if new is not None:
        changes["identity"] = _new_only(new)
    steps = steps.with_settings(changes)
    if verify is not None:
        steps = steps.followed_by(*_verification(verify, verify_top, verify_ids, pseudos))
    elif pseudos is not None or verify_ids:
        raise ConfigError(
            "pseudopotentials and verify_ids are for a verification: say verify='dos', 'smoke', 'screen' or 'final'"
        )
    steps.build()
    return steps


def _verification(
    level: str, top: int | None, ids: Sequence[str] | None, pseudos: str | Path | None
) -> list[FunnelStep]:
    """Steps that verify rows of a funnel."""
    chosen = {"ids": list(ids)} if ids else {"top": top}
    settings: dict[str, Any] = {**chosen, "pseudos": None if pseudos is None else str(Path(pseudos).resolve())}
    settings = {name: value for name, value in settings.items() if value is not None}
    if level == "dos":
        return [
            FunnelStep(use="dos", name="dos", settings=settings),
            FunnelStep(use="electronic", name="electronic"),
        ]
    return [FunnelStep(use="verify", name="verify", settings={"level": level, **settings})]


def _new_only(new: str) -> dict[str, Any]:
    settings = {"crystals": "only_novel", "compositions": "only_new_compositions"}
    if new not in settings:
        raise ConfigError(f"new = {new!r} is not known; one of {', '.join(settings)}")
    return {settings[new]: True}


def discover(
    parents: Crystals | None = None,
    *,
    method: str | None = None,
    elements: Sequence[str] = (),
    out: str | Path = "campaign",
    fixed: Sequence[str] = (),
    exclude: Sequence[str] | None = None,
    max_atoms: int = 12,
    limit: int | None = None,
    seed: int = 0,
    proposal: Mapping[str, Any] | None = None,
    on_rows: Callable[[int], None] | None = None,
    **screening: Any,
) -> CampaignResult:
    """Propose candidates, screen them, write the report.

    Parameters
    ----------
    parents, method, elements, fixed, exclude, max_atoms, limit, seed
        See `onnes.tools.crystals.propose`.
    out
        Campaign folder.
    proposal
        Further arguments of `onnes.tools.crystals.propose`.
    on_rows
        Called with the number of candidates made since the last call, before the screening begins.
    **screening
        Further arguments of `screen`.

    Raises
    ------
    ConfigError, CrystalError
        When nothing can be proposed.
    """
    from onnes.tools.crystals import propose

    # Proposing may take long; what is wrong with the screening is said before.
    asked = (
        "funnel",
        "min_tc_K",
        "max_e_above_hull_eV_per_atom",
        "new",
        "verify",
        "verify_top",
        "verify_ids",
        "pseudos",
    )
    _steps(**{name: screening[name] for name in asked if name in screening})
    table = propose(
        parents,
        method=method,
        elements=elements,
        fixed=fixed,
        exclude=exclude,
        max_atoms=max_atoms,
        limit=limit,
        seed=seed,
        on_rows=on_rows,
        **(proposal or {}),
    ).table
    if not is_open(table).any():
        raise CrystalError("no candidate could be made; allow more elements or more atoms")
    parent_ids = sorted({str(p) for p in table["parent_id"].to_pylist() if p})
    source = next(name for name in table["source"].to_pylist() if name)
    what = ", ".join(elements or parent_ids or (proposal or {}).get("formulas") or ()) or source
    request = {"method": source, "of": what}
    return screen(table, out, seed=seed, **{"title": f"Candidates from {what}", "request": request, **screening})


def report(folder: str | Path, *, top: int = 50) -> CampaignResult:
    """Write the report of a campaign and return its numbers.

    Parameters
    ----------
    folder
        Campaign folder that has results.
    top
        Survivors that get a page of their own.
    """
    from onnes.campaign.report import write_report

    campaign = Campaign.open(folder)
    data = campaign.report_data(top=top)
    return CampaignResult(campaign.folder, write_report(campaign.folder, data, campaign.results), data)
