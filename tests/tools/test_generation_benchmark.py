import numpy as np
import pytest
from pymatgen.core import Composition

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.free_parameters import free_parameters
from onnes.crystals.known import known_crystal
from onnes.crystals.schema import is_open, values, with_columns
from onnes.crystals.table import crystal_table
from onnes.physics.hull import HullResult
from onnes.physics.reference import Reference
from onnes.potentials import potential as registry
from onnes.propose.diffusion import diffusion_candidates
from onnes.propose.rows import Proposal, proposal_table
from onnes.tools import generation_benchmark as module
from onnes.tools.generation_benchmark import benchmark_generation, compositionally_valid, structurally_valid
from onnes.training.generator_data import GeneratorData
from tests.physics.references import reference
from tests.potentials.fakes import FakePotential, FlatPotential
from tests.propose.small_generator import QUICK, small_generator

A15 = "A3B_cP8_223_c_a:Nb-Sn"
# Energies (eV/atom) against crystals at zero: NiAl, MgB2 and FeP come 0.04 to 0.05 above the hull, NbN 0.3, Nb3Sn on it.
COMPOUNDS = [
    ("AlNi3", -0.075, "Ni3Al"), ("MgB4", -0.05, "MgB4"), ("Nb2N", -0.4, "Nb2N"), ("Nb3Sn", 0.0, "Nb3Sn-A15"), ("NaCl", -1.0, "rocksalt"),
    ("FeP2", -0.0613, "FeP2"),
]  # fmt: skip
ELEMENTS = ("Ni", "Al", "Nb", "Sn", "Mg", "B", "N2", "Fe", "Se", "Na", "Cl2", "Ca", "P")


class AtRest(FlatPotential):
    """Nothing moves but phosphorus, to and fro without end; crystals with chlorine have no energy."""

    def evaluate(self, batch, *, forces=True, features=False):
        self.calls.append(batch.n_atoms.tolist())
        found = super().evaluate(batch, forces=forces, features=features)
        found.energies_eV[[17 in numbers for _, _, numbers in batch]] = np.nan
        (moving,) = np.nonzero(batch.atomic_numbers == 15)
        found.forces_eV_per_A[moving, 2] = (-1.0) ** (len(self.calls) + np.arange(len(moving)))
        return found


def crystal(name, *, swap=None, strain=0.0, cells=(1, 1, 1)):
    structure = known_crystal(name, primitive=True) * cells
    structure.replace_species(swap or {})
    structure.apply_strain(strain)
    return CrystalBatch.from_structures([structure]).crystal(0)


def written(crystals):
    """Training data of these crystals."""
    batch = CrystalBatch.of(crystals)
    formulas = tuple(one.composition.reduced_formula for one in batch.to_structures())
    names = tuple(str(i) for i in range(len(crystals)))
    made = tuple(free_parameters(*one) for one in batch)
    return GeneratorData(made, names, formulas, np.full((len(crystals), 2), np.nan), 0)


def use(monkeypatch, potential, known, trained):
    monkeypatch.setattr(registry, "_ADAPTERS", {"fake": ("tests.potentials.fakes", "FakePotential")})
    monkeypatch.setattr(registry, "_LOADED", {("fake", "cpu"): potential})
    monkeypatch.setattr(Reference, "find", classmethod(lambda *_: known))
    monkeypatch.setattr(module, "generator_data", lambda: trained)


def test_atoms_half_an_angstrom_apart_and_a_cell_with_a_volume():
    cube = 4.0 * np.eye(3)
    batch = CrystalBatch.of([
        (cube, [[0, 0, 0], [0.5, 0, 0]], [41, 7]),
        (cube, [[0, 0, 0], [0.13, 0, 0]], [41, 7]),  # 0.52 A
        (cube, [[0, 0, 0], [0.12, 0, 0]], [41, 7]),  # 0.48 A
        (cube, [[0.01, 0, 0], [0.9, 0, 0]], [41, 7]),  # 0.44 A through the face
        (np.diag([0.4, 0.4, 0.4]), [[0, 0, 0]], [41]),  # 0.064 A^3
        (cube * np.nan, [[0, 0, 0]], [41]),
    ])  # fmt: skip
    assert structurally_valid(batch).tolist() == [True, True, False, False, False, False]


def test_charges_balance_and_alloys_pass():
    formulas = ["NaCl", "NaCl2", "Nb3Sn", "Nb", "CaF2", "CaF3", "NaCl"]
    assert compositionally_valid(formulas).tolist() == [True, False, True, True, True, False, True]


@pytest.mark.parametrize(
    ("formula", "known", "covered"),
    [("Nb", 0, True), ("NbN", 0, False), ("Nb2N2", 1, True), ("NbTiN", 2, False), ("NbTiN", 3, True), ("AlNbTiN", 5, False)],
)  # fmt: skip
def test_a_system_is_covered_by_as_many_compounds_as_pairs(formula, known, covered):
    assert module._is_covered(HullResult(0.0, 0.0, "", known), formula) is covered
    assert not module._is_covered(None, formula)


def test_a_training_crystal_is_known_again():
    trained = written([crystal("MgB2"), crystal("NaCl", swap={"Na": "Ni", "Cl": "Al"}), crystal("FeSe")])
    same = crystal("MgB2", strain=0.02, cells=(1, 2, 1))
    rows = [same, crystal("NiAl"), crystal("MgB2", swap={"Mg": "Al"}), crystal("FeSe")]
    table = crystal_table(CrystalBatch.of(rows), ids=list("abcd"), source="tests")
    assert module._in_training(table, trained).tolist() == [True, False, False, True]


def test_distance_moved_in_relaxation():
    lattice = np.diag([4.0, 5.0, 6.0])
    before = np.array([[0.0, 0, 0.01], [0.5, 0.5, 0.5]])
    one_by = before + [[0, 0, 0], [0, 0, 0.1]]  # 0.6 A: each 0.3 A from their middle
    wrapped = before + [[0, 0, -0.02 + 1], [0, 0, -0.02]]  # both by the same
    rows = [(lattice, after, [41, 7]) for after in (one_by, wrapped, before)]
    table = crystal_table(CrystalBatch.of(rows), ids=list("abc"), source="tests")
    table = with_columns(table, {"input_frac_coords": [before.ravel(), before.ravel(), None]})
    assert module._moved(table) == pytest.approx([0.3, 0.0, np.nan], nan_ok=True)


SAMPLES = {
    "NiAl": crystal("NiAl"),  # stable, unique, novel
    "again": crystal("NiAl", cells=(1, 1, 2)),
    "in the reference": crystal("Nb3Sn"),
    "in training": crystal("MgB2"),
    "too high": crystal("NaCl", swap={"Na": "Nb", "Cl": "N"}, strain=-0.2),
    "no compound known": crystal("FeSe"),
    "fails in relaxation": crystal("NaCl"),
    "does not come to rest": crystal("FeSe", swap={"Se": "P"}),
    "fails before": (4.0 * np.eye(3), np.diag([0, 0.1, 0.5]), np.array([11, 17, 17])),
    "fails before, no compound known": (4.0 * np.eye(3), np.diag([0, 0.1, 0.5])[:2], np.array([26, 34])),
    "element unknown": (4.5 * np.eye(3), np.eye(4, 3, -1) / 2, np.array([20, 9, 9, 9])),
}


@pytest.fixture
def judged(monkeypatch):
    """Judge some of the samples above; what else is trained on may be given."""

    def run(names=tuple(SAMPLES), more=()):
        table = proposal_table([Proposal(*SAMPLES[name], None, name) for name in names], source="diffusion")
        monkeypatch.setattr(module, "diffusion_candidates", lambda *_, **__: table)
        phases = [*((element, 0.0, element) for element in ELEMENTS), *COMPOUNDS]
        known = reference(phases, prototypes=[A15 if name == "Nb3Sn-A15" else None for *_, name in phases])
        # Of NiAl another structure was trained on: its formula is known, the crystal is not.
        other = crystal("NaCl", swap={"Na": "Ni", "Cl": "Al"})
        use(monkeypatch, AtRest(), known, written([crystal("MgB2", strain=0.01), other, *more]))
        return benchmark_generation(count=len(names), potential="fake")

    return run


def test_shares_by_hand(judged):
    found = judged()
    assert found.values == pytest.approx({
        "structurally valid": 9 / 11,
        "compositionally valid (SMACT)": 9 / 11,  # neither NaCl2 nor CaF3
        "passes the package's own validation": 9 / 11,
        "relaxed to rest": 7 / 11,
        "unique, of the relaxed": 6 / 7,
        "novel against reference and training, of the relaxed": 5 / 7,
        "formula not in training": 8 / 11,
        "in a chemical system that the reference covers": 8 / 11,
        "at most 0.1 eV/atom above the hull, of those": 4 / 8,
        "stable, unique and novel (S.U.N.), of those": 1 / 8,  # what failed counts too
    })  # fmt: skip
    assert [row[1] for row in found.rows] == [f"{100 * share:.1f}" for share in found.values.values()]
    assert any("0.00 A; median above the hull 48 meV/atom" in note for note in found.notes)


@pytest.mark.parametrize(
    ("more", "sun"),
    [
        ("again", 1 / 2),
        ("in the reference", 1 / 2),
        ("in training", 1 / 2),
        ("too high", 1 / 2),
        ("fails before", 1 / 2),
        ("fails in relaxation", 1 / 2),
        ("does not come to rest", 1 / 2),
        ("no compound known", 1),
        ("fails before, no compound known", 1),
        ("element unknown", 1),
    ],
)
def test_what_counts_against_stable_unique_and_novel(judged, more, sun):
    name = "stable, unique and novel (S.U.N.), of those"
    assert judged(["NiAl"]).values[name] == 1
    assert judged(["NiAl", more]).values[name] == sun


def test_a_sample_equal_to_a_training_crystal_is_not_novel(judged):
    found = judged(["NiAl", "no compound known"], more=[crystal("NiAl", strain=0.01)])
    assert found.values["novel against reference and training, of the relaxed"] == 0.5
    assert found.values["stable, unique and novel (S.U.N.), of those"] == 0


def test_samples_of_a_generator_are_relaxed_and_judged(monkeypatch, tmp_path):
    model = small_generator(tmp_path / "small")
    drawn = diffusion_candidates(8, model=model, sampler=QUICK, seed=2)
    opened = is_open(drawn)
    formulas = [Composition(formula) for formula in values(drawn, "reduced_formula")]
    binary = next(formula for formula in formulas if len(formula) == 2)
    elements = {element.symbol for formula in formulas for element in formula}
    phases = [*((element, -3.0, element) for element in elements), (binary.reduced_formula, -3.0, "known")]
    trained = written([one for one, is_sound in zip(CrystalBatch.from_table(drawn), opened, strict=True) if is_sound])
    use(monkeypatch, FakePotential(), reference(phases), trained)
    monkeypatch.setattr(module, "RELAX", module.RELAX.model_copy(update={"max_steps": 25}))
    done = []
    found = benchmark_generation(count=8, model=model, sampler=QUICK, seed=2, potential="fake", on_rows=done.append)
    share = found.values
    assert sum(done) == opened.sum()
    assert all(0 <= one <= 1 for one in share.values())
    covered = [len(formula) == 1 or formula.chemical_system == binary.chemical_system for formula in formulas]
    assert share["in a chemical system that the reference covers"] == pytest.approx(np.mean(covered))
    assert share["passes the package's own validation"] == opened.mean() >= share["relaxed to rest"]
    assert share["formula not in training"] <= 1 - opened.mean()  # the sound ones are what was trained on
    stable = share["at most 0.1 eV/atom above the hull, of those"]
    assert share["stable, unique and novel (S.U.N.), of those"] <= stable
