"""Maps of an earlier call that may stay: by the same model of the same images, asked for in the same way."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from data_prep.plain_files import MAX_TABLE_BYTES, read_text
from data_prep.problems import InputError
from data_prep.survey import Progress
from search.maps.asking import Asking
from search.maps.index import summary_rows
from search.maps.making import Made, place_of
from search.maps.record import RECORD, Told, asked_record, participant_record
from search.maps.score import MapScore

_SCORES: Final = TypeAdapter(tuple[MapScore, ...])
_SAME: Final = ("format", "cohort", "participant", "stride")


def kept_maps(
    asking: Asking, participants: Sequence[str], out: Path, progress: Progress | None = None
) -> list[Made]:
    """The maps that need not be drawn again.

    Args:
        asking: What is to be drawn.
        participants: Of the cohort.
        out: The folder of all maps.
        progress: Called with participants done and in all.
    """
    found = []
    for done, who in enumerate(participants, start=1):
        made = _kept(asking, who, place_of(out, who))
        if made is not None:
            found.append(made)
        if progress is not None:
            progress(done, len(participants))
    return found


def _kept(asking: Asking, participant: str, place: Path) -> Made | None:
    """The maps in a folder; None where what lies there is anything else, or not whole."""
    if place.is_symlink() or not (place / RECORD).is_file():
        return None
    try:
        record = json.loads(read_text(place / RECORD, MAX_TABLE_BYTES))
        files = [name for told in record["maps"] for name in told["files"]]
        if not _same(record, asking, participant) or not all((place / name).is_file() for name in files):
            return None
        scores = _SCORES.validate_python([one for told in record["maps"] for one in told.get("scores", ())])
        made = Made(participant, place, record, (), scores)
        summary_rows(made)
    except (OSError, InputError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return made


def _same(record: Told, asking: Asking, participant: str) -> bool:
    """Whether a map would be drawn like that again.

    Somebody who was not in the training set gets all members, out of fold or not.
    """
    wanted = participant_record(asking, participant, None, ())
    return (
        {name: record[name] for name in _SAME} == {name: wanted[name] for name in _SAME}
        and record["model"]["hash"] == wanted["model"]["hash"]
        and (not record["in_training"] or record["out_of_fold"] == asking.out_of_fold)
        and record["asked"] == asked_record(asking, participant)
    )
