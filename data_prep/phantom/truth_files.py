"""The files of a phantom's `truth/` folder, read back and not trusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import TypeAdapter

from data_prep.arrays import DoubleArray, FloatArray
from data_prep.geometry import Grid
from data_prep.phantom.spec import PhantomSpec
from data_prep.plain_files import MAX_TABLE_BYTES, read_plain, read_text
from data_prep.problems import InputError, Problems
from data_prep.tables import parse_number, read_table, require_columns
from data_prep.volumes import open_volume, read_volume

ANSWERS: Final = "answers.json"
SITES: Final = "true_sites.tsv"

_SPEC: Final = TypeAdapter(PhantomSpec)


@dataclass(frozen=True, eq=False)
class TrueSites:
    """Where the biopsies of a phantom were taken, participant by participant.

    Attributes:
        biopsy_id: n names.
        world: x, y, z in mm, RAS; shape (n, 3).
        driver: What the label follows there, shape (n,).
    """

    biopsy_id: tuple[str, ...]
    world: DoubleArray
    driver: DoubleArray


def read_answers(folder: Path) -> tuple[PhantomSpec, Mapping[str, str]]:
    """What a phantom was made from, and sha256 of its files by their path in its folder.

    Raises:
        InputError: There is no such file, or it is not what this version writes.
    """
    path = folder / ANSWERS
    law = "the answers of a phantom of this version are needed"
    try:
        answers: Any = json.loads(read_text(path, MAX_TABLE_BYTES))
        spec = answers["spec"]
        if spec.keys() != {field.name for field in fields(PhantomSpec)}:
            raise ValueError("its spec has other options")
        hashes = answers["hashes"]
        if not all(isinstance(text, str) for item in hashes.items() for text in item):
            raise ValueError("its hashes are not text")
        return _SPEC.validate_python(spec), hashes
    except OSError as error:
        raise InputError(f"{path}: {law}, but got '{error.strerror}'. Is this the truth of one?") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: {law}, but got {type(error).__name__}: {error}") from error


def read_true_sites(folder: Path, biopsies: int) -> TrueSites:
    """Where so many biopsies were taken.

    Raises:
        InputError: Every problem of the table.
    """
    problems = Problems()
    table = read_table(folder / SITES, problems)
    columns = ("x", "y", "z", "field")
    rows = []
    if table is not None and require_columns(table, ("biopsy_id", *columns), problems):
        for row in table.rows:
            try:
                rows.append([parse_number(row.cells[table.index(column)]) for column in columns])
            except InputError as error:
                problems.add(f"{table.name}: row {row.number}", str(error))
        if len(table.rows) != biopsies:
            law = f"a row for each of the phantom's {biopsies} biopsies is needed"
            problems.add(table.name, f"{law}, but got {len(table.rows)}.")
    problems.raise_any()
    found = np.array(rows, dtype=np.float64)
    names = () if table is None else tuple(row.cells[table.index("biopsy_id")] for row in table.rows)
    return TrueSites(names, found[:, :3], found[:, 3])


def read_field(folder: Path, participant: str, hashes: Mapping[str, str]) -> tuple[FloatArray, Grid]:
    """The field that a participant's images show, canonical, and its grid.

    Raises:
        InputError: It is not there, damaged, or not the file that was written.
    """
    path = folder / "fields" / f"{participant}.nii.gz"
    try:
        found = hashlib.sha256(read_plain(path, MAX_TABLE_BYTES)).hexdigest()
        if found != hashes.get(f"truth/fields/{path.name}"):
            raise InputError("the field must be the one that was written, but its content was changed.")
        volume = open_volume(path)
        return read_volume(volume), volume.grid
    except OSError as error:
        raise InputError(f"{path}: the field must be readable, but got '{error.strerror}'.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
