"""What `pw.x` found, read from the XML file that it leaves beside the charge density."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.constants import physical_constants

from onnes.crystals.symbols import atomic_number
from onnes.errors import VerificationError

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

XML = "data-file-schema.xml"
HARTREE_EV = physical_constants["Hartree energy in eV"][0]
BOHR_A = physical_constants["Bohr radius"][0] * 1e10
_HARTREE_PER_BOHR3_GPA = physical_constants["atomic unit of energy"][0] / (BOHR_A * 1e-10) ** 3 * 1e-9


@dataclass(frozen=True, eq=False)
class PwResult:
    """Result of one `pw.x` run.

    Attributes
    ----------
    lattice, frac_coords, atomic_numbers
        The cell: shapes (3, 3) in Å, (n, 3), (n,).
    energy_eV
        Total energy of the cell; None for a run that is not self-consistent.
    pressure_GPa
        Minus a third of the trace of the stress; None where it was not computed.
    n_electrons
        Of the cell, without the cores.
    eigenvalues_eV, weights
        Shapes (k, b) and (k,); the weights add up to 1.
    """

    lattice: Floats
    frac_coords: Floats
    atomic_numbers: NDArray[np.int64]
    energy_eV: float | None
    pressure_GPa: float | None
    n_electrons: float
    fermi_eV: float | None
    eigenvalues_eV: Floats
    weights: Floats

    @property
    def atoms(self) -> Atoms:
        """The cell as ASE knows it."""
        from ase import Atoms

        return Atoms(numbers=self.atomic_numbers, cell=self.lattice, scaled_positions=self.frac_coords, pbc=True)


def read_pw(path: Path, *, self_consistent: bool = True) -> PwResult:
    """Read the XML file of a run.

    Parameters
    ----------
    path
        ``data-file-schema.xml``.
    self_consistent
        Whether the density must have converged in this very run.

    Raises
    ------
    VerificationError
        When the file is missing or cut off, or the density has not converged.
    """
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - written by the program that we started
        output = _child(root, "output")
        converged = output.findtext("convergence_info/scf_conv/convergence_achieved", "false").strip() == "true"
        if self_consistent and not converged:
            raise VerificationError(f"{path.name}: the charge density has not converged")
        return _result(output, self_consistent=self_consistent)
    except FileNotFoundError as error:
        raise VerificationError(f"{path.name} is missing: the program left no result") from error
    except (ET.ParseError, ValueError, AttributeError) as error:
        raise VerificationError(f"{path.name} is not whole: {error}") from error


def _child(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path)
    if found is None:
        raise ValueError(f"there is no {path}")
    return found


def _numbers(element: ET.Element, path: str) -> Floats:
    return np.array(_child(element, path).text.split(), float)  # pyright: ignore[reportOptionalMemberAccess]


def _result(output: ET.Element, *, self_consistent: bool) -> PwResult:
    cell = BOHR_A * np.array([_numbers(output, f"atomic_structure/cell/a{i}") for i in (1, 2, 3)])
    atoms = output.findall("atomic_structure/atomic_positions/atom")
    positions = BOHR_A * np.array([(atom.text or "").split() for atom in atoms], float)
    bands = _child(output, "band_structure")
    points = bands.findall("ks_energies")
    weights = np.array([float(_child(point, "k_point").get("weight", "nan")) for point in points])
    stress = output.find("stress")
    fermi = bands.findtext("fermi_energy")
    return PwResult(
        lattice=cell,
        frac_coords=np.asarray(np.linalg.solve(cell.T, positions.T).T % 1.0, np.float64),
        atomic_numbers=np.array([atomic_number(atom.get("name", "")) for atom in atoms]),
        energy_eV=HARTREE_EV * float(_numbers(output, "total_energy/etot")[0]) if self_consistent else None,
        pressure_GPa=None if stress is None else -_HARTREE_PER_BOHR3_GPA * _trace_third(stress),
        n_electrons=float(_numbers(bands, "nelec")[0]),
        fermi_eV=None if fermi is None else HARTREE_EV * float(fermi),
        eigenvalues_eV=HARTREE_EV * np.array([_numbers(point, "eigenvalues") for point in points]),
        weights=weights / weights.sum(),
    )


def _trace_third(stress: ET.Element) -> float:
    return float(np.trace(np.array((stress.text or "").split(), float).reshape(3, 3))) / 3
