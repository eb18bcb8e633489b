from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from data_prep.cohort import Biopsy
from data_prep.features.table import FeatureTable
from search.deployment.predicting import COLUMNS, Predicted, predict
from search.deployment.records import Prediction, Shown
from tests.search.deployment.facts_by_hand import make_facts
from tests.search.deployment.test_tensors import make_patches

FACTS = make_facts()


def site(number: int) -> Biopsy:
    return Biopsy(f"b{number}", f"p{number // 2}", (number + 0.5, -1.0, 2.0), number + 2, {})


class Asked:
    """A model whose members of a fold say the fold, and beside it which place they were shown."""

    def __init__(self) -> None:
        self.facts, self.asked = FACTS, list[int | None]()

    def predictor(self, fold: int | None) -> Any:
        self.asked.append(fold)

        def say(shown: Shown) -> Prediction:
            assert shown.location is not None
            number = np.array([float(name[1:]) for name in shown.patches.biopsy_id])
            np.testing.assert_array_equal(shown.location.values[:, 0], number)
            said = np.full((len(shown), 1), 0.5 if fold is None else fold / 10)
            return Prediction(said, said, said > 0.1, number, number > 3)

        return SimpleNamespace(say=say)


def shown(count: int) -> Shown:
    place = np.arange(count, dtype=float)[:, None].repeat(3, axis=1)
    return Shown(make_patches(0, count), FeatureTable(place, ("right", "anterior", "superior")))


def test_each_participant_is_told_by_the_members_that_never_saw_them() -> None:
    model, sites, done = Asked(), [site(n) for n in range(6)], []
    folds = {"p0": 2, "p1": None, "p2": 2}
    found = predict(model, sites, shown(6), folds, lambda *step: done.append(step))  # type: ignore[arg-type]
    assert model.asked == [2, None]
    np.testing.assert_array_equal(found.prediction.probability[:, 0], [0.2, 0.2, 0.5, 0.5, 0.2, 0.2])
    np.testing.assert_array_equal(found.prediction.distance, np.arange(6))
    assert done == [(4, 6), (6, 6)]


def test_without_folds_the_members_that_learned_from_all_answer() -> None:
    model = Asked()
    found = predict(model, [site(n) for n in range(4)], shown(4))  # type: ignore[arg-type]
    assert model.asked == [None]
    assert found.prediction.value is None


def test_the_table_has_a_row_a_site_and_label() -> None:
    said = Prediction(
        probability=np.array([[0.1, 0.75], [np.nan, np.nan]]),
        spread=np.array([[0.0, 1 / 3], [np.nan, np.nan]]),
        positive=np.array([[False, True], [False, False]]),
        distance=np.array([1.25, np.nan]),
        unlike=np.array([False, True]),
        value=np.array([[1.5, -2.0], [np.nan, np.nan]]),
    )
    second = make_facts().labels[0].__class__("CD4", *list(vars(FACTS.labels[0]).values())[1:])
    found = Predicted((site(0), site(1)), (FACTS.labels[0], second), said)
    assert found.table().splitlines() == [
        "\t".join((*COLUMNS, "value")),
        "b0\tp0\t0.5\t-1.0\t2.0\tCD3D\t0.1\t0.0\t0\t1.25\t0\t1.5",
        "b0\tp0\t0.5\t-1.0\t2.0\tCD4\t0.75\t0.3333333333333333\t1\t1.25\t0\t-2.0",
        "b1\tp0\t1.5\t-1.0\t2.0\tCD3D" + "\tn/a" * 6,
        "b1\tp0\t1.5\t-1.0\t2.0\tCD4" + "\tn/a" * 6,
    ]
    np.testing.assert_array_equal(found.is_said, [True, False])
    rows = list(found.rows())
    assert rows[1]["positive"] is True
    assert rows[2]["unlike"] is None
    assert float(found.table().splitlines()[2].split("\t")[7]) == pytest.approx(1 / 3, abs=0)


def test_a_table_of_probabilities_alone_has_no_values() -> None:
    half = np.full((1, 1), 0.5)
    found = Predicted((site(0),), FACTS.labels, Prediction(half, half, half > 0, half[0], half[0] > 1))
    assert found.table().splitlines()[0].split("\t") == list(COLUMNS)
