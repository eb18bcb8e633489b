import numpy as np
import pytest

from data_prep.features.first_order import first_order
from data_prep.features.gabor import gabor
from data_prep.features.glcm import glcm
from data_prep.features.levels import grey_levels
from data_prep.features.texture import texture
from data_prep.fold_input import fit_input
from data_prep.problems import InputError

IMAGES = np.random.default_rng(0).normal(size=(5, 9, 9, 3)).astype(np.float32)
PRESENT = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 0], [1, 1, 1]])


def alone(image: np.ndarray) -> dict[str, float]:
    """Features of one plane."""
    plane = image[None].astype(np.float64)
    found = {
        **first_order(plane.reshape(1, -1)),
        **{f"glcm_{name}": values for name, values in glcm(grey_levels(plane)).items()},
        **gabor(plane),
    }
    return {name: float(values[0]) for name, values in found.items()}


def test_a_row_holds_the_features_of_each_sequence(make_patches):
    table = texture(make_patches(IMAGES, PRESENT), 4)
    for row, column in np.argwhere(PRESENT):
        name = ("T1", "T2", "FLAIR")[column]
        found = {
            n.split(":")[1]: v
            for n, v in zip(table.names, table.values[row], strict=True)
            if n.startswith(f"{name}:")
        }
        assert found == pytest.approx(alone(IMAGES[row, :, :, column]), rel=1e-9, abs=1e-12)


def test_an_absent_sequence_has_no_texture(make_patches):
    table = texture(make_patches(IMAGES, PRESENT), 2)
    owners = np.array([name.split(":")[0] for name in table.names])
    for column, sequence in enumerate(("T1", "T2", "FLAIR")):
        missing = np.isnan(table.values[:, owners == sequence])
        assert np.array_equal(missing.all(axis=1), PRESENT[:, column] == 0)
        assert np.array_equal(missing.any(axis=1), PRESENT[:, column] == 0)


def test_another_order_of_biopsies_gives_other_rows_only(make_patches):
    patches, order = make_patches(IMAGES, PRESENT), [3, 0, 4, 2, 1]
    table = texture(patches, 3)
    assert np.array_equal(texture(patches.take(order), 3).values, table.values[order], equal_nan=True)


def test_many_biopsies_give_what_few_give(make_patches):
    images, present = np.tile(IMAGES, (60, 1, 1, 1)), np.tile(PRESENT, (60, 1))
    table, few = texture(make_patches(images, present), 2), texture(make_patches(IMAGES, PRESENT), 2)
    assert table.values == pytest.approx(np.tile(few.values, (60, 1)), nan_ok=True)


def test_the_radius_crops(make_patches):
    wide, narrow = make_patches(IMAGES, PRESENT), make_patches(IMAGES[:, 2:7, 2:7], PRESENT)
    assert np.array_equal(texture(wide, 2).values, texture(narrow, 2).values, equal_nan=True)


def test_slices_are_pooled_or_averaged(make_patches):
    table = texture(make_patches(IMAGES, np.ones((5, 1)), slices=3), 4)
    found = dict(zip(table.names, table.values[1], strict=True))
    planes = [alone(IMAGES[1, :, :, k]) for k in range(3)]
    assert found["T1:sd"] == pytest.approx(IMAGES[1].std(dtype=float))
    for name in ("glcm_contrast", "gabor_6px_45_sd"):
        assert found[f"T1:{name}"] == pytest.approx(np.mean([plane[name] for plane in planes]))


@pytest.mark.parametrize("value", [0.0, 0.3, -50.0])
def test_a_constant_patch_has_finite_features(make_patches, value):
    assert np.isfinite(texture(make_patches(np.full((2, 5, 5, 1), value), np.ones((2, 1))), 2).values).all()


def test_nobody_with_a_sequence_still_gives_its_columns(make_patches):
    table = texture(make_patches(IMAGES, np.zeros((5, 3))), 2)
    assert table.names == texture(make_patches(IMAGES, PRESENT), 2).names
    assert np.isnan(table.values).all()


@pytest.mark.parametrize("method", ["zscore", "robust", "white-matter", ("robust", "zscore", "robust")])
def test_any_scale_of_the_image_itself_will_do(make_patches, method):
    found = texture(make_patches(IMAGES, PRESENT, normalisation=method), 2)
    assert np.array_equal(found.values, texture(make_patches(IMAGES, PRESENT), 2).values, equal_nan=True)


@pytest.mark.parametrize("method", ["none", "nyul"])
def test_units_of_a_training_fold_have_to_be_fitted_first(make_patches, method):
    patches = make_patches(IMAGES, PRESENT, normalisation=("zscore", method, "zscore"))
    with pytest.raises(InputError, match=f"need intensities in units of a spread.*T2 .*'{method}'"):
        texture(patches, 2)
    fold = fit_input(patches, np.arange(4), 2, "zero")
    assert (
        texture(fold.normalised(patches), 2).values.shape
        == texture(make_patches(IMAGES, PRESENT), 2).values.shape
    )


def test_maps_are_read_in_units_of_the_training_fold(make_patches):
    maps = make_patches(1e-3 * (IMAGES + 5), PRESENT, normalisation="none")
    fold = fit_input(maps, np.arange(5), 4, "zero")
    scores = fold.normalised(maps).images(4)
    found = texture(fold.normalised(maps), 4)
    assert np.array_equal(found.values, texture(make_patches(scores, PRESENT), 4).values, equal_nan=True)
    levels = [
        value for name, value in zip(found.names, found.values[0], strict=True) if "glcm_entropy" in name
    ]
    assert min(levels) > 4


def test_an_unfitted_sequence_that_nobody_has_needs_no_units(make_patches):
    patches = make_patches(IMAGES, PRESENT * [1, 0, 1], normalisation=("zscore", "none", "zscore"))
    assert np.isnan(texture(patches, 2).values).any()


def test_an_unfitted_map_that_is_zero_everywhere_needs_no_units(make_patches):
    """Its units are 0 and 1 after a fit too, as it does not vary."""
    maps = make_patches(0 * IMAGES, PRESENT, normalisation="none")
    assert np.array_equal(np.isfinite(texture(maps, 2).values).all(axis=1), PRESENT.all(axis=1))


def test_one_voxel_is_refused(make_patches):
    with pytest.raises(InputError, match="radius of at least 1, but got 0"):
        texture(make_patches(IMAGES, PRESENT), 0)
