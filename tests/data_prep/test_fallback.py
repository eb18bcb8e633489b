"""Patches of participants who lack the sequence on whose grid patches are cut."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from data_prep.problems import InputError
from tests.data_prep.placed import affine_of, extract, image_of, noise, write_cohort

SITE = [0.0, 1.0, 2.0]
FINE, COARSE = affine_of([1, 1, 1], [-15, -15, -15]), affine_of([2, 1.5, 3], [-20, -19, -22], [5, -3, 8])


def ramp(affine, shape=(30, 30, 30)) -> nib.Nifti1Image:
    return image_of(lambda x, y, z: 100 + x + 2 * y - z, shape, affine)


def cohort_of(folder, lacking: dict, having: dict | None = None):
    """A participant with all three, and one who lacks the reference, T1Gd."""
    given = {"T1Gd": ramp(FINE), "FA": ramp(COARSE), "MD": noise((30, 30, 30), FINE)} | (having or {})
    write_cohort(folder, given, [SITE])
    (folder / "sub2").mkdir()
    for name, image in lacking.items():
        nib.save(image, folder / "sub2" / f"{name}.nii")
    with (folder / "biopsies.tsv").open("a") as table:
        table.write("c0\tsub2\t0\t1\t2\n")
    return folder


def line_of(folder, **options) -> str:
    with pytest.raises(InputError, match=":") as caught:
        extract(folder, **options)
    (line,) = caught.value.problems
    return line


def test_with_a_spacing_patches_have_one_scale_whichever_grid_they_are_cut_on(tmp_path):
    """Ramps in the world, on two grids of which MD's is the finer one and lies straight."""
    folder = cohort_of(tmp_path, {"FA": ramp(COARSE), "MD": ramp(FINE)})
    patches = extract(folder, 3, resample_to="T1Gd", spacing_mm=1.0, slices=3, slice_mm=2.0)
    assert patches.present.tolist() == [[True, True, True], [False, True, True]]
    assert np.array_equal(patches.voxel_mm, np.ones((2, 2)))
    i, j, k = np.meshgrid(np.arange(-3, 4), np.arange(-3, 4), [-2, 0, 2], indexing="ij")
    expected = 100 + (SITE[0] + i) + 2 * (SITE[1] + j) - (SITE[2] + k)
    for row, channel in ((0, 0), (0, 1), (1, 1), (1, 2)):
        np.testing.assert_allclose(patches.raw[row, ..., channel::3], expected, atol=0.02)


def test_several_grids_without_a_spacing_are_refused_by_a_line_that_says_what_to_do(tmp_path):
    folder = cohort_of(tmp_path, {"FA": ramp(COARSE, (20, 22, 18)), "MD": ramp(FINE)})
    assert line_of(folder, resample_to="T1Gd") == (
        "sub2/T1Gd.nii: who lacks it must have one grid where spacing_mm is not set, but got several "
        "(FA: 20 x 22 x 18 voxels of 2 x 1.5 x 3 mm; MD: 30 x 30 x 30 voxels of 1 x 1 x 1 mm). "
        "Set spacing_mm, or resample_to to a sequence that everybody has: FA, MD."
    )


def test_one_grid_of_other_voxels_without_a_spacing_is_refused(tmp_path):
    folder = cohort_of(tmp_path, {"FA": ramp(COARSE)})
    assert line_of(folder, resample_to="T1Gd") == (
        "sub2/T1Gd.nii: who lacks it must have voxels as large as those who have it where spacing_mm is not "
        "set (1 x 1 x 1 mm), but got 2 x 1.5 x 3 mm. "
        "Set spacing_mm, or resample_to to a sequence that everybody has: FA."
    )
    assert extract(folder, resample_to="T1Gd", spacing_mm=1.0).present[1].tolist() == [False, True, False]
    assert extract(folder, resample_to="FA").voxel_mm[1] == pytest.approx([2.0, 1.5], abs=1e-5)
    # Of whom nothing is cut, nothing is refused.
    assert not extract(folder, sequences=["MD"], resample_to="T1Gd").present[1].any()


@pytest.mark.parametrize(("edge", "is_like"), [(0.96, True), (1.04, True), (0.93, False), (1.07, False)])
def test_one_grid_of_like_voxels_is_taken_as_it_is(tmp_path, edge, is_like):
    like = affine_of([edge, 1, 1], [-15, -15, -15])
    folder = cohort_of(tmp_path, {"FA": ramp(like)})
    if is_like:
        patches = extract(folder, resample_to="T1Gd")
        assert patches.voxel_mm[1] == pytest.approx([edge, 1.0], abs=1e-5)
    else:
        assert f"(1 x 1 x 1 mm), but got {edge:g} x 1 x 1 mm" in line_of(folder, resample_to="T1Gd")


def test_where_nobody_shares_a_sequence_only_the_spacing_is_advised(tmp_path):
    folder = cohort_of(tmp_path, {"FA": ramp(COARSE)})
    (folder / "sub" / "FA.nii").unlink()
    assert line_of(folder, resample_to="T1Gd").endswith("2 x 1.5 x 3 mm. Set spacing_mm.")
