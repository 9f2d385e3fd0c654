"""CHGNet (package ``chgnet``): magnetic moments and a second set of features; never a judge of phonons."""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.units import GPa

from onnes.errors import CrystalError
from onnes.potentials.devices import torch_device
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.potential import Evaluation

if TYPE_CHECKING:
    from onnes.crystals.batch import CrystalBatch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from chgnet.model.model import CHGNet as _CHGNet


class CHGNet:
    """CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5, 1031 (2023)).

    Energies behave like MP2020-corrected PBE(+U). Features are the atom features before the last convolution.
    """

    energy_scheme = "MPtrj PBE(+U), MP2020-corrected"
    n_features = 64
    elements = frozenset(range(1, 95))

    def __init__(self, name: str = "chgnet", *, device: str = "cpu") -> None:
        self.name = name
        self.device = device
        self.sha256 = potential_sha256(name)
        self._device = torch_device(device)
        # chgnet prints a greeting to standard output, which belongs to our own results.
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            self._model = _CHGNet.load(use_device=device, verbose=False).eval()
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)

    def evaluate(self, batch: CrystalBatch, *, forces: bool = True, features: bool = False) -> Evaluation:
        """Evaluate a batch; magnetic moments always come along."""
        converter = self._model.graph_converter
        if converter is None:  # only when the model was built without one
            raise CrystalError("this CHGNet has no graph converter")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graphs = [converter(structure).to(self._device) for structure in batch.to_structures()]
        with torch.enable_grad() if forces else torch.no_grad():
            out = self._model(graphs, task="efsm" if forces else "em", return_atom_feas=features)
        energies = out["e"].detach().cpu().numpy().astype(float).reshape(-1) * batch.n_atoms
        moments = torch.cat(list(out["m"])).detach().cpu().numpy().astype(float)
        hidden = torch.cat(list(out["atom_fea"])).detach().cpu().numpy() if features else None
        if not forces:
            return Evaluation(energies, features=hidden, magmoms_muB=moments)
        return Evaluation(
            energies,
            torch.cat(list(out["f"])).detach().cpu().numpy().astype(float),
            np.stack([s.detach().cpu().numpy() for s in out["s"]]).astype(float) * GPa,
            hidden,
            moments,
        )
