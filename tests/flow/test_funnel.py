import pytest

from onnes.errors import ConfigError
from onnes.flow.funnel import Funnel
from onnes.flow.gate import Gate
from tests.flow.toy_stages import ToyTc

GOOD = """
name = "toy"
description = "for tests"
[[stage]]
use = "toy-tc"
offset = 1.5
[[stage]]
use = "gate"
name = "hot"
column = "tc_K"
min = 5
"""


def test_steps_stages_and_settings_are_read():
    funnel = Funnel.from_toml(GOOD)
    assert (funnel.name, funnel.description) == ("toy", "for tests")
    assert [(s.use, s.name, s.settings) for s in funnel.steps] == [
        ("toy-tc", "toy-tc", {"offset": 1.5}),
        ("gate", "hot", {"column": "tc_K", "min": 5}),
    ]
    first, second = funnel.build()
    assert isinstance(first, ToyTc)
    assert first.settings.offset == 1.5
    assert isinstance(second, Gate)
    assert second.settings.min == 5.0


def test_a_dump_reads_back():
    funnel = Funnel.from_toml(GOOD)
    data = funnel.model_dump(mode="json")
    assert Funnel(name=data["name"], description=data["description"], stage=tuple(data["steps"])) == funnel


def test_a_file_is_read(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert Funnel.from_file(path) == Funnel.from_toml(GOOD)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name = ", "Invalid value"),
        ("name = 'x'\n", "stage"),
        ("name = 'x'\nstage = []\n", "stage"),
        ("[[stage]]\nuse = 'toy-tc'\n", "name"),
        ("name = 'x'\n[[stage]]\nname = 'y'\n", "use"),
        ("name = 'x'\ncolour = 'red'\n[[stage]]\nuse = 'toy-tc'\n", "colour"),
        ("name = 'x'\n[[stage]]\nuse = 'toy-tc'\n[[stage]]\nuse = 'toy-tc'\n", "two steps are named 'toy-tc'"),
        ("name = 'x'\n[[stage]]\nuse = 'toy-tc'\nname = '../up'\n", "name"),
        ("name = 'x'\n[[stage]]\nuse = 'toy-tc'\nname = 'a:b'\n", "name"),
    ],
)
def test_a_faulty_file_is_named_with_its_fault_in_one_line(tmp_path, text, fault):
    path = tmp_path / "faulty.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Funnel.from_file(path)
    assert str(path) in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_binary_file_is_named(tmp_path):
    path = tmp_path / "junk.toml"
    path.write_bytes(b"\xff\xfe\x00junk")
    with pytest.raises(ConfigError, match=r"junk\.toml"):
        Funnel.from_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        Funnel.from_file(tmp_path / "nowhere.toml")


def test_an_unknown_stage_is_named_with_its_step():
    funnel = Funnel.from_toml("name = 'x'\n[[stage]]\nuse = 'toy-tea'\nname = 'evening'\n")
    with pytest.raises(ConfigError, match=r"evening.*unknown stage 'toy-tea'.*toy-tc"):
        funnel.build()


@pytest.mark.parametrize(
    ("setting", "fault"), [("ofset = 1", "ofset"), ("offset = 'warm'", "offset: .*number"), ("name = 'b'\nx = 1", "x")]
)
def test_a_bad_setting_names_step_and_setting(setting, fault):
    funnel = Funnel.from_toml(f"name = 'x'\n[[stage]]\nuse = 'toy-tc'\n{setting}\n")
    with pytest.raises(ConfigError, match=rf"stage '{funnel.steps[0].name}' of the funnel: .*{fault}") as caught:
        funnel.build()
    assert "\n" not in str(caught.value)


def test_with_settings_changes_a_copy():
    funnel = Funnel.from_toml(GOOD)
    changed = funnel.with_settings({"hot": {"min": 9, "max": 20}})
    assert changed.steps[1].settings == {"column": "tc_K", "min": 9, "max": 20}
    assert changed.steps[0] == funnel.steps[0]
    assert funnel.steps[1].settings == {"column": "tc_K", "min": 5}
    assert changed.build()[1].settings.max == 20.0
    assert funnel.with_settings({}) == funnel


def test_with_settings_refuses_an_unknown_step():
    with pytest.raises(ConfigError, match="'toy' has no step 'cold'"):
        Funnel.from_toml(GOOD).with_settings({"cold": {"min": 1}})
