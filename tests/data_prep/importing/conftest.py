"""Small sources of images and tables, as hospitals have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.importing.records import BiopsyTable, Found, ImportOptions

WriteImages = Callable[..., Path]
WriteTable = Callable[..., str]


@pytest.fixture(scope="session")
def write_images() -> WriteImages:
    """Writes images of 4 x 4 x 4 voxels of 1 mm from the origin on, each with intensities of its own."""

    def write(folder: Path, labels: Iterable[str], shape: tuple[int, ...] = (4, 4, 4)) -> Path:
        for number, label in enumerate(labels):
            path = folder / label
            path.parent.mkdir(parents=True, exist_ok=True)
            data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape) + number
            nib.save(nib.Nifti1Image(data, np.eye(4)), path)
        return folder

    return write


@pytest.fixture
def write_table(tmp_path: Path) -> WriteTable:
    """Writes rows into a table of the test's own folder; returns its path."""

    def write(name: str, *rows: Sequence[object], mark: str = ",") -> str:
        path = tmp_path / name
        path.write_text("".join(mark.join(map(str, row)) + "\n" for row in rows))
        return str(path)

    return write


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., ImportOptions]:
    """Options with a source, an out and a table that need not be there."""

    def make(**changes: object) -> ImportOptions:
        fields = {"source": tmp_path / "source", "out": tmp_path / "out", "biopsies": "biopsies.csv"}
        return ImportOptions(**(fields | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def table_of() -> Callable[..., BiopsyTable]:
    """A table of biopsies from (biopsy, participant, session or None); rows are numbered from 2."""

    def make(*rows: tuple[str, str, str | None], **further: Sequence[str]) -> BiopsyTable:
        records = {}
        for number, (biopsy, participant, session) in enumerate(rows, start=2):
            cells = {"biopsy_id": biopsy, "participant_id": participant, "x": "1", "y": "1", "z": "1"}
            cells |= {} if session is None else {"session": session}
            records[number] = cells | {name: values[number - 2] for name, values in further.items()}
        return BiopsyTable("biopsies.csv", (), records, records, (), "world", "RAS")

    return make


@pytest.fixture
def found() -> Callable[..., Found]:
    """A file that was found."""

    def make(
        participant: str, session: str | None, name: str, mask: bool = False, end: str = ".nii.gz"
    ) -> Found:
        label = "/".join(part for part in (participant, session, name + end) if part)
        return Found(Path("/source") / label, label, participant, session, name, mask)

    return make
