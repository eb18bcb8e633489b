"""A cohort that was looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.check.reading import inspect
from data_prep.check.subject import Subject


@pytest.fixture
def looked_at(cohort_folder: Path) -> Callable[[], Subject]:
    """Reads the small cohort, after a test has changed it."""
    return lambda: inspect(cohort_folder, None)
