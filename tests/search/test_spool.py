import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep import files
from search.spool import SpoolFile, adopt_orphans, has_dead_writer, read_json, reject, write_json

WRITER = """
import sys, time
from pathlib import Path
from search.spool import SpoolFile
spool = SpoolFile.create(Path(sys.argv[1]))
for number in range(3):
    spool.append({"op": "note", "number": number})
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def own(tmp_path):
    own = SpoolFile.create(tmp_path)
    yield own
    own.close()


def die(spool_file):
    """What the death of the process does to its spool file: the lock goes, the file stays."""
    os.close(spool_file._descriptor)


def numbers(spool_file):
    return [entry.event["number"] for entry in spool_file.read(100)]


@given(
    events=st.lists(
        st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False, allow_infinity=False)), max_size=8
    )
)
def test_events_come_back_as_they_went_in(tmp_path_factory, events):
    own = SpoolFile.create(tmp_path_factory.mktemp("spool"))
    for event in events:
        own.append(event)
    assert [entry.event for entry in own.read(100)] == events
    assert own.left == len(events)
    own.close()


def test_events_added_together_are_as_if_added_one_by_one(own):
    own.append({"number": 0})
    own.append({"number": 1}, {"number": 2})
    own.append()
    assert numbers(own) == [0, 1, 2]
    assert own.left == 3


def test_reading_goes_on_behind_what_was_committed(own):
    for number in range(5):
        own.append({"number": number})
    entries = own.read(2)
    own.commit(entries[-1].end, len(entries))
    assert numbers(own) == [2, 3, 4]
    assert own.left == 3


def test_a_dead_writers_file_is_adopted_where_delivery_stopped(tmp_path):
    dead = SpoolFile.create(tmp_path)
    for number in range(3):
        dead.append({"number": number})
    dead.commit(dead.read(1)[-1].end, 1)
    die(dead)
    (orphan,) = adopt_orphans(tmp_path)
    assert (numbers(orphan), orphan.left) == ([1, 2], 2)
    orphan.close()


def test_a_torn_last_line_is_left_out(tmp_path):
    dead = SpoolFile.create(tmp_path)
    dead.append({"number": 0})
    die(dead)
    with dead.path.open("ab") as stream:
        stream.write(b'{"number": 1, "te')
    (orphan,) = adopt_orphans(tmp_path)
    assert (numbers(orphan), orphan.left) == ([0], 1)
    orphan.close()


def test_a_spoilt_line_does_not_hide_the_next(own):
    own.append({"number": 0})
    with own.path.open("ab") as stream:
        stream.write(b'\0\0\0{"x"\n[1]\n{"number": 1}\n')
    events = [entry.event for entry in own.read(100)]
    assert [event.get("op") for event in events] == [None, "unreadable", "unreadable", None]
    assert events[3] == {"number": 1}


def test_a_living_writers_file_is_not_adopted(tmp_path, own):
    own.append({"number": 0})
    assert adopt_orphans(tmp_path) == []
    assert own.path.exists()


def test_an_adopted_file_is_not_adopted_twice(tmp_path):
    dead = SpoolFile.create(tmp_path)
    dead.append({"number": 0})
    die(dead)
    (orphan,) = adopt_orphans(tmp_path)
    assert adopt_orphans(tmp_path) == []
    orphan.close()


def test_the_file_of_a_killed_process_is_adopted(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-P", "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        writer.stdout.readline()
        assert adopt_orphans(tmp_path) == []
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (orphan,) = adopt_orphans(tmp_path)
    assert numbers(orphan) == [0, 1, 2]
    orphan.close()


def test_orphans_come_oldest_first_and_empty_ones_go(tmp_path):
    for start in (300, 100, 200):
        (tmp_path / f"a-host-7-{start}-ab12.jsonl").write_text(json.dumps({"number": start}) + "\n")
    (tmp_path / "a-host-7-150-ab12.jsonl").touch()
    orphans = adopt_orphans(tmp_path)
    assert [numbers(orphan) for orphan in orphans] == [[100], [200], [300]]
    assert not (tmp_path / "a-host-7-150-ab12.jsonl").exists()
    for orphan in orphans:
        orphan.close()


def test_closing_removes_the_file_only_once_it_is_delivered(tmp_path):
    kept, done = SpoolFile.create(tmp_path), SpoolFile.create(tmp_path)
    for own in (kept, done):
        own.append({"number": 0})
    done.commit(done.read(1)[-1].end, 1)
    kept.close()
    done.close()
    assert [path.name for path in tmp_path.iterdir()] == [kept.path.name]


def test_a_refused_write_leaves_the_file_as_it_was(own, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    own.append({"number": 0})
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            own.append({"number": 1})
    own.append({"number": 2})
    assert (numbers(own), own.left) == ([0, 2], 2)


def test_nan_is_refused_before_anything_is_written(own):
    with pytest.raises(ValueError, match="not JSON compliant"):
        own.append({"number": float("nan")})
    assert own.path.stat().st_size == 0


@pytest.mark.parametrize("cursor", ["", "[]", '{"offset": 10000}', '{"offset": "x"}'])
def test_a_spoilt_cursor_means_delivery_from_the_start(tmp_path, cursor):
    dead = SpoolFile.create(tmp_path)
    dead.append({"number": 0})
    die(dead)
    dead.path.with_suffix(".cursor").write_text(cursor)
    (orphan,) = adopt_orphans(tmp_path)
    assert numbers(orphan) == [0]
    orphan.close()


def test_a_rejected_event_is_kept_with_the_reason_and_never_adopted(tmp_path):
    reject(tmp_path, {"op": "metrics"}, "a bad name")
    kept = json.loads((tmp_path / "rejected.jsonl").read_text())
    assert (kept["event"], kept["reason"]) == ({"op": "metrics"}, "a bad name")
    assert adopt_orphans(tmp_path) == []


def test_a_json_file_is_replaced_whole_and_a_missing_one_is_empty(tmp_path):
    path = tmp_path / "a.json"
    assert read_json(path) == {}
    write_json(path, {"b": 1})
    assert read_json(path) == {"b": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_file_count_and_cursor_as_they_were(own, files_end_at):
    own.append({"number": 0}, {"number": 1})
    own.commit(own.read(1)[-1].end, 1)
    before = own.path.read_bytes()
    files_end_at(len(before) + 10)
    with pytest.raises(OSError, match=r"File too large.*\.jsonl"):
        own.append({"number": 2}, {"number": 3})
    assert own.path.read_bytes() == before
    files_end_at(1)
    with pytest.raises(OSError, match=r"File too large.*\.cursor"):
        own.commit(own.read(1)[-1].end, 1)
    files_end_at(None)
    assert (numbers(own), own.left) == ([1], 1)
    own.append({"number": 4})
    assert (numbers(own), own.left) == ([1, 4], 2)
    assert read_json(own.path.with_suffix(".cursor"))["offset"] < len(before)


def test_no_garbage_stays_between_where_a_refused_write_cannot_be_taken_back(own, files_end_at, monkeypatch):
    def refuse(descriptor, length):
        raise OSError(28, "No space left on device")

    own.append({"number": 0})
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "ftruncate", refuse)
        files_end_at(own.path.stat().st_size + 10)
        with pytest.raises(OSError, match="File too large"):
            own.append({"number": 1, "text": "x" * 200})
        files_end_at(None)
        with pytest.raises(OSError, match="No space left"):
            own.append({"number": 2})
    own.append({"number": 3})
    assert own.path.read_text() == '{"number":0}\n{"number":3}\n'


def test_a_new_spool_file_is_in_its_folder_for_good(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(files, "sync_file", synced.append)
    SpoolFile.create(tmp_path / "spool").close()
    assert synced == [tmp_path, tmp_path / "spool"]


@given(cut=st.integers(0, 200), tail=st.integers(0, 40).map(bytes))
def test_wherever_a_power_cut_tears_a_spool_whole_events_are_adopted(tmp_path_factory, cut, tail):
    folder = tmp_path_factory.mktemp("spool")
    dead = SpoolFile.create(folder)
    for number in range(6):
        dead.append({"number": number, "text": "x" * 10})
    die(dead)
    content = dead.path.read_bytes()[:cut]
    dead.path.write_bytes(content + tail)
    orphans = adopt_orphans(folder)
    assert [numbers(orphan) for orphan in orphans] == [list(range(content.count(b"\n")))] * bool(orphans)
    assert bool(orphans) == (b"\n" in content)
    for orphan in orphans:
        orphan.close()


def test_a_rejection_after_a_torn_one_is_readable(tmp_path):
    (tmp_path / "rejected.jsonl").write_text('{"torn')
    reject(tmp_path, {"op": "metrics"}, "a bad name")
    reject(tmp_path, {"op": "tags"}, "another")
    torn, *kept = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert torn == '{"torn'
    assert [json.loads(line)["event"]["op"] for line in kept] == ["metrics", "tags"]


def test_a_dead_writer_is_told_from_a_living_and_from_one_that_ended_well(tmp_path):
    assert not has_dead_writer(tmp_path / "absent")
    living = SpoolFile.create(tmp_path)
    assert not has_dead_writer(tmp_path)
    living.close()
    assert not has_dead_writer(tmp_path)
    cut_off = SpoolFile.create(tmp_path)
    cut_off.append({"op": "tags"})
    cut_off.close()
    assert has_dead_writer(tmp_path)


def test_a_cursor_that_a_neighbour_is_writing_stays(tmp_path, own):
    own.append({"number": 0})
    with files.whole_file(own.path.with_suffix(".cursor")) as draft:
        draft.write_text('{"offset": 1}')
        gone = tmp_path / "host-1-2-ab.cursor"
        gone.touch()
        assert adopt_orphans(tmp_path) == []
        assert draft.exists()
        assert not gone.exists()
