"""The cohort of the benchmark, and its patches and folds for the sides that do not read cohorts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from data_prep.folds import make_folds

PARTICIPANTS, BIOPSIES = 45, 150


def prepared(cohort: Path, radius: int, folds: int) -> Path:
    """The phantom's patches, labels and folds, as the other sides read them; made once."""
    path = cohort.with_name(f"{cohort.name}-r{radius}-f{folds}.npz")
    radsearch = str(Path(sys.executable).with_name("radsearch"))
    if not (cohort / "cohort.toml").exists():
        size = ["--participants", str(PARTICIPANTS), "--biopsies", str(BIOPSIES), "--missing", "0"]
        subprocess.run([radsearch, "phantom", str(cohort), "--signal", "easy", *size], check=True)
    if not path.exists():
        with tempfile.TemporaryDirectory() as home:
            found = Path(home) / "patches.npz"
            call = [radsearch, "patches", str(cohort), "--radius", str(radius), "--out", str(found)]
            subprocess.run([*call, "--home", home], check=True)
            write_arrays(found, folds, path)
    return path


def write_arrays(found: Path, folds: int, path: Path) -> None:
    """The arrays of `radsearch patches` with the folds that a study of seed 0 freezes."""
    with np.load(found) as arrays:
        label = arrays["label"]
        table = make_folds(
            arrays["biopsy_id"].tolist(), arrays["participant_id"].tolist(), label, folds, 1, 0
        )
        partial = path.with_name(f".{path.name}")
        np.savez(partial, x=arrays["patches"], y=label.astype(np.float32), fold=table.fold[0])
    partial.replace(path)
