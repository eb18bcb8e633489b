"""A copy of a cohort on disk in which the images of some participants are noise."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import nibabel
import numpy as np

from data_prep.records import MASKS, Cohort
from data_prep.repeats import second_scans
from data_prep.volumes import Volume, open_volume

VISIT = "audit_visit"  # the column of the copy's biopsy table that its paths are made of
AGAIN = "again"  # the folder of a visit's second scans
NOISE = 1000.0


def corrupted_copy(cohort: Cohort, folder: Path, noisy: Collection[str], seed: int) -> Path:
    """Write the copy: tables and noise are its own, all other files are links.

    It says of its images and biopsies all that the cohort does, so that a study that reads it differs by the
    noise alone.

    Args:
        cohort: The cohort.
        folder: Where to write; made here.
        noisy: Biopsies of the participants whose images become noise, those of second scans too: training
            must look at neither. Files that they share with others become noise for these, too.
        seed: Of the noise.

    Returns:
        `folder`.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    groups, images = cohort.by_columns_of_paths(), _images_of(cohort)
    visits = {biopsy.biopsy_id: number for number, group in enumerate(groups) for biopsy in group}
    noise = {path.resolve() for name in noisy for path in images[name].values()}
    for number, group in enumerate(groups):
        for name, path in images[group[0].biopsy_id].items():
            target = _target(folder / str(number), name, path)
            if path.resolve() in noise:
                _write_noise(open_volume(path), target, rng)
            else:
                target.symlink_to(path.resolve())
        for name, path in cohort.masks(group[0]).items():
            _target(folder / str(number), f"mask-{name}", path).symlink_to(path.resolve())
    _write_tables(cohort, folder, visits)
    return folder


def _images_of(cohort: Cohort) -> dict[str, dict[str, Path]]:
    """Paths of the images of each biopsy, second scans as "again/SEQUENCE"."""
    found = {biopsy.biopsy_id: cohort.images(biopsy, cohort.sequences) for biopsy in cohort.biopsies}
    second = second_scans(cohort)
    if second is not None:
        for biopsy in second.biopsies:
            again = second.images(biopsy, cohort.sequences)
            found[biopsy.biopsy_id] |= {f"{AGAIN}/{name}": path for name, path in again.items()}
    return found


def _target(visit: Path, name: str, path: Path) -> Path:
    """Where a file of a visit goes in the copy."""
    target = visit / f"{name}{_suffix(path)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".gz") else ".nii"


def _write_noise(volume: Volume, target: Path, rng: np.random.Generator) -> None:
    """Gaussian noise on the grid of a volume."""
    noise = rng.normal(NOISE, NOISE / 10, size=volume.grid.shape).astype(np.float32)
    image = nibabel.Nifti1Image(noise, volume.grid.affine)  # type: ignore[no-untyped-call]
    image.to_filename(target)


def _write_tables(cohort: Cohort, folder: Path, visits: dict[str, int]) -> None:
    tables = [{**biopsy.columns, VISIT: str(visits[biopsy.biopsy_id])} for biopsy in cohort.biopsies]
    _write_rows(folder / "biopsies.tsv", [list(tables[0]), *(list(table.values()) for table in tables)])
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
    """A cohort.toml; strings and lists of strings of JSON are those of TOML."""
    file = cohort.file
    lines = [
        f"name = {json.dumps(file.name)}",
        f"images = {_template('{sequence}', file.images)}",
        f"sequences = {json.dumps(list(file.sequences))}",
        'biopsies = "biopsies.tsv"',
        *(['expression = "expression.tsv"'] if cohort.expression is not None else []),
        *([] if file.quantitative is None else [f"quantitative = {json.dumps(list(file.quantitative))}"]),
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
            lines.append(f"{mask} = {_template(f'mask-{mask}', template)}")
    if file.repeats is not None:
        lines += ["[repeats]", f"images = {_template(f'{AGAIN}/{{sequence}}', file.repeats.images)}"]
    return "\n".join(lines) + "\n"


def _template(name: str, of: str) -> str:
    """The template of a visit's files, as TOML; `of` is the cohort's own, whose suffix they keep."""
    return json.dumps(f"{{{VISIT}}}/{name}{_suffix(Path(of))}")
