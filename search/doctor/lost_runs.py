"""A study's runs in MLflow brought in line with Optuna's record: what waits is delivered, all compared."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.booking import UNOWNED_SECONDS, key_of
from search.delivery import Outage, Rejected
from search.doctor.agreement import differences
from search.doctor.checkup import Finding, Report
from search.doctor.expected import Records
from search.doctor.lost_pictures import Pictures
from search.doctor.mending import Difference, Tools
from search.doctor.outbox import Outbox, look, spool_files, try_again
from search.doctor.run_keys import Scope, subject_of
from search.errors import StudyStoppedError
from search.facts import StudyFacts
from search.home import Home
from search.ledger import FoundRun
from search.links import is_server
from search.mlflow_store.runs import MlflowRuns, MlflowSink
from search.opening import study_id
from search.pseudonyms import Names, read_names
from search.publishing import trial_key
from search.run_ids import RunIds
from search.spool import Event
from search.sqlite_files import untouched
from search.study_file import Study
from search.tracking import Tracker
from search.tracking_uri import without_password

ROUNDS = 4  # a run that is published again may leave another below the wrong parent, and so on: three levels
CUT_OFF_SECONDS = 10.0  # how long MLflow may be gone before mending gives up; a busy SQLite file comes back

Identity: TypeAlias = tuple[str, str]  # of a difference: its problem and subject


@dataclass(frozen=True)
class Door:
    """The ways to a study's runs.

    Attributes:
        run_ids: Which run was noted for which key.
        shelf: What MLflow holds; None where it holds nothing, not even a database.
        sink: Delivers one event at once; None in a dry run.
        tracker: Delivers in the background; None in a dry run.
        ours: The spool file of our own tracker.
    """

    run_ids: RunIds
    shelf: MlflowRuns | None
    sink: MlflowSink | None
    tracker: Tracker | None
    ours: frozenset[Path] = frozenset()


class RunsCheck:
    """Examines the runs of one study.

    Args:
        study: The study in Optuna, trials of dead processes failed already.
        definition: Its settings.
        home: Where its files lie.
        door: The ways to MLflow.
        outbox: What waited to be delivered before anything was done.
        began: When the examination began, in milliseconds since 1970.
        patience: Seconds after which it no longer waits for delivery.
    """

    def __init__(
        self,
        study: optuna.Study,
        definition: Study,
        home: Home,
        door: Door,
        outbox: Outbox,
        began: int,
        patience: float = math.inf,
    ) -> None:
        self._study, self._definition, self._home = study, definition, home
        self._door, self._outbox, self._began = door, outbox, began
        self._folder = home.study(study.study_name)
        self._patience, self._deadline = patience, time.monotonic() + patience
        self._splits = StudyFacts.of(study).splits

    @property
    def busy(self) -> Collection[int]:
        """The keys of trials that a process works on now."""
        return self._scope(self._look()).busy

    def _look(self) -> Outbox:
        """The spool as it is now, as far as it tells of others; our courier opens the files of the dead."""
        return look(self._folder.spool, self._door.ours | self._outbox.dead)

    def _scope(self, *seen: Outbox) -> Scope:
        """What is compared, by Optuna's record as it is now and the looks at the spool before."""
        trials = self._study.get_trials(deepcopy=False)
        running = {key_of(trial) for trial in trials if trial.state == TrialState.RUNNING}
        live = bool(running) or any(outbox.live for outbox in seen)
        told = {key_of(trial) for trial in trials if live and _is_fresh(trial)}
        keys = frozenset[str]().union(*(outbox.pending for outbox in seen))
        pending = {key_of(trial) for trial in trials if _names(keys, key_of(trial))}
        known, busy = frozenset(map(key_of, trials)), frozenset(running | told | pending)
        return Scope(known, self._splits, busy, live, self._began)

    def deliver(self, report: Report) -> None:
        """Deliver what dead processes left."""
        name = self._study.study_name
        if self._door.shelf is not None and self._door.shelf.is_binned():
            report.add(Finding(name, "experiment deleted", "the experiment", "taken out of MLflow's bin"))
        if self._door.sink is not None:
            self._door.sink.connect()
        if self._outbox.waiting:
            told = f"{self._outbox.waiting} events delivered"
            report.add(Finding(name, "events undelivered", "spool of dead processes", told))
        self._flush()

    def agree(self, report: Report, pictures: Pictures) -> None:
        """Mend every run, then try once more what MLflow refused: its run may be there now."""
        found = self._compare(pictures)
        if self._door.sink is None:
            refused = [self._refused(event, None) for event, _ in self._outbox.refused]
        else:
            outcomes = try_again(self._folder.spool, self._door.sink)
            refused = [self._refused(event, reason) for event, reason in outcomes]
            if outcomes:
                found |= self._compare(pictures)
        report.add(*found.values(), *refused)

    def _refused(self, event: Event, reason: str | None) -> Finding:
        subject = f"{event.get('op')} of {subject_of(str(event.get('key')))}"
        told = f"tried again and refused again ({reason}), kept in refused.jsonl" if reason else "delivered"
        return Finding(self._study.study_name, "event refused", subject, told)

    def _compare(self, pictures: Pictures) -> dict[Identity, Finding]:
        """Compare, mend, and compare again until nothing differs that mending helps."""
        tried: dict[Identity, Finding] = {}
        for _ in range(ROUNDS):
            items, scope = self._differences()
            fresh = [item for item in items if _identity(item) not in tried]
            for item in fresh:
                if self._has_company(scope):
                    break  # what was compared is out of date
                tried[_identity(item)] = self._mended(item, pictures)
            if self._door.tracker is None:
                return tried
            self._flush()
            if not fresh:
                break
        left = set(map(_identity, self._differences()[0])) if tried else set()
        return {
            identity: finding.not_done if identity in left else finding for identity, finding in tried.items()
        }

    def fetch(self, key: int, name: str, folder: Path) -> Path:
        """Copy an artifact of a trial's run into a folder.

        Raises:
            LookupError: MLflow has none.
        """
        noted = self._door.run_ids.get(trial_key(key))
        if noted is not None and self._door.shelf is not None:
            with suppress(Rejected, Outage):
                return self._door.shelf.fetch(noted, name, folder)
        raise LookupError(f"MLflow has no {name} of trial {key}")

    def _has_company(self, scope: Scope) -> bool:
        """Whether somebody has begun to work on the study since it was compared."""
        return self._door.tracker is not None and not scope.live and self._look().live

    def _differences(self) -> tuple[list[Difference], Scope]:
        """MLflow is read before Optuna: the trial of every run is known then, or its process seen to live."""
        before, found = self._look(), self._found()
        scope = self._scope(before, self._look())
        names = _names_of(self._study, self._definition, self._home)
        records = Records(self._study, self._definition, names, self._folder)
        expected = records.runs(scope.busy, not scope.live)
        return list(differences(expected, found, scope, self._door.shelf, self._door.run_ids)), scope

    def _found(self) -> list[FoundRun]:
        if self._door.shelf is None:
            return []
        found = self._door.shelf.all()
        if self._door.shelf.is_binned():  # its runs come out of the bin together with it
            return [replace(run, deleted=False) for run in found]
        return found

    def _mended(self, item: Difference, pictures: Pictures) -> Finding:
        finding = Finding(self._study.study_name, item.problem, item.subject, item.action)
        if self._door.tracker is None or self._door.shelf is None:
            return finding
        try:
            item.mend(Tools(self._door.tracker, self._door.shelf, self._door.run_ids, pictures.bring))
        except LookupError as error:
            return finding.impossible(str(error.args[0]))
        except Rejected as verdict:
            return finding.impossible(str(verdict))
        return finding

    def _flush(self) -> None:
        """Wait until everything is delivered.

        Raises:
            Outage: MLflow does not answer, or takes too long; what is left waits in the spool.
        """
        if self._door.tracker is None:
            return
        answered = time.monotonic()
        while left := self._door.tracker.flush(0.5):
            if not self._door.tracker.is_cut_off:
                answered = time.monotonic()
            elif time.monotonic() - answered > CUT_OFF_SECONDS:
                raise Outage(f"it does not answer any more; {left} events wait in the home")
            if time.monotonic() > self._deadline:
                raise Outage(f"after {self._patience:g} s {left} events still wait in the home")


def _identity(item: Difference) -> Identity:
    return item.problem, item.subject


@contextmanager
def runs_check(
    study: optuna.Study,
    definition: Study,
    home: Home,
    uri: str,
    dry_run: bool,
    began: int,
    patience: float | None = None,
) -> Iterator[RunsCheck]:
    """Open the ways to MLflow for one study.

    Args:
        study: The study in Optuna.
        definition: Its settings.
        home: Where its files lie.
        uri: MLflow's tracking URI.
        dry_run: Whether nothing is to be written.
        began: When the examination began, in milliseconds since 1970: before the study was read.
        patience: Seconds after which it no longer waits for delivery; None for as long as MLflow answers.

    Raises:
        StudyStoppedError: MLflow cannot be reached.
    """
    spool = home.study(definition.name).spool
    outbox = look(spool)
    with ExitStack() as stack:
        try:
            door = stack.enter_context(_door(study, home, uri, dry_run, spool))
            longest = math.inf if patience is None else patience
            yield RunsCheck(study, definition, home, door, outbox, began, longest)
        except (Outage, Rejected) as trouble:
            raise StudyStoppedError(f"MLflow at {without_password(uri)}: {trouble}") from trouble


@contextmanager
def _door(study: optuna.Study, home: Home, uri: str, dry_run: bool, spool: Path) -> Iterator[Door]:
    name, identity = study.study_name, study_id(study)
    run_ids = RunIds(spool, uri, name)
    if dry_run:
        with untouched(uri) as readable:
            shelf = MlflowRuns(readable, name, identity) if readable else None
            yield Door(run_ids, shelf, None, None)
        return
    artifacts = None if is_server(uri) else home.tracking_artifacts
    sink = MlflowSink(uri, artifacts, name, run_ids, identity)
    before = spool_files(spool)
    tracker = Tracker(uri, artifacts, spool, name, identity)
    own = f"{socket.gethostname()}-{os.getpid()}-"
    ours = {path for path in spool_files(spool) if path.name.startswith(own)}.difference(before)
    try:
        yield Door(run_ids, MlflowRuns(uri, name, identity), sink, tracker, frozenset(ours))
    finally:
        tracker.close(0)


def _names_of(study: optuna.Study, definition: Study, home: Home) -> Names:
    """What is on this machine's list of pseudonyms; they count where there is none."""
    with suppress(OSError, ValueError):
        return read_names(home.study(definition.name).pseudonyms, definition.tracking.identifiers)
    return StudyFacts.of(study).pseudonyms


def _is_fresh(trial: FrozenTrial) -> bool:
    """Whether a living process may not have said yet how the trial ended."""
    ended = trial.datetime_complete
    return ended is not None and (
        (datetime.now(UTC) - ended.astimezone(UTC)).total_seconds() < UNOWNED_SECONDS
    )


def _names(keys: frozenset[str], key: int) -> bool:
    run = trial_key(key)
    return any(name == run or name.startswith(f"{run}/") for name in keys)
