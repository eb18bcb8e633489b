"""Trials whose process is gone: taken up again in Optuna, as far as it can be judged from here."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from data_prep.problems import InputError
from search.booking import reap, requeue, uncopied
from search.doctor.checkup import Finding
from search.owner import Owner
from search.study_lock import Lock
from search.unbooked import Place

OWNER_LOST = "owner lost"


@contextmanager
def rehearsal(study: optuna.Study) -> Iterator[tuple[optuna.Study, Path]]:
    """A copy of a study in memory, and a lock for it: whatever is done to it, the study stays as it is."""
    copies = InMemoryStorage()
    optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=copies)
    with TemporaryDirectory() as folder:
        yield optuna.load_study(study_name=study.study_name, storage=copies), Path(folder) / "lock"


def check_hosts(hosts: Collection[str]) -> None:
    """Refuse to write off this machine.

    Raises:
        InputError: This machine's own processes are looked up, and those that live go on.
    """
    if socket.gethostname() in hosts:
        raise InputError(
            f"--lost-host: another machine is needed, but got {socket.gethostname()!r}, which is this one: "
            "which of its processes live is known"
        )


def take_up(
    study: optuna.Study,
    lock: Lock,
    lost_hosts: Collection[str],
    book: Callable[[], Sequence[Place]] = tuple,
) -> list[Finding]:
    """Fail the running trials of dead owners and put copies in line; make the copies that are missing.

    Args:
        study: The study.
        lock: As in `search.booking.reap`.
        lost_hosts: Machines whose processes are all dead.
        book: Books what such owners had finished while the database was away, or says what it would.
    """
    unmade = [trial.number for trial in uncopied(study.get_trials(deepcopy=False))]
    booked = book()
    dead = reap(study, lock)
    for trial in _running_elsewhere(study):
        if _host(trial) in lost_hosts:
            requeue(study, trial, OWNER_LOST, lock)
            dead.append(trial.number)
    trials, name = study.get_trials(deepcopy=False), study.study_name
    copies = {trial.user_attrs.get("retry_of"): trial.number for trial in trials}
    findings = [
        Finding(name, "copy missing", f"trial {number}", f"put in line again as trial {copies.get(number)}")
        for number in unmade
    ]
    findings += [
        Finding(name, "fold not booked", f"fold {split} of trial {number}", "booked")
        for number, split in booked
    ]
    for number in dead:
        after = f"taken up again as trial {copies[number]}" if number in copies else "lost too often to go on"
        where = f" on {_host(trials[number])}" if _host(trials[number]) else ""
        told = f"failed, as its process{where} is gone; {after}"
        findings.append(Finding(name, "owner dead", f"trial {number}", told))
    return findings


def unjudged(study: optuna.Study) -> list[str]:
    """Running trials of other machines, whose processes nobody here can look up; a line each."""
    return [
        f"{study.study_name}: trial {trial.number} runs on {_host(trial)}, which cannot be judged from here; "
        f"should that machine be lost: --lost-host {_host(trial)}"
        for trial in _running_elsewhere(study)
    ]


def _running_elsewhere(study: optuna.Study) -> list[FrozenTrial]:
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return [trial for trial in running if _host(trial) not in ("", socket.gethostname())]


def _host(trial: FrozenTrial) -> str:
    owner = trial.user_attrs.get("owner")
    return Owner.parse(owner).host if owner else ""
