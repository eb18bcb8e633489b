"""What is printed and written over maps."""

from __future__ import annotations

import json
from pathlib import Path

from search.maps.making import Made
from search.maps.score import MapScore
from search.maps.showing import SCORES, write_scores


def score(who: str, label: str, correlation: float) -> MapScore:
    return MapScore(who, label, correlation, 0.1, 0.02, 499, 7.5, 9.0, 2.2, 9000, 0.8)


def test_each_label_has_a_mean_of_its_own(tmp_path: Path) -> None:
    made = [
        Made(who, tmp_path / who, {}, (), (score(who, "CD3D", 0.5), score(who, "CD8A", 0.2)))
        for who in ("sub-001", "sub-002")
    ]
    found = write_scores(tmp_path, made)
    assert [(one.label, one.mean, len(one.scores)) for one in found] == [("CD3D", 0.5, 2), ("CD8A", 0.2, 2)]
    read = json.loads((tmp_path / SCORES).read_text())["scores"]
    assert [one["label"] for one in read] == ["CD3D", "CD8A"]


def test_without_a_truth_there_is_no_file(tmp_path: Path) -> None:
    assert write_scores(tmp_path, [Made("sub-001", tmp_path, {}, (), ())]) == []
    assert not any(tmp_path.iterdir())
