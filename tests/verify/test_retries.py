"""Which change follows which symptom."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from onnes.errors import ConfigError
from onnes.verify.faults import Symptom, fault
from onnes.verify.retries import Change, RetryPolicy, Scaling, load_policy

PW = {
    "control": {"calculation": "scf", "nstep": 50},
    "system": {"ecutwfc": 15.0},
    "electrons": {"mixing_beta": 0.5},
    "ions": {},
    "cell": {},
}
PH = {"inputph": {"alpha_mix(1)": 0.7, "tr2_ph": 1e-14}}
NEVER = (
    Symptom.MISSING_PSEUDOPOTENTIAL, Symptom.INPUT_ERROR, Symptom.OUT_OF_MEMORY, Symptom.DISK_FULL, Symptom.MPI_ERROR,
    Symptom.UNKNOWN, Symptom.PROGRAM_ERROR,
)  # fmt: skip


def after(program: str, symptoms: list[Symptom], policy: RetryPolicy | None = None) -> list[Change]:
    """Changes of a step that fails with these symptoms one after the other, up to the first that ends it."""
    policy = policy or load_policy()
    history = []
    for symptom in symptoms:
        change = policy.next_change(program, fault(symptom, ""), history)
        if change is None:
            break
        history.append((fault(symptom, ""), change))
    return [change for _, change in history]


def inputs(program: str, symptoms: list[Symptom], start: dict) -> list[dict]:
    result = [start]
    for change in after(program, symptoms):
        result.append(RetryPolicy.apply(result[-1], change))
    return result[1:]


def test_mixing_is_lowered_from_try_to_try_until_the_tries_are_spent() -> None:
    betas = [one["electrons"]["mixing_beta"] for one in inputs("pw.x", [Symptom.SCF_NOT_CONVERGED] * 9, PW)]
    assert betas == [0.4, 0.32, 0.256, 0.2048]  # with the first try, five
    assert all(one["electrons"]["startingpot"] == "file" for one in inputs("pw.x", [Symptom.SCF_NOT_CONVERGED], PW))


def test_tries_of_all_symptoms_count_together() -> None:
    symptoms = [
        Symptom.KILLED,
        Symptom.DIAGONALISATION,
        Symptom.SCF_NOT_CONVERGED,
        Symptom.OUT_OF_TIME,
        Symptom.OUT_OF_TIME,
    ]
    assert len(after("pw.x", symptoms)) == 4


def test_each_symptom_has_its_own_place_in_its_list() -> None:
    changes = after("pw.x", [Symptom.DIAGONALISATION, Symptom.KILLED, Symptom.DIAGONALISATION])
    assert [change.set.get("electrons", {}).get("diagonalization") for change in changes] == ["paro", None, "cg"]


def test_a_list_without_repeat_ends() -> None:
    assert len(after("pw.x", [Symptom.DIAGONALISATION] * 5)) == 2
    assert len(after("ph.x", [Symptom.KILLED] * 5)) == 2


def test_phonon_mixing_order() -> None:
    tries = [one["inputph"] for one in inputs("ph.x", [Symptom.PHONON_NOT_CONVERGED] * 5, PH)]
    assert [one["alpha_mix(1)"] for one in tries] == [0.7, 0.35, 0.1, 0.1]
    assert all(one["nmix_ph"] == 5 for one in tries)  # version 6.7 refuses more
    assert ["alpha_mix(20)" in one for one in tries] == [False, False, False, True]


def test_a_failed_factorisation_in_phonons_asks_for_the_scf_again() -> None:
    (change,) = after("ph.x", [Symptom.PHONON_CHOLESKY])
    assert change.redo == "scf_coarse"
    assert RetryPolicy.apply(PW, change)["electrons"]["diagonalization"] == "cg"
    assert RetryPolicy.apply(PH, change)["inputph"]["diagonalization"] == "cg"
    assert after("ph.x", [Symptom.MISSING_A2F_DATA])[0].redo == "scf_dense"
    assert after("ph.x", [Symptom.MISSING_SCF_DATA])[0].redo == "scf_coarse"


def test_relaxations() -> None:
    assert after("pw.x", [Symptom.FINAL_SCF_OF_RELAXATION])[0].accept_geometry
    for symptom in (Symptom.RELAXATION_STEPS, Symptom.BASIS_CHANGED, Symptom.CELL_VOLUME_CHANGED, Symptom.BFGS_HISTORY):
        assert after("pw.x", [symptom])[0].restart == "last_geometry"
    factors = [one["cell"]["cell_factor"] for one in inputs("pw.x", [Symptom.CELL_VOLUME_CHANGED] * 2, PW)]
    assert factors == [3.0, 4.5]
    third = inputs("pw.x", [Symptom.BFGS_HISTORY] * 3, PW)[-1]
    assert third["ions"]["ion_dynamics"] == "damp"
    assert third["control"]["nstep"] == 100
    assert isinstance(third["control"]["nstep"], int)  # Fortran refuses 100.0


@pytest.mark.parametrize("symptom", NEVER)
@pytest.mark.parametrize("program", ["pw.x", "ph.x", "q2r.x"])
def test_no_retry_where_it_cannot_help(program: str, symptom: Symptom) -> None:
    assert after(program, [symptom]) == []


def test_ways_to_restart_replace_each_other() -> None:
    saved = RetryPolicy.apply(PW, Change(restart="saved_density"))
    assert saved["electrons"]["startingpot"] == "file"
    on = RetryPolicy.apply(saved, Change(restart="continue"))
    assert on["control"]["restart_mode"] == "restart"
    assert "startingpot" not in on["electrons"]
    assert RetryPolicy.apply(on, Change()) == PW


def test_apply_changes_nothing_it_was_given_and_no_other_section() -> None:
    before = copy.deepcopy(PW)
    change = Change(set={"electrons": {"MIXING_BETA": Scaling(times=0.5, default=0.7)}, "inputph": {"nmix_ph": 5}})
    result = RetryPolicy.apply(PW, change)
    assert before == PW
    assert result["electrons"] == {"mixing_beta": 0.25}
    assert set(result) == set(PW)


@pytest.mark.parametrize(
    ("scaling", "value", "expected"),
    [
        (Scaling(times=0.8, default=0.7), None, 0.56),
        (Scaling(times=0.8, default=0.7, min=0.5), 0.55, 0.5),
        (Scaling(times=0.8, default=0.7, min=0.5), 0.3, 0.3),
        (Scaling(times=3, default=2.0, max=4.0), None, 4.0),
        (Scaling(times=1.5, default=50), 5, 8),
    ],
)
def test_scaling(scaling: Scaling, value: float | None, expected: float) -> None:
    assert scaling.of(value) == expected
    assert type(scaling.of(value)) is type(expected)


def test_changes_in_words() -> None:
    change = after("pw.x", [Symptom.SCF_NOT_CONVERGED])[0]
    assert change.describe() == "mixing_beta x 0.8, from the saved density"
    assert after("pw.x", [Symptom.FINAL_SCF_OF_RELAXATION])[0].describe() == "geometry accepted"


def test_own_policy(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'max_tries = 2\n[[retry]]\nprogram = "pw.x"\nsymptom = "scf_not_converged"\nrepeat = true\n'
        '[[retry.changes]]\nset.electrons.mixing_mode = "local-TF"\n'
    )
    policy = load_policy(path)
    (change,) = after("pw.x", [Symptom.SCF_NOT_CONVERGED] * 3, policy)
    assert policy.apply(PW, change)["electrons"]["mixing_mode"] == "local-TF"
    assert after("pw.x", [Symptom.KILLED], policy) == []


RULE = '[[retry]]\nprogram = "pw.x"\nsymptom = "killed"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_tries = ", "no TOML"),
        ("max_tries = 0", "max_tries"),
        ("attempts = 3", "attempts"),
        ("retry = 3", "retry"),
        (RULE + "changes = []", "changes"),
        (RULE.replace("killed", "tired") + "[[retry.changes]]", "symptom"),
        (RULE.replace("pw.x", "vasp") + "[[retry.changes]]", "program"),
        (RULE + '[[retry.changes]]\nrestart = "somehow"', "restart"),
        (RULE + "[[retry.changes]]\nset.elektrons.mixing_beta = 0.1", "elektrons"),
        (RULE + "[[retry.changes]]\nset.electrons.mixing_beta = { times = 0.5 }", "default"),
        (RULE + "[[retry.changes]]\nset.electrons.mixing_beta = { times = -1, default = 0.7 }", "times"),
        (RULE + "[[retry.changes]]\n" + RULE + "[[retry.changes]]", "two rules for killed of pw.x"),
    ],
)
def test_faults_of_a_policy_file_are_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words) as caught:
        load_policy(path)
    assert "own.toml" in str(caught.value)


def test_missing_policy_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        load_policy(tmp_path / "none.toml")
