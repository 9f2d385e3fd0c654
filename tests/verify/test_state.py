import json

import pytest

from onnes.verify.chain import REQUEST, RESULT
from onnes.verify.result import Verification
from onnes.verify.settings import VerifySettings
from onnes.verify.state import is_running, verification_state, verification_states
from onnes.verify.steps import STATUS, STEPS, StepState, Try, opened
from onnes.verify.verdict import Verdict

DONE = StepState(
    name="scf", key="a", state="done", tries=[Try(number=1, input_sha256="", version="6.7", exit_code=0, wall_s=3.0)]
)
OPEN = StepState(
    name="nscf", key="b",
    tries=[
        Try(number=1, input_sha256="", version="6.7", exit_code=2, wall_s=5.0, message="no convergence"),
        Try(number=2, input_sha256="", version="6.7", change="mixing_beta 0.4 -> 0.32"),
    ],
)  # fmt: skip


def write(folder, *states, result=None, **settings):
    folder.mkdir(parents=True)
    (folder / REQUEST).write_text(VerifySettings(**settings).model_dump_json())
    for state in states:
        place = folder / STEPS / state.name
        place.mkdir(parents=True)
        (place / STATUS).write_text(state.model_dump_json())
    if result is not None:
        (folder / RESULT).write_text(result.model_dump_json())
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "Al-0" / "k1", DONE, OPEN, level="dos")


def test_a_verification_that_runs(folder):
    with opened(folder):
        found = verification_state(folder)
        assert is_running(folder)
    assert (found.key, found.state, found.settings.level, found.result) == ("k1", "running", "dos", None)
    scf, nscf = found.steps
    assert (scf.name, scf.state, scf.tries, scf.wall_s) == ("scf", "done", 1, 3.0)
    assert (nscf.state, nscf.tries, nscf.change) == ("running", 2, "mixing_beta 0.4 -> 0.32")
    assert 5.0 <= nscf.wall_s < 60


def test_one_that_was_interrupted(folder):
    found = verification_state(folder)
    assert not is_running(folder)
    assert found.state == "interrupted"
    assert [(one.state, one.wall_s) for one in found.steps] == [("done", 3.0), ("interrupted", 5.0)]


def test_one_that_is_done_and_the_order_of_several(folder):
    result = Verification(key="k2", level="dos", verdict=Verdict.METALLIC, formula="Al", n_atoms=1)
    later = write(folder.parent / "k2", DONE, result=result)
    assert verification_state(later).result == result
    with opened(later):
        pass
    assert [(one.key, one.state) for one in verification_states(folder.parent)] == [
        ("k2", "done"),
        ("k1", "interrupted"),
    ]


def test_what_cannot_be_read_is_none(folder, tmp_path):
    assert verification_states(tmp_path / "nothing") == []
    (folder / REQUEST).write_text(json.dumps({"level": "best"}))
    assert verification_state(folder) is None
    (folder / REQUEST).write_text(json.dumps({"level": "smoke"}))
    (folder / RESULT).write_text("{")
    (folder / STEPS / "scf" / STATUS).write_text("{")
    found = verification_state(folder)
    assert (found.result, [one.name for one in found.steps]) == (None, ["nscf"])
