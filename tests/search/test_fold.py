"""What a fold books of what a model says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.arrays import DoubleArray
from data_prep.inputs import channel_layout, input_channels, lay_out
from search.fold import Scored, Task, is_of, run_fold
from search.home import Home
from search.material import Material, prepare
from search.records import TrialConfig
from search.refits.fit import Fit, Shuffle
from search.study_file import Study


@pytest.fixture
def task(make_study: Callable[..., Study], tmp_path: Path) -> Task:
    study = make_study(tmp_path)
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    return Task.of(material, study, TrialConfig({"architecture": "small_cnn"}, 7), 1)


def knowing(task: Task) -> Scored:
    """Probabilities that are right, 0.6 and 0.2, and not around one half."""
    return telling(task, np.where(task.labels == 1, 0.6, 0.2)[:, None])


def telling(task: Task, outputs: DoubleArray) -> Scored:
    """A model with these outputs of every biopsy, shape (biopsies, K)."""
    stop = None if task.stop is None else outputs[task.stop]
    return Scored(outputs[task.split.test], stop, parameters=3, trainable_parameters=2, device="CPU x1")


def test_the_threshold_comes_from_the_biopsies_to_stop_on(task: Task) -> None:
    result = run_fold(task, knowing)
    assert 0.2 <= result.threshold < 0.6
    assert (result.scores.predicted == result.scores.label).all()


def test_each_label_is_cut_by_what_is_said_of_it_and_told_its_own_threshold(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "label.genes=['CD3D', 'CD3E']", "label.combine=multi-label")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    task = Task.of(material, study, TrialConfig({"architecture": "small_cnn"}, 7), 1)
    outputs = np.where(task.targets.labels == 1, (0.6, 0.9), (0.2, 0.7))
    result = run_fold(task, lambda task: telling(task, outputs))
    head = result.heads["CD3E"]
    assert 0.2 <= result.threshold < 0.6
    assert 0.7 <= head["threshold"] < 0.9
    medians = np.median(material.labels.tpm, axis=0)
    assert (result.label_threshold, head["label_threshold"]) == tuple(medians)
    assert medians[0] != medians[1]
    assert head["labels"] == task.targets.labels[task.split.test, 1].tolist()
    assert head["probabilities"] == outputs[task.split.test, 1].tolist()


def test_what_a_regression_says_is_booked_in_units_of_the_score_and_as_a_probability(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "label.rule=log-tpm")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    task = Task.of(material, study, TrialConfig({"architecture": "small_cnn"}, 7), 1)
    truth = task.targets.learned.astype(float)
    seen = {"second": truth[task.split.test]}
    result = run_fold(task, lambda task: replace(telling(task, truth), scenes=seen))
    value = material.labels.value[task.split.test]
    assert result.values == pytest.approx(value, abs=1e-5)
    assert (np.argsort(result.probabilities) == np.argsort(value)).all()
    assert 0 < min(result.probabilities) < result.threshold < max(result.probabilities) < 1
    assert result.scenes == {"second": {"probabilities": list(result.probabilities)}}


def test_a_fold_without_biopsies_to_stop_on_cuts_at_one_half(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "training.early_stopping=none")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    whole = Task.of(material, study, TrialConfig({}, 7), 0)
    assert whole.stop is None
    assert sorted([*whole.fit, *whole.split.test]) == list(range(36))
    assert run_fold(whole, knowing).threshold == 0.5


def test_a_result_is_booked_for_each_biopsy_held_out_and_for_no_other(task: Task) -> None:
    result = run_fold(task, knowing)
    assert result.rows == tuple(task.split.test)
    assert (result.split, result.parameters, result.trainable_parameters) == (1, 3, 2)
    assert result.participants == tuple(task.material.participant[task.split.test])
    assert result.seconds >= 0
    assert result.memory_mb > 0


def test_the_same_trial_and_split_give_the_same_task(task: Task) -> None:
    again = Task.of(task.material, task.study, task.config, 1)
    assert again.seed == task.seed
    assert np.array_equal(again.fit, task.fit)
    other = Task.of(task.material, task.study, TrialConfig({}, 8), 1)
    assert other.seed != task.seed


def fit_of(material: Material, **changes: object) -> Fit:
    fit = Fit.of(TrialConfig({"architecture": "small_cnn"}, 7), material.folds.splits()[1])
    return replace(fit, **changes)  # type: ignore[arg-type]


def test_the_fit_of_a_split_is_the_trials_own_fold(task: Task) -> None:
    same = Task.of_fit(task.material, task.study, fit_of(task.material))
    assert (same.seed, same.label_threshold, same.shuffles) == (task.seed, task.label_threshold, ())
    assert np.array_equal(same.fit, task.fit)
    assert same.stop is not None
    assert np.array_equal(same.stop, task.stop)
    assert np.array_equal(same.labels, task.labels)


@pytest.mark.parametrize("early_stopping", ["inner", "none"])
@pytest.mark.parametrize("cut", ["cohort", "training"])
def test_a_fit_that_names_the_biopsies_to_stop_on_learns_from_the_others_alone(
    early_stopping: str, cut: str, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    changes = (f"training.early_stopping={early_stopping}", f"label.threshold_from={cut}")
    study = make_study(tmp_path, *changes)
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    rows = fit_of(material).train
    task = Task.of_fit(material, study, fit_of(material, train=rows[7:], stop=rows[:7]))
    assert tuple(task.fit) == tuple(task.split.train) == rows[7:]
    assert (task.stop is None) == (early_stopping == "none")
    assert task.stop is None or tuple(task.stop) == rows[:7]
    seen = list(rows[7:]) if cut == "training" else slice(None)
    assert task.label_threshold == np.median(material.labels.tpm[seen, 0])


def test_a_fit_of_so_many_epochs_learns_from_all_of_its_rows(task: Task) -> None:
    own = fit_of(task.material, epochs=5)
    whole = Task.of_fit(task.material, task.study, own)
    assert (whole.stop, whole.epochs, tuple(whole.fit)) == (None, 5, own.train)
    assert task.stop is not None
    assert task.epochs is None


def test_what_is_kept_is_handed_over_after_it_was_scored(task: Task) -> None:
    kept: list[tuple[object, ...]] = []
    result = run_fold(task, knowing, lambda *told: kept.append(told))
    ((of, scored, calibrated),) = kept
    assert of is task
    assert tuple(scored.held_out[:, 0]) == result.probabilities  # type: ignore[attr-defined]
    assert calibrated == ()


@pytest.mark.parametrize("cut", ["cohort", "training"])
def test_an_order_gives_each_biopsy_the_expression_of_another(
    cut: str, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, f"label.threshold_from={cut}")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    order = np.random.default_rng(3).permutation(36)
    task = Task.of_fit(material, study, fit_of(material, order=tuple(map(int, order))))
    tpm = [material.labels.tpm[order[row], 0] for row in range(36)]
    seen = [tpm[row] for row in task.split.train] if cut == "training" else tpm
    median = float(np.median(seen))
    assert task.label_threshold == median
    assert task.labels.tolist() == [int(value > median) for value in tpm]
    own = Task.of_fit(material, study, fit_of(material))
    assert not np.array_equal(task.labels, own.labels)
    assert run_fold(task, knowing).labels == tuple(task.labels[task.split.test])


def test_the_identity_as_order_changes_nothing(task: Task) -> None:
    same = Task.of_fit(task.material, task.study, fit_of(task.material, order=tuple(range(36))))
    assert np.array_equal(same.labels, task.labels)
    assert (same.fit.tolist(), same.label_threshold) == (task.fit.tolist(), task.label_threshold)


@pytest.mark.parametrize(
    ("column", "sequence", "expected"),
    [
        ("T1", "T1", True),
        ("T1[-1]", "T1", True),
        ("T1[0]", "T1", True),
        ("T1:mean", "T1", True),
        ("has:T1", "T1", True),
        ("T1Gd", "T1", False),
        ("T1Gd:mean", "T1", False),
        ("has:T1Gd", "T1", False),
        ("T1", "T1Gd", False),
        ("right", "T1", False),
    ],
)
def test_a_column_is_of_the_sequence_that_it_is_named_after(
    column: str, sequence: str, expected: bool
) -> None:
    assert is_of(column, sequence) is expected


@pytest.fixture
def slices(make_cohort: Callable[..., Path], make_study: Callable[..., Study], tmp_path: Path) -> Task:
    """Channels of three slices, and of the presence of T1 and T1Gd, which some participants lack."""
    make_cohort(tmp_path / "cohort", missing={(1, "T1"), (4, "T1"), (2, "T1Gd")})
    study = make_study(tmp_path, "input.slices=3")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    return Task.of(material, study, TrialConfig({"architecture": "small_cnn"}, 7), 0)


@pytest.mark.parametrize("sequence", ["T1", "T1Gd", "T2"])
def test_a_shuffled_sequence_comes_from_other_biopsies_in_every_channel_of_it_and_in_no_other(
    sequence: str, slices: Task
) -> None:
    material, test = slices.material, slices.split.test
    values = lay_out(material.patches, 3, channel_layout(material.patches, "mask"))
    names = input_channels(material.patches, "mask")
    rows = np.random.default_rng(1).permutation(36)[: len(test)]
    task = replace(slices, shuffles=(Shuffle(sequence, tuple(map(int, rows))), Shuffle("T2", tuple(test))))
    shown = task.held_out(values, names)
    n = len(test)
    assert shown.shape == (3 * n, *values.shape[1:])
    assert np.array_equal(shown[:n], values[test])
    assert np.array_equal(shown[2 * n :], values[test])  # a sequence taken from the biopsy itself
    own = {"T1": {0, 3, 6, 9}, "T1Gd": {1, 4, 7, 10}, "T2": {2, 5, 8}}[sequence]
    assert len(names) == 11
    for channel in range(11):
        source = rows if channel in own else test
        assert np.array_equal(shown[n : 2 * n, ..., channel], values[source][..., channel])


def test_a_result_lists_the_held_out_biopsies_once_more_for_each_copy(task: Task) -> None:
    rows = tuple(map(int, task.split.test[::-1]))
    twice = replace(task, shuffles=(Shuffle("T1", rows), Shuffle("T2", rows)))

    def counting(task: Task) -> Scored:
        score = np.linspace(0, 1, len(task.scored))
        return replace(knowing(task), held_out=score[:, None])

    result, n = run_fold(twice, counting), len(rows)
    assert result.rows == tuple(task.split.test) * 3
    assert result.labels == tuple(task.labels[task.split.test]) * 3
    assert result.participants == tuple(task.material.participant[task.split.test]) * 3
    assert result.probabilities == tuple(np.linspace(0, 1, 3 * n))
    assert result.threshold == run_fold(task, knowing).threshold
