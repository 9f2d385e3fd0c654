"""What a report says: every number of the pages, each with the id of the result it came from."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from ase.data import chemical_symbols
from moyopy import Cell as MoyoCell
from moyopy import MoyoDataset, SpaceGroupType

from onnes.campaign.parity import Parity, parity_of
from onnes.campaign.report_text import COLUMN_TEXT, caveats, summary
from onnes.campaign.report_values import Frozen, Value, number, result_id
from onnes.campaign.report_verification import VerificationPart, verification_part, verified_value
from onnes.crystals.schema import is_open, values
from onnes.models.superconductivity import MAGNETIC_MUB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SYMPREC_A = 0.1  # the tolerance behind the table's `space_group`


@dataclass(frozen=True)
class StageCount:
    """What one stage of the funnel did: rows in, rows out, seconds, and how often each reason was given."""

    stage: str
    title: str
    entered: int
    passed: int
    rejected: int
    failed: int
    seconds: float
    reasons: dict[str, int]


class AtomSite(Frozen):
    """One atom of a cell; ``x, y, z`` are fractional."""

    symbol: str
    x: float
    y: float
    z: float
    wyckoff: str | None


class CellData(Frozen):
    """Lattice parameters (angstrom, degrees), volume (cubic angstrom) and atoms."""

    a: float
    b: float
    c: float
    alpha: float
    beta: float
    gamma: float
    volume_A3: float
    volume_A3_per_atom: float
    atoms: list[AtomSite]
    result_id: str | None


class Candidate(Frozen):
    """A survivor with a page of its own."""

    rank: int
    slug: str
    id: str
    name: str
    formula: str | None
    n_atoms: int | None
    space_group: int | None
    space_group_symbol: str | None
    prototype: str | None
    source: str | None
    parent_id: str | None
    how: str | None
    geometry: str | None
    is_novel: bool | None
    known_as: str | None
    is_magnetic: bool | None
    lone_system: bool
    warnings: str | None
    verification: VerificationPart | None
    results: dict[str, Value]
    cell: CellData
    input_cell: CellData | None
    volume_change_percent: float | None
    runs: list[str]


class Survivor(Frozen):
    """A ranked row in brief; all of them are listed, with or without a page."""

    rank: int
    id: str
    name: str
    tc_K: float | None
    tc_lo_K: float | None
    tc_hi_K: float | None
    e_above_hull_eV_per_atom: float | None
    is_novel: bool | None
    in_domain: bool | None
    dft_verdict: str | None = None


class Stopped(Frozen):
    """A row that a stage rejected or could not compute."""

    id: str
    name: str
    kind: Literal["rejected", "failed"]
    stage: str
    reason: str
    tc_K: float | None
    e_above_hull_eV_per_atom: float | None
    dft_verdict: str | None = None


class ElementHits(Frozen):
    """How many survivors contain an element, and their mean Tc in kelvin."""

    symbol: str
    n_survivors: int
    mean_tc_K: float | None


class ReportData(Frozen):
    """Everything that a report shows; the pages take their numbers from nowhere else."""

    title: str
    summary: str
    mu_star: float | None
    n_candidates: int
    n_survivors: int
    n_rejected: int
    n_failed: int
    stages: list[StageCount]
    candidates: list[Candidate]
    survivors: list[Survivor]
    stopped: list[Stopped]
    elements: list[ElementHits]
    parity: Parity | None
    caveats: list[str]
    meta: dict[str, str]


def report_data(
    results: pa.Table,
    counts: Sequence[StageCount],
    meta: Mapping[str, str],
    writers: Mapping[str, str],
    *,
    top: int = 50,
    work: Path | None = None,
) -> ReportData:
    """Collect what a report says about a campaign.

    Survivors are the rows without ``error`` and ``rejected_by``; they are ranked by ``tc_K`` descending, then by
    ``e_above_hull_eV_per_atom`` ascending, then by id, missing values last.

    Parameters
    ----------
    results
        All rows of the campaign, one a crystal, any subset of the columns of the crystal table (``id`` and the
        geometry at least).
    counts
        The stages in the order in which they ran.
    meta
        Provenance as name and text, shown as given; ``title`` becomes the title.
    writers
        Column name to the stage that wrote it last; with the row's ``runs`` it gives the result ids.
    top
        How many survivors get a page.
    work
        Folder of the first-principles verifications, for their details.

    Examples
    --------
    >>> from onnes.crystals.schema import with_columns
    >>> rows = with_columns(pa.table({"id": ["x"]}), {"lattice": [[3.0, 0, 0, 0, 3.0, 0, 0, 0, 3.0]],
    ...     "frac_coords": [[0.0, 0, 0]], "atomic_numbers": [[41]], "tc_K": [9.2], "runs": [["tc:r1"]]})
    >>> report_data(rows, [], {"title": "Nb"}, {"tc_K": "tc"}).candidates[0].results["tc_K"].result_id
    'r1/x/tc_K'
    """
    open_rows = is_open(results)
    ranked = results.take(pa.array(_ranking(results, np.flatnonzero(open_rows).tolist()), pa.int64()))
    stopped = _stopped(results.take(np.flatnonzero(~open_rows)))
    rows = ranked.slice(0, top).to_pylist()
    candidates = [_candidate(rank, row, writers, work) for rank, row in enumerate(rows, 1)]
    mu_stars = {v for v in values(ranked, "mu_star") if v is not None}
    mu_star = mu_stars.pop() if len(mu_stars) == 1 else None
    n_failed = sum(row.kind == "failed" for row in stopped)
    best = candidates[0] if candidates else None
    return ReportData(
        title=meta.get("title", "Superconductor candidates"),
        summary=summary(results.num_rows, ranked.num_rows, len(stopped) - n_failed, n_failed, best, mu_star),
        mu_star=mu_star,
        n_candidates=results.num_rows,
        n_survivors=ranked.num_rows,
        n_rejected=len(stopped) - n_failed,
        n_failed=n_failed,
        stages=list(counts),
        candidates=candidates,
        survivors=_survivors(ranked),
        stopped=stopped,
        elements=_element_hits(ranked),
        parity=parity_of(results, writers, {candidate.id: candidate.slug for candidate in candidates}),
        caveats=caveats(ranked, counts, mu_star),
        meta={name: text for name, text in meta.items() if name != "title"},
    )


def _ranking(results: pa.Table, indices: list[int]) -> list[int]:
    tc, hull, ids = values(results, "tc_K"), values(results, "e_above_hull_eV_per_atom"), values(results, "id")

    def key(i: int) -> tuple[bool, float, bool, float, str]:
        no_tc, no_hull = number(tc[i]) is None, number(hull[i]) is None
        return no_tc, 0.0 if no_tc else -tc[i], no_hull, 0.0 if no_hull else hull[i], ids[i]

    return sorted(indices, key=key)


def _briefs(table: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows with the given columns, ``id`` and ``name``."""
    columns = {name: values(table, name) for name in ("id", *names)}
    columns["name"] = [
        reduced or formula or row
        for reduced, formula, row in zip(
            values(table, "reduced_formula"), values(table, "formula"), columns["id"], strict=True
        )
    ]
    rows = zip(*columns.values(), strict=True)
    return [{name: number(cell) for name, cell in zip(columns, row, strict=True)} for row in rows]


def _survivors(ranked: pa.Table) -> list[Survivor]:
    names = ("tc_K", "tc_lo_K", "tc_hi_K", "e_above_hull_eV_per_atom", "is_novel", "in_domain", "dft_verdict")
    return [Survivor(rank=rank, **row) for rank, row in enumerate(_briefs(ranked, names), 1)]


def _stopped(table: pa.Table) -> list[Stopped]:
    rows = []
    names = ("error", "rejected_by", "reason", "runs", "tc_K", "e_above_hull_eV_per_atom", "dft_verdict")
    for row in _briefs(table, names):
        error, rejected_by, reason, runs = (row.pop(name) for name in ("error", "rejected_by", "reason", "runs"))
        if error is not None:
            last_stage = runs[-1].partition(":")[0] if runs else "reading"
            rows.append(Stopped(kind="failed", stage=last_stage, reason=error, **row))
        else:
            rows.append(Stopped(kind="rejected", stage=rejected_by, reason=reason or "no reason given", **row))
    return rows


def _element_hits(ranked: pa.Table) -> list[ElementHits]:
    tcs: dict[int, list[float | None]] = defaultdict(list)
    for numbers, tc in zip(values(ranked, "atomic_numbers"), values(ranked, "tc_K"), strict=True):
        for z in set(numbers or ()):
            tcs[z].append(number(tc))
    hits = []
    for z in sorted(tcs):
        known = [tc for tc in tcs[z] if tc is not None]
        mean = float(np.mean(known)) if known else None
        hits.append(ElementHits(symbol=chemical_symbols[z], n_survivors=len(tcs[z]), mean_tc_K=mean))
    return hits


def _candidate(rank: int, row: dict[str, Any], writers: Mapping[str, str], work: Path | None) -> Candidate:
    results = {column: verified_value(row, writers, column) for column in COLUMN_TEXT}
    cell = _cell(row["lattice"], row["frac_coords"], row, result_id(row, writers, "lattice"))
    before = None
    if row.get("input_lattice") and row.get("input_frac_coords"):
        before = _cell(row["input_lattice"], row["input_frac_coords"], row, None)
    magnetic = number(row.get("magmom_max_muB"))
    copied = ("formula", "n_atoms", "prototype", "source", "parent_id", "how", "geometry", "is_novel", "known_as")
    return Candidate(
        rank=rank,
        slug=f"{rank:04d}-{hashlib.sha256(row['id'].encode()).hexdigest()[:8]}",
        id=row["id"],
        name=row.get("reduced_formula") or row.get("formula") or row["id"],
        space_group=row.get("space_group"),
        space_group_symbol=_space_group_symbol(row.get("space_group")),
        is_magnetic=None if magnetic is None else magnetic > MAGNETIC_MUB,
        lone_system=row.get("hull_coverage") == 0,
        warnings="; ".join(filter(None, (row.get("notes"), row.get("warnings")))) or None,
        verification=verification_part(row, work),
        results=results,
        cell=cell,
        input_cell=before,
        volume_change_percent=None if before is None else 100 * (cell.volume_A3 / before.volume_A3 - 1),
        runs=row.get("runs") or [],
        **{name: row.get(name) for name in copied},
    )


def _space_group_symbol(number: int | None) -> str | None:
    return SpaceGroupType(number).hm_short.replace(" ", "") if number and 1 <= number <= 230 else None


def _cell(lattice: list[float], frac: list[float], row: dict[str, Any], origin: str | None) -> CellData:
    """Lattice parameters and sites; row vectors in angstrom, as everywhere."""
    vectors, points, numbers = np.reshape(lattice, (3, 3)), np.reshape(frac, (-1, 3)), row["atomic_numbers"]
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = [vectors[i] @ vectors[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    alpha, beta, gamma = np.degrees(np.arccos(np.clip(cosines, -1, 1))).tolist()
    letters = _wyckoff_letters(vectors, points, numbers, row.get("space_group"))
    volume = abs(float(np.linalg.det(vectors)))
    sites = zip(numbers, points.tolist(), letters, strict=True)
    return CellData(
        **dict(zip("abc", lengths.tolist(), strict=True)),
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        volume_A3=volume,
        volume_A3_per_atom=volume / len(numbers),
        atoms=[AtomSite(symbol=chemical_symbols[z], x=x, y=y, z=w, wyckoff=letter) for z, (x, y, w), letter in sites],
        result_id=origin,
    )


def _wyckoff_letters(
    lattice: np.ndarray, frac: np.ndarray, numbers: list[int], space_group: int | None
) -> list[str | None]:
    """Letters of the sites, or nulls where the geometry does not show the space group of the table."""
    try:
        cell = MoyoCell(basis=lattice.tolist(), positions=frac.tolist(), numbers=numbers)
        found = MoyoDataset(cell, symprec=SYMPREC_A)
    except ValueError:  # moyo finds no symmetry: the letters are an extra, the page does without
        return [None] * len(numbers)
    return list(found.wyckoffs) if found.number == space_group else [None] * len(numbers)
