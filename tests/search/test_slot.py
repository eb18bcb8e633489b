"""Slots with a child that is played: what it answers decides how trials end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from data_prep.problems import InputError, Problems
from models.nvidia_smi import GpuReading
from search.booking import finished_folds, requeue
from search.claims import Claims
from search.errors import TrialFailedError
from search.gpu_gauge import NO_GAUGE, Gauge, Tell, Watch
from search.home import Home
from search.limits import TrialLimit
from search.material import prepare
from search.opening import open_study, slot_study
from search.progress import Listener
from search.records import FoldResult, TrialConfig
from search.slot import Bench, Slot
from search.space import read_space
from search.storage import all_studies, open_storage
from search.study_file import Study

NAMES_A_PARTICIPANT = "/cohorts/sub-003/T1.nii.gz"


class PlayedChild:
    """Answers each fold with the next of `answers`: a cause of failure, or a fold that scores at random."""

    def __init__(self, material: Any, make_fold: Callable[..., FoldResult], answers: dict[int, str]) -> None:
        self.material, self.make_fold, self.answers = material, make_fold, answers
        self.calls: list[tuple[TrialConfig, int]] = []
        self.limits: list[TrialLimit] = []
        self.closed = 0
        self.storage: Any = None
        self.study: Any = None

    def run_fold(
        self, config: TrialConfig, split: int, on_epoch: Callable[[Any], None], limit: TrialLimit
    ) -> FoldResult:
        self.calls.append((config, split))
        self.limits.append(limit)
        on_epoch({"epoch": 1, "loss": 0.7})
        cause = self.answers.get(len(self.calls) - 1)
        if cause is not None:
            raise TrialFailedError(
                cause, f"played: {cause}", NAMES_A_PARTICIPANT if cause == "child lost" else ""
            )
        rows = self.material.folds.splits()[split].test
        labels = self.material.labels.label[rows]
        people = self.material.participant[rows]
        scores = (labels * 0.1 + 0.3 + 0.3 * (rows % 3 == 0)).tolist()
        return self.make_fold(
            split,
            rows=tuple(map(int, rows)),
            labels=tuple(map(int, labels)),
            participants=tuple(map(int, people)),
            probabilities=tuple(scores),
        )

    def close(self) -> None:
        self.closed += 1


class RecordingPublisher:
    """Notes the names of the calls that a publisher gets."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.calls.append((name, args))


class NotingListener(Listener):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class PlayedGauge(Gauge):
    """Reads one value as each fold starts."""

    gpu = "GPU-5d5ba0d6"

    @contextmanager
    def during(self, tell: Tell) -> Iterator[Watch]:
        watch = Watch(tell)
        watch.take(GpuReading(50.0, 100.0, 400.0))
        yield watch


class Played:
    """A slot over a played child, and what became of its trials."""

    def __init__(
        self,
        study: Study,
        home: Home,
        make_fold: Callable[..., FoldResult],
        answers: dict[int, str],
        gauge: Gauge = NO_GAUGE,
    ):
        storage = open_storage(None, home)
        material = prepare(study, home, frozen=False)
        self.study = open_study(study, material, storage, home)
        self.child = PlayedChild(material, make_fold, answers)
        self.child.storage = storage
        self.child.study = study
        self.publisher = RecordingPublisher()
        self.listener = NotingListener()
        self.stop = threading.Event()
        bench = Bench(
            study,
            material,
            home.study(study.name),
            self.publisher,  # type: ignore[arg-type]
            self.listener,
            self.stop,
            Claims(study.search, 1, home.study(study.name).reaper_lock),
        )
        self.slot = Slot(bench, slot_study(study, storage), self.child, gauge)  # type: ignore[arg-type]
        self.slot.run()

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.get_trials()


@pytest.fixture
def play(make_study: Callable[..., Study], make_fold: Callable[..., FoldResult], tmp_path: Any) -> Any:
    def run(answers: dict[int, str], *overrides: str, gauge: Gauge = NO_GAUGE) -> Played:
        study = make_study(tmp_path, *overrides)
        return Played(study, Home.at(tmp_path / "home"), make_fold, answers, gauge)

    return run


def test_out_of_memory_teaches_the_sampler_and_is_not_retried(play: Any) -> None:
    played = play({1: "out of memory"}, "search.trials=2")
    first, second = played.trials
    assert (first.state, second.state) == (TrialState.PRUNED, TrialState.COMPLETE)
    assert first.constraints == {"oom": 1.0}
    assert first.user_attrs["oom"] == 1
    assert list(finished_folds(first)) == [0]


def test_a_trial_over_time_teaches_the_sampler_and_is_not_retried(play: Any) -> None:
    played = play({1: "over time"}, "search.trials=2", "search.trial_timeout=60")
    first, second = played.trials
    assert (first.state, second.state) == (TrialState.PRUNED, TrialState.COMPLETE)
    assert first.constraints == {"over_time": 1.0}
    assert first.user_attrs["error"] == "played: over time"


def test_each_fold_gets_what_the_booked_ones_left_of_the_trials_time_also_after_a_retry(play: Any) -> None:
    played = play({2: "child lost"}, "search.trials=1", "search.trial_timeout=60")
    assert [split for _, split in played.child.calls] == [0, 1, 2, 2]
    assert [limit.left for limit in played.child.limits] == [60.0, 58.5, 57.0, 57.0]


def test_a_trial_whose_time_is_spent_starts_no_further_fold(play: Any) -> None:
    played = play({}, "search.trials=1", "search.trial_timeout=2")
    (trial,) = played.trials
    assert [split for _, split in played.child.calls] == [0, 1]
    assert trial.state == TrialState.PRUNED
    assert "may take 2 s" in trial.user_attrs["error"]
    assert "stopped after 3.0 s" in trial.user_attrs["error"]


def test_a_trials_own_fault_fails_it_and_the_next_goes_on(play: Any) -> None:
    played = play({0: "failed"}, "search.trials=2")
    assert [trial.state.name for trial in played.trials] == ["FAIL", "COMPLETE"]
    assert played.trials[0].user_attrs["error"] == "played: failed"


def test_a_lost_child_costs_one_fold_and_keeps_seed_and_parameters(play: Any) -> None:
    played = play({1: "child lost"}, "search.trials=1")
    assert [trial.state.name for trial in played.trials] == ["FAIL", "COMPLETE"]
    assert [split for _, split in played.child.calls] == [0, 1, 1, 2]
    assert len({(str(config.settings), config.seed) for config, _ in played.child.calls}) == 1


def test_three_deaths_of_a_child_within_a_minute_stop_the_slot(play: Any) -> None:
    played = play(dict.fromkeys(range(20), "child lost"), "search.trials=5")
    assert played.slot.failure == f"played: child lost: {NAMES_A_PARTICIPANT}"
    assert len(played.child.calls) == 3
    assert played.child.closed


def test_a_trial_that_kills_its_child_three_times_is_failed_and_the_next_start_goes_on(play: Any) -> None:
    play(dict.fromkeys(range(3), "child lost"), "search.trials=2")
    played = play({}, "search.trials=2")
    assert played.slot.failure is None
    ended = [trial for trial in played.trials if trial.user_attrs.get("fate") != "requeue"]
    assert [trial.state.name for trial in ended] == ["FAIL", "COMPLETE"]
    assert [trial.user_attrs["ending"] for trial in ended] == ["child lost", "complete"]


def test_deaths_further_apart_do_not_stop_the_slot(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.slot.CRASH_WINDOW", 0.0)
    played = play(dict.fromkeys(range(1, 12, 2), "child lost"), "search.trials=3")
    assert played.slot.failure is None


@pytest.mark.parametrize(
    ("cause", "ending", "state"),
    [
        (None, "complete", "COMPLETE"),
        ("failed", "failed", "FAIL"),
        ("out of memory", "out of memory", "PRUNED"),
        ("over time", "over time", "PRUNED"),
        ("interrupted", "complete", "COMPLETE"),
    ],
)
def test_how_a_trial_ended_is_in_its_record(play: Any, cause: str | None, ending: str, state: str) -> None:
    played = play({} if cause is None else {1: cause}, "search.trials=1")
    assert (played.trials[-1].user_attrs["ending"], played.trials[-1].state.name) == (ending, state)


def test_a_cohort_that_changed_puts_the_trial_back_and_ends_the_slot(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*_: Any) -> FoldResult:
        raise InputError("sub-003/T1.nii.gz: the file is truncated")

    monkeypatch.setattr(PlayedChild, "run_fold", changed)
    with pytest.raises(InputError, match="truncated"):
        play({}, "search.trials=1")


def test_a_metric_that_is_undefined_fails_the_trial(
    play: Any, make_fold: Callable[..., FoldResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_class = make_fold(labels=(1,) * 16)
    monkeypatch.setattr(PlayedChild, "run_fold", lambda self, config, split, *_: one_class)
    (trial,) = play({}, "search.trials=1").trials
    assert trial.state == TrialState.FAIL
    assert "roc_auc is undefined" in trial.user_attrs["error"]


def test_each_trial_has_its_own_seed(play: Any) -> None:
    played = play({}, "search.trials=3")
    assert len({config.seed for config, _ in played.child.calls}) == 3


def test_a_trial_is_published_from_its_start_to_its_end(play: Any) -> None:
    names = [name for name, _ in play({}, "search.trials=1").publisher.calls]
    folds = ["fold_started", "fold_done"] * 3
    assert names == ["trial_started", *folds, "pictures", "trial_ended"]


def test_a_retry_goes_on_under_the_key_of_the_first_attempt(play: Any) -> None:
    calls = play({1: "child lost"}, "search.trials=1").publisher.calls
    assert [args[0] for name, args in calls if name == "trial_started"] == [0, 0]


def test_a_fold_that_is_booked_is_never_run_again(play: Any) -> None:
    played = play({2: "interrupted"}, "search.trials=1")
    assert [split for _, split in played.child.calls] == [0, 1, 2, 2]
    assert list(finished_folds(played.trials[-1])) == [0, 1, 2]


def test_a_retry_keeps_the_settings_of_the_first_attempt_whatever_became_of_the_space(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The space gains a parameter between the two attempts, as `_check_space` allows."""
    original = PlayedChild.run_fold

    def run_fold(self: PlayedChild, config: TrialConfig, split: int, *rest: Any) -> FoldResult:
        grown = read_space({**self.study.space, "dropout": [0.25, 0.5]}, "s", Problems())
        self.study.__dict__["parameters"] = grown
        return original(self, config, split, *rest)

    monkeypatch.setattr(PlayedChild, "run_fold", run_fold)
    played = play({1: "child lost"}, "search.trials=2")
    first, again, later = [config.settings for config, split in played.child.calls if split in (0, 1)][::2][
        :3
    ]
    assert first["dropout"] == again["dropout"] == 0.0
    assert later["dropout"] in (0.25, 0.5)
    assert played.trials[1].params == played.trials[0].params


def test_details_that_may_name_participants_stay_on_the_terminal(play: Any) -> None:
    played = play(dict.fromkeys(range(3), "child lost"), "search.trials=1")
    assert NAMES_A_PARTICIPANT not in str(played.trials)
    assert NAMES_A_PARTICIPANT not in str(
        [args[4:] for name, args in played.publisher.calls if name == "trial_ended"]
    )


def test_a_trial_that_another_process_ended_is_left_alone_and_the_slot_goes_on(
    play: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    original = PlayedChild.run_fold
    reaped: list[int] = []

    def run_fold(self: PlayedChild, config: TrialConfig, split: int, *rest: Any) -> FoldResult:
        if not reaped:
            (study,) = all_studies(self.storage)
            reaped.append(study.get_trials()[-1].number)
            requeue(study, study.get_trials()[-1], "owner lost", tmp_path / "reaper.lock")
        return original(self, config, split, *rest)

    monkeypatch.setattr(PlayedChild, "run_fold", run_fold)
    played = play({}, "search.trials=1")
    assert [trial.state.name for trial in played.trials] == ["FAIL", "COMPLETE"]
    assert not finished_folds(played.trials[0])
    assert len(finished_folds(played.trials[1])) == 3


def test_a_file_that_cannot_be_written_ends_the_slot_and_uses_up_no_retry(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for _ in range(4):
        with monkeypatch.context() as patch:
            patch.setattr("search.slot.draw_trial", full)
            with pytest.raises(OSError, match="No space left"):
                play({}, "search.trials=1")
    played = play({}, "search.trials=1")
    assert played.child.calls == []  # every fold was booked the first time
    assert played.trials[-1].state == TrialState.COMPLETE
    assert played.trials[-1].user_attrs["retries"] == 0


def test_a_picture_that_cannot_be_drawn_is_not_taken_for_a_zombie(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no such colour")

    monkeypatch.setattr("search.slot.draw_trial", fail)
    with pytest.raises(ValueError, match="no such colour"):
        play({}, "search.trials=1")


def test_readings_of_the_gpu_are_booked_with_the_fold_and_told_as_they_come(play: Any) -> None:
    played = play({}, "search.trials=1", gauge=PlayedGauge())
    noted = {"gpu_utilization_mean": 50.0, "gpu_memory_peak_mb": 100.0}
    assert [fold.gpu for fold in finished_folds(played.trials[0]).values()] == [noted] * 3
    told = [name for name, _ in played.publisher.calls if name in ("gpu_read", "fold_done")]
    assert told == ["gpu_read", "fold_done"] * 3


def test_a_network_that_trains_beside_its_gpu_is_noted_once(play: Any) -> None:
    (note,) = play({}, "search.trials=2", gauge=PlayedGauge()).listener.notes
    assert note.startswith("TensorFlow does not see GPU-5d5ba0d6 and trains on the CPU: is it the CPU build")


def test_a_slot_on_the_cpu_has_nothing_to_note(play: Any) -> None:
    assert play({}, "search.trials=1").listener.notes == []
