"""``CrystalBatch``: many crystals in packed arrays, the currency between tables and models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnes.errors import CrystalError

if TYPE_CHECKING:
    import pyarrow as pa
    from ase import Atoms
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CrystalBatch:
    """Packed arrays of B crystals with N atoms in all.

    Attributes
    ----------
    lattices
        Lattice vectors as rows, shape (B, 3, 3), angstrom. Everywhere in onnes a row is a vector.
    frac_coords
        Fractional coordinates, shape (N, 3).
    atomic_numbers
        Shape (N,).
    offsets
        Crystal ``i`` owns the atoms ``offsets[i]:offsets[i + 1]``; shape (B + 1,).

    Examples
    --------
    >>> import numpy as np
    >>> batch = CrystalBatch.of([(np.eye(3) * 4.05, np.zeros((1, 3)), [13])])
    >>> len(batch), batch.n_atoms.tolist(), batch.volumes.round(2).tolist()
    (1, [1], [66.43])
    """

    lattices: Floats
    frac_coords: Floats
    atomic_numbers: Ints
    offsets: Ints

    @classmethod
    def of(cls, crystals: Iterable[tuple[Floats, Floats, Sequence[int] | Ints]]) -> CrystalBatch:
        """Pack (lattice (3, 3), frac_coords (n, 3), atomic_numbers (n,)) triples."""
        rows = list(crystals)
        sizes = [len(numbers) for _, _, numbers in rows]
        if not rows:
            return cls(np.zeros((0, 3, 3)), np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros(1, np.int64))
        return cls(
            np.array([np.asarray(lattice, float).reshape(3, 3) for lattice, _, _ in rows]),
            np.concatenate([np.asarray(frac, float).reshape(-1, 3) for _, frac, _ in rows]),
            np.concatenate([np.asarray(numbers, np.int64) for _, _, numbers in rows]),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        )

    @classmethod
    def from_table(cls, table: pa.Table) -> CrystalBatch:
        """Read the geometry columns ``lattice``, ``frac_coords``, ``atomic_numbers`` of a crystal table."""
        lattices = table["lattice"].to_numpy()
        coords = table["frac_coords"].to_numpy()
        numbers = table["atomic_numbers"].to_numpy()
        return cls.of(zip(lattices, coords, numbers, strict=True))

    @classmethod
    def from_structures(cls, structures: Iterable[Structure]) -> CrystalBatch:
        """Pack ordered pymatgen structures; raises CrystalError on a partly occupied site."""
        rows: list[tuple[Floats, Floats, list[int]]] = []
        for structure in structures:
            if not structure.is_ordered:
                raise CrystalError(
                    f"{structure.composition.formula}: partly occupied sites cannot be packed; "
                    "make ordered cells first (onnes propose --method disorder)"
                )
            numbers = [int(site.specie.Z) for site in structure]  # pyright: ignore[reportAttributeAccessIssue]
            rows.append((structure.lattice.matrix, structure.frac_coords, numbers))
        return cls.of(rows)

    @classmethod
    def from_atoms(cls, atoms_list: Iterable[Atoms]) -> CrystalBatch:
        """Pack ASE atoms, which must be periodic in three directions."""
        rows: list[tuple[Floats, Floats, Ints]] = []
        for atoms in atoms_list:
            if not all(atoms.pbc):
                raise CrystalError(f"{atoms.get_chemical_formula()}: not periodic in three directions")
            frac = np.linalg.solve(atoms.cell.array.T, atoms.positions.T).T
            rows.append((atoms.cell.array, frac, atoms.numbers))
        return cls.of(rows)

    def __len__(self) -> int:
        return len(self.lattices)

    def __iter__(self) -> Iterator[tuple[Floats, Floats, Ints]]:
        for i in range(len(self)):
            yield self.crystal(i)

    def crystal(self, i: int) -> tuple[Floats, Floats, Ints]:
        """Lattice (3, 3), frac_coords (n, 3) and atomic_numbers (n,) of crystal ``i``."""
        atoms = slice(self.offsets[i], self.offsets[i + 1])
        return self.lattices[i], self.frac_coords[atoms], self.atomic_numbers[atoms]

    @property
    def n_atoms(self) -> Ints:
        """Atoms in each crystal, shape (B,)."""
        return np.diff(self.offsets)

    @property
    def volumes(self) -> Floats:
        """Cell volumes, shape (B,), cubic angstrom."""
        return np.abs(np.linalg.det(self.lattices))

    @property
    def owners(self) -> Ints:
        """Index of the crystal that each atom belongs to, shape (N,)."""
        return np.repeat(np.arange(len(self)), self.n_atoms)

    @property
    def positions(self) -> Floats:
        """Cartesian positions, shape (N, 3), angstrom."""
        return np.einsum("ni,nij->nj", self.frac_coords, self.lattices[self.owners])

    def select(self, indices: Sequence[int] | Ints) -> CrystalBatch:
        """Return the crystals of the given indices, in that order."""
        return CrystalBatch.of(self.crystal(int(i)) for i in indices)

    def to_structures(self) -> list[Structure]:
        """Convert to pymatgen structures."""
        from pymatgen.core import Lattice, Structure

        return [Structure(Lattice(lattice), numbers.tolist(), frac) for lattice, frac, numbers in self]

    def to_atoms(self) -> list[Atoms]:
        """Convert to ASE atoms, periodic in three directions."""
        from ase import Atoms

        return [
            Atoms(numbers=numbers, cell=lattice, scaled_positions=frac, pbc=True) for lattice, frac, numbers in self
        ]

    def batches(self, max_atoms: int, max_crystals: int) -> Iterator[Ints]:
        """Yield index arrays of batches with similar sizes, at most ``max_atoms`` atoms each.

        A crystal that is larger than ``max_atoms`` comes alone.
        """
        sizes = self.n_atoms
        chunk: list[int] = []
        total = 0
        for i in np.argsort(sizes, kind="stable"):
            if chunk and (total + sizes[i] > max_atoms or len(chunk) >= max_crystals):
                yield np.array(chunk)
                chunk, total = [], 0
            chunk.append(int(i))
            total += int(sizes[i])
        if chunk:
            yield np.array(chunk)
