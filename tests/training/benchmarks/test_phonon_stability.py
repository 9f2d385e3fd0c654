"""The lists of known dynamic stability, and how their grades are counted."""

import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.validation import faults
from onnes.potentials import fingerprints
from onnes.potentials import potential as registry
from onnes.potentials.phonon_settings import GradeSettings
from onnes.training.benchmarks import phonon_stability
from onnes.training.benchmarks.phonon_stability import JudgedCrystal, benchmark_phonon_stability, judged_crystals
from tests.potentials.fakes import NEAREST_A, FakePotential, fcc

HOW = GradeSettings(min_length_A=7.5)
SIMPLE_CUBIC = (NEAREST_A * np.eye(3), np.zeros((1, 3)), np.array([29]))


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    made = {name: FakePotential(name, raises_for=[47]) for name in ("sevennet-0", "sevennet-l3i5")}
    monkeypatch.setattr(registry, "_LOADED", {(name, "cpu"): fake for name, fake in made.items()})
    monkeypatch.setattr(
        phonon_stability, "potential_sha256", lambda name: fingerprints.hashlib.sha256(name.encode()).hexdigest()
    )
    monkeypatch.setenv("ONNES_CACHE", str(tmp_path))
    return made


def test_lists() -> None:
    judged = judged_crystals()
    assert [sum(one.is_stable is stable for one in judged) for stable in (True, False)] == [30, 12]
    assert len({one.name for one in judged}) == 42
    assert all(one.citation.count(",") >= 1 and any(c.isdigit() for c in one.citation) for one in judged)
    assert faults(CrystalBatch.of(one.crystal for one in judged)) == [None] * 42


@pytest.mark.parametrize(
    ("name", "n_atoms", "volume_A3"),
    [
        ("cubic BaTiO3", 5, 64.0),
        ("simple cubic Al", 1, 19.7),
        ("bcc Ti", 1, 17.5),
        ("cubic ZrO2", 3, 33.2),
        ("Al", 1, 16.6),
    ],
)
def test_crystals_are_what_their_names_say(name, n_atoms, volume_A3) -> None:
    crystal = next(one.crystal for one in judged_crystals() if one.name == name)
    assert len(crystal[2]) == n_atoms
    assert abs(np.linalg.det(crystal[0])) == pytest.approx(volume_A3, rel=0.01)


JUDGED = [
    JudgedCrystal("packed", True, fcc(29), "A, B 1 (2000)"),
    JudgedCrystal("called stable", True, SIMPLE_CUBIC, "A, B 1 (2000)"),
    JudgedCrystal("fails", True, fcc(47), "A, B 1 (2000)"),
    JudgedCrystal("saddle", False, SIMPLE_CUBIC, "C, D 2 (2001)"),
]


def test_counts_and_named_failures(fakes) -> None:
    done = []
    result = benchmark_phonon_stability(crystals=JUDGED, settings=HOW, follow="saddle", on_rows=done.append)
    assert sum(done) == 4
    values = result.values
    assert [values[f"known to be stable: {grade}"] for grade in ("stable", "doubtful", "unstable", "failed")] == [
        1,
        0,
        1,
        1,
    ]
    assert values["known to be unstable: unstable"] == 1
    assert values["known to be unstable, sevennet-0 alone, once: unstable"] == 1
    text = result.markdown()
    assert "called stable (known to be stable: A, B 1 (2000)) is unstable: sevennet-0 4x4x4 0.01 A" in text
    assert "fails (known to be stable: A, B 1 (2000)) is failed: " in text
    assert "saddle, child: soft mode of " in text
    assert "packed (" not in text


def test_finished_crystals_are_not_computed_again(fakes) -> None:
    first = benchmark_phonon_stability(crystals=JUDGED[:2], settings=HOW, follow=None)
    calls = len(fakes["sevennet-0"].calls)
    again = benchmark_phonon_stability(crystals=JUDGED[:2], settings=HOW, follow=None)
    assert len(fakes["sevennet-0"].calls) == calls
    assert again.markdown() == first.markdown()
    benchmark_phonon_stability(
        crystals=JUDGED[:1], settings=HOW.model_copy(update={"displacement_A": 0.02}), follow=None
    )
    assert len(fakes["sevennet-0"].calls) > calls
