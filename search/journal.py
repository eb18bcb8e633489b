"""Optuna's journal, made so that no torn record spoils it: read, appended to, looked at, mended.

A process that is killed while it appends, a full disk and a power cut leave half a record, or NUL bytes, at
the end. Optuna passes over such a tail, but appends the next record to it, and from then on cannot read the
file. Here whoever appends blanks the tail first. Blanks before a record are no part of it, and the file never
gets shorter under a process that is reading it. A record that was appended to a tail nonetheless, by an older
version or another program, is read without it.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from data_prep.files import make_folders, naming, sync_folder, whole_file
from search.errors import BeyondWaitingError, StudyStoppedError
from search.journal_lines import (
    Line,
    Record,
    blank,
    cut_out,
    hold,
    parse,
    read_lines,
    tail_of,
    torn_line,
    undisturbed,
)

logger = logging.getLogger(__name__)

# In a record that makes a study, ends one, or sets one of its user attributes; see Optuna's JournalOperation.
OF_STUDIES = (b'"op_code":0', b'"op_code":1,', b'"op_code":2')


class KernelLock:
    """A lock on the journal that the kernel frees when its holder dies, where Optuna's own waits 30 s.

    Whoever takes it finds the journal ready for the next record. It has the two methods of Optuna's
    `BaseJournalFileLock`, which is not exported.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held: IO[bytes] | None = None  # set and read by its holder alone

    def acquire(self) -> bool:
        """Wait for the lock; other threads of this process are kept out too, by a descriptor of their own."""
        handle = hold(self._journal)
        try:
            if self._journal.exists():
                start, end = torn_line(self._journal)
                if cut_out(self._journal, start, end):
                    blank(self._journal, start, end)
        except BaseException:
            handle.close()
            raise
        self._held = handle
        return True

    def release(self) -> None:
        """Give the lock back."""
        handle, self._held = self._held, None
        if handle is not None:
            handle.close()


class Journal(JournalFileBackend):
    """A journal that is read and appended to; see `open_journal`.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=cast("Any", KernelLock(path)))
        self.path = path
        self._reached = (0, 0)  # how many records were read, and where the last of them ends

    def read_logs(self, log_number_from: int) -> Generator[Record, None, None]:
        """The records after the first so many, without what is torn.

        Raises:
            StudyStoppedError: A line is no record and has one after it.
        """
        reached = self._reached if self._reached[0] == log_number_from else (0, 0)
        for line in _records(self.path, *reached):
            self._reached = (line.number, line.end)
            if line.number > log_number_from and line.record is not None:
                yield line.record

    def append_logs(self, logs: list[Record]) -> None:
        """Append records durably.

        Raises:
            OSError: The disk refused it; the error names the file. The next to append blanks what it left.
        """
        with naming(self.path):
            super().append_logs(logs)


class ReadOnlyJournal(Journal):
    """A journal that is there, and only read: nothing is written, not even a lock."""

    def append_logs(self, logs: list[Record]) -> None:
        """Refuse.

        Raises:
            StudyStoppedError: Always.
        """
        raise StudyStoppedError(f"{self.path}: it was opened to be read, but a record was to be written")


class StudyRecords(BaseJournalBackend):
    """What a journal that is there says of studies themselves, read at once: a moment where trials take long.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as stream:
            told = [parse(line)[0] for line in stream if any(sign in line for sign in OF_STUDIES)]
        self._records = [record for record in told if record is not None]

    def read_logs(self, log_number_from: int) -> Generator[Record, None, None]:
        """The records after the first so many."""
        yield from self._records[log_number_from:]

    def append_logs(self, logs: list[Record]) -> None:
        """Refuse.

        Raises:
            StudyStoppedError: Always.
        """
        raise StudyStoppedError("a journal was opened to be read, but a record was to be written")


def open_journal(path: Path) -> Journal:
    """Open a journal to be written, made durably where there is none, and its end looked after.

    Raises:
        OSError: It cannot be made or written.
    """
    make_folders(path.parent)
    is_new = not path.exists()
    journal = Journal(path)
    if is_new:
        sync_folder(path.parent)
    _mend_tail(path)
    return journal


def inspect_journal(path: Path) -> list[str]:
    """What is wrong with a journal, a line each; nothing is written. Empty where it is sound or missing.

    Raises:
        OSError: It cannot be read.
    """
    if not path.exists():
        return []
    with undisturbed(path):
        return [finding.text for finding in _findings(path)]


def mend_journal(path: Path) -> list[str]:
    """Blank what is torn, and keep what stood there beside the journal, in `<name>.cut-<time>`.

    Records stay where they are, and studies that are running are not disturbed. Lines that are no records but
    have records after them stay, too: `inspect_journal` goes on naming them.

    Returns:
        What was done, a line each.

    Raises:
        OSError: It cannot be written.
    """
    if not path.exists():
        return []
    with hold(path):
        torn = [finding for finding in _findings(path) if finding.end > finding.start]
        if not torn:
            return []
        kept = _keep(path, [cut_out(path, finding.start, finding.end) for finding in torn])
        for finding in torn:
            blank(path, finding.start, finding.end)
    return [f"{finding.text}: blanked, and kept in {kept.name}" for finding in torn]


def _mend_tail(path: Path) -> None:
    """Blank what follows the last record; a power cut may leave more than a line without a line break."""
    with hold(path):
        start, end = tail_of(path)
        text = cut_out(path, start, end)
        if not text:
            return
        kept = _keep(path, [text])
        blank(path, start, end)
    what = f"its last {end - start} bytes were no whole record (a crash or a full disk)"
    logger.warning("%s: %s and are kept in %s", path, what, kept.name)


def _keep(path: Path, parts: list[bytes]) -> Path:
    """Write what was cut out into a file beside the journal, one part a line."""
    kept = path.with_name(f"{path.name}.cut-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
    with whole_file(kept) as new:
        new.write_bytes(b"".join(part.rstrip(b"\n") + b"\n" for part in parts))
    return kept


def _records(path: Path, number: int, offset: int) -> Iterator[Line]:
    """The lines with a record; there is none without before them, so that lines count as records."""
    broken: Line | None = None
    for line in read_lines(path, number, offset):
        if line.record is None:
            broken = broken or line
        elif broken is not None:
            raise BeyondWaitingError(_beyond_mending(path, broken))
        else:
            yield line


class _Finding(NamedTuple):
    """What is wrong: the bytes to blank (none where a record may have stood there), and words for it."""

    start: int
    end: int
    text: str


def _findings(path: Path) -> Iterator[_Finding]:
    broken: list[Line] = []
    for line in read_lines(path):
        if line.record is None:
            broken.append(line)
            continue
        yield from (_Finding(other.start, other.start, _beyond_mending(path, other)) for other in broken)
        broken = []
        if line.torn:
            text = f"{path}: line {line.number}: {line.torn} bytes of a torn record before a whole one"
            yield _Finding(line.start, line.start + line.torn, text)
    if broken and cut_out(path, broken[0].start, broken[-1].end):
        start, end = broken[0].start, broken[-1].end
        yield _Finding(start, end, f"{path}: the last {end - start} bytes are no whole record")


def _beyond_mending(path: Path, line: Line) -> str:
    shown = line.text[:60].decode("ascii", errors="replace").strip()
    return (
        f"{path}: line {line.number} must be a record of Optuna's journal, but got {shown!r}, and records "
        "follow it. It cannot be mended: bring the file back from a backup, or start anew with another --home"
    )
