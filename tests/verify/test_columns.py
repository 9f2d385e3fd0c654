import json

import pyarrow as pa
import pytest

from onnes.crystals.schema import COLUMNS, GEOMETRY_DEPENDENT, with_columns
from onnes.physics.allen_dynes import allen_dynes_tc_K
from onnes.verify.columns import DFT_COLUMNS, columns_of, failed_columns
from onnes.verify.coupling import coupling_of
from onnes.verify.result import UsedPseudopotential, Verification
from onnes.verify.verdict import Verdict
from tests.verify.recordings import recorded

BASE = {
    "key": "0123456789abcdef", "level": "smoke", "verdict": Verdict.SUPERCONDUCTOR, "reason": "seen", "advice": "look closer",
    "formula": "Al", "n_atoms": 1, "functional": "LDA", "energy_eV_per_atom": -56.3, "dos_ef_states_per_eV": 0.4,
    "ecutwfc_Ry": 15.0, "ecutrho_Ry": 60.0, "k_grid": (8, 8, 8), "dense_k_grid": (16, 16, 16), "min_phonon_THz": 4.4,
    "programs": {"pw": "6.7MaX", "ph": "6.7MaX"},
}  # fmt: skip


@pytest.fixture(scope="module")
def coupling():
    grid, points = recorded("al2")
    return coupling_of(points, grid, n_atoms=1, mu_stars=(0.10, 0.13, 0.16))


def test_every_column_is_one_of_the_table_and_is_void_when_the_crystal_moves():
    assert set(DFT_COLUMNS) <= set(COLUMNS)
    assert set(DFT_COLUMNS) <= set(GEOMETRY_DEPENDENT)


def test_a_whole_verification(coupling):
    found = columns_of(Verification(**BASE, coupling=coupling), n_atoms=4)
    assert set(found) == set(DFT_COLUMNS)
    assert (found["dft_verdict"], found["dft_reason"]) == ("superconductor", "seen; look closer")
    assert found["dft_dos_ef_states_per_eV"] == pytest.approx(1.6)  # of the row's cell of four atoms
    assert found["dft_lambda"] == coupling.lambda_
    assert found["dft_tc_K"] == coupling.tc_allen_dynes_K[0]
    assert found["dft_tc_lo_K"] <= found["dft_tc_K"] <= found["dft_tc_hi_K"]
    assert len(found["dft_alpha2f"]) == 101
    assert found["dft_method"] == "LDA; 15/60 Ry; k 8x8x8, dense 16x16x16, q 2x2x2; Quantum ESPRESSO 6.7MaX"
    assert found["dft_confidence"].startswith("lower: coarse grid")
    table = with_columns(pa.table({"id": ["Al"]}), {name: [value] for name, value in found.items()})
    assert json.loads(json.dumps(table.to_pylist()[0]))["dft_key"] == BASE["key"]


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.NOT_CONVERGED, Verdict.UNSTABLE])
def test_another_verdict_has_no_tc_whatever_was_computed_before(coupling, verdict):
    found = columns_of(Verification(**(BASE | {"verdict": verdict}), coupling=coupling), n_atoms=1)
    assert [found[name] for name in ("dft_tc_K", "dft_tc_hi_K", "dft_lambda", "dft_omega_log_K", "dft_alpha2f")] == [
        None
    ] * 5
    assert found["dft_energy_eV_per_atom"] == -56.3


def test_tc_is_that_of_the_models_convention_even_where_it_was_not_asked_for(coupling):
    few = coupling.model_copy(update={"mu_star": (0.13, 0.16), "tc_allen_dynes_K": coupling.tc_allen_dynes_K[1:]})
    expected = float(allen_dynes_tc_K(coupling.lambda_, coupling.omega_log_K, coupling.omega2_K, mu_star=0.10))
    assert columns_of(Verification(**BASE, coupling=few), 1)["dft_tc_K"] == pytest.approx(expected)


def test_no_number_without_a_plateau_or_with_an_unstable_mode(coupling):
    missing = dict.fromkeys(
        ("lambda_", "lambda_std", "omega_log_K", "omega2_K", "tc_lo_K", "tc_hi_K", "alpha2f", "plateau_Ry")
    )
    bare = coupling.model_copy(update=missing | {"tc_allen_dynes_K": (), "tc_eliashberg_K": ()})
    found = columns_of(Verification(**BASE | {"verdict": Verdict.UNSTABLE, "min_phonon_THz": -3.0}, coupling=bare), 1)
    assert (found["dft_tc_K"], found["dft_lambda"], found["dft_alpha2f"]) == (None, None, None)
    assert found["dft_min_phonon_THz"] == -3.0


def test_what_the_models_read_is_given_on_their_scale_only():
    assert "dos_ef_states_per_eV" not in columns_of(Verification(**BASE), 1)
    scaled = Verification(**BASE, dos_ef_training_scale_states_per_eV=0.5)
    assert columns_of(scaled, 2)["dos_ef_states_per_eV"] == 1.0


def test_nothing_was_computed():
    nothing = {
        "energy_eV_per_atom": None,
        "dos_ef_states_per_eV": None,
        "min_phonon_THz": None,
        "key": "",
        "advice": "",
    }
    found = columns_of(Verification(**BASE | nothing | {"verdict": Verdict.NOT_AVAILABLE}), 1)
    assert {name for name, value in found.items() if value is not None} == {"dft_verdict", "dft_reason", "dft_level"}
    failed = failed_columns("final", "the disk is full")
    assert set(failed) == set(DFT_COLUMNS)
    assert (failed["dft_verdict"], failed["dft_reason"], failed["dft_tc_K"]) == ("failed", "the disk is full", None)


def test_pseudopotentials_are_named_and_lower_the_confidence():
    used = UsedPseudopotential(
        element="Al", file="Al.gth", sha256="0" * 64, functional="PBE", provider="gth", ecutwfc_Ry=30, ecutrho_Ry=120,
        lower_confidence=True,
    )  # fmt: skip
    found = columns_of(Verification(**BASE, pseudopotentials=(used,), lower_confidence=("hard cores",)), 1, "Al-00/key")
    assert "Al.gth (gth)" in found["dft_method"]
    assert found["dft_confidence"] == "lower: hard cores"
    assert found["dft_key"] == "Al-00/key"
    assert columns_of(Verification(**BASE), 1)["dft_confidence"] == "normal"
