import pyarrow.parquet as pq
import pytest

import onnes
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import values, with_columns
from onnes.crystals.writers import write_crystals
from onnes.errors import ConfigError, CrystalError
from onnes.tools.experiment import export_measurements, measurements, plan_experiment, record_measurement
from tests.campaign.test_measurements import book as campaign  # noqa: F401 - a fixture
from tests.physics.references import PHASES, reference

ELEMENTS = [("Mg", -1.5, "mg"), ("B", -6.6, "b"), ("MgB2", -5.1, "mgb2"), ("N2", -8.3, "n2"), ("NbN", -10.2, "nbn")]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A small reference file: the shipped one takes longer to read than all of these tests."""
    path = tmp_path_factory.mktemp("reference") / "small.parquet"
    reference([*PHASES, *ELEMENTS]).save(path)
    return str(path)


def test_a_structure(known):
    plan = plan_experiment(known_crystal("Nb3Sn"), mass_g=1.0, reference=known)
    assert plan.formula == "Nb3Sn"
    assert plan.origin == "python"
    assert plan.charge.mass_g == 1.0
    assert plan.transition is None
    assert "--predict" in plan.markdown()
    assert plan.route.competition.stand_in == "Nb3Sn-A15"


def test_columns_of_a_file_count(known, tmp_path):
    columns = {"tc_K": [16.0, None], "energy_eV_per_atom": [-8.60, None], "potential": ["sevennet-0", None]}
    path = tmp_path / "two.parquet"
    write_crystals(with_columns(known_table(["Nb3Sn", "MgB2"]), columns), path)
    plan = plan_experiment(str(path), id="Nb3Sn", reference=known)
    assert plan.origin == str(path)
    assert plan.transition.values[0].tc_K == 16.0
    assert plan.route.competition.e_above_hull_eV_per_atom == pytest.approx(0.10)
    with pytest.raises(ConfigError, match="holds 2 crystals; name one with --id: Nb3Sn, MgB2"):
        plan_experiment(path, reference=known)
    with pytest.raises(ConfigError, match="has no row 'NbN'; it has Nb3Sn, MgB2"):
        plan_experiment(path, id="NbN", reference=known)


def test_the_best_survivor_of_a_campaign(known, campaign):  # noqa: F811 - the fixture
    assert plan_experiment(campaign.folder, reference=known).id == "MgB2"  # Tc 20 K against 16 K
    plan = plan_experiment(campaign.folder, id="Nb3Sn", reference=known)
    assert plan.transition.values[0].tc_K == 16.0


def test_files_that_hold_no_crystal(known, tmp_path):
    with pytest.raises(CrystalError, match=r"gone\.cif"):
        plan_experiment(tmp_path / "gone.cif", reference=known)


def test_structures_of_other_phases(known):
    others = plan_experiment(known_crystal("Nb3Sn"), phases=[known_crystal("NbN")], reference=known).other_phases
    nitride = next(phase for phase in others if phase.formula == "NbN")  # asked for, though it cannot form
    assert nitride.why == "asked for"
    assert nitride.lines
    swollen = known_crystal("Nb")
    swollen.scale_lattice(1.1 * swollen.volume)
    plan = plan_experiment(known_crystal("Nb3Sn"), phases=swollen, reference=known)
    assert next(p for p in plan.other_phases if p.formula == "Nb").source.startswith("given")
    with pytest.raises(CrystalError, match=r"gone\.cif"):
        plan_experiment(known_crystal("Nb3Sn"), phases=["gone.cif"], reference=known)


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_figure(suffix, known, tmp_path):
    path = tmp_path / f"pattern{suffix}"
    plan_experiment(known_crystal("Nb3Sn"), reference=known, plot=path)
    first = path.read_bytes()
    plan_experiment(known_crystal("Nb3Sn"), reference=known, plot=path)
    assert path.read_bytes() == first
    if suffix == ".svg":
        text = first.decode()
        for words in ("Nb6Sn5", ">210<", "Pm-3n", "CuKa 1.54184"):
            assert words in text


def test_a_wrong_figure_is_refused_before_the_work(known):
    with pytest.raises(ConfigError, match=r"\.svg or \.png"):
        plan_experiment("gone.cif", reference=known, plot="pattern.pdf")


def test_prediction_comes_first(known, monkeypatch):
    calls = []

    def predict(table, **settings):
        from onnes.tools.inputs import wrap

        calls.append(settings)
        columns = {"tc_K": [12.0], "energy_eV_per_atom": [-8.70], "potential": ["sevennet-0"]}
        return wrap(with_columns(table, columns))

    monkeypatch.setattr("onnes.tools.crystals.predict", predict)
    plan = plan_experiment(known_crystal("Nb3Sn"), predict=True, reference=known)
    assert calls == [{"potential": "sevennet-0", "reference": known, "device": "cpu"}]
    assert plan.transition.values[0].tc_K == 12.0
    assert plan.route.competition.on_hull


def test_a_prediction_that_fails_is_an_error(known, monkeypatch):
    def predict(table, **settings):
        from onnes.tools.inputs import wrap

        return wrap(with_columns(table, {"error": ["no features"]}))

    monkeypatch.setattr("onnes.tools.crystals.predict", predict)
    with pytest.raises(CrystalError, match="no features"):
        plan_experiment(known_crystal("Nb3Sn"), predict=True, reference=known)


def test_record_list_export(campaign, tmp_path):  # noqa: F811 - the fixture
    record_measurement(campaign.folder, "Nb3Sn", tc_K=17.9, tc_criterion="midpoint", sample="S1", phase_fraction=0.9)
    record_measurement(campaign.folder, "MgB2", phase="MgB4", note="grey")
    table = measurements(campaign.folder)
    assert table["measured_tc_K"] == [17.9, None]
    assert table["as_planned"] == [True, False]
    assert "measured Tc / K" in repr(table)
    out = tmp_path / "measured.parquet"
    written, left_out = export_measurements(campaign.folder, out)
    assert written == 1
    assert len(left_out) == 1
    read = pq.read_table(out)
    assert values(read, "measured_tc_K") == [17.9]
    assert values(read, "tc_kind") == ["measured"]
    assert plan_experiment(out, reference=None, mass_g=1.0).formula == "Nb3Sn"
    with pytest.raises(ConfigError, match=r"ends in \.parquet"):
        export_measurements(campaign.folder, tmp_path / "measured.cif")


def test_they_are_functions_of_the_package():
    assert onnes.plan_experiment is plan_experiment
    assert onnes.record_measurement is record_measurement
