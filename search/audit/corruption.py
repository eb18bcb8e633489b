"""A copy of a cohort on disk in which the images of some participants are noise."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import nibabel
import numpy as np

from data_prep.records import MASKS, Biopsy, Cohort
from data_prep.volumes import Volume, open_volume

VISIT = "audit_visit"  # the column of the copy's biopsy table that its paths are made of
NOISE = 1000.0


def corrupted_copy(cohort: Cohort, folder: Path, noisy: Collection[str], seed: int) -> Path:
    """Write the copy: tables and noise are its own, all other files are links.

    Args:
        cohort: The cohort.
        folder: Where to write; made here.
        noisy: Biopsies of the participants whose images become noise; files that they share with others
            become noise for these, too.
        seed: Of the noise.

    Returns:
        `folder`.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    groups = cohort.by_columns_of_paths()
    visits = {biopsy.biopsy_id: number for number, group in enumerate(groups) for biopsy in group}
    noise = {
        path.resolve()
        for biopsy in cohort.biopsies
        if biopsy.biopsy_id in noisy
        for path in cohort.images(biopsy, cohort.sequences).values()
    }
    for number, group in enumerate(groups):
        for name, path in _files(cohort, group[0]).items():
            target = folder / str(number) / f"{name}{_suffix(path)}"
            target.parent.mkdir(exist_ok=True)
            if path.resolve() in noise and not name.startswith("mask-"):
                _write_noise(open_volume(path), target, rng)
            else:
                target.symlink_to(path.resolve())
    _write_tables(cohort, folder, visits)
    return folder


def _files(cohort: Cohort, biopsy: Biopsy) -> dict[str, Path]:
    masks = {f"mask-{name}": path for name, path in cohort.masks(biopsy).items()}
    return cohort.images(biopsy, cohort.sequences) | masks


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".gz") else ".nii"


def _write_noise(volume: Volume, target: Path, rng: np.random.Generator) -> None:
    """Gaussian noise on the grid of a volume."""
    noise = rng.normal(NOISE, NOISE / 10, size=volume.grid.shape).astype(np.float32)
    image = nibabel.Nifti1Image(noise, volume.grid.affine)  # type: ignore[no-untyped-call]
    image.to_filename(target)


def _write_tables(cohort: Cohort, folder: Path, visits: dict[str, int]) -> None:
    rows = [["biopsy_id", "participant_id", VISIT, "x", "y", "z"]]
    for biopsy in cohort.biopsies:
        position = [repr(value) for value in biopsy.position]
        rows.append([biopsy.biopsy_id, biopsy.participant_id, str(visits[biopsy.biopsy_id]), *position])
    _write_rows(folder / "biopsies.tsv", rows)
    if cohort.expression is not None:
        table = cohort.expression
        rows = [["biopsy_id", *table.genes]]
        for name, values in zip(table.biopsy_id, table.values.tolist(), strict=True):
            rows.append([name, *("n/a" if value != value else repr(value) for value in values)])
        _write_rows(folder / "expression.tsv", rows)
    (folder / "cohort.toml").write_text(_cohort_toml(cohort), encoding="utf-8")


def _write_rows(path: Path, rows: list[list[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def _cohort_toml(cohort: Cohort) -> str:
    """A cohort.toml; strings of JSON are strings of TOML."""
    file = cohort.file
    lines = [
        f"name = {json.dumps(file.name)}",
        f"images = {json.dumps(f'{{{VISIT}}}/{{sequence}}{_suffix(Path(file.images))}')}",
        f"sequences = {json.dumps(list(file.sequences))}",
        'biopsies = "biopsies.tsv"',
        *(['expression = "expression.tsv"'] if cohort.expression is not None else []),
        "follow_links = true",
        "[coordinates]",
        f"space = {json.dumps(file.coordinates.space)}",
        *(
            [f"convention = {json.dumps(file.coordinates.convention)}"]
            if file.coordinates.space == "world"
            else []
        ),
        "[masks]",
    ]
    for mask in MASKS:
        template = getattr(file.masks, mask)
        if template is not None:
            lines.append(f"{mask} = {json.dumps(f'{{{VISIT}}}/mask-{mask}{_suffix(Path(template))}')}")
    return "\n".join(lines) + "\n"
