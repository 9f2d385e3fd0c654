"""SevenNet (package ``sevenn``), the default potential: weights inside the wheel, conservative forces."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

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

# The 128 scalars that the energy readout sees, after the last message-passing layer.
_FEATURE_MODULE = "4_equivariant_gate"
_FORCE_MODULE = "force_output"


class SevenNet:
    """SevenNet-0 or its slower, more accurate sibling l3i5 (Park et al., J. Chem. Theory Comput. 20, 4857 (2024)).

    Energies are raw PBE(+U) of the MPtrj data set, without Materials Project corrections.
    """

    energy_scheme = "MPtrj PBE(+U), uncorrected"
    n_features = 128

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
        self.cutoff_A = float(model.cutoff)
        self.elements = frozenset(int(z) for z in model.type_map)

    def evaluate(self, batch: CrystalBatch, *, forces: bool = True, features: bool = False) -> Evaluation:
        """Evaluate a batch; see `onnes.potentials.potential.Evaluation` for shapes and units."""
        data = self._graph(batch)
        hidden = None
        with torch.enable_grad() if forces else torch.no_grad():
            if forces:
                data[key.EDGE_VEC].requires_grad_(True)
            data[key.NODE_FEATURE] = self._model._atomic_numbers_to_onehot(data[key.ATOMIC_NUMBERS])
            for name, module in self._model.named_children():
                if name == _FORCE_MODULE and not forces:
                    continue
                data = module(data)
                if name == _FEATURE_MODULE and features:
                    hidden = data[key.NODE_FEATURE].detach().cpu().numpy()
        energies = data[key.PRED_TOTAL_ENERGY].detach().cpu().numpy().astype(float).reshape(-1)
        if not forces:
            return Evaluation(energies, features=hidden)
        return Evaluation(
            energies,
            data[key.PRED_FORCE].detach().cpu().numpy().astype(float),
            _full_stress(data[key.PRED_STRESS].detach().cpu().numpy().astype(float)),
            hidden,
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


def _full_stress(stress: np.ndarray) -> np.ndarray:
    """SevenNet's (xx, yy, zz, xy, yz, zx), compression positive, to ASE's sign and full tensors (B, 3, 3)."""
    xx, yy, zz, xy, yz, zx = -stress.T
    return np.stack([xx, xy, zx, xy, yy, yz, zx, yz, zz], axis=1).reshape(-1, 3, 3)
