from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.cohort import read_cohort
from data_prep.patches import PatchRequest, extract_patches
from search.audit.corruption import corrupted_copy


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
