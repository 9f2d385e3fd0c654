import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.crystals.known import known_table
from onnes.tools.known_neighbours import TRAINING_TABLE

LIBRARY = ["Nb3Sn", "NbN", "MgB2", "Al", "Nb", "Pb"]
TC_K = [15.0, 12.0, None, 1.0, 9.0, 6.0]


@pytest.fixture(scope="module")
def small_library(tmp_path_factory):
    """A made-up training table of six crystals in place of the real one."""
    folder = tmp_path_factory.mktemp("data")
    table = known_table(LIBRARY).select(["id", "reduced_formula", "lattice", "frac_coords", "atomic_numbers"])
    table = table.append_column("tc_K", pa.array(TC_K, pa.float64()))
    pq.write_table(table, folder / f"{TRAINING_TABLE}.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNES_DATA", str(folder))
        patch.setenv("ONNES_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield folder
