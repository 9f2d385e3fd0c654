import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.models.prediction import NUMBERS
from onnes.models.spectrum import ensemble_columns, moments_tc_K
from onnes.models.spectrum_prediction import spectrum_columns
from onnes.physics.spectra import ALPHA2F_GRID_MEV, binned_moments

BINS = ALPHA2F_GRID_MEV[:51]
BATCH = CrystalBatch.of([(3.3 * np.eye(3), np.zeros((1, 3)), [41])] * 3)
# Tc of about 4 to 12 K, next to nothing, and none at all
HEIGHTS = np.stack([np.linspace(0.3, 0.6, 5), np.full(5, 0.01), np.zeros(5)], axis=1)
SPECTRA = HEIGHTS[:, :, None] * np.exp(-(((BINS - 20) / 6) ** 2))


class Fixed:
    """Stands for a model of five members with given spectra."""

    def __init__(self, spectra=SPECTRA):
        self.spectra = spectra

    def member_spectra(self, batch, site_phonon_dos=None, *, device="cpu"):
        self.asked = (len(batch), site_phonon_dos, device)
        return self.spectra


@pytest.fixture(scope="module")
def columns():
    return spectrum_columns(Fixed(), BATCH)


def test_what_the_table_needs_is_there(columns) -> None:
    assert set(NUMBERS) - {"is_metal_probability", "magmom_max_muB"} == set(columns) - {"alpha2f"}
    assert all(column.shape == (3,) for name, column in columns.items() if name != "alpha2f")
    assert np.isnan(columns["domain_distance"]).all()


def test_spectrum_is_padded_and_has_the_moments(columns) -> None:
    assert columns["alpha2f"].shape == (3, 101)
    np.testing.assert_allclose(columns["alpha2f"][:, :51], SPECTRA.mean(0))
    assert not columns["alpha2f"][:, 51:].any()
    padded = binned_moments(columns["alpha2f"])
    np.testing.assert_allclose(padded.lambda_, columns["lambda_"])
    np.testing.assert_allclose(padded.omega2_K, columns["omega2_K"])
    wanted = ensemble_columns(SPECTRA)
    for name in ("lambda_std", "omega_log_K", "omega_log_K_std", "tc_K", "tc_K_std", "tc_mu016_K", "mu_star"):
        np.testing.assert_array_equal(columns[name], wanted[name])


def test_interval_holds_the_quantiles_of_the_members_and_tc(columns) -> None:
    tc = np.sort(moments_tc_K(binned_moments(SPECTRA))[:, 0])
    # of five values the 5 % quantile lies a fifth of the way from the first to the second
    assert columns["tc_lo_K"][0] == pytest.approx(tc[0] + 0.2 * (tc[1] - tc[0]))
    assert columns["tc_hi_K"][0] == pytest.approx(tc[4] - 0.2 * (tc[4] - tc[3]))
    assert (columns["tc_lo_K"] <= columns["tc_K"]).all()
    assert (columns["tc_K"] <= columns["tc_hi_K"]).all()
    assert columns["tc_hi_K"][2] == 0
    alone = spectrum_columns(Fixed(SPECTRA[:1]), BATCH)
    for name in ("tc_lo_K", "tc_hi_K"):
        np.testing.assert_array_equal(alone[name], alone["tc_K"])
    # two kinds of members: Tc of the mean spectrum lies below nine of ten
    split = np.where(np.arange(100)[:, None, None] < 4, 0.0, SPECTRA[-1])
    far = spectrum_columns(Fixed(split), BATCH)
    assert far["tc_lo_K"][0] == far["tc_K"][0] < moments_tc_K(binned_moments(split))[:, 0].max()


def test_probability_is_a_share_of_the_members(columns) -> None:
    tc = moments_tc_K(binned_moments(SPECTRA))[:, 0]
    assert 0 < (tc > 5).sum() < 5
    assert columns["tc_above_5K_probability"].tolist() == [(tc > 5).sum() / 5, 0, 0]


def test_phonons_and_device_go_to_the_model() -> None:
    model, dos = Fixed(), np.ones((3, 51))
    spectrum_columns(model, BATCH, dos, device="cuda")
    assert model.asked == (3, dos, "cuda")
