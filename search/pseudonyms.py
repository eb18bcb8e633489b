"""Under what names participants and biopsies appear in trackers and dashboards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.files import whole_file

PSEUDONYMS, ORIGINAL = "pseudonyms", "original"  # of `tracking.identifiers`
COLUMNS = ("biopsy", "participant", "biopsy_id", "participant_id")


@dataclass(frozen=True)
class Names:
    """What a study's participants and biopsies are called where others can read it.

    Attributes:
        biopsy: One for each row of the study's dataset.
        participant: One for each participant, in the order of `Material.participant`.
    """

    biopsy: tuple[str, ...]
    participant: tuple[str, ...]


def names_of(biopsy_id: Sequence[str], participant_id: Sequence[str], identifiers: str) -> Names:
    """The names under which a study is published.

    Pseudonyms count: "B001" is the first row of the study's dataset, "P01" the first participant in it.

    Args:
        biopsy_id: The cohort's own, one for each row of the study's dataset.
        participant_id: The participant of each.
        identifiers: "pseudonyms", or "original" for the cohort's own.
    """
    participants = tuple(dict.fromkeys(participant_id))
    if identifiers == ORIGINAL:
        return Names(tuple(biopsy_id), participants)
    return Names(_numbered("B", len(biopsy_id), 3), _numbered("P", len(participants), 2))


def write_key(path: Path, biopsy_id: Sequence[str], participant_id: Sequence[str]) -> None:
    """Write which ids the pseudonyms stand for: a table for this machine alone, readable by its user only."""
    names = names_of(biopsy_id, participant_id, PSEUDONYMS)
    order = {person: place for place, person in enumerate(dict.fromkeys(participant_id))}
    lines = ["\t".join(COLUMNS)]
    for name, biopsy, person in zip(names.biopsy, biopsy_id, participant_id, strict=True):
        lines.append("\t".join((name, names.participant[order[person]], biopsy, person)))
    with whole_file(path) as draft:
        draft.touch(mode=0o600)
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_names(path: Path, identifiers: str) -> Names:
    """The names of a study whose cohort is not at hand, from the table that `write_key` wrote.

    Raises:
        OSError: There is no such table.
        ValueError: It is another table.
    """
    header, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    if tuple(header) != COLUMNS or any(len(row) != len(COLUMNS) for row in rows):
        raise ValueError(f"{path}: columns {', '.join(COLUMNS)} are needed, but got {', '.join(header)}")
    return names_of([row[2] for row in rows], [row[3] for row in rows], identifiers)


def _numbered(letter: str, count: int, digits: int) -> tuple[str, ...]:
    width = max(digits, len(str(count)))
    return tuple(f"{letter}{number:0{width}d}" for number in range(1, count + 1))
