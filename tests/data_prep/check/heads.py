"""Small cohorts with heads, tumours and masks, written to files: sound until a test plants something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

SIZE = 32
AFFINE = np.array([[1.0, 0, 0, -10], [0, 1, 0, -24], [0, 0, 1, -5], [0, 0, 0, 1]])
SEQUENCES = ("T1", "T2", "FLAIR")
CENTRES = [(22, 18, 17), (10, 14, 19), (21, 12, 14), (11, 19, 15)]


def write_heads(folder: Path, space: str = "world", masks: Sequence[str] = ("brain", "tumor")) -> Path:
    """Four participants of three biopsies each, all of them in the tumour; world RAS or voxels."""
    rng = np.random.default_rng(0)
    rows = []
    for number, centre in enumerate(CENTRES):
        place = folder / f"sub-{number}"
        place.mkdir(parents=True)
        brain, tumor = ball((16, 16, 16), (12, 14, 13)), ball(centre, (5, 5, 5))
        tissue = gaussian_filter(rng.normal(size=(SIZE,) * 3), 1.5) * 8
        for image, name in zip(contrasts(brain, tumor, tissue, rng), SEQUENCES, strict=True):
            save(place / f"{name}.nii.gz", image)
        save(place / "brain.nii.gz", brain.astype(np.uint8))
        save(place / "tumor.nii.gz", tumor.astype(np.uint8))
        for shift in ((0, 0, 0), (3, 1, -1), (-2, 2, 2)):
            site = np.add(centre, shift)
            rows.append([f"sub-{number}", *(site + AFFINE[:3, 3] if space == "world" else site)])
    write_sites(folder, rows)
    lines = [
        'name = "heads"',
        'images = "{participant_id}/{sequence}.nii.gz"',
        f"sequences = {list(SEQUENCES)}",
        'biopsies = "biopsies.tsv"',
        f'[coordinates]\nspace = "{space}"',
        "[masks]",
        *(f'{name} = "{{participant_id}}/{name}.nii.gz"' for name in masks),
    ]
    (folder / "cohort.toml").write_text("\n".join(lines) + "\n")
    return folder


def contrasts(
    brain: np.ndarray, tumor: np.ndarray, tissue: np.ndarray, rng: np.random.Generator
) -> list[np.ndarray]:
    """One anatomy by three contrasts, as dark, bright and folded grey values, with noise."""
    shown = [
        500 + 80 * tissue - 150 * tumor,
        400 - 60 * tissue + 200 * tumor,
        300 + 90 * np.abs(tissue) + 90 * tumor,
    ]
    return [(image * brain + 5 * np.abs(rng.normal(size=brain.shape))).astype(np.float32) for image in shown]


def ball(centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.arange(SIZE)] * 3, indexing="ij"), axis=-1)
    return np.asarray((((grid - centre) / radii) ** 2).sum(axis=-1) <= 1)


def save(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nib.save(nib.Nifti1Image(voxels, affine), path)


def resave(path: Path, change: Callable[[np.ndarray], np.ndarray], shift: float = 0.0) -> None:
    """Change the voxels, and move them by as many mm along each axis."""
    image = nib.load(path)
    affine = image.affine.copy()
    affine[:3, 3] += shift
    save(path, change(np.asarray(image.dataobj)), affine)


def read_sites(folder: Path) -> list[list[object]]:
    lines = (folder / "biopsies.tsv").read_text().splitlines()[1:]
    return [[cells[1], *map(float, cells[2:])] for cells in (line.split("\t") for line in lines)]


def write_sites(folder: Path, rows: Sequence[Sequence[object]]) -> None:
    lines = [f"b{k:02}\t" + "\t".join(map(str, row)) for k, row in enumerate(rows)]
    (folder / "biopsies.tsv").write_text("\n".join(["biopsy_id\tparticipant_id\tx\ty\tz", *lines]) + "\n")


def change_sites(
    folder: Path, change: Callable[[np.ndarray], Sequence[float]], who: str | None = None
) -> None:
    rows = [
        [row[0], *(change(np.array(row[1:], float)) if who in (None, row[0]) else row[1:])]
        for row in read_sites(folder)
    ]
    write_sites(folder, rows)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the checksum
    path.write_bytes(bytes(content))


FAULTS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": cut,
    "damaged": flip_a_bit,
    "unreadable": lambda path: path.write_text("DICM, or so"),
}
"""Ways to spoil a compressed file, by the fault that is to be told."""
