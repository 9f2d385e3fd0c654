import json
import math

import pytest

from onnes.cli.proposals import ProposalOptions
from onnes.crystals.known import known_crystal, known_table
from onnes.errors import ConfigError
from onnes.physics.diffraction import simulated_pattern
from onnes.propose import sources
from tests.cli.faces import commands, one_line_error, onnes
from tests.cli.test_campaigns import LIGHT
from tests.crystals.good import good_crystals


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def funnel(tmp_path):
    path = tmp_path / "light.toml"
    path.write_text(LIGHT, encoding="utf-8")
    return path


@pytest.fixture
def parent(tmp_path):
    path = tmp_path / "Nb3Sn.cif"
    good_crystals()["a15-Nb3Sn"].to(str(path), fmt="cif")
    return path


@pytest.fixture
def asked(monkeypatch):
    """Requests that reach the room, none of which is carried out."""
    found = []

    def take(request, *, on_rows=None):
        found.append(request)
        return known_table(["Al"])

    monkeypatch.setattr(sources, "propose", take)
    return found


@pytest.fixture
def pattern(tmp_path):
    """Peaks of A15 Nb3Sn by molybdenum radiation."""
    crystal = known_crystal("Nb3Sn")
    numbers = [site.specie.Z for site in crystal]
    found = simulated_pattern(crystal.lattice.matrix, crystal.frac_coords, numbers, radiation="MoKa")
    path = tmp_path / "Nb3Sn.xy"
    rows = zip(found.two_theta_deg.tolist(), found.intensities.tolist(), strict=True)
    path.write_text("\n".join(f"{angle} {height}" for angle, height in rows), encoding="utf-8")
    return path


REINTERPRET = ("--method", "reinterpret", "--formula", "Nb3Sn", "--potential", "none")


@pytest.mark.parametrize(
    ("method", "words", "field", "value"),
    [
        ("ionic", ["--threshold", "0.02"], "threshold", 0.02),
        ("saps", ["--threshold", "0.02"], "threshold", 0.02),
        ("saps", ["--charge-balanced"], "charge_balanced", True),
        ("saps", ["--max-cells", 2], "max_cells", 2),
        ("saps", ["--score", "metallic"], "score", "metallic"),
        ("neighbour", ["--max-substituted", 1], "max_substituted", 1),
        ("neighbour", ["--exclude", "Hf"], "exclude_elements", ("Hf",)),
        ("diffusion", ["--no-symmetry"], "symmetry", False),
        ("diffusion", ["--keep", "4h, lattice"], "keep", ("4h", "lattice")),
        ("diffusion", ["--target-tc", 20], "conditions", {"ln_tc": math.log(21)}),
        ("diffusion", ["--target-formation-energy", -0.5], "conditions", {"formation_energy_eV_per_atom": -0.5}),
        ("diffusion", ["--space-group", 223], "space_group", 223),
        ("diffusion", ["--guidance", 2], "guidance", 2.0),
        ("diffusion", ["--generator", "mine"], "generator", "mine"),
        ("composition", ["--formula", "NbC", "--per-formula", 3], "per_formula", 3),
        ("prototype", ["--elements", "Nb,N", "--collection", "aflow"], "collections", ("aflow",)),
        ("prototype", ["--elements", "Nb,N", "--motif", "laves"], "motif", "laves"),
        ("disorder", ["--rank", "energy"], "rank", "energy"),
        ("disorder", ["--ordering", "sqs"], "ordering", "sqs"),
        ("disorder", ["--potential", "chgnet"], "potential", "chgnet"),
        ("reinterpret", ["--formula", "NbN,NbC"], "formulas", ("NbN", "NbC")),
        ("reinterpret", ["--formula", "NbN", "--prototypes", "B1"], "prototypes", ("B1",)),
        ("reinterpret", ["--formula", "NbN", "--radiation", "MoKa"], "radiation", "MoKa"),
        ("reinterpret", ["--formula", "NbN", "--rank", "pattern"], "rank", "pattern"),
    ],
)
def test_options_become_fields_of_the_request(call, asked, parent, method, words, field, value):
    starts_from_a_parent = "parents" in sources.METHODS[method].needs
    start = ["--parent", parent] if starts_from_a_parent else []
    assert call("propose", "--method", method, *start, *words, "--quiet").code == 0
    [request] = asked
    assert request.method == method
    assert getattr(request, field) == value
    assert field in request.model_fields_set
    unasked = {"prototypes", "collections", "rank", "symmetry", "threshold", "charge_balanced", "conditions"} - {field}
    assert not request.model_fields_set & unasked


def test_both_commands_take_the_same_options():
    ours, theirs = ({option.name: option for option in commands()[name].params} for name in ("propose", "discover"))
    for name in ProposalOptions.__dataclass_fields__:
        for what in ("opts", "default", "help"):
            assert getattr(ours[name], what) == getattr(theirs[name], what)


def test_like_is_the_method_of_that_name(call, parent):
    rows = json.loads(call("propose", "--like", parent, "--elements", "V,Ga,Ge", "-n", 5, "--json").out)
    assert [row["reduced_formula"] for row in rows[:2]] == ["V3Ga", "V3Ge"]
    assert {(row["source"], row["space_group"]) for row in rows} == {("like", 223)}
    for method in ([], ["--method", "like"]):
        how = [*method, "--elements", "V,Ga,Ge", "-n", 5, "--json"]
        assert json.loads(call("propose", "--like", parent, *how).out) == rows
    assert rows == json.loads(
        call("propose", "--method", "like", "--parent", parent, "--elements", "V,Ga,Ge", "-n", 5, "--json").out
    )


@pytest.mark.parametrize("command", ["propose", "discover"])
@pytest.mark.parametrize("words", [["--method", "saps"], ["--parent", "x.cif"]])
def test_like_stands_alone(call, parent, command, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one_line_error(call(command, "--like", parent, *words), "--like", words[0])
    assert not (tmp_path / "campaign").exists()


def test_the_message_says_which_option_to_leave_out(parent):
    with pytest.raises(ConfigError, match="leave out --method saps or --like"):
        ProposalOptions(like=[parent], method="saps").request()


def test_reinterpret_finds_the_structure_type_of_a_pattern(call, pattern):
    types = ("--prototypes", "L1_2,D0_3,A15", "--json")
    plain = json.loads(call("propose", *REINTERPRET, *types).out)
    assert [json.loads(row["how"])["prototype"] for row in plain] == ["L1_2", "D0_3", "A15"]
    rows = json.loads(call("propose", *REINTERPRET, *types, "--pattern", pattern, "--radiation", "MoKa").out)
    assert json.loads(rows[0]["how"])["prototype"] == "A15"
    assert rows[0]["pattern_similarity"] > 0.98
    assert rows[1]["pattern_similarity"] < 0.9
    wrong = json.loads(call("propose", *REINTERPRET, *types, "--pattern", pattern).out)
    assert max(row.get("pattern_similarity", 0) for row in wrong) < 0.9
    printed = call("propose", *REINTERPRET, *types[:2], "--pattern", pattern, "--radiation", "MoKa", "--quiet").out
    assert "like the pattern" in printed


def test_reinterpret_names_the_compositions_that_fit_nothing(call):
    how = ("--potential", "none", "--prototypes", "A15,B1", "--json")
    outcome = call("propose", "--method", "reinterpret", "--formula", "Nb3Sn,Nb17Sn3,Nb0.5N", *how)
    assert outcome.code == 3
    good, unfit, mixed = json.loads(outcome.out)
    assert good["reduced_formula"] == "Nb3Sn"
    assert "Nb17Sn3" in unfit["error"]
    assert "fractions" in mixed["error"]


def test_faults_of_reinterpret_are_one_line(call):
    how = ("propose", *REINTERPRET, "--quiet")
    one_line_error(call(*how, "--rank", "ewald"), "not by ewald")
    one_line_error(call(*how, "--rank", "beauty"), "rank")
    one_line_error(call(*how, "--pattern", "nowhere.xy"), "nowhere.xy")
    one_line_error(call(*how, "--collection", "minerals"), "minerals")
    one_line_error(call("propose", "--method", "reinterpret", "--quiet"), "needs formulas")
    one_line_error(
        call("propose", "--method", "reinterpret", "--formula", "NbN", "--potential", "magic", "--quiet"), "magic"
    )


def test_discover_with_reinterpreted_and_alike_crystals(call, parent, funnel, pattern, tmp_path):
    how = ("--funnel", funnel, "--json")
    words = (*REINTERPRET, "--prototypes", "A15,L1_2", "--pattern", pattern, "--radiation", "MoKa")
    outcome = call("discover", *words, "--out", tmp_path / "a", *how)
    assert outcome.code == 0
    data = json.loads(outcome.out)
    assert [s["name"] for s in data["survivors"]] == ["Nb3Sn", "Nb3Sn"]
    assert (data["meta"]["request: method"], data["meta"]["request: of"]) == ("reinterpret", "Nb3Sn")
    both = (*words, "--formula", "Nb3Sn,Nb17Sn3", "--quiet")
    data = json.loads(call("discover", *both, "--out", tmp_path / "b", *how).out)
    assert (data["n_candidates"], data["n_survivors"], data["n_failed"]) == (3, 2, 1)
    outcome = call("discover", "--like", parent, "--elements", "V,Ga", "-n", 2, "--out", tmp_path / "c", *how)
    assert json.loads(outcome.out)["meta"]["request: method"] == "like"
