"""Fill the prediction columns of a crystal table: one pass of the feature potentials serves every model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, is_open, values, with_columns
from onnes.errors import ConfigError
from onnes.models import metal, superconductivity
from onnes.models.features import crystal_features
from onnes.models.metal import load_metal_model
from onnes.models.spectra_of_moments import with_spectra
from onnes.models.spectrum import load_spectrum_model
from onnes.models.spectrum_prediction import spectrum_columns
from onnes.models.superconductivity import electronic_features, load_superconductivity_model
from onnes.models.warnings import domain_warnings
from onnes.models.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from onnes.models.features import CrystalFeatures

    Floats = NDArray[np.float64]

NUMBERS = (
    "lambda_", "lambda_std", "omega_log_K", "omega_log_K_std", "omega2_K", "omega2_K_std", "mu_star", "tc_K",
    "tc_K_std", "tc_lo_K", "tc_hi_K", "tc_mu016_K", "tc_above_5K_probability", "is_metal_probability",
    "magmom_max_muB", "domain_distance",
)  # fmt: skip
_NO_MODEL = "the model needs N(E_F) in the column dos_ef_states_per_eV, and has no fallback without it"
COLUMNS = (*NUMBERS, "alpha2f", "in_domain", "warnings", "tc_model")


def predict_table(
    table: pa.Table,
    *,
    model: str = superconductivity.DEFAULT_MODEL,
    metal_model: str = metal.DEFAULT_MODEL,
    phonons: bool = False,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> pa.Table:
    """Add superconductivity, metal and domain columns at the geometry that each row has now.

    Rows that are not open (an error, or rejected) are left as they are. Where the table holds no energy yet, the
    energy of the first feature potential at this geometry is kept as well.

    Parameters
    ----------
    table
        Crystal table. A model that reads N(E_F) takes it from ``dos_ef_states_per_eV``.
    model, metal_model
        Names of shipped weights, or folders.
    phonons
        Take the shape of alpha2F from the phonons of the first potential, which takes seconds a crystal; otherwise
        it is an empirical one.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of rows done since the last call.

    Returns
    -------
    pyarrow.Table
        The same rows in the same order; a row that failed gets ``error``. ``tc_model`` names the model that a row's
        numbers come from.
    """
    spectral = load_weights(model).config["kind"] == "spectrum"
    if spectral and phonons:
        raise ConfigError(f"model {model!r} predicts spectra itself; leave the phonons out")
    metals = load_metal_model(metal_model)
    rows = np.flatnonzero(is_open(table))
    batch = CrystalBatch.from_table(table.take(rows))
    predictor = _Spectra(model, device) if spectral else _Moments(model)
    potentials = list(dict.fromkeys([*predictor.potentials, *metals.potentials, *predictor.moments]))
    features = crystal_features(batch, potentials, device=device, on_rows=on_rows)
    dos = floats(table, "dos_ef_states_per_eV")[rows]
    predicted, used = predictor.predict(batch, features, dos)
    if isinstance(predictor, _Moments):
        predicted = with_spectra(predicted, batch, potentials[0] if phonons else None, device=device)
    predicted["is_metal_probability"] = metals.predict(features.of(metals.potentials))
    predicted["magmom_max_muB"] = features.magmom_max_muB
    warnings = domain_warnings(
        batch, floats(table, "pressure_GPa")[rows], predicted, predictor.elements, predictor.max_atoms
    )
    columns: dict[str, list[object]] = {name: values(table, name) for name in (*COLUMNS, "error", "geometry")}
    energy = {name: values(table, name) for name in ("potential", "energy_eV_per_atom")}
    for i, row in enumerate(rows):
        error = features.errors[i] or (None if used[i] else _NO_MODEL)
        columns["error"][row] = error
        columns["geometry"][row] = columns["geometry"][row] or "input"
        if error is not None:
            continue
        for name in NUMBERS:
            columns[name][row] = float(predicted[name][i])
        columns["alpha2f"][row] = predicted["alpha2f"][i]
        columns["in_domain"][row] = not warnings[i]
        columns["warnings"][row] = "; ".join(warnings[i]) or None
        columns["tc_model"][row] = used[i]
        if energy["potential"][row] is None:
            energy["potential"][row] = potentials[0]
            energy["energy_eV_per_atom"][row] = float(features.energies_eV_per_atom[i])
    return with_columns(table, {**columns, **energy})


class _Moments:
    """A superconductivity model, and the one that takes the rows it cannot read."""

    def __init__(self, name: str) -> None:
        first = load_superconductivity_model(name)
        self._models = [first, *([load_superconductivity_model(first.fallback)] if first.fallback else [])]
        self.potentials = tuple(dict.fromkeys(p for model in self._models for p in model.potentials))
        self.moments = tuple(model.moments for model in self._models if model.moments)
        self.elements, self.max_atoms = first.elements, first.max_atoms

    def predict(
        self, batch: CrystalBatch, features: CrystalFeatures, dos_ef_states_per_eV: Floats
    ) -> tuple[dict[str, Floats], list[str]]:
        """Predict each row with the first model that can read it; the numbers, and the model's name row by row."""
        electronic = electronic_features(dos_ef_states_per_eV, batch)
        result: dict[str, Floats] = {}
        used = [""] * len(batch)
        for model in reversed(self._models):
            inputs = features.of(model.potentials)
            rows = np.ones(len(inputs), bool)
            if model.electronic:
                inputs = np.concatenate([inputs, electronic], axis=1)
                rows = np.isfinite(electronic[:, 0])
            found = model.predict(inputs)
            result = {name: np.where(rows, new, result.get(name, np.nan)) for name, new in found.items()}
            used = [model.name if row else name for row, name in zip(rows, used, strict=True)]
        return result, used


class _Spectra:
    """A spectrum model that somebody trained on spectra of their own."""

    potentials: tuple[str, ...] = ()
    moments: tuple[str, ...] = ("chgnet",)

    def __init__(self, name: str, device: str) -> None:
        self._name, self._device, self._model = name, device, load_spectrum_model(name)
        self.elements, self.max_atoms = self._model.elements, self._model.max_atoms

    def predict(
        self, batch: CrystalBatch, features: CrystalFeatures, dos_ef_states_per_eV: Floats
    ) -> tuple[dict[str, Floats], list[str]]:
        """Predict spectra; the numbers, and the model's name row by row."""
        del features, dos_ef_states_per_eV
        return spectrum_columns(self._model, batch, device=self._device), [self._name] * len(batch)
