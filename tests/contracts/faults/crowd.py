"""Several processes of one study on a database, each with a home of its own, disturbed at once."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from tests.contracts.faults.harness import finish, tail
from tests.contracts.faults.havoc import POLITE, Havoc
from tests.contracts.faults.victims import Forked, Victim, Warm, child_of, until

UNREACHABLE = 3  # what a start ends with that meets no database


@dataclass
class Member:
    """A process that is started again when it was killed.

    Attributes:
        number: Of its home; 0 runs the study, the others join it.
        process: The latest.
        left: Whether it was asked to go, and is to be back.
    """

    number: int
    process: Forked | None = None
    left: bool = False

    @property
    def code(self) -> int | None:
        return self.process.wait(0) if self.process else -signal.SIGKILL

    @property
    def is_done(self) -> bool:
        """Whether it went as there was nothing left to do."""
        return self.process is not None and self.code == 0 and not self.left


class Crowd(Havoc):
    """Disturbs a study that several processes run.

    Args:
        victim: The study.
        warm: Starts the processes.
        size: How many.
        seed: Of the moments, and of what is killed.
        span: Seconds between two blows, at most.
        hosts: Whether each takes itself to be on a machine of its own.
    """

    def __init__(
        self, victim: Victim, warm: Warm, size: int, seed: int, span: float, hosts: bool = False
    ) -> None:
        super().__init__(victim, lambda: self._begin(self.members[0]), seed, span)
        self._warm, self._hosts = warm, hosts
        self.members = [Member(number) for number in range(size)]

    def _begin(self, member: Member) -> Forked:
        host = f"node{member.number}" if self._hosts else None
        if member.number:
            member.process = self._warm.join(self._victim, member.number, host=host)
        else:
            member.process = self._warm.start(self._victim, host=host)
        member.left = False
        return member.process

    def settle(self) -> None:
        """Let the study come to its end."""
        for member in self.members:
            if not member.is_done and member.code is not None:
                self._begin(member)
        for member in self.members:
            assert member.process is not None
            finish(member.process, self._victim)
        # What they left in their homes goes out at the next start.
        for member in self.members:
            finish(self._begin(member), self._victim)
        self._look()

    def rage(self, kills: int) -> None:
        """Kill until enough were killed or all are done."""
        self._begin(self.members[0])
        while not self._books.trials():  # there is nothing to join before
            until(lambda: self._books.trials() or self.members[0].code is not None)
            if self.members[0].code not in (None, 0):
                self._begin(self.members[0])
        while self.kills < kills and not all(member.is_done for member in self.members):
            for member in self.members:
                if member.code is not None and not member.is_done and self._random.random() < 0.7:
                    self._begin(member)
            for member in self._random.sample(self.members, self._random.choice((1, 1, 2))):
                self._strike(member)
            self._look()
            self._check_codes()

    def _strike(self, member: Member) -> None:
        if member.process is None or member.code is not None:
            return
        self._pause(member.process)
        if member.code is not None:
            return
        blow = self._random.choice((self._owner, self._owner, self._both, self._child_at_once, None))
        if blow is not None:
            blow(member.process)
        elif member.number:
            member.left = self._signal(member.process.pid, signal.SIGTERM, f"worker {member.number}")

    def _child_at_once(self, owner: Forked) -> None:
        child = child_of(owner.pid)
        if child is not None and self._may_die(owner, 1):
            self._kill(child, "child")

    def _check_codes(self) -> None:
        for member in self.members:
            polite = POLITE[signal.SIGTERM] if member.left else ()
            if member.code not in (None, 0, -signal.SIGKILL, UNREACHABLE, *polite):
                self.wrong.append(
                    f"process {member.number} ended with {member.code}; it said\n{tail(self._victim.log)}"
                )
                member.process = None
