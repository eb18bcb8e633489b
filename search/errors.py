"""What can go wrong in a study, in two families: this trial failed, or the study must stop."""

from __future__ import annotations


class SearchError(Exception):
    """Root of the study manager's errors."""


class StudyStoppedError(SearchError):
    """Storage or tracking is gone, or every slot keeps failing: exit code 3."""


class BeyondWaitingError(StudyStoppedError):
    """The same of something that does not mend itself: a password that is refused, a damaged file."""


class NothingStartedError(StudyStoppedError):
    """A study is open, and no worker could be started for it."""


class TrialFailedError(SearchError):
    """This trial did not finish; `search.endings` decides what becomes of it.

    Attributes:
        cause: One of `search.endings.ENDINGS`.
        details: What is for the terminal and the log alone; it may name files, and with them participants.
    """

    def __init__(self, cause: str, message: str, details: str = "") -> None:
        self.cause, self.details = cause, details
        super().__init__(message)
