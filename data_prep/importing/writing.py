"""A planned cohort, written: whole or not at all, and read back before it appears."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from data_prep.cohort import read_cohort
from data_prep.importing.records import ImportPlan, Placed
from data_prep.phantom.write import new_folder
from data_prep.survey import Progress

_PIECE = 2**20


def write_plan(plan: ImportPlan, progress: Progress | None = None) -> None:
    """Make the cohort.

    Args:
        plan: What to do.
        progress: Called with the images done and their total.

    Raises:
        InputError: The folder is taken, or what was written is no sound cohort; nothing is left then.
        OSError: An image cannot be read, or the disk is full; likewise.
    """
    with new_folder(plan.out) as folder:
        for done, image in enumerate(plan.images, start=1):
            _place(image, folder.root / image.target)
            if progress is not None:
                progress(done, len(plan.images))
        for name, text in plan.texts.items():
            folder.write(name, text.encode())
        read_cohort(folder.root)


def _place(image: Placed, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if image.action == "symlink":
        target.symlink_to(image.source.resolve())
    elif image.action == "compress":
        # No time and no name inside, so that the same image gives the same file.
        with (
            image.source.open("rb") as source,
            target.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as packed,
        ):
            shutil.copyfileobj(source, packed, _PIECE)
    else:
        shutil.copyfile(image.source, target)
