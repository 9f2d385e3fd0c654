"""Benchmark of the spectrum model on made spectra, and of the made spectrum of niobium against a computed one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats
from onnes.errors import ConfigError, ModelError
from onnes.models.spectrum import N_BINS
from onnes.physics.spectra import ALPHA2F_GRID_MEV, K_PER_MEV, bin_spectrum, spectral_moments
from onnes.physics.spectral_shape import DosBatch, PhononDos, alpha2f_of_moments, empirical_dos, overlap
from onnes.potentials.force_constants import phonons_of
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.training.benchmarks.plots.spectra import spectra
from onnes.training.benchmarks.report import Benchmark
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, buckets, data_folder, read_data
from onnes.training.electron_phonon import DATA
from onnes.training.spectrum import SpectrumSettings, fit_spectrum, score_alpha2f, score_spectrum
from onnes.training.spectrum_data import SpectraData, read_spectra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OPEN_SPECTRA = "alpha2f_spectra_open"
SMALL = SpectrumSettings(
    members=3, mul=8, layers=1, embedding=32, radial_neurons=32, loss="mse", epochs=60, batch_size=32, seed=1
)
"""Networks that train within a minute or two on some hundred crystals."""
_SCORED_SHARE = 0.25
_MAX_ATOMS = 6
_NIOBIUM_DEBYE_K = 275.0  # Kittel, Introduction to Solid State Physics, chapter 5, table 1
_FIELDS = (
    ("lambda_mae", 3), ("omega_log_mae_K", 1), ("omega2_mae_K", 1), ("tc_mae_K", 2), ("emd", 2), ("overlap", 3),
)  # fmt: skip
_COLUMNS = ("predicted by", "lambda MAE", "omega_log MAE / K", "omega2 MAE / K", "Tc MAE / K", "EMD / bins", "overlap")


def benchmark_spectrum(
    *,
    crystals: int = 800,
    settings: SpectrumSettings = SMALL,
    plot: Path | None = None,
    potential: str | None = DEFAULT_POTENTIAL,
    moments: tuple[float, float, float] | None = None,
    on_epoch: Callable[[int, int, float], None] | None = None,
) -> Benchmark:
    """Train a small network on made spectra and score it; compare the made spectrum of niobium with a computed one.

    Parameters
    ----------
    crystals
        Rows of the Alexandria set; three quarters are trained on, one quarter is scored. With 300 or fewer
        the network does not beat the mean spectrum in every draw.
    settings
        Of the network.
    plot
        Figure of the spectra of niobium, ``.svg`` or ``.png``.
    potential
        Whose phonons give the shape for niobium; None leaves this row out.
    moments
        Lambda, omega_log (K) and omega2 (K) that niobium's spectrum is made from, say those that a model predicts; by
        default those of the computed spectrum.
    on_epoch
        Called with member, epoch and validation loss.

    Raises
    ------
    ConfigError
        Without the data files, or with fewer crystals than the data need.
    ModelError
        When the phonons of niobium fail.
    """
    data = made_spectra(read_data(DATA), crystals, seed=settings.seed)
    test = np.isin(data.buckets, VALIDATION_BUCKETS)
    model = fit_spectrum(data, ~test, settings, on_epoch=on_epoch)
    scores = {
        "network": score_spectrum(model, data, test),
        "mean spectrum": score_alpha2f(data.alpha2f[~test].mean(0), data.select(test)),
    }
    rows = [(name, *(f"{getattr(score, f):.{d}f}" for f, d in _FIELDS)) for name, score in scores.items()]
    values = {f"{name}: {field}": float(v) for name, score in scores.items() for field, v in asdict(score).items()}
    niobium = _niobium(potential, moments, plot)
    notes = [
        f"spectra made from the labels lambda, omega_log and omega2 of {len(data.ids)} crystals of the Alexandria set and an "
        "empirical density of states: the table shows that the network learns and generalises, not how good it would be on "
        "computed spectra",
        f"trained on {int((~test).sum())} rows below bucket 80, scored on {int(test.sum())} of 80-89; {settings.members} "
        f"networks, multiplicity {settings.mul}, loss {settings.loss}, seed {settings.seed}. The default settings were chosen "
        "on rows drawn with seed 0, in about ten short runs",
        *niobium.notes(),
    ]
    return Benchmark(
        "Spectrum model on made spectra; spectrum of niobium", _COLUMNS, rows, notes, values | niobium.values()
    )


def made_spectra(table: pa.Table, crystals: int, *, seed: int = 0) -> SpectraData:
    """Make spectra for rows drawn from the electron-phonon labels: three of four below bucket 80, the rest of 80-89.

    Parameters
    ----------
    table
        Crystals of up to 6 atoms are drawn, with ``lambda_``, ``omega_log_K``, ``debye_K`` and ``omega2_inferred_K``; a
        missing omega2 is taken as omega_log times the median of their ratio in the table.
    crystals, seed
        How many, and which.

    Raises
    ------
    ConfigError
        When the table has too few such rows.
    """
    lam, log_K, two_K, debye = (
        floats(table, name) for name in ("lambda_", "omega_log_K", "omega2_inferred_K", "debye_K")
    )
    two_K = np.where(np.isfinite(two_K), two_K, log_K * np.nanmedian(two_K / log_K))
    good = (lam > 0) & (log_K > 0) & (debye > 0) & (floats(table, "n_atoms") <= _MAX_ATOMS)
    places = buckets(table["reduced_formula"].to_pylist())
    rng = np.random.default_rng(seed)
    scored = round(crystals * _SCORED_SHARE)
    chosen: list[int] = []
    for n, kept in ((crystals - scored, TRAINING_BUCKETS), (scored, VALIDATION_BUCKETS)):
        rows = np.flatnonzero(good & np.isin(places, kept))
        if not 0 < n <= len(rows):
            raise ConfigError(f"{n} crystals of buckets {kept.start}-{kept.stop - 1} wanted, {len(rows)} are there")
        chosen += sorted(rng.choice(rows, n, replace=False).tolist())
    some = table.take(chosen)
    batch = CrystalBatch.from_table(some)
    fit = alpha2f_of_moments(empirical_dos(batch, debye[chosen]), lam[chosen], log_K[chosen], two_K[chosen])
    formulas, ids = (tuple(some[name].to_pylist()) for name in ("reduced_formula", "id"))
    return SpectraData(batch, fit.alpha2f[:, :N_BINS], formulas, ids)


@dataclass(frozen=True)
class _Niobium:
    """Moments of the computed spectrum by two rules, and the overlap with it of made spectra, by the name of the shape."""

    computed: tuple[float, float, float]
    binned: tuple[float, float, float]
    in_bins: dict[str, float]
    smoothed: dict[str, float]

    def notes(self) -> list[str]:
        def text(moments: tuple[float, float, float]) -> str:
            return f"lambda {moments[0]:.3f}, omega_log {moments[1]:.1f} K, omega2 {moments[2]:.1f} K"

        shared = ", ".join(f"{name} {self.in_bins[name]:.3f} ({self.smoothed[name]:.3f})" for name in self.in_bins)
        return [
            f"niobium, the one open computed spectrum: {text(self.computed)}; as read into bins {text(self.binned)}",
            f"overlap with it, in 2 meV bins (both smoothed over 10 meV), of spectra made from moments and a shape: {shared}",
        ]

    def values(self) -> dict[str, float]:
        found = {
            f"niobium: {name}, {rule}": value
            for rule, moments in (("computed", self.computed), ("binned", self.binned))
            for name, value in zip(("lambda", "omega_log_K", "omega2_K"), moments, strict=True)
        }
        for rule, overlaps in (("in bins", self.in_bins), ("smoothed", self.smoothed)):
            found |= {f"niobium: overlap {rule}, {name}": value for name, value in overlaps.items()}
        return found


def _niobium(potential: str | None, moments: tuple[float, float, float] | None, plot: Path | None) -> _Niobium:
    path = data_folder() / f"{OPEN_SPECTRA}.parquet"
    read = read_spectra(path)
    if "Nb" not in read.formulas:
        raise ConfigError(f"{path.name}: no row of Nb")
    place = read.formulas.index("Nb")
    table = pq.read_table(path, columns=["id", "omega_meV", "alpha2f"]).to_pylist()
    row = next(one for one in table if one["id"] == read.ids[place])
    omega, computed = np.array(row["omega_meV"]), np.array(row["alpha2f"])
    native = tuple(float(moment) for moment in spectral_moments(omega, computed))
    wanted = [np.array([moment]) for moment in moments or native]
    made = {
        name: alpha2f_of_moments(shape, *wanted).alpha2f[0]
        for name, shape in _shapes(read.batch.select([place]), potential).items()
    }
    if plot is not None:
        curves = {f"made, {name} shape": (ALPHA2F_GRID_MEV, one) for name, one in made.items() if name != "Debye"}
        spectra(plot, {"computed": (omega, computed), **curves}, "bcc Nb")
    in_bins, smoothed = (
        {
            name: float(
                overlap(
                    bin_spectrum(ALPHA2F_GRID_MEV, one, smooth=smooth), bin_spectrum(omega, computed, smooth=smooth)
                )
            )
            for name, one in made.items()
        }
        for smooth in (False, True)
    )
    lam, log_K, two_K = (float(moment[place]) for moment in read.moments)
    return _Niobium((native[0], native[1], native[2]), (lam, log_K, two_K), in_bins, smoothed)


def _shapes(batch: CrystalBatch, potential: str | None) -> dict[str, DosBatch]:
    """Densities of states of one crystal: Debye's, the empirical one, and that of a potential's phonons."""
    omega = np.linspace(0, _NIOBIUM_DEBYE_K / K_PER_MEV, 401)
    shapes = {"Debye": DosBatch.of([PhononDos(omega, omega**2)]), "empirical": empirical_dos(batch, [_NIOBIUM_DEBYE_K])}
    if potential is not None:
        [phonons] = phonons_of(batch, load_potential(potential))
        if isinstance(phonons, str):
            raise ModelError(f"niobium with {potential}: {phonons}")
        shapes[potential] = DosBatch.of([phonons.dos])
    return shapes
