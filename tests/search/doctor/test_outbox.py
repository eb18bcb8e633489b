from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from search.delivery import Outage, Rejected
from search.doctor.outbox import look, try_again
from search.spool import Event, SpoolFile, reject
from tests.search.doctor.doctoring import fingerprint


class Sink:
    """Takes what is not in `refuses`; is not there at all once `left` deliveries were made."""

    def __init__(self, *refuses: str, left: int = 99) -> None:
        self.taken: list[str] = []
        self.refuses, self.left = refuses, left

    def deliver(self, events: Sequence[Event]) -> None:
        if self.left == 0:
            raise Outage("gone")
        self.left -= 1
        (event,) = events
        if event["key"] in self.refuses:
            raise Rejected(f"no {event['key']}")
        self.taken.append(event["key"])


def event(key: str) -> dict[str, Any]:
    return {"op": "tags", "key": key, "time": 1, "tags": {}}


def test_the_living_and_the_dead_are_told_apart_and_nothing_is_written(tmp_path: Path) -> None:
    living, dead = SpoolFile.create(tmp_path), SpoolFile.create(tmp_path)
    living.append(event("trial/1"), event("trial/2"))
    living.commit(living.read(1)[0].end, 1)
    dead.append(event("trial/3"), event("trial/3"), event("trial/4"))
    dead.commit(dead.read(1)[0].end, 1)
    dead.close()
    with dead.path.open("ab") as stream:
        stream.write(b'{"op": "ta')
    reject(tmp_path, event("trial/5"), "why")
    before = fingerprint(tmp_path)
    outbox = look(tmp_path)
    assert (outbox.live, outbox.pending, outbox.waiting) == (True, {"trial/2"}, 2)
    assert outbox.dead == {dead.path}
    assert outbox.refused == ((event("trial/5"), "why"),)
    assert fingerprint(tmp_path) == before
    living.close()
    assert not look(tmp_path).live


def test_an_empty_or_missing_folder_holds_nothing(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        outbox = look(folder)
        assert (outbox.live, outbox.waiting, outbox.refused) == (False, 0, ())


def test_what_was_refused_is_tried_once_more_and_then_put_aside(tmp_path: Path) -> None:
    for key in ("a", "b"):
        reject(tmp_path, event(key), "first")
    reject(tmp_path, {"op": "unreadable", "line": "{"}, "no JSON")
    sink = Sink("b")
    assert try_again(tmp_path, sink) == [
        (event("a"), None),
        (event("b"), "no b"),
        ({"op": "unreadable", "line": "{"}, "no JSON"),
    ]
    assert sink.taken == ["a"]
    assert try_again(tmp_path, sink) == []
    assert look(tmp_path).refused == ()
    kept = [json.loads(line) for line in (tmp_path / "refused.jsonl").read_text().splitlines()]
    assert [item["reason"] for item in kept] == ["no b", "no JSON"]


def test_an_outage_in_between_loses_nothing(tmp_path: Path) -> None:
    reject(tmp_path, event("a"), "first")
    reject(tmp_path, event("b"), "first")
    with pytest.raises(Outage):
        try_again(tmp_path, Sink(left=1))
    reject(tmp_path, event("c"), "meanwhile")
    assert [item["key"] for item, _ in look(tmp_path).refused] == ["a", "b", "c"]
    sink = Sink()
    assert len(try_again(tmp_path, sink)) == 3
    assert sink.taken == ["a", "b", "c"]  # one that is delivered twice changes nothing


def test_our_own_files_tell_of_nobody_else(tmp_path: Path) -> None:
    own, other = SpoolFile.create(tmp_path), SpoolFile.create(tmp_path)
    own.append(event("trial/1"))
    assert look(tmp_path, {own.path}).live
    other.close()
    seen = look(tmp_path, {own.path})
    assert (seen.live, seen.pending) == (False, set())
    own.close()


def test_an_event_that_was_refused_while_the_file_is_put_aside_is_tried_too(tmp_path: Path) -> None:
    """Its writer had opened the file before that was renamed, and waited for the lock."""

    class Late(Sink):
        def deliver(self, events: Sequence[Event]) -> None:
            super().deliver(events)
            if len(self.taken) == 1:
                with (tmp_path / "retried.jsonl").open("a") as stream:
                    stream.write(json.dumps({"reason": "late", "event": event("b")}) + "\n")

    reject(tmp_path, event("a"), "first")
    sink = Late()
    assert try_again(tmp_path, sink) == [(event("a"), None), (event("b"), None)]
    assert (sink.taken, list(tmp_path.glob("re*.jsonl"))) == (["a", "b"], [])


def test_another_who_was_done_with_the_file_first_is_no_error(tmp_path: Path) -> None:
    class Hasty(Sink):
        def deliver(self, events: Sequence[Event]) -> None:
            super().deliver(events)
            (tmp_path / "retried.jsonl").unlink()

    reject(tmp_path, event("a"), "first")
    assert try_again(tmp_path, Hasty()) == [(event("a"), None)]
