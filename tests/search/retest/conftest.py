"""A study of baselines on a cohort of which two thirds were scanned twice, run once for the whole session."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from search.commands import retest
from search.home import Home
from search.placement import Placement
from search.progress import Listener
from search.retest_parser import add_retest
from search.study_file import read_study
from search.supervisor import RunOptions, run_study

AGAIN = 8  # participants with a second scan, the first ones; those below 5 have a tumour mask
STUDY = """
name = "again"
cohort = "cohort"
[validation]
folds = 3
[input]
normalisation = "zscore"
[search]
trials = 4
sampler = "random"
pruner = "none"
enqueue = [{ architecture = "roi_means", patch_radius = 2 }, { architecture = "constant" }]
[space]
architecture = ["constant", "roi_means"]
patch_radius = { low = 2, high = 3 }
"""


def scan_again(folder: Path, noise: float = 40.0) -> None:
    """Second scans with noise of their own, and tumour masks, for some participants of a toy cohort."""
    rng = np.random.default_rng(7)
    for participant in range(AGAIN):
        own = folder / f"sub-{participant:03}"
        (own / "again").mkdir()
        for path in sorted(own.glob("*.nii.gz")):
            image = nib.load(path)
            data = image.get_fdata() + noise * rng.normal(size=image.shape)
            nib.save(nib.Nifti1Image(data.astype(np.float32), image.affine), own / "again" / path.name)
        if participant < 5:
            mask = np.zeros(image.shape, np.uint8)
            mask[4:18, 6:20, 5:15] = 1
            nib.save(nib.Nifti1Image(mask, image.affine), own / "tumor.nii.gz")
    with (folder / "cohort.toml").open("a") as file:
        file.write('[masks]\ntumor = "{participant_id}/tumor.nii.gz"\n')
        file.write('[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n')


@pytest.fixture(scope="session")
def twice(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cohort`, `study.toml`, and `home`, to be copied first."""
    folder = tmp_path_factory.mktemp("twice")
    make_cohort(folder / "cohort", sequences=("T1", "T2"))
    scan_again(folder / "cohort")
    (folder / "study.toml").write_text(STUDY)
    options = RunOptions(source=STUDY, placements=(Placement(1, None),))
    run_study(read_study(folder / "study.toml"), Home.at(folder / "home"), options, Listener())
    return folder


@pytest.fixture
def home(twice: Path, tmp_path: Path) -> Home:
    return Home.at(shutil.copytree(twice / "home", tmp_path / "home"))


@pytest.fixture(scope="session")
def command() -> Callable[..., int]:
    """`radsearch retest` on a study of a home."""

    def call(study: str, home: Home, *options: str) -> int:
        parser = argparse.ArgumentParser()
        add_retest(parser.add_subparsers(dest="command"))
        return retest.run(parser.parse_args(["retest", study, "--home", str(home.root), *options]))

    return call


@pytest.fixture(scope="session")
def retested(
    twice: Path, command: Callable[..., int], tmp_path_factory: pytest.TempPathFactory
) -> SimpleNamespace:
    """The study retested once: its home, and what was written under --out."""
    folder = tmp_path_factory.mktemp("retested")
    home = Home.at(shutil.copytree(twice / "home", folder / "home"))
    assert command("again", home, "--out", str(folder / "out"), "--stride", "3") == 0
    return SimpleNamespace(home=home, out=folder / "out", cohort=twice / "cohort")
