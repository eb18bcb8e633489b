from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.audit.record import LEAK, NOT_APPLICABLE, NOT_CHECKED, PASSED
from search.audit.refitting import Refits, check_training, differences, exchanged, judge, refit
from search.audit.subject import Subject
from search.cli import main
from search.errors import TrialFailedError
from search.home import Home
from search.recorded import material_of, recorded_study
from search.records import FoldResult


def noisy(fold: FoldResult) -> FoldResult:
    """The fold, with other probabilities of the biopsies that are noise."""
    return replace(fold, probabilities=(*fold.probabilities[:3], *(0.5 for _ in fold.probabilities[3:])))


def refits(make_fold: Callable[..., FoldResult], **changes: Any) -> Refits:
    fold = make_fold()
    return Refits(
        3,
        "roi_means",
        **(
            {
                "plain": fold,
                "relabelled": fold,
                "corrupted": noisy(fold),
                "kept": (0, 1, 2),
                "flipped": 4,
                "augmented": True,
                "shortened": None,
            }
            | changes
        ),
    )


def test_a_baseline_is_fitted_again_from_disk_and_scoring_data_change_nothing(audited: Subject) -> None:
    found = refit(audited)
    assert found.plain.rows == tuple(map(int, audited.splits[0].test))
    assert 0 < len(found.kept) < len(found.plain.rows)
    assert found.flipped > 0
    assert found.relabelled.labels != found.plain.labels
    assert found.augmented is False
    noisy = set(range(len(found.plain.rows))) - set(found.kept)
    assert any(found.plain.probabilities[place] != found.corrupted.probabilities[place] for place in noisy)
    assert [check.verdict for check in judge(found)] == [PASSED, PASSED, NOT_APPLICABLE]


def test_a_network_is_fitted_again_with_few_epochs(finished: Any) -> None:
    opened, study = recorded_study(finished.home, None, "toy")
    subject = Subject(opened, study, finished.home, material_of(study, opened, finished.home))
    checks = check_training(subject)
    assert [check.verdict for check in checks[:2]] == [PASSED, PASSED]
    assert checks[0].figures["architecture"] == "small_cnn"


def test_an_image_that_training_and_scoring_share_is_found_through_the_process_that_trains(
    shallow: Path, audited: Subject, tmp_path: Path
) -> None:
    split, who = audited.splits[0], audited.participants
    held, learned = who[int(split.test[0])], who[int(split.train[0])]
    cohort = Path(shutil.copytree(shallow / "cohort", tmp_path / "cohort"))
    for path in (cohort / learned).iterdir():
        path.unlink()
        path.symlink_to(f"../{held}/{path.name}")
    home = Home(tmp_path / "home")
    arguments = [
        "--cohort",
        str(cohort),
        "--home",
        str(home.root),
        "--set",
        "space.architecture=['roi_means']",
    ]
    assert main(["run", str(shallow / "study.toml"), "--trials", "1", *arguments]) == 0
    opened, study = recorded_study(home, None, "shallow")
    subject = Subject(opened, study, home, material_of(study, opened, home))
    assert held in {subject.participants[row] for row in subject.splits[0].test}
    images, labels, _ = check_training(subject)
    assert (images.verdict, labels.verdict) == (LEAK, PASSED)
    assert "probabilities" in images.figures["differ"]


@pytest.mark.parametrize(
    "changed", [{"threshold": 0.4}, {"curves": {"loss": [0.1]}}, {"parameters": 3}, {"label_threshold": 9.0}]
)
def test_whatever_training_makes_must_stay(
    make_fold: Callable[..., FoldResult], changed: dict[str, Any]
) -> None:
    by_images = judge(refits(make_fold, corrupted=make_fold(**changed)))
    assert [check.verdict for check in by_images] == [LEAK, PASSED, LEAK]
    by_labels = judge(refits(make_fold, relabelled=make_fold(**changed)))
    assert [check.verdict for check in by_labels] == [PASSED, LEAK, PASSED]
    assert "training looks at the scoring fold" in by_labels[1].sentence


def test_probabilities_of_the_corrupted_may_change_and_of_the_others_not(
    make_fold: Callable[..., FoldResult],
) -> None:
    fold = make_fold()
    for place, verdict in ((0, LEAK), (9, PASSED)):
        probabilities = list(fold.probabilities)
        probabilities[place] += 1e-12
        other = replace(fold, probabilities=tuple(probabilities))
        assert judge(refits(make_fold, corrupted=other))[0].verdict == verdict
    assert differences(fold, replace(fold, probabilities=tuple(probabilities)), range(16)) == [
        "probabilities"
    ]


def test_what_was_not_compared_is_not_passed(make_fold: Callable[..., FoldResult]) -> None:
    fold = make_fold()
    blind = judge(refits(make_fold, corrupted=fold))  # a constant: noise does not reach it
    assert [check.verdict for check in blind] == [NOT_CHECKED, PASSED, NOT_CHECKED]
    assert "reads no images" in blind[0].sentence
    bare, other = replace(fold, curves={}), replace(noisy(fold), curves={}, probabilities=(0.5,) * 16)
    alone = judge(refits(make_fold, plain=bare, relabelled=bare, corrupted=other, kept=()))
    assert [check.verdict for check in alone] == [NOT_CHECKED, PASSED, NOT_CHECKED]
    assert judge(refits(make_fold, flipped=0))[1].verdict == NOT_CHECKED


def test_what_cannot_be_fitted_is_told(audited: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(subject: Subject) -> Refits:
        raise TrialFailedError("failed", "the loss became NaN")

    monkeypatch.setattr("search.audit.refitting.refit", fail)
    checks = check_training(audited)
    assert {check.verdict for check in checks} == {NOT_CHECKED}
    assert "the loss became NaN" in checks[0].sentence
    subject = replace(audited)
    subject.__dict__["refitted"] = None
    assert {check.verdict for check in check_training(subject)} == {NOT_CHECKED}


def test_nothing_of_the_refits_stays_in_the_home(audited: Subject) -> None:
    before = sorted(str(path) for path in audited.home.root.rglob("*"))
    check_training(audited)
    assert sorted(str(path) for path in audited.home.root.rglob("*")) == before


@given(st.lists(st.integers(0, 1), min_size=4, max_size=40), st.data())
def test_expression_is_exchanged_among_the_held_out_alone_and_flips_as_many_as_can_be(
    labels: list[int], data: st.DataObject
) -> None:
    label = np.array(labels)
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, len(labels) - 1), min_size=1))))
    order = np.array(exchanged(label, rows))
    assert sorted(order) == list(range(len(label)))
    others = np.setdiff1d(np.arange(len(label)), rows)
    np.testing.assert_array_equal(order[others], others)
    positive = int(label[rows].sum())
    assert (label[order] != label).sum() == 2 * min(positive, len(rows) - positive)
