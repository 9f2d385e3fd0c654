import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnes.errors import ConfigError
from onnes.training.data import TRAINING_BUCKETS, VALIDATION_BUCKETS, bucket, buckets, data_folder, read_data


@pytest.mark.parametrize(("formula", "wanted"), [("MgB2", 65), ("Nb3Sn", 29), ("NaCl", 73), ("Be2Nb3", 94)])
def test_bucket_is_the_md5_of_the_formula(formula, wanted) -> None:
    assert int(hashlib.md5(formula.encode()).hexdigest(), 16) % 100 == wanted  # noqa: S324 - the split's definition
    assert bucket(formula) == wanted


def test_buckets_are_even_and_disjoint() -> None:
    found = buckets(f"A{i}B" for i in range(5000))
    assert found.dtype == np.int64
    assert found.min() == 0
    assert found.max() == 99
    assert np.isin(found, TRAINING_BUCKETS).mean() == pytest.approx(0.8, abs=0.03)
    assert not set(TRAINING_BUCKETS) & set(VALIDATION_BUCKETS)
    assert max(VALIDATION_BUCKETS) == 89


def test_no_data_says_what_to_set(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match=r"nowhere: set ONNES_DATA to the folder"):
        data_folder()
    with pytest.raises(ConfigError, match="predicting and screening do not need"):
        read_data("epc_dft_alexandria")


def test_missing_file_is_named(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match=r"epc_dft_alexandria\.parquet is missing"):
        read_data("epc_dft_alexandria")


def test_files_are_read_from_the_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("ONNES_DATA", str(tmp_path))
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "some.parquet")
    assert read_data("some")["x"].to_pylist() == [1, 2]


def test_buckets_are_those_of_the_published_table() -> None:
    try:
        table = read_data("epc_dft_alexandria")
    except ConfigError:
        pytest.skip("no training data; set ONNES_DATA")
    rows = slice(None, None, 50)
    assert buckets(table["reduced_formula"].to_pylist()[rows]).tolist() == table["md5_bucket"].to_pylist()[rows]
