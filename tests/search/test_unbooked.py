"""What dead processes had finished while the database was away, and the trials that it is booked on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.booking import FOLD, finished_folds, reap, requeue
from search.owner import Owner
from search.records import FoldResult
from search.unbooked import UnbookedFile, adopt, foresee

MakeFold = Callable[..., FoldResult]
DEAD = str(dataclasses.replace(Owner.of(), start=1))


class Ward:
    """A study in memory, and a home's folder of folds that it lacks."""

    def __init__(self, folder: Path) -> None:
        optuna.create_study(study_name="s", storage=(storage := optuna.storages.InMemoryStorage()))
        self.study = optuna.load_study(study_name="s", storage=storage)
        self.study.set_user_attr("id", "this one")
        self.folder, self.lock = folder / "unbooked", folder / "lock"
        self.published: list[tuple[int, FoldResult]] = []

    def begin(self, owner: str = DEAD) -> FrozenTrial:
        trial = self.study.ask()
        trial.set_user_attr("owner", owner)
        return self.trial(trial.number)

    def trial(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def leave(self, number: int, *folds: FoldResult, study: str = "this one") -> UnbookedFile:
        """The file of a process that died with these folds."""
        file = UnbookedFile(self.folder, study, number)
        file.keep(folds)
        file.close()
        return file

    def lose(self, number: int) -> None:
        requeue(self.study, self.trial(number), "owner lost", self.lock)

    def adopt(self) -> list[tuple[int, int]]:
        return adopt(self.study, self.folder, self.lock, lambda *told: self.published.append(told))

    def book(self, number: int, fold: FoldResult) -> None:
        self.study._storage.set_trial_system_attr(
            self.trial(number)._trial_id, f"{FOLD}{fold.split}", fold.to_json()
        )

    @property
    def files(self) -> list[Path]:
        return list(self.folder.glob("*"))


@pytest.fixture
def ward(tmp_path: Path) -> Ward:
    return Ward(tmp_path)


def test_a_fold_goes_to_its_trial_before_that_is_taken_up(ward: Ward, make_fold: MakeFold) -> None:
    folds = [make_fold(1), make_fold(2)]
    ward.begin()
    ward.book(0, make_fold(0))
    ward.leave(0, *folds)
    assert ward.adopt() == [(0, 1), (0, 2)]
    assert ward.published == [(0, fold) for fold in folds]
    assert reap(ward.study, ward.lock) == [0]
    assert finished_folds(ward.trial(1)) == {split: make_fold(split) for split in range(3)}
    assert not ward.files


def test_what_is_done_twice_does_no_more_than_once(ward: Ward, make_fold: MakeFold) -> None:
    """The adopter may die before it removes the file: MLflow may then not have heard of the fold."""
    ward.begin()
    ward.leave(0, make_fold(0))
    assert ward.adopt() == [(0, 0)]
    ward.leave(0, make_fold(0))
    assert ward.adopt() == []
    assert ward.published == [(0, make_fold(0))] * 2
    assert not ward.files
    assert finished_folds(ward.trial(0)) == {0: make_fold(0)}


def test_a_fold_goes_to_the_copy_that_waits(ward: Ward, make_fold: MakeFold) -> None:
    """Another machine took the trial for lost, and the one that took it up died in turn."""
    ward.begin()
    ward.lose(0)
    ward.begin()
    ward.lose(1)
    ward.leave(0, make_fold(0))
    assert ward.adopt() == [(2, 0)]
    assert [list(finished_folds(ward.trial(number))) for number in range(3)] == [[], [], [0]]
    assert ward.published == [(0, make_fold(0))]
    assert ward.trial(2).state == TrialState.WAITING


def test_a_copy_that_a_dead_reaper_owed_is_made_and_gets_the_fold(
    ward: Ward, make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.begin()
    with monkeypatch.context() as patch:
        patch.setattr("search.booking.make_copies", lambda *_: None)
        ward.lose(0)
    ward.leave(0, make_fold(0))
    assert ward.adopt() == [(1, 0)]
    assert list(finished_folds(ward.trial(1))) == [0]


def test_a_copy_that_runs_is_left_to_its_process_until_it_waits_again(
    ward: Ward, make_fold: MakeFold
) -> None:
    ward.begin()
    ward.lose(0)
    ward.begin()
    ward.leave(0, make_fold(0))
    assert ward.adopt() == []
    assert not finished_folds(ward.trial(1))
    assert ward.files
    ward.lose(1)
    assert ward.adopt() == [(2, 0)]
    assert not ward.files


def test_a_fold_that_is_there_stays_whatever_it_says(ward: Ward, make_fold: MakeFold) -> None:
    ward.begin()
    ward.lose(0)
    ward.begin()
    ward.book(1, make_fold(0, device="node7"))
    ward.leave(0, make_fold(0, device="here"))
    assert ward.adopt() == []
    assert finished_folds(ward.trial(1))[0].device == "node7"
    assert not ward.published
    assert not ward.files


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_a_finished_trial_takes_nothing(ward: Ward, make_fold: MakeFold, state: TrialState) -> None:
    trial = ward.begin()
    ward.study.tell(trial.number, 0.5 if state == TrialState.COMPLETE else None, state)
    ward.leave(0, make_fold(0))
    assert ward.adopt() == []
    assert not finished_folds(ward.trial(0))
    assert not ward.files


def test_of_a_finished_trial_nothing_is_published_again(ward: Ward, make_fold: MakeFold) -> None:
    ward.begin()
    ward.book(0, make_fold(0))
    ward.study.tell(0, 0.5)
    ward.leave(0, make_fold(0))
    assert ward.adopt() == []
    assert not ward.published
    assert not ward.files


def test_a_trial_that_ends_in_this_moment_has_its_fold_looked_at_again(
    ward: Ward, make_fold: MakeFold, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward.begin()
    ward.leave(0, make_fold(0))
    setting = ward.study._storage.set_trial_system_attr

    def too_late(*args: Any) -> None:
        ward.study.tell(0, state=TrialState.FAIL)
        setting(*args)

    with monkeypatch.context() as patch:
        patch.setattr(ward.study._storage, "set_trial_system_attr", too_late)
        assert ward.adopt() == []
    assert ward.files
    assert ward.adopt() == []
    assert not ward.files


def test_who_left_of_its_own_will_costs_the_trial_no_retry(ward: Ward, make_fold: MakeFold) -> None:
    for _ in range(4):
        number = ward.begin().number
        file = UnbookedFile(ward.folder, "this one", number)
        file.keep([make_fold(0)])
        file.note_leaving()
        file.close()
        ward.adopt()
        assert reap(ward.study, ward.lock) == [number]
        assert ward.trial(number).user_attrs["ending"] == "interrupted"
    assert ward.trial(4).state == TrialState.WAITING
    assert ward.trial(4).user_attrs["retries"] == 0
    assert list(finished_folds(ward.trial(4))) == [0]


def test_the_file_of_a_living_process_is_left_alone(ward: Ward, make_fold: MakeFold) -> None:
    ward.begin(str(Owner.of()))
    file = UnbookedFile(ward.folder, "this one", 0)
    file.keep([make_fold(0)])
    assert ward.adopt() == foresee(ward.study, ward.folder) == []
    file.close()
    assert ward.adopt() == [(0, 0)]


def test_another_studys_file_is_left_alone(ward: Ward, make_fold: MakeFold) -> None:
    ward.begin()
    ward.leave(0, make_fold(0), study="of the same name in another database")
    assert ward.adopt() == []
    assert not finished_folds(ward.trial(0))
    assert ward.files


@pytest.mark.parametrize("spoilt", [b'{"study": "this one", "trial": 0, "fo', b'{"study": "this one"}\n'])
def test_of_a_spoilt_file_what_is_whole_is_booked(ward: Ward, make_fold: MakeFold, spoilt: bytes) -> None:
    ward.begin()
    ward.leave(0, make_fold(0))
    (file,) = ward.files
    file.write_bytes(file.read_bytes() + spoilt)
    assert foresee(ward.study, ward.folder) == [(0, 0)]
    assert ward.adopt() == [(0, 0)]
    assert not ward.files


def test_looking_tells_what_would_be_booked_and_writes_nothing(ward: Ward, make_fold: MakeFold) -> None:
    ward.begin()
    ward.book(0, make_fold(0))
    ward.leave(0, make_fold(0), make_fold(1))
    before = {file: file.read_bytes() for file in ward.files}
    assert foresee(ward.study, ward.folder) == [(0, 1)]
    assert {file: file.read_bytes() for file in ward.files} == before
    assert list(finished_folds(ward.trial(0))) == [0]


def test_where_nothing_was_left_nothing_is_made(ward: Ward) -> None:
    assert ward.adopt() == foresee(ward.study, ward.folder) == []
    assert not ward.folder.exists()
    assert not ward.lock.exists()
