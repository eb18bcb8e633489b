import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.patch_set import PatchRequest
from data_prep.problems import InputError
from data_prep.regions import Region, region_of
from data_prep.windows import Windows, open_windows
from tests.data_prep.placed import ORIENTATIONS, affine_of, write_cohort

SHAPE = (26, 24, 20)
AFFINE = affine_of([1, 1, 1.2], [-13, -12, -12], [4, -6, 3])


def ball(centre, radius: float) -> np.ndarray:
    return ((np.moveaxis(np.indices(SHAPE), 0, -1) - centre) ** 2).sum(axis=-1) <= radius**2


HEAD, TUMOUR = ball([13, 12, 10], 9), ball([10, 10, 9], 3)


def image_of(values: np.ndarray, affine: np.ndarray = AFFINE) -> nib.Nifti1Image:
    return nib.Nifti1Image(values.astype(np.float32), affine)


def flair(air: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.where(HEAD, rng.normal(100, 5, SHAPE) + 60 * TUMOUR, np.abs(rng.normal(0, air, SHAPE)))


def opened(tmp_path: Path, images=None, masks=(), **options) -> tuple[Windows, object]:
    """A visit with a FLAIR, and masks of the names given."""
    images = {"FLAIR": image_of(flair())} if images is None else images
    site = nib.affines.apply_affine(AFFINE, [10, 10, 9])
    folder = write_cohort(tmp_path, images, [site])
    lines = ["[masks]"]
    for name, mask in dict(masks).items():
        nib.save(mask, folder / "sub" / f"{name}.nii")
        lines.append(f'{name} = "{{participant_id}}/{name}.nii"')
    with (folder / "cohort.toml").open("a") as file:
        file.write("\n".join([*lines, ""]))
    cohort = read_cohort(folder)
    (windows,) = open_windows(cohort, "sub", PatchRequest(cohort.sequences, 1, **options))
    return windows, cohort


@pytest.mark.parametrize("order", range(0, 48, 7))
def test_a_given_mask_counts_by_where_its_voxels_are_and_not_by_their_order(tmp_path, order):
    windows, cohort = opened(tmp_path)
    nib.save(image_of(TUMOUR * 3).as_reoriented(ORIENTATIONS[order]), tmp_path / "mine.nii.gz")
    region = region_of(windows, cohort, mask=tmp_path / "mine.nii.gz")
    assert np.array_equal(region.inside, TUMOUR)
    assert (region.name, region.note) == ("mask", "The mask mine.nii.gz.")


def test_a_mask_of_another_grid_is_one_line_with_both(tmp_path):
    windows, cohort = opened(tmp_path)
    nib.save(image_of(TUMOUR[:-2], affine_of([1, 1, 2], [0, 1, 2])), tmp_path / "mine.nii")
    with pytest.raises(InputError, match="must lie on the grid of sub's images") as caught:
        region_of(windows, cohort, mask=tmp_path / "mine.nii")
    (line,) = caught.value.problems
    assert "26 x 24 x 20 voxels of 1 x 1 x 1.2 mm" in line
    assert "24 x 24 x 20 voxels of 1 x 1 x 2 mm from (0.0, 1.0, 2.0) mm" in line


@pytest.mark.parametrize(
    ("content", "law"), [(b"", "it is empty"), (None, "No such file"), ("zeros", "zero everywhere")]
)
def test_a_mask_that_is_none_is_one_line_that_names_it(tmp_path, content, law):
    windows, cohort = opened(tmp_path)
    if content == "zeros":
        nib.save(image_of(np.zeros(SHAPE)), tmp_path / "mine.nii")
    elif content is not None:
        (tmp_path / "mine.nii").write_bytes(content)
    with pytest.raises(InputError, match=rf"mine\.nii: .*{law}") as caught:
        region_of(windows, cohort, mask=tmp_path / "mine.nii")
    assert len(caught.value.problems) == 1


def test_masks_of_the_cohort_are_taken_and_auto_is_the_tumour_s(tmp_path):
    masks = {"tumor": image_of(TUMOUR).as_reoriented(ORIENTATIONS[30]), "brain": image_of(HEAD)}
    windows, cohort = opened(tmp_path, masks=masks)
    expected = (("tumor", "tumor", TUMOUR), ("auto", "tumor", TUMOUR), ("brain", "brain", HEAD))
    for within, name, inside in expected:
        region = region_of(windows, cohort, within)
        assert region.name == name
        assert np.array_equal(region.inside, inside)


def test_a_tumour_mask_of_its_own_voxels_is_taken_to_the_grid(tmp_path):
    """Voxels of twice the size, so that each covers eight of the grid's."""
    affine = nib.affines.from_matvec(AFFINE[:3, :3] * 2, nib.affines.apply_affine(AFFINE, [0.5, 0.5, 0.5]))
    coarse = TUMOUR[::2, ::2, ::2]
    windows, cohort = opened(tmp_path, masks={"tumor": image_of(coarse, affine)}, resample_to="FLAIR")
    expected = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2) & HEAD
    assert np.array_equal(region_of(windows, cohort, "tumor").inside, expected)


@pytest.mark.parametrize(
    ("within", "law"),
    [
        ("tumor", "there is no tumour mask. Give --mask, or --within estimated-tumor, brain or head."),
        ("brain", "there is no brain mask. Give --mask, or --within head."),
    ],
)
def test_a_mask_that_the_cohort_lacks_is_one_line_that_says_what_to_do(tmp_path, within, law):
    with pytest.raises(InputError, match=re.escape(f"sub: {law}")):
        region_of(*opened(tmp_path), within)


def test_an_unknown_region_names_the_legal_ones(tmp_path):
    with pytest.raises(InputError, match="unknown name 'tumour'; did you mean 'tumor'"):
        region_of(*opened(tmp_path), "tumour")


def overlap(region: Region, expected: np.ndarray) -> float:
    return float(2 * (region.inside & expected).sum() / (region.inside.sum() + expected.sum()))


@pytest.mark.parametrize("air", [0.0, 3.0])
def test_the_head_is_what_stands_out_skull_stripped_or_not(tmp_path, air):
    region = region_of(*opened(tmp_path, {"FLAIR": image_of(flair(air))}), "head")
    assert overlap(region, HEAD) > 0.99
    assert region.note.startswith("What stands out from the air in FLAIR.")


def test_without_air_the_whole_image_counts_and_the_note_says_so(tmp_path):
    full = np.random.default_rng(0).normal(100, 5, SHAPE)
    region = region_of(*opened(tmp_path, {"FLAIR": image_of(full)}), "head")
    assert region.inside.all()
    assert "The whole image" in region.note


def test_an_estimate_is_near_the_tumour_and_says_that_it_is_one(tmp_path):
    region = region_of(*opened(tmp_path))
    assert region.name == "estimated-tumor"
    # A ball of 3 voxels, behind a Gaussian of 2 mm.
    assert overlap(region, TUMOUR) > 0.5
    assert "Estimated, no segmentation: what is bright in FLAIR" in region.note
    assert "in the head" in region.note
    with_brain = region_of(*opened(tmp_path / "b", masks={"brain": image_of(HEAD)}), "estimated-tumor")
    assert "in the brain mask" in with_brain.note


def test_no_tumour_at_the_biopsies_is_one_line(tmp_path):
    flat = np.where(HEAD, 100 - 60 * TUMOUR, 0)
    with pytest.raises(InputError, match=r"sub: no tumour stands out at the biopsies in FLAIR\. Give --mask"):
        region_of(*opened(tmp_path, {"FLAIR": image_of(flat)}), "estimated-tumor")


def test_nothing_is_drawn_where_no_sequence_has_an_intensity(tmp_path):
    """Air in both images, or beyond the one that ends within the grid."""
    one, two = flair(3.0), flair(3.0)
    one[:12], two[:, :12] = 0, 0
    images = {"FLAIR": image_of(one), "T2": image_of(two).slicer[:, :, 4:]}
    windows, cohort = opened(tmp_path, images, resample_to="FLAIR")
    nib.save(image_of(np.ones(SHAPE)), tmp_path / "mine.nii")
    region = region_of(windows, cohort, mask=tmp_path / "mine.nii")
    beside = np.zeros(SHAPE, dtype=bool)
    beside[:, :, 4:] = True
    assert np.array_equal(region.inside, (one != 0) | ((two != 0) & beside))
    left_out = (~region.inside).sum()
    assert f"Left out, without any intensity: {left_out} of {region.inside.size} voxels" in region.note


def test_a_region_of_air_alone_is_refused(tmp_path):
    windows, cohort = opened(tmp_path)
    corner = np.zeros(SHAPE)
    corner[:2, :2, :2] = 1
    nib.save(image_of(corner), tmp_path / "mine.nii")
    with pytest.raises(InputError, match="of the 8 of the region 'mask' none has an intensity"):
        region_of(windows, cohort, mask=tmp_path / "mine.nii")


def test_the_estimate_of_a_real_glioma_is_near_its_segmentation(shared_cohort):
    cohort = read_cohort(shared_cohort("glioma_mr_case"))
    (windows,) = open_windows(cohort, "sub-01", PatchRequest(("FLAIR",), 0))
    expected = region_of(windows, cohort, "tumor")
    assert overlap(region_of(windows, cohort, "estimated-tumor"), expected.inside) > 0.85
    head = region_of(windows, cohort, "head").inside
    assert (head & expected.inside).sum() > 0.999 * expected.inside.sum()
