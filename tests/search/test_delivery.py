import json
import logging
import os
import threading

import pytest

from search import delivery
from search.delivery import Courier, Denied, Outage, Rejected
from search.spool import SpoolFile


class Destination:
    """Takes events, unless it is told to be away, to wait or to refuse."""

    def __init__(self):
        self.requests = []
        self.away = False
        self.refused = set()
        self.open = threading.Event()
        self.open.set()

    def deliver(self, events):
        self.open.wait()
        if self.away:
            raise Outage("connection refused")
        if any(event["number"] in self.refused for event in events):
            raise Rejected("bad name")
        self.requests.append([event["number"] for event in events])

    @property
    def numbers(self):
        return [number for request in self.requests for number in request]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch):
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.02)


@pytest.fixture
def destination():
    return Destination()


@pytest.fixture
def make(tmp_path, destination):
    made = []

    def make(start=True):
        courier = Courier(SpoolFile.create(tmp_path), destination, "the store")
        made.append(courier)
        if start:
            courier.start()
        return courier

    yield make
    destination.open.set()
    for courier in made:
        courier.stop(0)
        if courier.ident:
            courier.join()


def note(number, op="note"):
    return {"op": op, "number": number}


def metrics(number, key="trial/1", count=1):
    return {"op": "metrics", "key": key, "number": number, "metrics": {str(i): 0.5 for i in range(count)}}


def tags(number, key="trial/1"):
    return {"op": "tags", "key": key, "number": number, "tags": {"tag": str(number)}}


def test_events_arrive_in_order(make, destination):
    courier = make()
    for number in range(50):
        courier.append(note(number))
    assert courier.flush(10) == 0
    assert destination.numbers == list(range(50))


def test_nothing_to_deliver_needs_no_waiting_not_even_a_thread(make):
    assert make(start=False).flush(3600) == 0


def test_appending_returns_while_the_destination_does_not_answer(make, destination):
    destination.open.clear()
    courier = make()
    for number in range(20):
        courier.append(note(number))
    assert destination.requests == []
    assert courier.flush(0.01) == 20
    destination.open.set()
    assert courier.flush(10) == 0


def test_an_outage_is_caught_up_and_told_once_at_each_end(make, destination, caplog):
    destination.away = True
    courier = make()
    for number in range(3):
        courier.append(note(number))
        assert courier.flush(0.1) == number + 1
    destination.away = False
    assert courier.flush(10) == 0
    assert destination.numbers == [0, 1, 2]
    begin, end = [record.getMessage() for record in caplog.records]
    assert begin.startswith("the store cannot be reached")
    assert begin.endswith("connection refused")
    assert end.startswith("the store answers again")
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_poison_event_is_put_aside_and_the_rest_arrives(make, destination, tmp_path, caplog):
    destination.refused = {1}
    courier = make()
    for number in range(3):
        courier.append(note(number))
    assert courier.flush(10) == 0
    assert destination.numbers == [0, 2]
    kept = json.loads((tmp_path / "rejected.jsonl").read_text())
    assert (kept["event"]["number"], kept["reason"]) == (1, "bad name")
    assert "refused 'note'" in caplog.text


def test_poison_among_joined_metrics_costs_only_itself(make, destination, tmp_path):
    destination.refused = {1}
    courier = make(start=False)
    for number in range(3):
        courier.append(metrics(number))
    courier.start()
    assert courier.flush(10) == 0
    assert destination.requests == [[0], [2]]
    assert json.loads((tmp_path / "rejected.jsonl").read_text())["event"]["number"] == 1


def test_metrics_of_one_run_in_a_row_go_together(make, destination):
    courier = make(start=False)
    events = [metrics(0), metrics(1), metrics(2, key="trial/2"), note(3), metrics(4), metrics(5)]
    for event in events:
        courier.append(event)
    courier.start()
    assert courier.flush(10) == 0
    assert destination.requests == [[0, 1], [2], [3], [4, 5]]


def test_tags_go_with_the_metrics_of_their_run(make, destination):
    courier = make(start=False)
    courier.append(tags(0), metrics(1), tags(2), tags(3, key="trial/2"), note(4), tags(5))
    courier.start()
    assert courier.flush(10) == 0
    assert destination.requests == [[0, 1, 2], [3], [4], [5]]


def test_no_more_than_a_thousand_metrics_go_together(make, destination):
    courier = make(start=False)
    for number in range(5):
        courier.append(metrics(number, count=400))
    courier.start()
    assert courier.flush(10) == 0
    assert destination.requests == [[0, 1], [2, 3], [4]]


def test_what_is_left_at_the_end_is_delivered_first_at_the_next_start(make, destination, tmp_path):
    destination.away = True
    first = make()
    first.append(note(0))
    assert first.stop(0.05) == 1
    first.join()
    destination.away = False
    second = make(start=False)
    second.append(note(1))
    second.start()
    assert second.flush(10) == 0
    assert destination.numbers == [0, 1]
    second.stop(0)
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_dies_beside_us_is_heard_before_what_we_say_next(make, destination, tmp_path):
    other = SpoolFile.create(tmp_path)
    courier = make()
    courier.append(note(0))
    assert courier.flush(10) == 0
    other.append(note(1))
    os.close(other._descriptor)
    courier.append(note(2))
    assert courier.flush(10) == 0
    assert destination.numbers == [0, 1, 2]


def test_an_event_after_the_end_is_refused(make):
    courier = make()
    courier.stop(0)
    with pytest.raises(ValueError, match="an event must come before the end, but got 'note' after it"):
        courier.append(note(0))


def test_a_full_disk_counts_as_an_outage(make, destination, monkeypatch):
    courier = make()
    commit, full = courier._own.commit, [True]

    def refuse_once(end, count):
        if full and full.pop():
            raise OSError(28, "No space left on device")
        commit(end, count)

    monkeypatch.setattr(courier._own, "commit", refuse_once)
    courier.append(note(0))
    assert courier.flush(10) == 0
    assert destination.numbers == [0, 0]


def test_a_right_that_is_missing_is_told_as_such_once_and_the_events_are_kept(make, destination, caplog):
    courier = make(start=False)
    words = iter([Outage("connection refused")] + [Denied("Permission denied")] * 3)

    def deliver(events):
        error = next(words, None)
        if error:
            raise error
        destination.requests.append([event["number"] for event in events])

    courier._sink.deliver = deliver
    courier.append(note(0))
    courier.start()
    assert courier.flush(10) == 0
    assert destination.numbers == [0]
    away, denied, end = [record.getMessage() for record in caplog.records]
    assert away.startswith("the store cannot be reached")
    assert denied.startswith(
        "the store does not let us write: its user needs the right; what is logged waits"
    )
    assert end.startswith("the store answers again")
