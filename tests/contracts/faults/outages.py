"""A PostgreSQL that is killed again and again, and comes back."""

from __future__ import annotations

import random
import threading
import time

from tests.postgresql import Cluster


class Outages(threading.Thread):
    """Kills a server at random moments and starts it again; to be used in a `with` block.

    Args:
        cluster: The server, running; it runs again at the end of the block.
        seed: Of the moments.
        up: Least and most seconds between a start and the next kill.
        down: The same between a kill and the next start.

    Attributes:
        history: What was done, a line each.
    """

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        up: tuple[float, float] = (0.3, 3.0),
        down: tuple[float, float] = (0.2, 4.0),
    ) -> None:
        super().__init__(name="outages", daemon=True)
        self._cluster, self._up, self._down = cluster, up, down
        self._random = random.Random(seed)  # noqa: S311
        self._over = threading.Event()
        self._began = time.monotonic()
        self._failure: Exception | None = None
        self.history: list[str] = []

    @property
    def kills(self) -> int:
        return len(self.history)

    def run(self) -> None:
        try:
            while not self._over.wait(self._random.uniform(*self._up)):
                away = self._random.uniform(*self._down)
                self.history.append(
                    f"{time.monotonic() - self._began:7.2f} s: SIGKILL to PostgreSQL, for {away:.1f} s"
                )
                self._cluster.kill()
                self._over.wait(away)
                self._cluster.start()
        except Exception as error:
            self._failure = error

    def __enter__(self) -> Outages:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()
        if self._failure is not None:
            raise self._failure
