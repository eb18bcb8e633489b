"""Folds booked over a database that goes away between any two calls."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from search.booking import finished_folds, reap, requeue
from search.fold_book import FoldBook
from search.owner import Owner
from search.patient import Patience, PatientStorage, StorageAwayError
from search.records import FoldResult
from search.spool import peek
from search.unbooked import adopt

MakeFold = Callable[..., FoldResult]
VALUES = (0.5, None, 0.7, 0.6)  # what the folds of a trial report; the second has labels all alike


class Fickle(PatientStorage):
    """A storage whose calls are cut off when they are told to, before they are carried out or after."""

    def __init__(self, url: str) -> None:
        super().__init__(RDBStorage(url), Patience())
        self.heal()

    def cut(self, calls: Sequence[int], carried_out: bool = False) -> None:
        """Count calls from now on, and cut these off."""
        self.calls, self.cut_off, self.carried_out = 0, frozenset(calls), carried_out

    def heal(self) -> None:
        self.cut(())
        self.away = False

    def patiently(self, call: Callable[[], Any]) -> Any:
        return super().patiently(lambda: self._cut_off(call))

    def _cut_off(self, call: Callable[[], Any]) -> Any:
        number, self.calls = self.calls, self.calls + 1
        is_cut = self.away or number in self.cut_off
        if not is_cut or self.carried_out:
            answer = call()
        if is_cut:
            raise OperationalError("SELECT 1", None, Exception("server closed the connection"))
        return answer


class Counting(BasePruner):
    """Notes which steps it was asked about."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        self.asked.append(sorted(trial.intermediate_values))
        return len(self.asked) == 3


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Fickle:
    """An SQLite database, which says no more than PostgreSQL when a call does not get through."""
    return Fickle(f"sqlite:///{tmp_path_factory.mktemp('fickle')}/optuna.db")


@pytest.fixture
def storage(database: Fickle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fickle]:
    monkeypatch.setattr("search.patient.FIRST_PAUSE", 0.0)
    yield database
    database.heal()
    database.patience = Patience()


@pytest.fixture
def study(storage: Fickle) -> optuna.Study:
    opened = optuna.create_study(storage=storage, direction="maximize", pruner=Counting())
    opened.set_user_attr("id", opened.study_name)
    return opened


class Desk:
    """A trial and its book."""

    def __init__(self, study: optuna.Study, folder: Path) -> None:
        self.study, self.folder, self.lock = study, folder / "unbooked", folder / "lock"
        self.trial = study.ask()
        self.trial.set_user_attr("owner", str(dataclasses.replace(Owner.of(), start=1)))
        self.published: list[int] = []
        self.told: list[str] = []
        self.book = FoldBook(
            self.trial,
            study.study_name,
            self.folder,
            self.lock,
            lambda key, fold: self.published.append(fold.split),
            self.told.append,
        )

    @property
    def frozen(self) -> FrozenTrial:
        return self.study._storage.get_trial(self.trial._trial_id)

    @property
    def on_disk(self) -> list[int]:
        events = [event for path in sorted(self.folder.glob("*.jsonl")) for event in peek(path)]
        return [FoldResult.from_json(event["fold"]).split for event in events if "fold" in event]


@pytest.fixture
def desk(study: optuna.Study, tmp_path: Path) -> Desk:
    return Desk(study, tmp_path)


def test_while_the_database_answers_nothing_is_written_to_the_disk(desk: Desk, make_fold: MakeFold) -> None:
    desk.book.add(0, 0.5, make_fold(0))
    assert finished_folds(desk.frozen) == {0: make_fold(0)}
    assert desk.frozen.intermediate_values == {0: 0.5}
    assert desk.published == [0]
    assert not desk.folder.exists()


def test_folds_wait_on_the_disk_and_are_delivered_in_order(
    desk: Desk, storage: Fickle, make_fold: MakeFold
) -> None:
    desk.book.add(0, 0.5, make_fold(0))
    storage.away = True
    for split in (1, 2):
        desk.book.add(split, 0.6, make_fold(split))
        assert desk.on_disk == list(range(1, split + 1))
    assert desk.published == [0]
    storage.heal()
    assert list(finished_folds(desk.frozen)) == [0]
    desk.book.add(3, 0.7, make_fold(3))
    assert finished_folds(desk.frozen) == {split: make_fold(split) for split in range(4)}
    assert desk.frozen.intermediate_values == {0: 0.5, 1: 0.6, 2: 0.6, 3: 0.7}
    assert desk.published == [0, 1, 2, 3]
    assert desk.told == [f"trial {desk.trial.number}: the database has the 3 folds that waited for it"]
    assert not list(desk.folder.iterdir())


@pytest.mark.parametrize("carried_out", [False, True], ids=["lost", "carried out"])
@pytest.mark.parametrize("length", [1, 4])
def test_an_outage_between_any_two_calls_changes_nothing(
    study: optuna.Study, storage: Fickle, tmp_path: Path, make_fold: MakeFold, length: int, carried_out: bool
) -> None:
    folds = [make_fold(split) for split in range(len(VALUES))]
    for first in range(2 * len(VALUES) + 1):
        desk = Desk(study, tmp_path)
        storage.cut(range(first, first + length), carried_out)
        for fold, value in zip(folds, VALUES, strict=True):
            desk.book.add(fold.split, value, fold)
            calls, storage.cut_off = storage.cut_off, frozenset()  # to look at it
            assert sorted({*finished_folds(desk.frozen), *desk.on_disk}) == list(range(fold.split + 1))
            storage.calls, storage.cut_off = storage.calls - 1, calls
        desk.book.deliver()
        storage.heal()
        assert finished_folds(desk.frozen) == dict(enumerate(folds))
        assert desk.frozen.intermediate_values == {k: v for k, v in enumerate(VALUES) if v is not None}
        assert list(dict.fromkeys(desk.published)) == [0, 1, 2, 3]
        assert not list(desk.folder.glob("*"))


def test_once_the_database_is_away_a_fold_is_on_the_disk_before_it_is_tried(
    desk: Desk, storage: Fickle, make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt may take seconds."""
    storage.away = True
    desk.book.add(0, 0.5, make_fold(0))
    seen = []
    monkeypatch.setattr(storage, "_cut_off", lambda call: seen.append(desk.on_disk))
    desk.book.add(1, 0.5, make_fold(1))
    assert seen[0] == [0, 1]


def test_a_fold_that_is_booked_but_not_reported_needs_no_disk(desk: Desk, storage: Fickle) -> None:
    storage.away = True
    desk.book.add(0, 0.5)
    assert not desk.folder.exists()
    storage.heal()
    desk.book.deliver()
    assert desk.frozen.intermediate_values == {0: 0.5}


def test_pruners_are_asked_again_when_the_database_is_back(
    desk: Desk, storage: Fickle, make_fold: MakeFold
) -> None:
    asked = desk.study.pruner.asked  # type: ignore[attr-defined]
    answers = []
    for split in range(5):
        storage.away = split in (1, 2)
        desk.book.add(split, 0.5, make_fold(split))
        answers.append(desk.book.should_prune())
    assert asked == [[0], [0, 1, 2, 3], [0, 1, 2, 3, 4]]
    assert answers == [False, False, False, False, True]


def test_a_database_that_goes_away_while_a_pruner_reads_prunes_nothing(
    desk: Desk, storage: Fickle, make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.book.add(0, 0.5, make_fold(0))
    monkeypatch.setattr(desk.study, "pruner", optuna.pruners.MedianPruner(n_startup_trials=0))
    storage.away = True
    assert not desk.book.should_prune()
    storage.heal()
    desk.book.add(1, 0.4, make_fold(1))
    assert desk.frozen.intermediate_values == {0: 0.5, 1: 0.4}


def test_folds_of_a_trial_that_was_taken_for_lost_go_to_its_copy(
    desk: Desk, storage: Fickle, make_fold: MakeFold
) -> None:
    desk.book.add(0, 0.5, make_fold(0))
    storage.away = True
    desk.book.add(1, 0.5, make_fold(1))
    storage.heal()
    requeue(desk.study, desk.frozen, "owner lost", desk.lock)
    with pytest.raises(UpdateFinishedTrialError):
        desk.book.add(2, 0.5, make_fold(2))
    lost, copy = desk.study.get_trials()
    assert (list(finished_folds(lost)), list(finished_folds(copy))) == ([0], [0, 1, 2])
    assert copy.intermediate_values == {0: 0.5}  # who takes it up reports the rest
    assert desk.published == [0, 1, 2]
    assert not list(desk.folder.iterdir())


def test_a_copy_that_runs_keeps_what_it_has_and_the_file_waits_for_its_end(
    desk: Desk, make_fold: MakeFold
) -> None:
    requeue(desk.study, desk.frozen, "owner lost", desk.lock)
    copy = desk.study.ask()
    with pytest.raises(UpdateFinishedTrialError):
        desk.book.add(0, 0.5, make_fold(0))
    assert not finished_folds(desk.study.get_trials()[copy.number])
    assert desk.on_disk == [0]
    desk.study.tell(copy, 0.5)
    assert adopt(desk.study, desk.folder, desk.lock, lambda *_: None) == []
    assert desk.on_disk == []


def test_who_is_told_to_stop_waits_no_longer_and_the_next_start_books_it_all(
    desk: Desk, storage: Fickle, make_fold: MakeFold
) -> None:
    storage.away = True
    desk.book.add(0, 0.5, make_fold(0))
    storage.patience = Patience(stop=(stop := threading.Event()))
    stop.set()
    with pytest.raises(StorageAwayError):
        desk.book.deliver()
    desk.book.leave()
    desk.book.close()
    storage.heal()
    assert adopt(desk.study, desk.folder, desk.lock, lambda *_: None) == [(desk.trial.number, 0)]
    assert reap(desk.study, desk.lock) == [desk.trial.number]
    copy = desk.study.get_trials()[-1]
    assert (copy.state, list(finished_folds(copy)), copy.user_attrs["retries"]) == (
        TrialState.WAITING,
        [0],
        0,
    )
    assert not list(desk.folder.iterdir())


def test_a_disk_that_refuses_is_told_and_what_is_in_memory_is_still_delivered(
    desk: Desk, storage: Fickle, make_fold: MakeFold, files_end_at: Callable[[int | None], None]
) -> None:
    storage.away = True
    desk.book.add(0, 0.5, make_fold(0))
    (file,) = desk.folder.iterdir()
    files_end_at(file.stat().st_size + 10)
    with pytest.raises(OSError, match="too large") as caught:
        desk.book.add(1, 0.5, make_fold(1))
    assert caught.value.filename == str(file)
    assert desk.on_disk == [0]
    files_end_at(None)
    storage.heal()
    desk.book.deliver()
    assert list(finished_folds(desk.frozen)) == [0, 1]


def test_who_cannot_even_note_that_it_leaves_leaves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("search.spool.write_at_end", full)
    desk.book.leave()
    desk.book.close()
    assert adopt(desk.study, desk.folder, desk.lock, lambda *_: None) == []
    assert not list(desk.folder.iterdir())
