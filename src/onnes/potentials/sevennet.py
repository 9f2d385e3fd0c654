"""SevenNet (package ``sevenn``), the default potential: weights inside the wheel, conservative forces."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from e3nn.o3 import Irreps

from onnes.crystals.neighbours import neighbour_edges
from onnes.potentials.devices import torch_device
from onnes.potentials.fingerprints import potential_sha256, weights_file
from onnes.potentials.potential import Evaluation

if TYPE_CHECKING:
    from onnes.crystals.batch import CrystalBatch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sevenn._keys as key
    from sevenn.util import load_checkpoint

# After each message-passing layer comes a gate; what it lets through describes the atom at that range.
_GATE = "equivariant_gate"
_FORCE_MODULE = "force_output"


class SevenNet:
    """SevenNet-0 or its slower, more accurate sibling l3i5 (Park et al., J. Chem. Theory Comput. 20, 4857 (2024)).

    Energies are raw PBE(+U) of the MPtrj data set, without Materials Project corrections. Features of an atom are the
    scalars after every message-passing layer and the lengths of its vectors and higher tensors there, so that they do
    not change when the crystal is turned.
    """

    energy_scheme = "MPtrj PBE(+U), uncorrected"

    def __init__(self, name: str = "sevennet-0", *, device: str = "cpu") -> None:
        self.name = name
        self.device = device
        self.sha256 = potential_sha256(name)
        self._device = torch_device(device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: Any = load_checkpoint(str(weights_file(name))).build_model()
        model.set_is_batch_data(True)
        self._model = model.to(self._device).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        self._layers = {
            name: [(mul, ir.dim) for mul, ir in Irreps(module.gate.irreps_out)]
            for name, module in model.named_children()
            if name.endswith(_GATE)
        }
        self.n_features = sum(mul for blocks in self._layers.values() for mul, _ in blocks)
        self.cutoff_A = float(model.cutoff)
        self.elements = frozenset(int(z) for z in model.type_map)

    def evaluate(self, batch: CrystalBatch, *, forces: bool = True, features: bool = False) -> Evaluation:
        """Evaluate a batch; see `onnes.potentials.potential.Evaluation` for shapes and units."""
        data = self._graph(batch)
        hidden: list[torch.Tensor] = []
        with torch.enable_grad() if forces else torch.no_grad():
            if forces:
                data[key.EDGE_VEC].requires_grad_(True)
            data[key.NODE_FEATURE] = self._model._atomic_numbers_to_onehot(data[key.ATOMIC_NUMBERS])
            for name, module in self._model.named_children():
                if name == _FORCE_MODULE and not forces:
                    continue
                data = module(data)
                if features and name in self._layers:
                    hidden += _invariants(data[key.NODE_FEATURE].detach(), self._layers[name])
        energies = data[key.PRED_TOTAL_ENERGY].detach().cpu().numpy().astype(float).reshape(-1)
        found = torch.cat(hidden, dim=1).cpu().numpy() if features else None
        if not forces:
            return Evaluation(energies, features=found)
        return Evaluation(
            energies,
            data[key.PRED_FORCE].detach().cpu().numpy().astype(float),
            _full_stress(data[key.PRED_STRESS].detach().cpu().numpy().astype(float)),
            found,
        )

    def _graph(self, batch: CrystalBatch) -> dict[str, torch.Tensor]:
        pairs, vectors, _ = neighbour_edges(batch, self.cutoff_A)

        def on_device(array: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
            return torch.as_tensor(array).to(self._device, dtype)

        return {
            key.ATOMIC_NUMBERS: on_device(batch.atomic_numbers, torch.int64),
            key.POS: on_device(batch.positions),
            key.EDGE_IDX: on_device(pairs, torch.int64),
            key.EDGE_VEC: on_device(vectors),
            key.CELL_VOLUME: on_device(batch.volumes),
            key.NUM_ATOMS: on_device(batch.n_atoms, torch.int64),
            key.BATCH: on_device(batch.owners, torch.int64),
        }


def _invariants(x: torch.Tensor, blocks: list[tuple[int, int]]) -> list[torch.Tensor]:
    """Scalars as they are, tensors by their length: one (N, mul) block for each (mul, dimension)."""
    found, start = [], 0
    for mul, dim in blocks:
        part = x[:, start : start + mul * dim].reshape(len(x), mul, dim)
        found.append(part[:, :, 0] if dim == 1 else part.norm(dim=-1))
        start += mul * dim
    return found


def _full_stress(stress: np.ndarray) -> np.ndarray:
    """SevenNet's (xx, yy, zz, xy, yz, zx), compression positive, to ASE's sign and full tensors (B, 3, 3)."""
    xx, yy, zz, xy, yz, zx = -stress.T
    return np.stack([xx, xy, zx, xy, yy, yz, zx, yz, zz], axis=1).reshape(-1, 3, 3)
