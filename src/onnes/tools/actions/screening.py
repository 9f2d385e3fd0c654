"""Actions on campaigns: a funnel over crystals, proposals and their screening in one, and the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from onnes.campaign.study import Study
from onnes.errors import ConfigError
from onnes.tools.actions import making
from onnes.tools.actions.inputs import (
    MOST_QUICK_ROWS,
    Excluded,
    MaxHull,
    OneCrystal,
    Required,
    StructureTypes,
    best_first,
    crystals_of,
    left_over,
)
from onnes.tools.call import CrystalIds, Made

if TYPE_CHECKING:
    import pyarrow as pa

    from onnes.tools.campaigns import CampaignResult

CAMPAIGNS = "campaigns"
_SHOWN = (
    "space_group", "tc_K", "tc_lo_K", "tc_hi_K", "lambda_", "e_above_hull_eV_per_atom", "is_metal_probability",
    "in_domain", "is_novel", "known_as", "rejected_by",
)  # fmt: skip

FunnelName = Annotated[Literal["default"], Field(description="Shipped list of stages and gates.")]
MinTc = Annotated[float | None, Field(ge=0, le=400, description="Keep Tc (K, mu* = 0.10) of at least this.")]
New = Annotated[
    Literal["crystals", "compositions"] | None,
    Field(description="Keep only crystals, or only compositions, that the reference does not know; all by default."),
]
Workers = Annotated[int | None, Field(ge=1, le=256, description="Processes; one a core by default.")]
Top = Annotated[int, Field(ge=1, le=500, description="Survivors with a page of their own in the report.")]


class ReportResult(BaseModel):
    """Where a report lies, and its counts."""

    model_config = ConfigDict(frozen=True)

    set_id: str
    path: str
    """Index page, relative to the study."""
    summary: str
    n_candidates: int
    n_survivors: int
    n_rejected: int
    n_failed: int


def screen(
    study: Study,
    crystals: CrystalIds,
    *,
    funnel: FunnelName = "default",
    min_tc_K: MinTc = None,
    max_e_above_hull_eV_per_atom: MaxHull = None,
    new: New = None,
    workers: Workers = None,
    top: Top = 50,
    own_id: str,
    on_rows: Callable[[int], None] | None = None,
    observer: Any = None,
) -> Made:
    """Screen many crystals cheaply first: identity, quick Tc (K), relaxation, energy above hull (eV/atom), Tc. Survivors come first, rejected and failed rows stay with the reason; a stopped call goes on."""
    table = crystals_of(study, crystals, tool="screen", at_most=MOST_QUICK_ROWS)
    settings = {
        "funnel": funnel, "min_tc_K": min_tc_K, "max_e_above_hull_eV_per_atom": max_e_above_hull_eV_per_atom,
        "new": new, "workers": workers, "top": top,
    }  # fmt: skip
    request = {"sets": sorted({one.partition("/")[0] for one in crystals})}
    made = _screened(study, table, own_id, request, settings, observer or _Rows(on_rows))
    return Made(made.table, made.shown, (*left_over(table), *made.remarks), made.fingerprints)


def discover(
    study: Study,
    *,
    method: making.Method = None,
    crystals: making.Parents = (),
    elements: making.Allowed = (),
    required: Required = (),
    exclude: Excluded = (),
    fixed: making.Fixed = (),
    formulas: making.Compositions = (),
    prototypes: StructureTypes = (),
    motif: making.Motif = None,
    max_elements: making.MaxElements = None,
    max_atoms: making.MaxAtoms = 12,
    target_tc_K: making.TargetTc = None,
    guidance: making.Guidance = None,
    n: making.Count = 100,
    draw: making.Draw = 0,
    funnel: FunnelName = "default",
    min_tc_K: MinTc = None,
    max_e_above_hull_eV_per_atom: MaxHull = None,
    new: New = None,
    workers: Workers = None,
    top: Top = 50,
    own_id: str,
    on_rows: Callable[[int], None] | None = None,
    observer: Any = None,
) -> Made:
    """Propose candidates and screen them in one call (`propose`, then `screen`): from elements or parents to a short list with Tc (K) and energy above hull (eV/atom)."""
    proposed = making.propose(
        study, method=method, crystals=crystals, elements=elements, required=required, exclude=exclude, fixed=fixed,
        formulas=formulas, prototypes=prototypes, motif=motif, max_elements=max_elements, max_atoms=max_atoms,
        target_tc_K=target_tc_K, guidance=guidance, n=n, draw=draw, on_rows=on_rows,
    )  # fmt: skip
    settings = {
        "funnel": funnel, "min_tc_K": min_tc_K, "max_e_above_hull_eV_per_atom": max_e_above_hull_eV_per_atom,
        "new": new, "workers": workers, "top": top,
    }  # fmt: skip
    request = {"method": method, "elements": list(elements), "sets": list(crystals)}
    made = _screened(study, proposed.table, own_id, request, settings, observer or _Rows(on_rows))
    return Made(made.table, made.shown, (*proposed.remarks, *made.remarks), made.fingerprints)


def report(
    study: Study,
    *,
    crystals: Annotated[OneCrystal, Field(description="One set, made by screen or discover.")],
    top: Top = 50,
) -> ReportResult:
    """Write the self-contained web page of a screened set (survivors, what stopped the others, limits, provenance) into the study."""
    from onnes.tools.campaigns import report as run

    set_id = crystals[0]
    info = study.info(set_id)
    folder = study.folder / CAMPAIGNS / info.set_id
    if info.tool not in ("screen", "discover") or not folder.is_dir():
        raise ConfigError(f"set {set_id} comes from {info.tool}; a report is made of a set of `screen` or `discover`")
    found = run(folder, top=top)
    return ReportResult(
        set_id=set_id, path=found.report.resolve().relative_to(study.folder.resolve()).as_posix(),
        summary=found.data.summary, n_candidates=found.data.n_candidates, n_survivors=found.data.n_survivors,
        n_rejected=found.data.n_rejected, n_failed=found.data.n_failed,
    )  # fmt: skip


class _Rows:
    """Tells how many rows went through a stage, over all stages."""

    def __init__(self, on_rows: Callable[[int], None] | None) -> None:
        self._on_rows = on_rows

    def step_started(self, step: str, title: str, rows: int) -> None:
        """Ignore."""

    def rows_done(self, rows: int) -> None:
        """Pass on."""
        if self._on_rows is not None:
            self._on_rows(rows)

    def step_finished(self, outcome: Any, runs: Any) -> None:
        """Ignore."""


def _screened(
    study: Study, table: pa.Table, own_id: str, request: dict[str, Any], settings: dict[str, Any], observer: Any
) -> Made:
    """Run the campaign that has the name of its set: the same call finds what a killed one has computed."""
    from onnes.tools.campaigns import screen as run

    found = run(
        table,
        study.folder / CAMPAIGNS / own_id,
        title=f"{study.settings['title']}, set {own_id}",
        seed=study.seed,
        device=study.device,
        request=request,
        observer=observer,
        **settings,
    )
    stages = [
        f"{one.stage}: {one.passed} of {one.entered} passed"
        + (f", {one.rejected} rejected" if one.rejected else "")
        + (f", {one.failed} failed" if one.failed else "")
        for one in found.data.stages
    ]
    return Made(
        best_first(found.table.table, "tc_K", largest=True),
        shown=_SHOWN,
        remarks=(found.data.summary, *stages),
        fingerprints=_fingerprints(found),
    )


def _fingerprints(found: CampaignResult) -> dict[str, str]:
    """Input of the campaign, and what its ledger says of models, potentials and references."""
    from onnes.campaign.folder import LEDGER, Campaign
    from onnes.campaign.ledger import Ledger

    folder = Path(found.folder)
    kept = {"campaign input": str(Campaign.open(folder).settings["input_sha256"])}
    ledger = Ledger(folder / LEDGER)
    try:
        for one in ledger.runs():
            kept |= {f"{one['step']}: {name}": sha for name, sha in one["fingerprints"].items()}
    finally:
        ledger.close()
    return kept
