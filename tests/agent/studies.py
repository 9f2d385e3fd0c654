"""Small studies for tests."""

import pyarrow as pa

from onnes.campaign.study import GOAL, Study
from onnes.crystals.known import known_table
from onnes.crystals.schema import with_columns

NUMBERS = {
    "tc_K": [14.4123, 11.7], "tc_K_std": [0.7, None], "e_above_hull_eV_per_atom": [0.0, 0.0123], "in_domain": [True, False],
    "phonon_grade": ["stable", None],
}  # fmt: skip


def small_study(folder):
    """A study with one set of two crystals, Nb3Sn and Nb, and its set id."""
    study = Study.create(folder, title="small")
    (folder / GOAL).write_text('{"min_tc_K": 8.0, "max_elements": 4, "words": "above 8 K"}')
    table = with_columns(known_table(["Nb3Sn", "Nb"]), NUMBERS)
    set_id = study.name_of("files", {"n": 1})
    study.add(set_id, table.append_column("concerns", pa.array([["melts at 2750 K", "rare"], []])), tool="files",
              arguments={"n": 1}, remarks=["made in 2026"])  # fmt: skip
    return study, set_id
