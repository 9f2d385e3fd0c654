"""The equivariant network of the `spectrum` model, and the graphs that it reads (torch and e3nn live only here).

A network of the kind that BETE-NET and BEE-NET use for alpha2F (arXiv:2401.16611),
made from the gated point convolutions of e3nn (Geiger and Smidt, arXiv:2207.09453).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase.data import atomic_masses
from e3nn import o3
from e3nn.math import soft_one_hot_linspace
from e3nn.nn import Gate
from e3nn.nn.models.gate_points_2101 import Compose, Convolution, smooth_cutoff, tp_path_exists

from onnes.crystals.neighbours import neighbour_edges
from onnes.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from onnes.crystals.batch import CrystalBatch

N_BINS = 51
"""Bins of the spectrum, and of the phonon density of states of each atom."""
CUTOFF_A = 4.0
_N_ELEMENTS = 118
_N_RADIAL = 10


@dataclass(frozen=True, eq=False)
class CrystalGraphs:
    """Atoms and edges of B crystals (N atoms, E edges in all), crystal after crystal.

    Attributes
    ----------
    numbers
        Atomic numbers, shape (N,).
    pairs
        Source and target of each edge, counted within its crystal, shape (2, E). Each atom has an edge to itself.
    vectors
        From source to target, shape (E, 3), angstrom.
    n_atoms, n_edges
        Of each crystal, shape (B,).
    site_phonon_dos
        Binned phonon density of states of each atom, shape (N, 51), or None.
    """

    numbers: Tensor
    pairs: Tensor
    vectors: Tensor
    n_atoms: Tensor
    n_edges: Tensor
    site_phonon_dos: Tensor | None = None

    @classmethod
    def of(
        cls,
        batch: CrystalBatch,
        site_phonon_dos: NDArray[np.floating] | None = None,
        *,
        cutoff_A: float = CUTOFF_A,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> CrystalGraphs:
        """Find the edges of a batch.

        Parameters
        ----------
        batch
            B crystals, N atoms in all.
        site_phonon_dos
            Shape (N, 51), see `CrystalGraphs`.
        cutoff_A
            Longest edge, angstrom.
        dtype, device
            Of the tensors.

        Raises
        ------
        ModelError
            When the densities of states do not fit the batch.
        """
        n = len(batch.atomic_numbers)
        if site_phonon_dos is not None and site_phonon_dos.shape != (n, N_BINS):
            raise ModelError(
                f"site_phonon_dos has the shape {site_phonon_dos.shape}, the batch needs ({n}, {N_BINS}): "
                f"{N_BINS} bins for each atom, in the order of the batch"
            )
        pairs, vectors, owners = neighbour_edges(batch, cutoff_A)
        selves = np.arange(n)
        owners = np.concatenate([owners, batch.owners])
        order = np.argsort(owners, kind="stable")
        owners = owners[order]
        pairs = np.concatenate([pairs, np.stack([selves, selves])], axis=1)[:, order] - batch.offsets[owners]
        vectors = np.concatenate([vectors, np.zeros((n, 3))])[order]
        dos = None if site_phonon_dos is None else torch.tensor(site_phonon_dos, dtype=dtype, device=device)
        return cls(
            torch.tensor(batch.atomic_numbers, device=device),
            torch.tensor(pairs, device=device),
            torch.tensor(vectors, dtype=dtype, device=device),
            torch.tensor(batch.n_atoms, device=device),
            torch.tensor(np.bincount(owners, minlength=len(batch)), device=device),
            dos,
        )

    def __len__(self) -> int:
        return len(self.n_atoms)

    @property
    def mean_neighbours(self) -> float:
        """Edges per atom, the edge to itself included: the normaliser of the convolutions."""
        return self.pairs.shape[1] / max(1, len(self.numbers))

    def select(self, rows: Tensor) -> CrystalGraphs:
        """Return the graphs of the given crystals, in that order; a row may come twice."""
        atoms, edges = _members(self.n_atoms, rows), _members(self.n_edges, rows)
        dos = None if self.site_phonon_dos is None else self.site_phonon_dos[atoms]
        return CrystalGraphs(
            self.numbers[atoms], self.pairs[:, edges], self.vectors[edges], self.n_atoms[rows], self.n_edges[rows], dos
        )

    def inputs(self) -> dict[str, Tensor | int | None]:
        """Arguments of `SpectrumNetwork.forward`."""
        firsts = self.n_atoms.cumsum(0) - self.n_atoms
        return {
            "numbers": self.numbers,
            "pairs": self.pairs + torch.repeat_interleave(firsts, self.n_edges),
            "vectors": self.vectors,
            "owners": torch.repeat_interleave(torch.arange(len(self), device=firsts.device), self.n_atoms),
            "n_crystals": len(self),
            "site_phonon_dos": self.site_phonon_dos,
        }


def _members(counts: Tensor, rows: Tensor) -> Tensor:
    """Places of the items that the given rows own, when each row owns a run of ``counts`` items."""
    starts, picked = (counts.cumsum(0) - counts)[rows], counts[rows]
    shift = starts - (picked.cumsum(0) - picked)
    return torch.repeat_interleave(shift, picked) + torch.arange(int(picked.sum()), device=counts.device)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Let e3nn make its coupling coefficients in the wanted precision; it knows only torch's default."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class SpectrumNetwork(torch.nn.Module):
    """Gated equivariant convolutions from a crystal to its binned alpha2F.

    Two inputs an atom, its one-hot element times its mass (amu) and the plain one-hot, pass one shared linear layer
    with ReLU. The first becomes the features, the second the attributes that every convolution reads. The output is
    ReLU per atom, then the mean over atoms: never negative, and the same for a supercell.

    Parameters
    ----------
    n_neighbours
        Mean number of edges of an atom in the training data (`CrystalGraphs.mean_neighbours`).
    mul
        Multiplicity of each representation of the hidden features.
    layers
        Gated convolutions before the last one.
    lmax
        Highest degree of spherical harmonics and hidden features: 1 in the published training, 3 in the published
        weights for screening.
    embedding
        Width of the embedded element.
    radial_neurons
        Hidden neurons of the radial network.
    cutoff_A
        Longest edge, angstrom.
    phonon_informed
        Whether the phonon density of states of each atom is an input: 51 more values beside the plain one-hot,
        51 ones beside the other.
    dtype
        Of parameters and buffers. Double precision makes the network exactly equivariant, at half the speed.
    """

    def __init__(
        self,
        *,
        n_neighbours: float,
        mul: int = 32,
        layers: int = 2,
        lmax: int = 1,
        embedding: int = 64,
        radial_neurons: int = 100,
        cutoff_A: float = CUTOFF_A,
        phonon_informed: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.masses: Tensor
        self.cutoff_A = cutoff_A
        self.phonon_informed = phonon_informed
        masses = torch.tensor(atomic_masses[1 : _N_ELEMENTS + 1], dtype=dtype)
        self.register_buffer("masses", masses, persistent=False)
        with _default_dtype(dtype):
            self.embedding = torch.nn.Linear(_N_ELEMENTS + (N_BINS if phonon_informed else 0), embedding)
            self.harmonics = o3.SphericalHarmonics(list(range(lmax + 1)), normalize=True, normalization="component")
            self.layers = _convolutions(
                embedding, mul, lmax, layers=layers, radial_neurons=radial_neurons, n_neighbours=n_neighbours
            )

    def forward(
        self,
        numbers: Tensor,
        pairs: Tensor,
        vectors: Tensor,
        owners: Tensor,
        n_crystals: int,
        site_phonon_dos: Tensor | None = None,
    ) -> Tensor:
        """Predict the spectra of B crystals.

        Parameters
        ----------
        numbers
            Atomic numbers, shape (N,).
        pairs
            Source and target atom of each edge, shape (2, E).
        vectors
            Shape (E, 3), angstrom.
        owners
            Crystal of each atom, shape (N,).
        n_crystals
            B.
        site_phonon_dos
            Shape (N, 51); needed exactly when the network is phonon-informed.

        Returns
        -------
        torch.Tensor
            alpha2F in 51 bins, shape (B, 51), dimensionless.
        """
        attributes = torch.nn.functional.one_hot(numbers - 1, _N_ELEMENTS).to(vectors.dtype)
        features = attributes * self.masses[numbers - 1, None]
        if site_phonon_dos is not None:
            features = torch.cat([features, torch.ones_like(site_phonon_dos)], dim=1)
            attributes = torch.cat([attributes, site_phonon_dos], dim=1)
        features, attributes = self.embedding(features).relu(), self.embedding(attributes).relu()
        lengths = vectors.norm(dim=1)
        radial = soft_one_hot_linspace(lengths, 0.0, self.cutoff_A, _N_RADIAL, basis="gaussian", cutoff=False)
        radial = radial * _N_RADIAL**0.5
        edges = smooth_cutoff(lengths / self.cutoff_A)[:, None] * self.harmonics(vectors)
        for layer in self.layers:
            features = layer(features, attributes, pairs[0], pairs[1], edges, radial)
        atoms = features.relu()
        total = atoms.new_zeros(n_crystals, N_BINS).index_add(0, owners, atoms)
        counts = atoms.new_zeros(n_crystals).index_add(0, owners, torch.ones_like(atoms[:, 0]))
        return total / counts[:, None]

    def parameter_arrays(self) -> dict[str, NDArray[np.floating]]:
        """Copies of the trained parameters by name; buffers follow from the arguments and are left out."""
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in self.named_parameters()}

    def set_parameters(self, arrays: Mapping[str, NDArray[np.floating]]) -> None:
        """Put parameters in place.

        Raises
        ------
        ModelError
            When names or shapes are not those of this network.
        """
        own = dict(self.named_parameters())
        if wrong := sorted(set(own) ^ set(arrays)):
            raise ModelError(
                f"parameters {', '.join(wrong[:3])} do not fit the network; the configuration is of another"
            )
        with torch.no_grad():
            for name, tensor in own.items():
                if tuple(tensor.shape) != arrays[name].shape:
                    raise ModelError(
                        f"parameter {name} has the shape {arrays[name].shape}, the network needs {tuple(tensor.shape)}; "
                        "the configuration is of another network"
                    )
                tensor.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))


def _convolutions(
    width: int, mul: int, lmax: int, *, layers: int, radial_neurons: int, n_neighbours: float
) -> torch.nn.ModuleList:
    """Gated convolutions that lead from embedded atoms to the bins; features and attributes start with one width."""
    attributes: Any = o3.Irreps(f"{width}x0e")
    hidden: list[tuple[int, Any]] = [
        (mul, o3.Irrep(degree, parity)) for degree in range(lmax + 1) for parity in (-1, 1)
    ]
    edges: Any = o3.Irreps.spherical_harmonics(lmax)
    irreps = attributes
    activations = {1: torch.nn.functional.silu, -1: torch.tanh}

    def convolution(irreps_in: Any, irreps_out: Any) -> Convolution:
        return Convolution(irreps_in, attributes, edges, irreps_out, _N_RADIAL, 1, radial_neurons, n_neighbours)

    result = torch.nn.ModuleList()
    for _ in range(layers):
        reached = [(mul, ir) for mul, ir in hidden if tp_path_exists(irreps, edges, ir)]
        scalars: Any = o3.Irreps([(mul, ir) for mul, ir in reached if ir.l == 0])
        gated: Any = o3.Irreps([(mul, ir) for mul, ir in reached if ir.l > 0])
        gates = o3.Irreps([(mul, "0e") for mul, _ in gated])  # reached from the first layer on, so never odd
        gate = Gate(scalars, [activations[ir.p] for _, ir in scalars], gates, [torch.sigmoid for _ in gates], gated)
        result.append(Compose(convolution(irreps, gate.irreps_in), gate))
        irreps = gate.irreps_out
    result.append(convolution(irreps, o3.Irreps(f"{N_BINS}x0e")))
    return result
