"""Text of a file to crystals: CIF, POSCAR, extended XYZ, JSON; a fault is a CrystalError with cause and advice."""

from __future__ import annotations

import io
import json
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.optimade import crystal_objects, from_json
from onnes.crystals.parsed import Parsed, fractional
from onnes.crystals.symbols import atomic_number, atomic_numbers
from onnes.crystals.validation import MAX_ATOMS, MAX_OCCUPANCY
from onnes.errors import CrystalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymatgen.core import Structure

    # A parser yields a crystal or what is wrong with it, one for each crystal of the file.
    Outcome = Parsed | CrystalError
    Parser = Callable[[str, int], Iterator[Outcome]]

_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
_CELL_SETTING = ("_symmetry_cell_setting", "_space_group_crystal_system")
_POSCAR_ADVICE = "Compare it with the POSCAR format of VASP 5: comment, scale, 3 vectors, elements, counts, mode, atoms"
_POSCAR_LINES = 8
_CIF_ADVICE = "Export the CIF again, for example from VESTA"


def guarded(work: Callable[[], Parsed], what: str, advice: str) -> Outcome:
    """Run one parsing step; whatever the parsing library raises becomes a CrystalError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except CrystalError as error:
        return error
    except Exception as error:  # noqa: BLE001 - the row boundary
        text = " ".join(str(error).split())[:200]
        return CrystalError(f"{what} cannot be parsed ({type(error).__name__}: {text}). {advice}")


# --- CIF -------------------------------------------------------------------------------------------------------------


def parse_cif(text: str, max_atoms: int = MAX_ATOMS) -> Iterator[Outcome]:
    """Read every data block of a CIF that has atom sites.

    The cell as printed is kept. Sites that the file lists twice, or fills beyond 1, are an error.
    """
    blocks = [block for block in re.split(r"^\s*data_", text, flags=re.MULTILINE)[1:] if block.strip()]
    if not blocks:
        yield CrystalError("no data_ block, so this is not a CIF. Check the extension, or export the CIF again")
        return
    with_atoms = [block for block in blocks if "_atom_site_" in block] or blocks[:1]
    for block in with_atoms:
        yield guarded(lambda block=block: _cif_block("data_" + block, max_atoms), "the CIF", _CIF_ADVICE)


def _cif_block(text: str, max_atoms: int) -> Parsed:
    from pymatgen.io.cif import CifBlock, CifParser  # slow to import

    try:
        block = CifBlock.from_str(text)
    except (ValueError, ZeroDivisionError, IndexError) as error:
        raise CrystalError(f"a loop of the CIF is truncated ({error}). {_CIF_ADVICE}") from error
    _check_cell(block.data)
    operations = _check_sites(block.data, max_atoms)
    # Rounding to thirds helps where symmetry is applied, and only changes numbers where none is.
    tolerance = 1e-4 if operations > 1 else 0.0
    parser = CifParser.from_str(text, frac_tolerance=tolerance, check_cif=False)
    _check_expansion(block.data, parser.get_symops(block), max_atoms)
    try:
        structure = parser.parse_structures(primitive=False, on_error="raise")[0]
    except ValueError as error:
        if "exceeded tolerance" not in str(error):
            raise
        filled = re.findall(r"Occupancy ([0-9.]+)", str(error))
        raise CrystalError(
            f"two atoms on one site: occupancy {', '.join(filled)}. Remove the double site or share its occupancy"
        ) from error
    note = None
    if "_chemical_formula_sum" in block.data and (reason := parser.check(structure)):
        note = f"the CIF's formula and its sites differ: {' '.join(reason.split())[:200]}"
    return _from_structure(structure, note=note)


def _cif_number(value: Any) -> float:
    from pymatgen.io.cif import str2float  # slow to import

    if str(value).strip() in (".", "?"):
        raise ValueError(value)
    return str2float(value)


def _number_or_nan(value: Any) -> float:
    try:
        return _cif_number(value)
    except ValueError:
        return float("nan")


def _check_cell(data: dict[str, Any]) -> None:
    missing = [f"_cell_{name}" for name in _CELL if f"_cell_{name}" not in data]
    if missing and not any(key in data for key in _CELL_SETTING):
        raise CrystalError(f"no {missing[0]} in the CIF. Give all six cell parameters")
    for name in _CELL:
        raw = data.get(f"_cell_{name}", "1")
        value = _number_or_nan(raw)
        upper = 180.0 if name.startswith("angle") else 1e4
        if not 0.0 < value < upper:
            raise CrystalError(f"_cell_{name} is {raw}, not between 0 and {upper:g}. Correct the cell")


def _check_sites(data: dict[str, Any], max_atoms: int) -> int:
    """Check the listed sites; return the number of symmetry operations that the file lists."""
    columns = {key: data.get(f"_atom_site_{key}") for key in ("label", "fract_x", "fract_y", "fract_z")}
    for key, column in columns.items():
        if not isinstance(column, list) or not column:
            raise CrystalError(f"no _atom_site_{key} in the CIF. {_CIF_ADVICE}")
    if (count := len(columns["label"] or [])) > max_atoms:
        raise CrystalError(f"{count} sites, more than {max_atoms} atoms. Use the primitive cell or raise the limit")
    for label, *coordinates in zip(*(columns[key] or [] for key in columns), strict=True):
        if bad := [raw for raw in coordinates if not np.isfinite(_number_or_nan(raw))]:
            raise CrystalError(f"atom {label} has the coordinate {bad[0]}. Give three numbers for each atom")
    _check_symbols(data)
    for label, raw in zip(columns["label"] or [], data.get("_atom_site_occupancy") or [], strict=False):
        _check_occupancy(label, raw)
    return _count_operations(data)


def _count_operations(data: dict[str, Any]) -> int:
    for key in ("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"):
        if key in data:
            return len(data[key]) if isinstance(data[key], list) else 1
    groups = (data.get(key, "1") for key in ("_symmetry_Int_Tables_number", "_space_group_IT_number"))
    return 1 if all(str(group).strip() == "1" for group in groups) and not _names_a_group(data) else 2


def _names_a_group(data: dict[str, Any]) -> bool:
    names = (data.get(key, "P 1") for key in ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt"))
    return any(str(name).replace(" ", "") not in ("P1", "?", ".") for name in names)


def _check_occupancy(label: str, raw: str) -> None:
    if raw.strip() in (".", "?"):
        return
    # pymatgen would drop a site of occupancy zero or less without a word
    if not 0.0 < _number_or_nan(raw) <= MAX_OCCUPANCY:
        raise CrystalError(f"atom {label} has the occupancy {raw}. Give occupancies above 0 and at most 1")


def _check_symbols(data: dict[str, Any]) -> None:
    """Refuse what pymatgen would guess: an element that is none, such as Qq1."""
    if isinstance(data.get("_atom_site_type_symbol"), list):
        for token in data["_atom_site_type_symbol"]:
            if " + " not in token and _letters(token).title() not in atomic_numbers():
                raise CrystalError(f"unknown element {token!r}. Use real elements, Z from 1 to 103")
        return
    for token in data["_atom_site_label"]:
        letters = _letters(token)
        two, one = letters[:2].title(), letters[:1].upper()
        if two not in atomic_numbers() and (one not in atomic_numbers() or letters[1:2].islower()):
            raise CrystalError(f"unknown element {token!r}. Use real elements, Z from 1 to 103")


def _letters(token: str) -> str:
    match = re.match(r"[A-Za-z]+", token.strip())
    return match.group() if match else ""


def _check_expansion(data: dict[str, Any], symops: Any, max_atoms: int) -> None:
    """Count the atoms of the cell before pymatgen makes them, which takes minutes for tens of thousands."""
    sites = np.array(
        [[_cif_number(value) for value in data[f"_atom_site_fract_{axis}"]] for axis in "xyz"], dtype=float
    ).T
    rotations = np.array([op.rotation_matrix for op in symops])
    shifts = np.array([op.translation_vector for op in symops])
    images = np.einsum("oij,nj->noi", rotations, sites) + shifts
    coarse = np.round(images - np.floor(images), 2) % 1.0
    atoms = len(np.unique(coarse.reshape(-1, 3), axis=0))
    if atoms > max_atoms:
        raise CrystalError(f"{atoms} atoms, more than {max_atoms}. Use the primitive cell or raise the limit")


# --- POSCAR ----------------------------------------------------------------------------------------------------------


def parse_poscar(text: str, max_atoms: int = MAX_ATOMS) -> Iterator[Outcome]:
    """Read a POSCAR or CONTCAR; one without element names is an error, because they would be invented."""
    yield guarded(lambda: _poscar(text, max_atoms), "the POSCAR", _POSCAR_ADVICE)


def _poscar(text: str, max_atoms: int) -> Parsed:
    from pymatgen.io.vasp.inputs import BadPoscarWarning, Poscar  # slow to import

    lines = text.split("\n")
    if len(lines) < _POSCAR_LINES:
        raise CrystalError(f"only {len(lines)} lines, too few for a POSCAR. {_POSCAR_ADVICE}")
    for number in (3, 4, 5):
        words = lines[number - 1].split()[:3]
        if [_is_number(word) for word in words] != [True] * 3:
            raise CrystalError(f"line {number} of the POSCAR is no lattice vector. {_POSCAR_ADVICE}")
    declared = next((line.split() for line in lines[5:7] if line.split() and line.split()[0].isdigit()), [])
    count = sum(int(word) for word in declared if word.isdigit())
    if count > max_atoms:
        raise CrystalError(f"{count} atoms, more than {max_atoms}. Use the primitive cell or raise the limit")
    _check_poscar_length(lines, count)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BadPoscarWarning)
        structure = Poscar.from_str(text, read_velocities=False).structure
    if any("cannot be determined" in str(warning.message) for warning in caught):
        raise CrystalError("the POSCAR names no elements. Add the line with the elements before their counts")
    return _from_structure(structure)


def _check_poscar_length(lines: list[str], count: int) -> None:
    mode = next((k for k in range(6, len(lines)) if lines[k].strip()[:1] in ("d", "D", "c", "C", "k", "K")), None)
    if mode is None:
        return
    following = lines[mode + 1 :]
    atoms = next((k for k, line in enumerate(following) if not line.strip()), len(following))
    extra = following[count:atoms]
    if atoms < count:
        raise CrystalError(f"{atoms} coordinate lines for {count} atoms. {_POSCAR_ADVICE}")
    if extra and not extra[0].strip().lower().startswith("l"):
        raise CrystalError(f"{atoms} coordinate lines for {count} atoms. {_POSCAR_ADVICE}")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


# --- extended XYZ ----------------------------------------------------------------------------------------------------


def parse_extxyz(text: str, max_atoms: int = MAX_ATOMS) -> Iterator[Outcome]:
    """Read all frames; a bad frame spoils only itself, a bad atom count the rest of the file."""
    lines = text.splitlines()
    start = 0
    while start < len(lines) and any(line.strip() for line in lines[start:]):
        head = lines[start].strip()
        if not head.isdigit():
            yield CrystalError(f"line {start + 1} is {head[:40]!r} instead of a number of atoms. Write the file again")
            return
        count = int(head)
        frame = lines[start : start + count + 2]
        if len(frame) < count + 2:
            yield CrystalError(
                f"{max(len(frame) - 2, 0)} atom lines for {count} atoms. The file is cut off: copy it again"
            )
            return
        start += count + 2
        if count > max_atoms:
            yield CrystalError(f"{count} atoms, more than {max_atoms}. Use the primitive cell or raise the limit")
            continue
        yield guarded(lambda frame=frame: _frame(frame), "the frame", "Write extended XYZ with Lattice and Properties")


def _frame(lines: list[str]) -> Parsed:
    from ase.io.extxyz import read_xyz  # slow to import

    if "lattice=" not in lines[1].lower():
        raise CrystalError('no Lattice in the comment line. Write extended XYZ with Lattice="ax ay az bx ..."')
    atoms_lines = [re.sub(r"^(\s*)[DT](\s)", r"\1H\2", line) for line in lines[2:]]
    for line in atoms_lines:
        word = (line.split() or ["?"])[0]
        if word.isalpha():
            atomic_number(word)
    (atoms,) = read_xyz(io.StringIO("\n".join([*lines[:2], *atoms_lines]) + "\n"), index=0)
    if not all(atoms.pbc):
        raise CrystalError('not periodic in three directions. Give pbc="T T T" and a bulk crystal')
    cell = atoms.cell.array
    frac = fractional(cell, atoms.positions)
    name = atoms.info.get("id")
    return Parsed(cell, frac, np.asarray(atoms.numbers, dtype=np.int64), name=None if name is None else str(name))


# --- JSON ------------------------------------------------------------------------------------------------------------


def parse_json(text: str, max_atoms: int = MAX_ATOMS) -> Iterator[Outcome]:  # noqa: ARG001 - the size is validated later
    """Read pymatgen structures or an OPTIMADE response."""
    yield from _json_document(text)


def parse_jsonl(text: str, max_atoms: int = MAX_ATOMS) -> Iterator[Outcome]:  # noqa: ARG001 - the size is validated later
    """Read one JSON object a line; a bad line spoils only itself."""
    for line in text.splitlines():
        if line.strip():
            yield from _json_document(line)


def _json_document(text: str) -> Iterator[Outcome]:
    try:
        items = list(crystal_objects(json.loads(text)))
    except (ValueError, RecursionError) as error:
        yield CrystalError(f"no valid JSON ({str(error)[:120]}). Write the file again")
        return
    except CrystalError as error:
        yield error
        return
    for item in items:
        yield guarded(lambda item=item: from_json(item), "the JSON object", "Write the file again")


def _from_structure(structure: Structure, note: str | None = None) -> Parsed:
    sites = [
        sorted((atomic_number(species.symbol), float(share)) for species, share in site.species.items())
        for site in structure
    ]
    return Parsed.of_sites(structure.lattice.matrix, np.asarray(structure.frac_coords), sites, note=note)
