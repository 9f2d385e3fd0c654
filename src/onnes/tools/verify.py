"""The tool ``verify``: first-principles verification of crystals with Quantum ESPRESSO."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.crystals.schema import values, with_columns
from onnes.errors import ConfigError, CrystalError
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.result import CrystalTable
from onnes.verify.settings import RunSettings, VerifySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from onnes.verify.result import Verification
    from onnes.verify.settings import Functional, Grid, LevelName
    from onnes.verify.steps import StepState

OUT = "verification"
_NAMED = 8
_HEADINGS = {
    "id": ("id", "{}"),
    "reduced_formula": ("formula", "{}"),
    "dft_level": ("level", "{}"),
    "dft_verdict": ("verdict", "{}"),
    "dft_tc_K": ("Tc / K\nμ* = 0.10", "{:.2f}"),
    "dft_tc_lo_K": ("from", "{:.2f}"),
    "dft_tc_hi_K": ("to / K", "{:.2f}"),
    "dft_lambda": ("λ", "{:.3f}"),
    "dft_lambda_std": ("±", "{:.3f}"),
    "dft_omega_log_K": ("ω_log / K", "{:.0f}"),
    "dft_min_phonon_THz": ("lowest / THz", "{:.2f}"),
    "dft_dos_ef_states_per_eV": ("N(E_F) / states/eV", "{:.2f}"),
    "tc_K": ("Tc of the model / K", "{:.1f}"),
}
_UNDONE = ("failed", "not_available")


@dataclass(frozen=True, eq=False, repr=False)
class VerificationTable(CrystalTable):
    """Crystal table whose face shows what first principles say.

    Attributes
    ----------
    details
        Everything that was found, by id; rows that were not begun have none.
    folders
        Where the work of a row lies, by id.
    figures
        Files that were drawn, by id.
    """

    details: dict[str, Verification] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    figures: dict[str, tuple[str, ...]] = field(default_factory=dict)
    headings = _HEADINGS

    @property
    def n_undone(self) -> int:
        """Rows that were to be computed and have no answer: ``failed`` or ``not_available``."""
        return sum(verdict in _UNDONE for verdict in self["dft_verdict"])

    def shown(self) -> list[str]:
        """Columns that hold anything."""
        there = [name for name in self.headings if name in self.table.column_names]
        return [name for name in there if self.table[name].null_count < self.table.num_rows]

    def remarks(self) -> list[str | None]:
        """Error, or reason of the verdict with what lowers the confidence."""
        said = zip(self["error"], self["dft_reason"], self["dft_confidence"], strict=True)
        return [
            error or "; ".join(filter(None, (reason, None if confidence == "normal" else confidence))) or None
            for error, reason, confidence in said
        ]

    def to_json(self, columns: Sequence[str] | None = None) -> str:
        """Return JSON, a list with one object a row; ``verification`` holds everything that was found."""
        rows = []
        for row in self.to_dicts():
            found, name = self.details.get(row["id"]), row["id"]
            if columns is not None:
                rows.append({k: row[k] for k in columns if k in row})
                continue
            more: dict[str, Any] = {} if found is None else {"verification": found.model_dump(mode="json")}
            more |= {"folder": str(self.folders[name])} if name in self.folders else {}
            more |= {"figures": list(self.figures[name])} if name in self.figures else {}
            rows.append(row | more)
        return json.dumps(rows, indent=1)


def verify(
    crystals: Crystals,
    *,
    level: LevelName = "smoke",
    pseudos: str | Path | None = None,
    functional: Functional | None = None,
    relax: bool | None = None,
    q_grid: Grid | None = None,
    k_grid: Grid | None = None,
    dense_k_grid: Grid | None = None,
    interpolate: bool | None = None,
    bands: bool | None = None,
    mu_stars: Sequence[float] | None = None,
    max_atoms: int | None = None,
    pressure_GPa: float | None = None,
    out: str | Path | None = None,
    ids: Sequence[str] | None = None,
    plots: str | Path | None = None,
    run: RunSettings | None = None,
    on_step: Callable[[str, StepState], None] = lambda _row, _state: None,
    on_rows: Callable[[int], None] | None = None,
) -> VerificationTable:
    """Verify crystals by first principles: density functional and density functional perturbation theory.

    Relaxation, states at the Fermi level, phonons with electron-phonon coupling, lambda over the smearings, Tc by Allen-Dynes and
    by isotropic Migdal-Eliashberg, and a verdict with its reason. Minutes to hours a crystal, one after the other. The same call
    goes on where an earlier one was ended.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`, or the folder of a campaign.
    level
        ``dos`` (no phonons), ``smoke`` (the coarsest grids: whether the chain runs), ``screen`` or ``final``.
    pseudos
        Folder of pseudopotentials with a manifest, see ``onnes pseudos``. By default what is installed.
    functional
        ``PBE``, ``PBEsol`` or ``LDA``; by default that of the folder, PBE without one.
    relax, q_grid, k_grid, dense_k_grid, interpolate, bands
        In place of what the level says.
    mu_stars
        Coulomb pseudopotentials of Tc, two at least; 0.10, 0.13 and 0.16 by default.
    max_atoms
        Larger primitive cells are not begun; 12 by default.
    pressure_GPa
        Target of the relaxation; by default that of each crystal, 0 where none is given.
    out
        Folder of the work; ``verification`` by default, in the folder of a campaign where there is one.
    ids
        Rows that are meant. All by default, of a campaign its best survivor.
    plots
        Folder for figures (SVG).
    run
        Programs, ranks, launcher, time.
    on_step
        Called with the id of a row and the state of its step, whenever that changes.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    VerificationTable
        The rows in order, with the columns ``dft_*``. A row that cannot be computed has the verdict ``failed`` or
        ``not_available`` with the reason; only a bad crystal has ``error``.

    Raises
    ------
    ConfigError
        For settings that contradict each other, or an unknown id.
    CrystalError
        When there is no crystal.

    Examples
    --------
    >>> import onnes
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.verify.settings import RunSettings
    >>> found = onnes.verify(known_crystal("Al"), level="dos", run=RunSettings(pw_command="no-such-pw.x"))
    >>> found["dft_verdict"], found["dft_reason"][0][:33]
    (['not_available'], 'Quantum ESPRESSO is not there: no')
    """
    from onnes.verify.tables import verify_table

    given = {
        "level": level, "pseudos": None if pseudos is None else str(pseudos), "functional": functional, "relax": relax,
        "q_grid": q_grid, "k_grid": k_grid, "dense_k_grid": dense_k_grid, "interpolate": interpolate, "bands": bands,
        "mu_stars": None if mu_stars is None else tuple(mu_stars), "max_atoms": max_atoms,
    }  # fmt: skip
    settings = checked_settings(**given)
    table, folder = rows_of(crystals, ids, out, pressure_GPa=pressure_GPa)
    details: dict[str, Verification] = {}
    folders: dict[str, Path] = {}

    def receive(row: str, found: Verification, place: Path) -> None:
        details[row] = found
        if found.key:
            folders[row] = place

    table = verify_table(
        table, settings, run or RunSettings(), folder, on_step=on_step, on_rows=on_rows, receive=receive
    )
    figures = {} if plots is None else _drawn(table, details, folders, Path(plots))
    return VerificationTable(table, details, folders, figures)


def checked_settings(**given: Any) -> VerifySettings:
    """Settings of what is given; what is None comes from the level. Raises ConfigError for a bad value."""
    from pydantic import ValidationError

    try:
        settings = VerifySettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise ConfigError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error
    settings.of_level()
    return settings


def rows_of(
    crystals: Crystals, ids: Sequence[str] | None, out: str | Path | None, *, pressure_GPa: float | None = None
) -> tuple[pa.Table, Path]:
    """Rows that are meant, and the folder of the work; the arguments are those of `verify`."""
    from onnes.campaign.folder import SETTINGS, WORK

    one = crystals[0] if isinstance(crystals, list | tuple) and len(crystals) == 1 else crystals
    folder = Path(OUT if out is None else out)
    if isinstance(one, str | Path) and (Path(one) / SETTINGS).is_file():
        table, best = _of_campaign(one)
        folder = Path(one) / WORK if out is None else folder
        ids = ids or [best]
    else:
        table = as_table(crystals)
    if not table.num_rows:
        raise CrystalError("there is no crystal to verify")
    if pressure_GPa is not None:
        table = with_columns(table, {"pressure_GPa": [pressure_GPa] * table.num_rows})
    if not ids:
        return table, folder
    places = {name: i for i, name in enumerate(values(table, "id"))}
    if unknown := [name for name in ids if name not in places]:
        raise ConfigError(f"there is no row {unknown[0]!r}; there are {_names(table)}")
    return table.take([places[name] for name in dict.fromkeys(ids)]), folder


def _of_campaign(folder: str | Path) -> tuple[pa.Table, str]:
    """Rows of a campaign, and the id of its best survivor."""
    from onnes.campaign.folder import Campaign

    campaign = Campaign.open(folder)
    best = campaign.report_data(top=1).survivors
    if not best:
        raise ConfigError(f"campaign {folder} has no survivor to verify; its report says why")
    return campaign.results, best[0].id


def _names(table: pa.Table) -> str:
    ids = [str(one) for one in values(table, "id")]
    return ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")


def _drawn(
    table: pa.Table, details: dict[str, Verification], folders: dict[str, Path], plots: Path
) -> dict[str, tuple[str, ...]]:
    """Draw what there is of each row: ``<name>-1.svg`` of the first, and so on."""
    from onnes.figure import save
    from onnes.verify.figure import verification_figures

    drawn: dict[str, tuple[str, ...]] = {}
    said = {row["id"]: row for row in table.to_pylist()}
    for number, (name, found) in enumerate(details.items(), start=1):
        paths = []
        for what, figure in verification_figures(found, folders.get(name), said[name]).items():
            path = plots / f"{what}-{number}.svg"
            save(figure, path)
            paths.append(str(path))
        drawn[name] = tuple(paths)
    return drawn
