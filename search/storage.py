"""Opening Optuna's storage, sampler and pruner, each named and seeded; nothing here is left to a default."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage
from sqlalchemy.exc import SQLAlchemyError

from data_prep.problems import InputError
from search.database import (
    SQLITE,
    backend_of,
    engine_options,
    first_line,
    making_tables,
    raise_interruption,
    reason_of,
    stopped_by,
)
from search.errors import BeyondWaitingError
from search.home import Home
from search.journal import Journal, ReadOnlyJournal, StudyRecords, open_journal
from search.patient import Patience, PatientStorage
from search.pruner import PairedParticipantPruner
from search.row_storage import RowStorage
from search.sections import SearchSection

STARTUP_TRIALS = 10  # random trials before TPE models anything; Optuna's own default

logging.getLogger("optuna").setLevel(logging.WARNING)
# What a database that goes away makes it say, `search.patient` says once.
logging.getLogger("optuna.storages._rdb").setLevel(logging.ERROR)
# Multivariate TPE, its constant liar and metric names have been "experimental" since Optuna 2 and 3.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def check_url(url: str | None, slots: int) -> None:
    """Refuse a storage that cannot serve so many slots.

    Raises:
        InputError: SQLite with several slots: it hands the same trial to two of them.
    """
    if url is not None and backend_of(url) == SQLITE and slots > 1:
        raise InputError(
            f"--storage: SQLite serves one slot (it hands trials out twice), but got {slots} workers"
        )


def open_storage(url: str | None, home: Home) -> BaseStorage:
    """Open the storage of trials, made where there is none.

    Args:
        url: A database URL; None for the journal in the home.
        home: Where the journal lies.

    Raises:
        StudyStoppedError: The storage cannot be opened.
        OSError: The journal cannot be made or written.
    """
    if url is None:
        return _read(open_journal(home.journal))
    return _connect(url)


def open_to_read(url: str | None, home: Home) -> BaseStorage | None:
    """Open the storage of trials to look at it: nothing is written, and None where there is none.

    Args:
        url: A database URL; None for the journal in the home.
        home: Where the journal lies.

    Raises:
        StudyStoppedError: The storage cannot be opened.
        OSError: The journal cannot be read.
    """
    if url is None:
        return _read(ReadOnlyJournal(home.journal)) if home.journal.exists() else None
    return _connect(url, make_tables=False) if _has_tables(url) else None


def _read(journal: Journal) -> BaseStorage:
    """Optuna's storage over a journal, which it reads at once."""
    try:
        return JournalStorage(journal)
    except (KeyError, ValueError, TypeError, AttributeError, AssertionError) as error:
        what = f"{type(error).__name__}: {first_line(error)}"
        raise BeyondWaitingError(f"{journal.path}: its records cannot be followed ({what})") from error


def _connect(url: str, make_tables: bool = True) -> BaseStorage:
    options = engine_options(url)
    try:
        with making_tables(url) if make_tables else nullcontext():
            storage = RowStorage(url, engine_kwargs=options, skip_table_creation=not make_tables)
    except Exception as error:  # SQLAlchemy and each database driver have roots of their own
        raise_interruption(error)
        raise stopped_by(error, f"--storage: cannot be opened: {first_line(error)}") from error
    # Whoever only looks, or has not begun, is told at once that the database is away.
    return storage if backend_of(url) == SQLITE else PatientStorage(storage, Patience(0.0))


def _has_tables(url: str) -> bool:
    """Whether a database holds Optuna's tables; SQLite would make a file by looking for it."""
    backend = backend_of(url)
    try:
        if backend == SQLITE and not Path(sqlalchemy.make_url(url).database or "").is_file():
            return False
        engine = sqlalchemy.create_engine(url, **engine_options(url))
        try:
            return sqlalchemy.inspect(engine).has_table("version_info")
        finally:
            engine.dispose()
    except Exception as error:
        raise_interruption(error)
        raise stopped_by(error, f"--storage: cannot be opened: {first_line(error)}") from error


@contextmanager
def storage_told() -> Iterator[None]:
    """Have a database that fails within the block stop the study, with the database's own words for it.

    Raises:
        StudyStoppedError: Its connection is lost, its disk is full, or it refuses.
    """
    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        raise_interruption(error)
        raise stopped_by(error, f"--storage: {reason_of(error)}. What is finished is kept") from error


def is_known(name: str, url: str | None, home: Home) -> bool:
    """Whether a study of that name exists; looking makes no files, and reads no trials."""
    if url is not None:
        storage = open_to_read(url, home)
    else:
        storage = JournalStorage(StudyRecords(home.journal)) if home.journal.exists() else None
    try:
        return storage is not None and "identity" in storage.get_study_user_attrs(
            storage.get_study_id_from_name(name)
        )
    except KeyError:
        return False
    finally:
        if storage is not None:
            storage.remove_session()  # a worker is to keep one connection open, not two


def all_studies(storage: BaseStorage) -> list[optuna.Study]:
    """Every study of a storage that was completely created, by name."""
    studies = [
        optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)
    ]
    return sorted((s for s in studies if "identity" in s.user_attrs), key=lambda study: study.study_name)


def make_sampler(search: SearchSection, slots: int, seed: int) -> BaseSampler:
    """The sampler of one trial.

    Args:
        search: Names the sampler.
        slots: How many slots ask at once.
        seed: Of what it draws.

    Raises:
        InputError: The sampler needs a library that is not installed.
    """
    if search.sampler == "random":
        return RandomSampler(seed=seed)
    startup = max(STARTUP_TRIALS, 2 * slots)
    if search.sampler == "gp":
        if importlib.util.find_spec("torch") is None:
            raise InputError("search.sampler: 'gp' needs PyTorch, which is not installed: pip install torch")
        return GPSampler(seed=seed, n_startup_trials=startup)
    return TPESampler(
        seed=seed,
        multivariate=True,
        constant_liar=True,
        n_startup_trials=startup,
    )


def make_pruner(search: SearchSection) -> optuna.pruners.BasePruner:
    """The pruner; always named, as Optuna's `None` is a median pruner.

    "paired" serves studies of any length: it waits for a few complete trials, and replayed searches of 5 to
    40 trials selected as well with it as without (`benchmarks/search_time.py`).
    """
    if search.pruner == "paired":
        return PairedParticipantPruner(search.metric)
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    return optuna.pruners.NopPruner()
