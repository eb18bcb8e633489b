"""From a cohort's folder to what quality control looks at; each file is read, whatever others lack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError

from data_prep import nifti
from data_prep.arrays import DoubleArray
from data_prep.check.digest import digest_of
from data_prep.check.placing import place
from data_prep.check.subject import File, Subject, Visited
from data_prep.cohort import read_leniently
from data_prep.cohort_file import placeholders
from data_prep.problems import InputError, Problems
from data_prep.records import Biopsy, Cohort
from data_prep.survey import Progress, in_parallel
from data_prep.tables import MISSING
from data_prep.volumes import Volume, open_volume


def inspect(folder: Path, progress: Progress | None = None) -> Subject:
    """Read the tables, every image and every mask of a cohort once, and place the sites in them.

    Args:
        folder: The cohort's folder, or its cohort.toml.
        progress: Called with (done, total): each file and each visit is one.

    Returns:
        What could be read; a file that cannot says why.

    Raises:
        InputError: The cohort.toml is wrong, so that nothing can be known of the rest.
    """
    cohort, problems = read_leniently(folder)
    groups = cohort.by_columns_of_paths()
    wanted = [list(_paths(cohort, group[0])) for group in groups]
    known: dict[Path, tuple[str, str]] = {}
    for name, kind, path in (file for files in wanted for file in files):
        known.setdefault(path, (name, kind))
    total = len(known) + len(groups)
    read = partial(_read, cohort)
    items = [(name, kind, path) for path, (name, kind) in known.items()]
    files = dict(zip(known, in_parallel(read, items, _shifted(progress, 0, total)), strict=True))
    visits = [_visited(group, paths, files) for group, paths in zip(groups, wanted, strict=True)]
    placed = in_parallel(partial(_placed, cohort), visits, _shifted(progress, len(known), total))
    return Subject(cohort, _lines(problems), tuple(placed))


def _lines(problems: Problems) -> tuple[str, ...]:
    try:
        problems.raise_any()
    except InputError as error:
        return error.problems
    return ()


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """A part of the work that tells how far the whole is."""
    return None if progress is None else lambda done, _: progress(before + done, total)


def _paths(cohort: Cohort, biopsy: Biopsy) -> Iterator[tuple[str, str, Path]]:
    """Name, kind and path of each file of a biopsy that is there."""
    for name, path in cohort.images(biopsy, cohort.sequences).items():
        yield name, "image", path
    for name, path in cohort.masks(biopsy).items():
        yield name, "mask", path
    template = None if cohort.file.repeats is None else cohort.file.repeats.images
    if template is None or any(biopsy.columns.get(name) == MISSING for name in placeholders(template)):
        return
    for name in cohort.sequences:
        path = cohort.root / template.format_map({**biopsy.columns, "sequence": name})
        if cohort.places.at(path, template).usable:
            yield name, "repeat", path


def _visited(
    biopsies: Sequence[Biopsy], paths: Sequence[tuple[str, str, Path]], files: Mapping[Path, File]
) -> Visited:
    kinds: dict[str, dict[str, File]] = {"image": {}, "mask": {}, "repeat": {}}
    for name, kind, path in paths:
        kinds[kind][name] = replace(files[path], name=name, kind=kind)
    return Visited(tuple(biopsies), kinds["image"], kinds["mask"], kinds["repeat"])


def _placed(cohort: Cohort, visited: Visited) -> Visited:
    return replace(visited, placement=place(visited, cohort.coordinates))


def _read(cohort: Cohort, wanted: tuple[str, str, Path]) -> File:
    """Read one file to its end."""
    name, kind, path = wanted
    volume, sform, qform, digest = None, None, None, None
    problem, fault = None, None
    try:
        volume = open_volume(path)
        sform, qform = _forms(nifti.read_header(path))
        digest = digest_of(volume)
    except InputError as error:
        problem, fault = str(error), _fault(path, volume, error)
    return File(name, kind, cohort.label_of(path), volume, sform, qform, digest, problem, fault)


def _fault(path: Path, volume: Volume | None, error: InputError) -> str:
    """What kind of fault kept a file from being read."""
    if isinstance(error.__cause__, PermissionError):
        return "forbidden"
    try:
        if path.stat().st_size == 0:
            return "empty"
    except OSError:
        return "unreadable"
    if isinstance(error.__cause__, EOFError) or (volume is None and "truncated" in str(error)):
        return "truncated"
    if volume is not None:
        return "damaged"
    return "unsuitable" if _is_another_kind(path) else "unreadable"


def _is_another_kind(path: Path) -> bool:
    """Whether a sound header tells of something else than a volume of real numbers."""
    try:
        header = nifti.read_header(path)
    except InputError:
        return False
    try:
        nifti.shape_of(header), nifti.dtype_of(header)
    except InputError:
        return True
    return False


def _forms(header: Any) -> tuple[DoubleArray | None, DoubleArray | None]:
    """The sform and the qform where their codes are not 0; None too where the quaternion is none."""
    sform, _ = header.get_sform(coded=True)
    try:
        qform, _ = header.get_qform(coded=True)
    except (HeaderDataError, ValueError):
        qform = None
    found = [None if form is None else np.asarray(form, dtype=np.float64) for form in (sform, qform)]
    return found[0], found[1]
