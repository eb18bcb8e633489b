"""Who is asked about whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from search.deployment.model import Model
from search.maps.asking import Asked, Asking, Predictors, look


@pytest.fixture
def asking(modelled: Any) -> Asking:
    return Asking(Model.open(Path(modelled.model)), read_cohort(modelled.cohort))


def test_participants_of_the_training_set_are_known_with_their_fold(asking: Asking) -> None:
    told: list[tuple[int, int]] = []
    asked = look(asking, asking.cohort.participants, lambda done, total: told.append((done, total)))
    assert asked.failed == {}
    assert asked.seen == asking.cohort.participants
    assert set(asked.folds.values()) == {0, 1, 2}
    assert told[-1] == (12, 12)


def test_others_are_not_and_who_lacks_a_sequence_fails_alone(
    asking: Asking, make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    other = read_cohort(
        make_cohort(tmp_path / "other", participants=3, biopsies=6, seed=7, missing=[(1, "T2")])
    )
    asked = look(replace(asking, cohort=other), other.participants)
    assert asked.folds == {"sub-000": None, "sub-002": None}
    assert list(asked.failed) == ["sub-001"]
    assert "T2" in asked.failed["sub-001"][0]


def test_whoever_is_damaged_fails_alone(
    asking: Asking, make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_cohort(tmp_path / "other", participants=2, biopsies=4, seed=8)
    path = folder / "sub-001" / "T1.nii.gz"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    other = read_cohort(folder)
    asked = look(replace(asking, cohort=other), other.participants)
    assert list(asked.folds) == ["sub-000"]
    assert "T1.nii.gz" in asked.failed["sub-001"][0]


def test_out_of_fold_goes_by_folds_so_that_each_is_opened_once() -> None:
    asked = Asked({"a": 2, "b": None, "c": 0, "d": 2, "e": 0}, {})
    assert asked.in_order(out_of_fold=True) == ["b", "c", "e", "a", "d"]
    assert asked.in_order(out_of_fold=False) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("out_of_fold", [True, False])
def test_the_members_of_a_fold_are_opened_once_and_only_out_of_fold(out_of_fold: bool) -> None:
    opened: list[int | None] = []
    model = SimpleNamespace(predictor=lambda fold: opened.append(fold) or object())
    predictors = Predictors(Asking(model, None, out_of_fold=out_of_fold))  # type: ignore[arg-type]
    for fold in (None, 0, 0, 2):
        predictors.of(fold)
    assert opened == ([None, 0, 2] if out_of_fold else [None])


def test_the_same_images_are_known_under_another_name(
    asking: Asking, modelled: Any, make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """The image of a training participant, saved anew by another program under another name."""
    other = make_cohort(tmp_path / "other", participants=2, biopsies=4, seed=9)
    for name in ("T1", "T1Gd", "T2"):
        image = nibabel.load(modelled.cohort / "sub-003" / f"{name}.nii.gz")
        again = nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)
        nibabel.save(again, other / "sub-001" / f"{name}.nii.gz")
    cohort = read_cohort(other)
    known = look(asking, ("sub-003",)).folds["sub-003"]
    assert look(replace(asking, cohort=cohort), cohort.participants).folds == {
        "sub-000": None,
        "sub-001": known,
    }
