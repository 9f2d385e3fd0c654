import dataclasses

import pytest

from onnes.errors import ReferenceMismatch
from onnes.physics.reference import HYPOTHETICAL, Reference
from onnes.physics.reference_merge import merge_references
from tests.physics.references import reference

FIRST = [("Nb", -10.1, "nb-1"), ("NbSn", -6.8, "nbsn-1"), ("Sn", -4.0, "sn-1"), ("NbSn2", None, "nbsn2-1")]
SECOND = [("Nb", -10.0, "nb-2"), ("NbSn", -6.9, "nbsn-2"), ("NbSn2", -6.1, "nbsn2-2"), ("NbSn", -7.0, "other-2")]
LABELS = {"nb": "bcc:Nb", "nbsn": "x:Nb-Sn", "sn": "y:Sn", "nbsn2": "z:Nb-Sn", "other": "w:Nb-Sn"}


def _made(phases, **how):
    return reference(phases, prototypes=[LABELS[name.split("-")[0]] for _, _, name in phases], **how)


def _ids(made):
    return made.table["id"].to_pylist()


def test_the_lower_of_two_phases_stays() -> None:
    merged = merge_references([_made(FIRST, name="one"), _made(SECOND, name="two")], name="both")
    assert set(_ids(merged)) == {"nb-1", "nbsn-2", "sn-1", "nbsn2-2", "other-2"}
    assert merged.lowest == {
        "Nb": (-10.1, "nb-1"), "NbSn": (-7.0, "other-2"), "Sn": (-4.0, "sn-1"), "NbSn2": (-6.1, "nbsn2-2"),
    }  # fmt: skip
    assert "one (4 phases" in merged.notes["merged"]
    assert merged.notes["energies"].startswith("5 of 5 phases")


def test_the_order_does_not_matter_and_merging_again_changes_nothing() -> None:
    one, two = _made(FIRST), _made(SECOND)
    merged = merge_references([one, two], name="m")
    assert merge_references([two, one], name="m").table.equals(merged.table)
    assert merge_references([merged, one], name="m").table.equals(merged.table)
    assert merged.table["reduced_formula"].to_pylist() == sorted(merged.table["reduced_formula"].to_pylist())


def test_a_hypothetical_phase_does_not_replace_a_known_one(tmp_path) -> None:
    hypothetical = _made([("NbSn", -7.5, "nbsn-p"), ("NbSn2", -6.1, "nbsn2-p")])
    sources = hypothetical.table.schema.get_field_index("source")
    table = hypothetical.table.set_column(sources, "source", [[HYPOTHETICAL, HYPOTHETICAL]])
    merged = merge_references([_made(FIRST), dataclasses.replace(hypothetical, table=table)], name="m")
    assert set(_ids(merged)) == {"nb-1", "nbsn-1", "sn-1", "nbsn2-1", "nbsn-p", "nbsn2-p"}
    assert merged.lowest["NbSn"] == (-7.5, "nbsn-p")
    assert merged.labels["NbSn", "x:Nb-Sn"] == "nbsn-1"
    only = dataclasses.replace(hypothetical, table=table)
    assert only.labels == {}  # a candidate like it is novel
    merged.save(tmp_path / "m.parquet")
    assert Reference.load(tmp_path / "m.parquet").table.equals(merged.table)


def test_phases_without_a_label_are_told_apart_by_their_id() -> None:
    one = reference([("NbSn", -6.8, "a"), ("NbSn", -6.9, "b")])
    two = reference([("NbSn", -7.0, "a")])
    merged = merge_references([one, two], name="m")
    assert sorted(zip(_ids(merged), merged.table["energy_eV_per_atom"].to_pylist(), strict=True)) == [
        ("a", -7.0), ("b", -6.9),
    ]  # fmt: skip


@pytest.mark.parametrize("what", ["potential", "potential_sha256", "energy_scheme"])
def test_energies_of_two_origins_are_refused(what) -> None:
    other = dataclasses.replace(_made(SECOND), **{what: "another"})
    with pytest.raises(ReferenceMismatch, match=what):
        merge_references([_made(FIRST), other], name="m")
