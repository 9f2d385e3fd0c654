import re

import numpy as np
import pyarrow as pa
import pytest

from onnes.training.benchmarks import stability as module
from onnes.training.benchmarks import stability_data
from onnes.training.benchmarks.stability import benchmark_stability, error, stable_or_not
from onnes.training.benchmarks.stability_data import UnseenEnergies, mp_formation

CUBIC = [float(x) for x in (np.eye(3) * 4).ravel()]
ELEMENTS = {"Al": (13, -3.7), "Nb": (41, -10.1), "Ti": (22, -7.9), "O": (8, -4.9), "S": (16, -4.1), "Fe": (26, -8.5)}
OXIDE, IRON = -0.7, -2.3  # corrections of the made-up Materials Project, eV per atom of O and of Fe with O


def made_up(n, seed):
    """Compounds of two or three elements; raw DFT and what the corrections add."""
    rng = np.random.default_rng(seed)
    numbers, formulas, raw, corrected = [], [], [], []
    while len(numbers) < n:
        chosen = rng.choice(list(ELEMENTS), int(rng.integers(2, 4)), replace=False)
        counts = rng.integers(1, 5, len(chosen))
        numbers.append([ELEMENTS[e][0] for e, k in zip(chosen, counts, strict=True) for _ in range(k)])
        formulas.append("".join(f"{e}{k}" for e, k in sorted(zip(chosen.tolist(), counts.tolist(), strict=True))))
        energy = float(rng.normal(-0.4, 0.2))
        of = dict(zip(chosen.tolist(), (counts / counts.sum()).tolist(), strict=True))
        raw.append(energy)
        corrected.append(energy + OXIDE * of.get("O", 0) + IRON * of.get("Fe", 0) * ("O" in of))
    sizes = [len(z) for z in numbers]
    frac = [rng.random(3 * k).tolist() for k in sizes]
    table = pa.table(
        {
            "lattice": [(np.eye(3) * 9).ravel().tolist()] * n,
            "frac_coords": frac,
            "atomic_numbers": numbers,
            "n_atoms": sizes,
            "reduced_formula": formulas,
            "formation_energy_eV_per_atom": corrected,
            "corrected_formation_energy_eV_per_atom": corrected,
        }
    )
    return table, np.array(raw)


@pytest.fixture
def quiet(monkeypatch):
    """A potential that knows raw DFT to 10 meV/atom."""
    known, raw = made_up(900, 0)
    new, new_raw = made_up(300, 1)
    rng = np.random.default_rng(2)
    tables = {len(known): raw, len(new): new_raw}

    def energies(batch, *_, **__):
        fractions = stability_data.Composition.of(batch).mean({e: mu for e, (_, mu) in ELEMENTS.items()})
        return tables[len(batch)] + fractions + 0.01 * rng.normal(size=len(batch))

    monkeypatch.setattr(stability_data, "mp_crystals", lambda _: known)
    monkeypatch.setattr(stability_data, "read_data", lambda _: new)
    monkeypatch.setattr(stability_data, "cached_energies", energies)
    monkeypatch.setattr(stability_data, "element_energies", lambda *_, **__: {e: mu for e, (_, mu) in ELEMENTS.items()})
    totals = UnseenEnergies(np.arange(5.0), np.arange(5.0) - 0.1, np.arange(5.0) + 0.02)
    monkeypatch.setattr(module, "unseen_energies", lambda *_, **__: totals)


def test_formation_energies_and_corrections(quiet) -> None:
    data = mp_formation("sevennet-0", 24)
    rows = data.inside(range(80, 90))
    assert 0 < rows.sum() < 200
    oxides = rows & (data.terms[:, data.names.index("oxide")] > 0)
    assert np.abs(data.dft - data.potential)[oxides].mean() > 0.2
    assert np.abs(data.dft - data.corrected(data.corrections(range(80))))[rows].mean() < 0.02


def test_tables_and_numbers(quiet, tmp_path) -> None:
    result = benchmark_stability(max_atoms={"sevennet-0": (24,)}, plots=tmp_path)
    v = result.values
    assert v["total energy, WBM, raw DFT, sevennet-0: mae_meV"] == pytest.approx(20)
    assert v["total energy, WBM, corrected DFT, sevennet-0: bias_meV"] == pytest.approx(120)
    label = "sevennet-0, cells to 24 atoms"
    assert v[f"formation energy, MP, {label}, corrected: mae_meV"] < 15
    assert v[f"formation energy, MP, {label}, uncorrected: mae_meV"] > 100
    assert v[f"formation energy, WBM, {label}, corrected: mae_meV"] < 15
    assert v[f"above hull, MP, {label}, corrected: mae_meV"] < 25
    assert v[f"above hull, MP, {label}, corrected: f1"] > 0.8
    assert v[f"above hull, MP, {label}, corrected: mae_meV"] < v[f"above hull, MP, {label}, uncorrected: mae_meV"]
    oxide = re.search(r"oxide (-?[\d.]+) \(-0.69\)", result.notes[-1])
    iron = re.search(r"Fe \+U (-?[\d.]+) \(-2.26\)", result.notes[-1])
    assert float(oxide[1]) == pytest.approx(OXIDE, abs=0.06)
    assert float(iron[1]) == pytest.approx(IRON, abs=0.06)
    assert all(len(row) == len(result.columns) for row in result.rows)
    assert {path.name for path in tmp_path.iterdir()} == {"formation-energy.svg", "stability.svg"}


def test_error_is_signed_and_in_meV() -> None:
    assert error(np.array([0.0, 1.0]), np.array([0.01, 0.97])) == pytest.approx(
        {"n": 2, "mae_meV": 20, "bias_meV": -10}
    )


def test_stable_or_not_beside_calling_all_stable() -> None:
    found = stable_or_not(np.array([0.0, 0.04, 0.1, 0.2]), np.array([0.01, 0.06, 0.04, 0.3]))
    assert (found["stable"], found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5, 0.5)
    assert found["f1_all"] == pytest.approx(2 * 0.5 / 1.5)
