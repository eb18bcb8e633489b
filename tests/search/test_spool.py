import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import spool
from search.spool import SpoolFile, adopt_orphans, read_json, reject, write_json

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
        patch.setattr(spool.os, "fsync", full)
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
