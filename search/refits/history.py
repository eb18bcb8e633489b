"""The permutation tests that a study has had: a file of one JSON object a line that only grows.

Whoever tests again, with another seed or another reduction, and reports one of the p-values has chosen it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from data_prep.files import make_folders, naming, whole_lines, write_at_end
from data_prep.problems import InputError
from search.home import StudyFolder
from search.study_lock import exclusive

FILE, LOCK = "permutation-tests.jsonl", "permutation-tests.lock"


@dataclass(frozen=True)
class Past:
    """One test that was carried through.

    Attributes:
        time: When it ended, UTC, ISO 8601.
        study_id: Of which study; an earlier one may have had the same name.
        null: What was shuffled, as in `search.refits.orders.NULLS`.
        p_value: What was found.
        permutations: How many.
        configurations: How many each search had.
        seed: Of permutations and configurations.
        reductions: What the repeated search had otherwise than the study.
        protocol: A hash of all that the result depends on but the number of permutations.
    """

    time: str
    study_id: str
    null: str
    p_value: float
    permutations: int
    configurations: int
    seed: int
    reductions: tuple[str, ...]
    protocol: str

    @property
    def result(self) -> tuple[str, int, float]:
        """What a test that is run again as it was has in common with the first."""
        return self.protocol, self.permutations, self.p_value

    @classmethod
    def of(cls, fields: dict[str, object]) -> Past:
        """From what `asdict` and JSON made of it.

        Raises:
            TypeError: Some field is missing, or unknown.
        """
        return cls(**{**fields, "reductions": tuple(fields["reductions"])})  # type: ignore[arg-type]


def now() -> str:
    """The time, UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def add_test(folder: StudyFolder, test: Past) -> tuple[Past, ...]:
    """Put a test on record, durably.

    Returns:
        The other tests of this null on this study that were carried through before, the first one first; a
        test that was only run again as it was is no other.

    Raises:
        InputError: The file is not one that this function wrote.
        OSError: It cannot be written.
    """
    path = folder.root / FILE
    make_folders(folder.root)
    with naming(path), exclusive(folder.root / LOCK):
        before = read_tests(folder)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            end = len(whole_lines(path))
            write_at_end(descriptor, (json.dumps(asdict(test), allow_nan=False) + "\n").encode(), end)
        finally:
            os.close(descriptor)
    same = [one for one in before if (one.study_id, one.null) == (test.study_id, test.null)]
    different = {one.result: one for one in reversed(same) if one.result != test.result}
    return tuple(reversed(different.values()))


def read_tests(folder: StudyFolder) -> tuple[Past, ...]:
    """All tests on record in a study's folder, the first one first; none where there is no file.

    Raises:
        InputError: The file is not one that `add_test` wrote.
    """
    path = folder.root / FILE
    lines = whole_lines(path).splitlines() if path.exists() else []
    try:
        return tuple(Past.of(json.loads(line)) for line in lines)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: the permutation tests of the study cannot be read: {error}") from error
