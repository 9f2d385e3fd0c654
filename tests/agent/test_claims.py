import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.agent.studies import small_study

from onnes.agent.claims import render, unsupported
from onnes.agent.routes import ROUTES
from onnes.crystals.schema import with_columns


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return small_study(tmp_path_factory.mktemp("study") / "s")


def test_citations_become_values_with_unit_spread_and_name(known):
    study, one = known
    made = render(study, f"Its Tc is [[{one}/Nb3Sn/tc_K]], it lies [[{one}/Nb/e_above_hull_eV_per_atom]].")
    assert made.text == (
        "Its Tc is 14.41 ± 0.70 K (Nb3Sn: Tc), it lies 0.012 eV/atom (Nb: energy above hull)."
    )  # fmt: skip
    assert made.unsupported == ()
    assert [value.result_id for value in made.values] == [f"{one}/Nb3Sn/tc_K", f"{one}/Nb/e_above_hull_eV_per_atom"]
    assert made.values[1].in_domain is False


def test_cells_of_tables_hold_the_value_alone(known):
    study, one = known
    assert render(study, f"[[{one}/Nb/tc_K]]", bare=True).text == "11.70 K"


def test_counts_words_goal_and_lists_can_be_cited(known):
    study, one = known
    text = f"[[{one}/*/n_rows]] [[{one}/Nb3Sn/phonon_grade]] [[goal/*/min_tc_K]] [[{one}/Nb3Sn/concerns]] [[{one}/*/remark_1]]"
    made = render(study, text, bare=True)
    assert made.text == "2 stable 8 K melts at 2750 K; rare made in 2026"
    assert made.unsupported == ()


@pytest.mark.parametrize("text", [
    "Tc is 9.2 K", "about 9K", "Tc = 9", "−9", "1e3", "１２ K", "Tc is ٩ K", "Tc is ² K", "nine kelvin", "Twenty-five K", "Tc9.2K",
    "half of them", "a Tc of forty", "the result is [9]", "x9", "Ⅸ K", "½", "(12)", "`12`", "`9.2 K`", "VTa9", "#3", "3.", "~7~",
    "九 K", "percent", "`Nb4Sn`",
])  # fmt: skip
def test_numbers_without_a_source_are_found(known, text):
    study, _ = known
    assert unsupported(study, text), text


@pytest.mark.parametrize("text", [
    "Nb3Sn is a known compound, and Nb an element.", "`Nb3Sn` looks good (in domain).", "No doubt; this one may be made.",
    "Its phonons are stable.", "", "The first is one of them; the second, someone says, was once weighed.", "Type-II, type I: the DOS, XC, ML.",
    "μB, ωlog, α-Mn, λ and ΔE in meV; Te–N bonds", "A trend of the decision tree, due to intense tension: often, the weight.",
    "Dieses Material ist ein Leiter.", "Le composé est à étudier.", "El compuesto es superconductor.", "тристан стоит внимания", "超导体",
    "a | b\n---|---", "---", "> quoted", "Above all it is stable — perhaps.",
])  # fmt: skip
def test_names_and_words_are_no_numbers(known, text):
    study, _ = known
    assert unsupported(study, text) == []


@pytest.mark.parametrize(("citation", "why"), [
    ("{one}/Nb/phonon_grade", "holds no single value"), ("{one}/V3Si/tc_K", "has no row"), ("aaaaaaaaaaaa/Nb/tc_K", "no set"),
    ("{one}/Nb/what", "no column"), ("goal/*/max_tc_K", "says nothing"), ("{one}/*/tc_K", "not 'tc_K'"), ("hello", "no result id"),
    ("../../etc/passwd", "no set"), ("{one}/Nb/lattice", "holds no single value"),
])  # fmt: skip
def test_citations_that_lead_nowhere_are_found(known, citation, why):
    study, one = known
    text = f"[[{citation.format(one=one)}]]"
    made = render(study, text)
    assert len(made.unsupported) == 1
    assert why in made.unsupported[0]


SIGNS = ("−{}", "-{}", "Tc is - {}", "~{}", "~ {}", "about {}", "**minus** {}", "minus\n{}", "–{}", "Tc > {}", "Tc < {}", "+{}", "&minus;{}",
         "-**{}**", "0.{}", "x.{}", "{}{}", "-\u200b{}", "≈{}", "a −\n> {}")  # fmt: skip


@pytest.mark.parametrize("text", SIGNS)
def test_nothing_before_a_citation_makes_another_number_of_it(known, text):
    study, one = known
    cited = f"[[{one}/Nb/tc_K]]"
    assert render(study, text.replace("{}", cited)).unsupported, text


@pytest.mark.parametrize("text", [
    "- {}", "> - {}", "* {}", "({})", "| {} | {} |", "Tc: **{}**", "Tc = {}", "hull – {}", "of the set; {}, {}", "above {}.", "{}",
])  # fmt: skip
def test_citations_may_stand_in_lists_tables_and_sentences(known, text):
    study, one = known
    assert render(study, text.replace("{}", f"[[{one}/Nb/tc_K]]")).unsupported == ()


def test_formulas_that_were_only_typed_are_not_known(tmp_path):
    study, one = small_study(tmp_path / "s")
    typed = pa.table(
        {"id": ["Zr7Re9", "At15K"], "formula": ["Zr7Re9", "At15K"], "reduced_formula": ["Zr7Re9", "At15K"]}
    )
    study.add("a" * 12, typed, tool="experimental", arguments={"formulas": ["Zr7Re9", "At15K"]})
    for text in ("Zr7Re9", "`Zr7Re9`", f"`{'a' * 12}/Zr7Re9`", "At15K", "`At15K`", f"`{'a' * 12}/At15K`"):
        assert unsupported(study, text), text
    names = {"id": ["c1"], "formula": ["Tc39K"], "reduced_formula": ["Tc39K"]}
    study.add("b" * 12, with_columns(study.table(one).slice(0, 1), names), tool="files", arguments={})
    for text in ("It superconducts, Tc39K.", "`Tc39K`"):  # even a crystal must not read as a temperature
        assert unsupported(study, text), text
    assert unsupported(study, f"`{'b' * 12}/c1`") == []


def test_the_fixed_texts_of_answers_hold_no_numbers(known):
    study, _ = known
    for one in ROUTES.values():
        assert render(study, one.hypothesis).unsupported == ()


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_text_comes_no_digit_passes(known, text):
    study, one = known
    names = {"Nb3Sn", one}
    if not render(study, text).unsupported:
        rest = text
        for name in names:
            rest = rest.replace(name, "")
        assert not any(c.isnumeric() for c in rest)


@pytest.mark.parametrize("text", [
    "te\u200bn kelvin", "ｔｅｎ kelvin", "ten/eleven", "ten—eleven", "tenfold", "a tenth", "`ten` kelvin", "Tc=39K", "𝟖 K", "eightK",
    "TEN", "tEn", "**nine**", "x=ten", "8\ufe0f\u20e3 K", "K39", "thirtynine kelvin", "twentythree K", "th**i**rty", "thir~~t~~y",
    "thir&shy;ty", "thir&amp;shy;ty", "&#51;9 K", "thir\\ty", "thir`t`y", "thir-ty", "thir(ty)", "t e n kelvin", "forty\u3164two",
    "twenti\u034feth", "thírty", "tεn", "thirt\u0443", "ᴛᴇɴ", "🆃🅴🅽", "🇹🇪🇳", "\U0001f51f kelvin", "💯 K", "⠞⠑⠝",
    "XXXIX kelvin", "X kelvin", "Nb is XIV", "xxxix", "in the thirties", "one third", "a twenty-fifth", "a trillion", "one kelvin",
    "quadruple", "doubled", "halved", "unity", "a hundredfold", "thirtysomething", "ninekelvin", "nine_kelvin",
    "zwanzig Kelvin", "neununddreißig", "trente-neuf", "veintitrés", "ventitré", "тридцать", "пяти", "عشرون", "Tc39K", "At15K",
])  # fmt: skip
def test_numbers_in_disguise_are_found(known, text):
    study, _ = known
    assert unsupported(study, text), text


def test_crystals_may_stand_in_backticks_and_sets_too(known):
    study, one = known
    assert unsupported(study, f"`{one}/Nb3Sn` of `{one}`, often intense; Nb–Ti as well.") == []
    assert unsupported(study, f"`{one}/V3Si`")
    assert unsupported(study, f"{one}/Nb3Sn")  # outside backticks a name may look like a quantity


def test_values_do_nothing_where_they_are_shown(tmp_path):
    study, _ = small_study(tmp_path / "s")
    table = study.table(study.sets()[0].set_id).slice(0, 1)
    evil = pa.array(["<script>x</script> | 300 K | [see](http://example.org)"])
    study.add("aaaaaaaaaaaa", table.append_column("notes", evil), tool="files", arguments={})
    cell = render(study, "| [[aaaaaaaaaaaa/Nb3Sn/notes]] |", bare=True).text
    assert cell == "| &lt;script>x&lt;/script> \\| 300 K \\| [see] (http://example.org) |"
