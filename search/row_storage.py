"""Optuna's storage on a database, its trials read as plain rows.

Optuna builds an object of every value of every trial: at 10,000 trials half a minute and a GB. It also reads
all that is known of each running trial whenever anybody lists trials; of 200 workers each would read what 199
others do, again and again. Here a reader says which trials it wants to know everything of.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Row
from sqlalchemy.exc import SQLAlchemyError

from search.database import UnansweredError

AT_ONCE = 500  # trials whose rows are in memory at once


class RowStorage(RDBStorage):
    """The storage; only how it reads differs from Optuna's, whose results it gives."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._wish = threading.local()
        self._making = threading.local()
        self._unfinished: dict[int, TrialState] = {}  # trials that were read before they had ended, by id

    @contextmanager
    def wanting(self, states: Container[TrialState]) -> Iterator[None]:
        """Within the block this thread needs to know everything of trials in these states alone.

        Others that have not ended stay as they were when they were last read, but for their states.
        """
        before = getattr(self._wish, "states", None)
        self._wish.states = states
        try:
            yield
        finally:
            self._wish.states = before

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """Make a trial, once: where the answer is lost, Optuna would make another, and again.

        Raises:
            UnansweredError: The database went away; the trial may be there.
        """
        self._making.attempts = 0
        return super()._create_new_trial(study_id, template_trial)

    def _get_prepared_new_trial(self, *args: Any, **kwargs: Any) -> models.TrialModel:
        self._making.attempts += 1
        if self._making.attempts > 1:
            raise UnansweredError("the connection was lost while a trial was made")
        return super()._get_prepared_new_trial(*args, **kwargs)

    def get_all_studies(self) -> list[FrozenStudy]:
        """See `optuna.storages.BaseStorage`; the notes of all trials are among the attributes."""
        study, direction = models.StudyModel, models.StudyDirectionModel
        user, system = models.StudyUserAttributeModel, models.StudySystemAttributeModel
        with self._connection() as connection:
            names = connection.execute(
                sqlalchemy.select(study.study_id, study.study_name).order_by(study.study_id)
            ).all()
            ids = [row.study_id for row in names]
            directions = _rows(
                connection, direction.study_id, ids, direction.direction, by=direction.objective
            )
            users = _rows(connection, user.study_id, ids, user.key, user.value_json)
            systems = _rows(connection, system.study_id, ids, system.key, system.value_json)
        return [
            FrozenStudy(
                study_name=name,
                direction=None,
                directions=[row.direction for row in directions[study_id]],
                user_attrs={key: json.loads(text) for _, key, text in users[study_id]},
                system_attrs={key: json.loads(text) for _, key, text in systems[study_id]},
                study_id=study_id,
            )
            for study_id, name in names
        ]

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See `optuna.storages.BaseStorage`."""
        attribute = models.StudySystemAttributeModel
        with self._connection() as connection:
            rows = _rows(connection, attribute.study_id, [study_id], attribute.key, attribute.value_json)
            if not rows:
                _check_study(connection, study_id)
        return {key: json.loads(text) for _, key, text in rows[study_id]}

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See `optuna.storages.BaseStorage`."""
        with self._connection() as connection:
            heads = _heads(connection, models.TrialModel.trial_id == trial_id)
            if not heads:
                raise KeyError(f"there is no trial of id {trial_id}")
            return _trials(connection, heads)[0]

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """What Optuna's cache asks for: what has ended since, and all that has not."""
        trial, wanted = models.TrialModel, getattr(self._wish, "states", None)
        earlier = [i for i in included_trial_ids if i <= trial_id_greater_than]
        which = sqlalchemy.or_(trial.trial_id > trial_id_greater_than, trial.trial_id.in_(earlier))
        with self._connection() as connection:
            heads = _heads(connection, sqlalchemy.and_(trial.study_id == study_id, which))
            if not heads:
                _check_study(connection, study_id)
            if states is not None:
                heads = [head for head in heads if head.state in states]
            if wanted is not None:
                heads = [h for h in heads if h.state in wanted or self._unfinished.get(h.trial_id) != h.state]
            found = [
                trial
                for first in range(0, len(heads), AT_ONCE)
                for trial in _trials(connection, heads[first : first + AT_ONCE])
            ]
        self._unfinished |= {t._trial_id: t.state for t in found}
        for frozen in found:
            if frozen.state.is_finished():
                self._unfinished.pop(frozen._trial_id, None)
        return found

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """The running trials of whose process nothing was heard for `grace_period` seconds."""
        trial, beat = models.TrialModel, models.TrialHeartbeatModel
        silence = sqlalchemy.func.current_timestamp() - beat.heartbeat
        stale = (
            sqlalchemy.select(trial.trial_id)
            .join(beat, beat.trial_id == trial.trial_id)
            .where(trial.study_id == study_id, trial.state == TrialState.RUNNING)
            .where(silence > timedelta(seconds=self.grace_period or 0))
        )
        with self._connection() as connection:
            return list(connection.scalars(stale))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A connection to read from; errors are those of Optuna's other calls."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StorageInternalError("trials cannot be read") from error


def _heads(connection: Connection, which: Any) -> Sequence[Row[Any]]:
    """The table of trials alone, in order."""
    table = models.TrialModel.__table__.c  # the class has other names for two of the columns
    columns = table.trial_id, table.number, table.state, table.datetime_start, table.datetime_complete
    query: sqlalchemy.Select[Any] = sqlalchemy.select(*columns).where(which).order_by(table.trial_id)
    return connection.execute(query).all()


def _check_study(connection: Connection, study_id: int) -> None:
    study = models.StudyModel
    if connection.scalar(sqlalchemy.select(study.study_id).where(study.study_id == study_id)) is None:
        raise KeyError(f"there is no study of id {study_id}")


def _trials(connection: Connection, heads: Sequence[Row[Any]]) -> list[FrozenTrial]:
    """Trials with all that belongs to them.

    What has ended changes no more: as the states were read before, such a trial is complete.
    """
    ids = [head.trial_id for head in heads]
    param, value, step = models.TrialParamModel, models.TrialValueModel, models.TrialIntermediateValueModel
    user, system = models.TrialUserAttributeModel, models.TrialSystemAttributeModel
    sampled = param.param_name, param.param_value, param.distribution_json
    params = _rows(connection, param.trial_id, ids, *sampled, by=param.param_id)
    values = _rows(connection, value.trial_id, ids, value.value, value.value_type, by=value.objective)
    reported = step.step, step.intermediate_value, step.intermediate_value_type
    steps = _rows(connection, step.trial_id, ids, *reported, by=step.step)
    users = _rows(connection, user.trial_id, ids, user.key, user.value_json)
    systems = _rows(connection, system.trial_id, ids, system.key, system.value_json)
    return [
        FrozenTrial(
            number=head.number,
            state=head.state,
            value=None,
            values=[value.stored_repr_to_value(*row[1:]) for row in values[head.trial_id]] or None,
            datetime_start=_local(head.datetime_start),
            datetime_complete=_local(head.datetime_complete),
            params={r[1]: _distribution(r[3]).to_external_repr(r[2]) for r in params[head.trial_id]},
            distributions={r[1]: _distribution(r[3]) for r in params[head.trial_id]},
            user_attrs={key: json.loads(text) for _, key, text in users[head.trial_id]},
            system_attrs={key: json.loads(text) for _, key, text in systems[head.trial_id]},
            intermediate_values={
                r[1]: step.stored_repr_to_intermediate_value(*r[2:]) for r in steps[head.trial_id]
            },
            trial_id=head.trial_id,
        )
        for head in heads
    ]


def _rows(
    connection: Connection, owner: Any, ids: Sequence[int], *columns: Any, by: Any = None
) -> Mapping[int, list[Any]]:
    """Rows of a table by the trial or study that they belong to.

    Args:
        connection: To the database.
        owner: The column that names what a row belongs to; each row begins with it.
        ids: Of whom.
        columns: What follows.
        by: The column that gives the order.
    """
    query = sqlalchemy.select(owner, *columns).where(owner.in_(ids))
    rows: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query if by is None else query.order_by(by)):
        rows[row[0]].append(row)
    return rows


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """A distribution, of which a study has few; nobody changes one."""
    return json_to_distribution(text)


def _local(moment: datetime | None) -> datetime | None:
    """A moment as Optuna gives it: of this machine's time zone, without saying so."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
