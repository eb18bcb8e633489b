"""A map on a real brain by a model of four sequences of a phantom, looked at with other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from nilearn.image import load_img, resample_to_img

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.patches import extract_patches
from data_prep.phantom import PhantomSpec, write_phantom
from search.cli import main
from search.deployment.model import Model
from tests.search.deployment.hand_made import made, seal
from tests.search.deployment.test_unlike import RADIUS

SEQUENCES = ("T1", "T1Gd", "T2", "FLAIR")


@pytest.fixture(scope="module")
def drawn(
    shared_cohort: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The cohort, and the folder of its map by baselines on the phantom's patches."""
    cohort = shared_cohort("glioma_mr_case")
    folder = tmp_path_factory.mktemp("four")
    write_phantom(folder / "phantom", PhantomSpec(participants=6, biopsies=18, size=24, missing=0.0))
    patches = extract_patches(read_cohort(folder / "phantom"), PatchRequest(SEQUENCES, radius=RADIUS))
    level, spread = patches.mean[:, None, None, :], patches.std[:, None, None, :]
    patches = replace(
        patches,
        raw=(patches.raw - level) / spread,
        mean=np.zeros_like(patches.mean),
        std=np.ones_like(patches.std),
    )
    model = made(folder / "model", configurations=(("roi_means", "logistic", RADIUS),), patches=patches)
    seal(Model(model.folder, replace(model.facts, voxel_mm=(1.0, 1.0))))
    whose = ["--participant", "sub-01", "--out", str(folder / "maps"), "--stride", "4", "--skip-tracking"]
    assert main(["map", str(folder / "model"), str(cohort), *whose, "--home", str(folder / "home")]) == 0
    return cohort, folder / "maps" / "sub-01"


def test_it_lies_on_the_brain_as_other_programs_see_it(drawn: tuple[Path, Path]) -> None:
    cohort, folder = drawn
    scan, path = cohort / "sub-01" / "T1Gd.nii.gz", folder / "sub-01_gene0_probability.nii.gz"
    image, mine = nibabel.load(scan), nibabel.load(path)
    assert nibabel.aff2axcodes(mine.affine) == nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    np.testing.assert_array_equal(mine.affine, image.affine)
    assert mine.shape == image.shape
    one, other = SimpleITK.ReadImage(str(scan)), SimpleITK.ReadImage(str(path))
    for part in ("GetOrigin", "GetSpacing", "GetDirection", "GetSize"):
        assert getattr(other, part)() == pytest.approx(getattr(one, part)(), abs=1e-5)
    tumour = load_img(str(cohort / "sub-01" / "segmentation.nii.gz"))
    known = nibabel.Nifti1Image(np.isfinite(mine.get_fdata()).astype(np.uint8), mine.affine)
    again = resample_to_img(known, tumour, interpolation="nearest").get_fdata() != 0
    there = tumour.get_fdata() != 0
    assert not (again & ~there).any()
    assert again.sum() > 0.98 * there.sum()  # where no image shows anything there is no map


def test_it_tells_that_a_phantom_is_no_brain(drawn: tuple[Path, Path]) -> None:
    told = json.loads((drawn[1] / "map.json").read_text())
    assert (told["in_training"], told["maps"][0]["region"]["name"]) == (False, "tumor")
    assert told["maps"][0]["unlike_share"] > 0.01  # by its definition what training data would have
    assert told["maps"][0]["asked_voxels"] < told["maps"][0]["region"]["voxels"] / 20
