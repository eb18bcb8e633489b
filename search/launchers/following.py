"""What becomes of a study's trials, told line by line to whoever waits for its workers."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.trial import FrozenTrial, TrialState

from data_prep.problems import one_line
from search.booking import counts, is_superseded
from search.claims import ASKED
from search.errors import StudyStoppedError
from search.home import Home
from search.patient import StorageAwayError, hastily
from search.storage import open_to_read, storage_told


class Following:
    """Reads a study's storage now and then, and tells which trials have ended since.

    Args:
        study: The study, to be read.
        trials: How many are asked for, where its storage does not say.
        tell: Gets the lines.

    Attributes:
        ended: How many trials have been seen to end since this began.
        has_work: Whether a trial is left to begin, as of the last look that the storage answered.
        is_over: Whether moreover none runs, be it in a process that is dead by now.
    """

    def __init__(self, study: optuna.Study, trials: int, tell: Callable[[str], None]) -> None:
        self._study, self._trials, self._tell = study, trials, tell
        self._told: set[int] | None = None
        self._is_away = False
        self.ended = 0
        self.has_work, self.is_over = True, False

    def look(self) -> None:
        """Look once.

        A storage that is away is told of once: the workers go on without it, and so does whoever waits.

        Raises:
            StudyStoppedError: The storage refuses to be read, or the study is gone from it.
        """
        try:
            with storage_told(), hastily(self._study._storage):
                asked = int(self._study.user_attrs.get(ASKED, self._trials))
                trials = self._study.get_trials(deepcopy=False)
        except KeyError as error:
            name = self._study.study_name
            raise StudyStoppedError(f"--storage: holds no study {name!r} any more") from error
        except StorageAwayError as error:
            if not self._is_away:
                self._tell(f"{error}; the workers go on")
            self._is_away = True
            return
        self._is_away = False
        self._compare(trials, asked)

    def _compare(self, trials: list[FrozenTrial], asked: int) -> None:
        finished = {trial.number: trial for trial in trials if trial.state.is_finished()}
        self.has_work = _is_any_left(trials, asked)
        self.is_over = not self.has_work and all(t.state != TrialState.RUNNING for t in trials)
        if self._told is None:
            self._told = set(finished)
            self._tell(f"study {self._study.study_name}: {self._done(finished)} of {asked} trials have ended")
        for number in sorted(finished.keys() - self._told):
            self.ended += 1
            self._told.add(number)
            self._tell(f"{_ending(finished[number])} ({self._done(finished)} of {asked})")

    def _done(self, finished: dict[int, FrozenTrial]) -> int:
        """How many of the trials that were told of are not to be taken up again."""
        return sum(not is_superseded(finished[number]) for number in self._told or ())


def follow(name: str, url: str | None, home: Home, trials: int, tell: Callable[[str], None]) -> Following:
    """Follow a study that exists.

    Args:
        name: The study's.
        url: Of its storage; None for the journal in the home.
        home: Where the journal is.
        trials: How many are asked for, where its storage does not say.
        tell: Gets the lines.

    Raises:
        StudyStoppedError: The storage cannot be read.
    """
    storage = open_to_read(url, home)
    try:
        if storage is None:
            raise KeyError(name)
        with storage_told():
            return Following(optuna.load_study(study_name=name, storage=storage), trials, tell)
    except KeyError as error:
        raise StudyStoppedError(f"--storage: holds no study {name!r} any more") from error


def _is_any_left(trials: list[FrozenTrial], asked: int) -> bool:
    """Whether a worker that asks is given a trial."""
    owed = any(trial.state == TrialState.WAITING and "retry_of" in trial.user_attrs for trial in trials)
    return owed or sum(map(counts, trials)) < asked


def _ending(trial: FrozenTrial) -> str:
    cause = trial.user_attrs.get("ending", trial.state.name.lower())
    text = f"trial {trial.number} ends: {cause}"
    if is_superseded(trial):
        return f"{text}; it is taken up again"
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return f"{text}, value {trial.value:.4g}"
    error = trial.user_attrs.get("error")
    return text if error in (None, cause) else one_line(f"{text}: {error}")
