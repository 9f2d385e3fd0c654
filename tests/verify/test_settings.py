import pytest
from pydantic import ValidationError

from onnes.errors import ConfigError
from onnes.verify.settings import RunSettings, VerifySettings, levels


def test_each_level_is_finer_than_the_one_before() -> None:
    found = levels()
    assert list(found) == ["dos", "smoke", "screen", "final"]
    assert not found["dos"].phonons
    phonons = [found[name] for name in ("smoke", "screen", "final")]
    assert all(level.relax and level.phonons and level.smearing == "mp" for level in phonons)
    for name in ("q_distance", "k_distance", "scf_threshold_Ry", "phonon_threshold", "relax_threshold_kbar"):
        values = [getattr(level, name) for level in phonons]
        assert values == sorted(values, reverse=True)
        assert values[0] > values[-1]
        assert min(values) > 0
    assert [(level.interpolate, level.coarse, level.bands) for level in phonons] == [
        (False, False, False),
        (True, False, False),
        (True, True, True),
    ]
    assert found["dos"].accuracy == "electronic"
    assert {level.accuracy for level in phonons} == {"structural"}


def test_settings_change_the_level() -> None:
    level = VerifySettings(level="screen", relax=False, degauss_Ry=0.03, interpolate=False, bands=True).of_level()
    assert (level.relax, level.degauss_Ry, level.interpolate, level.bands) == (False, 0.03, False, True)
    assert level.q_distance == levels()["screen"].q_distance
    assert VerifySettings(level="screen").of_level() == levels()["screen"]
    assert levels()["screen"].relax  # and not the table


def test_the_level_without_phonons_has_no_grid_of_them() -> None:
    with pytest.raises(ConfigError, match="no phonons, hence no q grid"):
        VerifySettings(level="dos", q_grid=(2, 2, 2)).of_level()


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "best"}, {"functional": "B3LYP"}, {"q_grid": (2, 2)}, {"ecutwfc_Ry": 0}, {"degauss_Ry": -0.01},
        {"mu_stars": (0.1,)}, {"max_atoms": 0}, {"ranks": 2},
    ],
)  # fmt: skip
def test_impossible_settings(wrong) -> None:
    with pytest.raises((ValidationError, ConfigError)):
        VerifySettings(**wrong)


@pytest.mark.parametrize("wrong", [{"ranks": 0}, {"pools": 0}, {"hours": 0}, {"step_hours": -1}, {"level": "dos"}])
def test_impossible_ways_to_run(wrong) -> None:
    with pytest.raises((ValidationError, ConfigError)):
        RunSettings(**wrong)


@pytest.mark.parametrize("mu_stars", [(0.1, 0.5), (-0.1, 0.1), (0.1,)])
def test_impossible_coulomb_parameters_are_refused(mu_stars) -> None:
    with pytest.raises(ValidationError, match="mu_stars"):
        VerifySettings(mu_stars=mu_stars)
