"""Opening the Optuna study behind a KerasTuner project: its storage, name, direction and sampler."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from search.sections import SearchSection
from search.storage import make_sampler

JOURNAL = "optuna.journal"  # in the project's folder
SAMPLERS = ("tpe", "random", "gp")

Direction = Literal["minimize", "maximize"]


def known_sampler(sampler: str | BaseSampler | None) -> str | BaseSampler:
    """The sampler asked for, "tpe" if none.

    Raises:
        ValueError: No sampler has that name.
    """
    if isinstance(sampler, str) and sampler not in SAMPLERS:
        raise ValueError(
            f"sampler: must be one of {', '.join(SAMPLERS)}, or an Optuna sampler, but got {sampler!r}"
        )
    return sampler or "tpe"


def direction_of(direction: str) -> Direction:
    """Optuna's word for the direction of a KerasTuner objective.

    Raises:
        ValueError: It is neither "min" nor "max"; KerasTuner lets that pass, and then finds no trial better.
    """
    if direction not in ("min", "max"):
        raise ValueError(f"objective: its direction must be 'min' or 'max', but got {direction!r}")
    return "minimize" if direction == "min" else "maximize"


def open_storage(given: str | Path | BaseStorage | None, project: str | None) -> BaseStorage:
    """Open the storage of a project.

    Args:
        given: A database URL, the path of a journal, an Optuna storage; None for the project's journal.
        project: The project's folder; None where there is none, and with no storage given nothing is kept.

    Raises:
        ValueError: A remote folder without a storage of its own, or a database that cannot be opened.
    """
    if isinstance(given, BaseStorage):
        return given
    if given is None:
        if project is None:
            return InMemoryStorage()
        if "://" in project:
            raise ValueError(f"storage: must be given where the project is remote, as {project} is")
        return JournalStorage(JournalFileBackend(str(Path(project) / JOURNAL)))
    if "://" not in str(given):
        return JournalStorage(JournalFileBackend(str(given)))
    try:
        # A connection may have been idle for as long as a trial trains.
        options = {} if str(given).startswith("sqlite") else {"pool_pre_ping": True}
        return RDBStorage(str(given), engine_kwargs=options)
    except Exception as error:  # SQLAlchemy and each database driver have roots of their own
        raise ValueError(f"storage: cannot be opened: {str(error).strip().partition(chr(10))[0]}") from error


def free_name(wanted: str, storage: BaseStorage) -> str:
    """The name of a new study: as wanted, or numbered where there is one."""
    taken = set(optuna.get_all_study_names(storage))
    numbered = itertools.chain([wanted], (f"{wanted}-{number}" for number in itertools.count(2)))
    return next(name for name in numbered if name not in taken)


def open_study(
    storage: BaseStorage, name: str, direction: Direction, sampler: str | BaseSampler, seed: int
) -> optuna.Study:
    """Create the study, or continue it.

    Raises:
        ValueError: A study of that name goes the other way.
        InputError: The sampler needs a library that is not installed.
    """
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction=direction,
        pruner=optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    if study.direction.name.lower() != direction:
        raise ValueError(
            f"study_name: the study {name!r} must {direction}, as the objective says, but it does the "
            "opposite; give another name"
        )
    if isinstance(sampler, str):
        # Seeded anew by what is there already: a continued search must not draw its first trials again.
        fresh = (seed + len(study.get_trials(deepcopy=False))) % 2**32
        sampler = make_sampler(SearchSection(sampler=sampler), 1, fresh)
    study.sampler = sampler
    return study
