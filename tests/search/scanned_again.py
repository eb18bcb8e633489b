"""Second scans for participants of a toy cohort: copies of the first."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path


def scan_again(cohort: Path, participants: Iterable[str]) -> None:
    for participant in participants:
        shutil.copytree(cohort / participant, cohort / participant / "again")
    with (cohort / "cohort.toml").open("a") as file:
        file.write('[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n')
