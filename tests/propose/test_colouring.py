"""Colourings that symmetry makes equal, checked against pymatgen's structure matcher."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Lattice, Structure

from onnes.crystals.known import known_crystal
from onnes.propose.colouring import canonical, site_maps
from onnes.propose.sites import WyckoffSites, wyckoff_sites


def sites_of(name: str) -> WyckoffSites:
    structure = known_crystal(name)
    numbers = np.array([site.specie.Z for site in structure])
    return wyckoff_sites(structure.lattice.matrix, structure.frac_coords, numbers)


@pytest.mark.parametrize("name", ["NaCl", "NiAl", "Cu3Au", "NbB", "Be2Nb3", "MgCNi3", "LaFeAsO", "NbSe2", "H3S"])
def test_keys_agree_with_the_structure_matcher(name: str) -> None:
    sites = sites_of(name)
    colours = np.array(list(product((22, 41, 6), repeat=len(sites.names)))[:: 1 if len(sites.names) < 4 else 5])
    keys = canonical(colours, site_maps(sites.lattice, sites.frac_coords, sites.orbit_of_site))
    made = [Structure(Lattice(sites.lattice), row[sites.orbit_of_site].tolist(), sites.frac_coords) for row in colours]
    tight = StructureMatcher(ltol=0.01, stol=0.06, angle_tol=0.5, primitive_cell=False, scale=False)
    for i in range(len(colours)):
        for j in range(i):
            if made[i].composition == made[j].composition and len(made[i].composition) > 1:
                assert (keys[i] == keys[j]) == tight.fit(made[i], made[j]), (colours[i], colours[j])


def test_orbits_are_named_by_multiplicity_and_letter() -> None:
    assert set(sites_of("Be2Nb3").names) == {"2a", "4h", "4g"}
    assert set(sites_of("NbBe2").names) == {"8b", "16c"} or set(sites_of("NbBe2").names) == {"8a", "16d"}
    assert set(sites_of("LaFeAsO").names) == {"2a", "2b", "2c1", "2c2"}


def test_a_supercell_has_the_orbits_of_its_primitive_cell() -> None:
    structure = known_crystal("NaCl")
    structure.make_supercell([2, 1, 1])
    numbers = np.array([site.specie.Z for site in structure])
    sites = wyckoff_sites(structure.lattice.matrix, structure.frac_coords, numbers)
    assert len(sites.frac_coords) == 2
    assert sites.multiplicities.tolist() == [1, 1]
