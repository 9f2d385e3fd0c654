"""What experiments would find: measured superconductivity of formulas and crystals, as the literature reports it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from onnes.crystals.parquet import PARTLY_OCCUPIED
from onnes.crystals.readers import read_crystals
from onnes.crystals.schema import values
from onnes.crystals.table import to_structures
from onnes.errors import CrystalError, ModelError
from onnes.models.composition import element_fractions
from onnes.models.experimental import DEFAULT_MODEL, STRUCTURAL_NAMES, load_experimental_model, structural_features
from onnes.tools.result import PlainTable

if TYPE_CHECKING:
    from pymatgen.core import Composition, Structure

    from onnes.models.experimental import ExperimentalModel

Materials = Any
"""Formulas, file names, pymatgen Structures or Compositions; one or many."""

SCHEMA = pa.schema([
    ("id", pa.string()),
    ("formula", pa.string()),
    ("reduced_formula", pa.string()),
    ("exp_superconductor_probability", pa.float64()),
    ("exp_tc_K", pa.float64()),
    ("exp_tc_lo_K", pa.float64()),
    ("exp_tc_hi_K", pa.float64()),
    ("exp_family", pa.string()),
    ("has_structure", pa.bool_()),
    ("error", pa.string()),
])  # fmt: skip
"""Columns of `ExperimentalTable`."""

_HEADINGS = {
    "id": ("id", "{}"),
    "reduced_formula": ("formula", "{}"),
    "exp_superconductor_probability": ("P(superconductor)", "{:.2f}"),
    "exp_tc_K": ("measured Tc / K", "{:.1f}"),
    "exp_tc_lo_K": ("90 % from", "{:.1f}"),
    "exp_tc_hi_K": ("to", "{:.1f}"),
    "exp_family": ("family", "{}"),
    "has_structure": ("structure", "{}"),
}
_FILE_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9_]*$")
_FILE_NAMES = ("POSCAR", "CONTCAR")
_MAX_SITES = 1000
_WANTED = "a formula (La1.85Sr0.15CuO4), a file with a crystal, a pymatgen Structure or Composition"


@dataclass(frozen=True, eq=False, repr=False)
class ExperimentalTable(PlainTable):
    """A table of `SCHEMA` with a face.

    Attributes
    ----------
    model, model_sha256
        What predicted it.
    """

    model: str
    model_sha256: str
    headings = _HEADINGS


def experimental(what: Materials, *, model: str = DEFAULT_MODEL, files: bool = True) -> ExperimentalTable:
    """Predict what an experiment would find: does it superconduct, and at which measured Tc.

    The model has learned from reports in the literature, not from computed electron-phonon coupling. Its numbers are
    another quantity than those of `onnes.predict`, and it reads unconventional superconductors and doped compositions
    as well. The probability ranks: in training, superconductors weighed as much as compounds that no superconductivity
    is reported for.

    Parameters
    ----------
    what
        Formulas ("La1.85Sr0.15CuO4"), files or folders as in `onnes.crystals.readers.read_crystals` (partly occupied
        sites are welcome here), pymatgen Structures or Compositions; one, or many in any mixture. A string is a file when
        such a file exists or it looks like one (``x.cif``, ``POSCAR``, ``a/b``), otherwise a formula.
    model
        Shipped name or folder with weights.
    files
        False reads no file: every string is a formula, whatever it looks like. For strings that come from elsewhere.

    Returns
    -------
    ExperimentalTable
        Columns `SCHEMA`, in the order given: ``exp_superconductor_probability``; ``exp_tc_K`` if it superconducts, with a
        90 % interval ``exp_tc_lo_K`` to ``exp_tc_hi_K`` (kelvin); ``exp_family``, by rules on the composition;
        ``has_structure``, whether a crystal was read and used, not only its composition. What cannot be read becomes a
        row whose ``error`` names it.

    Raises
    ------
    ModelError
        For an unknown model, or weights of another kind.

    Examples
    --------
    >>> found = experimental(["La1.85Sr0.15CuO4", "Nb3Sn"])
    >>> found["exp_family"], found["has_structure"]
    (['cuprate', 'other'], [False, False])
    """
    loaded = load_experimental_model(model)
    many = isinstance(what, Iterable) and not (isinstance(what, str | Mapping) or _is_structure(what))
    items: list[Any] = list(what) if many else [what]
    rows = [row for number, item in enumerate(items) for row in _read(item, number, files=files)]
    rows = [_checked(row, loaded.variant) for row in rows]
    _predict(loaded, rows)
    table = pa.Table.from_pylist([{**row.columns, "error": row.error} for row in rows], schema=SCHEMA)
    return ExperimentalTable(table, model, loaded.sha256)


def materials_of(table: pa.Table) -> list[Any]:
    """Structures of n rows, partly occupied ones too; the formula of a row without coordinates."""
    from onnes.crystals.table import to_structures

    names = [
        full or reduced or ""
        for full, reduced in zip(values(table, "formula"), values(table, "reduced_formula"), strict=True)
    ]
    return [name if one is None else one for one, name in zip(to_structures(table), names, strict=True)]


# --- reading ---------------------------------------------------------------------------------------------------------


@dataclass
class _Row:
    """One material in the making: its columns, its composition and crystal, or what is wrong with it."""

    columns: dict[str, Any]
    composition: Composition | None = None
    structure: Structure | None = None
    structural: Any = None
    error: str | None = None


def _is_structure(item: object) -> bool:
    return hasattr(item, "lattice") and hasattr(item, "composition")


def _is_file(text: str) -> bool:
    name = re.split(r"[/\\]", text)[-1]
    looks = name != text or _FILE_SUFFIX.search(text) is not None or name.upper().startswith(_FILE_NAMES)
    return looks or os.path.isfile(text)  # noqa: PTH113 - false where the text cannot be a path, instead of an error


def _read(item: Any, number: int, *, files: bool) -> list[_Row]:
    if files and (isinstance(item, Path) or (isinstance(item, str) and _is_file(item))):
        return _read_file(item)
    if isinstance(item, str):
        return [_read_formula(item)]
    if _is_structure(item):
        return [_Row({"id": f"crystal-{number:05d}"}, item.composition, item)]
    if isinstance(item, Mapping):
        return [_read_amounts(item, f"composition-{number:05d}")]
    return [_Row({"id": f"item-{number:05d}"}, error=f"item {number} is of type {type(item).__name__}. Give {_WANTED}")]


def _read_formula(text: str) -> _Row:
    from pymatgen.core import Composition

    text = text.strip()
    row = _Row({"id": text, "formula": text})
    try:
        row.composition = Composition(text)
    except (ValueError, TypeError, KeyError) as error:
        row.error = f"{text!r} is no formula that can be read ({error}). Give {_WANTED}"
    return row


def _read_amounts(amounts: Mapping[Any, Any], name: str) -> _Row:
    from pymatgen.core import Composition

    row = _Row({"id": name})
    try:
        row.composition = Composition(dict(amounts))
    except (ValueError, TypeError, KeyError) as error:
        row.error = f"{name}, {dict(amounts)}, is no composition ({error}). Give {_WANTED}"
    return row


def _read_file(path: str | Path) -> list[_Row]:
    """Read the crystals of a file or folder; unlike elsewhere, partly occupied ones are no fault."""
    try:
        table = read_crystals([path], max_atoms=_MAX_SITES)
    except CrystalError as error:
        return [_Row({"id": Path(path).stem or str(path)}, error=str(error))]
    rows = []
    columns = (values(table, name) for name in ("id", "formula", "reduced_formula", "error"))
    for structure, name, formula, reduced, error in zip(to_structures(table), *columns, strict=True):
        row = _Row({"id": name, "formula": formula, "reduced_formula": reduced}, error=error)
        if structure is not None and (error is None or error.endswith(PARTLY_OCCUPIED)):
            row.composition, row.structure, row.error = structure.composition, structure, None
        rows.append(row)
    return rows


def _checked(row: _Row, variant: str) -> _Row:
    """Add formulas and descriptors; a composition that the model cannot read becomes an error."""
    name = row.columns["id"]
    try:
        if row.composition is not None:
            element_fractions([row.composition])
            plain = row.composition.element_composition
            row.columns.setdefault("formula", plain.formula.replace(" ", ""))
            row.columns.setdefault("reduced_formula", plain.reduced_formula)
        if row.structure is not None and variant == "structure":
            row.structural = structural_features([_crystal(row.structure)])[0]
    except ModelError as error:
        row.error = f"{name!r}: an element or amount that cannot be read ({error.__cause__ or error}). Give {_WANTED}"
    except Exception as error:  # noqa: BLE001 - the row boundary
        row.error = f"{name!r}: its structure cannot be described ({type(error).__name__}: {error}). Give its formula"
    return row


def _crystal(structure: Structure) -> tuple[Any, Any, list[dict[str, float]]]:
    """Lattice, fractional coordinates and occupants; species of one element on a site, such as Fe2+ and Fe3+, are added."""
    sites = [dict(site.species.element_composition.get_el_amt_dict()) for site in structure]
    return structure.lattice.matrix, structure.frac_coords, sites


# --- predicting ------------------------------------------------------------------------------------------------------


def _predict(model: ExperimentalModel, rows: list[_Row]) -> None:
    """Fill the columns of the rows without an error."""
    good = [row for row in rows if row.error is None]
    if not good:
        return
    missing = np.full(len(STRUCTURAL_NAMES), np.nan)
    structural = np.array([missing if row.structural is None else row.structural for row in good])
    compositions = [row.composition for row in good if row.composition is not None]
    found = model.predict(compositions, structural if model.variant == "structure" else None)
    known = np.asarray(np.isfinite(structural).all(1))
    for i, row in enumerate(good):
        row.columns |= {name: column[i] for name, column in found.items()} | {"has_structure": bool(known[i])}
