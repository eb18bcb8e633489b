from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from data_prep.check.findings import Finding
from data_prep.check.mirrors import MIRRORED, mirror_findings, mirrored_information, shifted_information
from data_prep.check.reading import inspect
from data_prep.phantom import PhantomSpec, write_phantom
from tests.data_prep.check.heads import ball, contrasts, resave, write_heads


def said(folder: Path) -> list[Finding]:
    return list(mirror_findings(inspect(folder)))


def test_sound_images_are_not_called_mirrored(tmp_path: Path) -> None:
    assert said(write_heads(tmp_path / "cohort")) == []


@pytest.mark.parametrize("name", ["T1", "T2", "FLAIR"])
def test_a_mirrored_image_is_named_whatever_its_contrast(tmp_path: Path, name: str) -> None:
    folder = write_heads(tmp_path / "cohort")
    resave(folder / "sub-1" / f"{name}.nii.gz", lambda voxels: voxels[::-1])
    (finding,) = said(folder)
    assert (finding.code, finding.where) == ("image-mirrored", f"sub-1/{name}.nii.gz")


def test_of_two_images_either_may_be_the_mirrored_one(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    (folder / "sub-1" / "FLAIR.nii.gz").unlink()
    resave(folder / "sub-1" / "T2.nii.gz", lambda voxels: voxels[::-1])
    (finding,) = said(folder)
    assert "(or that one of this)" in finding.what


def test_images_without_a_head_are_not_judged() -> None:
    rng = np.random.default_rng(0)
    smalls = [rng.normal(size=(16, 16, 16)).astype(np.float32) for _ in range(3)]
    assert mirrored_information(smalls) is None


def test_the_information_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    brain, tumor = ball((15.5, 16, 16), (12, 14, 13)), ball((20, 16, 16), (5, 5, 5))
    smalls = contrasts(brain, tumor, rng.normal(size=brain.shape), rng)[:2]
    ratios = mirrored_information([small * brain for small in smalls])

    def ranks(small: np.ndarray) -> np.ndarray:
        values = small[brain]
        return np.argsort(np.argsort(values, kind="stable"), kind="stable") * 16 // len(values)

    one, other = smalls
    wanted = mutual_info_score(ranks(one), ranks(other[::-1])) / mutual_info_score(ranks(one), ranks(other))
    assert ratios is not None
    assert np.allclose(ratios, wanted, rtol=0.02)  # the head is the brain but for a rim


@pytest.mark.parametrize("kind", ["gaussian", "texture", "interaction"])
def test_phantoms_lie_on_both_sides_of_the_limit(tmp_path: Path, kind: str) -> None:
    write_phantom(
        tmp_path / "phantom", PhantomSpec(participants=2, biopsies=2, size=24, kind=kind, missing=0.0)
    )
    for visited in inspect(tmp_path / "phantom").visits:
        smalls = [file.digest.small for file in visited.images.values() if file.digest is not None]
        sound = mirrored_information(smalls)
        assert sound is not None
        assert sound.max() < MIRRORED - 0.05
        for place in range(len(smalls)):
            turned = mirrored_information([*smalls[:place], smalls[place][::-1], *smalls[place + 1 :]])
            assert turned is not None
            assert turned.argmax() == place
            assert turned[place] > MIRRORED


def test_a_real_case_is_sound_and_its_mirrored_sequences_are_found(
    shared_cohort: Callable[[str], Path],
) -> None:
    (visited,) = inspect(shared_cohort("glioma_mr_case")).visits
    smalls = [file.digest.small for file in visited.images.values() if file.digest is not None]
    sound = mirrored_information(smalls)
    assert sound is not None
    assert sound.max() < 0.9
    for place in range(len(smalls)):
        turned = mirrored_information([*smalls[:place], smalls[place][::-1], *smalls[place + 1 :]])
        assert turned is not None
        assert turned[place] > 1.1


def test_images_that_are_badly_registered_are_not_called_mirrored(tmp_path: Path) -> None:
    spec = PhantomSpec(participants=3, biopsies=6, size=32, missing=0.0, registration_error=2.0, seed=7)
    write_phantom(tmp_path / "phantom", spec)
    subject = inspect(tmp_path / "phantom")
    suspects = []
    for visited in subject.visits:
        smalls = [file.digest.small for file in visited.images.values() if file.digest is not None]
        ratios = mirrored_information(smalls)
        assert ratios is not None
        suspects += [shifted_information(smalls, int(n)) for n in np.flatnonzero(ratios > MIRRORED)]
    assert len(suspects) > 3, "without shifts some would be called mirrored"
    assert max(suspects) < MIRRORED
    assert list(mirror_findings(subject)) == []


@pytest.mark.parametrize("shift", [(0, 0, 0), (3, -2, 1)])
def test_an_image_that_is_mirrored_and_shifted_is_told_from_one_that_is_shifted(
    tmp_path: Path, shift: tuple[int, int, int]
) -> None:
    visited = inspect(write_heads(tmp_path / "cohort")).visits[0]
    first, *others = [file.digest.small for file in visited.images.values() if file.digest is not None]
    moved = np.roll(first, shift, axis=(0, 1, 2))
    assert shifted_information([moved, *others], 0) < 1 / MIRRORED
    assert shifted_information([moved[::-1], *others], 0) > MIRRORED


def test_a_shift_that_can_be_undone_takes_nothing_from_what_images_share(tmp_path: Path) -> None:
    """Compared where they lie, the ratios are 0.43 and 2.3."""
    visited = inspect(write_heads(tmp_path / "cohort")).visits[0]
    first, *others = [file.digest.small for file in visited.images.values() if file.digest is not None]
    moved = np.roll(first, 4, axis=0)
    assert shifted_information([moved, *others], 0) < 0.1
    assert shifted_information([moved[::-1], *others], 0) > 10
