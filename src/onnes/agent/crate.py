"""Export of a study as an RO-Crate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnes.agent.answer import faults
from onnes.agent.record import HEAD, RECORD, Record
from onnes.errors import ConfigError, EvidenceError
from onnes.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    from onnes.agent.record import Event
    from onnes.campaign.study import Study

_FORMATS = {".parquet": "application/vnd.apache.parquet", ".json": "application/json", ".jsonl": "application/jsonl",
            ".md": "text/markdown", ".toml": "application/toml", ".sqlite": "application/vnd.sqlite3"}  # fmt: skip


def write_crate(study: Study, out: Path, *, licence: str | None = None) -> Path:
    """Write a study with its record as an RO-Crate (RO-Crate 1.1, with the PROV terms of its run profile).

    Every tool call becomes a ``CreateAction`` with the sets that it read and made, and the package as its instrument.

    Parameters
    ----------
    study
        With a record.
    out
        Folder to make.
    licence
        Address or SPDX name of the licence that its owner puts on the study; the crate names none by default.

    Raises
    ------
    ConfigError
        When ``rocrate`` is not installed, when the folder holds something, or when there is no record.
    EvidenceError
        When record, goal, sets or answer are not those of the run.
    """
    try:
        from rocrate.model.contextentity import ContextEntity
        from rocrate.rocrate import ROCrate
    except ImportError as error:
        raise ConfigError("RO-Crate export needs the package rocrate: pip install 'onnes[agent]'") from error
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; give another --out")
    if not (study.folder / RECORD).is_file():
        raise ConfigError(f"{study.folder} has no record; run `onnes agent` first")
    if wrong := faults(study):
        raise EvidenceError(f"a study that was changed is not exported: {'; '.join(wrong[:5])}")
    events = Record(study.folder).events()
    crate = ROCrate()
    crate.name = study.settings["title"]
    crate.description = f"A study of onnes {__version__}: crystal sets, evidence record and answer"
    if licence is not None:
        crate.license = licence
    crate.root_dataset["datePublished"] = events[-1].times.at
    about = {"@type": "SoftwareApplication", "name": "onnes", "softwareVersion": __version__}
    program = ContextEntity(crate, "#onnes", about)
    crate.add(program)
    files = {}
    for path in sorted(one for one in study.folder.rglob("*") if one.is_file() and _belongs(study, one)):
        place = path.relative_to(study.folder).as_posix()
        form = _FORMATS.get(path.suffix, "application/octet-stream")
        files[place] = crate.add_file(str(path), place, properties={"name": place, "encodingFormat": form})
    _add_actions(study, crate, program, files, events)
    crate.write(out)
    return out


def _add_actions(
    study: Study, crate: ROCrate, program: ContextEntity, files: Mapping[str, Any], events: Iterable[Event]
) -> None:
    """Add every call that made a set, with what it read."""
    from rocrate.model.contextentity import ContextEntity

    for event in events:
        if event.kind != "call" or "set_id" not in event.body:
            continue
        made = files.get(f"sets/{event.body['set_id']}.parquet")
        info = study.info(event.body["set_id"]) if study.has(event.body["set_id"]) else None
        about = {
            "@type": "CreateAction", "name": event.body["tool"], "endTime": event.times.at,
            "description": f"event {event.number} of {RECORD}, hash {event.hash}",
        }  # fmt: skip
        action = ContextEntity(crate, f"#event-{event.number}", about)
        crate.add(action)
        action["instrument"] = program
        if made is not None:
            action["result"] = made
        read = [files[f"sets/{one}.parquet"] for one in (info.inputs if info else ()) if f"sets/{one}.parquet" in files]
        if read:
            action["object"] = read


def _belongs(study: Study, path: Path) -> bool:
    """Record, sets, goal and answer; not the jobs' logs or a campaign's working files."""
    top = path.relative_to(study.folder).parts[0]
    return top in ("sets", "reports", RECORD, HEAD, "goal.json", "study.toml", "answer.md", "measurements.jsonl")
