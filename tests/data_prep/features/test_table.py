import json

import numpy as np
import pytest

from data_prep.features.table import FeatureTable, read_features, write_features

TABLE = FeatureTable(np.array([[1.5, np.nan], [-0.0, 1e-320]]), ("T1:mean", "T2:mean"))


def test_a_table_comes_back_bit_by_bit(tmp_path):
    write_features(TABLE, tmp_path / "new" / "table.npy")
    again = read_features(tmp_path / "new" / "table.npy")
    assert again.values.tobytes() == TABLE.values.tobytes()
    assert again.values.dtype == np.float64
    assert again.names == TABLE.names


def test_what_was_never_written_is_absent(tmp_path):
    assert read_features(tmp_path / "table.npy") is None


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_no_flipped_byte_goes_unnoticed(tmp_path, suffix):
    write_features(TABLE, tmp_path / "table.npy")
    path = (tmp_path / "table.npy").with_suffix(suffix)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert read_features(tmp_path / "table.npy") is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"names": 3, "hash": ""}'])
def test_a_damaged_index_is_no_table(tmp_path, content):
    write_features(TABLE, tmp_path / "table.npy")
    (tmp_path / "table.json").write_bytes(content)
    assert read_features(tmp_path / "table.npy") is None


def test_names_of_another_table_are_noticed(tmp_path):
    write_features(TABLE, tmp_path / "table.npy")
    index = json.loads((tmp_path / "table.json").read_text())
    (tmp_path / "table.json").write_text(json.dumps({**index, "names": index["names"][::-1]}))
    assert read_features(tmp_path / "table.npy") is None


def test_a_column_needs_a_name_and_nobody_changes_a_value():
    with pytest.raises(ValueError, match=r"shape \(2, 2\) got 1 names"):
        FeatureTable(np.zeros((2, 2)), ("one",))
    with pytest.raises(ValueError, match="read-only"):
        TABLE.values[0, 0] = 1
