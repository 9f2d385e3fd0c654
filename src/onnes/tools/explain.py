"""Why a model says what it says of a crystal: its sites, its nearest known crystals, other elements in its place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, values, with_columns
from onnes.crystals.symbols import symbols
from onnes.crystals.table import crystal_table
from onnes.errors import ConfigError, CrystalError, OnnesError
from onnes.figure import check_suffix
from onnes.models.attribution import Attribution, attribute
from onnes.models.features import pooled
from onnes.models.prediction import predict_table
from onnes.models.replacement import QUANTITIES, Replacement, compare_replacements, replaced_crystals
from onnes.models.superconductivity import DEFAULT_MODEL, SuperconductivityModel, load_superconductivity_model
from onnes.potentials.potential import load_potential
from onnes.tools.inputs import Crystals, as_table
from onnes.tools.known_neighbours import Neighbour, known_neighbours

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from moyopy import MoyoDataset
    from numpy.typing import NDArray

    from onnes.models.attribution import Pool
    from onnes.models.replacement import ReplacedCrystals

    Floats = NDArray[np.floating]
    OnRows = Callable[[int], None] | None

_PREDICTED = (
    "tc_K", "tc_K_std", "tc_lo_K", "tc_hi_K", "tc_mu016_K", "lambda_", "lambda_std", "omega_log_K", "omega_log_K_std",
    "mu_star", "is_metal_probability", "in_domain", "domain_distance", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class SiteContribution:
    """What the atoms of one Wyckoff orbit add, together, to what is said of the average training crystal.

    Attributes
    ----------
    element, letter, multiplicity
        Symbol, Wyckoff letter, atoms in the conventional cell.
    atoms
        Which atoms of the given cell, counted from 0.
    tc_K, ln_lambda, ln_omega_log
        Contributions to Tc in kelvin and to the natural logarithms of lambda and omega_log; over all sites they add up
        to the prediction minus the baseline.
    tc_error_K
        Standard error of ``tc_K`` from drawing coalitions; 0 up to eight orbits, where all are evaluated.
    """

    element: str
    letter: str
    multiplicity: int
    atoms: tuple[int, ...]
    tc_K: float
    ln_lambda: float
    ln_omega_log: float
    tc_error_K: float


@dataclass(frozen=True)
class CrystalExplanation:
    """One crystal explained; with ``error`` the rest is empty.

    Attributes
    ----------
    predicted
        As `onnes.predict` says it: values with spread and 90 % interval, domain, warnings.
    baseline
        ``tc_K``, ``lambda_``, ``omega_log_K`` of the average training crystal.
    sites, neighbours, replacements
        Largest contribution to Tc first; nearest first; by element.
    notes
        What could not be computed, and why.
    figure
        File of its figure.
    """

    id: str
    formula: str
    space_group: int | None = None
    predicted: dict[str, Any] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    sites: tuple[SiteContribution, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    notes: tuple[str, ...] = ()
    figure: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Explanation:
    """Crystals explained by one model, in the order in which they were given."""

    model: str
    model_sha256: str
    crystals: tuple[CrystalExplanation, ...]

    @property
    def n_failed(self) -> int:
        """Crystals with an error."""
        return sum(crystal.error is not None for crystal in self.crystals)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, numbers and strings."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """Return JSON."""
        return json.dumps(asdict(self), indent=1, allow_nan=False)


def explain(
    crystals: Crystals,
    *,
    model: str = DEFAULT_MODEL,
    figure: str | Path | None = None,
    device: str = "cpu",
    neighbours: Callable[[Floats], list[Neighbour]] | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> Explanation:
    """Explain the predictions for crystals at their given geometry.

    Three answers for each: what its sites contribute (`onnes.models.attribution`), which known crystals look most like
    it to the model, and what is predicted when an element gives way to its neighbours in the periodic table (unrelaxed,
    the cell scaled by the atomic radii). They describe the model. They are no proof of a cause in the crystal.

    Parameters
    ----------
    crystals
        See `onnes.tools.inputs.as_table`.
    model
        Superconductivity model: a shipped name or a folder.
    figure
        File for a figure, ``.svg`` or ``.png``; of several crystals each gets a number before the suffix.
    device
        ``cpu`` or ``cuda``.
    neighbours
        Finds the nearest known crystals from pooled features of shape (P,). By default those of the Alexandria training
        table where $ONNES_DATA has it (its features are computed once and kept in $ONNES_CACHE, minutes), else those of
        `onnes.crystals.known`.
    on_rows
        Called with the number of crystals whose features were computed since the last call.

    Returns
    -------
    Explanation
        A crystal that cannot be explained has ``error``.

    Raises
    ------
    CrystalError
        When these are no crystals.
    ModelError
        For an unknown model.
    ConfigError
        For a figure of another format, or a model that reads N(E_F).

    Examples
    --------
    >>> from onnes.crystals.known import known_crystal
    >>> found = explain(known_crystal("Nb3Sn"), neighbours=lambda features: []).crystals[0]
    >>> [(site.element, site.multiplicity, site.letter) for site in found.sites]
    [('Nb', 6, 'c'), ('Sn', 2, 'a')]
    """
    sc = load_superconductivity_model(model)
    if sc.electronic:
        raise ConfigError(f"model {model!r} reads N(E_F) as well, which no site has; explain `structure` or `fast`")
    table = _ordered_only(as_table(crystals))
    targets = _figure_paths(figure, table.num_rows)
    table = predict_table(table, model=model, device=device, on_rows=on_rows)
    search = neighbours
    explained: list[CrystalExplanation] = []
    for i, path in enumerate(targets):
        row = table.slice(i, 1)
        one = CrystalExplanation(values(row, "id")[0], values(row, "reduced_formula")[0] or "")
        error = values(row, "error")[0] or values(row, "reason")[0]
        if error is None:
            search = search or known_neighbours(sc, device=device, on_rows=on_rows)
            try:
                one = _explained(one, row, sc, search, device, on_rows)
            except OnnesError as trouble:
                error = str(trouble)
        if error is not None:
            one = CrystalExplanation(one.id, one.formula, error=error)
        elif path is not None:
            from onnes.tools.explain_figure import draw_explanation

            one = replace(one, figure=str(path))
            draw_explanation(path, one)
        explained.append(one)
    return Explanation(sc.name, sc.sha256, tuple(explained))


# --- what depends on the features of the model -----------------------------------------------------------------------


class _AtomFeatures(NamedTuple):
    atoms: Floats
    pool: Pool


def _features(batch: CrystalBatch, model: SuperconductivityModel, device: str) -> _AtomFeatures:
    """Per-atom features of a batch, shape (N, F), and the function that pools those of some atoms, (k, F) to (P,)."""
    parts: list[Floats] = []
    for name in model.potentials:
        found = load_potential(name, device=device).evaluate(batch, forces=False, features=True).features
        if found is None:
            raise TypeError(f"potential {name} gave no features")
        parts.append(found)
    edges = np.cumsum([part.shape[1] for part in parts])[:-1]

    def pool(atoms: Floats) -> Floats:
        return np.concatenate([pooled(part.astype(np.float32)) for part in np.split(atoms, edges, axis=1)])

    return _AtomFeatures(np.concatenate(parts, axis=1), pool)


def _baseline(model: SuperconductivityModel) -> Floats:
    """Pooled features of the average training crystal, shape (P,)."""
    return model.heads.x_mean


# --- one crystal -----------------------------------------------------------------------------------------------------


def _explained(
    one: CrystalExplanation,
    row: pa.Table,
    model: SuperconductivityModel,
    search: Callable[[Floats], list[Neighbour]],
    device: str,
    on_rows: OnRows,
) -> CrystalExplanation:
    batch = CrystalBatch.from_table(row)
    found = _symmetry(batch)
    features = _features(batch, model, device)
    parts = attribute(
        features.atoms, found.orbits, pool=features.pool, predict=_targets(model), baseline=_baseline(model)
    )
    notes: list[str] = []
    try:
        replacements = _replacements(row, model.name, device, on_rows)
    except ConfigError as trouble:  # an element without a radius
        replacements = []
        notes.append(f"no element was replaced: {trouble}")
    base = {name.removeprefix("ln_"): value for name, value in parts.baseline.items()}
    return CrystalExplanation(
        one.id,
        one.formula,
        found.number,
        {name: values(row, name)[0] for name in _PREDICTED},
        {
            "tc_K": base["tc_K"],
            "lambda_": float(np.exp(base["lambda"])),
            "omega_log_K": float(np.exp(base["omega_log"])),
        },
        _sites(parts, found, batch.atomic_numbers),
        tuple(search(features.pool(features.atoms))),
        tuple(replacements),
        tuple(notes),
    )


def _targets(model: SuperconductivityModel) -> Callable[[Floats], dict[str, NDArray[np.float64]]]:
    def predict(features: Floats) -> dict[str, NDArray[np.float64]]:
        found = model.predict(features)
        logs = {"ln_lambda": np.log(found["lambda_"]), "ln_omega_log": np.log(found["omega_log_K"])}
        return {**logs, "tc_K": found["tc_K"]}

    return predict


def _symmetry(batch: CrystalBatch) -> MoyoDataset:
    from onnes.propose.colouring import symmetry

    try:
        return symmetry(*batch.crystal(0))
    except (ValueError, RuntimeError) as error:
        raise CrystalError(f"no symmetry found ({error}); check the coordinates") from error


def _sites(parts: Attribution, found: MoyoDataset, numbers: NDArray[np.int64]) -> tuple[SiteContribution, ...]:
    cells = len(found.std_cell.numbers) / len(numbers)
    sites = []
    for k in range(int(parts.orbit_of_atom.max()) + 1):
        atoms = np.flatnonzero(parts.orbit_of_atom == k)
        first = int(atoms[0])
        sites.append(
            SiteContribution(
                symbols()[numbers[first]],
                found.wyckoffs[first],
                round(len(atoms) * cells),
                tuple(atoms.tolist()),
                *(float(parts.by_orbit[name][k]) for name in ("tc_K", "ln_lambda", "ln_omega_log")),
                tc_error_K=float(parts.standard_error["tc_K"][k]),
            )
        )
    return tuple(sorted(sites, key=lambda site: -abs(site.tc_K)))


def _replacements(row: pa.Table, model: str, device: str, on_rows: OnRows) -> list[Replacement]:
    crystal = CrystalBatch.from_table(row).crystal(0)
    made = _neighbouring(crystal)
    if not len(made.batch):
        return []
    table = crystal_table(made.batch, ids=[str(i) for i in range(len(made.batch))], source="replaced", identified=False)
    table = with_columns(table, {"pressure_GPa": floats(row, "pressure_GPa").repeat(table.num_rows)})
    table = predict_table(table, model=model, device=device, on_rows=on_rows)
    predicted = {name: floats(table, name) for name in QUANTITIES}
    original = {name: float(floats(row, name)[0]) for name in QUANTITIES}
    return compare_replacements(made, predicted, original, values(table, "in_domain"))


def _neighbouring(crystal: tuple[Any, Any, NDArray[np.int64]]) -> ReplacedCrystals:
    from onnes.propose.parents import LARGEST_SCALE, SMALLEST_SCALE
    from onnes.propose.periodic import DEFAULT_EXCLUDED, neighbours
    from onnes.propose.radii import estimated_volume

    elements = [symbols()[z] for z in np.unique(crystal[2])]
    candidates = {e: [other for other in neighbours(e) if other not in DEFAULT_EXCLUDED] for e in elements}
    limits = (SMALLEST_SCALE, LARGEST_SCALE)
    return replaced_crystals(crystal, candidates, volume=estimated_volume, scale_limits=limits)


# --- input and output ------------------------------------------------------------------------------------------------


def _ordered_only(table: pa.Table) -> pa.Table:
    """Give partly occupied rows an error: their atoms are not those that the model would see."""
    errors = values(table, "error")
    for i, partial in enumerate(values(table, "site_occupancies")):
        if partial is not None and errors[i] is None:
            errors[i] = "partly occupied sites cannot be explained; make ordered cells first"
    return with_columns(table, {"error": errors})


def _figure_paths(figure: str | Path | None, n: int) -> list[Path | None]:
    if figure is None:
        return [None] * n
    check_suffix(figure)
    path = Path(figure)
    return [path] if n == 1 else [path.with_stem(f"{path.stem}-{i}") for i in range(1, n + 1)]
