import numpy as np
import pyarrow as pa
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal, known_table
from onnes.crystals.schema import concat, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.errors import ReferenceMismatch
from onnes.flow.stage import StageContext, stage_names
from onnes.physics.stages import HullSettings, HullStage, Identity, IdentitySettings
from tests.physics.references import reference


def _table(**structures):
    batch = CrystalBatch.from_structures(structures.values())
    return crystal_table(batch, ids=list(structures), source="tests")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A reference that knows MgB2 and niobium by their labels."""
    table = known_table(["MgB2", "Nb"])
    phases = [("MgB2", -5.0, "known-MgB2"), ("Nb", -10.0, "known-Nb")]
    path = tmp_path_factory.mktemp("reference") / "two.parquet"
    reference(phases, prototypes=values(table, "prototype")).save(path)
    return str(path)


@pytest.fixture(scope="module")
def energies(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "energies.parquet"
    reference().save(path)
    return str(path)


def _identity(table, known, **settings):
    seen = []
    stage = Identity(IdentitySettings(reference=known, **settings))
    out = stage.apply(table, StageContext("identity", on_rows=seen.append))
    assert sum(seen) == table.num_rows
    assert values(out, "id") == values(table, "id")
    return out


def _permuted(structure, seed=0):
    order = np.random.default_rng(seed).permutation(len(structure))
    return type(structure).from_sites([structure[int(i)] for i in order])


def test_registered() -> None:
    assert {"identity", "hull"} <= set(stage_names())


def test_same_crystal_in_other_words_is_a_duplicate(known) -> None:
    mgb2 = known_crystal("MgB2")
    shifted = mgb2.copy()
    shifted.translate_sites(range(len(shifted)), [0.21, 0.4, 0.13])
    rotated = mgb2.copy()
    rotated.apply_operation(_turn(33))
    out = _identity(
        _table(
            first=mgb2, supercell=mgb2 * (2, 1, 1), other=known_crystal("AlB2"), permuted=_permuted(mgb2 * (1, 2, 1)),
            shifted=shifted, rotated=rotated,
        ),
        known,
    )  # fmt: skip
    assert values(out, "rejected_by") == [None, "identity", None, "identity", "identity", "identity"]
    assert values(out, "reason") == [None, "duplicate = first", None, *["duplicate = first"] * 3]


def _turn(degrees):
    from pymatgen.core.operations import SymmOp

    return SymmOp.from_axis_angle_and_translation([1, 2, 3], degrees)


def test_like_crystals_are_no_duplicates(known) -> None:
    """The same formula and label with another cell, or at another pressure, is another crystal."""
    mgb2 = known_crystal("MgB2")
    stretched = mgb2.copy()
    stretched.apply_strain([0, 0, 0.35])
    table = _table(first=mgb2, stretched=stretched, pressed=mgb2)
    table = with_columns(table, {"pressure_GPa": [0.0, 0.0, 20.0]})
    assert values(_identity(table, known), "rejected_by") == [None] * 3


def test_duplicates_are_found_without_a_pressure_column(known) -> None:
    nb = known_crystal("Nb")
    table = with_columns(_table(first=nb, second=nb * (2, 2, 2)), {"pressure_GPa": [None, None]})
    assert values(_identity(table, known), "reason") == [None, "duplicate = first"]


def test_novelty_is_formula_and_label(known) -> None:
    table = _table(diboride=known_crystal("MgB2"), aluminium=known_crystal("AlB2"), niobium=known_crystal("Nb"))
    out = _identity(table, known)
    assert values(out, "known_as") == ["known-MgB2", None, "known-Nb"]
    assert values(out, "is_novel") == [False, True, False]
    assert values(out, "rejected_by") == [None, None, None]


def test_only_novel_rejects_the_known(known) -> None:
    table = _table(diboride=known_crystal("MgB2"), aluminium=known_crystal("AlB2"))
    out = _identity(table, known, only_novel=True)
    assert values(out, "rejected_by") == ["identity", None]
    assert values(out, "reason") == ["known = known-MgB2", None]


def test_new_compositions_are_those_of_no_known_crystal(known) -> None:
    diboride = known_crystal("MgB2")
    other = known_crystal("NiAl").copy()
    other.replace_species({"Ni": "Mg", "Al": "B"})
    table = _table(diboride=diboride, aluminium=known_crystal("AlB2"), boride=other)
    out = _identity(table, known, only_new_compositions=True)
    assert values(out, "rejected_by") == ["identity", None, None]
    same = diboride.copy()
    same.apply_strain([0.0, 0.0, 0.4])
    same.translate_sites([1], [0.05, 0.02, 0.1])
    out = _identity(_table(distorted=same), known, only_new_compositions=True)
    assert values(out, "is_novel") == [True]  # another structure
    assert values(out, "reason") == ["known = known-MgB2"]


def test_fingerprint_is_that_of_the_file(known, energies) -> None:
    one = Identity(IdentitySettings(reference=known)).fingerprints()
    assert one == HullStage(HullSettings(reference=known)).fingerprints()
    assert one != Identity(IdentitySettings(reference=energies)).fingerprints()


def _with_energy(formulas, energies, potentials):
    rows = pa.table({"id": [f"row-{i}" for i in range(len(formulas))], "formula": formulas})
    return with_columns(rows, {"energy_eV_per_atom": energies, "potential": potentials})


def _hull(table, path):
    return HullStage(HullSettings(reference=path)).apply(table, StageContext("hull"))


def test_hull_columns(energies) -> None:
    out = _hull(_with_energy(["Nb6Sn2", "Nb2AlSn"], [-8.60, -8.0], ["sevennet-0"] * 2), energies)
    assert values(out, "error") == [None, None]
    assert values(out, "e_above_hull_eV_per_atom")[0] == pytest.approx(0.10)
    assert values(out, "decomposes_to")[0] == "1.00 Nb3Sn"
    assert values(out, "hull_reference") == ["by hand"] * 2
    assert values(out, "hull_coverage") == [4, 7]


def test_rows_that_cannot_be_placed_get_an_error(energies) -> None:
    table = _with_energy(
        ["Nb3Sn", "Nb3Sn", "HfNb", "Nb3Sn"], [None, -8.6, -9.9, None], [None, "sevennet-0", "sevennet-0", "sevennet-0"]
    )
    out = _hull(table, energies)
    errors = values(out, "error")
    assert "relax first" in errors[0]
    assert errors[1] is None
    assert "HfNb" in errors[2]
    assert "element" in errors[2]
    assert "no energy to place" in errors[3]
    assert values(out, "e_above_hull_eV_per_atom")[2] is None
    assert values(out, "hull_reference")[2] is None


def test_energy_of_another_potential_stops_the_stage(energies) -> None:
    table = _with_energy(["Nb3Sn", "Nb3Sn"], [-8.6, -8.6], ["sevennet-0", "chgnet"])
    with pytest.raises(ReferenceMismatch):
        _hull(table, energies)


def test_identity_then_hull_of_an_empty_table(known, energies) -> None:
    empty = _table(nb=known_crystal("Nb")).slice(0, 0)
    assert _identity(empty, known).num_rows == 0
    assert _hull(concat([empty]), energies).num_rows == 0
