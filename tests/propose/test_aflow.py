"""Structure types of the library that pymatgen carries."""

from __future__ import annotations

import numpy as np
import pytest

from onnes.propose.aflow import aflow_names, aflow_prototype, alike, strukturbericht
from onnes.propose.prototypes import prototype, prototype_names


def test_names_are_unique_and_carry_the_prefix() -> None:
    names = aflow_names()
    assert len(set(names)) == len(names) > 270
    assert all(name.startswith("aflow:") for name in names)
    assert {"aflow:AB_oP8_62_c_c:MnP", "aflow:AB_oP8_62_c_c:SSn"} <= set(names)


def test_entries_with_atoms_inside_each_other_are_left_out() -> None:
    labels = [name.split(":")[1] for name in aflow_names()]
    assert "AB2_hP24_194_ef_fgh" not in labels  # a coordinate puts two Mg 1.46 A apart
    assert "ABC_cP12_198_a_a_a" not in labels  # Ni and Sb 1.03 A apart
    assert "A_cP8_205_c" in labels  # molecules of nitrogen, with their bond of 1.1 A


def test_cells_are_primitive_and_in_the_proportions_of_the_label() -> None:
    kind = aflow_prototype("aflow:AB2C_cF16_225_a_c_b")
    assert kind.space_group == 225
    assert kind.counts.tolist() == [1, 2, 1]
    assert kind.species == ("A", "B", "C")
    assert kind.compound == "AlCu2Mn"


# Own coordinates against those of the library, which were taken from the literature independently.
@pytest.mark.parametrize(
    ("own", "library"),
    [("A15", "A3B_cP8_223_c_a"), ("A12", "A_cI58_217_ac2g"), ("D0_2", "A3B_cI32_204_g_c"), ("H3S", "A3B_cI8_229_b_a"),
     ("K2NiF4", "AB2C4_tI14_139_a_e_ce"), ("C7", "AB2_hP6_194_c_f"), ("ZrCuSiAs", "ABCD_tP8_129_c_b_a_c"),
     ("E0_1", "ABC_tP6_129_c_a_c"), ("B10", "AB_tP4_129_a_c"), ("CaCuO2", "ABC2_tP4_123_d_a_f"),
     ("D2_b", "A12B_tI26_139_fij_a"), ("MAX_211", "ABC2_hP8_194_d_a_f")],
)  # fmt: skip
def test_families_agree_with_the_library(own: str, library: str) -> None:
    assert alike(prototype(own), aflow_prototype(f"aflow:{library}"))


def test_other_geometries_are_not_alike() -> None:
    rocksalt, zincblende = aflow_prototype("aflow:AB_cF8_225_a_b"), aflow_prototype("aflow:AB_cF8_216_c_a")
    assert not alike(rocksalt, zincblende)
    assert not alike(prototype("C7"), prototype("NbSe2_2H"))
    assert alike(rocksalt, rocksalt)


def test_what_both_have_is_listed_once() -> None:
    own, both = prototype_names(), prototype_names(["general", "superconductors", "aflow"])
    assert both[: len(own)] == own
    assert len(own) + 200 < len(both) < len(own) + len(aflow_names()) - 30
    symbols = [strukturbericht(name) for name in both[len(own) :]]
    assert not {"A15", "C15", "D5_a", "E2_1"} & set(symbols)
    assert "A13" in symbols


def test_every_type_can_be_built() -> None:
    for name in aflow_names():
        kind = aflow_prototype(name)
        assert len(kind.frac_coords) == len(kind.species_of_site) == kind.counts.sum()
        assert np.abs(np.linalg.det(kind.lattice)) > 0
        assert kind.counts.min() > 0
