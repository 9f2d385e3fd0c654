"""Benchmark of generation from scratch: valid, unique, new, stable."""

from __future__ import annotations

import time
from math import comb
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import floats, is_open, values
from onnes.flow.stage import StageContext
from onnes.models.generation.generative_model import DEFAULT_GENERATOR
from onnes.physics.hull import hull_of
from onnes.physics.reference import Reference
from onnes.physics.stages import Identity, IdentitySettings
from onnes.potentials.potential import DEFAULT_POTENTIAL, load_potential
from onnes.potentials.relaxation import RelaxSettings
from onnes.potentials.tables import relax_table
from onnes.propose.diffusion import diffusion_candidates
from onnes.training.benchmarks.report import Benchmark
from onnes.training.generator_data import generator_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from onnes.physics.hull import HullResult
    from onnes.propose.diffusion import SamplerSettings
    from onnes.training.generator_data import GeneratorData

    Mask = NDArray[np.bool_]

SAMPLES = 400
STABLE_EV_PER_ATOM = 0.1
MIN_DISTANCE_A, MIN_VOLUME_A3 = 0.5, 0.1
"""Structural validity as published (CDVAE, Xie et al., ICLR 2022)."""
RELAX = RelaxSettings(fmax_eV_per_A=0.05, max_steps=150)


def structurally_valid(batch: CrystalBatch) -> Mask:
    """Whether all atoms are at least 0.5 angstrom apart and the cell has at least 0.1 cubic angstrom."""
    from pymatgen.core import Structure

    def valid(lattice: np.ndarray, frac: np.ndarray, numbers: np.ndarray) -> bool:
        if not np.isfinite(lattice).all() or abs(np.linalg.det(lattice)) < MIN_VOLUME_A3:
            return False
        return Structure(lattice, numbers.tolist(), frac).is_valid(tol=MIN_DISTANCE_A)

    return np.array([valid(*crystal) for crystal in batch], bool)


def compositionally_valid(formulas: Sequence[str]) -> Mask:
    """Whether oxidation states can balance in the order of electronegativity; elements and alloys pass (SMACT)."""
    from smact.screening import smact_validity

    verdict = {formula: bool(smact_validity(formula)) for formula in set(formulas)}
    return np.array([verdict[formula] for formula in formulas], bool)


def benchmark_generation(
    *,
    count: int = SAMPLES,
    model: str = DEFAULT_GENERATOR,
    sampler: SamplerSettings | None = None,
    conditions: Mapping[str, float] | None = None,
    potential: str = DEFAULT_POTENTIAL,
    seed: int = 0,
    device: str = "cpu",
    on_rows: Callable[[int], None] | None = None,
) -> Benchmark:
    """Generate crystals from scratch and judge them.

    Parameters
    ----------
    count
        Samples.
    model, sampler, conditions, seed
        See `onnes.propose.diffusion.diffusion_candidates`.
    potential
        The judge; the package must ship a reference for it.
    device
        ``cpu`` or ``cuda``.
    on_rows
        Called with the number of crystals relaxed since the last call.
    """
    start = time.process_time()
    table = diffusion_candidates(count, model=model, sampler=sampler, conditions=conditions, seed=seed)
    seconds = time.process_time() - start
    formulas = values(table, "reduced_formula")
    sound, balanced = structurally_valid(CrystalBatch.from_table(table)), compositionally_valid(formulas)
    training = generator_data()
    usable = is_open(table)
    judge = load_potential(potential, device=device)
    relaxed = relax_table(table.filter(pa.array(usable)), judge, RELAX, on_rows=on_rows)
    identity = Identity(IdentitySettings(potential=potential)).apply(relaxed, StageContext("identity"))
    converged = np.array([error is None for error in values(identity, "error")])
    unique = np.array([by is None for by in values(identity, "rejected_by")])
    novel = np.array([bool(one) for one in values(identity, "is_novel")]) & ~_in_training(identity, training)
    reference = Reference.find(None, potential)
    # What failed in relaxation, or validation refused, has no energy but a chemical system: it counts against the stable.
    above, covered = _placed(identity, reference)
    stable = converged & (above <= STABLE_EV_PER_ATOM)
    whole = int(covered.sum()) + int(_placed(table.filter(pa.array(~usable)), reference)[1].sum())
    shares = {
        "structurally valid": float(sound.mean()),
        "compositionally valid (SMACT)": float(balanced.mean()),
        "passes the package's own validation": float(usable.mean()),
        "relaxed to rest": float(converged.sum() / count),
        "unique, of the relaxed": float(unique[converged].mean()),
        "novel against reference and training, of the relaxed": float(novel[converged].mean()),
        "formula not in training": float(np.mean(~np.isin(formulas, training.formulas))),
        "in a chemical system that the reference covers": whole / count,
        f"at most {STABLE_EV_PER_ATOM:g} eV/atom above the hull, of those": float(stable[covered].sum() / whole),
        "stable, unique and novel (S.U.N.), of those": float((covered & stable & unique & novel).sum() / whole),
    }
    made = f"{count} samples, seed {seed}, conditions {dict(conditions) if conditions else 'none'}; {60 * count / seconds:.0f} samples a minute of processor time"
    notes = [made, *_notes(potential, identity, above[covered], training)]
    rows = [(name, f"{100 * share:.1f}") for name, share in shares.items()]
    return Benchmark("Generation from scratch", ("property", "share / %"), rows, notes, shares)


def _notes(potential: str, relaxed: pa.Table, above: NDArray[np.float64], training: GeneratorData) -> list[str]:
    """What the words of the table mean, and what the samples and the training crystals are like."""
    real = compositionally_valid(training.formulas)
    return [
        f"judge: {potential}, relaxed to {RELAX.fmax_eV_per_A:g} eV/A in at most {RELAX.max_steps} steps; reference: the shipped one; covered: it knows at least "
        "as many compounds in the system and its subsystems as there are pairs of elements; potentials as judges are kinder than DFT",
        "unique: formula, prototype label and StructureMatcher among the samples; novel: formula and prototype label not in the reference, and no training crystal of the "
        "formula that StructureMatcher takes for the same",
        f"median shift of an atom in relaxation {np.nanmedian(_moved(relaxed)):.2f} A; median above the hull {1e3 * np.nanmedian(above):.0f} meV/atom",
        f"of the training crystals {real.mean():.1%} are compositionally valid",
    ]


def _placed(table: pa.Table, reference: Reference) -> tuple[NDArray[np.float64], Mask]:
    """Energy above the hull (eV/atom) of each row, NaN without an energy, and whether the reference covers its system."""
    energies, formulas = floats(table, "energy_eV_per_atom"), values(table, "formula")
    places = hull_of(reference).place_all(formulas, np.nan_to_num(energies))
    above = np.array([np.nan if place is None else place.e_above_hull_eV_per_atom for place in places], float)
    above[np.isnan(energies)] = np.nan
    return above, np.array([_is_covered(*one) for one in zip(places, formulas, strict=True)], bool)


def _is_covered(place: HullResult | None, formula: str) -> bool:
    """Whether the reference knows at least as many compounds in the chemical system as there are pairs of elements."""
    from pymatgen.core import Composition

    return place is not None and place.coverage >= comb(len(Composition(formula).elements), 2)


def _in_training(table: pa.Table, training: GeneratorData) -> Mask:
    """Whether StructureMatcher finds each crystal among the training crystals of its formula."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher()
    known: dict[str, list[int]] = {}
    for row, formula in enumerate(training.formulas):
        known.setdefault(formula, []).append(row)
    found = np.zeros(table.num_rows, bool)
    structures = CrystalBatch.from_table(table).to_structures()
    for row, (structure, formula) in enumerate(zip(structures, values(table, "reduced_formula"), strict=True)):
        same = CrystalBatch.of([training.crystals[i].crystal() for i in known.get(formula, [])]).to_structures()
        found[row] = any(matcher.fit(structure, other) for other in same)
    return found


def _moved(table: pa.Table) -> NDArray[np.float64]:
    """Mean distance (angstrom) that the atoms of each crystal move in relaxation, in the relaxed cell."""
    found = []
    rows = zip(*(values(table, name) for name in ("lattice", "frac_coords", "input_frac_coords")), strict=True)
    for lattice, after, before in rows:
        if before is None:
            found.append(np.nan)
            continue
        apart = np.reshape(after, (-1, 3)) - np.reshape(before, (-1, 3))
        apart -= np.round(apart)
        apart -= apart.mean(0)
        found.append(float(np.linalg.norm(apart @ np.reshape(lattice, (3, 3)), axis=1).mean()))
    return np.array(found)
