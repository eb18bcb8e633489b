from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from search import pictures
from search.booking import finished_folds
from search.home import Home
from search.material import Material, prepare
from search.pictures import draw_trial


@pytest.fixture(scope="module")
def material(finished: Any) -> Material:
    return prepare(finished.study, finished.home, frozen=True)


def test_a_trial_has_three_pictures_that_open(finished: Any, material: Material, tmp_path: Path) -> None:
    folds = list(finished_folds(finished.outcome.study.get_trials()[0]).values())
    drawn = draw_trial(material, folds, tmp_path / "trial", 0)
    assert list(drawn) == ["ROC curve", "Confusion matrix", "Held-out biopsies"]
    assert all(min(imread(path).shape[:2]) > 300 for path in drawn.values())
    assert len(list((tmp_path / "trial").iterdir())) == 3


def test_each_biopsys_own_patch_stands_beside_its_label_and_probability(
    finished: Any, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}

    def record(patches: Any, label: Any, probability: Any, captions: Any, *rest: Any) -> Any:
        seen.update(patches=patches, label=label, probability=probability, captions=captions, rest=rest)
        return original(patches, label, probability, captions, *rest)

    original = pictures.heldout_sheet
    monkeypatch.setattr(pictures, "heldout_sheet", record)
    folds = list(finished_folds(finished.outcome.study.get_trials()[0]).values())
    draw_trial(material, folds, tmp_path, 0)
    rows = np.concatenate([fold.rows for fold in folds])
    people = material.patches.participant_id
    number = {person: index for index, person in enumerate(dict.fromkeys(people), start=1)}
    assert seen["captions"] == [f"B{row + 1:03d} of P{number[people[row]]:02d}" for row in rows]
    assert not any(person in caption for person in people for caption in seen["captions"])
    assert seen["label"].tolist() == material.labels.label[rows].tolist()
    assert seen["rest"][0] == "T1Gd"
    assert np.array_equal(seen["patches"], material.patches.images(4)[rows][..., 1])


def test_the_cohorts_own_names_are_shown_where_that_is_asked_for(
    finished: Any, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    original = pictures.heldout_sheet

    def record(patches: Any, label: Any, probability: Any, captions: Any, *rest: Any) -> Any:
        seen.extend(captions)
        return original(patches, label, probability, captions, *rest)

    monkeypatch.setattr(pictures, "heldout_sheet", record)
    folds = list(finished_folds(finished.outcome.study.get_trials()[0]).values())
    draw_trial(material, folds, tmp_path, 0, "original")
    row = folds[0].rows[0]
    assert seen[0] == f"{material.patches.biopsy_id[row]} of {material.patches.participant_id[row]}"


def test_a_participant_without_the_shown_sequence_is_absent_not_zero(
    make_cohort: Callable[..., Path], make_study: Callable[..., Any], tmp_path: Path
) -> None:
    make_cohort(tmp_path / "cohort", missing={(2, "T1Gd")})
    material = prepare(make_study(tmp_path), Home.at(tmp_path / "home"), frozen=False)
    name, images = pictures._shown(material)
    assert name == "T1Gd"
    assert np.isnan(images).all(axis=(1, 2)).sum() == 3
