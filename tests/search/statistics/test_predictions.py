from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from search.booking import book_fold, book_settings
from search.records import FoldResult
from search.statistics.predictions import assemble, predictions_of

MakeFold = Callable[..., FoldResult]


def repeats(make_fold: MakeFold, error: float, **changes: float) -> list[FoldResult]:
    """Two folds, and the same biopsies in two other folds: the second repeat exchanges them."""
    folds = [make_fold(split % 2, error, **changes) for split in range(4)]
    return [replace(f, split=k, repeat=k // 2, fold=(k + k // 2) % 2) for k, f in enumerate(folds)]


def test_every_prediction_stands_where_its_biopsy_was_held_out(make_fold: MakeFold) -> None:
    """Each fold result, looked up biopsy by biopsy."""
    configurations = [repeats(make_fold, error, threshold=error) for error in (0.1, 0.3, 0.4)]
    said = assemble(configurations, (4, 7, 9), [{"c": c} for c in range(3)], default=1, handed_out=5)
    assert said.probability.shape == said.threshold.shape == (3, 2, 32)
    for c, folds in enumerate(configurations):
        for fold in folds:
            for row, who, label, p in zip(
                fold.rows, fold.participants, fold.labels, fold.probabilities, strict=True
            ):
                assert said.probability[c, fold.repeat, row] == p
                assert said.threshold[c, fold.repeat, row] == fold.threshold
                assert said.label[fold.repeat, row] == label
                assert said.fold[fold.repeat, row] == fold.fold
                assert said.participant[row] == who
    assert (said.trials, said.default, said.handed_out) == ((4, 7, 9), 1, 5)
    assert said.parameters.tolist() == [900.0] * 3


def test_the_order_in_which_folds_arrive_says_nothing(make_fold: MakeFold) -> None:
    folds = repeats(make_fold, 0.2)
    first, second = (assemble([some], (0,), [{}], None, 1) for some in (folds, folds[::-1]))
    for name in ("label", "participant", "fold", "probability", "threshold"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


def test_a_label_that_follows_the_training_folds_may_differ_between_repeats(make_fold: MakeFold) -> None:
    folds = repeats(make_fold, 0.2)
    folds[2] = replace(folds[2], labels=tuple(1 - label for label in folds[2].labels))
    said = assemble([folds], (0,), [{}], None, 1)
    assert said.label[1, :16].tolist() == (1 - said.label[0, :16]).tolist()


@pytest.mark.parametrize("missing", [(0, 3), (1, 1)])
def test_configurations_of_other_folds_are_refused(make_fold: MakeFold, missing: tuple[int, int]) -> None:
    configurations = [repeats(make_fold, 0.2), repeats(make_fold, 0.3)]
    del configurations[missing[0]][missing[1]]
    with pytest.raises(ValueError, match="every trial must have"):
        assemble(configurations, (0, 1), [{}, {}], None, 2)


@pytest.mark.parametrize("name", ["labels", "participants", "fold"])
def test_configurations_must_agree_on_labels_participants_and_folds(make_fold: MakeFold, name: str) -> None:
    first, other = repeats(make_fold, 0.2), repeats(make_fold, 0.3)
    values = [getattr(fold, name) for fold in other]
    changed = [1 - value if name == "fold" else value[::-1] for value in values]
    other = [replace(fold, **{name: value}) for fold, value in zip(other, changed, strict=True)]
    with pytest.raises(ValueError, match="the same folds, labels and participants"):
        assemble([first, other], (0, 1), [{}, {}], None, 2)


def test_what_one_configuration_said(make_fold: MakeFold) -> None:
    said = assemble([repeats(make_fold, error) for error in (0.1, 0.6)], (0, 1), [{}, {}], None, 2)
    outputs = said.outputs(1)
    assert np.array_equal(outputs.probability, said.probability[1])
    assert np.array_equal(outputs.score, said.probability[1])
    assert np.array_equal(outputs.predicted, said.predicted[1])
    assert outputs.predicted.tolist() == (1 - outputs.label).tolist()  # wrong by more than a half
    assert said.predicted[0].tolist() == said.label.tolist()


def test_a_part_of_the_configurations_keeps_what_belongs_to_each(make_fold: MakeFold) -> None:
    folds = [repeats(make_fold, 0.1 * c, trainable_parameters=c) for c in range(4)]
    said = assemble(folds, (5, 6, 7, 8), [{"c": c} for c in range(4)], default=2, handed_out=9)
    part = said.take([3, 2])
    assert (part.trials, part.settings) == ((8, 7), ({"c": 3}, {"c": 2}))
    assert part.parameters.tolist() == [3.0, 2.0]
    assert np.array_equal(part.probability, said.probability[[3, 2]])
    assert (part.default, part.handed_out) == (1, 9)
    assert said.take([0, 1]).default is None


def run(study: optuna.Study, folds: Sequence[FoldResult], state: TrialState = TrialState.COMPLETE) -> int:
    trial = study.ask()
    book_settings(trial, {"place": trial.number})
    for fold in folds:
        book_fold(trial, fold)
    study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    return int(trial.number)


@pytest.fixture
def two_folds(make_fold: MakeFold) -> list[FoldResult]:
    return [make_fold(split) for split in range(2)]


def test_only_complete_trials_are_read_but_all_count_as_handed_out(two_folds: list[FoldResult]) -> None:
    study = optuna.create_study(direction="maximize")
    run(study, two_folds)
    run(study, two_folds[:1], TrialState.PRUNED)
    run(study, [], TrialState.FAIL)
    run(study, two_folds)
    study.enqueue_trial({})
    said = predictions_of(study)
    assert said is not None
    assert (said.trials, said.handed_out) == ((0, 3), 4)
    assert said.settings == ({"place": 0}, {"place": 3})
    assert said.default == 0


def test_a_trial_whose_copy_took_its_place_counts_once(two_folds: list[FoldResult]) -> None:
    study = optuna.create_study(direction="maximize")
    lost = study.ask()
    lost.set_user_attr("fate", "requeue")
    study.tell(lost, state=TrialState.FAIL)
    run(study, two_folds)
    said = predictions_of(study)
    assert said is not None
    assert (said.trials, said.handed_out) == ((1,), 1)


def test_the_untuned_configuration_is_the_studys_first(two_folds: list[FoldResult]) -> None:
    """Not one that somebody enqueues later, who has looked at results and may choose a bad one."""
    study = optuna.create_study(direction="maximize")
    for enqueued in ({"patch_radius": 3}, None, {"patch_radius": 4}):
        if enqueued:
            study.enqueue_trial(enqueued)
        trial = study.ask()
        trial.suggest_int("patch_radius", 2, 8)
        for fold in two_folds:
            book_fold(trial, fold)
        study.tell(trial, 0.5)
    said = predictions_of(study)
    assert said is not None
    assert said.default is not None
    assert said.trials[said.default] == 0
    assert said.settings[said.default] == {"patch_radius": 3}


def test_an_untuned_configuration_that_did_not_complete_is_none(two_folds: list[FoldResult]) -> None:
    study = optuna.create_study(direction="maximize")
    run(study, [], TrialState.FAIL)
    run(study, two_folds)
    said = predictions_of(study)
    assert said is not None
    assert said.default is None


def test_nothing_complete_is_nothing_to_say(two_folds: list[FoldResult]) -> None:
    study = optuna.create_study(direction="maximize")
    assert predictions_of(study) is None
    run(study, two_folds[:1], TrialState.PRUNED)
    assert predictions_of(study) is None
