import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.brain import read_brain
from data_prep.intensity import Scale
from data_prep.problems import InputError
from data_prep.resample import Box
from data_prep.scan import read_boxes
from data_prep.volumes import open_volume

SHAPE = (6, 7, 8)
NO_MARKS = (0.0,) * 11
ORIENTATIONS = st.tuples(st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3))
DTYPES = st.sampled_from(["u1", "i1", "<i2", ">i2", "u2", "<i4", ">f4", "<f4", "f8", "i8", "u8"])


def store(path: Path, values: np.ndarray, orientation, dtype="f4", slope=1.0, intercept=0.0) -> Path:
    """Save stored values so that, seen as RAS, they are `values`."""
    native = np.dtype(dtype).newbyteorder("=")
    image = nib.Nifti1Image(values.astype(native), np.diag([1.0, 2.0, 3.0, 1.0]), dtype=native)
    image = image.as_reoriented(np.array(list(zip(*orientation, strict=True))))
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    content = bytearray(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, header).to_bytes())
    # Written over, as nibabel would divide by them.
    content[112:120] = np.array([slope, intercept], f"{header.endianness}f4").tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def simple(path: Path, inside: np.ndarray | None, method: str):
    """What nibabel and NumPy make of the file: the canonical volume as float32, and its scale."""
    data = nib.as_closest_canonical(nib.load(path)).get_fdata().astype(np.float32)
    choices = [data[inside]] if inside is not None else []
    for values in (*choices, data[data != 0], data):
        exact = values.astype(np.float64)
        if not len(exact) or np.ptp(exact) == 0:
            continue
        low, median, high = np.percentile(exact, [25, 50, 75])
        marks = np.percentile(exact, [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99])
        if method == "robust" and high > low:
            return data, (median, (high - low) / 1.3489795), NO_MARKS
        if method != "nyul":
            return data, (exact.mean(), exact.std()), NO_MARKS
        if marks[-1] > marks[0]:
            return data, (0.0, 1.0), marks
    # Nothing varies, or not between the outer landmarks.
    if method == "nyul":
        return data, (0.0, 1.0), np.percentile(exact, [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99])
    return data, (exact.mean(), 1.0), NO_MARKS


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    orientations=st.tuples(ORIENTATIONS, ORIENTATIONS),
    dtype=DTYPES,
    scaling=st.sampled_from([(1.0, 0.0), (0.37, 0.0), (-2.5, 0.0), (0.01, -3.0), (1.0, -10.0)]),
    mask=st.sampled_from(["none", "some", "constant"]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    planes=st.integers(1, 4),
    method=st.sampled_from(["zscore", "robust", "nyul"]),
)
def test_boxes_and_scales_equal_a_simple_reading(
    tmp_path_factory, seed, orientations, dtype, scaling, mask, suffix, planes, method
):
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("scan")
    values = rng.integers(0, 100, SHAPE) * (rng.random(SHAPE) < 0.7)
    path = store(folder / f"v{suffix}", values, orientations[0], dtype, *scaling)
    inside = None
    if mask != "none":
        inside = rng.random(SHAPE) < 0.3 if mask == "some" else values == values[0, 0, 0]
        inside[0, 0, 0] = True
        brain = read_brain(open_volume(store(folder / "m.nii", inside, orientations[1], "u1")))
    corners = np.sort(rng.integers(0, 6, (4, 2, 3)), axis=1).tolist()
    boxes = [Box((x, y, z), (x2 + 1, y2 + 1, z2 + 1)) for (x, y, z), (x2, y2, z2) in corners]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_prep.volumes._SLAB_BYTES", 56 * np.dtype(dtype).itemsize * planes)
        found, scale = read_boxes(open_volume(path), boxes, None if inside is None else brain, method)
    data, expected, marks = simple(path, inside, method)
    for voxels, box in zip(found, boxes, strict=True):
        assert voxels.dtype == np.float32
        assert np.array_equal(voxels, data[tuple(map(slice, box.low, box.high))])
    # Percentiles have the resolution of the voxels, which are float32.
    tolerance = 1e-9 if method == "zscore" else 1e-6
    assert (scale.location, scale.spread) == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert scale.landmarks == pytest.approx(marks, rel=1e-6, abs=1e-6)


RAS = ((0, 1, 2), (1, 1, 1))
ALL = [Box((0, 0, 0), SHAPE)]
MEASURED = ["zscore", "robust", "white-matter", "nyul"]


@pytest.mark.parametrize("method", ["zscore", "robust", "white-matter"])
def test_a_mask_used_as_a_sequence_is_scored_over_all_voxels(tmp_path, method):
    data = np.zeros(SHAPE)
    data[:2] = 1
    data[5, 6, 7] = 1
    volume = open_volume(store(tmp_path / "v.nii", data, RAS, "u1"))
    found = read_boxes(volume, [], None, method)[1]
    # More than half of the voxels are equal, the quartiles are not.
    expected = (0.0, 1 / 1.3489795) if method == "robust" else (data.mean(), data.std())
    assert (found.location, found.spread) == pytest.approx(expected)
    (voxels,), inside = read_boxes(volume, ALL, read_brain(volume), method)
    assert inside == found
    assert np.array_equal(voxels, data)


@pytest.mark.parametrize("method", ["robust", "white-matter"])
def test_an_image_of_mostly_one_value_falls_back_to_its_standard_deviation(tmp_path, method):
    data = np.zeros(SHAPE)
    data[0] = np.arange(56).reshape(7, 8)
    brain = read_brain(open_volume(store(tmp_path / "m.nii", np.ones(SHAPE), RAS, "u1")))
    found = read_boxes(open_volume(store(tmp_path / "v.nii", data, RAS)), [], brain, method)[1]
    assert (found.location, found.spread) == pytest.approx((data.mean(), data.std()))


@pytest.mark.parametrize("method", MEASURED)
@pytest.mark.parametrize("value", [0.0, 0.1, -7.0])
def test_a_constant_image_has_spread_one(tmp_path, value, method):
    volume = open_volume(store(tmp_path / "v.nii", np.full(SHAPE, value), RAS))
    found = read_boxes(volume, [], None, method)[1]
    expected = Scale(np.float32(value), 1.0)
    if method == "nyul":
        expected = Scale(0.0, 1.0, (np.float32(value),) * 11)
    assert found == expected


@pytest.mark.parametrize("method", MEASURED)
@pytest.mark.parametrize("voxels", [1, 2, 5])
def test_a_brain_mask_of_few_voxels_divides_by_nothing_small(tmp_path, method, voxels):
    rng, inside = np.random.default_rng(voxels), np.zeros(SHAPE)
    inside.reshape(-1)[:voxels] = 1
    brain = read_brain(open_volume(store(tmp_path / "m.nii", inside, RAS, "u1")))
    volume = open_volume(store(tmp_path / "v.nii", rng.normal(5, 2, SHAPE), RAS))
    scale = read_boxes(volume, [], brain, method)[1]
    assert np.isfinite([scale.location, scale.spread, *scale.landmarks]).all()
    assert scale.spread > 0
    if voxels == 1:
        assert scale == read_boxes(volume, [], None, method)[1]


def test_an_image_that_stays_as_it_is_has_no_scale(tmp_path):
    volume = open_volume(store(tmp_path / "v.nii", np.arange(336.0).reshape(SHAPE), RAS))
    (voxels,), scale = read_boxes(volume, ALL, method="none")
    assert scale == Scale(0.0, 1.0, (0.0,) * 11)
    assert np.array_equal(voxels, np.arange(336.0).reshape(SHAPE))


@pytest.mark.parametrize("method", ["none", *MEASURED])
def test_boxes_of_a_damaged_volume_are_refused(tmp_path, method):
    data = np.ones(SHAPE)
    data[5, 6, 7] = np.nan
    volume = open_volume(store(tmp_path / "v.nii", data, RAS))
    with pytest.raises(InputError, match="voxels must be finite, but 1 of 336"):
        read_boxes(volume, [Box((0, 0, 0), (1, 1, 1))], None, method)
