"""`radsearch doctor`: finds and mends what crashes, kills and outages left behind, wherever a study is kept.

Optuna's record is the truth: every finished fold and every ending is booked there first. What MLflow, the
dashboard's store and the home lack of it is made again from it; what they have beyond it is put aside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import BaseStorage
from pydantic import ValidationError

from data_prep.problems import InputError, nearest
from search.booking import exclusive
from search.doctor.checkup import Finding, Report
from search.doctor.leftovers import leftovers, remove
from search.doctor.lost_notes import lost_notes, write_note
from search.doctor.lost_pictures import Pictures
from search.doctor.lost_runs import runs_check
from search.doctor.lost_trials import check_hosts, rehearsal, take_up, unjudged
from search.home import Home
from search.journal import inspect_journal, mend_journal
from search.storage import all_studies, open_storage, open_to_read
from search.study_file import Study
from search.tracking_uri import check_uri

Tell = Callable[[str], None]


@dataclass(frozen=True)
class DoctorOptions:
    """What the command line says.

    Attributes:
        storage: URL of Optuna's storage; None for the journal in the home.
        tracking: MLflow's tracking URI; None for the database in the home.
        dry_run: Whether to say only what would be done.
        lost_hosts: Machines that will not come back.
    """

    storage: str | None = None
    tracking: str | None = None
    dry_run: bool = False
    lost_hosts: tuple[str, ...] = ()


def examine(home: Home, name: str | None, options: DoctorOptions, tell: Tell) -> Report:
    """Examine a home, and mend it unless that is not wanted.

    Args:
        home: The home; the journal, unfinished files and either one study or all are examined.
        name: The study; None for all.
        options: What the command line says.
        tell: Called with what is being looked at.

    Raises:
        InputError: There is no study of that name, an option is wrong, or the home cannot be written.
        StudyStoppedError: Storage or MLflow cannot be reached.
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
        storage = _open(home, options)
        for study in _chosen(storage, home, name):
            tell(f"study {study.study_name}")
            examine_study(study, home, options, report)
    return report


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
        StudyStoppedError: MLflow cannot be reached.
    """
    folder, name = home.study(opened.study_name), opened.study_name
    with ExitStack() as stack:
        study, lock = opened, folder.reaper_lock
        if options.dry_run:
            study, lock = stack.enter_context(rehearsal(opened))
        report.add(*take_up(study, lock, options.lost_hosts))
        report.notes += unjudged(study)
        definition = _definition(folder.definition)
        if definition is None:
            finding = Finding(name, "definition missing", str(folder.definition), "")
            report.add(finding.impossible("`radsearch run` writes it, MLflow's runs cannot be judged before"))
            return
        uri = options.tracking or home.tracking_uri
        check = stack.enter_context(runs_check(study, definition, home, uri, options.dry_run))
        if check.busy:
            keys = ", ".join(map(str, sorted(check.busy)))
            report.notes.append(
                f"{name}: let be, as somebody works on them or has a moment ago: trials {keys}"
            )
        check.deliver(report)
        pictures = Pictures(home, opened, definition, check.fetch)
        _mend_pictures(pictures, report)
        _mend_notes(opened, check.busy, report)
        check.agree(report, pictures)


def _definition(path: Path) -> Study | None:
    try:
        return Study.from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
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
