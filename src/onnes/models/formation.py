"""Formation energy of a composition, without a crystal: how low the best polymorph is likely to lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from onnes.errors import ModelError
from onnes.models.composition import composition_features
from onnes.models.heads import HeadEnsemble
from onnes.models.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from onnes.models.composition import Formula

TARGETS = ("formation_energy_eV_per_atom",)


@dataclass(frozen=True, eq=False)
class FormationModel:
    """Ensemble of networks on `onnes.models.composition.composition_features`.

    Its scale is that of the Materials Project: PBE(+U) with corrections, from the elements. It may rank compositions and
    pick those worth a search for crystals, but belongs on no hull.
    """

    name: str
    sha256: str
    heads: HeadEnsemble

    def predict(self, formulas: Sequence[Formula]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Formation energy of the lowest crystal of each composition.

        Parameters
        ----------
        formulas
            B compositions; see `onnes.models.composition.element_fractions`, which also lists the errors.

        Returns
        -------
        tuple
            Mean and standard deviation over the networks (eV/atom), both of shape (B,).

        Examples
        --------
        >>> energies, _ = load_formation_model("weights/formation").predict(["NaCl", "Nb3Sn"])  # doctest: +SKIP
        >>> -2.3 < energies[0] < -1.7, -0.3 < energies[1] < 0.1  # doctest: +SKIP
        (True, True)
        """
        members = self.heads.predict(composition_features(formulas))[TARGETS[0]]
        return members.mean(0), members.std(0)


@lru_cache(maxsize=2)
def load_formation_model(name: str) -> FormationModel:
    """Load a model from its folder; none is shipped, ``onnes train formation --out FOLDER`` makes one.

    Raises
    ------
    ModelError
        When there is none, or it is of another kind or was changed.
    """
    weights = load_weights(name)
    if weights.config.get("kind") != "formation":
        raise ModelError(f"model {name!r} is of kind {weights.config.get('kind')!r}; give one of kind 'formation'")
    return FormationModel(name, weights.sha256, HeadEnsemble.from_tensors(weights.tensors, TARGETS))
