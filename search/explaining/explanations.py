"""What a model looks at, as a record, and its files in the model's folder."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.files import whole_file
from data_prep.plain_files import read_plain
from data_prep.problems import InputError
from search.explaining.averages import Average, average
from search.explaining.blocks import in_millimetres
from search.explaining.effort import Chosen, Effort
from search.explaining.occlusion import Occlusion
from search.explaining.permutation import Loss, Permutation

FOLDER = "explanations"
RECORD, ARRAYS = "explanations.json", "occlusion.npz"
FORMAT = 1
MEANING = (
    "By the ensemble of each fold's members, on the biopsies held out from them. Effects are log-odds as "
    "they are less log-odds with the part covered; errors are over participants."
)

_MOST_BYTES = 2**30
_ARRAYS = ("row", "fold", "participant", "logit", "voxel_mm", "edges", "blocks", "whole")


@dataclass(frozen=True, eq=False)
class Explanations:
    """What a model looks at.

    Attributes:
        labels: Names of the K labels.
        sequences: Names of the C sequences, in channel order.
        chosen: How finely it was looked at.
        permutation: What exchanging each sequence costs, by label.
        occlusion: What each part of a patch adds, by biopsy.
    """

    labels: tuple[str, ...]
    sequences: tuple[str, ...]
    chosen: Chosen
    permutation: tuple[Permutation, ...]
    occlusion: Occlusion

    @property
    def biopsies(self) -> int:
        """How many were held out."""
        return len(self.occlusion.row)

    @property
    def participants(self) -> int:
        """Of how many participants."""
        return len(np.unique(self.occlusion.participant))

    def whole(self, label: int) -> Average:
        """What each sequence adds to one label, over the biopsies that have it; arrays of shape (C,)."""
        return self._average(self.occlusion.whole[:, label])

    def blocks(self, label: int) -> Average:
        """What each block of all sequences adds to one label; arrays of shape (B, B)."""
        return self._average(self.occlusion.blocks[:, label])

    def cells(self, label: int) -> Average | None:
        """What each block of each sequence adds to one label; arrays of shape (C, B, B)."""
        cells = self.occlusion.cells
        return None if cells is None else self._average(cells[:, label])

    def order(self, label: int) -> list[int]:
        """The sequences, the one that costs most when exchanged first; without an AUC by what they add."""
        losses = self.permutation[label].losses
        weight = (
            [one.drop for one in losses] if losses else np.nan_to_num(self.whole(label).absolute).tolist()
        )
        return sorted(range(len(self.sequences)), key=lambda one: (-weight[one], one))

    def edges_mm(self) -> list[float]:
        """Where blocks begin and the last ends, as distances from the biopsy by the mean voxel."""
        return in_millimetres(self.occlusion.edges, float(self.occlusion.voxel_mm.mean()))

    def as_json(self) -> dict[str, Any]:
        """Averages and what is said of each biopsy; biopsies are rows of the study's dataset."""
        low, high = self.occlusion.voxel_mm.min(), self.occlusion.voxel_mm.max()
        return {
            "format": FORMAT,
            "meaning": MEANING,
            "labels": list(self.labels),
            "sequences": list(self.sequences),
            "biopsies": self.biopsies,
            "participants": self.participants,
            "effort": {**asdict(self.chosen), "words": self.chosen.words},
            "permutation": [asdict(one) for one in self.permutation],
            "edges_voxels": self.occlusion.edges.tolist(),
            "edges_mm": self.edges_mm(),
            "voxel_mm": [float(low), float(high)],
            "occlusion": [self._averages(label) for label in range(len(self.labels))],
            "each": [self._biopsy(place) for place in range(self.biopsies)],
        }

    def _average(self, values: Any) -> Average:
        return average(np.asarray(values, dtype=np.float64), self.occlusion.participant)

    def _averages(self, label: int) -> dict[str, Any]:
        cells = self.cells(label)
        return {
            "label": self.labels[label],
            "sequences": _told(self.whole(label)),
            "blocks": _told(self.blocks(label)),
            "blocks_of_sequences": None if cells is None else _told(cells),
        }

    def _biopsy(self, place: int) -> dict[str, Any]:
        found = self.occlusion
        return {
            "row": int(found.row[place]),
            "fold": int(found.fold[place]),
            "log_odds": _plain(found.logit[place]),
            "sequences": _plain(found.whole[place]),
        }


def write_record(found: Explanations, folder: Path) -> None:
    """Write the record and the arrays of every biopsy into a folder.

    Raises:
        OSError: They cannot be written.
    """
    arrays = {name: getattr(found.occlusion, name) for name in _ARRAYS}
    if found.occlusion.cells is not None:
        arrays["cells"] = found.occlusion.cells
    with whole_file(folder / ARRAYS) as draft, draft.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
    with whole_file(folder / RECORD) as draft:
        text = json.dumps(found.as_json(), indent=1, allow_nan=False, ensure_ascii=False)
        draft.write_text(text + "\n", encoding="utf-8")


def read_explanations(folder: Path) -> Explanations | None:
    """What was written into a model's folder; None where nothing was.

    Args:
        folder: The model's.

    Raises:
        InputError: The files are damaged, or not of this version.
    """
    place = folder / FOLDER
    if not (place / RECORD).exists():
        return None
    try:
        told = json.loads(read_plain(place / RECORD, _MOST_BYTES).decode())
        with np.load(BytesIO(read_plain(place / ARRAYS, _MOST_BYTES)), allow_pickle=False) as held:
            arrays = {name: held[name] for name in (*_ARRAYS, "cells") if name in held or name in _ARRAYS}
        return _read(told, arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{place}: explanations of format {FORMAT} are needed, but got {error}") from error


def _read(told: Mapping[str, Any], arrays: Mapping[str, Any]) -> Explanations:
    if told["format"] != FORMAT:
        raise ValueError(f"format {told['format']}")
    effort = told["effort"]
    found = Explanations(
        labels=tuple(map(str, told["labels"])),
        sequences=tuple(map(str, told["sequences"])),
        chosen=Chosen(Effort(**effort["effort"]), effort["seconds"], effort["limit"]),
        permutation=tuple(
            Permutation(one["roc_auc"], tuple(Loss(**loss) for loss in one["losses"]))
            for one in told["permutation"]
        ),
        occlusion=Occlusion(**{"cells": None, **arrays}),
    )
    n, labels, sequences = found.occlusion.whole.shape
    if (labels, sequences) != (len(found.labels), len(found.sequences)) or n != len(found.occlusion.row):
        raise ValueError(f"arrays of {n} biopsies, {labels} labels and {sequences} sequences")
    return found


def _told(one: Average) -> dict[str, Any]:
    return {
        "mean": _plain(one.mean),
        "error": _plain(one.error),
        "absolute": _plain(one.absolute),
        "absolute_error": _plain(one.absolute_error),
        "biopsies": one.count.tolist(),
    }


def _plain(values: npt.NDArray[Any]) -> Any:
    """Numbers as JSON has them, null where there is none."""
    if values.ndim:
        return [_plain(part) for part in values]
    return None if np.isnan(values) else float(values)
