"""The courier: a thread that carries spooled events to their destination, in order, through any outage."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from search.spool import Entry, Event, SpoolFile, adopt_orphans, reject

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
IDLE_PAUSE = 5.0
READ_AHEAD = 500
JOINED = ("metrics", "tags")  # MLflow takes both in one request
METRICS_AT_ONCE = 900  # of the 1000 items of a request; 100 are left for tags


class Rejected(Exception):  # noqa: N818 - a verdict on one event, not a failure of the courier
    """The destination refuses this event for what it says; sending it again would not help."""


class Outage(Exception):  # noqa: N818
    """The destination is not there at the moment; the same event is sent again later."""


class Denied(Outage):
    """The destination is there and lets nobody of our name write; somebody may give us the right."""


class Sink(Protocol):
    """A destination of events."""

    def deliver(self, events: Sequence[Event]) -> None:
        """Deliver one event, or several of the ops `JOINED` with one key. Twice must do no more than once.

        Raises:
            Rejected: See the class.
            Outage: See the class.
        """


class Courier(threading.Thread):
    """Delivers the spool file of this process, and before it those of dead ones in the same folder.

    Args:
        own: The spool file of this process.
        sink: Where the events go.
        destination: What to call it in messages.
    """

    def __init__(self, own: SpoolFile, sink: Sink, destination: str) -> None:
        super().__init__(name="courier", daemon=True)
        self._folder: Path = own.path.parent
        self._own = own
        self._sink = sink
        self._destination = destination
        self._changed = threading.Condition()
        self._orphans = adopt_orphans(self._folder)
        self._hurry = self._stopped = self._ended = False
        self._down_since: float | None = None
        self._told: set[str] = set()  # what is wrong, since then
        self._pause = FIRST_PAUSE

    def append(self, *events: Mapping[str, Any]) -> None:
        """Spool events and return; see `SpoolFile.append` for what is raised.

        Raises:
            ValueError: The courier was stopped.
        """
        with self._changed:
            if self._stopped:
                raise ValueError(f"an event must come before the end, but got {events[0]['op']!r} after it")
            self._own.append(*events)
            self._changed.notify_all()

    def flush(self, timeout: float) -> int:
        """Wait until everything is delivered, at most `timeout` seconds; the number of events left."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._left() or self._ended, timeout)
            return self._left()

    @property
    def is_cut_off(self) -> bool:
        """Whether the destination did not answer when it was last tried."""
        return self._down_since is not None

    def stop(self, timeout: float) -> int:
        """As `flush`, then end; what is left stays in the spool folder for the next start."""
        left = self.flush(timeout)
        with self._changed:
            if self._stopped:
                return left
            self._stopped = True
            self._changed.notify_all()
            for spool in (*self._orphans, self._own):
                spool.close()
            return left

    def run(self) -> None:
        """Deliver until stopped; the body of the thread."""
        try:
            while not self._stopped:
                source = self._next_source()
                if source is None:
                    self._rest()
                elif not self._send(source):
                    self._back_off()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _left(self) -> int:
        return self._own.left + sum(orphan.left for orphan in self._orphans)

    def _next_source(self) -> SpoolFile | None:
        with self._changed:
            if self._stopped:
                return None
            # A process may have died a moment ago: what it noted comes before what we say about it.
            self._orphans += adopt_orphans(self._folder)
            while self._orphans and not self._orphans[0].left:
                self._orphans.pop(0).close()
            if self._orphans:
                return self._orphans[0]
            return self._own if self._own.left else None

    def _rest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._hurry or self._left() > 0, IDLE_PAUSE)
            self._hurry = False

    def _back_off(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._hurry, self._pause)
            self._pause = FIRST_PAUSE if self._hurry else min(2 * self._pause, LONGEST_PAUSE)
            self._hurry = False

    def _send(self, source: SpoolFile) -> bool:
        """Deliver what the source holds now; False if the destination (or our own disk) is not there."""
        try:
            for entries in _groups(source.read(READ_AHEAD)):
                self._deliver(entries)
                self._note_answer()
                with self._changed:
                    if self._stopped:
                        break
                    source.commit(entries[-1].end, len(entries))
                    self._changed.notify_all()
        except Denied as denied:
            return self._note_trouble(
                f"{self._destination} does not let us write: its user needs the right", denied
            )
        except Outage as outage:
            return self._note_trouble(f"{self._destination} cannot be reached", outage)
        except OSError as error:
            return self._note_trouble(f"{self._folder} cannot be written", error)
        return True

    def _deliver(self, entries: Sequence[Entry]) -> None:
        try:
            self._sink.deliver([entry.event for entry in entries])
        except Rejected as verdict:
            if len(entries) == 1:
                self._note_rejection(entries[0].event, str(verdict))
                return
            for entry in entries:
                self._deliver([entry])

    def _note_rejection(self, event: Event, reason: str) -> None:
        reject(self._folder, event, reason)
        logger.warning(
            "%s refused %r of %r, kept in %s: %s",
            self._destination,
            event.get("op"),
            event.get("key"),
            self._folder / "rejected.jsonl",
            reason,
        )

    def _note_trouble(self, what: str, error: Exception) -> bool:
        if self._down_since is None:
            self._down_since = time.monotonic()
        if what not in self._told and not self._stopped:
            self._told.add(what)
            where = f"what is logged waits in {self._folder} and follows later"
            logger.warning("%s; %s: %s", what, where, " ".join(str(error).split()))
        return False

    def _note_answer(self) -> None:
        self._pause = FIRST_PAUSE
        self._told.clear()
        if self._down_since is not None:
            logger.warning(
                "%s answers again after %.0f s", self._destination, time.monotonic() - self._down_since
            )
            self._down_since = None


def _groups(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Runs of metrics and tags of one key go together, up to the most metrics that one request takes."""
    group: list[Entry] = []
    for entry in entries:
        if group and not _joins(group, entry):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _joins(group: Sequence[Entry], entry: Entry) -> bool:
    first, event = group[0].event, entry.event
    if first.get("op") not in JOINED or event.get("op") not in JOINED or first.get("key") != event.get("key"):
        return False
    return sum(len(other.event.get("metrics", ())) for other in (*group, entry)) <= METRICS_AT_ONCE
