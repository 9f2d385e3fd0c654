import numpy as np
import pytest
import torch

from onnes.training.spectrum_losses import emd_loss, mse_loss, smoothness_penalty, weighted_mse_loss


def test_emd_by_hand() -> None:
    predicted = torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
    target = torch.tensor([[1.0, 0.0, 3.0], [1.0, 1.0, 0.0]])
    # cumulative sums of the first differ by -1, 1, -1, those of the second by 0, 0, 1
    assert float(emd_loss(predicted, target)) == pytest.approx((3 + 1) / 2)
    assert float(emd_loss(2 * predicted, 2 * target)) == pytest.approx(4)  # not normalised


def test_emd_counts_bins_moved() -> None:
    spectra = np.zeros((4, 51))
    spectra[np.arange(4), [10, 13, 30, 10]] = 1
    target = torch.tensor(spectra[[3] * 3])
    assert float(emd_loss(torch.tensor(spectra[:3]), target)) == pytest.approx((0 + 3 + 20) / 3)


def test_squared_errors_and_their_weights() -> None:
    target = torch.zeros(2, 51)
    assert float(mse_loss(target + 2, target)) == pytest.approx(4)
    assert float(weighted_mse_loss(target + 2, target)) == pytest.approx(4, rel=1e-5)  # the weights have mean 1
    first, second = target.clone(), target.clone()
    first[:, 5], second[:, 20] = 1, 1
    ratio = float(weighted_mse_loss(first, target) / weighted_mse_loss(second, target))
    assert ratio == pytest.approx(40.25 / 10.25, rel=1e-5)


def test_smoothness_acts_on_the_prediction() -> None:
    assert float(smoothness_penalty(torch.arange(51.0)[None])) == 0
    bent = torch.zeros(1, 51, requires_grad=True)
    spike = bent + torch.nn.functional.one_hot(torch.tensor([7]), 51)
    penalty = smoothness_penalty(spike)
    assert float(penalty) == 4  # 1, 2, 1
    penalty.backward()
    assert bent.grad.abs().max() > 0
