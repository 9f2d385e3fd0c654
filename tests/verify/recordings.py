"""Recorded outputs of Quantum ESPRESSO, see recorded/README.md."""

from functools import cache
from pathlib import Path

from onnes.verify.phonon_output import read_q_list, read_qpoint

RECORDED = Path(__file__).parent / "recorded"


def files(name, i):
    return RECORDED / name / f"ph{i}.out", RECORDED / name / f"elph.inp_lambda.{i}"


@cache
def recorded(name):
    """Grid and q points of a recorded run."""
    grid, q_list = read_q_list(RECORDED / name / "x.dyn0")
    return grid, [read_qpoint(*files(name, i)) for i in range(1, len(q_list) + 1)]
