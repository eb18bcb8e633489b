"""Who runs a trial: an identity that outlives no process, so that a dead owner is known as dead."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Owner:
    """A process, told apart from a later one with the same number.

    Attributes:
        host: Name of the machine.
        boot: The machine's boot, so that a restart is noticed, and the space that its process numbers are of,
            as two containers may have the name and the boot of one machine; empty where the system does not
            tell.
        pid: Process number.
        start: When the process started, in clock ticks since boot; 0 where the system does not tell.
    """

    host: str
    boot: str
    pid: int
    start: int

    @classmethod
    def of(cls, pid: int | None = None) -> Owner:
        """The identity of a process of this machine, by default this one."""
        pid = os.getpid() if pid is None else pid
        return cls(socket.gethostname(), _boot_id(), pid, _start_time(pid))

    def __str__(self) -> str:
        """The identity as trials carry it."""
        return f"{self.host}:{self.boot}:{self.pid}:{self.start}"

    @classmethod
    def parse(cls, text: str) -> Owner:
        """The identity that `str` wrote."""
        host, boot, pid, start = text.rsplit(":", 3)
        return cls(host, boot, int(pid), int(start))

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to be gone; one of another machine is never judged from here."""
        if self.host != socket.gethostname():
            return False
        boot, _, space = self.boot.partition("/")
        if boot != _boot_id().partition("/")[0]:
            return True
        if space and space != _boot_id().partition("/")[2]:
            return False  # of another container, whose processes nobody here can look up
        return not _exists(self.pid) or self.start != _start_time(self.pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _boot_id() -> str:
    """The boot, and after a stroke the number of the PID namespace (pid_namespaces(7))."""
    file, space = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not file.exists():
        return ""
    number = space.stat().st_ino if space.exists() else ""
    return f"{file.read_text().strip()}/{number}"


def _start_time(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)); the name in parentheses may hold spaces."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])
