"""Labels of a kind of their own: what was verified by first principles, as training data and for comparison."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pydantic import ValidationError

from onnes.campaign.folder import SETTINGS, WORK, Campaign
from onnes.crystals.readers import clean_id
from onnes.crystals.schema import COLUMNS, concat, values
from onnes.crystals.table import complete, identify
from onnes.errors import ConfigError
from onnes.physics.allen_dynes import MU_STAR
from onnes.physics.spectra import ALPHA2F_GRID_MEV
from onnes.training.data import bucket
from onnes.training.label_kind import FIRST_PRINCIPLES, KIND, one_kind, split_of
from onnes.verify.chain import RESULT
from onnes.verify.columns import columns_of, confidence_of
from onnes.verify.result import Verification
from onnes.verify.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

GRID = "ALPHA2F_GRID_MEV"
"""Name of the grid of ``alpha2f``: the bins of `onnes.physics.spectra`."""
OWN_COLUMNS: dict[str, pa.DataType] = {
    KIND: pa.string(),
    "key": pa.string(),
    "level": pa.string(),
    "verdict": pa.string(),
    "reason": pa.string(),
    "confidence": pa.string(),
    "dynamically_stable": pa.bool_(),
    "functional": pa.string(),
    "pseudopotentials": pa.string(),
    "program_version": pa.string(),
    "coupling_method": pa.string(),
    "mu_stars": pa.list_(pa.float64()),
    "tc_allen_dynes_K": pa.list_(pa.float64()),
    "tc_eliashberg_K": pa.list_(pa.float64()),
    "alpha2f_grid": pa.string(),
    "omega_meV": pa.list_(pa.float64()),
    "md5_bucket": pa.int64(),
    "split": pa.string(),
}
"""Columns that the crystal table does not have."""
WITH_SPECTRUM = (Verdict.SUPERCONDUCTOR, Verdict.NO_SUPERCONDUCTIVITY)
WITHOUT_LABEL = (Verdict.FAILED, Verdict.NOT_AVAILABLE)
"""Verdicts that say nothing of the crystal."""

_FROM_ROW = {
    "dft_lambda": "lambda_", "dft_lambda_std": "lambda_std", "dft_omega_log_K": "omega_log_K", "dft_omega2_K": "omega2_K",
    "dft_tc_K": "tc_K", "dft_tc_lo_K": "tc_lo_K", "dft_tc_hi_K": "tc_hi_K", "dft_alpha2f": "alpha2f",
}  # fmt: skip
_TABLE = (
    "id", "source", "lattice", "frac_coords", "atomic_numbers", "geometry", "pressure_GPa", "potential", "energy_eV_per_atom",
    "dos_ef_states_per_eV", "min_phonon_THz", "mu_star", *_FROM_ROW.values(),
)  # fmt: skip
_SCHEMA = pa.schema([*((name, COLUMNS[name]) for name in _TABLE), *OWN_COLUMNS.items()])


def verified_labels(
    *sources: str | Path | Campaign, rows: pa.Table | None = None, on_problem: Callable[[str], None] = lambda _: None
) -> pa.Table:
    """Collect what verifications found, one row a verified crystal.

    Parameters
    ----------
    *sources
        Campaigns, or folders of verifications; a verification is known by its ``result.json``.
    rows
        Crystal table whose ``dft_key`` gives rows their ids; that of a campaign is read without being named.
    on_problem
        Called with one message for each verification without a label, and for each row whose folder is missing.

    Returns
    -------
    pyarrow.Table
        Columns of the crystal table and of `OWN_COLUMNS`. The geometry is the computed one, ``qe-<functional>`` where it was
        relaxed, else as named by the row; N(E_F) is of its cell, without the correction to the scale of the models.
        lambda, Tc and ``alpha2f`` (on ``omega_meV``) are there only under the verdicts ``superconductor`` and
        ``no_superconductivity``; a row that is ``unstable`` is a label of stability. Verdicts that say nothing of the crystal
        (failed, not available) give no row. ``split`` follows the composition bucket: ``train`` below 80, ``validation`` 80-89, ``reserved`` from 90 on.

    Raises
    ------
    ConfigError
        When a source is no folder, or none of them holds a label.

    See Also
    --------
    onnes.training.spectrum_data.read_spectra : reads the table, written as Parquet, to train the model ``spectrum``.

    Examples
    --------
    >>> verified_labels("no_such_folder")
    Traceback (most recent call last):
    onnes.errors.ConfigError: no such folder: no_such_folder. Give a campaign or a folder of verifications
    """
    found: dict[str, dict[str, Any]] = {}
    taken: set[str] = set()
    for source in sources:
        for name, geometry, verification in _read(source, rows, on_problem):
            if verification.verdict in WITHOUT_LABEL:
                on_problem(f"{name}: {verification.verdict.value}, no label: {verification.reason}")
            elif verification.key not in found:
                own = (
                    name if name not in taken else f"{name}@{verification.key[:8]}"
                )  # another level of the same crystal
                taken.add(own)
                found[verification.key] = _label(own, geometry, verification)
    if not found:
        raise ConfigError("there is no verified crystal in these folders; verify some with `onnes verify` first")
    labels = identify(complete(pa.Table.from_pylist(list(found.values()), schema=_SCHEMA)))
    return _with_splits(labels)


def merged_labels(tables: Iterable[pa.Table]) -> pa.Table:
    """Stack tables of verified labels; a crystal that was verified in the same way twice stays once.

    Raises
    ------
    ConfigError
        When a table holds labels of another kind: predictions, literature, experiments.
    """
    given = list(tables)
    kind = one_kind(given)
    if kind != FIRST_PRINCIPLES:
        raise ConfigError(f"labels of the kind {kind!r} are not {FIRST_PRINCIPLES}; they are never merged with these")
    stacked = concat(given)
    keys = values(stacked, "key")
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    return stacked.take(pa.array(sorted(first.values()), pa.int64()))


def _read(
    source: str | Path | Campaign, rows: pa.Table | None, on_problem: Callable[[str], None]
) -> Iterator[tuple[str, str, Verification]]:
    """Verifications of one source, each with id and geometry of the row that asked for it."""
    folder = source.folder if isinstance(source, Campaign) else Path(source)
    if not folder.is_dir():
        raise ConfigError(f"no such folder: {folder}. Give a campaign or a folder of verifications")
    if (folder / SETTINGS).is_file():
        rows, folder = Campaign.open(folder).results, folder / WORK
    names = {} if rows is None else _names(rows)
    seen = set()
    for path in _results(folder):
        try:
            verification = Verification.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            on_problem(f"{path.parent.name}/{RESULT} cannot be read ({str(error).splitlines()[0]}); verify it again")
            continue
        key = path.parent.relative_to(folder).as_posix()
        seen.add(key)
        name, geometry = names.get(key) or (clean_id(f"{verification.formula}-{verification.key}"), "input")
        yield name, geometry, verification
    for key in sorted(names.keys() - seen):
        on_problem(
            f"{names[key][0]}: the folder {key} of its verification is missing, and the computed geometry with it"
        )


def _names(rows: pa.Table) -> dict[str, tuple[str, str]]:
    """Ids and geometries of rows by the folder of their verification; the first of those that share one."""
    found: dict[str, tuple[str, str]] = {}
    columns = (values(rows, column) for column in ("dft_key", "id", "geometry"))
    for key, name, geometry in zip(*columns, strict=True):
        if key is not None:
            found.setdefault(key, (name, geometry or "input"))
    return found


def _results(folder: Path) -> list[Path]:
    """Files of results: in the folder itself, in folders of it, and in those of a crystal."""
    return sorted(path for pattern in (RESULT, f"*/{RESULT}", f"*/*/{RESULT}") for path in folder.glob(pattern))


def _label(name: str, geometry: str, found: Verification) -> dict[str, Any]:
    coupled = found.verdict in WITH_SPECTRUM and found.coupling is not None
    row = columns_of(found, found.n_atoms)
    coupling = found.coupling if coupled else None
    computed = f"qe-{found.functional}"
    return {
        "id": name, "source": "verification", KIND: FIRST_PRINCIPLES, "key": found.key, "level": found.level,
        "lattice": list(found.lattice), "frac_coords": list(found.frac_coords), "atomic_numbers": list(found.atomic_numbers),
        "geometry": computed if found.relaxed else geometry, "pressure_GPa": found.pressure_GPa, "potential": computed,
        "energy_eV_per_atom": found.energy_eV_per_atom, "dos_ef_states_per_eV": found.dos_ef_states_per_eV,
        "min_phonon_THz": found.min_phonon_THz, "verdict": found.verdict.value, "reason": found.reason,
        "confidence": confidence_of(found), "dynamically_stable": _stable(found), "functional": found.functional,
        "pseudopotentials": ", ".join(f"{one.element}:{one.sha256}" for one in found.pseudopotentials),
        "program_version": ", ".join(f"{program} {version}" for program, version in found.programs.items()),
        "mu_star": MU_STAR if coupled else None,
        **({new: row[old] for old, new in _FROM_ROW.items()} if coupled else {}),
        **({} if coupling is None else _spectrum(coupling)),
    }  # fmt: skip


def _spectrum(coupling: Any) -> dict[str, Any]:
    return {
        "coupling_method": f"{coupling.method} {'x'.join(map(str, coupling.q_grid))}",
        "mu_stars": list(coupling.mu_star),
        "tc_allen_dynes_K": list(coupling.tc_allen_dynes_K),
        "tc_eliashberg_K": list(coupling.tc_eliashberg_K),
        "alpha2f_grid": GRID,
        "omega_meV": ALPHA2F_GRID_MEV.tolist(),
    }


def _stable(found: Verification) -> bool | None:
    """Whether every phonon on the grid is real; None where they were not computed."""
    if found.verdict is Verdict.UNSTABLE:
        return False
    return True if found.coupling is not None else None


def _with_splits(labels: pa.Table) -> pa.Table:
    formulas = values(labels, "reduced_formula")
    for name, made in (("md5_bucket", [bucket(f) for f in formulas]), ("split", [split_of(f) for f in formulas])):
        array = pa.array(made, OWN_COLUMNS[name])
        labels = labels.set_column(labels.column_names.index(name), name, array)
    return labels
