"""Measured superconductivity: probability and measured Tc of a composition, with or without its crystal structure.

Everything here is learned from reports of experiments. It is another quantity than the Tc computed from
electron-phonon coupling in `onnes.models.superconductivity`: its columns begin with ``exp_``, and the two are never
mixed in training.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.crystals.symmetry import FALLBACK_SYMPREC_A, SYMPREC_A
from onnes.errors import ModelError
from onnes.models.composition import (
    PROPERTIES,
    composition_features,
    element_fractions,
    element_properties,
    experimental_families,
)
from onnes.models.heads import HeadEnsemble
from onnes.models.trees import TreeEnsemble
from onnes.models.weights import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from onnes.models.composition import Formula

    Site = int | Mapping[Any, float]
    DisorderedCrystal = tuple[ArrayLike, ArrayLike, Sequence[Site]]

DEFAULT_MODEL = "experimental"
VARIANTS = ("composition", "structure")
TC_TARGET, CLASS_TARGET = "ln_tc_K", "superconductor_logit"

_SYSTEMS = {"triclinic": 2, "monoclinic": 15, "orthorhombic": 74, "tetragonal": 142, "trigonal": 167, "hexagonal": 194,
            "cubic": 230}  # fmt: skip
STRUCTURAL_NAMES = (
    "volume_per_atom_A3", "density_g_per_cm3", "packing", "ln_primitive_sites", "min_distance_A",
    "mean_nearest_distance_A", "b_over_a", "c_over_a", "space_group", *_SYSTEMS,
)  # fmt: skip
"""Columns of `structural_features`."""

_GRAM_PER_CM3 = 1.66053907  # amu per cubic angstrom
_SPLIT_SITE_A = 0.5
_CUTOFFS_A = (4.0, 8.0, 16.0)


# --- descriptors of the structure ------------------------------------------------------------------------------------


def structural_features(crystals: Iterable[DisorderedCrystal]) -> NDArray[np.float32]:
    """Descriptors of crystals, partly occupied or not, that need no potential and do not depend on the choice of cell.

    `STRUCTURAL_NAMES`: volume per atom, density, packing (share of the volume inside spheres of the tabulated atomic
    radii), logarithm of the number of sites of the primitive cell, the smallest distance and the mean distance to the
    nearest site, the edges of the Niggli cell relative to the shortest, the space group number, the crystal system
    (one column each). Occupancies weigh atoms; sites with different occupants count as different in the symmetry.

    Parameters
    ----------
    crystals
        P tuples: lattice (3, 3) in angstrom, rows are vectors; fractional coordinates (n, 3); for each site an atomic
        number, or a mapping of element (symbol or atomic number) to occupancy.

    Returns
    -------
    numpy.ndarray
        Shape (P, S); a row of NaN where no symmetry was found or no site has a neighbour within 16 angstrom.

    Raises
    ------
    ModelError
        For an unknown element or an occupancy that is not positive.

    Examples
    --------
    >>> row = structural_features([(3.3 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [{"Nb": 0.9, "Ti": 0.1}] * 2)])[0]
    >>> dict(zip(STRUCTURAL_NAMES, row.tolist()))["space_group"]
    229.0
    """
    rows = [_descriptors(lattice, coords, sites) for lattice, coords, sites in crystals]
    return np.array(rows, np.float32).reshape(-1, len(STRUCTURAL_NAMES))


def _descriptors(lattice: ArrayLike, coords: ArrayLike, sites: Sequence[Site]) -> NDArray[np.float64]:
    basis, frac = np.asarray(lattice, float).reshape(3, 3), np.asarray(coords, float).reshape(-1, 3)
    occupied: list[dict[Any, float]] = [dict(s) if isinstance(s, Mapping) else {int(s): 1.0} for s in sites]
    totals: dict[Any, float] = {}
    for site in occupied:
        for element, share in site.items():
            totals[element] = totals.get(element, 0.0) + share
    symmetry = _symmetry(basis, frac, [tuple(sorted(site.items(), key=str)) for site in occupied])
    nearest = _nearest(basis, frac)
    if symmetry is None or nearest is None:
        return np.full(len(STRUCTURAL_NAMES), np.nan)
    number, n_primitive, edges = symmetry
    fractions, n_atoms = element_fractions([totals])[0], sum(totals.values())
    volume = abs(float(np.linalg.det(basis)))
    radius, mass = (element_properties()[:, PROPERTIES.index(name)] for name in ("atomic_radius_A", "mass_amu"))
    shares = np.array([sum(site.values()) for site in occupied])
    system = np.searchsorted(list(_SYSTEMS.values()), number)
    return np.array([
        volume / n_atoms, _GRAM_PER_CM3 * n_atoms * float(fractions @ mass) / volume,
        n_atoms * float(fractions @ radius**3) * 4 / 3 * np.pi / volume, np.log(n_primitive), nearest.min(),
        float(shares @ nearest / shares.sum()), edges[1] / edges[0], edges[2] / edges[0], number,
        *np.eye(len(_SYSTEMS))[system],
    ])  # fmt: skip


def _symmetry(
    basis: NDArray[np.float64], frac: NDArray[np.float64], occupants: list[tuple[Any, ...]]
) -> tuple[int, int, NDArray[np.float64]] | None:
    """Space group, sites of the primitive cell, sorted edges of its Niggli cell; None when no tolerance gives one."""
    import moyopy

    logging.getLogger("moyo").setLevel(logging.ERROR)  # it warns for each supercell; our results do not suffer
    kinds = {occupant: i + 1 for i, occupant in enumerate(dict.fromkeys(occupants))}
    cell = moyopy.Cell(basis.tolist(), (frac - np.floor(frac)).tolist(), [kinds[o] for o in occupants])
    for tolerance in (SYMPREC_A, *FALLBACK_SYMPREC_A):
        try:
            dataset = moyopy.MoyoDataset(cell, symprec=tolerance)
            primitive = dataset.prim_std_cell
            reduced, _ = moyopy.niggli_reduce(primitive.basis)
        except (ValueError, RuntimeError):
            continue
        return dataset.number, len(primitive.numbers), np.sort(np.linalg.norm(np.array(reduced), axis=1))
    return None


def _nearest(basis: NDArray[np.float64], frac: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Distance of each site to the nearest other one, shape (n,); closer ones than 0.5 Å are parts of a split site."""
    from vesin import NeighborList

    for cutoff in _CUTOFFS_A:
        search = NeighborList(cutoff=cutoff, full_list=True)
        source, distance = search.compute(points=frac @ basis, box=basis, periodic=True, quantities="id", copy=True)
        nearest = np.full(len(frac), np.inf)
        apart = distance > _SPLIT_SITE_A
        np.minimum.at(nearest, source[apart].astype(np.int64), distance[apart])
        if np.isfinite(nearest).all():
            return nearest
    return None


# --- the model -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class StructureBlock:
    """How the structure enters the networks beside the composition.

    Attributes
    ----------
    mean
        Stands for what is missing, shape (S,).
    pooled_mean, pooled_components
        Principal components of pooled potential features, shapes (G,) and (G, K), whitened; G = 0 when the model uses
        none.
    """

    mean: NDArray[np.float32]
    pooled_mean: NDArray[np.float32]
    pooled_components: NDArray[np.float32]

    @classmethod
    def fit(
        cls, structural: NDArray[np.floating], pooled: NDArray[np.floating] | None, *, n_components: int = 32
    ) -> StructureBlock:
        """Fit on the training rows, shapes (P, S) and (P, G); rows with NaN are left out."""
        known = np.isfinite(structural).all(1)
        mean = structural[known].mean(0) if known.any() else np.zeros(structural.shape[1])
        if pooled is None:
            return cls(mean.astype(np.float32), np.zeros(0, np.float32), np.zeros((0, 0), np.float32))
        from sklearn.decomposition import PCA

        used = pooled[np.isfinite(pooled).all(1)]
        pca = PCA(min(n_components, *used.shape), whiten=True, random_state=0).fit(used)
        components = np.asarray(pca.components_).T / np.sqrt(np.asarray(pca.explained_variance_) + 1e-12)
        return cls(mean.astype(np.float32), np.asarray(pca.mean_, np.float32), components.astype(np.float32))

    def inputs(
        self,
        features: NDArray[np.floating],
        structural: NDArray[np.floating] | None,
        pooled: NDArray[np.floating] | None,
    ) -> NDArray[np.float32]:
        """Join composition features (P, F), structure (P, S) and pooled features (P, G), all but the first optional.

        A row with NaN counts as missing: it takes the mean, and a column says so.

        Raises
        ------
        ModelError
            When the shapes are not those of the training.
        """
        n = len(features)
        blocks: list[NDArray[np.floating]] = [features, *_filled(structural, self.mean, n, "structural features")]
        if len(self.pooled_mean):
            values, known = _filled(pooled, self.pooled_mean, n, "pooled potential features")
            blocks += [(values - self.pooled_mean) @ self.pooled_components, known]
        elif pooled is not None:
            raise ModelError("this model was trained without pooled potential features; leave them out")
        return np.concatenate(blocks, axis=1).astype(np.float32)

    def tensors(self) -> dict[str, NDArray[np.floating]]:
        """Arrays to be stored."""
        return {
            "mean": self.mean,
            "pooled_mean": self.pooled_mean,
            "pooled_components": np.ascontiguousarray(self.pooled_components.astype(np.float16)),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.floating]]) -> StructureBlock:
        """Inverse of `tensors`."""
        names = ("mean", "pooled_mean", "pooled_components")
        return cls(*(tensors[name].astype(np.float32) for name in names))


def _filled(
    values: NDArray[np.floating] | None, mean: NDArray[np.float32], n: int, what: str
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Values with the mean in missing rows, and a column that is one where a row is known."""
    if values is None:
        return np.tile(mean, (n, 1)), np.zeros((n, 1))
    if values.shape != (n, len(mean)):
        raise ModelError(f"{what} have shape {values.shape}, the model needs {(n, len(mean))}")
    known = np.isfinite(values).all(1, keepdims=True)
    return np.where(known, values, mean), known.astype(float)


@dataclass(frozen=True, eq=False)
class ExperimentalModel:
    """Regression of ln Tc and a classifier, both ensembles on composition features (and structure).

    Attributes
    ----------
    regression, classifier
        Networks with the targets `TC_TARGET` and `CLASS_TARGET`.
    trees
        Trees of ln Tc on the composition features. Networks and trees weigh the same: the trees know the near
        neighbours in doping better, the networks what is further away.
    interval
        A 90 % interval of ln Tc is the mean plus or minus ``interval[0] * sqrt(spread**2 + interval[1]**2)``.
    block
        How the structure enters; None for a model of the composition alone.
    """

    name: str
    sha256: str
    regression: HeadEnsemble
    trees: TreeEnsemble
    classifier: HeadEnsemble
    interval: tuple[float, float]
    block: StructureBlock | None = None

    @property
    def variant(self) -> str:
        """One of `VARIANTS`."""
        return VARIANTS[self.block is not None]

    def predict(
        self,
        compositions: Sequence[Formula],
        structural: NDArray[np.floating] | None = None,
        pooled: NDArray[np.floating] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Predict what an experiment would find.

        Parameters
        ----------
        compositions
            P of them; see `onnes.models.composition.element_fractions`.
        structural
            `structural_features` of their crystals, shape (P, S); a row with NaN counts as missing.
        pooled
            Pooled features of potentials, shape (P, G), where the model was trained with them; likewise.

        Returns
        -------
        dict
            Arrays of shape (P,): ``exp_superconductor_probability``, for equal numbers of reported superconductors and of
            compounds that no superconductivity is reported for (so it ranks; it is not the share of superconductors in
            a database); ``exp_tc_K``, the measured Tc if it superconducts; ``exp_tc_lo_K`` and ``exp_tc_hi_K``, a 90 %
            interval; ``exp_family``, by rules on the composition
            (`onnes.models.composition.experimental_families`), not learned.

        Raises
        ------
        ModelError
            For a composition that cannot be read, a structure given to a model of compositions, a wrong shape.
        """
        found = self.predict_features(composition_features(compositions), structural, pooled)
        width = self.interval[0] * np.sqrt(found["ln_tc_K_std"] ** 2 + self.interval[1] ** 2)
        return {
            "exp_superconductor_probability": found["probability"],
            "exp_tc_K": np.exp(found["ln_tc_K"]),
            "exp_tc_lo_K": np.exp(found["ln_tc_K"] - width),
            "exp_tc_hi_K": np.exp(found["ln_tc_K"] + width),
            "exp_family": np.array(experimental_families(compositions), dtype=object),
        }

    def predict_features(
        self,
        features: NDArray[np.floating],
        structural: NDArray[np.floating] | None = None,
        pooled: NDArray[np.floating] | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """``ln_tc_K``, ``ln_tc_K_std`` over the members, ``probability``, each (P,), of composition features (P, F)."""
        from_trees = self.trees.predict(features)
        if self.block is not None:
            features = self.block.inputs(features, structural, pooled)
        elif structural is not None or pooled is not None:
            raise ModelError(
                f"model {self.name!r} knows compositions only; leave the structure out or load another model"
            )
        ln_tc = self.regression.predict(features)[TC_TARGET]
        halves = np.stack([ln_tc.mean(0), from_trees.mean(0)])
        variance = (ln_tc.var(0) + from_trees.var(0)) / 2 + halves.var(0)  # of the mixture
        logits = self.classifier.predict(features)[CLASS_TARGET]
        return {
            "ln_tc_K": halves.mean(0),
            "ln_tc_K_std": np.sqrt(variance),
            "probability": (1 / (1 + np.exp(-logits.clip(-60, 60)))).mean(0),
        }

    def save(self, folder: str | Path, config: Mapping[str, Any], card: str) -> Path:
        """Write weights, configuration and model card; see `onnes.models.weights.save_weights`."""
        parts = {"tc": self.regression.tensors(), "trees": self.trees.tensors(), "class": self.classifier.tensors()}
        if self.block is not None:
            parts["structure"] = self.block.tensors()
        tensors = {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}
        own = {"kind": "experimental", "variant": self.variant, "interval": list(self.interval)}
        return save_weights(folder, tensors, {**own, **config}, card)


@lru_cache(maxsize=4)
def load_experimental_model(name: str = DEFAULT_MODEL) -> ExperimentalModel:
    """Load a model by its shipped name or its folder; raises ModelError when the file was changed or is of another kind."""
    weights = load_weights(name)
    if weights.config.get("kind") != "experimental":
        raise ModelError(f"weights {name!r} are of kind {weights.config.get('kind')!r}, not 'experimental'")
    parts: dict[str, dict[str, NDArray[np.floating]]] = {}
    for key, array in weights.tensors.items():
        part, _, tensor = key.partition(".")
        parts.setdefault(part, {})[tensor] = array
    if "trees" not in parts:
        raise ModelError(f"model {name!r} was made by an older onnes; train it again with `onnes train`")
    factor, floor = weights.config["interval"]
    return ExperimentalModel(
        name,
        weights.sha256,
        HeadEnsemble.from_tensors(parts["tc"], (TC_TARGET,)),
        TreeEnsemble.from_tensors(parts["trees"]),
        HeadEnsemble.from_tensors(parts["class"], (CLASS_TARGET,)),
        (float(factor), float(floor)),
        StructureBlock.from_tensors(parts["structure"]) if "structure" in parts else None,
    )
