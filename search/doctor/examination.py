"""`radsearch doctor`: finds and mends what crashes, kills and outages left behind, wherever a study is kept.

Optuna's record is the truth: every finished fold and every ending is booked there first. What MLflow, the
dashboard's store and the home lack of it is made again from it; what they have beyond it is put aside.
"""

from __future__ import annotations

import fcntl
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import BaseStorage

from data_prep.problems import InputError, nearest
from search.doctor.checkup import Finding, Report
from search.doctor.leftovers import leftovers, remove
from search.doctor.lost_notes import lost_notes, write_note
from search.doctor.lost_pictures import Pictures
from search.doctor.lost_runs import runs_check
from search.doctor.lost_trials import check_hosts, rehearsal, take_up, unjudged
from search.errors import StudyStoppedError
from search.facts import StudyFacts
from search.home import Home, StudyFolder
from search.journal import inspect_journal, mend_journal
from search.opening import study_id
from search.storage import all_studies, open_storage, open_to_read, storage_told
from search.study_file import Study
from search.study_lock import Lock, exclusive, lock_of
from search.tracking_uri import check_uri
from search.unbooked import Place, adopt, foresee

Tell = Callable[[str], None]

TURN_SECONDS = 0.2  # between two looks whether another doctor is done


@dataclass(frozen=True)
class DoctorOptions:
    """What the command line says.

    Attributes:
        storage: URL of Optuna's storage; None for the journal in the home.
        tracking: MLflow's tracking URI; None for the database in the home.
        dry_run: Whether to say only what would be done.
        lost_hosts: Machines that will not come back.
        patience: Seconds after which waiting for MLflow, or for another doctor, ends a study's examination;
            None to wait for as long as MLflow answers.
    """

    storage: str | None = None
    tracking: str | None = None
    dry_run: bool = False
    lost_hosts: tuple[str, ...] = ()
    patience: float | None = None


def examine(home: Home, name: str | None, options: DoctorOptions, tell: Tell) -> Report:
    """Examine a home, and mend it unless that is not wanted.

    A study that cannot be examined, as storage or MLflow is gone, is a finding, and the others follow.

    Args:
        home: The home; the journal, unfinished files and either one study or all are examined.
        name: The study; None for all.
        options: What the command line says.
        tell: Called with what is being looked at.

    Raises:
        InputError: There is no study of that name, an option is wrong, or the home cannot be written.
        StudyStoppedError: There is no space left.
        OSError: The home cannot be read or written.
    """
    check_hosts(options.lost_hosts)
    check_uri(options.tracking or home.tracking_uri)
    if not options.dry_run:
        home.check_writable(name)
    report = Report(str(home.root), options.dry_run)
    with _alone(home, options):
        tell("the journal and unfinished files")
        if options.storage is None:
            _journal(home, report)
        _leftovers(home, report)
        for study in _studies(home, name, options, report):
            tell(f"study {study.study_name}")
            try:
                with storage_told():
                    examine_study(study, home, options, report)
            except StudyStoppedError as error:
                report.not_examined(study.study_name, "the study", str(error))
    return report


def _studies(home: Home, name: str | None, options: DoctorOptions, report: Report) -> list[optuna.Study]:
    try:
        with storage_told():
            return _chosen(_open(home, options), home, name)
    except StudyStoppedError as error:
        report.not_examined("", "the studies", str(error))
        return []


@contextmanager
def _alone(home: Home, options: DoctorOptions) -> Iterator[None]:
    """One doctor at a time; one that only looks, and where there is nothing to look at, locks nothing."""
    with ExitStack() as stack:
        if not options.dry_run and home.root.is_dir():
            stack.enter_context(exclusive(home.root / "doctor.lock"))
        yield


def _open(home: Home, options: DoctorOptions) -> BaseStorage | None:
    """The storage, opened to be written only where there is one and that is wanted."""
    readable = open_to_read(options.storage, home)
    return readable if readable is None or options.dry_run else open_storage(options.storage, home)


def _chosen(storage: BaseStorage | None, home: Home, name: str | None) -> list[optuna.Study]:
    studies = {study.study_name: study for study in all_studies(storage)} if storage else {}
    if name is None:
        return list(studies.values())
    if name not in studies:
        raise InputError(f"STUDY: no study {name!r} in {home.root}; {nearest(name, studies)}")
    return [studies[name]]


def _journal(home: Home, report: Report) -> None:
    found = inspect_journal(home.journal)
    if report.dry_run:
        report.add(*(Finding("", "journal torn", text, "blanked, and kept beside it") for text in found))
        return
    done = mend_journal(home.journal) if found else []
    for text in done:
        report.add(Finding("", "journal torn", *_split(text)))
    for text in inspect_journal(home.journal) if found else ():
        report.add(Finding("", "journal spoilt", text, "").impossible("see there"))


def _split(text: str) -> tuple[str, str]:
    """What was found, and what was done about it."""
    found, _, done = text.rpartition(": ")
    return found, done


def _leftovers(home: Home, report: Report) -> None:
    for path in list(leftovers(home)):
        report.add(Finding("", "unfinished file", str(path.relative_to(home.root)), "removed"))
        if not report.dry_run:
            remove(path)


def examine_study(opened: optuna.Study, home: Home, options: DoctorOptions, report: Report) -> None:
    """Examine one study, and mend it unless that is not wanted.

    Optuna comes first, as all else is compared with it.

    Args:
        opened: The study.
        home: Where its files lie.
        options: What the command line says.
        report: Gets the findings.

    Raises:
        StudyStoppedError: MLflow cannot be reached, or `patience` is at its end.
    """
    folder, name = home.study(opened.study_name), opened.study_name
    with ExitStack() as stack:
        if not options.dry_run:
            stack.enter_context(_in_turn(folder.root / "doctor.lock", options.patience))
        began = time.time_ns() // 1_000_000
        study: optuna.Study = opened
        lock: Lock = lock_of(opened._storage, folder)
        if options.dry_run:
            study, lock = stack.enter_context(rehearsal(opened))
        if not _is_understood(study, report):
            return
        report.add(
            *take_up(study, lock, options.lost_hosts, partial(_unbooked, study, folder, lock, options))
        )
        report.notes += unjudged(study)
        definition = _definition(folder.definition)
        if definition is None:
            finding = Finding(name, "definition missing", str(folder.definition), "")
            report.add(finding.impossible("`radsearch run` writes it, MLflow's runs cannot be judged before"))
            return
        uri = options.tracking or home.tracking_uri
        check = stack.enter_context(
            runs_check(study, definition, home, uri, options.dry_run, began, options.patience)
        )
        if busy := check.busy:
            keys = ", ".join(map(str, sorted(busy)))
            report.notes.append(
                f"{name}: let be, as somebody works on them or has a moment ago: trials {keys}"
            )
        check.deliver(report)
        pictures = Pictures(home, opened, definition, check.fetch)
        _mend_pictures(pictures, report)
        _mend_notes(opened, check.busy, report)
        check.agree(report, pictures)


def _unbooked(
    study: optuna.Study, folder: StudyFolder, lock: Lock, options: DoctorOptions
) -> Sequence[Place]:
    """Book what was finished while the database was away; in a dry run, where that would be booked."""
    if options.dry_run:
        return foresee(study, folder.unbooked)
    return adopt(study, folder.unbooked, lock, lambda key, fold: None)  # MLflow is compared afterwards


@contextmanager
def _in_turn(lock: Path, patience: float | None) -> Iterator[None]:
    """One at a time mends a study: a doctor, or a run that begins."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + (math.inf if patience is None else patience)
    with lock.open("a") as handle:
        while not _is_locked(handle):
            if time.monotonic() > until:
                raise StudyStoppedError(f"another process mends the study, and has for {patience:g} s")
            time.sleep(TURN_SECONDS)
        yield


def _is_locked(handle: IO[str]) -> bool:
    """Take a lock, if nobody else has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_understood(study: optuna.Study, report: Report) -> bool:
    """Whether the study's own record can be read; what another version wrote is left as it is."""
    try:
        study_id(study)
        StudyFacts.of(study)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        finding = Finding(study.study_name, "record not understood", "the study in Optuna", "")
        what = f"{type(error).__name__}: {error}"
        report.add(finding.impossible(f"another version of radsearch wrote it ({what})"))
        return False
    return True


def _definition(path: Path) -> Study | None:
    try:
        return Study.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # no such file, no UTF-8, or another version's
        return None


def _mend_pictures(pictures: Pictures, report: Report) -> None:
    for trial, meta in pictures.missing():
        where = f"{meta.filename} of trial {trial.number} on the dashboard"
        finding = Finding(pictures.study.study_name, "picture missing", where, "put back")
        try:
            if not report.dry_run:
                pictures.put_back(trial, meta)
        except LookupError as error:
            finding = finding.impossible(str(error.args[0]))
        report.add(finding)


def _mend_notes(study: optuna.Study, busy: Collection[int], report: Report) -> None:
    for trial in lost_notes(study, busy):
        report.add(Finding(study.study_name, "note missing", f"trial {trial.number}", "written again"))
        if not report.dry_run:
            write_note(study, trial)
