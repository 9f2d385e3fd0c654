"""The known crystals that look most like a crystal to a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, values
from onnes.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from onnes.models.superconductivity import SuperconductivityModel

    Floats = NDArray[np.floating]
    OnRows = Callable[[int], None] | None

N_NEIGHBOURS = 5
TRAINING_TABLE = "epc_dft_alexandria"


@dataclass(frozen=True)
class Neighbour:
    """A known crystal that looks alike to the model.

    Attributes
    ----------
    id, formula
        Its name in ``source`` and its reduced formula.
    distance
        In the space in which the domain of the model is measured, in its unit: the edge of the domain is 1.
    tc_K, tc_kind
        Its Tc in kelvin, ``computed`` or ``measured``; None where none is known.
    source
        Where it is listed.
    """

    id: str
    formula: str
    distance: float
    tc_K: float | None
    tc_kind: str | None
    source: str


def known_neighbours(
    model: SuperconductivityModel, *, n: int = N_NEIGHBOURS, device: str = "cpu", on_rows: OnRows = None
) -> Callable[[Floats], list[Neighbour]]:
    """Make the search for the n known crystals that are nearest to given pooled features.

    Distances are Euclidean in the whitened principal components that the model's domain is measured in
    (`onnes.models.domain`), divided by the edge of the domain. See `onnes.tools.explain.explain` for which crystals are known.
    """
    rows, batch = _library()
    features = _stored_features(batch, model, device, on_rows)
    whole = np.flatnonzero(np.isfinite(features).all(axis=1))
    places = _place(features[whole], model)

    def search(pooled_features: Floats) -> list[Neighbour]:
        distances = np.linalg.norm(places - _place(pooled_features[None], model), axis=1)
        nearest = np.argsort(distances, kind="stable")[:n]
        return [Neighbour(**rows[int(whole[k])], distance=float(distances[k])) for k in nearest]

    return search


def _library() -> tuple[list[dict[str, Any]], CrystalBatch]:
    """Known crystals and all of `Neighbour` but the distance."""
    from onnes.training.data import read_data

    try:
        table = read_data(TRAINING_TABLE)
    except ConfigError:
        from onnes.crystals.known import known_table, known_tc

        table, source, kind = known_table(), "known crystals", "measured"
        temperatures = [known_tc().get(name) for name in values(table, "id")]
    else:
        source, kind = "Alexandria training table", "computed"
        temperatures = [None if np.isnan(tc) else float(tc) for tc in floats(table, "tc_K")]
    rows = [
        {"id": name, "formula": formula, "tc_K": tc, "tc_kind": None if tc is None else kind, "source": source}
        for name, formula, tc in zip(values(table, "id"), values(table, "reduced_formula"), temperatures, strict=True)
    ]
    return rows, CrystalBatch.from_table(table)


def _stored_features(batch: CrystalBatch, model: SuperconductivityModel, device: str, on_rows: OnRows) -> Floats:
    """Pooled features of many crystals, (B, P), from the cache where they are there."""
    from onnes.training.feature_cache import cached_features

    return cached_features(batch, model.potentials, device=device, on_rows=on_rows).of(model.potentials)


def _place(features: Floats, model: SuperconductivityModel) -> Floats:
    """Where pooled features (B, P) lie in the space of the domain, (B, D), in units of its edge."""
    return (model.heads.inputs(features) - model.domain.mean) @ model.domain.components / model.domain.scale
