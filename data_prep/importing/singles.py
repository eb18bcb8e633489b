"""One file for each participant, session and sequence: two are a mistake that only the user can settle."""

from __future__ import annotations

from collections.abc import Iterable

from data_prep.importing.records import Found
from data_prep.problems import Problems


def keep_one_each(files: Iterable[Found], hint: str, problems: Problems) -> tuple[Found, ...]:
    """Keep the first of the files that mean the same.

    Args:
        files: In any order.
        hint: What to do about two that mean the same.
        problems: Receives a line for each that means the same as an earlier one, naming both.
    """
    first: dict[tuple[str, str | None, str, bool], Found] = {}
    for file in sorted(files, key=lambda file: file.label):
        known = first.setdefault((file.participant, file.session, file.name, file.mask), file)
        if known is not file:
            session = f" of {file.session}" if file.session else ""
            problems.add(
                file.label,
                f"{file.name} of {file.participant}{session} must be one file, "
                f"but {known.label} is the same by its name. {hint}",
            )
    return tuple(first.values())
