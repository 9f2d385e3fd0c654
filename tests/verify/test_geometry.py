import numpy as np
import pytest

from onnes.verify.geometry import last_geometry
from tests.verify.recordings import RECORDED

OUTPUT = (RECORDED / "faults" / "pw-vc-relax-steps" / "out.txt").read_text()
ALAT_A = 7 * 0.529177210903


def written(folder, number, text):
    (folder / f"try-{number}.out").write_text(text)


def test_the_last_step_counts(tmp_path) -> None:
    written(tmp_path, 1, OUTPUT)
    atoms = last_geometry(tmp_path)
    assert atoms.get_chemical_symbols() == ["Al"]
    assert atoms.cell.array == pytest.approx(
        ALAT_A * 0.522948699 * np.array([[-1, 0, 1], [0, 1, 1], [-1, 1, 0]]), abs=1e-8
    )


def test_what_was_cut_off_is_left_out(tmp_path) -> None:
    step = (
        "CELL_PARAMETERS (angstrom)\n 2.0 0.0 0.0\n 0.0 2.0 0.0\n 0.0 0.0 {c}\n\nATOMIC_POSITIONS (angstrom)\n{atoms}"
    )
    head = "     number of atoms/cell      =            2\n"
    whole = "Mg            0.5000000000        0.0  0.0\nB   1.0  0.0  0.0   0 0 0\n"
    text = head + step.format(c="3.0", atoms=whole) + step.format(c="4.0", atoms=whole[: whole.index("B")])
    for end in (len(text), len(text) - 5, text.rindex("CELL") + 40):
        written(tmp_path, 1, text[:end])
        atoms = last_geometry(tmp_path)
        assert atoms.cell.array[2, 2] == 3.0
        assert atoms.positions[:, 0].tolist() == [0.5, 1.0]
        assert atoms.numbers.tolist() == [12, 5]


def test_later_tries_come_first_and_those_without_a_step_do_not_count(tmp_path) -> None:
    assert last_geometry(tmp_path) is None
    written(tmp_path, 2, OUTPUT)
    written(tmp_path, 9, OUTPUT.replace("0.522948699", "0.500000000"))
    written(tmp_path, 10, OUTPUT[: OUTPUT.index("CELL_PARAMETERS")])
    assert last_geometry(tmp_path).cell.array[0, 2] == pytest.approx(ALAT_A / 2)
