"""Samples against closed forms, and against SimpleITK as a second implementation."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.cohort_file import Coordinates
from data_prep.geometry import Grid, canonical_position, canonical_voxel, stored_voxel
from data_prep.patch_set import PatchRequest
from data_prep.sampling import own_view, view_of
from data_prep.survey import Visit
from tests.data_prep.placed import affine_of, extract, image_of, noise, samples, write_cohort

SITE = np.array([3.2, -4.1, 7.3])
OBLIQUE = affine_of([0.9, 1.1, 2.0], [-27.3, -38.2, -32.1], [9, -14, 6])
THICK = affine_of([0.5, 0.5, 5], [-12.1, -20.6, -36.2])
COARSE = affine_of([2, 2, 2.5], [-39, -47, -40], [-4, 3, 12])
SHAPES = {id(OBLIQUE): (70, 66, 40), id(THICK): (64, 66, 18), id(COARSE): (42, 44, 36)}
SPACINGS = [{}, {"slice_mm": 3.0}, {"spacing_mm": 0.7}, {"spacing_mm": 0.7, "slice_mm": 4.0}]


def world_of(affine: np.ndarray, radius: int, slices: int, spacing_mm=None, slice_mm=None) -> np.ndarray:
    """World coordinates of the samples around SITE as docs/geometry.md defines them, shape (E, E, S, 3)."""
    size = np.linalg.norm(affine[:3, :3], axis=0)
    axes = affine[:3, :3] / size
    centre = SITE
    if spacing_mm is None:
        voxel = np.floor(nib.affines.apply_affine(np.linalg.inv(affine), SITE) + 0.5)
        centre = nib.affines.apply_affine(affine, voxel)
    step = size if spacing_mm is None else np.full(3, spacing_mm)
    across = slice_mm if slice_mm is not None else step[2]
    found = np.empty((2 * radius + 1, 2 * radius + 1, slices, 3))
    for i, j, k in np.ndindex(found.shape[:3]):
        along = [(i - radius) * step[0], (j - radius) * step[1], (k - slices // 2) * across]
        found[i, j, k] = centre + axes @ along
    return found


def by_sitk(image: nib.Nifti1Image, world: np.ndarray, interpolator: int) -> np.ndarray:
    """SimpleITK's interpolation at world points in RAS."""
    volume = SimpleITK.GetImageFromArray(image.get_fdata().T)
    size = np.linalg.norm(image.affine[:3, :3], axis=0)
    volume.SetSpacing(size.tolist())
    lps = np.diag([-1.0, -1.0, 1.0])
    # ITK wants directions that are orthogonal to 1e-6, which single precision is not quite.
    left, _, right = np.linalg.svd(lps @ image.affine[:3, :3] / size)
    volume.SetDirection((left @ right).ravel().tolist())
    volume.SetOrigin((lps @ image.affine[:3, 3]).tolist())
    points = (world @ lps).reshape(-1, 3).tolist()
    values = [volume.EvaluateAtPhysicalPoint(point, interpolator) for point in points]
    return np.reshape(values, world.shape[:-1])


def image_on(affine: np.ndarray, seed: int = 0) -> nib.Nifti1Image:
    return noise(SHAPES[id(affine)], affine, seed)


@pytest.mark.parametrize("options", SPACINGS)
@pytest.mark.parametrize("affine", [OBLIQUE, THICK, COARSE])
def test_a_ramp_in_the_world_gives_the_world_coordinates_of_each_sample(tmp_path, affine, options):
    """A spline reproduces a ramp, so three ramps tell where each sample was taken, and in which order."""
    ramps = {
        name: image_of(lambda *xyz, axis=axis: xyz[axis], SHAPES[id(affine)], affine)
        for axis, name in enumerate("xyz")
    }
    turned = {
        "x": ramps["x"].as_reoriented(np.array([[2, -1], [0, 1], [1, -1]])),
        "y": ramps["y"].as_reoriented(np.array([[1, -1], [0, -1], [2, -1]])),
        "z": ramps["z"],
    }
    patches = extract(write_cohort(tmp_path, turned, [SITE]), radius=3, slices=3, **options)
    assert patches.channel_names == ("x[-1]", "y[-1]", "z[-1]", "x", "y", "z", "x[+1]", "y[+1]", "z[+1]")
    expected = world_of(affine, 3, 3, **options)
    # 0.001 voxel of 5 mm, to which a site is rounded.
    np.testing.assert_allclose(samples(patches)[0], expected, atol=5e-3)
    lowest, middle, highest = np.split(patches.raw[0], 3, axis=-1)
    np.testing.assert_allclose(middle[3, 3], expected[3, 3, 1], atol=5e-3)
    assert (lowest[..., 2] < middle[..., 2]).all()
    assert (middle[..., 2] < highest[..., 2]).all()


def test_seventeen_pixels_three_slices_and_nine_sequences_are_27_channels(tmp_path):
    images = {f"S{k}": image_on(OBLIQUE, k) for k in range(9)}
    folder = write_cohort(tmp_path, images, [SITE])
    patches = extract(folder, radius=8, slices=3, slice_mm=4.0)
    assert patches.images(8).shape == (1, 17, 17, 27)
    alone = extract(folder, radius=8, sequences=["S7"], slices=3, slice_mm=4.0)
    np.testing.assert_array_equal(patches.raw[..., 7::9], alone.raw)


@pytest.mark.parametrize(
    "options", [*SPACINGS[:2], {"spacing_mm": 0.4}, {"spacing_mm": 0.4, "slice_mm": 4.0}]
)
@pytest.mark.parametrize("affine", [OBLIQUE, THICK, COARSE])
def test_samples_of_noise_are_those_of_simpleitk(tmp_path, affine, options):
    """Where nothing shrinks, samples are a cubic B-spline; ITK evaluates its own at the same world points."""
    image = image_on(affine)
    patches = extract(write_cohort(tmp_path, {"T1": image}, [SITE]), radius=2, slices=3, **options)
    assert not patches.padding.any()
    expected = by_sitk(image, world_of(affine, 2, 3, **options), SimpleITK.sitkBSpline)
    # Noise of deviation 20 changes by up to some 40 a voxel, and a site is rounded to 0.001 voxel.
    np.testing.assert_allclose(samples(patches)[0, ..., 0], expected, atol=0.05)
    if not options:
        nearest = by_sitk(image, world_of(affine, 2, 3), SimpleITK.sitkNearestNeighbor)
        np.testing.assert_array_equal(samples(patches)[0, ..., 0], nearest.astype(np.float32))


@pytest.mark.parametrize("options", [{"spacing_mm": 0.4}, {"spacing_mm": 0.4, "slice_mm": 2.0}])
@pytest.mark.parametrize("affine", [OBLIQUE, THICK])
def test_other_grids_are_read_at_the_reference_s_samples_as_simpleitk_reads_them(tmp_path, affine, options):
    images = {"T1Gd": image_on(affine), "FA": image_on(COARSE, 1)}
    folder = write_cohort(tmp_path, images, [SITE])
    patches = extract(folder, radius=2, slices=3, resample_to="T1Gd", **options)
    world = world_of(affine, 2, 3, **options)
    for channel, image in enumerate(images.values()):
        expected = by_sitk(image, world, SimpleITK.sitkBSpline)
        np.testing.assert_allclose(samples(patches)[0, ..., channel], expected, atol=0.1)
    linear = by_sitk(images["FA"], world, SimpleITK.sitkLinear)
    assert np.corrcoef(samples(patches)[0, ..., 1].ravel(), linear.ravel())[0, 1] > 0.9


def blob(width: float):
    """A Gaussian of deviation `width` mm around a point near the site."""
    return lambda x, y, z: 100 * np.exp(-((x - 2) ** 2 + (y + 3) ** 2 + (z - 6) ** 2) / (2 * width**2))


def test_a_blob_has_its_analytic_values_on_every_grid(tmp_path):
    images = {
        name: image_of(blob(6.0), SHAPES[id(affine)], affine)
        for name, affine in {"T1Gd": OBLIQUE, "FA": COARSE, "T2": THICK}.items()
    }
    folder = write_cohort(tmp_path, images, [SITE])
    for spacing in (1.0, 0.5):
        patches = extract(folder, 3, resample_to="T1Gd", spacing_mm=spacing, slices=3)
        expected = blob(6.0)(*np.moveaxis(world_of(OBLIQUE, 3, 3, spacing), -1, 0))
        # Of 100; slices of 5 mm sample a deviation of 6 mm just well enough, and 0.5 mm voxels are smoothed.
        for channel, tolerance in ((0, 0.1), (1, 0.3), (2, 1.5)):
            np.testing.assert_allclose(samples(patches)[0, ..., channel], expected, atol=tolerance)


def test_a_blob_is_smoothed_by_what_the_coarse_grid_cannot_hold(tmp_path):
    """A Gaussian stays one: along each axis its variance grows by (spacing^2 - voxel^2) / FWHM^2 mm^2."""
    affine = affine_of([1, 1, 1], [-30, -30, -30], [0, 0, 20])
    folder = write_cohort(tmp_path, {"T1": image_of(blob(4.0), (64, 60, 62), affine)}, [SITE])
    patches = extract(folder, 3, spacing_mm=3.0)
    variance = 4.0**2 + (3.0**2 - 1) / (8 * np.log(2))
    expected = blob(np.sqrt(variance))(*np.moveaxis(world_of(affine, 3, 1, 3.0), -1, 0))
    expected *= (4.0**2 / variance) ** 1.5
    np.testing.assert_allclose(samples(patches)[0, ..., 0], expected, atol=0.1)


def wave(period: float):
    """A sine along the first axis of the world."""
    return lambda x, y, z: np.sin(2 * np.pi * x / period) + 0 * (y + z)


@pytest.mark.parametrize("to_coarse", [False, True])
def test_waves_too_short_for_the_samples_vanish_and_long_ones_stay(tmp_path, to_coarse):
    """4 mm samples hold no period below 8 mm; also where a coarse reference asks for them."""
    fine, coarse = affine_of([1, 1, 1], [-40, -40, -40]), affine_of([4, 4, 4], [-40, -40, -40])
    images = {
        "slow": image_of(wave(40.0), (80,) * 3, fine),
        "fast": image_of(wave(4.6), (80,) * 3, fine),
        "T1Gd": noise((20,) * 3, coarse),
    }
    folder = write_cohort(tmp_path, images, [SITE])
    options = {"resample_to": "T1Gd"} if to_coarse else {"spacing_mm": 4.0}
    sequences = ["slow", "fast"]
    found = samples(extract(folder, 4, sequences, **options))[0, :, 0, 0]
    x = (world_of(coarse, 4, 1) if to_coarse else world_of(fine, 4, 1, 4.0))[:, 0, 0, 0]
    filtered = np.exp(-2 * (np.pi / 40) ** 2 * 15 / (8 * np.log(2)))
    np.testing.assert_allclose(found[:, 0], filtered * np.sin(2 * np.pi * x / 40), atol=0.01)
    assert np.abs(found[:, 1]).max() < 0.1


def test_slices_far_apart_stay_as_thin_as_the_voxels_of_the_patch(tmp_path):
    """A distance between slices is no thickness: what alternates from slice to slice is not averaged away."""
    affine = affine_of([1, 1, 1], [-20, -20, -20])
    image = image_of(lambda x, y, z: 0 * (x + y) + z % 2, (40,) * 3, affine)
    folder = write_cohort(tmp_path, {"T1": image}, [[0, 0, 1]])
    for options in ({}, {"spacing_mm": 1.0}):
        found = extract(folder, 1, slices=3, slice_mm=3.0, **options).raw[0, 0, 0]
        np.testing.assert_array_equal(found, [0, 1, 0])


def test_thick_slices_are_read_at_the_site_s_own_height(tmp_path):
    """At 2 mm above the centre of a 5 mm slice; on the own grid the slice itself is meant."""
    image = image_of(lambda x, y, z: z + 0 * (x + y), (64, 66, 18), THICK)
    centre = nib.affines.apply_affine(THICK, [20, 21, 8])
    folder = write_cohort(tmp_path, {"T1": image}, [np.add(centre, [0, 0, 2.0])])
    assert extract(folder, 0, spacing_mm=1.0).raw.item() == pytest.approx(centre[2] + 2.0, abs=5e-3)
    assert extract(folder, 0).raw.item() == pytest.approx(centre[2], abs=1e-4)


def test_a_site_in_the_outer_half_of_an_outermost_slice_is_inside(tmp_path):
    image = image_of(lambda x, y, z: 100 + z + 0 * (x + y), (64, 66, 18), THICK)
    lowest = nib.affines.apply_affine(THICK, [20, 21, 0])
    folder = write_cohort(tmp_path, {"T1": image}, [lowest - [0, 0, 2.4]])
    patches = extract(folder, 1, spacing_mm=1.0, slices=3)
    assert patches.padding[0, 1, 1].tolist() == [True, False, False]
    assert patches.raw[0, 1, 1, 1] == pytest.approx(100 + lowest[2], abs=1.5)


def test_a_cube_has_the_edges_of_a_cube_on_a_grid_turned_by_45_degrees():
    straight, turned = (Grid((20, 20, 20), affine_of([1, 1, 1], [0, 0, 0], [0, 0, z])) for z in (0, 45))
    visit = Visit(np.array([0]), np.zeros((1, 3), int), np.zeros((1, 3)), straight, images={}, brain=None)
    seen = view_of(own_view(PatchRequest(("T1",), 1, spacing_mm=2.0), visit), straight, turned)
    assert seen.edges.tolist() == [2.0, 2.0, 2.0]


@settings(max_examples=30)
@given(
    st.tuples(*[st.floats(2, 30)] * 3),
    st.sampled_from([None, 0.4, 1.0, 2.3]),
    st.sampled_from([OBLIQUE, THICK, COARSE]),
    st.sampled_from([OBLIQUE, THICK, COARSE]),
)
def test_any_two_grids_agree_on_where_the_samples_are(voxel, spacing, affine, other):
    """Voxels of either grid, put through its own affine, are the same points of the world."""
    grid, volume = Grid(SHAPES[id(affine)], affine), Grid(SHAPES[id(other)], other)
    site, ras = nib.affines.apply_affine(affine, voxel), Coordinates(space="world")
    nearest = canonical_voxel(grid, stored_voxel(grid, site, ras))
    visit = Visit(
        np.array([0]), nearest[None], canonical_position(grid, site, ras)[None], grid, images={}, brain=None
    )
    own = own_view(PatchRequest(("T1",), 2, 3, spacing), visit)
    seen = view_of(own, grid, volume)
    one, two = (
        nib.affines.apply_affine(g.canonical_affine, np.moveaxis(view.points(0), 0, -1))
        for g, view in ((grid, own), (volume, seen))
    )
    np.testing.assert_allclose(one, two, atol=3e-3)
    assert view_of(own, grid, grid) is own
    edges = np.linalg.norm(other[:3, :3], axis=0)
    if spacing is not None:  # a cube of that edge, however it is turned, reaches at least as far
        assert (seen.edges * edges >= spacing * (1 - 1e-4)).all()
        assert (seen.edges * edges <= spacing * np.sqrt(3)).all()
