import time

import numpy as np
import pytest
from pymatgen.core import Composition, Element, Species

from onnes.errors import ModelError
from onnes.models.composition import (
    EXPERIMENTAL_FAMILIES,
    FEATURE_NAMES,
    HEAVIEST,
    LAST_FRACTION,
    PROPERTIES,
    composition_features,
    element_fractions,
    element_properties,
    experimental_families,
)


def row(composition):
    return dict(zip(FEATURE_NAMES, composition_features([composition])[0].tolist(), strict=True))


def test_names_are_those_of_the_columns() -> None:
    found = composition_features(["MgB2", "Nb"])
    assert found.shape == (2, len(FEATURE_NAMES))
    assert found.dtype == np.float32
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert composition_features([]).shape == (0, len(FEATURE_NAMES))


def test_statistics_by_hand() -> None:
    found = row("MgB2")
    magnesium, boron = Element("Mg"), Element("B")
    assert found["mean_electronegativity"] == pytest.approx((magnesium.X + 2 * boron.X) / 3, rel=1e-5)
    spread = np.sqrt((magnesium.X**2 + 2 * boron.X**2) / 3 - found["mean_electronegativity"] ** 2)
    assert found["std_electronegativity"] == pytest.approx(spread, rel=1e-4)
    assert found["max_mass_amu"] == pytest.approx(float(magnesium.atomic_mass), rel=1e-5)
    assert found["min_mass_amu"] == pytest.approx(float(boron.atomic_mass), rel=1e-5)
    assert found["range_atomic_number"] == 7
    assert found["share_alkaline_earth"] == pytest.approx(1 / 3)
    assert found["share_boron_carbon_nitrogen"] == pytest.approx(2 / 3)
    assert found["elements"] == 2
    assert found["mixing_entropy"] == pytest.approx(-(np.log(1 / 3) + 2 * np.log(2 / 3)) / 3, rel=1e-5)
    assert found["fraction_norm"] == pytest.approx(np.sqrt(5) / 3)
    assert (found["fraction_Mg"], found["fraction_Nb"]) == (pytest.approx(1 / 3), 0)


def test_element_has_no_spread() -> None:
    found = row("Nb")
    assert all(found[f"{s}_{p}"] == pytest.approx(0, abs=1e-2) for p in PROPERTIES for s in ("std", "range"))
    assert (found["elements"], found["mixing_entropy"], found["largest_fraction"]) == (1, 0, 1)


def test_pairs_need_both_partners() -> None:
    assert row("YBa2Cu3O7")["copper_and_oxygen"] == pytest.approx(3 / 13)
    assert row("Cu3Au")["copper_and_oxygen"] == 0
    assert row("LaFeAsO")["iron_and_partner"] == pytest.approx(1 / 4)
    assert row("FeB")["iron_and_partner"] == 0


@pytest.mark.parametrize(
    "same",
    [
        "B2Mg", "Mg3B6", {"Mg": 1, "B": 2}, {12: 0.5, 5: 1}, {Element("Mg"): 1, Element("B"): 2}, Composition("MgB2"),
        {Species("Mg", 2): 1, Species("B", -1): 2}, {"Mg2+": 1, "B": 2.0},
    ],
)  # fmt: skip
def test_same_composition_has_same_features(same) -> None:
    np.testing.assert_allclose(composition_features([same]), composition_features(["MgB2"]), rtol=1e-5, atol=1e-6)


def test_deuterium_is_hydrogen() -> None:
    np.testing.assert_allclose(element_fractions(["PdD"]), element_fractions(["PdH"]))
    np.testing.assert_allclose(element_fractions([{"Pd": 1, "D": 0.25, "T": 0.75}]), element_fractions(["PdH"]))


def test_rows_do_not_see_each_other() -> None:
    formulas = ["YBa2Cu3O6.93", "Nb0.5Ti0.5", "H3S", "CeCoIn5"]
    together = composition_features(formulas)
    for i, formula in enumerate(formulas):
        np.testing.assert_array_equal(together[i], composition_features([formula])[0])


def test_traces_do_not_move_the_extremes() -> None:
    clean, traced, doped = row("Nb"), row({"Nb": 0.995, "U": 0.005}), row({"Nb": 0.95, "U": 0.05})
    assert traced["max_atomic_number"] == clean["max_atomic_number"] == 41
    assert doped["max_atomic_number"] == 92
    assert traced["mean_atomic_number"] > 41.2


def test_every_element_has_every_property() -> None:
    table = element_properties()
    assert table.shape == (HEAVIEST, len(PROPERTIES))
    assert np.isfinite(table).all()
    everything = composition_features([{z: 1} for z in range(1, HEAVIEST + 1)])
    assert np.isfinite(everything).all()
    names = [n for n in FEATURE_NAMES if n.startswith("fraction_")]
    assert len(names) == LAST_FRACTION + 1  # and the norm


def test_missing_property_comes_from_a_chemical_neighbour() -> None:
    radius = element_properties()[:, PROPERTIES.index("atomic_radius_A")]
    assert radius[86] == radius[54]  # francium takes that of caesium
    assert radius[25] == Element("Fe").atomic_radius


@pytest.mark.parametrize(
    ("symbol", "valence"),
    [
        ("Nb", 5),
        ("Pb", 4),
        ("Al", 3),
        ("Fe", 8),
        ("Cu", 11),
        ("Hf", 4),
        ("Re", 7),
        ("La", 3),
        ("U", 6),
        ("Ce", 4),
        ("H", 1),
    ],
)
def test_valence_electrons(symbol, valence) -> None:
    assert element_properties()[Element(symbol).Z - 1, PROPERTIES.index("valence")] == valence


def test_mixtures_hold_what_the_fractions_hold() -> None:
    """They are an orthogonal transform, so distances between roots of fractions stay."""
    mixtures = composition_features(["Nb3Sn", "MgB2"])[:, [n.startswith("mixture_") for n in FEATURE_NAMES]]
    assert mixtures.shape == (2, LAST_FRACTION)
    np.testing.assert_allclose((mixtures**2).sum(1), 1, rtol=1e-5)  # roots of fractions have norm one
    assert mixtures[0] @ mixtures[1] == pytest.approx(0, abs=1e-6)  # no element in common


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("Xx2O", "composition 1, 'Xx2O'"),
        ({"Nb": -1.0, "Sn": 2}, "Nb: -1"),
        ({"Nb": float("nan")}, "nan"),
        ({}, "holds no atoms"),
        ({104: 1}, "elements 1 to 103"),
        ({"Qq": 1}, "unknown element"),
        ({None: 1}, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_row(bad, message) -> None:
    with pytest.raises(ModelError, match=message):
        composition_features(["Nb", bad])


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("La1.85Sr0.15CuO4", "cuprate"), ("HgBa2Ca2Cu3O8.3", "cuprate"), ("Ca2CuO2Cl2", "cuprate"),
        ("Sr2Ca2Cu3Bi2O", "cuprate"),  # too little oxygen, as in many tables
        ("BiCuSO", "other"), ("CuO0.01", "other"), ("Cu", "other"),
        ("FeSe", "iron-based"), ("Ba0.6K0.4Fe2As2", "iron-based"), ("SmFeAsO0.85F0.15", "iron-based"),
        ("CaFeAs2", "iron-based"), ("Fe3Sn", "other"), ("LaFe4P12", "other"), ("FeMo6Se8", "other"),
        ("PdH", "hydride"), ("LaH10", "hydride"), ("HC3", "other"), ("H2O", "other"), ("LaFeSiH", "other"),
        ("CeCoIn5", "heavy-fermion candidate"), ("UPt3", "heavy-fermion candidate"),
        ("PrOs4Sb12", "heavy-fermion candidate"), ("CeO0.5F0.5BiS2", "other"), ("U", "other"), ("CeFeAsO", "iron-based"),
        ("Nd1.85Ce0.15CuO4", "cuprate"), ("Nb3Sn", "other"), ("MgB2", "other"),
    ],
)  # fmt: skip
def test_families(formula, family) -> None:
    assert experimental_families([formula]) == [family]
    assert family in EXPERIMENTAL_FAMILIES


def test_thousands_take_seconds() -> None:
    rng = np.random.default_rng(0)
    formulas = [f"Nb{a:.2f}Ti{b:.2f}O{c:.2f}" for a, b, c in rng.random((2000, 3)) + 0.1]
    composition_features(formulas[:1])
    start = time.perf_counter()
    composition_features(formulas)
    assert time.perf_counter() - start < 5
