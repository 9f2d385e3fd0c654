import subprocess
import sys

import pytest
from pydantic import ValidationError

from onnes.errors import ConfigError
from onnes.flow.stage import StageContext, StageKind, import_stage, stage_class, stage_names
from tests.flow.toy_stages import ToyTc, ToyTcSettings


def test_a_registered_stage_is_found_by_name():
    assert stage_class("toy-tc") is ToyTc
    assert "toy-tc" in stage_names()
    assert stage_names() == sorted(stage_names())


def test_an_unknown_stage_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown stage 'toy-tea'.*toy-tc"):
        stage_class("toy-tea")


def test_import_stage_registers_in_a_fresh_process():
    """What a worker does: it knows a module and a name, and nothing else."""
    code = (
        "from onnes.flow.stage import import_stage, stage_names\n"
        "assert 'gate' not in stage_names()\n"
        "print(import_stage('onnes.flow.gate', 'gate').title)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "gate\n", "")


def test_import_stage_refuses_a_module_that_does_not_register_it():
    with pytest.raises(ConfigError, match="toy-nothing"):
        import_stage("tests.flow.toy_stages", "toy-nothing")


def test_settings_are_frozen_and_closed():
    settings = ToyTcSettings(offset=1.0)
    with pytest.raises(ValidationError):
        settings.offset = 2.0
    with pytest.raises(ValidationError, match="ofset"):
        ToyTcSettings(ofset=1.0)


def test_kinds_are_their_words():
    assert [str(kind) for kind in StageKind] == ["map", "gate", "expander"]


def test_a_context_alone_counts_for_nobody():
    context = StageContext("step")
    assert context.on_rows(3) is None
    assert (context.device, context.seed) == ("cpu", 0)
    assert ToyTc(ToyTcSettings()).fingerprints() == {}
