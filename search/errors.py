"""What can go wrong in a study, in two families: this trial failed, or the study must stop."""

from __future__ import annotations


class SearchError(Exception):
    """Root of the study manager's errors."""


class StudyStoppedError(SearchError):
    """Storage or tracking is gone, or every slot keeps failing: exit code 3."""


class TrialFailedError(SearchError):
    """This trial did not finish; `search.endings` decides what becomes of it.

    Attributes:
        cause: One of `search.endings.ENDINGS`.
    """

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__(message)
