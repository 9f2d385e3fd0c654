"""Inputs of the programs."""

import numpy as np
import pytest

from onnes.errors import VerificationError
from onnes.verify import inputs
from onnes.verify.inputs import (
    elements_of,
    grids,
    matdyn_namelists,
    namelist_text,
    ph_namelists,
    primitive_atoms,
    pw_namelists,
    pw_text,
    q2r_namelists,
)
from onnes.verify.pseudopotentials import Pseudopotential
from onnes.verify.settings import VerifySettings, levels

A = 4.05
FCC = A / 2 * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]])
PSEUDOS = {
    "B": Pseudopotential("B", "b file.UPF", "", "LDA", 40.0, 160.0, "directory", 3, False, b""),
    "Mg": Pseudopotential("Mg", "Mg.UPF", "", "LDA", 30.0, 300.0, "directory", 2, False, b""),
}
LATTICE = [[3.08, 0, 0], [-1.54, 2.6674, 0], [0, 0, 3.52]]
MGB2 = primitive_atoms(LATTICE, [[0, 0, 0], [1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]], [12, 5, 5])


def settings_of(**changes):
    settings = VerifySettings(**changes)
    return settings, settings.of_level()


def text_of(calculation="scf", atoms=MGB2, la2F=False, **changes):
    settings, level = settings_of(**changes)
    namelists = pw_namelists(
        calculation, PSEUDOS, settings, level, n_atoms=len(atoms), scratch="../s", pseudo_folder="../p", pressure_GPa=2.5, la2F=la2F
    )  # fmt: skip
    return pw_text(namelists, atoms, PSEUDOS, kpts=(6, 6, 4))


def values_of(text):
    lines = [line.split("=") for line in text.splitlines() if "=" in line]
    return {key.strip().lower(): value.strip().strip("'") for key, value in lines}


@pytest.mark.parametrize("level", ["smoke", "screen", "final"])
def test_the_dense_grid_writes_what_the_double_delta_sums_read(level) -> None:
    assert values_of(text_of(level=level, la2F=True))["la2f"] == ".true."
    assert "la2f" not in text_of(level=level).lower()


def test_a_lost_key_is_noticed(monkeypatch) -> None:
    from ase.io import espresso

    def lossy(file, *_, **__):
        file.write("&system\n/\n")

    monkeypatch.setattr(espresso, "write_espresso_in", lossy)
    with pytest.raises(VerificationError, match="la2F was lost"):
        text_of(la2F=True)


def test_input_of_pw() -> None:
    text = text_of(level="screen")
    values = values_of(text)
    assert (values["ecutwfc"], values["ecutrho"]) == ("40.0", "300.0")  # the larger of each
    assert float(values["conv_thr"]) == pytest.approx(3e-10)  # of three atoms
    assert (values["occupations"], values["smearing"], values["degauss"]) == ("smearing", "mp", "0.02")
    assert values["tstress"] == values["tprnfor"] == ".true."
    assert "K_POINTS automatic\n6 6 4  0 0 0" in text
    assert "Mg 24.305 Mg.UPF" in text
    assert "nat" in values
    assert values["ntyp"] == "2"


def test_the_file_is_named_as_it_is_written(tmp_path) -> None:
    for pseudo in PSEUDOS.values():
        pseudo.write(tmp_path)
    section = text_of().split("ATOMIC_SPECIES")[1].split("K_POINTS")[0]
    named = {line.split()[2] for line in section.splitlines() if len(line.split()) == 3}
    assert named == {path.name for path in tmp_path.iterdir()}


def test_a_given_cutoff_keeps_the_ratio_of_the_density() -> None:
    values = values_of(text_of(ecutwfc_Ry=20))
    assert (float(values["ecutwfc"]), float(values["ecutrho"])) == (20, 200)


def test_input_of_a_relaxation() -> None:
    values = values_of(text_of("vc-relax", level="final"))
    assert float(values["press"]) == 25  # kbar
    assert float(values["press_conv_thr"]) == 0.2
    assert (values["ion_dynamics"], values["cell_dynamics"]) == ("bfgs", "bfgs")
    assert "press" not in values_of(text_of("scf"))
    assert "tstress" not in values_of(text_of("nscf"))


def test_inputs_of_the_other_programs() -> None:
    level = levels()["final"]
    ph = values_of(namelist_text(ph_namelists((4, 4, 2), 3, level, scratch="../s")))
    assert (ph["start_q"], ph["last_q"], ph["ldisp"], ph["trans"]) == ("3", "3", ".true.", ".true.")
    assert (ph["nq1"], ph["nq2"], ph["nq3"]) == ("4", "4", "2")
    assert (ph["electron_phonon"], ph["el_ph_nsigma"]) == ("interpolated", "10")
    assert float(ph["el_ph_sigma"]) == 0.005
    assert float(ph["tr2_ph"]) == 1e-16
    assert values_of(namelist_text(q2r_namelists()))["la2f"] == ".true."
    matdyn = values_of(namelist_text(matdyn_namelists((4, 4, 2))))
    assert (matdyn["nk1"], matdyn["nk3"], matdyn["la2f"]) == ("16", "12", ".true.")


@pytest.mark.parametrize("level", ["smoke", "screen", "final"])
@pytest.mark.parametrize(
    "atoms", [MGB2, primitive_atoms(FCC, [[0, 0, 0]], [13]), primitive_atoms(np.diag([3, 4, 15.0]), [[0, 0, 0]], [82])]
)
def test_grids_are_commensurate_and_as_dense_as_the_level_asks(atoms, level) -> None:
    settings, values = settings_of(level=level)
    found = grids(atoms, settings, values)
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(atoms.cell.array).T, axis=1)
    for grid, distance in ((found.q, values.q_distance), (found.k, values.k_distance)):
        assert (lengths / np.array(grid) <= distance + 1e-6).all()
    assert not (np.array(found.k) % np.array(found.q)).any()
    assert (np.array(found.dense) == 2 * np.array(found.k)).all()


def test_grids_of_aluminium() -> None:
    atoms = primitive_atoms(FCC, [[0, 0, 0]], [13])
    found = {name: grids(atoms, *settings_of(level=name)) for name in ("dos", "smoke", "screen")}
    assert (found["smoke"].q, found["smoke"].k, found["smoke"].dense) == ((2,) * 3, (8,) * 3, (16,) * 3)
    assert (found["screen"].q, found["screen"].k, found["screen"].dense) == ((4,) * 3, (8,) * 3, (16,) * 3)
    assert (found["dos"].k, found["dos"].dense) == ((7,) * 3, (14,) * 3)


def test_grids_that_do_not_fit() -> None:
    for wrong, name in (
        ({"q_grid": (4, 4, 4), "k_grid": (6, 6, 6)}, "the k grid"),
        ({"k_grid": (8, 8, 8), "dense_k_grid": (12, 12, 12)}, "the dense k grid"),
    ):
        with pytest.raises(VerificationError, match=name):
            grids(MGB2, *settings_of(**wrong))
    found = grids(MGB2, *settings_of(q_grid=(2, 2, 1), k_grid=(4, 4, 3), dense_k_grid=(12, 12, 9)))
    assert found == inputs.Grids((2, 2, 1), (4, 4, 3), (12, 12, 9))


def test_the_primitive_cell_is_computed() -> None:
    cube = np.eye(3) * A
    atoms = primitive_atoms(cube, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [13] * 4)
    assert len(atoms) == 1
    assert atoms.cell.volume == pytest.approx(A**3 / 4)
    noisy = primitive_atoms(cube + 1e-4, [[0.0001, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [13] * 4)
    assert len(noisy) == 1
    assert elements_of(MGB2) == ["B", "Mg"]


def test_numbers_of_numpy_are_written_as_fortran_reads_them() -> None:
    settings, level = settings_of(level="smoke")
    namelists = pw_namelists(
        "vc-relax", PSEUDOS, settings, level, n_atoms=3, scratch="s", pseudo_folder="p", pressure_GPa=np.float64(1.5)
    )
    text = pw_text(namelists, MGB2, PSEUDOS, kpts=(2, 2, 2))
    assert "np." not in text
    assert float(values_of(text)["press"]) == 15.0
