"""Crystals with alpha2F spectra of one's own: what is read from published databases and from Parquet tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import values
from onnes.errors import ConfigError, CrystalError, OnnesError
from onnes.models.spectrum import N_BINS, moments_tc_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, Moments, bin_spectrum, binned_moments
from onnes.training.data import buckets
from onnes.training.label_kind import RESERVED, one_kind

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# (frequencies, values) as the published tables name them; the first pair that a file has is read. The coarse densities
# of states come first: a screening can afford those.
_SPECTRUM = (("Freq_meV", "a2F"), ("a2F_Freq_meV_sigma_2", "a2F_sigma_2"), ("Freq_meV", "a2F_sigma_2"))
_SITE_DOS = (
    ("Ph_2x2x2_interpolated_Freq_meV", "Ph_2x2x2_interpolated_Site_Proj_DOS"),
    ("PhFreq_meV", "Site_Proj_PhDOS"),
)
_FILE_NAMES = ("index", "comp_name", "comp", "ID")
_ROW_KEY = "\0row"  # the name that pandas gave the row; no column is called so
_SAME_SITE = 1e-3  # fractional


@dataclass(frozen=True, eq=False)
class SpectraData:
    """Crystals with their binned alpha2F.

    Attributes
    ----------
    batch
        P crystals, N atoms in all.
    alpha2f
        On the first 51 bins of `onnes.physics.spectra.ALPHA2F_GRID_MEV`, shape (P, 51). What a spectrum has above 101
        meV is lost. Every label follows from these values.
    formulas
        Reduced formulas, P of them.
    ids
        Name of the CIF, or `id` of the table.
    site_phonon_dos
        Binned phonon density of states of each atom (N, 51), NaN where it is missing; None when no crystal has it.
    problems
        One message for each row that could not be used, with file and row.
    label_kind
        Where the labels come from, as the table says in its column ``label_kind``; None where it says nothing.
    """

    batch: CrystalBatch
    alpha2f: Floats
    formulas: tuple[str, ...]
    ids: tuple[str, ...]
    site_phonon_dos: Floats | None = None
    problems: tuple[str, ...] = ()
    label_kind: str | None = None

    @property
    def moments(self) -> Moments:
        """Labels lambda, omega_log and omega2 of the binned spectra, each of shape (P,)."""
        return binned_moments(self.alpha2f)

    @property
    def tc_K(self) -> Floats:
        """Allen-Dynes Tc of the binned spectra at mu* = 0.10 (K), shape (P,)."""
        return moments_tc_K(self.moments)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Composition group of each crystal, shape (P,)."""
        return np.unique(self.formulas, return_inverse=True)[1].astype(np.int64)

    @property
    def buckets(self) -> NDArray[np.int64]:
        """Composition buckets 0-99 for a split, shape (P,)."""
        return buckets(self.formulas)

    @property
    def has_phonon_dos(self) -> NDArray[np.bool_]:
        """Crystals whose atoms all have a phonon density of states, shape (P,)."""
        has = np.zeros(len(self.batch), bool)
        if self.site_phonon_dos is not None:
            missing = np.isnan(self.site_phonon_dos).any(1)
            has[:] = np.bincount(self.batch.owners, missing, len(self.batch)) == 0
        return has

    def select(self, rows: NDArray[np.bool_]) -> SpectraData:
        """Return the crystals where ``rows`` (P,) is true, without the messages."""
        indices = np.flatnonzero(rows)
        dos = None if self.site_phonon_dos is None else self.site_phonon_dos[rows[self.batch.owners]]
        names = ([column[i] for i in indices] for column in (self.formulas, self.ids))
        formulas, ids = (tuple(column) for column in names)
        return SpectraData(self.batch.select(indices), self.alpha2f[rows], formulas, ids, dos, (), self.label_kind)


@dataclass(frozen=True, eq=False)
class _Entry:
    """One row before binning; `crystal` is a row of a crystal table."""

    where: str
    crystal: Mapping[str, Any]
    spectrum: tuple[Any, Any]
    site_dos: tuple[Any, Any] | None
    cif: Path | None = None


def read_spectra(path: str | Path, crystals: str | Path | None = None) -> SpectraData:
    """Read crystals with alpha2F from a published database or a Parquet table.

    A row that cannot be used is left out and named in `SpectraData.problems`.

    Parameters
    ----------
    path
        ``.parquet``: columns lattice, frac_coords, atomic_numbers, omega_meV, alpha2f, and, if there are phonons,
        phonon_omega_meV and site_phonon_dos (one list an atom). With a column label_kind, all rows must be of one kind; rows
        whose column split says ``reserved`` are left out. ``.json``: the layout of BETE-NET's and BEE-NET's
        ``database.json``, a pandas table by columns or a list of records, with the columns comp and Freq_meV and a2F
        (or a2F_sigma_2), and possibly site-projected phonon densities of states.
    crystals
        Folder of the CIF files that belong to a JSON file, named by its column index, comp_name, comp or ID. By
        default the folder ``structures`` beside the file, or else the folder of the file.

    Returns
    -------
    SpectraData
        Spectra smoothed and binned as by BEE-NET; those that stand on these bins already are taken as they are.

    Raises
    ------
    ConfigError
        When the file is missing, of another kind, has no row that can be used, or mixes kinds of labels.

    Examples
    --------
    >>> read_spectra("no_such_file.json")
    Traceback (most recent call last):
    onnes.errors.ConfigError: no such file: no_such_file.json. Check the path
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"no such file: {path}. Check the path")
    problems: list[str] = []
    kind = None
    if path.suffix.lower() == ".parquet":
        table = read_crystals(path)
        kind = one_kind([table], path.name)
        entries = _parquet_entries(table, path, problems)
    elif path.suffix.lower() == ".json":
        beside = path.parent / "structures"
        entries = _json_entries(path, Path(crystals or (beside if beside.is_dir() else path.parent)), problems)
    else:
        raise ConfigError(f"{path.name}: spectra come as .parquet or .json, not {path.suffix or 'without a suffix'!r}")
    packed, spectra, densities, kept = [], [], [], []
    for entry in entries:
        lattice, frac = np.reshape(entry.crystal["lattice"], (3, 3)), np.reshape(entry.crystal["frac_coords"], (-1, 3))
        numbers = np.asarray(entry.crystal["atomic_numbers"])
        try:
            spectra.append(_binned(*entry.spectrum, "alpha2F"))
        except OnnesError as error:
            problems.append(f"{entry.where}: {error}")
            continue
        try:
            densities.append(_site_dos(entry, frac, numbers))
        except OnnesError as error:
            problems.append(f"{entry.where}: {error}. The row is kept without phonons")
            densities.append(np.full((len(numbers), N_BINS), np.nan))
        packed.append((lattice, frac, numbers))
        kept.append(entry.crystal)
    if not packed:
        raise ConfigError(f"{path.name}: no row can be used. First: {(problems or ['the file has no rows'])[0]}")
    sites = np.concatenate(densities)
    return SpectraData(
        CrystalBatch.of(packed),
        np.array(spectra),
        tuple(row["reduced_formula"] for row in kept),
        tuple(row["id"] for row in kept),
        None if np.isnan(sites).all() else sites,
        tuple(problems),
        kind,
    )


def _binned(omega_meV: Any, curves: Any, what: str, axes: int = 1) -> Floats:
    """Put one curve (n,), or one for each site (s, n), on the 51 bins; CrystalError when it is no such curve."""
    if omega_meV is None or curves is None:
        raise CrystalError(f"no {what}, or no frequencies to it. Fill or remove the row")
    try:
        omega, heights = np.asarray(omega_meV, float), np.asarray(curves, float)
    except (TypeError, ValueError) as error:
        raise CrystalError(f"{what} is not made of numbers ({str(error)[:80]}). Correct or remove the row") from error
    if heights.ndim != axes or not np.isfinite(heights).all():
        raise CrystalError(f"{what} of shape {heights.shape} is not {axes}-dimensional and finite. Correct the row")
    if _on_bins(omega) and heights.shape[-1] == len(omega):
        return np.maximum(heights[..., :N_BINS], 0.0)
    return bin_spectrum(omega, heights, n_bins=N_BINS)


def _on_bins(omega_meV: Floats) -> bool:
    """Whether a grid is that of the bins: what stands on it was smoothed before, and a second time would blur it."""
    n = omega_meV.size
    return N_BINS <= n <= len(ALPHA2F_GRID_MEV) and np.allclose(omega_meV, ALPHA2F_GRID_MEV[:n], rtol=0, atol=1e-6)


def _site_dos(entry: _Entry, frac: Floats, numbers: NDArray[np.integer]) -> Floats:
    """Binned densities of states in the order of the crystal's atoms, shape (n, 51); NaN when the row has none."""
    if entry.site_dos is None:
        return np.full((len(numbers), N_BINS), np.nan)
    dos = _binned(*entry.site_dos, "phonon density of states", axes=2)
    if len(dos) != len(numbers):
        raise CrystalError(f"{len(dos)} phonon densities of states for {len(numbers)} atoms")
    return dos if entry.cif is None else dos[_places_in_file(entry.cif, frac, numbers)]


def _places_in_file(cif: Path, frac: Floats, numbers: NDArray[np.integer]) -> NDArray[np.intp]:
    """Place of each atom in the file, shape (n,): densities follow it, and the reader sorts atoms by element."""
    from ase.io import read

    try:
        atoms: Any = read(cif)
    except Exception as error:  # the row boundary
        raise CrystalError(f"{cif.name}: the order of its atoms cannot be read ({str(error)[:80]})") from error
    away = frac[:, None] - atoms.get_scaled_positions()
    same = (np.abs(away - away.round()).max(-1) < _SAME_SITE) & (numbers[:, None] == atoms.numbers)
    if not ((same.sum(0) == 1).all() and (same.sum(1) == 1).all()):
        raise CrystalError(f"the atoms of {cif.name} cannot be matched to their phonon densities of states")
    return same.argmax(1)


def _parquet_entries(table: pa.Table, path: Path, problems: list[str]) -> Iterator[_Entry]:
    errors = values(table, "error")
    if None not in errors:
        raise ConfigError(f"{path.name}: no row can be used. First: {errors[0]}")
    missing = [name for name in ("omega_meV", "alpha2f") if name not in table.column_names]
    if missing:
        raise ConfigError(
            f"{path.name}: no column {missing[0]}. Spectra need omega_meV and alpha2f beside the crystals"
        )
    phonons = {"phonon_omega_meV", "site_phonon_dos"} <= set(table.column_names)
    for number, row in enumerate(table.to_pylist(), start=1):
        if row["error"] is not None:
            problems.append(row["error"])
            continue
        if row.get("split") == RESERVED:
            problems.append(f"{path.name}, row {number}: {row['id']} is reserved for final evaluations. It is left out")
            continue
        dos = (row["phonon_omega_meV"], row["site_phonon_dos"]) if phonons else None
        dos = None if dos is None or None in dos else dos
        yield _Entry(f"{path.name}, row {number}", row, (row["omega_meV"], row["alpha2f"]), dos)


def _json_entries(path: Path, folder: Path, problems: list[str]) -> Iterator[_Entry]:
    records = _records(path)
    columns = {name for record in records if isinstance(record, dict) for name in record}
    pair = next((pair for pair in _SPECTRUM if columns.issuperset(pair)), None)
    if pair is None:
        have = ", ".join(sorted(columns - {_ROW_KEY})[:8]) or "none"
        raise ConfigError(f"{path.name}: no columns Freq_meV and a2F (columns: {have}). Export the database again")
    dos_pair = next((pair for pair in _SITE_DOS if columns.issuperset(pair)), None)
    # Names are looked up in this listing, never made into a path.
    cifs = {file.stem: file for file in sorted(folder.glob("*.cif"))}
    if not cifs:
        raise ConfigError(f"{folder}: no CIF files. Give the folder with the crystals of {path.name}")
    chosen: list[tuple[str, dict[str, Any], Path]] = []
    used: dict[Path, str] = {}
    for number, record in enumerate(records, start=1):
        where = f"{path.name}, row {number}"
        names = [str(record.get(key)) for key in (*_FILE_NAMES, _ROW_KEY)] if isinstance(record, dict) else []
        cif = next((cifs[name] for name in names if name in cifs), None)
        if cif is None:
            tried = ", ".join(f"{name}.cif" for name in dict.fromkeys(names) if name != "None") or "no name given"
            problems.append(f"{where}: no crystal in {folder} ({tried}). Add the file or remove the row")
        elif cif in used:
            problems.append(f"{where}: {cif.name} already belongs to {used[cif]}. Give each row a CIF file of its own")
        else:
            used[cif] = where
            chosen.append((where, record, cif))
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _crystal_rows([cif for *_, cif in chosen]):
        rows.setdefault(row["source"], []).append(row)
    for where, record, cif in chosen:
        fault = _cif_fault(rows[str(cif)], record.get("comp"), cif.name)
        if fault is not None:
            problems.append(f"{where}: {fault}")
            continue
        dos = None if dos_pair is None else (record.get(dos_pair[0]), record.get(dos_pair[1]))
        dos = None if dos is None or None in dos else dos
        yield _Entry(where, rows[str(cif)][0], (record.get(pair[0]), record.get(pair[1])), dos, cif)


def _crystal_rows(files: Sequence[Path]) -> list[dict[str, Any]]:
    table: pa.Table | None = read_crystals(list(files)) if files else None
    return [] if table is None else table.to_pylist()


def _cif_fault(rows: list[dict[str, Any]], comp: Any, name: str) -> str | None:
    """Say why the crystals of a CIF cannot be those of a row; None when there is one of that composition."""
    from pymatgen.core import Composition

    if len(rows) != 1:
        return f"{name} holds {len(rows)} crystals. Keep one"
    if rows[0]["error"] is not None:
        return rows[0]["error"]
    try:
        wanted = None if comp is None else Composition(str(comp)).reduced_formula
    except ValueError:
        return None  # a name, not a formula
    if wanted not in (None, rows[0]["reduced_formula"]):
        return f"{name} holds {rows[0]['reduced_formula']}, the row says {wanted}. The files are numbered differently"
    return None


def _records(path: Path) -> list[Any]:
    """Rows of a pandas table in JSON: by columns (lists, or mappings from row names) or as a list of records."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{path.name}: not JSON that can be read ({str(error)[:80]}). Copy or export it again"
        ) from error
    if isinstance(content, list):
        return content
    columns = list(content.values()) if isinstance(content, dict) else []
    if columns and all(isinstance(column, dict) for column in columns):
        keys = dict.fromkeys(key for column in columns for key in column)
        return [{name: column.get(key) for name, column in content.items()} | {_ROW_KEY: key} for key in keys]
    if columns and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return [dict(zip(content, row, strict=True)) for row in zip(*columns, strict=True)]
    raise ConfigError(f"{path.name}: neither a table by columns nor a list of records. Write it with pandas' to_json")
