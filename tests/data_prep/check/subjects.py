"""Cohorts in memory, for tests of what is said of them: no file is written or read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_prep.check.subject import Digest, File, Placement, Subject, Visited, block_averaged
from data_prep.cohort_file import CohortFile
from data_prep.geometry import Grid
from data_prep.records import Biopsy, Cohort, Expression
from data_prep.volumes import Volume

SIZE = 24


def digest(voxels: np.ndarray) -> Digest:
    """Of canonical voxels, by the words of `Digest`."""
    values = voxels[np.isfinite(voxels)].astype(np.float64)
    filled = values[values != 0]
    return Digest(
        low=float(values.min()),
        high=float(values.max()),
        mean=float(values.mean()),
        std=float(values.std()),
        zeros=float(np.mean(voxels == 0)),
        negative=float(np.mean(voxels < 0)),
        unusable=int((~np.isfinite(voxels)).sum()),
        at_top=float(np.mean(filled == filled.max())) if filled.size else 0.0,
        at_bottom=float(np.mean(filled == filled.min())) if filled.size else 0.0,
        content=hashlib.sha256(voxels.astype("<f4").tobytes()).hexdigest(),
        small=block_averaged(np.nan_to_num(voxels).astype(np.float32)),
    )


def image(voxels: np.ndarray, name: str, label: str, kind: str = "image") -> File:
    grid = Grid(tuple(voxels.shape), np.eye(4))  # type: ignore[arg-type]
    volume = Volume(Path(label), grid, np.dtype("<f4"), 352, 1.0, 0.0, True)
    return File(name, kind, label, volume, np.eye(4), np.eye(4), digest(voxels), None)


def noise(seed: int, size: int = SIZE) -> np.ndarray:
    """Grey values as of a scanner: positive, no two alike."""
    return np.random.default_rng(seed).gamma(4.0, 50.0, size=(size,) * 3).astype(np.float32)


def biopsy(name: str, who: str, at: tuple[float, float, float], row: int) -> Biopsy:
    columns = {"biopsy_id": name, "participant_id": who}
    return Biopsy(name, who, at, row, columns)


def cohort(
    biopsies: Sequence[Biopsy],
    sequences: tuple[str, ...] = ("T1", "T2"),
    expression: Expression | None = None,
    space: str = "world",
    root: Path = Path("nowhere"),
    images: str = "{participant_id}/{sequence}.nii.gz",
) -> Cohort:
    file = CohortFile.model_validate(
        {
            "name": "toy",
            "images": images,
            "sequences": list(sequences),
            "biopsies": "biopsies.tsv",
            "coordinates": {"space": space},
        }
    )
    return Cohort("toy", root, sequences, tuple(biopsies), file.coordinates, expression, file)


def visit(
    biopsies: Sequence[Biopsy],
    images: Mapping[str, np.ndarray],
    repeats: Mapping[str, np.ndarray] | None = None,
) -> Visited:
    who = biopsies[0].participant_id
    files = {name: image(voxels, name, f"{who}/{name}.nii.gz") for name, voxels in images.items()}
    again = {
        name: image(voxels, name, f"{who}/again/{name}.nii.gz", "repeat")
        for name, voxels in (repeats or {}).items()
    }
    return Visited(tuple(biopsies), files, {}, again)


def subject(people: Mapping[str, Mapping[str, np.ndarray]], problems: Sequence[str] = ()) -> Subject:
    """One biopsy a participant, with the images given."""
    visits = []
    for row, (who, images) in enumerate(people.items(), start=2):
        visits.append(visit([biopsy(f"b{row}", who, (5.0, 5.0, 5.0), row)], images))
    sequences = tuple(dict.fromkeys(name for images in people.values() for name in images))
    every = [each for seen in visits for each in seen.biopsies]
    return Subject(cohort(every, sequences), tuple(problems), tuple(visits))


def placement(edge: float) -> Placement:
    grid = Grid((SIZE,) * 3, np.diag([edge, edge, edge, 1.0]))
    return Placement(grid, np.zeros((0, 3), dtype=np.int64), {}, {}, None)
