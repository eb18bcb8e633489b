"""The record of what a model looks at: read back as it was written, and averaged as it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.problems import InputError
from search.explaining.explanations import ARRAYS, FOLDER, RECORD, read_explanations, write_record
from tests.search.deployment.facts_by_hand import make_explanations


@pytest.mark.parametrize(("labels", "each"), [(1, True), (2, False)])
def test_what_is_written_is_read_back(tmp_path: Path, labels: int, each: bool) -> None:
    found = make_explanations(labels, each)
    write_record(found, tmp_path / FOLDER)
    again = read_explanations(tmp_path)
    assert again is not None
    assert again.as_json() == found.as_json()
    for name in ("row", "fold", "logit", "blocks", "whole", "edges"):
        np.testing.assert_array_equal(getattr(again.occlusion, name), getattr(found.occlusion, name))
    assert (again.occlusion.cells is None) != each
    assert again.chosen == found.chosen


def test_biopsies_are_rows_of_the_dataset_and_carry_no_name(tmp_path: Path) -> None:
    found = make_explanations()
    write_record(found, tmp_path / FOLDER)
    told = json.loads((tmp_path / FOLDER / RECORD).read_text())
    assert [one["row"] for one in told["each"]] == found.occlusion.row.tolist()
    assert told["each"][0].keys() == {"row", "fold", "log_odds", "sequences"}
    assert told["each"][1]["sequences"][0][1] is None  # it lacks T1
    assert (told["biopsies"], told["participants"]) == (12, 6)
    assert told["edges_mm"] == [-4.25, -2.25, -0.75, 0.75, 2.25, 4.25]


def test_averages_are_over_the_biopsies_that_have_a_sequence() -> None:
    found = make_explanations()
    told = found.whole(0)
    assert told.count.tolist() == [12, 11, 12, 12]
    np.testing.assert_allclose(told.mean, np.nanmean(found.occlusion.whole[:, 0], axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        told.absolute, np.nanmean(np.abs(found.occlusion.whole[:, 0]), axis=0), rtol=1e-6
    )
    assert found.order(0) == [0, 1, 2, 3]


def test_nothing_written_is_nothing_read(tmp_path: Path) -> None:
    assert read_explanations(tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "other format", "no arrays", "other arrays", "pickle"])
def test_damaged_files_are_one_clear_line(tmp_path: Path, damage: str) -> None:
    place = tmp_path / FOLDER
    write_record(make_explanations(), place)
    told = json.loads((place / RECORD).read_text())
    if damage == "cut":
        (place / ARRAYS).write_bytes((place / ARRAYS).read_bytes()[:300])
    elif damage == "other format":
        (place / RECORD).write_text(json.dumps({**told, "format": 99}))
    elif damage == "no arrays":
        (place / ARRAYS).unlink()
    elif damage == "other arrays":
        (place / RECORD).write_text(json.dumps({**told, "labels": ["a", "b"]}))
    else:
        np.savez(place / ARRAYS, row=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="explanations of format 1 are needed") as caught:
        read_explanations(tmp_path)
    assert len(caught.value.problems) == 1
