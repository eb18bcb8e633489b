"""Opening Optuna's storage, sampler and pruner, each named and seeded; nothing here is left to a default."""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import warnings
from pathlib import Path
from typing import IO, Any, cast

import optuna
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from data_prep.problems import InputError
from search.errors import StudyStoppedError
from search.home import Home
from search.pruner import PairedParticipantPruner
from search.sections import SearchSection

STARTUP_TRIALS = 10  # random trials before TPE models anything; Optuna's own default

logging.getLogger("optuna").setLevel(logging.WARNING)
# Multivariate TPE, its constant liar and metric names have been "experimental" since Optuna 2 and 3.
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class KernelLock:
    """A lock on the journal that the kernel frees when its holder dies, where Optuna's own waits 30 s.

    It has the two methods of Optuna's `BaseJournalFileLock`, which is not exported.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + ".lock")
        self._held: dict[int, IO[str]] = {}

    def acquire(self) -> bool:
        """Wait for the lock; other threads of this process are kept out too, by a descriptor of their own."""
        handle = self._path.open("a")
        fcntl.flock(handle, fcntl.LOCK_EX)
        self._held[0] = handle
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._held.pop(0).close()


def check_url(url: str | None, slots: int) -> None:
    """Refuse a storage that cannot serve so many slots.

    Raises:
        InputError: SQLite with several slots: it hands the same trial to two of them.
    """
    if url is not None and url.startswith("sqlite") and slots > 1:
        raise InputError(
            f"--storage: SQLite serves one slot (it hands trials out twice), but got {slots} workers"
        )


def open_storage(url: str | None, home: Home) -> BaseStorage:
    """Open the storage of trials.

    Args:
        url: A database URL; None for the journal in the home.
        home: Where the journal lies.

    Raises:
        StudyStoppedError: The storage cannot be opened.
    """
    if url is None:
        home.root.mkdir(parents=True, exist_ok=True)
        return JournalStorage(
            JournalFileBackend(str(home.journal), lock_obj=cast("Any", KernelLock(home.journal)))
        )
    try:
        return RDBStorage(url, engine_kwargs={} if url.startswith("sqlite") else {"pool_pre_ping": True})
    except Exception as error:  # SQLAlchemy and each database driver have roots of their own
        raise StudyStoppedError(f"--storage: cannot be opened: {_first_line(error)}") from error


def is_known(name: str, url: str | None, home: Home) -> bool:
    """Whether a study of that name exists; looking makes no files."""
    if url is None and not home.journal.exists():
        return False
    return any(study.study_name == name for study in all_studies(open_storage(url, home)))


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


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
