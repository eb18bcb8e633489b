"""The maps of one participant: whole in a folder of their own, or not there at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from data_prep.phantom.write import json_bytes, new_folder
from data_prep.problems import InputError
from data_prep.regions import region_of
from data_prep.survey import Progress
from data_prep.windows import Windows, open_windows
from search.deployment.predictor import Predictor
from search.maps import words
from search.maps.asking import Asking
from search.maps.drawing import draw
from search.maps.marks import marks_of
from search.maps.naming import file_name
from search.maps.record import RECORD, Told, map_record, participant_record
from search.maps.scene import Scene, scene_of
from search.maps.score import MapScore, score_labels
from search.maps.writing import write_page, write_pictures, write_volumes


@dataclass(frozen=True, eq=False)
class Made:
    """The maps of one participant.

    Attributes:
        participant: Whose.
        folder: Where they are.
        record: What map.json says.
        scenes: The map of each visit.
        scores: Of each that was held against a truth.
    """

    participant: str
    folder: Path
    record: Told
    scenes: tuple[Scene, ...]
    scores: tuple[MapScore, ...]


@dataclass(frozen=True, eq=False)
class Telling:
    """Who is told how far the drawing is.

    Attributes:
        progress: Called with voxels done and in all.
        forecast: Called with the seconds that a longer map will still take.
    """

    progress: Progress | None = None
    forecast: Callable[[float], None] | None = None


def place_of(out: Path, participant: str) -> Path:
    """The folder of a participant's maps."""
    return out / file_name(participant)


def check_free(out: Path, participants: Sequence[str]) -> None:
    """Refuse to draw where maps are already.

    Raises:
        InputError: A line for each participant whose folder is there and not empty.
    """
    taken = []
    for who in participants:
        place = place_of(out, who)
        if place.is_symlink() or (place.exists() and not (place.is_dir() and not any(place.iterdir()))):
            taken.append(f"--out: maps of {who} must be new, but {place} is there. Choose another folder")
    if taken:
        raise InputError(taken)


def make_maps(
    asking: Asking, predictor: Predictor, participant: str, fold: int | None, out: Path, telling: Telling
) -> Made:
    """Draw and write the maps of one participant.

    Args:
        asking: What is to be drawn.
        predictor: Who answers.
        participant: Whose maps.
        fold: In which they were held out of the training; None if they were not in it.
        out: Where their folder goes.
        telling: Who is told how far it is.

    Raises:
        InputError: Every problem of the images, or of the mask; the folder is taken or cannot be written.
        OSError: The disk is full.
    """
    opened = open_windows(asking.cohort, participant, asking.model.request)
    place = place_of(out, participant)
    scenes, scores, told = [], [], []
    with new_folder(place) as folder:
        for windows in opened:
            scene, score, record = _make(asking, predictor, windows, fold, folder.root, telling)
            scenes.append(scene)
            scores += score
            told.append(record)
        record = participant_record(asking, participant, fold, told)
        folder.write(RECORD, json_bytes(record))
    return Made(participant, place, record, tuple(scenes), tuple(scores))


def _make(
    asking: Asking, predictor: Predictor, windows: Windows, fold: int | None, folder: Path, telling: Telling
) -> tuple[Scene, list[MapScore], Told]:
    """The map of one visit, its score where there is a truth, and what is told of it."""
    began = time.monotonic()
    region = region_of(windows, asking.cohort, asking.within, asking.mask)
    drawn = draw(predictor, windows, region, asking.stride, telling.progress, telling.forecast)
    seconds = time.monotonic() - began
    marks = marks_of(windows, asking.cohort, asking.model.facts.labels)
    scene = scene_of(windows, drawn, marks, words.said(asking, fold))
    scores: list[MapScore] = []
    if asking.truth is not None:
        scores = score_labels(asking.truth, windows.participant, drawn, asking.model.request)
    files = write_volumes(scene, folder, windows.placed_like) + write_pictures(scene, folder)
    page = write_page(
        scene, folder, words.rows(scene, region, asking, fold), words.notes(scene, asking, fold)
    )
    told = map_record(scene, region, seconds, [page, *files], [asdict(score) for score in scores])
    return scene, scores, told
