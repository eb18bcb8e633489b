"""Leaks planted into phantom cohorts on disk: `radsearch audit` names each, and finds none in sound ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import zoom

from data_prep.phantom import PhantomSpec, write_phantom
from search.cli import main

STUDY = """
name = "canary"
cohort = "cohort"
[label]
rule = "above:1.03"
[validation]
folds = 4
[search]
trials = 2
sampler = "random"
pruner = "none"
enqueue = [{ architecture = "roi_means", patch_radius = 4 }]
[space]
architecture = ["roi_means", "constant"]
patch_radius = { low = 2, high = 6 }
"""
Doctor = Callable[[Path], None]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """A small phantom of a kind and signal, written once; to be copied first."""
    written: dict[tuple[str, str], Path] = {}

    def write(kind: str, signal: str) -> Path:
        if (kind, signal) not in written:
            folder = tmp_path_factory.mktemp("phantom") / "cohort"
            write_phantom(folder, PhantomSpec(12, 40, kind=kind, signal=signal, size=32, seed=5))
            written[kind, signal] = folder
        return written[kind, signal]

    return write


def audit(
    cohort: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any], list[str]]:
    """Search on a cohort and audit that: exit code, checks by name, lines of leaks."""
    (folder / "study.toml").write_text(STUDY)
    home = str(folder / "home")
    assert main(["run", str(folder / "study.toml"), "--cohort", str(cohort), "--home", home]) == 0
    capsys.readouterr()
    code = main(["audit", "canary", "--home", home, "--json"])
    said = capsys.readouterr()
    checks = {check["name"]: check for check in json.loads(said.out)["checks"]}
    return code, checks, [line for line in said.err.splitlines() if ": leak: " in line]


def rows_of(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


def write_rows(path: Path, rows: list[list[str]]) -> None:
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def two_ids(cohort: Path) -> None:
    """A participant is there twice, under other ids and with a doctored copy of the images."""
    shutil.copytree(cohort / "sub-001", cohort / "sub-099")
    rng = np.random.default_rng(0)
    for path in (cohort / "sub-099" / "ses-1").glob("*.nii.gz"):
        image = nib.load(path)
        voxels = 1.3 * image.get_fdata()
        voxels += rng.normal(0, 0.03 * voxels.std(), voxels.shape)
        nib.save(nib.Nifti1Image(np.rint(voxels).astype(np.int16), image.affine), path)
    biopsies, expression = rows_of(cohort / "biopsies.tsv"), rows_of(cohort / "expression.tsv")
    mine = [row for row in biopsies if row[1] == "sub-001"]
    values = {row[0]: row[1:] for row in expression}
    biopsies += [[f"again-{row[0]}", "sub-099", *row[2:]] for row in mine]
    expression += [[f"again-{row[0]}", *values[row[0]]] for row in mine]
    write_rows(cohort / "biopsies.tsv", biopsies)
    write_rows(cohort / "expression.tsv", expression)


def participant_labels(cohort: Path) -> None:
    """All biopsies of a participant are expressed alike, one participant high, the next low."""
    owner = {row[0]: row[1] for row in rows_of(cohort / "biopsies.tsv")}
    header, *expression = rows_of(cohort / "expression.tsv")
    for row in expression:
        row[1] = "3.0" if int(owner[row[0]].removeprefix("sub-")) % 2 else "0.4"
    write_rows(cohort / "expression.tsv", [header, *expression])


def duplicated_scan(cohort: Path) -> None:
    """One image of a participant has the voxels of another's, on its own grid."""
    source, target = (cohort / name / "ses-1" / "T1.nii.gz" for name in ("sub-002", "sub-005"))
    grid = nib.load(cohort / "sub-005" / "mask.nii.gz").affine
    nib.save(nib.Nifti1Image(nib.load(source).get_fdata().astype(np.float32), grid), target)


def flipped_scan(cohort: Path) -> None:
    """One image of a participant is another's, mirrored and in negative."""
    source, target = (cohort / name / "ses-1" / "T2.nii.gz" for name in ("sub-003", "sub-007"))
    grid = nib.load(cohort / "sub-007" / "mask.nii.gz").affine
    voxels = nib.load(source).get_fdata()[::-1]
    nib.save(nib.Nifti1Image((voxels.max() - voxels).astype(np.float32), grid), target)


def mixed_slices(cohort: Path) -> None:
    """Images of four participants each have 24, 25 and 26 slices of the same field of view."""
    for number, folder in enumerate(sorted(cohort.glob("sub-*"))):
        slices = 24 + number % 3
        for path in folder.rglob("*.nii.gz"):
            image = nib.load(path)
            voxels = np.asarray(image.get_fdata(), dtype=np.float32)
            share = voxels.shape[2] / slices
            thicker = np.diag([1.0, 1.0, share, 1.0])
            thicker[2, 3] = (share - 1) / 2
            resampled = zoom(voxels, (1, 1, 1 / share), order=0 if "mask" in path.name else 1)
            nib.save(nib.Nifti1Image(resampled, image.affine @ thicker), path)


@pytest.mark.parametrize(
    ("doctor", "name", "words"),
    [
        (two_ids, "duplicate scans", ("sub-001", "sub-099", "two ids")),
        (participant_labels, "participant labels", ("depend on the participant alone",)),
        pytest.param(
            duplicated_scan, "duplicate scans", ("sub-002", "sub-005", "T1"), marks=pytest.mark.slow
        ),
        (flipped_scan, "duplicate scans", ("sub-003", "sub-007", "T2")),
    ],
    ids=[
        "a participant under two ids",
        "labels of the participant alone",
        "a duplicated scan",
        "a flipped scan",
    ],
)
def test_each_canary_is_caught_by_name(
    doctor: Doctor,
    name: str,
    words: tuple[str, ...],
    phantom: Callable[[str, str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cohort = Path(shutil.copytree(phantom("gaussian", "default"), tmp_path / "cohort"))
    doctor(cohort)
    code, checks, leaks = audit(cohort, tmp_path, capsys)
    assert (code, checks[name]["verdict"]) == (1, "leak")
    assert any(line.startswith(f"canary: leak: {name}: ") for line in leaks)
    assert all(word in checks[name]["sentence"] for word in words)


@pytest.mark.parametrize(
    ("kind", "signal"),
    [
        pytest.param("gaussian", "default", marks=pytest.mark.slow),
        pytest.param("texture", "default", marks=pytest.mark.slow),
        ("gaussian", "none"),
    ],
)
def test_sound_phantoms_hold_no_leak_and_every_planted_one_is_found(
    kind: str,
    signal: str,
    phantom: Callable[[str, str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, checks, leaks = audit(phantom(kind, signal), tmp_path, capsys)
    assert (code, leaks) == (0, [])
    assert {check["verdict"] for name, check in checks.items() if name.startswith("canary")} == {"passed"}
    assert checks["label policy"]["verdict"] == "passed"
    for name in ("participants", "voxels", "duplicate scans", "scoring images", "scoring labels"):
        assert checks[name]["verdict"] == "passed"
    for name in ("duplicate biopsies", "duplicate expression", "evaluation set"):
        assert checks[name]["verdict"] == "passed"


@pytest.mark.slow
def test_a_sound_phantom_of_mixed_slice_counts_holds_no_copies(
    phantom: Callable[[str, str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = Path(shutil.copytree(phantom("gaussian", "default"), tmp_path / "cohort"))
    mixed_slices(cohort)
    code, checks, leaks = audit(cohort, tmp_path, capsys)
    assert (code, leaks) == (0, [])
    assert checks["duplicate scans"]["figures"]["compared"] >= 90  # of at most 108: all shapes at once
    planted = [check["verdict"] for name, check in checks.items() if name.startswith("canary")]
    assert planted == ["passed"] * 5
