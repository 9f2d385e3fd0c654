import pytest

from onnes.campaign.funnels import funnel_names, load_funnel, register_builtin_stages
from onnes.errors import ConfigError
from onnes.flow.stage import StageKind, stage_class, stage_names


def test_every_shipped_funnel_builds():
    assert "default" in funnel_names()
    for name in funnel_names():
        funnel = load_funnel(name)
        assert funnel.name == name
        assert len(funnel.build()) == len(funnel.steps)


def test_the_default_funnel_goes_from_cheap_to_dear():
    steps = [step.name for step in load_funnel().steps]
    assert steps.index("quick-predict") < steps.index("quick-metal") < steps.index("relax")
    assert steps.index("quick-tc") < steps.index("relax") < steps.index("hull") < steps.index("near-hull")
    assert steps.index("near-hull") < steps.index("predict") < steps.index("metal") < steps.index("tc")
    assert {step.use for step in load_funnel().steps} == {"identity", "predict", "gate", "relax", "hull"}


def test_cheap_gates_are_no_stricter_than_the_full_ones():
    settings = {step.name: step.settings for step in load_funnel().steps}
    assert settings["quick-metal"]["min"] <= settings["metal"]["min"]
    assert settings["quick-tc"]["min"] <= settings["tc"]["min"]
    assert settings["near-hull"]["max"] == 0.2


def test_every_room_registers_its_stages():
    register_builtin_stages()
    assert {"gate", "identity", "hull", "relax", "predict"} <= set(stage_names())
    assert stage_class("identity").kind == StageKind.GATE
    assert stage_class("hull").whole_table
    assert "tc_K" in stage_class("predict").writes


def test_a_file_is_loaded_by_its_path(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("name = 'mine'\n[[stage]]\nuse = 'gate'\ncolumn = 'n_atoms'\nmax = 8\n", encoding="utf-8")
    assert load_funnel(str(path)).steps[0].settings == {"column": "n_atoms", "max": 8}


def test_an_unknown_funnel_names_the_shipped_ones():
    with pytest.raises(ConfigError, match=r"unknown funnel 'bee-net'; shipped: .*default"):
        load_funnel("bee-net")
