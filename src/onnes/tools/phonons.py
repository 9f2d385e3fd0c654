"""The tool ``phonons``: bands, density of states, grade, heat capacity, and the children of soft modes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnes.crystals.schema import concat, values, with_columns
from onnes.physics.phonon_bands import NO_NAC, PhononBands, phonon_bands
from onnes.physics.phonons import DISPLACEMENT_A, MIN_LENGTH_A
from onnes.physics.thermal import ThermalProperties, thermal_properties
from onnes.potentials.phonon_grades import SYMPREC_A, GradedPhonons
from onnes.potentials.phonon_settings import FollowSettings, GradeSettings
from onnes.potentials.phonon_tables import children_of, phonon_table
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential, sibling_of
from onnes.potentials.relaxation import RelaxSettings
from onnes.potentials.tables import relax_at_own_pressure
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.result import CrystalTable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from onnes.physics.spectral_shape import PhononDos

_HEADINGS = {
    "id": ("id", "{}"),
    "reduced_formula": ("formula", "{}"),
    "space_group": ("SG", "{}"),
    "min_phonon_THz": ("lowest / THz", "{:.2f}"),
    "phonon_grade": ("grade", "{}"),
    "max_phonon_THz": ("highest / THz", "{:.2f}"),
    "heat_capacity_300K_J_per_mol_K": ("C(300 K) / J/K\nper mole of atoms", "{:.1f}"),
    "phonon_supercell": ("supercell", "{}"),
    "energy_eV_per_atom": ("E / eV/atom", "{:.3f}"),
    "geometry": ("geometry", "{}"),
}


@dataclass(frozen=True, eq=False)
class PhononDetails:
    """What does not fit into a row.

    Attributes
    ----------
    bands
        Along the high-symmetry path; None where there is none.
    dos
        Density of states of the real modes.
    thermal
        Free energy, entropy, heat capacity, of one mole of cells; the heat capacity in the table is that of atoms.
    displacement_A, supercell
        Of the calculation.
    figures
        Files that were drawn.
    """

    bands: PhononBands | None
    dos: PhononDos
    thermal: ThermalProperties
    displacement_A: float
    supercell: str
    figures: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return {
            "remark": NO_NAC,
            "supercell": self.supercell,
            "displacement_A": self.displacement_A,
            "bands": None if self.bands is None else self.bands.to_dict(),
            "dos": {
                "omega_meV": self.dos.omega_meV.round(4).tolist(),
                "modes_per_meV_and_cell": self.dos.dos.round(6).tolist(),
            },
            "thermal": self.thermal.to_dict(),
            "figures": list(self.figures),
        }


@dataclass(frozen=True, eq=False, repr=False)
class PhononTable(CrystalTable):
    """Crystal table whose face shows the phonons.

    Attributes
    ----------
    details
        Bands, density of states and thermal properties by id; rows that failed and children of soft modes have none.
    """

    details: dict[str, PhononDetails] = field(default_factory=dict)
    headings = _HEADINGS

    def remarks(self) -> list[str | None]:
        """Error or reason of each row, what was computed, and the notes."""
        said = zip(self["error"], self["reason"], self["phonon_reason"], self["notes"], strict=True)
        return [error or reason or "; ".join(filter(None, rest)) for error, reason, *rest in said]

    def to_json(self, columns: Sequence[str] | None = None) -> str:
        """Return JSON, a list with one object a row; ``phonons`` holds bands, density of states, thermal properties."""
        rows = []
        for row in self.to_dicts():
            kept = row if columns is None else {k: row[k] for k in columns if k in row}
            found = self.details.get(row["id"])
            rows.append(kept if found is None or columns is not None else {**kept, "phonons": found.to_dict()})
        return json.dumps(rows, indent=1)


def phonons(
    crystals: Crystals,
    *,
    potential: str = DEFAULT_POTENTIAL,
    refine: bool = True,
    relax: bool = True,
    min_length_A: float = MIN_LENGTH_A,
    displacement_A: float = DISPLACEMENT_A,
    follow: bool = False,
    plots: str | Path | None = None,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> PhononTable:
    """Phonons of crystals by an interatomic potential, and whether they are dynamically stable.

    The grade is ``stable``, ``doubtful`` or ``unstable``; `onnes.physics.phonon_grade.graded` states the rule. The
    non-analytic correction is left out.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`.
    potential
        Who computes.
    refine
        Ask a second potential as well (``sevennet-l3i5``; ``sevennet-0`` for any other first potential); several times
        slower.
    relax
        Bring each crystal to the potential's minimum first, at its own pressure, the symmetry that it has within 0.01 A
        kept. Otherwise everything belongs to the given geometry, away from whose minimum phonons mean little.
    min_length_A
        Shortest distance between an atom and its images; the primitive cell is repeated once or an even number of times
        along each axis. Above 400 atoms it is shortened.
    displacement_A
        Length of the displacements. Where the answer is not stable it is tried again with three times the length.
    follow
        Add the crystals of lower energy that the unstable modes of crystals graded unstable or doubtful lead to, as rows with
        ``parent_id``.
    plots
        Folder for figures: ``phonons-1.svg`` (bands and density of states) and ``thermal-1.svg`` of the first crystal, and
        so on.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals relaxed, and then of those whose phonons are done.

    Returns
    -------
    PhononTable
        The rows in order, with phonon columns; a row that cannot be computed has ``error``.

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> found = phonons(known_crystal("Al", primitive=True), refine=False, min_length_A=8.0)
    >>> found["phonon_grade"], found["phonon_supercell"]
    (['stable'], ['4x4x4'])
    """
    settings = GradeSettings(
        potential=potential,
        sibling=sibling_of(potential),
        refine="always" if refine else "never",
        relax=relax,
        min_length_A=min_length_A,
        displacement_A=displacement_A,
        second_displacement_A=3 * displacement_A,
    )
    table = as_table(crystals)
    if relax:
        tight = RelaxSettings(fmax_eV_per_A=settings.fmax_eV_per_A, symprec_A=SYMPREC_A)
        table = relax_at_own_pressure(table, load_potential(potential, device=device), tight, on_rows=on_rows)
    collected = _Collected(Path(plots) if plots is not None else None, settings, device, follow=follow)
    table = phonon_table(
        table, settings, device=device, on_rows=on_rows, receive=lambda row, found: collected.take(table, row, found)
    )
    if collected.notes:
        notes = values(table, "notes")
        for row, words in collected.notes.items():
            notes[row] = "; ".join(filter(None, (notes[row], *words)))
        table = with_columns(table, {"notes": notes})
    pieces: list[pa.Table] = []
    for row in range(table.num_rows):
        pieces += [table.slice(row, 1), *collected.children.get(row, [])]
    return PhononTable(concat(pieces) if pieces else table, collected.details)


class _Collected:
    """What is gathered of each crystal while its force constants are at hand."""

    def __init__(self, plots: Path | None, settings: GradeSettings, device: str, *, follow: bool) -> None:
        self.plots, self.settings, self.device, self.follow = plots, settings, device, follow
        self.details: dict[str, PhononDetails] = {}
        self.children: dict[int, list[pa.Table]] = {}
        self.notes: dict[int, list[str]] = {}

    def take(self, table: pa.Table, row: int, found: GradedPhonons) -> None:
        thermal = thermal_properties(found.phonons)
        try:
            bands = phonon_bands(found.phonons)
        except Exception as error:  # noqa: BLE001 - the row boundary: everything else is kept
            bands = None
            self._note(row, f"no bands: {type(error).__name__}: {error}")
        check = found.checks[0]
        details = PhononDetails(bands, found.phonons.dos, thermal, check.displacement_A, check.supercell)
        if self.plots is not None:
            title = f"{values(table, 'reduced_formula')[row]}, {self.settings.potential}"
            details = replace(details, figures=self._draw(self.plots, row, details, title))
        self.details[values(table, "id")[row]] = details
        if self.follow and found.grade != "stable":
            self.children[row], remark = children_of(
                table.slice(row, 1), found, FollowSettings(), self.settings.potential, device=self.device
            )
            if remark is not None:
                self._note(row, remark)

    def _draw(self, folder: Path, row: int, details: PhononDetails, title: str) -> tuple[str, ...]:
        """Draw what there is; return the files that were written."""
        from onnes.tools.phonon_figure import draw_bands, draw_thermal

        figures: list[str] = []
        try:
            if details.bands is not None:
                path = str(folder / f"phonons-{row + 1}.svg")
                draw_bands(path, details.bands, details.dos, title=title)
                figures.append(path)
            path = str(folder / f"thermal-{row + 1}.svg")
            draw_thermal(path, details.thermal, title=title)
            figures.append(path)
        except Exception as error:  # noqa: BLE001 - the row boundary
            self._note(row, f"not drawn: {type(error).__name__}: {error}")
        return tuple(figures)

    def _note(self, row: int, words: str) -> None:
        self.notes.setdefault(row, []).append(words)
