import json
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
from pymatgen.core import Lattice, Structure
from typer.testing import CliRunner

import onnes
from onnes.cli.explain import add_commands
from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError, ModelError
from onnes.models.replacement import Replacement
from onnes.models.weights import weight_names
from onnes.propose.parents import LARGEST_SCALE, SMALLEST_SCALE
from onnes.propose.radii import estimated_volume
from onnes.tools import explain as module
from onnes.tools.explain import CrystalExplanation, SiteContribution, explain
from onnes.tools.explain_figure import MAX_SITES, draw_explanation
from onnes.tools.known_neighbours import N_NEIGHBOURS, Neighbour


@pytest.fixture(scope="module")
def shipped():
    missing = {"structure", "metal"} - set(weight_names())
    if missing:
        pytest.skip(f"the package has no weights {sorted(missing)} yet; train them with `onnes train`")


@pytest.fixture(scope="module")
def found(shipped, small_library):
    return explain([known_crystal("Nb3Sn"), known_crystal("Al", primitive=True)])


@pytest.fixture(scope="module")
def nb3sn(found):
    return found.crystals[0]


def texts(path) -> list[str]:
    return [e.text or "" for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def no_neighbours(features):
    return []


def test_the_values_are_those_of_predict(found) -> None:
    said = onnes.predict([known_crystal("Nb3Sn"), known_crystal("Al", primitive=True)], hull=False)
    for i, crystal in enumerate(found.crystals):
        for name in ("tc_K", "tc_K_std", "tc_lo_K", "lambda_", "omega_log_K_std", "domain_distance", "in_domain"):
            assert crystal.predicted[name] == said[name][i], name
    assert [crystal.space_group for crystal in found.crystals] == [223, 225]
    assert found.n_failed == 0


def test_sites_bear_their_wyckoff_names(found) -> None:
    names = [[f"{s.element} {s.multiplicity}{s.letter}" for s in crystal.sites] for crystal in found.crystals]
    assert sorted(names[0]) == ["Nb 6c", "Sn 2a"]
    assert names[1] == ["Al 4a"]  # in the conventional cell, though the primitive one was given
    assert found.crystals[1].sites[0].atoms == (0,)
    structure = known_crystal("Nb3Sn")
    for site in found.crystals[0].sites:
        assert {structure[i].specie.symbol for i in site.atoms} == {site.element}
    assert sorted(i for site in found.crystals[0].sites for i in site.atoms) == list(range(8))


def test_contributions_add_up_to_what_predict_says(found) -> None:
    for crystal in found.crystals:
        said, base = crystal.predicted, crystal.baseline
        assert sum(s.tc_K for s in crystal.sites) == pytest.approx(said["tc_K"] - base["tc_K"], abs=1e-3)
        for name, part in (("lambda_", "ln_lambda"), ("omega_log_K", "ln_omega_log")):
            total = sum(getattr(s, part) for s in crystal.sites)
            assert total == pytest.approx(np.log(said[name] / base[name]), abs=1e-4)
        assert all(s.tc_error_K == 0 for s in crystal.sites)
        tc = [abs(s.tc_K) for s in crystal.sites]
        assert tc == sorted(tc, reverse=True)


def test_the_average_training_crystal_is_the_same_for_all_and_ordinary(found) -> None:
    first, second = (crystal.baseline for crystal in found.crystals)
    assert first == second
    assert 0.2 < first["lambda_"] < 0.6
    assert 100 < first["omega_log_K"] < 400


def test_niobium_carries_the_superconductivity_of_nb3sn(nb3sn) -> None:
    sites = {site.element: site for site in nb3sn.sites}
    assert sites["Nb"].tc_K > sites["Sn"].tc_K > 0
    assert sites["Nb"].ln_lambda > sites["Sn"].ln_lambda


def test_contributions_do_not_depend_on_the_cell(shipped) -> None:
    both = [known_crystal("NbN", primitive=primitive) for primitive in (True, False)]
    small, large = explain(both, neighbours=no_neighbours).crystals
    for one, other in zip(small.sites, large.sites, strict=True):
        assert (one.element, one.letter, one.multiplicity) == (other.element, other.letter, other.multiplicity)
        assert one.tc_K == pytest.approx(other.tc_K, abs=0.05)
        assert len(other.atoms) == 4 * len(one.atoms)


def test_the_nearest_known_crystal_of_a_known_crystal_is_itself(found) -> None:
    for crystal, name in zip(found.crystals, ("Nb3Sn", "Al"), strict=True):
        nearest = crystal.neighbours[0]
        assert nearest.id == name
        assert nearest.distance < 0.02
        distances = [one.distance for one in crystal.neighbours]
        assert distances == sorted(distances)
        assert len(distances) == N_NEIGHBOURS
        assert distances[1] > 0.3
    assert found.crystals[0].neighbours[0].tc_K == 15.0
    assert {one.tc_kind for c in found.crystals for one in c.neighbours if one.tc_K is not None} == {"computed"}
    assert all(one.tc_kind is None for c in found.crystals for one in c.neighbours if one.id == "MgB2")


def test_neighbours_can_be_given(shipped) -> None:
    asked = []

    def search(features):
        asked.append(features)
        return [Neighbour("x", "X", 0.5, None, None, "here")]

    crystal = explain(known_crystal("Al"), neighbours=search).crystals[0]
    assert [one.id for one in crystal.neighbours] == ["x"]
    assert asked[0].ndim == 1
    assert np.isfinite(asked[0]).all()


def test_replacements_are_predictions_for_such_crystals(nb3sn) -> None:
    pairs = {(row.element, row.replacement): row for row in nb3sn.replacements}
    assert {("Nb", "V"), ("Nb", "Ta"), ("Sn", "Ge"), ("Sn", "In")} <= set(pairs)
    assert not {"Tc", "Po", "He"} & {new for _, new in pairs}
    made = known_crystal("Nb3Sn")
    before = made.volume
    ratio = estimated_volume([41] * 6 + [32] * 2) / estimated_volume([41] * 6 + [50] * 2)
    assert SMALLEST_SCALE < ratio ** (1 / 3) < LARGEST_SCALE
    made.replace_species({"Sn": "Ge"})
    made.scale_lattice(before * ratio)
    said = onnes.predict(made, hull=False)
    row = pairs["Sn", "Ge"]
    assert (row.tc_K, row.lambda_, row.omega_log_K) == pytest.approx(
        (said["tc_K"][0], said["lambda_"][0], said["omega_log_K"][0]), rel=1e-3
    )
    assert row.tc_change_K == pytest.approx(row.tc_K - nb3sn.predicted["tc_K"])
    assert row.lambda_change == pytest.approx(row.lambda_ - nb3sn.predicted["lambda_"])
    assert row.in_domain == said["in_domain"][0]


def test_an_element_without_a_radius_is_noted(shipped) -> None:
    helium = Structure(Lattice.cubic(4.2), ["He"] * 4, [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    crystal = explain(helium, neighbours=no_neighbours).crystals[0]
    assert crystal.error is None
    assert crystal.replacements == ()
    assert "atomic number [2]" in crystal.notes[0]
    assert "He" in crystal.predicted["warnings"]


def test_what_cannot_be_explained_is_said_and_the_rest_goes_on(shipped, small_library, tmp_path) -> None:
    known_crystal("Al").to(str(tmp_path / "a-good.cif"))
    Structure(Lattice.cubic(3.3), [{"Nb": 0.5, "Ti": 0.5}], [[0, 0, 0]]).to(str(tmp_path / "b-partial.cif"))
    (tmp_path / "c-bad.cif").write_text("data_\nloop_\n")
    found = explain(tmp_path, figure=tmp_path / "out.svg")
    good, partial, bad = found.crystals
    assert (good.error, found.n_failed) == (None, 2)
    assert "partly occupied" in partial.error
    assert "bad" in bad.error
    assert partial.sites == bad.sites == ()
    assert [c.figure for c in found.crystals] == [str(tmp_path / "out-1.svg"), None, None]
    assert sorted(p.name for p in tmp_path.glob("out*")) == ["out-1.svg"]


def test_plain_data(found) -> None:
    plain = found.to_dict()
    assert plain == json.loads(found.to_json())
    assert plain["model"] == "structure"
    assert len(plain["model_sha256"]) == 64
    assert plain["crystals"][0]["sites"][0]["element"] == "Nb"
    assert set(plain["crystals"][0]["replacements"][0]) == set(Replacement.__dataclass_fields__)


def test_errors_before_any_work(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(module, "predict_table", None)
    with pytest.raises(ConfigError, match=r"a\.pdf: figures are written as"):
        explain(known_crystal("Al"), figure=tmp_path / "a.pdf")
    with pytest.raises(ModelError, match="unknown model"):
        explain(known_crystal("Al"), model="crystal-ball")


def test_figure(nb3sn, tmp_path) -> None:
    for name in ("one.svg", "two.svg"):
        draw_explanation(tmp_path / name, nb3sn)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    shown = texts(tmp_path / "one.svg")
    tc, base = nb3sn.predicted["tc_K"], nb3sn.baseline["tc_K"]
    assert {"Nb 6c", "Sn 2a", "contribution to Tc (K)", "to ln λ", "change of Tc (K)", "Nb →", "Sn →"} <= set(shown)
    assert f"average training crystal {base:.1f} + {tc - base:.1f} = {tc:.1f} K" in shown
    assert any(text.startswith("Nb3Sn, space group 223: Tc") for text in shown)
    for row in nb3sn.replacements:
        assert {row.replacement, f"{row.tc_K:.1f}"} <= set(shown)
    for site in nb3sn.sites:
        assert f"{site.tc_K:+.1f}" in shown
    assert "Nb3Sn, Alexandria training table" in shown
    draw_explanation(tmp_path / "one.png", nb3sn)
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_figure_of_many_sites_without_the_rest(nb3sn, tmp_path) -> None:
    n = MAX_SITES + 4
    sites = tuple(SiteContribution("Nb", "a", i, (i,), 30.0 - i, 0.1, -0.1, 0.2) for i in range(1, n + 1))
    crystal = CrystalExplanation(
        "x", "$X_2$", None, {**nb3sn.predicted, "in_domain": False}, nb3sn.baseline, sites, notes=("no radius",)
    )
    draw_explanation(tmp_path / "a.svg", crystal)
    shown = texts(tmp_path / "a.svg")
    assert "4 more" in shown
    assert f"{sum(s.tc_K for s in sites[MAX_SITES:]):+.1f}" in shown
    assert "no radius" in shown
    assert any("$X_2$" in text and "outside the domain of the model" in text for text in shown)
    assert not any("nearest" in text for text in shown)


def test_a_failed_replacement_is_drawn_as_missing(nb3sn, tmp_path) -> None:
    failed = Replacement("Nb", "U", None, None, None, None, None, None)
    crystal = CrystalExplanation("x", "X", 1, nb3sn.predicted, nb3sn.baseline, nb3sn.sites, replacements=(failed,))
    draw_explanation(tmp_path / "a.svg", crystal)
    assert {"U", "–"} <= set(texts(tmp_path / "a.svg"))


@pytest.fixture(scope="module")
def app():
    app = typer.Typer()
    add_commands(app)
    app.callback()(lambda: None)  # so that the command keeps its name
    return app


@pytest.fixture
def files(tmp_path):
    known_crystal("Nb3Sn").to(str(tmp_path / "Nb3Sn.cif"))
    return tmp_path


def test_command_prints_text(app, files, shipped, small_library) -> None:
    outcome = CliRunner().invoke(app, ["explain", str(files / "Nb3Sn.cif"), "--quiet", "--out", str(files / "x.svg")])
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.stdout.splitlines()
    assert lines[0] == "Nb3Sn  Nb3Sn  space group 223"
    assert lines[1].startswith("  Tc ")
    assert any(line.split()[:2] == ["Nb", "6c"] for line in lines)
    assert any(line.startswith("    Sn -> ") and "Ge " in line for line in lines)
    assert any("Alexandria training table" in line for line in lines)
    assert f"  figure: {files / 'x.svg'}" in lines
    assert "Nb 6c" in texts(files / "x.svg")


def test_command_prints_json_and_says_that_rows_failed(app, files, shipped, small_library) -> None:
    (files / "z-bad.cif").write_text("data_\nloop_\n")
    outcome = CliRunner().invoke(app, ["explain", str(files), "--json"])
    assert outcome.exit_code == 3
    plain = json.loads(outcome.stdout)
    assert [crystal["error"] is None for crystal in plain["crystals"]] == [True, False]
    text = CliRunner().invoke(app, ["explain", str(files), "--quiet"])
    assert text.exit_code == 3
    assert "  error: " in text.stdout


def test_every_option_is_explained(app) -> None:
    command = typer.main.get_command(app).commands["explain"]
    assert "Tc (K)" in command.help
    assert all(option.help for option in command.params)
