"""The whole chain with programs that play recordings of Quantum ESPRESSO."""

import json
import xml.etree.ElementTree as ET

import pytest

from onnes.errors import VerificationError
from onnes.verify.chain import Crystal
from onnes.verify.programs import version_of
from onnes.verify.result import Verification
from onnes.verify.verdict import Verdict
from tests.verify.replay import AL, BOHR_A, XML

Q = [f"phonons_2x2x2_{i:02d}" for i in (1, 2, 3)]
WHOLE = ["scf_dense", "scf_coarse", *Q]


def test_a_finished_chain(replay) -> None:
    seen = []
    result = replay.run(on_step=lambda state: seen.append((state.name, state.state)))
    assert result.verdict is Verdict.SUPERCONDUCTOR
    assert result.coupling.lambda_ == pytest.approx(0.3074, abs=1e-4)  # as test_coupling has it for these recordings
    assert (result.k_grid, result.dense_k_grid, result.coupling.q_grid) == ((8, 8, 8), (16, 16, 16), (2, 2, 2))
    assert result.programs == {"pw": "6.7MaX", "ph": "6.7MaX"}
    assert (result.functional, result.formula, result.lower_confidence) == ("LDA", "Al", ())
    assert result.stress_pressure_GPa == pytest.approx(1.4402, abs=1e-3)
    assert [(step.name, step.state, step.tries) for step in result.steps] == [(name, "done", 1) for name in WHOLE]
    assert replay.starts() == WHOLE
    assert [name for name, state in seen if state == "done"] == WHOLE
    (folder,) = replay.work.iterdir()
    assert folder.name == result.key
    assert not (folder / "scratch").exists()
    assert Verification.model_validate_json((folder / "result.json").read_text()) == result


def test_a_finished_chain_is_not_run_again(replay) -> None:
    first = replay.run()
    replay.plan()
    again = replay.run()
    assert replay.starts() == []
    assert again == first


def test_only_what_is_damaged_is_done_again(replay) -> None:
    first = replay.run()
    replay.plan()
    output = replay.place(Q[1]) / "elph_dir" / "elph.inp_lambda.2"
    output.write_text(output.read_text()[:500])
    again = replay.run()
    assert replay.starts() == ["scf_dense", "scf_coarse", Q[1]]  # the scratch folder is gone since the first run
    assert again.coupling == first.coupling


def test_other_settings_are_another_verification(replay) -> None:
    first = replay.run(run={"keep_scratch": True})
    replay.plan()
    other = replay.run(ecutwfc_Ry=16)
    assert other.key != first.key
    assert replay.starts() == WHOLE
    moved = Crystal(AL.lattice * 1.001, AL.frac_coords, AL.atomic_numbers)
    assert replay.run(crystal=moved).key not in (first.key, other.key)


def test_level_dos(replay) -> None:
    settings = {"level": "dos", "relax": None, "k_grid": None}
    result = replay.run(**settings)
    assert result.verdict is Verdict.METALLIC
    assert replay.starts() == ["scf", "nscf"]
    assert 0.3 < result.dos_ef_states_per_eV < 0.5  # of lambda.x at widths around 0.02 Ry: 0.35 to 0.40
    assert result.coupling is None
    replay.plan()
    assert replay.run(**settings) == result
    assert replay.starts() == []


def test_relaxation_comes_first_and_decides_the_cell(replay) -> None:
    start = Crystal(AL.lattice * 1.03, AL.frac_coords, AL.atomic_numbers)
    result = replay.run(crystal=start, relax=True)
    assert replay.starts() == ["relax", *WHOLE]
    assert result.relaxed
    # the recorded result has a = 7.5 bohr
    assert abs(result.lattice[1]) == pytest.approx(3.75 * BOHR_A, abs=1e-6)
    assert "press" in replay.source("relax", 1)
    cell = replay.source("scf_dense", 1).split("CELL_PARAMETERS")[1].split()
    assert max(map(float, cell[1:10])) == pytest.approx(3.75 * BOHR_A, abs=1e-6)


def test_interpolation(replay) -> None:
    result = replay.run(interpolate=True)
    assert replay.starts() == [*WHOLE, "q2r", "matdyn"]
    assert result.interpolated_coupling.method == "interpolated"
    assert result.interpolated_coupling.lambda_ > 1.1 * result.coupling.lambda_
    assert result.programs.keys() == {"pw", "ph", "q2r", "matdyn"}


def test_a_failed_interpolation_leaves_the_result_on_the_grid(replay) -> None:
    replay.plan(q2r=["q2r-no-dyn"])
    result = replay.run(interpolate=True)
    assert result.verdict is Verdict.SUPERCONDUCTOR
    assert result.interpolated_coupling is None
    assert any(remark.startswith("no interpolation: q2r") for remark in result.coupling.remarks)


def test_imaginary_modes_between_the_computed_wave_vectors_leave_no_tc(replay, monkeypatch) -> None:
    from onnes.verify import interpolated

    def imaginary(path):
        one = spectrum(path)
        return one._replace(omega_Ry=one.omega_Ry - 0.4 * one.omega_Ry[-1])

    spectrum = interpolated._spectrum
    monkeypatch.setattr(interpolated, "_spectrum", imaginary)
    result = replay.run(interpolate=True)
    assert result.verdict is Verdict.NOT_CONVERGED
    assert "imaginary frequencies" in result.reason
    assert (result.coupling.lambda_, result.coupling.tc_hi_K, result.coupling.tc_allen_dynes_K) == (None, None, ())


def test_what_is_added_to_a_result_repeats_no_step(replay) -> None:
    replay.run(run={"keep_scratch": True})
    replay.plan()
    result = replay.run(interpolate=True, mu_stars=(0.10, 0.2), max_atoms=3)
    assert replay.starts() == ["q2r", "matdyn"]
    assert result.coupling.mu_star == (0.10, 0.2)


def test_an_unforeseen_fault_keeps_what_was_computed(replay, monkeypatch) -> None:
    from onnes.verify import chain

    def broken(*_args, **_more):
        raise RuntimeError("something new")

    with monkeypatch.context() as patched:
        patched.setattr(chain, "coupling_of", broken)
        result = replay.run()
    assert (result.verdict, result.step) == (Verdict.FAILED, "collect")
    assert "RuntimeError: something new" in result.reason
    replay.plan()
    assert replay.run().verdict is Verdict.SUPERCONDUCTOR
    assert replay.starts() == []


def test_level_final_compares_grids_and_draws_bands(replay) -> None:
    settings = {"level": "final", "q_grid": (4, 4, 4), "interpolate": False}
    result = replay.run(**settings)
    assert replay.starts() == [*WHOLE, *[f"phonons_4x4x4_{i:02d}" for i in range(1, 9)], "bands"]
    assert result.coarse_coupling.q_grid == (2, 2, 2)
    assert result.coupling.q_grid == (4, 4, 4)
    assert 0.36 < result.coupling.lambda_ < 0.46
    replay.plan()
    assert replay.run(**settings) == result
    assert replay.starts() == []


def test_bands_that_cannot_be_drawn_are_told_of(replay, monkeypatch) -> None:
    from ase.cell import Cell

    def unknown(*_args, **_more):
        raise RuntimeError("Could not find lattice type")

    monkeypatch.setattr(Cell, "bandpath", unknown)
    result = replay.run(bands=True)
    assert result.verdict is Verdict.SUPERCONDUCTOR
    assert "no bands: Could not find lattice type" in result.coupling.remarks


def test_an_unstable_crystal_gets_no_tc(replay) -> None:
    replay.plan(crystal="sc", q_points=4)
    simple_cubic = Crystal([[5.03 * BOHR_A, 0, 0], [0, 5.03 * BOHR_A, 0], [0, 0, 5.03 * BOHR_A]], [[0, 0, 0]], [13])
    result = replay.run(crystal=simple_cubic, q_grid=(2, 2, 2), interpolate=True)
    assert result.verdict is Verdict.UNSTABLE
    assert "imaginary" in result.reason
    assert result.min_phonon_THz < -3
    assert "q2r" not in replay.starts()
    assert result.interpolated_coupling is None

    def of_tc(value, name=""):
        if isinstance(value, dict):
            return [found for key, one in value.items() for found in of_tc(one, key)]
        if isinstance(value, list) and name != "curve":
            return [found for one in value for found in of_tc(one, name)]
        summed = ("lambda_std", "omega_log_K", "omega2_K", "alpha2f", "plateau_Ry")
        return [(name, value)] if name.startswith("tc_") or name in summed else []

    (folder,) = replay.work.iterdir()
    kept = json.loads((folder / "result.json").read_text())
    assert [(name, value) for name, value in of_tc(kept) if value] == []
    assert kept["coupling"]["lambda_"] is None


def with_gap(path):
    """The recorded run as if two electrons filled the lowest band, 2 hartree below the next."""
    tree = ET.parse(XML)
    bands = tree.getroot().find("output/band_structure")
    bands.find("nelec").text = "2.0"
    for values in bands.iter("eigenvalues"):
        first, *rest = map(float, values.text.split())
        values.text = " ".join(map(str, [first, *(value + 2 for value in rest)]))
    for prefix, uri in (("qes", "http://www.quantum-espresso.org/ns/qes/qes-1.0"),):
        ET.register_namespace(prefix, uri)
    tree.write(path)
    return path


@pytest.mark.parametrize("level", ["dos", "smoke"])
def test_an_insulator_is_not_metallic_and_gets_no_phonons(replay, tmp_path, level) -> None:
    replay.plan(xml=with_gap(tmp_path / "gap.xml"))
    result = replay.run(level=level, k_grid=None, relax=False)
    assert result.verdict is Verdict.NOT_METALLIC
    assert result.gap_eV > 40
    assert not any("phonons" in step for step in replay.starts())


def test_nothing_is_computed_without_programs(replay) -> None:
    result = replay.run(run={"ph_command": "no-such-ph.x"})
    assert result.verdict is Verdict.NOT_AVAILABLE
    assert "no-such-ph.x" in result.reason
    assert "apt-get install" in result.advice
    assert replay.starts() == []
    assert not replay.work.exists()
    assert replay.run(run={"ranks": 2, "launcher": "no-such-launcher -n {ranks}"}).verdict is Verdict.NOT_AVAILABLE


def test_level_dos_needs_no_phonon_program(replay) -> None:
    assert replay.run(level="dos", k_grid=None, run={"ph_command": "no-such-ph.x"}).verdict is Verdict.METALLIC


def test_nothing_is_computed_without_pseudopotentials(replay) -> None:
    result = replay.run(functional="PBEsol")
    assert result.verdict is Verdict.NOT_AVAILABLE
    assert "no pseudopotentials for PBEsol" in result.reason
    assert (result.coupling, result.programs) == (None, {})
    assert replay.run(pseudos=str(replay.home / "nowhere"), functional=None).verdict is Verdict.NOT_AVAILABLE
    assert replay.starts() == []


def test_large_cells_and_impossible_grids_are_not_begun(replay) -> None:
    result = replay.run(max_atoms=1, crystal=Crystal(AL.lattice, [[0, 0, 0], [0.3, 0.3, 0.3]], [13, 13]))
    assert result.verdict is Verdict.NOT_AVAILABLE
    assert "2 atoms" in result.reason
    result = replay.run(q_grid=(3, 3, 3))
    assert result.verdict is Verdict.NOT_AVAILABLE
    assert "not a multiple of (3, 3, 3)" in result.reason
    assert replay.starts() == []


def test_a_folder_in_use_is_refused(replay) -> None:
    refused = []

    def second(_) -> None:
        with pytest.raises(VerificationError, match="in use by another run") as caught:
            replay.run()
        refused.append(caught)

    assert replay.run(on_step=second).verdict is Verdict.SUPERCONDUCTOR
    assert refused
    assert replay.starts() == WHOLE


def test_versions_are_asked_for_once(replay) -> None:
    assert version_of(replay.commands["pw_command"]) == "6.7MaX"
    assert version_of("no-such-program.x") == ""
