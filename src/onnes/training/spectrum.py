"""Training of the `spectrum` model on alpha2F spectra of one's own: settings, bootstrap ensemble, scores.

The recipe is that of BETE-NET (arXiv:2401.16611) and BEE-NET; their three-stage stopping ("tempering") is left out, as
BEE-NET found it of no use with thousands of crystals.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from onnes.errors import ConfigError, ModelError
from onnes.models.spectrum import SpectrumModel, moments_tc_K
from onnes.physics.spectra import binned_moments
from onnes.physics.spectral_shape import overlap
from onnes.training.spectrum_losses import LOSSES, smoothness_penalty

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from onnes.models.spectrum_network import CrystalGraphs, SpectrumNetwork
    from onnes.training.spectrum_data import SpectraData

    Floats = NDArray[np.float64]


class SpectrumSettings(BaseModel):
    """Settings of the network and its training; the defaults are the published ones, but for the number of members."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: int = Field(default=10, ge=1, description="networks in the ensemble; 100 in the publications")
    mul: int = Field(default=32, ge=1, description="multiplicity of each representation")
    layers: int = Field(default=2, ge=1, description="gated convolutions before the last one")
    lmax: int = Field(default=1, ge=0, le=6, description="highest degree; 3 in the published weights for screening")
    embedding: int = Field(default=64, ge=1, description="width of the embedded elements")
    radial_neurons: int = Field(default=100, ge=1, description="hidden neurons of the radial network")
    dtype: Literal["float32", "float64"] = "float32"
    loss: Literal["mse", "wmse", "emd"] = Field(default="emd", description="emd is best for Tc, mse rejects best")
    smoothness: float = Field(default=0.0, ge=0, description="weight of the second differences of the prediction")
    epochs: int = Field(default=300, ge=1, description="at most")
    batch_size: int = Field(default=512, ge=1)
    learning_rate: float = Field(default=0.005, gt=0, description="of AdamW, constant")
    weight_decay: float = Field(default=1e-7, ge=0)
    patience: int = Field(default=15, ge=1, description="epochs without a better validation loss before stopping")
    phonon_informed: bool = Field(default=False, description="read the phonon density of states of each atom")
    seed: int = Field(default=0, ge=0)


DEFAULTS = SpectrumSettings()


def bootstrap_rows(
    groups: NDArray[np.integer], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw as many composition groups as there are, with replacement.

    Parameters
    ----------
    groups
        Group of each row, shape (P,).
    rng
        Source of chance.

    Returns
    -------
    training
        Rows of the groups that were drawn, once for each draw.
    validation
        Rows of the groups that were not, about 37 %. Of a single group there is none left.
    """
    keys, places = np.unique(groups, return_inverse=True)
    draws = np.bincount(rng.integers(len(keys), size=len(keys)), minlength=len(keys))[places]
    return np.repeat(np.arange(len(groups)), draws), np.flatnonzero(draws == 0)


def fit_spectrum(
    data: SpectraData,
    rows: NDArray[np.bool_],
    settings: SpectrumSettings = DEFAULTS,
    *,
    on_epoch: Callable[[int, int, float], None] | None = None,
    checkpoint: str | Path | None = None,
    device: str = "cpu",
) -> SpectrumModel:
    """Train an ensemble.

    Each member sees a bootstrap sample of the formulas; the formulas left out are its validation set, stop its training
    and choose the epoch that is kept.

    Parameters
    ----------
    data
        P crystals.
    rows
        Those to train on, shape (P,).
    settings
        Of network and training; the seed fixes everything (on ``cpu``).
    on_epoch
        Called with member, epoch and validation loss after every epoch.
    checkpoint
        Folder in which each finished member is kept. With the same folder, data and settings (``members`` may grow)
        finished members are read instead of trained.
    device
        ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        When there is too little to train on, phonons are missing, or the folder belongs to another training.
    ModelError
        When a loss is not finite.
    """
    import torch

    from onnes.models.spectrum_network import CrystalGraphs

    torch.set_num_threads(1)
    chosen = data.select(np.asarray(rows, bool))
    groups = chosen.groups
    if len(np.unique(groups)) < 2:
        raise ConfigError(f"{len(np.unique(groups))} formulas among the training rows; at least 2 are needed")
    if settings.phonon_informed and not chosen.has_phonon_dos.all():
        lacking = int((~chosen.has_phonon_dos).sum())
        raise ConfigError(
            f"{lacking} of {len(groups)} rows have no phonons; train on rows where has_phonon_dos is true"
        )
    dos = chosen.site_phonon_dos if settings.phonon_informed else None
    dtype = getattr(torch, settings.dtype)
    graphs = CrystalGraphs.of(chosen.batch, dos, dtype=dtype, device=device)
    targets = torch.tensor(chosen.alpha2f, dtype=dtype, device=device)
    network = {
        "n_neighbours": graphs.mean_neighbours,
        **settings.model_dump(include={"mul", "layers", "lmax", "embedding", "radial_neurons", "phonon_informed"}),
    }
    mark = _fingerprint(chosen, dos, settings)
    members = []
    for member in range(settings.members):
        file = None if checkpoint is None else Path(checkpoint) / f"member-{member:04d}.safetensors"
        arrays = None if file is None else _stored_member(file, mark)
        if arrays is None:
            arrays = _fit_member(graphs, targets, groups, network, settings, member, on_epoch)
            if file is not None:
                _store_member(file, arrays, mark)
        members.append(arrays)
    config = {"settings": settings.model_dump(), "training_rows": len(groups), "formulas": len(np.unique(groups))}
    return SpectrumModel(
        network,
        {name: np.stack([arrays[name] for arrays in members]) for name in members[0]},
        frozenset(chosen.batch.atomic_numbers.tolist()),
        int(chosen.batch.n_atoms.max()),
        config,
    )


def _fit_member(
    graphs: CrystalGraphs,
    targets: torch.Tensor,
    groups: NDArray[np.int64],
    network_arguments: Mapping[str, Any],
    settings: SpectrumSettings,
    member: int,
    on_epoch: Callable[[int, int, float], None] | None,
) -> dict[str, NDArray[np.floating]]:
    """Train one member and return its parameters at the epoch of least validation loss."""
    import torch

    from onnes.models.spectrum_network import SpectrumNetwork

    rng = np.random.default_rng([settings.seed, member])
    training, validation = bootstrap_rows(groups, rng)
    while not len(validation):  # happens with few formulas only
        training, validation = bootstrap_rows(groups, rng)
    torch.manual_seed(int(rng.integers(2**31)))
    network = SpectrumNetwork(**network_arguments, dtype=targets.dtype).to(targets.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    loss_of = LOSSES[settings.loss]
    best, kept, waited = np.inf, network.parameter_arrays(), 0
    for epoch in range(settings.epochs):
        for predicted, wanted in _passes(network, graphs, targets, rng.permutation(training), settings.batch_size):
            loss = loss_of(predicted, wanted)
            if settings.smoothness:
                loss = loss + settings.smoothness * smoothness_penalty(predicted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            passes = _passes(network, graphs, targets, validation, settings.batch_size)
            value = sum(float(loss_of(p, t)) * len(t) for p, t in passes) / len(validation)
        if not np.isfinite(value):
            raise ModelError(f"member {member}: the loss is {value} after epoch {epoch}; lower the learning rate")
        if on_epoch:
            on_epoch(member, epoch, value)
        if value < best:
            best, kept, waited = value, network.parameter_arrays(), 0
        else:
            waited += 1
            if waited >= settings.patience:
                break
    return kept


def _passes(
    network: SpectrumNetwork, graphs: CrystalGraphs, targets: torch.Tensor, rows: NDArray[np.int64], size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Predictions and targets, batch by batch."""
    import torch

    for some in torch.from_numpy(rows).to(targets.device).split(size):
        yield network(**graphs.select(some).inputs()), targets[some]


def _fingerprint(data: SpectraData, dos: Floats | None, settings: SpectrumSettings) -> str:
    """Tell trainings apart: sha256 of the data and of every setting but the number of members."""
    digest = hashlib.sha256(settings.model_dump_json(exclude={"members"}).encode())
    digest.update("\n".join(data.formulas).encode())
    batch = data.batch
    for array in (batch.lattices, batch.frac_coords, batch.atomic_numbers, batch.offsets, data.alpha2f, dos):
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _stored_member(file: Path, mark: str) -> dict[str, NDArray[np.floating]] | None:
    """Read a finished member; None when there is none yet."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="np") as stored:
            same = (stored.metadata() or {}).get("training") == mark
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise ConfigError(f"{file} is damaged ({error}); delete it, and the member is trained again") from error
    if not same:
        raise ConfigError(f"{file} is of other data or settings; give an empty checkpoint folder")
    return arrays


def _store_member(file: Path, arrays: dict[str, NDArray[np.floating]], mark: str) -> None:
    from safetensors.numpy import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file(arrays, part, metadata={"training": mark})
    part.replace(file)


@dataclass(frozen=True)
class SpectrumScore:
    """Errors on n crystals, against the labels that follow from their binned spectra.

    Attributes
    ----------
    lambda_mae, omega_log_mae_K, omega2_mae_K, tc_mae_K
        Mean absolute errors.
    emd
        Mean of the loss ``emd``, in bins: `onnes.training.spectrum_losses.emd_loss`.
    overlap
        Mean of `onnes.physics.spectral_shape.overlap`: 1 for the right shape, whatever its area.
    """

    n: int
    lambda_mae: float
    omega_log_mae_K: float
    omega2_mae_K: float
    tc_mae_K: float
    emd: float
    overlap: float


def score_spectrum(
    model: SpectrumModel, data: SpectraData, rows: NDArray[np.bool_], *, device: str = "cpu"
) -> SpectrumScore:
    """Score a model on the chosen rows, shape (P,), which it should not have been trained on."""
    chosen = data.select(np.asarray(rows, bool))
    dos = chosen.site_phonon_dos if model.phonon_informed else None
    return score_alpha2f(model.predict(chosen.batch, dos, device=device)["alpha2f"], chosen)


def score_alpha2f(alpha2f: Floats, data: SpectraData) -> SpectrumScore:
    """Score predicted spectra, shape (P, 51) or, one for all, (51,), of P crystals.

    Crystals with a spectrum of zeros have no frequencies and do not count for these, nor for the overlap; a prediction
    without frequencies counts as 0 K.
    """
    found = np.broadcast_to(alpha2f, data.alpha2f.shape)
    moments = binned_moments(found)
    lam, log_K, two_K = data.moments

    def error(predicted: Floats, truth: Floats) -> float:
        known = np.isfinite(truth)
        return float(np.abs(np.nan_to_num(predicted) - truth)[known].mean()) if known.any() else float("nan")

    shared = np.nan_to_num(overlap(found, data.alpha2f))[data.alpha2f.any(1)]
    return SpectrumScore(
        len(lam),
        error(moments.lambda_, lam),
        error(moments.omega_log_K, log_K),
        error(moments.omega2_K, two_K),
        error(moments_tc_K(moments), data.tc_K),
        float(np.abs((found - data.alpha2f).cumsum(1)).sum(1).mean()),
        float(shared.mean()) if len(shared) else float("nan"),
    )
