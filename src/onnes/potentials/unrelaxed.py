"""Energies without relaxation: the lowest over a scan of the volume, and the agreement of several potentials.

The test-time augmentation of GNoME (Merchant et al., Nature 624, 80 (2023)). Two reductions follow each other in a fixed
order: first the minimum over the volumes, potential by potential; then the median and the interquartile range over the
potentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import GEOMETRY_DEPENDENT, is_open, values, with_columns
from onnes.crystals.symbols import symbols
from onnes.crystals.table import identify
from onnes.potentials.element_energies import element_energies
from onnes.potentials.evaluation import evaluate_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.potentials.potential import Potential

    Floats = NDArray[np.float64]

N_SCALES = 20
VOLUME_SCALES = tuple(np.linspace(0.8, 1.2, N_SCALES).tolist())
"""Volumes that are tried, relative to the given one."""
_OF_A_RELAXATION = ("forces_max_eV_per_A", "relax_steps", "relax_converged")  # void at another volume
SCAN_COLUMNS = ("potential", "energy_eV_per_atom", "volume_scale", "geometry", *_OF_A_RELAXATION)
ENSEMBLE_COLUMNS = ("formation_energy_median_eV_per_atom", "formation_energy_iqr_eV_per_atom")
_OF_THE_ENERGY = (
    "formation_energy_eV_per_atom", "e_above_hull_eV_per_atom", "hull_reference", "hull_coverage", "decomposes_to",
)  # fmt: skip
_WRITTEN = (*SCAN_COLUMNS, "error")
_MOVED = ("lattice", "input_lattice", "frac_coords", "input_frac_coords")
_CHUNK = {"cpu": 16, "cuda": 512}


@dataclass(frozen=True, eq=False)
class VolumeScan:
    """Energies of B crystals at S volumes by one potential.

    Attributes
    ----------
    curves_eV_per_atom
        Energy at each volume, shape (B, S); NaN where the potential failed.
    scales
        The volumes, relative to the given one, shape (S,).
    errors
        Message for each crystal that failed at every volume, None otherwise, length B.
    """

    curves_eV_per_atom: Floats
    scales: Floats
    errors: list[str | None]

    @property
    def _best(self) -> NDArray[np.int64]:
        return np.where(np.isnan(self.curves_eV_per_atom), np.inf, self.curves_eV_per_atom).argmin(axis=1)

    @property
    def energies_eV_per_atom(self) -> Floats:
        """Lowest energy, shape (B,)."""
        return self.curves_eV_per_atom[np.arange(len(self.errors)), self._best]

    @property
    def volume_scales(self) -> Floats:
        """Volume at which it is lowest, relative to the given one, shape (B,); NaN where a crystal failed."""
        return np.where(np.isnan(self.energies_eV_per_atom), np.nan, self.scales[self._best])


@dataclass(frozen=True, eq=False)
class EnsembleEnergies:
    """Formation energies of B crystals by M potentials.

    Attributes
    ----------
    members_eV_per_atom
        Lowest formation energy over the volumes by each potential, from that potential's own energies of the
        elements, shape (M, B). With a single potential its total energies.
    scans
        The scans, one a potential.
    """

    members_eV_per_atom: Floats
    scans: list[VolumeScan]

    @property
    def median_eV_per_atom(self) -> Floats:
        """Median over the potentials, shape (B,); NaN where one of them failed."""
        return np.median(self.members_eV_per_atom, axis=0)

    @property
    def iqr_eV_per_atom(self) -> Floats:
        """Interquartile range over the potentials, shape (B,); of two potentials half their difference."""
        low, high = np.percentile(self.members_eV_per_atom, [25, 75], axis=0)
        return high - low


def volume_scan(
    batch: CrystalBatch,
    potential: Potential,
    *,
    scales: Sequence[float] = VOLUME_SCALES,
    on_done: Callable[[int], None] | None = None,
) -> VolumeScan:
    """Energy of every crystal at isotropically scaled volumes.

    Parameters
    ----------
    batch
        B crystals.
    potential
        Any `Potential`.
    scales
        Volumes relative to the given one, all positive.
    on_done
        Called with the number of crystals that finished since the last call.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> from onnes.potentials.potential import load_potential
    >>> squeezed = known_crystal("Al", primitive=True).scale_lattice(15.0)
    >>> scan = volume_scan(CrystalBatch.from_structures([squeezed]), load_potential())
    >>> scan.volume_scales.round(2).tolist()
    [1.09]
    """
    wanted = np.asarray(scales, float)
    lengths = np.cbrt(wanted)
    chunk = _CHUNK[potential.device.partition(":")[0]]
    curves: list[Floats] = []
    errors: list[str | None] = []
    for start in range(0, len(batch), chunk):
        part = batch.select(range(start, min(start + chunk, len(batch))))
        scaled = CrystalBatch.of((a * lattice, frac, numbers) for lattice, frac, numbers in part for a in lengths)
        evaluation, faults = evaluate_each(scaled, potential, forces=False)
        curves.append((evaluation.energies_eV / scaled.n_atoms).reshape(len(part), -1))
        for i, curve in enumerate(curves[-1]):
            mine = faults[i * len(wanted) : (i + 1) * len(wanted)]
            errors.append(f"volume scan failed: {mine[0]}" if np.isnan(curve).all() else None)
        if on_done:
            on_done(len(part))
    return VolumeScan(np.concatenate(curves) if curves else np.zeros((0, len(wanted))), wanted, errors)


def ensemble_energies(
    batch: CrystalBatch,
    potentials: Sequence[Potential],
    *,
    scales: Sequence[float] = VOLUME_SCALES,
    elements: Mapping[str, Mapping[str, float]] | None = None,
    on_done: Callable[[int], None] | None = None,
) -> EnsembleEnergies:
    """Formation energies by several potentials, each at its own best volume.

    Total energies of different potentials cannot be compared. Formation energies can, when each is taken from the
    elements as the same potential gives them: see `onnes.potentials.element_energies`. CHGNet's energies contain the
    corrections of the Materials Project for anions, those of SevenNet do not, so that the two differ for oxides, sulphides
    and halides on purpose; the default ensemble is made of SevenNets.

    Parameters
    ----------
    batch
        B crystals.
    potentials
        M potentials.
    scales
        See `volume_scan`.
    elements
        Energies of the elements (eV/atom) by symbol, by the name of the potential; the shipped ones by default.
    on_done
        Called with the number of crystals that one potential finished since the last call.
    """
    scans = [volume_scan(batch, potential, scales=scales, on_done=on_done) for potential in potentials]
    return _ensemble(batch, potentials, scans, elements)


def _ensemble(
    batch: CrystalBatch,
    potentials: Sequence[Potential],
    scans: list[VolumeScan],
    elements: Mapping[str, Mapping[str, float]] | None = None,
) -> EnsembleEnergies:
    members = [scan.energies_eV_per_atom for scan in scans]
    if len(potentials) > 1:
        known = elements or {potential.name: element_energies(potential) for potential in potentials}
        members = [
            energies - _of_elements(batch, known[potential.name])
            for energies, potential in zip(members, potentials, strict=True)
        ]
    return EnsembleEnergies(np.array(members).reshape(len(potentials), len(batch)), scans)


def _of_elements(batch: CrystalBatch, known: Mapping[str, float]) -> Floats:
    """Energy of the elements that each crystal is made of (eV/atom), shape (B,); NaN with an element that has none."""
    by_number = np.array([known.get(symbol, np.nan) for symbol in symbols()])
    totals = np.bincount(batch.owners, by_number[batch.atomic_numbers], len(batch))
    return totals / batch.n_atoms


def scan_table(
    table: pa.Table,
    potential: Potential,
    *,
    others: Sequence[Potential] = (),
    scale_geometry: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Fill ``energy_eV_per_atom`` of the open rows with the lowest energy over the volumes.

    Parameters
    ----------
    table
        Crystal table.
    potential
        Whose energies.
    others
        Further potentials; with them, median and interquartile range of the formation energy are filled as well.
    scale_geometry
        Give each crystal the volume at which its energy is lowest, and keep the one before in ``input_lattice``.
        Otherwise the geometry stays, and the energy is that of another volume: ``volume_scale`` says which.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        The same rows in the same order; a row that fails gets ``error``.
    """
    rows = np.flatnonzero(is_open(table))
    stale = [name for name in (GEOMETRY_DEPENDENT if scale_geometry else _OF_THE_ENERGY) if name in table.column_names]
    names = {*_WRITTEN, *stale, *(ENSEMBLE_COLUMNS if others else ()), *(_MOVED if scale_geometry else ())}
    columns: dict[str, list[Any]] = {name: values(table, name) for name in names}
    chunk = _CHUNK[potential.device.partition(":")[0]]
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        batch = CrystalBatch.from_table(table.take(part))
        scan = volume_scan(batch, potential)
        spread = _ensemble(batch, [potential, *others], [scan, *(volume_scan(batch, other) for other in others)])
        for i, row in enumerate(part):
            columns["geometry"][row] = columns["geometry"][row] or "input"
            columns["error"][row] = scan.errors[i]
            if scan.errors[i] is not None:
                continue
            for name in (*stale, *_OF_A_RELAXATION):
                columns[name][row] = None
            columns["potential"][row] = potential.name
            columns["energy_eV_per_atom"][row] = float(scan.energies_eV_per_atom[i])
            columns["volume_scale"][row] = float(scan.volume_scales[i])
            if others:
                columns["formation_energy_median_eV_per_atom"][row] = float(spread.median_eV_per_atom[i])
                columns["formation_energy_iqr_eV_per_atom"][row] = float(spread.iqr_eV_per_atom[i])
            if scale_geometry:
                _rescale(columns, row, float(scan.volume_scales[i]), potential.name)
        if on_rows:
            on_rows(len(part))
    filled = with_columns(table, columns)
    return identify(filled) if scale_geometry else filled


def _rescale(columns: dict[str, list[Any]], row: int, volume_scale: float, potential: str) -> None:
    columns["input_lattice"][row] = columns["input_lattice"][row] or columns["lattice"][row]
    columns["input_frac_coords"][row] = columns["input_frac_coords"][row] or columns["frac_coords"][row]
    columns["lattice"][row] = (np.cbrt(volume_scale) * np.array(columns["lattice"][row])).tolist()
    columns["geometry"][row] = f"volume by {potential}"
