"""Which elements stand for each other."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.known import known_crystal
from onnes.errors import ConfigError
from onnes.training import prototype_labels
from onnes.training.data import TRAINING_BUCKETS, data_folder
from onnes.training.prototype_labels import cached_labels
from onnes.training.substitution_counts import labelled_crystals, substitution_counts


def test_only_crystals_that_differ_in_one_element_on_one_site_count() -> None:
    rocksalt = [f"AB_cF8_225_a_b:{pair}" for pair in ("N-Nb", "C-Nb", "N-Ti")]
    others = ["AB_hP2_187_a_d:C-W", "AB_cF8_225_a_b:Cl-Na"]
    assert substitution_counts([*rocksalt, *others]) == {("C", "N"): 1.0, ("Nb", "Ti"): 1.0}


def test_the_alphabet_does_not_matter() -> None:
    # In MgB2 boron comes first, in AlB2 second: the same sites.
    assert substitution_counts(["A2B_hP3_191_c_b:B-Mg", "AB2_hP3_191_b_c:Al-B"]) == {("Al", "Mg"): 1.0}


def test_every_element_of_a_family_counts_once() -> None:
    family = [f"AB_cF8_225_a_b:{pair}" for pair in ("Nb-O", "O-V", "O-Ti", "Fe-O")]
    counts = substitution_counts(family)
    assert len(counts) == 6
    for element in ("Nb", "V", "Ti", "Fe"):
        assert sum(weight for pair, weight in counts.items() if element in pair) == pytest.approx(1, abs=0.002)


def test_labels_are_kept_on_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    batch = CrystalBatch.from_structures([known_crystal("Nb3Sn"), known_crystal("MgB2")])
    broken = CrystalBatch.of([(np.eye(3) * 4, np.zeros((2, 3)), [41, 41])])
    both = CrystalBatch.of([*batch, *broken])
    labels = cached_labels(both)
    assert labels[:2] == ["A3B_cP8_223_c_a:Nb-Sn", "A2B_hP3_191_c_b:B-Mg"]
    assert labels[2] is None
    monkeypatch.setattr(prototype_labels, "prototype_of", None)
    assert cached_labels(both) == labels
    with pytest.raises(TypeError):
        cached_labels(batch)


@pytest.mark.slow
def test_the_shipped_counts_are_those_of_the_training_buckets() -> None:
    try:
        data_folder()
    except ConfigError:
        pytest.skip("no data")
    labels, buckets = labelled_crystals()
    counts = substitution_counts(x for x, bucket in zip(labels, buckets, strict=True) if bucket in TRAINING_BUCKETS)
    shipped = json.loads(files("onnes.propose").joinpath("data/substitution_counts.json").read_text(encoding="utf-8"))
    assert {(a, b): w for a, row in shipped["pairs"].items() for b, w in row.items()} == counts
