import numpy as np
import pytest

from onnes.crystals.batch import CrystalBatch
from onnes.crystals.schema import values, with_columns
from onnes.crystals.table import crystal_table
from onnes.errors import ConfigError, ReferenceMismatch
from onnes.flow.stage import StageContext, stage_class
from onnes.potentials import potential as registry
from onnes.potentials import unrelaxed
from onnes.potentials.element_energies import element_energies
from onnes.potentials.fingerprints import potential_sha256
from onnes.potentials.relaxation import RelaxSettings, relax_batch
from onnes.potentials.stages import VolumeScanSettings, VolumeScanStage
from onnes.potentials.unrelaxed import VOLUME_SCALES, ensemble_energies, scan_table, volume_scan
from tests.potentials.fakes import FakePotential, fcc

ELEMENTS = {"fake": {"Al": -1.0, "Cu": -2.0}, "other": {"Al": -3.0, "Cu": -2.0}}


def rows(batch):
    return crystal_table(batch, ids=[f"row-{i}" for i in range(len(batch))], source="tests")


def test_scales_are_those_of_gnome() -> None:
    assert len(VOLUME_SCALES) == 20
    assert (VOLUME_SCALES[0], VOLUME_SCALES[-1]) == pytest.approx((0.8, 1.2))
    np.testing.assert_allclose(np.diff(VOLUME_SCALES), 0.4 / 19)


@pytest.mark.parametrize("wrong", [0.85, 0.93, 1.1, 1.15])
def test_finds_the_volume_back(wrong) -> None:
    """A crystal with wrong volume, else right: the minimum over the scan is that of the relaxed crystal."""
    right = relax_batch(CrystalBatch.of([fcc(29)]), FakePotential(), RelaxSettings(fmax_eV_per_A=1e-4))
    lattice, frac, numbers = right.batch.crystal(0)
    scan = volume_scan(CrystalBatch.of([(np.cbrt(wrong) * lattice, frac, numbers)]), FakePotential())
    step = 0.4 / 19
    assert scan.volume_scales[0] == pytest.approx(1 / wrong, abs=step)
    relaxed = right.energies_eV[0] / len(numbers)
    assert relaxed <= scan.energies_eV_per_atom[0] < relaxed + 0.02
    given = FakePotential().evaluate(CrystalBatch.of([(np.cbrt(wrong) * lattice, frac, numbers)])).energies_eV[0] / len(
        numbers
    )
    assert scan.energies_eV_per_atom[0] < given - 0.03


def test_curves_belong_to_their_crystals() -> None:
    batch = CrystalBatch.of([fcc(13), fcc(29, cells=3, rattle=0.03), fcc(47, scale=0.96)])
    done = []
    scan = volume_scan(batch, FakePotential(), scales=(0.9, 1.0, 1.3), on_done=done.append)
    assert sum(done) == 3
    assert scan.curves_eV_per_atom.shape == (3, 3)
    plain = FakePotential().evaluate(batch, forces=False).energies_eV / batch.n_atoms
    np.testing.assert_allclose(scan.curves_eV_per_atom[:, 1], plain)
    np.testing.assert_allclose(scan.energies_eV_per_atom, scan.curves_eV_per_atom.min(axis=1))


def test_a_volume_that_fails_is_passed_over() -> None:
    class Fragile(FakePotential):
        def evaluate(self, batch, *, forces=True, features=False):
            found = super().evaluate(batch, forces=forces)
            found.energies_eV[batch.volumes / batch.n_atoms < 13.5] = np.nan
            return found

    scan = volume_scan(CrystalBatch.of([fcc(29), fcc(13, scale=0.9)]), Fragile())
    assert np.isnan(scan.curves_eV_per_atom[0]).any()
    assert np.isfinite(scan.energies_eV_per_atom[0])
    assert scan.errors[0] is None
    assert scan.errors[1].startswith("volume scan failed: ValueError")
    assert np.isnan([scan.energies_eV_per_atom[1], scan.volume_scales[1]]).all()


def test_minimum_over_the_volumes_comes_before_the_median() -> None:
    class Smaller(FakePotential):
        """The same crystal at three quarters of the volume."""

        def evaluate(self, batch, *, forces=True, features=False):
            larger = CrystalBatch(
                batch.lattices * np.cbrt(4 / 3), batch.frac_coords, batch.atomic_numbers, batch.offsets
            )
            return super().evaluate(larger, forces=forces)

    batch = CrystalBatch.of([fcc(29), fcc(13, scale=0.97)])
    potentials = [FakePotential(), Smaller("other")]
    found = ensemble_energies(batch, potentials, elements=ELEMENTS)
    first, second = (volume_scan(batch, p) for p in potentials)
    assert (first.volume_scales - second.volume_scales > 0.1).all()  # each at its own best volume
    np.testing.assert_allclose(found.members_eV_per_atom[0], first.energies_eV_per_atom - [-2.0, -1.0])
    np.testing.assert_allclose(found.members_eV_per_atom[1], second.energies_eV_per_atom - [-2.0, -3.0])
    np.testing.assert_allclose(found.median_eV_per_atom, found.members_eV_per_atom.mean(axis=0))
    np.testing.assert_allclose(found.iqr_eV_per_atom, np.abs(np.diff(found.members_eV_per_atom, axis=0)[0]) / 2)


def test_elements_are_counted_by_their_share() -> None:
    lattice, frac, _ = fcc(29)
    mixed = CrystalBatch.of([(lattice, frac, [29, 29, 29, 13]), (lattice, frac, [29, 29, 29, 79])])
    found = ensemble_energies(mixed, [FakePotential(), FakePotential("other")], elements=ELEMENTS)
    shift = found.members_eV_per_atom[:, 0] - [scan.energies_eV_per_atom[0] for scan in found.scans]
    np.testing.assert_allclose(shift, [1.75, 2.25])
    assert np.isnan(found.median_eV_per_atom).tolist() == [False, True]  # nobody knows gold


def test_table_keeps_the_geometry_unless_asked() -> None:
    table = with_columns(
        rows(CrystalBatch.of([fcc(29, scale=0.95), fcc(13), fcc(47)])),
        {
            "error": [None, "broken before", None],
            "e_above_hull_eV_per_atom": [0.1, 0.2, 0.3],
            "tc_K": [1.0, 2.0, 3.0],
            "forces_max_eV_per_A": [0.01, 0.02, 0.03],
            "relax_steps": [3, 4, 5],
            "relax_converged": [True, True, True],
        },
    )
    done = []
    out = scan_table(table, FakePotential(raises_for=[47]), on_rows=done.append)
    assert sum(done) == 2
    assert values(out, "lattice") == values(table, "lattice")
    assert values(out, "geometry")[0] == "input"
    assert values(out, "volume_scale")[0] > 1.1
    assert values(out, "potential") == ["fake", None, None]
    assert values(out, "e_above_hull_eV_per_atom") == [None, 0.2, 0.3]  # that of another energy
    assert values(out, "tc_K") == [1.0, 2.0, 3.0]
    assert values(out, "relax_steps") == [None, 4, 5]  # the relaxed crystal had another energy
    assert values(out, "relax_converged") == [None, True, True]
    assert values(out, "forces_max_eV_per_A") == [None, 0.02, 0.03]
    assert values(out, "error")[1] == "broken before"
    assert values(out, "error")[2].startswith("volume scan failed")


def test_table_with_scaled_geometry() -> None:
    table = with_columns(rows(CrystalBatch.of([fcc(29, scale=0.95)])), {"tc_K": [1.0]})
    out = scan_table(table, FakePotential(), scale_geometry=True)
    batch, before = CrystalBatch.from_table(out), CrystalBatch.from_table(table)
    assert batch.volumes[0] / before.volumes[0] == pytest.approx(values(out, "volume_scale")[0])
    assert values(out, "input_lattice") == values(table, "lattice")
    assert values(out, "geometry") == ["volume by fake"]
    assert values(out, "tc_K") == [None]
    assert values(out, "crystal_hash") != values(table, "crystal_hash")
    energy = FakePotential().evaluate(batch).energies_eV[0] / 4
    assert values(out, "energy_eV_per_atom")[0] == pytest.approx(energy)


def test_stage_with_an_ensemble(monkeypatch) -> None:
    fakes = {("fake", "cpu"): FakePotential(), ("other", "cpu"): FakePotential("other", offset_eV=0.3)}
    monkeypatch.setattr(
        registry, "_ADAPTERS", dict.fromkeys(("fake", "other"), ("tests.potentials.fakes", "FakePotential"))
    )
    monkeypatch.setattr(registry, "_LOADED", fakes)
    monkeypatch.setattr(unrelaxed, "element_energies", lambda potential: ELEMENTS[potential.name])
    assert stage_class("volume-scan") is VolumeScanStage
    stage = VolumeScanStage(VolumeScanSettings(potential="fake", others=("other",)))
    out = stage.apply(rows(CrystalBatch.of([fcc(29), fcc(13)])), StageContext("volume-scan"))
    assert set(VolumeScanStage.writes) <= set(out.column_names)
    assert {"forces_max_eV_per_A", "relax_steps", "relax_converged"} <= set(VolumeScanStage.writes)
    energy = np.array(values(out, "energy_eV_per_atom"))
    # offsets 0 and 0.3, elements -2, -2 for copper, -1, -3 for aluminium
    np.testing.assert_allclose(values(out, "formation_energy_median_eV_per_atom"), energy + [2.15, 2.15])
    np.testing.assert_allclose(values(out, "formation_energy_iqr_eV_per_atom"), [0.15, 1.15])


def test_fingerprints_name_every_potential() -> None:
    settings = VolumeScanSettings(others=("sevennet-l3i5",))
    assert set(VolumeScanStage(settings).fingerprints()) == {"potential sevennet-0", "potential sevennet-l3i5"}


@pytest.mark.parametrize("name", ["sevennet-0", "sevennet-l3i5", "chgnet"])
def test_shipped_elements(name) -> None:
    stand_in = FakePotential(name)
    stand_in.sha256 = potential_sha256(name)
    known = element_energies(stand_in)
    assert len(known) >= 88
    assert known["Al"] == pytest.approx(-3.75, abs=0.1)  # PBE, as in the Materials Project
    assert known["Nb"] == pytest.approx(-10.1, abs=0.15)


def test_elements_of_other_weights() -> None:
    with pytest.raises(ReferenceMismatch, match="made by other weights"):
        element_energies(FakePotential("sevennet-0"))
    with pytest.raises(ConfigError, match="no energies of the elements by potential 'fake'"):
        element_energies(FakePotential())
