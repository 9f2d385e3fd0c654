"""The `spectrum` model: an ensemble of equivariant networks that predict alpha2F, and from it lambda, omega and Tc.

No weights of it are shipped, since no large open set of alpha2F exists; `onnes.training.spectrum` trains it on
spectra of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import ModelError
from onnes.models.weights import load_weights, save_weights
from onnes.physics.allen_dynes import MU_STAR, MU_STAR_HIGH, allen_dynes_tc_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, Moments, binned_moments

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from onnes.crystals.batch import CrystalBatch
    from onnes.models.spectrum_network import SpectrumNetwork

    Floats = NDArray[np.float64]

KIND = "spectrum"
N_BINS = 51
"""Bins of a predicted spectrum: the first 51 of `onnes.physics.spectra.ALPHA2F_GRID_MEV`, up to 100.25 meV."""
MAX_ATOMS_A_PASS = 256


@dataclass(frozen=True, eq=False)
class SpectrumModel:
    """An ensemble of M networks of one kind.

    Attributes
    ----------
    network
        Arguments of `onnes.models.spectrum_network.SpectrumNetwork`, without the dtype.
    members
        Parameters of all members, stacked: for each name an array of shape (M, ...). Their dtype is that of the
        network.
    elements
        Atomic numbers of the training crystals; others are read as noise.
    max_atoms
        Atoms of the largest training crystal.
    config
        What else the configuration file says: settings, rows, scores.
    name, sha256
        Where the model came from; empty for one that was never stored.
    """

    network: Mapping[str, Any]
    members: Mapping[str, NDArray[np.floating]]
    elements: frozenset[int]
    max_atoms: int
    config: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    sha256: str = ""

    @property
    def n_members(self) -> int:
        """Number of networks M."""
        return len(next(iter(self.members.values())))

    @property
    def phonon_informed(self) -> bool:
        """Whether predictions need the phonon density of states of each atom."""
        return bool(self.network.get("phonon_informed", False))

    @cached_property
    def _built(self) -> SpectrumNetwork:
        """One network; the members take turns in it, since e3nn needs a second to build one."""
        import torch

        from onnes.models.spectrum_network import SpectrumNetwork

        double = next(iter(self.members.values())).dtype == np.float64
        try:
            return SpectrumNetwork(**self.network, dtype=torch.float64 if double else torch.float32).eval()
        except TypeError as error:
            raise ModelError(f"the configuration does not describe a spectrum network: {error}") from error

    def member_spectra(
        self, batch: CrystalBatch, site_phonon_dos: NDArray[np.floating] | None = None, *, device: str = "cpu"
    ) -> Floats:
        """Predict with every member.

        Parameters
        ----------
        batch
            B crystals, N atoms in all.
        site_phonon_dos
            Binned phonon density of states of each atom, shape (N, 51), by the same binning as in training;
            needed exactly when the model is phonon-informed.
        device
            ``cpu`` or ``cuda``.

        Returns
        -------
        numpy.ndarray
            alpha2F, shape (M, B, 51).

        Raises
        ------
        ModelError
            When densities of states are missing, superfluous or of a wrong shape.
        """
        import torch

        from onnes.models.spectrum_network import CrystalGraphs

        if self.phonon_informed != (site_phonon_dos is not None):
            raise ModelError(
                "this model is phonon-informed: give site_phonon_dos, 51 values for each atom"
                if self.phonon_informed
                else "this model knows no phonons: leave site_phonon_dos out, or load a phonon-informed model"
            )
        network = self._built.to(device)
        dtype = next(network.parameters()).dtype
        cutoff = {"cutoff_A": self.network["cutoff_A"]} if "cutoff_A" in self.network else {}
        graphs = CrystalGraphs.of(batch, site_phonon_dos, dtype=dtype, device=device, **cutoff)
        chunks = [torch.from_numpy(rows).to(device) for rows in batch.batches(MAX_ATOMS_A_PASS, MAX_ATOMS_A_PASS)]
        inputs = [(rows, graphs.select(rows).inputs()) for rows in chunks]
        out = np.zeros((self.n_members, len(batch), N_BINS))
        for member in range(self.n_members):
            network.set_parameters({name: stack[member] for name, stack in self.members.items()})
            with torch.no_grad():
                for rows, arguments in inputs:
                    out[member, rows.cpu().numpy()] = network(**arguments).double().cpu().numpy()
        return out

    def predict(
        self, batch: CrystalBatch, site_phonon_dos: NDArray[np.floating] | None = None, *, device: str = "cpu"
    ) -> dict[str, Floats]:
        """Predict spectra, and the columns of the crystal table that follow from them.

        Lambda, the frequencies and Tc are those of the mean spectrum, not means over the members.

        Parameters
        ----------
        batch, site_phonon_dos, device
            As in `member_spectra`.

        Returns
        -------
        dict
            ``alpha2f`` and ``alpha2f_std`` of shape (B, 51); ``lambda_``, ``omega_log_K``, ``omega2_K``, ``mu_star``,
            ``tc_K`` (Allen-Dynes with f1 and f2, mu* = 0.10), ``tc_mu016_K``, and ``lambda_std``, ``omega_log_K_std``,
            ``omega2_K_std``, ``tc_K_std`` over the members, all of shape (B,). The frequencies are NaN where the
            spectrum is zero everywhere; Tc is 0 there.
        """
        return ensemble_columns(self.member_spectra(batch, site_phonon_dos, device=device))

    @property
    def configuration(self) -> dict[str, Any]:
        """What `save` writes beside the tensors, without their sha256."""
        config = {
            **self.config,
            "kind": KIND,
            "network": dict(self.network),
            "members": self.n_members,
            "elements": sorted(self.elements),
            "max_atoms": self.max_atoms,
            "bins_meV": [float(ALPHA2F_GRID_MEV[0]), float(ALPHA2F_GRID_MEV[N_BINS - 1])],
        }
        config.pop("sha256", None)
        return config

    def save(self, folder: str | Path, *, card: str = "") -> Path:
        """Write the folder of weights that `load_spectrum_model` reads: safetensors, JSON and a model card.

        Parameters
        ----------
        folder
            Made when missing.
        card
            Text of the model card; a short one is written by default.

        Returns
        -------
        pathlib.Path
            The folder.
        """
        config = self.configuration
        tensors = {name: np.ascontiguousarray(stack) for name, stack in self.members.items()}
        return save_weights(folder, tensors, config, card or _card(config))


def load_spectrum_model(folder: str | Path) -> SpectrumModel:
    """Load a model from its folder.

    Raises
    ------
    ModelError
        When there is none, its tensors are not those that the configuration names, or it is of another kind.
    """
    weights = load_weights(str(folder))
    config = dict(weights.config)
    if config.get("kind") != KIND:
        raise ModelError(
            f"{folder}: a model of kind {config.get('kind')!r}, not {KIND!r}; give a folder of spectra weights"
        )
    sizes = {len(stack) for stack in weights.tensors.values()}
    if sizes != {config["members"]} or 0 in sizes:
        raise ModelError(
            f"{folder}: the tensors do not hold {config['members']} members; train or copy the model again"
        )
    return SpectrumModel(
        config["network"],
        weights.tensors,
        frozenset(config["elements"]),
        config["max_atoms"],
        config,
        weights.name,
        weights.sha256,
    )


def ensemble_columns(spectra: Floats) -> dict[str, Floats]:
    """Turn the members' spectra, shape (M, B, 51), into the columns that `SpectrumModel.predict` returns."""
    mean = spectra.mean(0)
    moments, each = binned_moments(mean), binned_moments(spectra)
    return {
        "alpha2f": mean,
        "alpha2f_std": spectra.std(0),
        "lambda_": moments.lambda_,
        "lambda_std": each.lambda_.std(0),
        "omega_log_K": moments.omega_log_K,
        "omega_log_K_std": _std_of_known(each.omega_log_K),
        "omega2_K": moments.omega2_K,
        "omega2_K_std": _std_of_known(each.omega2_K),
        "mu_star": np.full(len(mean), MU_STAR),
        "tc_K": moments_tc_K(moments),
        "tc_K_std": moments_tc_K(each).std(0),
        "tc_mu016_K": moments_tc_K(moments, mu_star=MU_STAR_HIGH),
    }


def moments_tc_K(moments: Moments, *, mu_star: float = MU_STAR) -> Floats:
    """Allen-Dynes Tc (K) with f1 and f2, 0 where the spectrum is zero; the shape of the moments.

    Examples
    --------
    >>> moments_tc_K(Moments(np.array([1.0, 0.0]), np.array([300.0, np.nan]), np.array([360.0, np.nan]))).round(3).tolist()
    [22.272, 0.0]
    """
    tc = allen_dynes_tc_K(moments.lambda_, moments.omega_log_K, moments.omega2_K, mu_star=mu_star)
    return np.where(moments.lambda_ == 0, 0.0, tc)


def _std_of_known(values: Floats) -> Floats:
    """Spread over the members that have a value, shape (M, B) to (B,); NaN where none has."""
    known = np.isfinite(values)
    n = known.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0).sum(0) / n
        return np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(0) / n)


def _card(config: Mapping[str, Any]) -> str:
    return f"""# spectrum: alpha2F from the crystal structure

* **What**: {config["members"]} equivariant networks; 51 bins of 2 meV up to {config["bins_meV"][1]} meV; lambda, omega_log,
  omega2 and Tc of the mean spectrum (mu* = {MU_STAR:.2f}).
* **Inputs**: the crystal{" and the phonon density of states of each atom" if config["network"].get("phonon_informed") else ""}.
* **Limits**: ambient pressure, conventional superconductors, phonons below 100 meV (no hydrides), up to
  {config["max_atoms"]} atoms, {len(config["elements"])} elements.
* **Training**: {config.get("training_rows", "unknown number of")} crystals; settings in the configuration.
"""
