"""The campaign: a folder that can be copied, resumed and archived."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import tomlkit

from onnes.campaign.funnels import register_builtin_stages
from onnes.campaign.ledger import Ledger
from onnes.campaign.report_data import ReportData, StageCount, report_data
from onnes.errors import ConfigError
from onnes.flow.engine import Engine, Observer, StageRun, StepOutcome, run_funnel
from onnes.flow.funnel import Funnel
from onnes.flow.shards import parquet_bytes, read_parquet, write_bytes
from onnes.flow.stage import StageKind, stage_class
from onnes.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

SETTINGS, INPUT, RESULTS, OUTCOMES, LEDGER, WORK = (
    "campaign.toml", "input.parquet", "results.parquet", "outcomes.json", "ledger.sqlite", "verification",
)  # fmt: skip
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Campaign:
    """A campaign folder.

    ``campaign.toml`` holds the request and the funnel, ``input.parquet`` the candidates, ``stages/`` the shards of each
    step, ``results.parquet`` every row where it stopped, ``ledger.sqlite`` the stage runs, ``report/`` the pages,
    ``verification/`` what stages of first principles keep of each crystal.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path) -> Campaign:
        """Open an existing campaign; raises ConfigError when the folder holds none."""
        folder = Path(folder)
        if not (folder / SETTINGS).is_file():
            raise ConfigError(
                f"{folder} is no campaign: it has no {SETTINGS}; make one with `onnes screen` or `discover`"
            )
        return cls(folder)

    @classmethod
    def create(
        cls, folder: str | Path, table: pa.Table, funnel: Funnel, *, title: str, seed: int, request: dict[str, Any]
    ) -> Campaign:
        """Make a campaign, or find the same one again.

        Steps behind the last gate only add columns to the survivors: a campaign may get other ones there, such as a verification
        of the best, and goes on with them.

        Raises
        ------
        ConfigError
            When the folder holds a campaign with other crystals or another funnel, or other files.
        """
        campaign = cls(Path(folder))
        settings = {
            "title": title,
            "seed": seed,
            "request": request,
            "funnel": funnel.model_dump(mode="json"),
        }
        data = parquet_bytes(table)
        settings["input_sha256"] = hashlib.sha256(data).hexdigest()
        settings = _storable(settings)
        if (campaign.folder / SETTINGS).exists():
            kept = _storable(campaign.settings)
            if _deciding(kept) != _deciding(settings):
                raise ConfigError(
                    f"{campaign.folder} holds a campaign with other crystals or other settings; give another --out, "
                    "or remove the folder"
                )
            if kept != settings:
                write_bytes(tomlkit.dumps(settings).encode(), campaign.folder / SETTINGS)
            return campaign
        if campaign.folder.exists() and any(not _is_ours(path) for path in campaign.folder.iterdir()):
            raise ConfigError(f"{campaign.folder} is not empty and holds no campaign; give another --out")
        campaign.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(data, campaign.folder / INPUT)
        write_bytes(tomlkit.dumps(settings).encode(), campaign.folder / SETTINGS)
        return campaign

    @property
    def settings(self) -> dict[str, Any]:
        """Content of ``campaign.toml``."""
        return tomlkit.parse((self.folder / SETTINGS).read_text(encoding="utf-8")).unwrap()

    @property
    def funnel(self) -> Funnel:
        """The funnel of this campaign."""
        register_builtin_stages()
        data = self.settings["funnel"]
        return Funnel(name=data["name"], description=data["description"], stage=tuple(data["steps"]))

    @property
    def results(self) -> pa.Table:
        """Every row where it stopped; raises ConfigError before the first run has finished."""
        if not (self.folder / RESULTS).is_file():
            raise ConfigError(f"{self.folder} has no results yet; run the same `onnes` command again to finish it")
        return read_parquet(self.folder / RESULTS)

    def run(self, engine: Engine, observer: Observer, *, device: str = "cpu") -> pa.Table:
        """Run the funnel, reusing every shard that is there, and write ``results.parquet``."""
        settings = self.settings
        ledger = Ledger(self.folder / LEDGER)
        try:
            ledger.record_event("run started", device=device, version=__version__)
            result = run_funnel(
                pq.read_table(self.folder / INPUT),
                self.funnel,
                self.folder / "stages",
                engine,
                _Recorder(observer, ledger, self.folder),
                device=device,
                seed=settings["seed"],
                work_folder=self.folder / WORK,
            )
            write_bytes(parquet_bytes(result.table), self.folder / RESULTS)
            self._keep_outcomes(result.outcomes, result.writers)
            ledger.record_event("run finished", rows=result.table.num_rows)
        finally:
            ledger.close()
        return result.table

    def _keep_outcomes(self, outcomes: list[StepOutcome], writers: dict[str, str]) -> None:
        """Keep the counts; a resumed step keeps the time that it took when it was computed."""
        path = self.folder / OUTCOMES
        before = {o["step"]: o for o in self._outcomes()["outcomes"]} if path.exists() else {}
        kept = [asdict(o) for o in outcomes]
        for outcome in kept:
            old = before.get(outcome["step"])
            if old and outcome["reused"]:
                outcome["seconds"] = max(old["seconds"], outcome["seconds"])
            outcome["seconds"] = round(outcome["seconds"], 2)
            outcome.pop("reused")
        text = json.dumps({"outcomes": kept, "writers": writers}, indent=1)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_bytes(text.encode(), path)

    def _outcomes(self) -> dict[str, Any]:
        return json.loads((self.folder / OUTCOMES).read_text(encoding="utf-8"))

    def report_data(self, *, top: int = 50) -> ReportData:
        """Collect the numbers of the report."""
        results = self.results
        kept = self._outcomes()
        counts = [
            StageCount(
                o["step"], o["title"], o["entered"], o["passed"], o["rejected"], o["failed"], o["seconds"], o["reasons"]
            )
            for o in kept["outcomes"]
        ]
        return report_data(results, counts, self._meta(), kept["writers"], top=top, work=self.folder / WORK)

    def write_report(self, *, top: int = 50) -> Path:
        """Write ``report/`` and return its index page."""
        from onnes.campaign.report import write_report

        return write_report(self.folder, self.report_data(top=top), self.results)

    def _meta(self) -> dict[str, str]:
        """Provenance for the report: what made the numbers, from the ledger."""
        settings = self.settings
        meta = {"title": settings["title"], "onnes": __version__, "funnel": settings["funnel"]["name"]}
        meta["seed"] = str(settings["seed"])
        meta |= {f"request: {name}": str(value) for name, value in sorted(settings["request"].items())}
        meta["input sha256"] = settings["input_sha256"]
        ledger = Ledger(self.folder / LEDGER)
        try:
            for run in ledger.runs():
                meta |= {_called(name, value): value for name, value in run["fingerprints"].items()}
        finally:
            ledger.close()
        return meta


class _Recorder:
    """Passes everything on to another observer, and writes the runs of a finished step into the ledger."""

    def __init__(self, observer: Observer, ledger: Ledger, folder: Path) -> None:
        self._observer, self._ledger, self._folder = observer, ledger, folder

    def step_started(self, step: str, title: str, rows: int) -> None:
        self._observer.step_started(step, title, rows)

    def rows_done(self, rows: int) -> None:
        self._observer.rows_done(rows)

    def step_finished(self, outcome: StepOutcome, runs: list[StageRun]) -> None:
        self._ledger.record_runs([_relative(run, self._folder) for run in runs], __version__)
        self._observer.step_finished(outcome, runs)


def _called(name: str, value: str) -> str:
    """Name of a fingerprint: of a program it is the version."""
    return f"{name} sha256" if _SHA256.fullmatch(value) else name


def _storable(value: Any) -> Any:
    """Bring settings to what TOML can hold: plain values, and no None, which is what a missing key means there."""
    return _without_none(json.loads(json.dumps(value, default=str)))


def _deciding(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without the steps behind the last one that rejects or adds rows."""
    register_builtin_stages()
    steps = settings["funnel"]["steps"]
    last = max(
        (i for i, step in enumerate(steps) if stage_class(step["use"]).kind is not StageKind.MAP), default=len(steps)
    )
    return settings | {"funnel": settings["funnel"] | {"steps": steps[: last + 1]}}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value if v is not None] if isinstance(value, list) else value


def _is_ours(path: Path) -> bool:
    """Whether a file is what a `create` that was killed before its last step leaves behind."""
    return path.name == INPUT or (path.name.startswith((f".{INPUT}.", f".{SETTINGS}.")) and path.suffix == ".tmp")


def _relative(run: StageRun, folder: Path) -> StageRun:
    """Paths inside the folder, so that a copied campaign still finds its shards."""
    inside = {name: str(Path(getattr(run, name)).relative_to(folder)) for name in ("input", "output")}
    return StageRun(**{**run.__dict__, **inside})
