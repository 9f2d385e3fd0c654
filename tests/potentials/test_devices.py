import subprocess
import sys

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


def test_freed_memory_is_kept_where_the_allocator_can_be_told() -> None:
    code = (
        "import sys, resource, torch\n"
        "from onnes.potentials.devices import keep_freed_memory\n"
        "kept = keep_freed_memory() if sys.argv[1] == 'keep' else False\n"
        "def work():\n"
        "    many = [torch.ones(2**20) for _ in range(40)]\n"
        "    return sum(one[0] for one in many)\n"
        "work()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(10): work()\n"
        "print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )

    def run(how: str) -> tuple[str, int]:
        output = subprocess.run([sys.executable, "-c", code, how], capture_output=True, text=True, check=True).stdout
        kept, faults = output.split()
        return kept, int(faults)

    kept, faults = run("keep")
    if kept == "False":
        pytest.skip("the C library is not glibc")
    assert faults < 0.1 * run("leave")[1]
