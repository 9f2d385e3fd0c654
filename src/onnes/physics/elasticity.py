"""Moduli, sound velocities and Debye temperature of a crystal from its elastic tensor (pymatgen)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from pymatgen.core import Structure

_NAN = float("nan")


@dataclass(frozen=True)
class Moduli:
    """Elastic properties of a polycrystal, by the averages of Voigt, Reuss and Hill (Hill, Proc. Phys. Soc. A 65, 349 (1952)).

    A tensor that is not positive definite has no Reuss average: only the bulk modulus is known then, as the curvature
    of the energy against the volume at fixed shape (Voigt's), and all else is NaN.

    Attributes
    ----------
    bulk_modulus_GPa, shear_modulus_GPa
        Mean of Voigt's and Reuss's.
    youngs_modulus_GPa, poisson_ratio
        Of the isotropic body with these two.
    pugh_ratio
        Shear over bulk modulus; ductile metals lie below about 0.57 (Pugh, Philos. Mag. 45, 823 (1954)).
    universal_anisotropy
        Zero for an isotropic crystal (Ranganathan, Ostoja-Starzewski, Phys. Rev. Lett. 101, 055504 (2008)).
    longitudinal_velocity_m_per_s, transverse_velocity_m_per_s
        Velocities of sound.
    debye_K
        Debye temperature from them (Anderson, J. Phys. Chem. Solids 24, 909 (1963)).
    """

    bulk_modulus_GPa: float
    shear_modulus_GPa: float = _NAN
    youngs_modulus_GPa: float = _NAN
    poisson_ratio: float = _NAN
    pugh_ratio: float = _NAN
    universal_anisotropy: float = _NAN
    longitudinal_velocity_m_per_s: float = _NAN
    transverse_velocity_m_per_s: float = _NAN
    debye_K: float = _NAN


def moduli(tensor_GPa: ArrayLike, structure: Structure) -> Moduli:
    """Moduli of a crystal.

    Parameters
    ----------
    tensor_GPa
        Elastic tensor in Voigt notation, shape (6, 6), symmetric.
    structure
        The crystal: its masses and volume make velocities of the moduli.

    Examples
    --------
    Aluminium with measured constants (Kamm, Alers, J. Appl. Phys. 35, 327 (1964)); its calorimetric Debye temperature is
    428 K:

    >>> from onnes.crystals.known import known_crystal
    >>> c11, c12, c44 = 114.3, 61.9, 31.6
    >>> tensor = np.diag([c11 - c12] * 3 + [c44] * 3)
    >>> tensor[:3, :3] += c12
    >>> found = moduli(tensor, known_crystal("Al"))
    >>> round(found.bulk_modulus_GPa, 1), round(found.shear_modulus_GPa, 1), round(found.debye_K)
    (79.4, 29.3, 432)
    """
    from pymatgen.analysis.elasticity import ElasticTensor

    elastic = ElasticTensor.from_voigt(np.asarray(tensor_GPa, float))
    if np.linalg.eigvalsh(elastic.voigt)[0] <= 0:
        return Moduli(float(elastic.k_voigt))
    bulk, shear = float(elastic.k_vrh), float(elastic.g_vrh)
    return Moduli(
        bulk,
        shear,
        float(elastic.y_mod) * 1e-9,
        float(elastic.homogeneous_poisson),
        shear / bulk,
        float(elastic.universal_anisotropy),
        float(elastic.long_v(structure)),
        float(elastic.trans_v(structure)),
        float(elastic.debye_temperature(structure)),
    )
