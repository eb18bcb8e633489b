from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.cohort_file import CohortFile
from data_prep.folds import read_folds, write_folds
from data_prep.patches import PatchRequest, extract_patches
from data_prep.repeats import second_scans
from search.audit.corruption import corrupted_copy
from search.audit.record import LEAK, PASSED
from search.audit.refitting import Refits, judge
from search.baseline import fit_shallow
from search.fold import Task, run_fold
from search.home import Home
from search.material import Material, prepare
from search.records import FoldResult, TrialConfig
from search.study_file import Study, read_study

REPEATS = '[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n'


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def scan_again(cohort: Path, participants: Iterable[str]) -> None:
    """Second scans that differ from the first, declared."""
    for name in participants:
        (cohort / name / "again").mkdir()
        for path in sorted((cohort / name).glob("*.nii.gz")):
            image = nib.load(path)
            again = nib.Nifti1Image((image.get_fdata() * 1.5 + 7).astype(np.float32), image.affine)
            nib.save(again, path.parent / "again" / path.name)
    with (cohort / "cohort.toml").open("a") as file:
        file.write(REPEATS)


def with_column(cohort: Path, name: str, cell: Callable[[int], str]) -> None:
    """A further column of the biopsy table."""
    header, *rows = (cohort / "biopsies.tsv").read_text().splitlines()
    lines = [f"{header}\t{name}", *(f"{row}\t{cell(number)}" for number, row in enumerate(rows))]
    (cohort / "biopsies.tsv").write_text("\n".join(lines) + "\n")


def test_noise_is_in_the_images_that_were_chosen_and_nothing_else_differs(
    cohort_folder: Path, tmp_path: Path
) -> None:
    cohort = read_cohort(cohort_folder)
    noisy = [b.biopsy_id for b in cohort.biopsies if b.participant_id == "sub-001"]
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", noisy, seed=0))
    request = PatchRequest(cohort.sequences, 3)
    one, other = extract_patches(cohort, request), extract_patches(copy, request)
    assert (one.biopsy_id, one.participant_id) == (other.biopsy_id, other.participant_id)
    for row, name in enumerate(one.biopsy_id):
        assert np.array_equal(one.raw[row], other.raw[row]) is (name not in noisy)
    assert cohort.expression is not None
    assert copy.expression is not None
    np.testing.assert_array_equal(cohort.expression.values, copy.expression.values)


def test_files_that_two_participants_share_become_noise_for_both(cohort_folder: Path, tmp_path: Path) -> None:
    for name in ("T1", "T2"):
        (cohort_folder / "sub-002" / f"{name}.nii.gz").unlink()
        (cohort_folder / "sub-002" / f"{name}.nii.gz").symlink_to(f"../sub-001/{name}.nii.gz")
    cohort = read_cohort(cohort_folder)
    noisy = [b.biopsy_id for b in cohort.biopsies if b.participant_id == "sub-001"]
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", noisy, seed=0))
    request = PatchRequest(cohort.sequences, 3)
    one, other = extract_patches(cohort, request), extract_patches(copy, request)
    changed = {
        one.participant_id[row] for row in range(len(one)) if not np.array_equal(one.raw[row], other.raw[row])
    }
    assert changed == {"sub-001", "sub-002"}


def test_missing_values_masks_and_conventions_come_along(cohort_folder: Path, tmp_path: Path) -> None:
    path = cohort_folder / "expression.tsv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].split("\t")[0] + "\tn/a\t1.5"
    path.write_text("\n".join(lines) + "\n")
    toml = cohort_folder / "cohort.toml"
    text = toml.read_text().replace('space = "world"', 'space = "world"\nconvention = "RAS"')
    toml.write_text(text + '[masks]\nbrain = "{participant_id}/T1.nii.gz"\n')
    cohort = read_cohort(cohort_folder)
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", ["b00"], seed=0))
    assert copy.coordinates == cohort.coordinates
    assert copy.expression is not None
    assert copy.expression.tpm("b00", "CD3D") is None
    assert len(copy.masks(copy.biopsies[0])) == 1


@pytest.mark.parametrize("quantitative", [None, "[]", '["T2"]'])
def test_a_copy_says_which_sequences_are_quantitative_and_which_not(
    cohort_folder: Path, tmp_path: Path, quantitative: str | None
) -> None:
    if quantitative is not None:
        change(
            cohort_folder / "cohort.toml", "[coordinates]", f"quantitative = {quantitative}\n[coordinates]"
        )
    cohort = read_cohort(cohort_folder)
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", [], seed=0))
    assert copy.file.quantitative == cohort.file.quantitative


def test_every_key_of_a_cohort_that_has_them_all_comes_along(cohort_folder: Path, tmp_path: Path) -> None:
    toml = cohort_folder / "cohort.toml"
    change(toml, "[coordinates]", "quantitative = []\nfollow_links = true\n[coordinates]")
    with toml.open("a") as file:
        file.write('[masks]\nbrain = "{participant_id}/T1.nii.gz"\ntumor = "{participant_id}/T2.nii.gz"\n')
    scan_again(cohort_folder, ["sub-000"])
    cohort = read_cohort(cohort_folder)
    assert cohort.file.model_fields_set == set(CohortFile.model_fields)
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", [], seed=0))
    assert copy.file.model_fields_set == cohort.file.model_fields_set


def test_every_column_of_the_biopsies_comes_along(cohort_folder: Path, tmp_path: Path) -> None:
    with_column(cohort_folder, "signature", lambda row: "n/a" if row == 3 else f"{row / 7!r}")
    cohort = read_cohort(cohort_folder)
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", ["b00"], seed=0))
    for one, other in zip(cohort.biopsies, copy.biopsies, strict=True):
        assert dict(one.columns).items() <= dict(other.columns).items()
        assert one.position == other.position


def test_second_scans_come_along_as_noise_where_the_first_are(cohort_folder: Path, tmp_path: Path) -> None:
    scan_again(cohort_folder, ["sub-000", "sub-001", "sub-002"])
    (cohort_folder / "sub-002" / "again" / "T2.nii.gz").unlink()
    cohort = read_cohort(cohort_folder)
    noisy = [b.biopsy_id for b in cohort.biopsies if b.participant_id == "sub-001"]
    copy = read_cohort(corrupted_copy(cohort, tmp_path / "copy", noisy, seed=0))
    request = PatchRequest(cohort.sequences, 3)
    scans = [second_scans(cohort), second_scans(copy)]
    one, other = (extract_patches(scan, request) for scan in scans if scan is not None)
    assert one.biopsy_id == other.biopsy_id
    assert set(one.participant_id) == {"sub-000", "sub-001", "sub-002"}
    np.testing.assert_array_equal(one.present, other.present)
    assert not one.present.all()
    for row, name in enumerate(one.biopsy_id):
        assert np.array_equal(one.raw[row], other.raw[row]) is (name not in noisy)


def test_a_second_scan_that_is_the_first_of_somebody_held_out_is_noise(
    cohort_folder: Path, tmp_path: Path
) -> None:
    """Training would show the held-out images: the copy must tell."""
    scan_again(cohort_folder, ["sub-000", "sub-002"])
    for name in ("T1", "T2"):
        path = cohort_folder / "sub-002" / "again" / f"{name}.nii.gz"
        path.unlink()
        path.symlink_to(f"../../sub-001/{name}.nii.gz")
    cohort = read_cohort(cohort_folder)
    noisy = [b.biopsy_id for b in cohort.biopsies if b.participant_id == "sub-001"]
    scans = second_scans(cohort), second_scans(read_cohort(corrupted_copy(cohort, tmp_path / "c", noisy, 0)))
    one, other = (extract_patches(s, PatchRequest(cohort.sequences, 3)) for s in scans if s is not None)
    differ = {
        one.participant_id[row] for row in range(len(one)) if not np.array_equal(one.raw[row], other.raw[row])
    }
    assert differ == {"sub-002"}


STUDY = """
name = "told"
cohort = "cohort"
[label]
column = "signature"
[input]
repeats = "augment"
augmentation = []
[validation]
folds = 3
[space]
architecture = ["roi_means", "small_cnn"]
patch_radius = [3]
"""


def first_fold(study: Study, home: Home, material: Material) -> FoldResult:
    config = TrialConfig({"architecture": "roi_means", "patch_radius": 3, "regularisation": 1.0}, 0)
    return run_fold(Task.of(material, study, config, 0), lambda task: fit_shallow(task, home.cache))


def verdict_of(folder: Path) -> str:
    """What the audit says of the first fold when the first participant held out becomes noise."""
    (folder / "study.toml").write_text(STUDY)
    study, home = read_study(folder / "study.toml"), Home.at(folder / "home")
    material = prepare(study, home, frozen=False)
    who, test = material.patches.participant_id, material.folds.splits()[0].test
    noisy = [material.patches.biopsy_id[row] for row in test if who[row] == who[test[0]]]
    copy = corrupted_copy(material.source, folder / "copy", noisy, seed=0)
    other_study, other_home = study.model_copy(update={"cohort": str(copy)}), Home.at(folder / "other")
    write_folds(material.folds, other_home.study(study.name).folds)
    other = prepare(other_study, other_home, frozen=True)
    assert material.second is not None
    assert other.second is not None
    np.testing.assert_array_equal(material.second.present, other.second.present)
    plain, corrupted = first_fold(study, home, material), first_fold(other_study, other_home, other)
    kept = tuple(place for place, row in enumerate(test) if who[row] != who[test[0]])
    return judge(Refits(0, "roi_means", plain, plain, corrupted, kept, 1, False, None))[0].verdict


def test_what_a_cohort_declares_is_no_leak_and_an_image_shared_with_the_held_out_is(
    make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """Of FA that is said to have no unit, second scans and a score in the biopsy table."""
    cohort = make_cohort(tmp_path / "one" / "cohort", sequences=("FA", "T1"))
    change(cohort / "cohort.toml", "[coordinates]", "quantitative = []\n[coordinates]")
    with_column(cohort, "signature", lambda row: str(row * 17 % 36))
    scan_again(cohort, [f"sub-{number:03}" for number in range(8)])
    shutil.copytree(cohort, tmp_path / "shared" / "cohort")
    assert verdict_of(tmp_path / "one") == PASSED

    table = read_folds(Home.at(tmp_path / "one" / "other").study("told").folds)
    first = table.splits()[0]
    held, learned = (table.participant_id[int(rows[0])] for rows in (first.test, first.train))
    for path in (tmp_path / "shared" / "cohort" / learned).glob("*.nii.gz"):
        path.unlink()
        path.symlink_to(f"../{held}/{path.name}")
    assert verdict_of(tmp_path / "shared") == LEAK
