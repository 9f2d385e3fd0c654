import json
import subprocess
import sys
from pathlib import Path

import pytest

from onnes.crystals.known import known_table
from onnes.crystals.schema import values
from tests.cli.faces import one_line_error, onnes
from tests.crystals.good import good_crystals, good_names
from tests.crystals.malformed import write_malformed
from tests.physics.references import reference

LIGHT = """name = "light"
[[stage]]
use = "gate"
name = "size"
column = "n_atoms"
max = 200
[[stage]]
use = "gate"
name = "ordered"
column = "site_occupancies"
equals = "none"
missing = "pass"
"""


@pytest.fixture
def call(monkeypatch, capfd):
    return lambda *words: onnes(monkeypatch, capfd, *words)


@pytest.fixture
def funnel(tmp_path):
    path = tmp_path / "light.toml"
    path.write_text(LIGHT, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    """Forty good files and twenty bad ones; what the error of each bad one must contain."""
    folder = tmp_path_factory.mktemp("crystals")
    for name, structure in good_crystals().items():
        structure.to(str(folder / f"{name}.cif"), fmt="cif")
    return folder, write_malformed(folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few")
    for name in ("bcc-Nb", "MgB2", "a15-Nb3Sn"):
        good_crystals()[name].to(str(folder / f"{name}.cif"), fmt="cif")
    return folder


def test_forty_good_files_and_twenty_bad_ones(crystals, funnel, tmp_path):
    folder, expected = crystals
    out = tmp_path / "campaign"
    command = [sys.executable, "-c", "from onnes.cli.main import main; main()", "screen", folder]
    words = ["--out", out, "--funnel", funnel, "--top", "3", "--json"]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    data = json.loads(done.stdout)
    assert (data["n_candidates"], data["n_survivors"], data["n_failed"], data["n_rejected"]) == (60, 40, 20, 0)
    assert {s["id"] for s in data["survivors"]} == set(good_names())
    failed = [s["reason"] for s in data["stopped"] if s["kind"] == "failed"]
    assert len(failed) == len(expected) == 20
    for name, word in expected.items():
        (reason,) = (text for text in failed if text.startswith(name))
        assert word in reason
    index = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert all(name in index for name in expected)
    assert len(data["candidates"]) == len(list((out / "report" / "candidates").iterdir())) == 3


def test_screen_prints_what_came_out_and_where_it_lies(call, few, funnel, tmp_path):
    outcome = call("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--quiet")
    assert outcome.code == 0
    assert outcome.err == ""
    for words in ("a15-Nb3Sn", "Tc / K", "eV/atom", str(tmp_path / "c" / "report" / "index.html")):
        assert words in outcome.out.replace("\n", "")


def test_the_same_command_again_changes_nothing(call, few, funnel, tmp_path):
    words = ("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--json")
    first = call(*words)
    files = {p: p.read_bytes() for p in (tmp_path / "c").rglob("*") if p.is_file() and "ledger" not in p.name}
    assert call(*words) == first
    assert {p: p.read_bytes() for p in (tmp_path / "c").rglob("*") if p.is_file() and "ledger" not in p.name} == files


def test_report_tells_the_same_as_screen(call, few, funnel, tmp_path):
    screened = json.loads(call("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--json").out)
    outcome = call("report", tmp_path / "c", "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out) == screened
    on_disk = json.loads((tmp_path / "c" / "report" / "report.json").read_text(encoding="utf-8"))
    assert on_disk == screened
    assert [s["id"] for s in screened["survivors"]] == sorted(["bcc-Nb", "MgB2", "a15-Nb3Sn"])


def test_discover_with_a_light_funnel(call, funnel, tmp_path):
    outcome = call(
        "discover", "--elements", "Nb,N", "--prototypes", "B1", "--out", tmp_path / "c", "--funnel", funnel, "--json"
    )
    assert outcome.code == 0
    data = json.loads(outcome.out)
    assert [s["name"] for s in data["survivors"]] == ["NbN"]
    assert data["meta"]["request: method"] == "prototype"


def test_gates_reject_with_reasons(call, few, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(LIGHT.replace("max = 200", "max = 3"), encoding="utf-8")
    outcome = call("screen", few, "--out", tmp_path / "c", "--funnel", path, "--json")
    assert outcome.code == 0
    data = json.loads(outcome.out)
    assert [s["id"] for s in data["survivors"]] == ["MgB2", "bcc-Nb"]
    assert [(s["id"], s["stage"], s["reason"]) for s in data["stopped"]] == [("a15-Nb3Sn", "size", "n_atoms = 8 > 3")]


@pytest.fixture
def against(tmp_path):
    """A funnel whose first step is held against a reference that knows NbN, MgB2, and niobium as an fcc crystal."""
    labels = [*values(known_table(["NbN", "MgB2", "Al"]), "prototype")]
    phases = [("NbN", -9.0, "known-NbN"), ("MgB2", -5.0, "known-MgB2"), ("Nb", -10.0, "fcc-Nb")]
    labels[2] = labels[2].replace("Al", "Nb")
    reference(phases, prototypes=labels).save(tmp_path / "known.parquet")
    path = tmp_path / "against.toml"
    known = json.dumps(str(tmp_path / "known.parquet"))
    path.write_text(f"name = 'against'\n[[stage]]\nuse = 'identity'\nreference = {known}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "stopped"),
    [
        ([], {}),
        (["--new", "crystals"], {"MgB2": "known = known-MgB2"}),
        (["--new", "compositions"], {"MgB2": "known = known-MgB2", "bcc-Nb": "known = fcc-Nb"}),
    ],
)
def test_only_what_is_new_is_kept_when_asked(call, few, against, tmp_path, words, stopped):
    outcome = call("screen", few, "--out", tmp_path / "c", "--funnel", against, *words, "--json")
    assert outcome.code == 0, outcome.err
    data = json.loads(outcome.out)
    assert {s["id"]: s["reason"] for s in data["stopped"]} == stopped
    assert {s["id"] for s in data["survivors"]} == {"bcc-Nb", "MgB2", "a15-Nb3Sn"} - set(stopped)


@pytest.mark.parametrize(
    ("words", "left"), [([], ["NbN"]), (["--new", "crystals"], []), (["--new", "compositions"], [])]
)
def test_discover_keeps_only_what_is_new_when_asked(call, against, tmp_path, words, left):
    asked = ("discover", "--elements", "Nb,N", "--prototypes", "B1", "--out", tmp_path / "c", "--funnel", against)
    outcome = call(*asked, *words, "--json")
    assert outcome.code == 0, outcome.err
    assert [s["name"] for s in json.loads(outcome.out)["survivors"]] == left


def test_another_request_in_the_same_folder_is_refused(call, few, funnel, tmp_path):
    assert call("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--quiet").code == 0
    outcome = call("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--quiet", "--seed", 3)
    one_line_error(outcome, "holds a campaign with other crystals or other settings", "--out")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("junk", "not a funnel"),
        ("name = 'x'\n[[stage]]\nuse = 'tea'\n", "unknown stage 'tea'"),
        ("name = 'x'\n[[stage]]\nuse = 'gate'\ncolumn = 'tc'\nmin = 1\n", "column 'tc' is not in the crystal table"),
        ("name = 'x'\n[[stage]]\nname = 'y'\n", "use"),
    ],
)
def test_a_faulty_funnel_is_one_line_and_makes_no_folder(call, few, tmp_path, text, fault):
    path = tmp_path / "faulty.toml"
    path.write_text(text, encoding="utf-8")
    one_line_error(call("screen", few, "--out", tmp_path / "c", "--funnel", path, "--quiet"), fault)
    assert not (tmp_path / "c").exists()


def test_other_faults_are_one_line(call, few, funnel, tmp_path):
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years", encoding="utf-8")
    one_line_error(call("screen", few, "--out", foreign, "--funnel", funnel, "--quiet"), "is not empty")
    one_line_error(call("screen", tmp_path / "nowhere", "--out", tmp_path / "c", "--funnel", funnel), "nowhere")
    one_line_error(call("screen", few, "--out", tmp_path / "c", "--funnel", "bee-net", "--quiet"), "bee-net", "default")
    one_line_error(
        call("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--min-tc", 5, "--quiet"), "no step 'tc'"
    )
    one_line_error(
        call("screen", few, "--out", tmp_path / "c", "--funnel", funnel, "--new", "crystals", "--quiet"),
        "no step 'identity'",
    )
    unknown = ("new = 'stars'", "one of crystals, compositions")
    one_line_error(call("screen", few, "--out", tmp_path / "c", "--new", "stars", "--quiet"), *unknown)
    proposed = ("discover", "--elements", "Nb,N", "--prototypes", "B1", "--out", tmp_path / "c", "--quiet")
    one_line_error(call(*proposed, "--new", "stars"), *unknown)
    one_line_error(call("report", tmp_path / "nowhere"), "is no campaign")
    one_line_error(call("discover", "--out", tmp_path / "c", "--quiet"), "give either parents")
    assert not Path(tmp_path / "c").exists()
