import numpy as np
import pyarrow as pa

from onnes.models.features import CrystalFeatures
from onnes.training import unlabelled
from onnes.training.data import VALIDATION_BUCKETS, bucket
from onnes.training.unlabelled import MAX_ATOMS, unlabelled_features


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
        assert z.ravel().tolist() == [11, 12, 16, 17]  # small, metallic, known, once
        errors = [None, "features failed", None, None]
        return CrystalFeatures(dict.fromkeys(potentials, z), np.zeros(4), np.zeros(4), errors)

    monkeypatch.setattr(unlabelled, "read_data", {"mp_structures": table}.__getitem__)
    monkeypatch.setattr(unlabelled, "cached_features", features)
    found, own = unlabelled_features(("sevennet-0", "chgnet"))
    assert {name: block.ravel().tolist() for name, block in found.items()} == {
        "sevennet-0": [11, 17],
        "chgnet": [11, 17],
    }
    assert own.tolist() == [bucket("Na"), bucket(other)]
