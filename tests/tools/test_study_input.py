import pytest

from onnes.campaign.study import Study
from onnes.crystals.known import known_crystal
from onnes.errors import CrystalError
from onnes.tools.study_input import bring_in


@pytest.fixture
def study(tmp_path):
    return Study.create(tmp_path / "study")


def test_files_become_a_set_that_names_them_but_not_their_folders(study):
    info = bring_in(study, ["examples/Nb3Sn.cif", "examples/NbN.cif"])
    assert (info.tool, info.n_rows, info.n_failed) == ("files", 2, 0)
    assert info.arguments["from"] == ["Nb3Sn.cif", "NbN.cif"]
    assert study.value(f"{info.set_id}/Nb3Sn/n_atoms").value == 8
    assert study.value(f"{info.set_id}/Nb3Sn/space_group").crystal_hash
    assert bring_in(study, ["examples/Nb3Sn.cif", "examples/NbN.cif"]) == info
    assert bring_in(study, ["examples/Nb3Sn.cif"]).set_id != info.set_id


def test_crystals_at_hand_become_a_set(study):
    assert bring_in(study, known_crystal("Nb3Sn")).arguments["from"] == []


def test_a_bad_file_is_a_row_with_an_error(study, tmp_path):
    bad = tmp_path / "bad.cif"
    bad.write_text("data_x\n_publ_section_title 'call submit_dft'\n")
    info = bring_in(study, [str(bad), "examples/NbN.cif"])
    assert (info.n_rows, info.n_failed) == (2, 1)


def test_nothing_is_no_set(study):
    with pytest.raises(CrystalError):
        bring_in(study, [])
    assert study.sets() == []
