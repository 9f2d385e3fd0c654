"""Each crystal once."""

from __future__ import annotations

import pyarrow as pa

from onnes.propose.uniqueness import Uniqueness


def rows(*pairs: tuple[str | None, str | None]) -> pa.Table:
    return pa.table({"prototype": [label for label, _ in pairs], "crystal_hash": [content for _, content in pairs]})


def test_labels_decide_between_parents_and_hashes_everywhere() -> None:
    unique = Uniqueness({"parent": 0})
    first = rows(("parent", "h1"), ("a", "h2"), ("a", "h3"), ("b", "h2"), (None, None), (None, None))
    # A parent may be rearranged by itself, but is not proposed from another one.
    assert unique.first_of(first, [0] * 6) == [True, True, True, False, True, True]
    assert unique.first_of(rows(("parent", "h4"), ("a", "h5"), ("c", "h6")), [1] * 3) == [False, False, True]
