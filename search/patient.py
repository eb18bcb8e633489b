"""A storage that waits while its database is away, for minutes, where Optuna's own raises at once."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

from search.database import CONNECT_SECONDS, POSTGRESQL, backend_of, is_outage, raise_interruption, reason_of
from search.errors import StudyStoppedError
from search.row_storage import RowStorage
from search.silence import limit_silence

OUTAGE_SECONDS = 1800.0  # the longest outage that is waited for
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
BEATS = 5  # of a trial, within the time after which it counts as lost

P = ParamSpec("P")
Result = TypeVar("Result")


class StorageAwayError(StudyStoppedError):
    """The database does not answer at the moment."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"--storage: {reason}. What is finished is kept")


class LockBusyError(StorageAwayError):
    """The database is there, but another process keeps a lock for too long."""


@dataclass
class Patience:
    """How long is waited for a database, and who hears of it.

    Attributes:
        seconds: The longest outage.
        tell: Gets a line when an outage begins and when it is over.
        stop: When set, nobody waits any more.
    """

    seconds: float = OUTAGE_SECONDS
    tell: Callable[[str], None] = field(default=lambda line: None)
    stop: threading.Event = field(default_factory=threading.Event)


class PatientStorage(BaseStorage):
    """Optuna's storage on PostgreSQL, each call of it repeated until the database answers.

    A call that was cut off may have been carried out all the same. Setting a value twice does no harm. A
    trial is made under the study's lock alone, whose holder looks again at what is there.

    Args:
        backend: The storage.
        patience: How long is waited.

    Attributes:
        url: Of the database, with its password.
        patience: As given; to be replaced when a run begins.
    """

    def __init__(self, backend: RDBStorage, patience: Patience) -> None:
        self._backend, self._cached = backend, get_storage(backend)
        self.url: str = backend.url
        self.patience = patience
        self._suspects: dict[int, float] = {}  # silent trials by id, and when they were first seen to be
        self._looked = -math.inf
        self._away_since: float | None = None
        self._mood = threading.local()
        self._telling = threading.Lock()
        if backend_of(self.url) == POSTGRESQL:
            limit_silence(backend.engine, CONNECT_SECONDS, self.is_hurried)

    @property
    def in_haste(self) -> bool:
        """Whether this thread is told of an outage at once, see `hastily`."""
        return getattr(self._mood, "haste", 0) > 0

    def is_hurried(self) -> bool:
        """Whether this thread has other things to do than to wait for the database."""
        return self.in_haste or self.patience.stop.is_set()

    @contextmanager
    def hasty(self) -> Iterator[None]:
        """Within the block, calls of this thread are tried once."""
        self._mood.haste = getattr(self._mood, "haste", 0) + 1
        try:
            yield
        finally:
            self._mood.haste -= 1

    @contextmanager
    def fenced(self, check: Callable[[], None]) -> Iterator[None]:
        """Within the block, this thread makes and ends trials only after `check`, which raises or not."""
        before = getattr(self._mood, "check", None)
        self._mood.check = check
        try:
            yield
        finally:
            self._mood.check = before

    def _check_fence(self) -> None:
        check = getattr(self._mood, "check", None)
        if check is not None:
            check()

    def patiently(self, call: Callable[[], Result]) -> Result:
        """Make a call, again and again while the database is away.

        Raises:
            StorageAwayError: It was tried in haste, the patience is at its end, or the run is stopped.
        """
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                result = call()
            except Exception as error:
                raise_interruption(error)
                away = isinstance(error, StorageAwayError)
                if not away and not is_outage(error):
                    raise
                reason = str(error) if away else reason_of(error)
                if not isinstance(error, LockBusyError):
                    self._note_outage(reason)
                if self._is_over(began):
                    raise (error if away else StorageAwayError(reason)) from error
            else:
                self._note_answer()
                return result
            self.patience.stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _is_over(self, began: float) -> bool:
        waited = time.monotonic() - began
        return self.is_hurried() or waited > self.patience.seconds

    def _note_outage(self, reason: str) -> None:
        with self._telling:
            if self._away_since is not None:
                return
            self._away_since = time.monotonic()
            self._suspects = {}  # nobody could be heard meanwhile
        minutes = self.patience.seconds / 60
        self._tell(
            f"the database does not answer; training goes on, and it is tried again for {minutes:.0f} min: "
            f"{reason}"
        )

    def _note_answer(self) -> None:
        if self._away_since is None:
            return
        with self._telling:
            since, self._away_since = self._away_since, None
        if since is not None:
            self._tell(f"the database answers again after {time.monotonic() - since:.0f} s")

    def _tell(self, line: str) -> None:
        """Nobody is stopped by a terminal that is gone, or a log on a full disk."""
        with suppress(OSError, ValueError):
            self.patience.tell(line)

    def _call(self, method: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        return self.patiently(lambda: method(*args, **kwargs))

    # What follows is Optuna's interface, each method as it is there.

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.create_new_study, directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.delete_study, study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.set_study_system_attr, study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_study_id_from_name, study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_study_name_from_id, study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_study_directions, study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_study_user_attrs, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_study_system_attrs, study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_all_studies)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """See `optuna.storages.BaseStorage`."""
        self._check_fence()
        return self._call(self._cached.create_new_trial, study_id, template_trial)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.set_trial_param, trial_id, param_name, param_value_internal, distribution)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_trial_id_from_study_id_trial_number, study_id, trial_number)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See `optuna.storages.BaseStorage`; an end that was told twice, as its answer was lost, is one."""
        self._check_fence()
        attempts = 0

        def tell() -> bool:
            nonlocal attempts
            attempts += 1
            try:
                return self._cached.set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                told = self._cached.get_trial(trial_id)
                if attempts > 1 and (told.state, told.values) == (
                    state,
                    None if values is None else list(values),
                ):
                    return True
                raise

        return self.patiently(tell)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.set_trial_intermediate_value, trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.set_trial_user_attr, trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See `optuna.storages.BaseStorage`."""
        self._call(self._cached.set_trial_system_attr, trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See `optuna.storages.BaseStorage`."""
        return self._call(self._cached.get_trial, trial_id)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """See `optuna.storages.BaseStorage`."""
        with nullcontext() if states is None else self.wanting(states):
            return self._call(self._cached.get_all_trials, study_id, deepcopy, states)

    def wanting(self, states: Container[TrialState]) -> AbstractContextManager[None]:
        """Within the block, what is new of trials that have not ended is read for these states alone."""
        return self._backend.wanting(states) if isinstance(self._backend, RowStorage) else nullcontext()

    def remove_session(self) -> None:
        """See `optuna.storages.BaseStorage`; what the pool keeps open is closed as well."""
        self._cached.remove_session()
        self._backend.engine.dispose()

    # The sign of life of a trial; `Study.optimize`, which we do not use, is where Optuna gives one.

    def record_heartbeat(self, trial_id: int) -> None:
        """Note by the database's clock that the process of a trial lives."""
        self._call(self._backend.record_heartbeat, trial_id)

    def silent_trials(self, study_id: int, grace: float) -> set[int]:
        """The running trials of whose process nothing was heard for so many seconds, by id."""
        self._backend.heartbeat_interval, self._backend.grace_period = max(1, int(grace / BEATS)), int(grace)
        return set(self._call(self._backend._get_stale_trial_ids, study_id))

    def stale_trials(self, study_id: int, grace: float) -> set[int]:
        """The silent trials that stayed silent while we looked on for two beats: their processes are gone.

        After an outage, or when a machine or the database's own was suspended, all are silent at first. The
        living are heard within a beat. Whoever looks too seldom begins to look anew.
        """
        now = time.monotonic()
        earlier = self._suspects if now - self._looked <= grace else {}
        silent = self.silent_trials(study_id, grace)
        now = self._looked = time.monotonic()
        self._suspects = {trial: earlier.get(trial, now) for trial in silent}
        return {trial for trial, since in self._suspects.items() if now - since >= 2 * grace / BEATS}


def glance(study: optuna.Study, *wanted: TrialState) -> list[FrozenTrial]:
    """All trials of a study, of which those that have not ended may lack what was added since the last look.

    That spares every worker of a cluster to read again and again what all others do. States are those of now.

    Args:
        study: The study.
        wanted: Trials in these states lack nothing.
    """
    storage = study._storage
    with storage.wanting(wanted) if isinstance(storage, PatientStorage) else nullcontext():
        return study.get_trials(deepcopy=False)


@contextmanager
def hastily(storage: BaseStorage) -> Iterator[None]:
    """Within the block this thread is told at once when a database is away.

    A storage without a database between it and us is never away.

    Raises:
        StorageAwayError: It is away.
    """
    if isinstance(storage, PatientStorage):
        with storage.hasty():
            yield
    else:
        yield


def be_patient(storage: BaseStorage, patience: Patience) -> None:
    """Have a storage wait for its database from now on."""
    if isinstance(storage, PatientStorage):
        storage.patience = patience
