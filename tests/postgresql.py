"""A real PostgreSQL for tests and benchmarks: started without root, or as another user where we are root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy

PASSWORD = "correct-horse-battery"  # noqa: S105 - of a database that lives as long as the tests
SETTINGS = {"fsync": "off", "unix_socket_directories": "", "listen_addresses": "127.0.0.1"}


def find_programs() -> Path | None:
    """The folder of initdb and postgres; None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class Cluster:
    """One PostgreSQL server, in a folder of its own.

    Args:
        programs: Of `find_programs`.
        settings: Of the server, beyond `SETTINGS`.
    """

    def __init__(self, programs: Path, **settings: str) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="radsearch-pg-"))
        self._data, self._log = self._folder / "data", self._folder / "log"
        self._as_user = _unprivileged()
        if self._as_user is not None:
            os.chown(self._folder, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        self.port = _free_port()
        self._settings = SETTINGS | settings | {"port": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._make()

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["--username=radsearch", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
        command = [self._programs / "initdb", f"--pgdata={self._data}", "--encoding=UTF8", *options]
        subprocess.run(
            command, check=True, capture_output=True, preexec_fn=self._as_user, cwd="/", timeout=120
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [part for item in self._settings.items() for part in ("-c", "=".join(item))]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                preexec_fn=self._as_user,
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            assert time.monotonic() < deadline, self._log.read_text()[-2000:]
            time.sleep(0.05)

    def _answers(self) -> bool:
        engine = sqlalchemy.create_engine(self.url("postgres"), poolclass=sqlalchemy.NullPool)
        try:
            engine.connect().close()
        except sqlalchemy.exc.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End it and its processes at once, as a power cut would; `start` recovers."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Shut it down, cutting connections off; `start` goes on."""
        self._end(signal.SIGINT)

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Have it stand still within the block, as on a disk that hangs: nobody answers a connection."""
        assert self._process is not None
        pids = [self._process.pid, *_descendants(self._process.pid)]
        try:
            for pid in pids:
                _kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                _kill(pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        pid = self._process.pid
        if number == signal.SIGKILL:
            # Its processes are in its group, but for those that made one of their own.
            for child in _descendants(pid):
                _kill(child)
            _kill(pid)
        else:
            os.kill(pid, number)
        self._process.wait(60)
        self._process = None

    @property
    def pid(self) -> int:
        """Of its first process while it runs."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str, password: str = PASSWORD) -> str:
        """The address of one of its databases."""
        return f"postgresql://radsearch:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str | None = None) -> str:
        """Make a database, an empty one or a copy of the one at an address; its own address."""
        self._databases += 1
        name = f"db{self._databases}"
        engine = sqlalchemy.create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            source = sqlalchemy.make_url(template).database if template else "template1"
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name} TEMPLATE {source}"))
        engine.dispose()
        return self.url(name)

    def remove(self) -> None:
        """End it and delete its files."""
        self.kill()
        shutil.rmtree(self._folder)


@contextmanager
def cluster(**settings: str) -> Iterator[Cluster | None]:
    """A running server within the block; None where PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        yield None
        return
    server = Cluster(programs, **settings)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _unprivileged() -> Callable[[], None] | None:
    """What makes a new process of ours one of the user nobody; PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    user = pwd.getpwnam("nobody")

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(number) for number in children.read_text().split()] if children.exists() else []


def _kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
