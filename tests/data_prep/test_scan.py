import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.brain import read_brain
from data_prep.problems import InputError
from data_prep.resample import Box
from data_prep.scan import read_boxes
from data_prep.volumes import open_volume

SHAPE = (6, 7, 8)
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


def simple(path: Path, inside: np.ndarray | None):
    """What nibabel and NumPy make of the file: the canonical volume as float32, and its moments."""
    data = nib.as_closest_canonical(nib.load(path)).get_fdata().astype(np.float32)
    choices = [data[inside]] if inside is not None else []
    for values in (*choices, data[data != 0], data):
        exact = values.astype(np.float64)
        if len(exact) and np.ptp(exact) > 0:
            return data, (exact.mean(), exact.std())
    return data, (exact.mean(), 1.0)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    orientations=st.tuples(ORIENTATIONS, ORIENTATIONS),
    dtype=DTYPES,
    scaling=st.sampled_from([(1.0, 0.0), (0.37, 0.0), (-2.5, 0.0), (0.01, -3.0), (1.0, -10.0)]),
    mask=st.sampled_from(["none", "some", "constant"]),
    suffix=st.sampled_from([".nii", ".nii.gz"]),
    planes=st.integers(1, 4),
)
def test_boxes_and_moments_equal_a_simple_reading(
    tmp_path_factory, seed, orientations, dtype, scaling, mask, suffix, planes
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
        found, moments = read_boxes(open_volume(path), boxes, None if inside is None else brain)
    data, expected = simple(path, inside)
    for voxels, box in zip(found, boxes, strict=True):
        assert voxels.dtype == np.float32
        assert np.array_equal(voxels, data[tuple(map(slice, box.low, box.high))])
    assert moments == pytest.approx(expected, rel=1e-9, abs=1e-9)


RAS = ((0, 1, 2), (1, 1, 1))
ALL = [Box((0, 0, 0), SHAPE)]


def test_a_mask_used_as_a_sequence_is_scored_over_all_voxels(tmp_path):
    data = np.zeros(SHAPE)
    data[:2] = 1
    volume = open_volume(store(tmp_path / "v.nii", data, RAS, "u1"))
    expected = pytest.approx((1 / 3, np.sqrt(2) / 3))
    assert read_boxes(volume, [])[1] == expected
    (voxels,), found = read_boxes(volume, ALL, read_brain(volume))
    assert found == expected
    assert np.array_equal(voxels, data)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.0])
def test_a_constant_image_has_standard_deviation_one(tmp_path, value):
    volume = open_volume(store(tmp_path / "v.nii", np.full(SHAPE, value), RAS))
    assert read_boxes(volume, [])[1] == (np.float32(value), 1.0)


def test_moments_that_nobody_needs_are_those_that_change_nothing(tmp_path):
    volume = open_volume(store(tmp_path / "v.nii", np.arange(336.0).reshape(SHAPE), RAS))
    (voxels,), moments = read_boxes(volume, ALL, moments=False)
    assert moments == (0.0, 1.0)
    assert np.array_equal(voxels, np.arange(336.0).reshape(SHAPE))


def test_boxes_of_a_damaged_volume_are_refused(tmp_path):
    data = np.ones(SHAPE)
    data[5, 6, 7] = np.nan
    with pytest.raises(InputError, match="voxels must be finite, but 1 of 336"):
        read_boxes(open_volume(store(tmp_path / "v.nii", data, RAS)), [Box((0, 0, 0), (1, 1, 1))])
