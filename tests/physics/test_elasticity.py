import numpy as np
import pytest
from pymatgen.analysis.elasticity import ElasticTensor
from pymatgen.core import Lattice, Structure
from scipy import constants

from onnes.crystals.known import known_crystal
from onnes.physics.elasticity import moduli


def cubic(c11, c12, c44):
    tensor = np.diag([c11 - c12] * 3 + [c44] * 3).astype(float)
    tensor[:3, :3] += c12
    return tensor


def test_isotropic_body() -> None:
    """Lame constants 100 and 50 GPa: every average is the same number."""
    found = moduli(cubic(200, 100, 50), known_crystal("Nb"))
    assert found.bulk_modulus_GPa == pytest.approx(100 + 2 / 3 * 50)
    assert found.shear_modulus_GPa == pytest.approx(50)
    assert found.youngs_modulus_GPa == pytest.approx(50 * (3 * 100 + 2 * 50) / 150)
    assert found.poisson_ratio == pytest.approx(100 / (2 * 150))
    assert found.pugh_ratio == pytest.approx(50 / (100 + 100 / 3))
    assert found.universal_anisotropy == pytest.approx(0, abs=1e-9)


def test_velocities_and_debye_temperature_by_hand() -> None:
    niobium = known_crystal("Nb")
    found = moduli(cubic(200, 100, 50), niobium)
    density = niobium.density * 1e3
    assert found.transverse_velocity_m_per_s == pytest.approx(np.sqrt(50e9 / density), rel=1e-4)
    assert found.longitudinal_velocity_m_per_s == pytest.approx(np.sqrt(200e9 / density), rel=1e-4)
    inverse = (found.longitudinal_velocity_m_per_s**-3 + 2 * found.transverse_velocity_m_per_s**-3) / 3
    atoms_per_m3 = len(niobium) / (niobium.volume * 1e-30)
    wanted = constants.h / constants.k * (3 * atoms_per_m3 / (4 * np.pi)) ** (1 / 3) * inverse ** (-1 / 3)
    assert found.debye_K == pytest.approx(wanted, rel=1e-3)


def test_measured_constants_of_copper() -> None:
    """Overton, Gaffney, Phys. Rev. 98, 969 (1955), at 0 K; the calorimetric Debye temperature is 344 K."""
    copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.603), ["Cu"], [[0, 0, 0]])
    found = moduli(cubic(176.2, 124.9, 81.8), copper)
    assert found.bulk_modulus_GPa == pytest.approx(142, abs=1)
    assert found.debye_K == pytest.approx(344, rel=0.03)


def test_anisotropic_averages_are_those_of_pymatgen() -> None:
    tensor = cubic(170, 120, 75)
    elastic = ElasticTensor.from_voigt(tensor)
    found = moduli(tensor, known_crystal("Nb"))
    assert elastic.g_reuss < found.shear_modulus_GPa < elastic.g_voigt
    assert found.universal_anisotropy == pytest.approx(elastic.universal_anisotropy)


def test_unstable_tensor_has_a_bulk_modulus_only() -> None:
    found = moduli(cubic(100, 120, 40), known_crystal("Nb"))
    assert found.bulk_modulus_GPa == pytest.approx(340 / 3)
    assert np.isnan([found.shear_modulus_GPa, found.poisson_ratio, found.debye_K, found.pugh_ratio]).all()
