"""Journals torn where a kill, a full disk or a power cut tears them; Optuna's own reader is the judge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.errors import BeyondWaitingError, StudyStoppedError
from search.journal import (
    Journal,
    KernelLock,
    ReadOnlyJournal,
    StudyRecords,
    inspect_journal,
    mend_journal,
    open_journal,
)

State = list[Any]


def record_some(path: Path) -> None:
    """Append what a short study appends: attributes, trials with folds, their ends."""
    study = optuna.create_study(study_name="s", storage=JournalStorage(open_journal(path)))
    study.set_user_attr("identity", {"folds.hash": "é"})
    for number in range(2):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.storage.set_trial_system_attr(trial._trial_id, f"fold:{number}", json.dumps({"rows": [1, 2]}))
        study.tell(trial, number / 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "journal"
    record_some(path)
    return path.read_bytes()


def state_of(storage: JournalStorage) -> State:
    """Everything a storage knows, in plain data."""
    return [
        (study.study_name, study.user_attrs, study.system_attrs, storage.get_all_trials(study._study_id))
        for study in storage.get_all_studies()
    ]


def by_optuna(path: Path) -> State:
    """What Optuna's own code reads; it judges what ours wrote."""
    return state_of(JournalStorage(JournalFileBackend(str(path))))


def ours(path: Path) -> JournalStorage:
    return JournalStorage(open_journal(path))


def append(storage: JournalStorage) -> None:
    """Append a record that needs nothing before it."""
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "another")


def expected(tmp_path: Path, records: bytes) -> State:
    """The state after the whole records, with one more appended."""
    path = tmp_path / "expected"
    path.write_bytes(records)
    append(JournalStorage(JournalFileBackend(str(path))))
    return by_optuna(path)


class NoLock:
    """For an appender that does not know our lock."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None: ...


def foreign(path: Path) -> JournalStorage:
    """Another program on the same file, as an older version of this one was."""
    return JournalStorage(JournalFileBackend(str(path), lock_obj=NoLock()))  # type: ignore[arg-type]


def test_cut_at_every_byte_of_the_last_records_a_journal_goes_on_from_the_whole_ones(
    whole: bytes, tmp_path: Path
) -> None:
    lines = whole.splitlines(keepends=True)
    wanted = {
        count: expected(tmp_path, b"".join(lines[:count])) for count in range(len(lines) - 3, len(lines) + 1)
    }
    path = tmp_path / "journal"
    for length in range(len(b"".join(lines[:-3])), len(whole) + 1):
        path.write_bytes(whole[:length])
        storage = ours(path)
        append(storage)
        count = whole[:length].count(b"\n")
        assert by_optuna(path) == state_of(storage) == wanted[count], f"cut at byte {length}"
        assert inspect_journal(path) == []


@settings(max_examples=150)
@given(data=st.data(), tail=st.binary(max_size=40) | st.integers(1, 5000).map(bytes))
def test_whatever_a_power_cut_leaves_behind_the_last_record_is_no_part_of_the_study(
    data: st.DataObject, tail: bytes, whole: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    path = folder / "journal"
    length = data.draw(st.integers(0, len(whole)))
    records = whole[: whole.rfind(b"\n", 0, length) + 1]
    path.write_bytes(whole[:length] + tail)
    assume(tail[:1] != whole[length : length + 1])  # that would be how the record goes on
    assert state_of(JournalStorage(ReadOnlyJournal(path))) == state_of_records(folder, records)
    storage = ours(path)
    append(storage)
    assert by_optuna(path) == state_of(storage) == expected(folder, records)


def state_of_records(folder: Path, records: bytes) -> State:
    (folder / "records").write_bytes(records)
    return by_optuna(folder / "records")


TORN = [
    b'{"op_code":5,"worker_id":"a-1","tr',
    b'{"op_code":5,"worker_id":"a-1"}',
    bytes(300),
    b'\0\0"}\n',
    b"\xff\n",
]


@pytest.mark.parametrize("tail", TORN)
def test_a_process_that_lives_meanwhile_keeps_its_place(whole: bytes, tail: bytes, tmp_path: Path) -> None:
    """Optuna counts records and remembers where each begins: neither may shift under a running study."""
    path = tmp_path / "journal"
    path.write_bytes(whole)
    code = f"""
import sys
from collections.abc import Callable
from pathlib import Path
import optuna
from optuna.storages import JournalStorage
from search.journal import open_journal
storage = JournalStorage(open_journal(Path({str(path)!r})))
for line in sys.stdin:
    if line.strip() != "read":
        storage.set_study_user_attr(0, line.strip(), "b")
    print(sorted(storage.get_study_user_attrs(0)), len(storage.get_all_trials(0)), flush=True)
"""
    other = subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(line: str) -> str:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdin.write(line + "\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    with other:
        assert ask("read") == "['identity'] 2"
        with path.open("ab") as stream:
            stream.write(tail)
        assert ask("read") == "['identity'] 2"
        storage = ours(path)
        storage.set_study_user_attr(0, "mine", "a")
        assert ask("read") == "['identity', 'mine'] 2"
        assert ask("theirs") == "['identity', 'mine', 'theirs'] 2"
        with path.open("ab") as stream:
            stream.write(tail.rstrip(b"\n"))  # with a line break it needs a power cut, which neither outlives
        assert ask("again") == "['again', 'identity', 'mine', 'theirs'] 2"
        assert sorted(storage.get_study_user_attrs(0)) == ["again", "identity", "mine", "theirs"]
    assert by_optuna(path) == state_of(storage)


@pytest.mark.parametrize("torn", TORN[:3])
def test_a_record_that_another_program_appended_to_a_torn_one_is_read_and_mended(
    whole: bytes, torn: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    path.write_bytes(whole)
    other = foreign(path)
    with path.open("ab") as stream:
        stream.write(torn)
    other._backend.append_logs([{"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"a": 1}}])
    other._backend.append_logs([{"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"b": 2}}])
    with pytest.raises(ValueError, match=r"Expecting|Extra data|decode|Invalid"):
        by_optuna(path)
    reader = JournalStorage(ReadOnlyJournal(path))
    assert reader.get_study_user_attrs(0) == {"identity": {"folds.hash": "é"}, "a": 1, "b": 2}
    (found,) = inspect_journal(path)
    assert f"line {len(whole.splitlines()) + 1}: {len(torn)} bytes of a torn record" in found
    (done,) = mend_journal(path)
    assert done.startswith(found)
    assert by_optuna(path) == state_of(reader)
    (kept,) = tmp_path.glob("journal.cut-*")
    assert kept.read_bytes() == torn + b"\n"
    assert (inspect_journal(path), mend_journal(path)) == ([], [])


def test_a_line_that_is_spoilt_with_records_behind_it_is_named_and_left_alone(
    whole: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    lines = whole.splitlines(keepends=True)
    lines[3] = b"\0" * 20 + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(BeyondWaitingError, match=r"line 4 must be a record .* a backup"):
        ours(path)
    before = path.read_bytes()
    (found,) = inspect_journal(path)
    assert "line 4" in found
    assert mend_journal(path) == []
    assert path.read_bytes() == before


def test_a_tail_that_is_cut_off_at_opening_is_kept_beside_it(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(whole + b'\0\0half"}\n')
    assert inspect_journal(path) == [f"{path}: the last 9 bytes are no whole record"]
    ours(path)
    (kept,) = tmp_path.glob("journal.cut-*")
    assert kept.read_bytes() == b'\0\0half"}\n'
    assert path.read_bytes().rstrip(b" ") == whole


def test_a_long_tail_is_found_as_well(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(whole + b"\0\n" * 40_000)
    storage = ours(path)
    append(storage)
    assert by_optuna(path) == expected(tmp_path, whole)


def test_looking_writes_nothing(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(whole + b"torn")
    inspect_journal(path)
    storage = JournalStorage(ReadOnlyJournal(path))
    with pytest.raises(StudyStoppedError, match="opened to be read"):
        append(storage)
    assert [entry.name for entry in tmp_path.iterdir()] == ["journal"]
    assert path.read_bytes() == whole + b"torn"
    assert inspect_journal(tmp_path / "none") == mend_journal(tmp_path / "none") == []


def test_studies_are_told_without_their_trials(tmp_path: Path) -> None:
    storage = JournalStorage(open_journal(tmp_path / "journal"))
    for name in ("first", "gone", "last"):
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
        study.set_user_attr("identity", {"of": name})
        study.tell(study.ask(), 0.5)
    optuna.delete_study(study_name="gone", storage=storage)
    optuna.create_study(study_name="gone", storage=storage)
    study.set_user_attr("identity", {"of": '"op_code":4'})
    with (tmp_path / "journal").open("ab") as torn:
        torn.write(b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"identity":')
    told = JournalStorage(StudyRecords(tmp_path / "journal"))
    whole = {study.study_name: (study.directions, study.user_attrs) for study in storage.get_all_studies()}
    assert {
        study.study_name: (study.directions, study.user_attrs) for study in told.get_all_studies()
    } == whole
    assert [told.get_all_trials(study._study_id) for study in told.get_all_studies()] == [[], [], []]
    with pytest.raises(StudyStoppedError, match="opened to be read"):
        optuna.create_study(storage=told)


def test_a_record_that_the_disk_refuses_leaves_a_journal_that_goes_on(
    whole: bytes, files_end_at: Callable[[int | None], None], tmp_path: Path
) -> None:
    """A limit on the size of files refuses the middle of a write, as a full disk does."""
    path = tmp_path / "journal"
    path.write_bytes(whole)
    storage = ours(path)
    files_end_at(len(whole) + 30)
    with pytest.raises(OSError, match="File too large") as caught:
        append(storage)
    files_end_at(None)
    assert caught.value.filename == str(path)
    assert path.stat().st_size == len(whole) + 30
    append(storage)
    assert by_optuna(path) == state_of(storage) == expected(tmp_path, whole)


def test_a_new_journal_is_made_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "journal"
    assert isinstance(open_journal(path), Journal)
    assert path.read_bytes() == b""


def hold_elsewhere(journal: Path) -> subprocess.Popen[str]:
    code = f"""
import sys
from collections.abc import Callable
from pathlib import Path
from search.journal import KernelLock
KernelLock(Path({str(journal)!r})).acquire()
print("held", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_killed_lock_holder_delays_nobody(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with hold_elsewhere(journal) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        lock = KernelLock(journal)
        assert lock.acquire()
        lock.release()


def test_a_lock_file_that_another_program_removes_keeps_two_writers_apart_all_the_same(
    tmp_path: Path,
) -> None:
    """Optuna's own lock takes a file in its place for a dead holder's, and removes it after 30 s."""
    journal = tmp_path / "journal"
    lock = KernelLock(journal)
    with hold_elsewhere(journal) as holder:
        (tmp_path / "journal.lock").unlink()
        lock.acquire()
        assert (tmp_path / "journal.lock").exists()
        lock.release()
        holder.kill()


def test_a_program_that_appends_between_two_of_ours_is_followed(tmp_path: Path) -> None:
    record_some(tmp_path / "journal")
    storage, other = ours(tmp_path / "journal"), foreign(tmp_path / "journal")
    storage.set_study_user_attr(0, "a", 1)
    other.set_study_user_attr(0, "b", 2)
    storage.set_study_user_attr(0, "c", 3)
    assert state_of(storage) == state_of(other) == by_optuna(tmp_path / "journal")
