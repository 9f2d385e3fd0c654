import pytest
import torch

from onnes.errors import ModelError
from onnes.potentials.devices import torch_device


def test_cpu_means_one_thread() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch_device("cpu") == torch.device("cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(min(before, 1))


def test_cuda_that_is_not_there_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match="--device cpu"):
        torch_device("cuda")


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_that_is_there(monkeypatch, device) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_device(device) == torch.device(device)


def test_unknown_device() -> None:
    with pytest.raises(ModelError, match="unknown device 'tpu'"):
        torch_device("tpu")
