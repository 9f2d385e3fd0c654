import pyarrow as pa
import pytest

from onnes.crystals.known import known_entry, known_names
from onnes.crystals.schema import values
from onnes.training import reference_data
from onnes.training.reference_data import known_phases

CUBIC = [4.05, 0, 0, 0, 4.05, 0, 0, 0, 4.05]


def _rows(ids, numbers, *, size=1, name="id", **more):
    n = len(ids)
    return pa.table(
        {
            name: ids,
            "lattice": [CUBIC] * n,
            "frac_coords": [[x for i in range(size) for x in (i / size, 0.0, 0.0)]] * n,
            "atomic_numbers": pa.array([[z] * size for z in numbers], pa.list_(pa.int16())),
            **more,
        }
    )


@pytest.fixture
def files(monkeypatch):
    tables = {
        "elemental_reference_energies": _rows(["Al", "Si"], [13, 14], name="element", source=["MP PBE", "MP PBE"]),
        "mp_structures": pa.concat_tables([_rows(["mp-1", "mp-2"], [22, 23]), _rows(["mp-big"], [24], size=4)]),
        "tc_exp_3dsc_mp": _rows(
            ["mp-2", "mp-3", "mp-4", "mp-5"], [23, 40, 41, 42], name="mp_id",
            is_ordered=[True, True, False, True], synth_doped=[False, False, False, True],
        ),
        "matbench_phonons": _rows(["mp-1", "mp-6"], [22, 44]),
        "elasticity_binaries": _rows(["agm1"], [45]),
        "phonon_heat_capacity_binaries": _rows(["agm2"], [46]),
        "epc_dft_alexandria": _rows(["agm1", "agm3"], [45, 47]),
        "epc_dft_jarvis3d": _rows(["JVASP-1"], [48]),
        "mp_formation_energy_by_composition": pa.table({"reduced_formula": ["Ti", "V", "Zr", "Xe", "XeF2"]}),
    }  # fmt: skip
    tables["elemental_reference_energies"] = pa.concat_tables(
        [
            tables["elemental_reference_energies"],
            pa.table({"element": ["Po"], "source": ["MP PBE"]}),
        ],
        promote_options="default",
    )
    monkeypatch.setattr(reference_data, "read_data", tables.__getitem__)


def test_sources_are_joined_without_doubles(files) -> None:
    table, _ = known_phases(max_atoms=3)
    ids = values(table, "id")
    assert len(set(ids)) == len(ids)
    foreign = {i: s for i, s in zip(ids, values(table, "source"), strict=True) if not i.startswith("known:")}
    assert foreign == {
        "element:Al:MP_PBE": "elements",
        "element:Si:MP_PBE": "elements",
        "mp-1": "Materials Project",
        "mp-2": "Materials Project",
        "mp-3": "Materials Project (3DSC)",  # ordered and not doped
        "mp-6": "matbench_phonons",
        "agm1": "elasticity_binaries",
        "agm2": "phonon_heat_capacity_binaries",
        "agm3": "Alexandria",
        "JVASP-1": "JARVIS-DFT",
    }


def test_own_crystals_at_ambient_pressure_are_among_them(files) -> None:
    table, _ = known_phases(max_atoms=3)
    own = {i.removeprefix("known:") for i in values(table, "id") if i.startswith("known:")}
    assert own == {name for name in known_names() if known_entry(name).pressure_GPa == 0}
    assert "H3S" not in own
    assert {"Be2Nb3", "MgB2"} <= own


def test_smallest_first_and_identified(files) -> None:
    table, _ = known_phases(max_atoms=3)
    sizes = values(table, "n_atoms")
    assert sizes == sorted(sizes)
    assert None not in values(table, "prototype")
    assert set(values(table, "error")) == {None}
    assert max(size for size, i in zip(sizes, values(table, "id"), strict=True) if not i.startswith("known:")) <= 3


def test_coverage_is_stated(files) -> None:
    table, notes = known_phases(max_atoms=3)
    formulas = set(values(table, "reduced_formula"))
    assert notes["coverage"] == f"{len(formulas)} formulas; 60% of the 5 formulas of the Materials Project (2019)"
    assert "CC BY 4.0" in notes["sources"]
