import pytest

from onnes.campaign.funnels import load_funnel
from onnes.crystals.known import known_table
from onnes.errors import ConfigError
from onnes.tools import campaigns
from onnes.tools.campaigns import discover, screen


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Settings of the funnel's steps that a screening would run with."""

    class Stop(Exception):
        pass

    def run(**request):
        kept = {}

        def create(out, table, funnel, **about):
            kept.update({step.name: step.settings for step in funnel.steps})
            raise Stop

        monkeypatch.setattr(campaigns.Campaign, "create", create)
        with pytest.raises(Stop):
            screen(known_table(["Nb"]), tmp_path / "campaign", **request)
        return kept

    return run


def test_what_is_not_asked_for_stays(settings):
    assert settings() == {step.name: step.settings for step in load_funnel().steps}


@pytest.mark.parametrize(("new", "key"), [("crystals", "only_novel"), ("compositions", "only_new_compositions")])
def test_new_is_a_setting_of_the_identity_step(settings, new, key):
    default = settings()
    assert settings(new=new) == default | {"identity": {**default["identity"], key: True}}


def test_bounds_are_settings_of_their_gates(settings):
    default = settings()
    changed = settings(min_tc_K=20.0, max_e_above_hull_eV_per_atom=0.05)
    assert changed["tc"] == {**default["tc"], "min": 20.0}
    assert changed["near-hull"] == {**default["near-hull"], "max": 0.05}
    assert changed["quick-tc"] == default["quick-tc"]
    assert settings(min_tc_K=0.5)["quick-tc"]["min"] == 0.25  # the cheap gate does not close what the full one opens


@pytest.mark.parametrize("new", ["stars", "crystal", ""])
def test_an_unknown_kind_of_new_names_the_choices(new, tmp_path):
    words = f"new = {new!r} is not known; one of crystals, compositions"
    with pytest.raises(ConfigError, match=words):
        screen(known_table(["Nb"]), tmp_path / "campaign", new=new)
    with pytest.raises(ConfigError, match=words):
        discover(elements=["Nb", "N"], proposal={"prototypes": ["B1"]}, out=tmp_path / "campaign", new=new)
    assert not (tmp_path / "campaign").exists()
