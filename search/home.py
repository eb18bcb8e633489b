"""Where the embedded mode keeps its files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from data_prep.problems import InputError, Problems
from search.writable import check_space, file_problem, folder_problem

DEFAULT_HOME = "radsearch-home"


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study: its definition as run, its frozen folds, its spool, logs and pictures."""

    root: Path

    @property
    def definition(self) -> Path:
        """The study as resolved from its file and the command line, as JSON."""
        return self.root / "study.json"

    @property
    def folds(self) -> Path:
        """The frozen fold table."""
        return self.root / "folds.tsv"

    @property
    def spool(self) -> Path:
        """Tracking events on their way to MLflow."""
        return self.root / "spool"

    @property
    def unbooked(self) -> Path:
        """Finished folds that Optuna's database has not taken yet."""
        return self.root / "unbooked"

    @property
    def logs(self) -> Path:
        """One log a slot, with what TensorFlow prints."""
        return self.root / "logs"

    @property
    def reaper_lock(self) -> Path:
        """Held by whoever fails trials of dead processes and makes their copies."""
        return self.root / "reaper.lock"

    @property
    def pseudonyms(self) -> Path:
        """Which participant and biopsy each pseudonym stands for; it stays on this machine."""
        return self.root / "pseudonyms.tsv"

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that a run writes to."""
        return self.root, self.spool, self.unbooked, self.logs, self.root / "trials"

    def trial(self, key: int) -> Path:
        """The folder of one trial's pictures and tables."""
        return self.root / "trials" / f"{key:05d}"


@dataclass(frozen=True)
class Home:
    """The folder that holds everything the embedded mode writes; its paths are absolute.

    Attributes:
        root: The folder.
        cached: Where extracted patches are kept instead of in it; None for in it.
    """

    root: Path
    cached: Path | None = None

    @classmethod
    def at(cls, folder: str | Path | None = None, cache: str | Path | None = None) -> Home:
        """The home at `folder`, else at RADSEARCH_HOME, else ./radsearch-home.

        Args:
            folder: The home.
            cache: Where patches are kept, else at RADSEARCH_CACHE, else in the home.

        Raises:
            InputError: Its path cannot be shown, or not be passed on to MLflow.
        """
        chosen = Path(folder or os.environ.get("RADSEARCH_HOME") or DEFAULT_HOME)
        with suppress(RuntimeError):  # no user of that name: then it is a folder called so
            chosen = chosen.expanduser()
        path = str(chosen.absolute())
        # MLflow's address of a database ends at a question mark, and has %20 for a blank.
        if "?" in path or unquote(path) != path or not _is_text(path):
            shown = path.encode(errors="replace").decode()
            raise InputError(
                f"--home: its path must be UTF-8 without '?' and '%' with two digits, but got {shown!r}"
            )
        _check_folder(path)
        cached = cache or os.environ.get("RADSEARCH_CACHE")
        return cls(Path(path), Path(cached).absolute() if cached else None)

    def check_writable(self, study: str | None = None) -> None:
        """Refuse a home that cannot be written, before anything is; what it tries leaves nothing behind.

        Args:
            study: Look at the folder of this study; None for those of all.

        Raises:
            InputError: What cannot be written and why, a line each.
            StudyStoppedError: There is no space left.
        """
        problem = folder_problem(self.root)
        if problem:
            raise InputError(f"{self.root}: {problem}")
        folders = [place for place in self._folders(study) if os.path.lexists(place) or place == self.cached]
        found = {place: folder_problem(place) for place in folders}
        found |= {file: file_problem(file) for file in self._files(study)}
        problems = Problems()
        for place, problem in found.items():
            if problem:
                problems.add(str(place), problem)
        problems.raise_any()
        check_space(self.root)
        check_space(self.cache)

    def _folders(self, study: str | None) -> Iterator[Path]:
        """The folders inside that a run writes to."""
        yield from (self.logs, self.cache, self.artifacts, self.tracking_artifacts, self.root / "studies")
        for folder in self._studies(study):
            yield from folder.folders

    def _files(self, study: str | None) -> Iterator[Path]:
        """The files that are written in place, locks among them."""
        for name in ("optuna.journal", "optuna.journal.lock", "mlflow.db", "mlflow.db.lock", "doctor.lock"):
            yield self.root / name
        for folder in self._studies(study):
            yield from (folder.reaper_lock, folder.root / "doctor.lock")
            yield from (folder.spool / name for name in ("runs.json", "runs.lock", "rejected.jsonl"))

    def _studies(self, study: str | None) -> list[StudyFolder]:
        names = [study] if study else sorted(path.name for path in (self.root / "studies").glob("*/"))
        return [self.study(name) for name in names]

    @property
    def journal(self) -> Path:
        """Optuna's journal: the trials of every study."""
        return self.root / "optuna.journal"

    @property
    def tracking_uri(self) -> str:
        """MLflow's own database."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def tracking_artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlartifacts"

    @property
    def artifacts(self) -> Path:
        """The pictures that optuna-dashboard shows."""
        return self.root / "artifacts"

    @property
    def cache(self) -> Path:
        """Extracted patches, by content."""
        return self.cached or self.root / "cache"

    @property
    def models(self) -> Path:
        """Model folders: NAME/1, NAME/2 and so on."""
        return self.root / "models"

    @property
    def logs(self) -> Path:
        """Logs of the servers that `radsearch ui` starts."""
        return self.root / "logs"

    def study(self, name: str) -> StudyFolder:
        """The folder of one study."""
        return StudyFolder(self.root / "studies" / name)


def _check_folder(path: str) -> None:
    """Refuse a path where something is that is no folder, or that none can have."""
    try:
        is_folder = stat.S_ISDIR(Path(path).stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"--home: a folder is needed, but got '{error.strerror}' for {path}") from error
    if not is_folder:
        raise InputError(f"--home: a folder is needed, but {path} is none")


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
