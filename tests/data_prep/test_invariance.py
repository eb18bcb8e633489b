"""The same anatomy gives the same patches, however it is stored and however its sites are told."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from data_prep.patch_set import PatchSet
from tests.data_prep.placed import ORIENTATIONS, affine_of, extract, noise, write_cohort

SHAPE = (14, 13, 12)
GRIDS = {
    "straight": affine_of([1, 1, 1], [-6, -6, -6]),
    "anisotropic": affine_of([0.5, 0.5, 5], [-3.25, -3.1, -27.3]),
    "oblique": affine_of([0.9, 1.1, 2.5], [-61.37, 104.91, -30.02], [17, -23, 11]),
    "halfway": affine_of([1, 1.2, 1.5], [-6.1, -5.3, 27.7], [45, 0, 0]),
    "twisted": affine_of([1, 1, 1], [-6.1, -5.3, 27.7], [45, 45, 0]),
}
# In voxels of the grid: at a centre, halfway to two neighbours, anywhere, beyond the centres of the border.
VOXELS = np.array([[6, 6, 6], [5.5, 7, 4.5], [7.31, 5.87, 6.12], [13.4, -0.3, 2.2]])
REQUESTS = {
    "native": {"radius": 3, "slices": 3},
    "slices": {"radius": 2, "slices": 3, "slice_mm": 1.7},
    "finer": {"radius": 2, "slices": 3, "spacing_mm": 0.7},
    "coarser": {"radius": 1, "spacing_mm": 2.2},
}


def canonical(affine: np.ndarray) -> tuple[nib.Nifti1Image, np.ndarray]:
    """An image in canonical order, and its sites in the world."""
    image = nib.as_closest_canonical(noise(SHAPE, affine))
    return image, nib.affines.apply_affine(image.affine, VOXELS)


def assert_equal(one: PatchSet, other: PatchSet) -> None:
    """All that is kept of patches is equal, to the last bit."""
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name)


def centred(edges, shape, site, degrees=(0, 0, 0)) -> np.ndarray:
    """The affine of a grid around a site."""
    affine = affine_of(edges, [0, 0, 0], degrees)
    middle = np.array(shape) / 2 + [0.31, -0.17, 0.04]
    return affine_of(edges, site - nib.affines.apply_affine(affine, middle), degrees)


def voxels_in(stored: nib.Nifti1Image, image: nib.Nifti1Image, sites: np.ndarray) -> np.ndarray:
    """Voxel coordinates of the same sites in a file that is stored otherwise."""
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.io_orientation(stored.affine)
    )
    to_first = nib.orientations.inv_ornt_aff(turn, image.shape)
    return nib.affines.apply_affine(np.linalg.inv(to_first), sites)


@pytest.mark.parametrize("grid", ["straight", "anisotropic", "oblique"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_48_orientations_give_the_same_patches_in_either_space(tmp_path, grid, request_):
    image, world = canonical(GRIDS[grid])
    options = REQUESTS[request_]
    expected = extract(write_cohort(tmp_path, {"T1": image}, world), **options)
    assert expected.present.all()
    inside = np.array([0, 2])  # halves round up along the axes that they are told in
    for number, orientation in enumerate(ORIENTATIONS):
        stored = image.as_reoriented(orientation)
        assert_equal(extract(write_cohort(tmp_path, {"T1": stored}, world), **options), expected)
        if number % 6 == 1:
            told = voxels_in(stored, image, VOXELS)
            by_voxel = extract(write_cohort(tmp_path, {"T1": stored}, told, "voxel"), **options)
            assert_equal(by_voxel.take(inside), expected.take(inside))
            if "spacing_mm" in options:
                assert_equal(by_voxel, expected)


@pytest.mark.parametrize("grid", ["halfway", "twisted"])
def test_a_grid_that_is_turned_halfway_has_one_canonical_order(tmp_path, grid):
    first, *others = (
        extract(
            write_cohort(
                tmp_path,
                {"T1": noise(SHAPE, GRIDS[grid]).as_reoriented(orientation)},
                nib.affines.apply_affine(GRIDS[grid], VOXELS[[0, 2]]),
            ),
            radius=2,
            slices=3,
        )
        for orientation in ORIENTATIONS
    )
    for other in others:
        assert_equal(other, first)


@pytest.mark.parametrize("grid", ["straight", "anisotropic", "oblique", "halfway"])
@pytest.mark.parametrize("request_", REQUESTS)
def test_lps_gives_the_patches_of_ras(tmp_path, grid, request_):
    image, world = canonical(GRIDS[grid])
    ras = extract(write_cohort(tmp_path, {"T1": image}, world), **REQUESTS[request_])
    flipped = world * [-1, -1, 1]
    lps = extract(write_cohort(tmp_path, {"T1": image}, flipped, "world", "LPS"), **REQUESTS[request_])
    assert_equal(lps, ras)


@pytest.mark.parametrize("options", [{"slices": 3}, {"slices": 3, "spacing_mm": 0.8}])
def test_images_and_masks_on_other_grids_may_each_be_stored_in_any_order(tmp_path, options):
    reference, world = canonical(GRIDS["oblique"])
    coarse = centred([2, 1.7, 2.6], (20, 16, 18), world[0], [4, 9, -20])
    mask = centred([2.1, 2.2, 3.1], (13, 12, 14), world[0])
    inside = (noise((13, 12, 14), mask, 2).get_fdata() > 95).astype(np.uint8)
    images = {
        "T1Gd": reference,
        "FA": noise((20, 16, 18), coarse, 1),
        "brain": nib.Nifti1Image(inside, mask),
    }
    rng, sites = np.random.default_rng(0), world[[0, 2]]
    expected = extract(write_cohort(tmp_path, images, sites), resample_to="T1Gd", **options)
    assert expected.present.all()
    assert expected.raw[..., 1::2].std() > 1
    for _ in range(12):
        orders = rng.choice(48, size=3)
        stored = {
            name: image.as_reoriented(ORIENTATIONS[order])
            for (name, image), order in zip(images.items(), orders, strict=True)
        }
        patches = extract(write_cohort(tmp_path, stored, sites), resample_to="T1Gd", **options)
        assert_equal(patches, expected)


def test_where_single_precision_tells_patches_differ_by_a_thousandth_of_a_voxel(tmp_path):
    """A site on the border between two thousandths may round to either; it can do no more."""
    shape, affine = (24, 24, 24), affine_of([1, 1, 1], [-190.123, -201.77, -155.5], [5, 7, -9])
    image = nib.as_closest_canonical(nib.Nifti1Image(np.indices(shape)[0].astype(np.float32), affine))
    sites = nib.affines.apply_affine(image.affine, 12 + np.arange(1, 6)[:, None] * [0.5005, 0.5, 0.5])
    found = [
        extract(write_cohort(tmp_path, {"T1": image.as_reoriented(o)}, sites), 1, spacing_mm=0.8).raw
        for o in ORIENTATIONS[::4]
    ]
    assert np.ptp(found, axis=0).max() <= 0.001 + 1e-5
