import numpy as np
import pytest

from onnes.models import spectra_of_moments as module
from onnes.models.spectra_of_moments import with_spectra
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.physics.spectra import ALPHA2F_GRID_MEV, K_PER_MEV
from onnes.physics.spectral_shape import PhononDos
from tests.potentials.fakes import FakePotential, fcc_batch

ZS = (13, 29, 47, 79, 41, 23)
BATCH = fcc_batch(ZS)


def predicted(lam, log_K, two_K, debye_K=250.0):
    lam, log_K, two_K, debye = (np.broadcast_to(np.asarray(x, float), (len(ZS),)) for x in (lam, log_K, two_K, debye_K))
    tc = allen_dynes_tc_K(lam, log_K, two_K)
    return {
        "lambda_": lam, "omega_log_K": log_K, "omega2_K": two_K, "debye_K": debye, "tc_K": tc, "tc_lo_K": 0.5 * tc,
        "tc_hi_K": 1.5 * tc, "tc_mu016_K": allen_dynes_tc_K(lam, log_K, two_K, mu_star=0.16),
    }  # fmt: skip


GOOD = predicted([0.2, 0.5, 0.8, 1.2, 2.0, 0.01], [60, 120, 200, 300, 600, 90], [70, 150, 220, 380, 700, 99])
HARD = predicted([0.5, 0.5, 0.8, 1.2, 0.7, 0.3], [15, 3000, 200, 200, 600, 90], [20, 3100, 200.5, 200, 2600, 90.2])
"""Too soft, too hard, too narrow or too wide for bins of 2 meV up to 200."""


def trapezoid_moments(alpha2f):
    """Lambda, omega_log (K), omega2 (K) by the trapezoidal rule over the whole grid."""
    omega = ALPHA2F_GRID_MEV
    weight = 2 * np.asarray(alpha2f, float) / omega
    lam, logs, squares = (np.trapezoid(weight * x, omega, axis=1) for x in (1.0, np.log(omega), omega**2))
    return lam, np.exp(logs / lam) * K_PER_MEV, np.sqrt(squares / lam) * K_PER_MEV


def check_sound(found):
    spectra = found["alpha2f"]
    assert spectra.shape == (len(ZS), 101)
    assert (spectra >= 0).all()
    assert (spectra[:, [0, -1]] == 0).all()
    for have, name in zip(trapezoid_moments(spectra), ("lambda_", "omega_log_K", "omega2_K"), strict=True):
        np.testing.assert_allclose(have, found[name], rtol=1e-4, err_msg=name)
    for name, mu_star in (("tc_K", 0.10), ("tc_mu016_K", 0.16)):
        wanted = allen_dynes_tc_K(found["lambda_"], found["omega_log_K"], found["omega2_K"], mu_star=mu_star)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6, atol=1e-9)
    assert (found["tc_lo_K"] <= found["tc_K"]).all()
    assert (found["tc_K"] <= found["tc_hi_K"]).all()


def test_moments_that_a_spectrum_can_have_are_kept() -> None:
    found = with_spectra(GOOD, BATCH, None)
    check_sound(found)
    for name, column in GOOD.items():
        np.testing.assert_array_equal(found[name], column)


def test_others_are_moved_to_the_nearest_and_tc_follows() -> None:
    found = with_spectra(HARD, BATCH, None)
    check_sound(found)
    np.testing.assert_allclose(found["lambda_"], HARD["lambda_"], rtol=1e-6)
    moved = ~np.isclose(found["omega_log_K"], HARD["omega_log_K"]) | ~np.isclose(found["omega2_K"], HARD["omega2_K"])
    assert moved.sum() >= 4
    assert not np.allclose(found["tc_K"][:2], HARD["tc_K"][:2])


def test_missing_rows_stay_missing() -> None:
    given = {name: np.where(np.arange(len(ZS)) == 2, np.nan, column) for name, column in GOOD.items()}
    found = with_spectra(given, BATCH, None)
    for name, column in found.items():
        assert np.isnan(column.reshape(len(ZS), -1)).all(1).tolist() == [i == 2 for i in range(len(ZS))], name


def test_nothing() -> None:
    found = with_spectra({name: column[:0] for name, column in GOOD.items()}, BATCH.select([]), None)
    assert found["alpha2f"].shape == (0, 101)


def test_phonons_shape_the_spectrum(monkeypatch) -> None:
    """Where there are phonons the curve follows them; the moments, and crystals whose phonons fail, stay."""
    omega = np.linspace(0, 30, 301)
    two_peaks = np.exp(-(((omega - 8) / 1.5) ** 2)) + np.exp(-(((omega - 25) / 1.5) ** 2))
    asked = []

    class Found:
        dos = PhononDos(omega, two_peaks)

    def phonons_of(batch, potential):
        asked.append((len(batch), potential.name))
        return [Found() if z == 29 else "the phonons failed" for z in ZS]

    monkeypatch.setattr(module, "phonons_of", phonons_of)
    monkeypatch.setattr(module, "load_potential", lambda name, device="cpu": FakePotential(name))
    without, found = with_spectra(GOOD, BATCH, None), with_spectra(GOOD, BATCH, "sevennet-0")
    assert asked == [(len(ZS), "sevennet-0")]
    check_sound(found)
    others = [i for i, z in enumerate(ZS) if z != 29]
    np.testing.assert_array_equal(found["alpha2f"][others], without["alpha2f"][others])
    curve, plain = found["alpha2f"][1], without["alpha2f"][1]
    valley, peaks = slice(7, 10), (4, 12)  # 14 to 18 meV between 8 and 25 meV, stretched by up to 1.6
    assert curve[valley].min() < 0.5 * min(curve[2:8].max(), curve[9:20].max())
    assert np.abs(curve - plain).max() > 0.1 * plain.max()
    assert curve[peaks[0]] > 0
    np.testing.assert_array_equal(found["lambda_"], without["lambda_"])


@pytest.mark.parametrize("debye_K", [0.0, -5.0, np.nan])
def test_no_debye_temperature_no_spectrum(debye_K) -> None:
    found = with_spectra({**GOOD, "debye_K": np.full(len(ZS), debye_K)}, BATCH, None)
    assert np.isnan(found["alpha2f"]).all()
    np.testing.assert_array_equal(found["tc_K"], GOOD["tc_K"])
