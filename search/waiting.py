"""A worker that starts while its storage or MLflow is away: it tries again, for as long as it was told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from search.errors import BeyondWaitingError, StudyStoppedError

PAUSE_SECONDS = 5.0

Result = TypeVar("Result")


def tried_again(call: Callable[[], Result], seconds: float, tell: Callable[[str], None]) -> Result:
    """The result of a call that is repeated while it says that the study must stop.

    Args:
        call: What needs them.
        seconds: For how long; 0 to call once.
        tell: Gets one line when it fails first.

    Raises:
        StudyStoppedError: It still does, or says so of something that does not mend itself.
    """
    deadline, is_told = time.monotonic() + seconds, False
    while True:
        try:
            return call()
        except BeyondWaitingError:
            raise
        except StudyStoppedError as error:
            if time.monotonic() + PAUSE_SECONDS > deadline:
                raise
            if not is_told:
                tell(f"{error}; it is tried again for {seconds:.0f} s")
            is_told = True
        time.sleep(PAUSE_SECONDS)
