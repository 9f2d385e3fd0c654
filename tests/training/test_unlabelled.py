import numpy as np
import pyarrow as pa
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.models.composition import PROPERTIES, element_properties
from onnes.models.features import CrystalFeatures
from onnes.training import unlabelled
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, bucket
from onnes.training.unlabelled import MAX_ATOMS, substituted, unlabelled_features


def test_small_metals_outside_the_validation_buckets(monkeypatch) -> None:
    validation = next(f"A{i}" for i in range(1000) if bucket(f"A{i}") in VALIDATION_BUCKETS)
    other = next(f"A{i}" for i in range(1000) if bucket(f"A{i}") > max(VALIDATION_BUCKETS))
    table = pa.table(
        {
            "lattice": [[9.0, 0, 0, 0, 9.0, 0, 0, 0, 9.0]] * 8,
            "frac_coords": [[0.0, 0, 0] * (i + 11) for i in range(8)],
            "atomic_numbers": [[z] * (z) for z in range(11, 19)],
            "n_atoms": [1, MAX_ATOMS, MAX_ATOMS + 1, 1, 1, 1, 1, 1],
            "reduced_formula": ["Na", "Mg", "Al", "Si", "P", validation, other, "K"],
            "band_gap_eV": [0.0, 0.04, 0.0, 0.6, None, 0.0, 0.0, 0.0],
            "duplicate_id": [False] * 7 + [True],
        }
    )

    def features(batch, potentials, **_):
        z = batch.atomic_numbers[batch.offsets[:-1]].astype(np.float32)[:, None]
        asked.append(z.ravel().tolist())
        errors = ["features failed" if number == 12 else None for number in z]
        return CrystalFeatures(dict.fromkeys(potentials, z), np.zeros(len(z)), np.zeros(len(z)), errors)

    asked = []
    made = CrystalBatch.of([(np.eye(3) * 4, np.zeros((1, 3)), [74])])
    monkeypatch.setattr(unlabelled, "read_data", lambda _: table)
    monkeypatch.setattr(unlabelled, "substituted", lambda *_: (made, ["Na"]))
    monkeypatch.setattr(unlabelled, "cached_features", features)
    found, own = unlabelled_features(("sevennet-0", "chgnet"))
    assert asked == [[11, 12, 16, 17], [74]]  # small, metallic, known, once
    assert {name: block.ravel().tolist() for name, block in found.items()} == {
        "sevennet-0": [11, 17, 74],
        "chgnet": [11, 17, 74],
    }
    assert own.tolist() == [bucket("Na"), bucket(other), bucket("Na")]


def test_substituted_crystals() -> None:
    lattice = [[4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0], [3.0, 0, 0, 0, 3.0, 0, 0, 0, 6.0]]
    frac = [[0.0, 0, 0, 0.5, 0.5, 0.5], [0.0, 0, 0, 0.5, 0.5, 0.25, 0.5, 0.5, 0.75]]
    numbers = [[41, 7], [40, 44, 44]]
    others = [[z] for z in range(21, 80) if z not in (61, 43)]
    parents = pa.table({
        "lattice": [*lattice, *([lattice[0]] * len(others))],
        "frac_coords": [*frac, *([[0.0, 0, 0]] * len(others))],
        "atomic_numbers": [*numbers, *others],
    })  # fmt: skip
    batch, formulas = substituted(parents, 60, seed=1)
    again, _ = substituted(parents, 60, seed=1)
    np.testing.assert_array_equal(batch.lattices, again.lattices)
    np.testing.assert_array_equal(batch.atomic_numbers, again.atomic_numbers)
    assert len(batch) == len(formulas) == 60
    assert all(bucket(formula) in TRAINING_BUCKETS for formula in formulas)
    known = set(np.concatenate([*numbers, *others]).tolist())
    assert set(batch.atomic_numbers.tolist()) <= known
    assert batch.to_structures()[5].composition.reduced_formula == formulas[5]
    originals = [set(row) for row in (*numbers, *others)]
    assert sum(set(z.tolist()) in originals[:2] for _, _, z in batch) == 0  # something is replaced
    radius = element_properties()[:, PROPERTIES.index("atomic_radius_A")]
    parent_volume = {1: None, 2: 64.0, 3: 54.0}
    parent_radii = {2: (radius[[40, 6]] ** 3).sum(), 3: (radius[[39, 43, 43]] ** 3).sum()}
    sizes = set(batch.n_atoms.tolist())
    assert sizes >= {1, 2} or sizes >= {1, 3}
    for (_, _, z), volume in zip(batch, batch.volumes, strict=True):
        if len(z) > 1:
            expected = parent_volume[len(z)] * (radius[z - 1] ** 3).sum() / parent_radii[len(z)]
            assert volume == pytest.approx(expected)
