from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.check.digest import digest_of
from data_prep.check.subject import Digest, block_averaged
from data_prep.problems import InputError
from data_prep.volumes import open_volume

ORIENTATIONS = [
    np.array(list(zip(order, signs, strict=True)))
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2))
    for signs in ((1, 1, 1), (-1, 1, -1), (-1, -1, 1))
]


def written(path: Path, voxels: np.ndarray, slope: float = 1.0) -> Digest:
    image = nib.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    image.header.set_slope_inter(slope, 0)
    nib.save(image, path)
    return digest_of(open_volume(path))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), slope=st.sampled_from([1.0, 0.5, -2.0]))
def test_a_digest_says_what_numpy_says(
    tmp_path_factory: pytest.TempPathFactory, seed: int, slope: float
) -> None:
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-3, 6, size=(40, 7, 9)).astype(np.int16)
    path = tmp_path_factory.mktemp("digest") / "x.nii.gz"
    found = written(path, voxels, slope)
    values = nib.load(path).get_fdata()
    filled = values[values != 0]
    assert (found.low, found.high, found.unusable) == (values.min(), values.max(), 0)
    assert np.allclose([found.mean, found.std], [values.mean(), values.std()])
    assert (found.zeros, found.negative) == (np.mean(values == 0), np.mean(values < 0))
    assert (found.at_top, found.at_bottom) == (
        np.mean(filled == filled.max()),
        np.mean(filled == filled.min()),
    )
    assert np.allclose(found.small, values.astype(np.float32).reshape(20, 2, 7, 9).mean(axis=1), atol=1e-5)


def test_what_is_not_finite_is_counted_and_left_out(tmp_path: Path) -> None:
    voxels = np.ones((4, 5, 6), np.float32)
    voxels[0, 0, :2], voxels[1, 1, 1], voxels[2] = np.nan, np.inf, 3
    found = written(tmp_path / "x.nii", voxels)
    kept = voxels[np.isfinite(voxels)].astype(np.float64)
    assert (found.unusable, found.low, found.high) == (3, 1, 3)
    assert np.isclose(found.mean, kept.mean())
    assert np.isfinite(found.small).all()


def test_nothing_finite_at_all(tmp_path: Path) -> None:
    found = written(tmp_path / "x.nii", np.full((3, 3, 3), np.nan, np.float32))
    assert (found.unusable, found.zeros) == (27, 0)
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_the_content_does_not_hang_on_how_a_volume_is_stored(tmp_path: Path, orientation: np.ndarray) -> None:
    voxels = np.random.default_rng(1).normal(size=(4, 5, 6)).astype(np.float32)
    image = nib.Nifti1Image(voxels, np.diag([1.0, 2.0, 3.0, 1.0]))
    nib.save(image.as_reoriented(orientation), tmp_path / "turned.nii")
    assert (
        digest_of(open_volume(tmp_path / "turned.nii")).content == written(tmp_path / "x.nii", voxels).content
    )


def test_one_voxel_changes_the_content(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 6), np.float32)
    other = voxels.copy()
    other[3, 4, 5] = 1e-3
    assert written(tmp_path / "a.nii", voxels).content != written(tmp_path / "b.nii", other).content


@pytest.mark.parametrize("fill", [1.0, np.nan])
def test_a_truncated_volume_is_refused_even_with_nan_in_it(tmp_path: Path, fill: float) -> None:
    path = tmp_path / "x.nii.gz"
    voxels = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    voxels[0] = fill
    written(path, voxels)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="truncated or damaged"):
        digest_of(open_volume(path))


def test_blocks_are_means() -> None:
    voxels = np.arange(70, dtype=np.float32).reshape(70, 1, 1)
    assert block_averaged(voxels)[:, 0, 0].tolist() == [3 * k + 1 for k in range(23)]


def test_the_least_value_inside_is_told_from_a_background_and_from_a_tail(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    voxels = rng.gamma(4.0, 50.0, (20, 20, 20)).astype(np.float32) + 10
    voxels[:5] = 5
    inside = np.zeros(voxels.shape, dtype=bool)
    inside[7:18:3, 7:18:3, 7:18:3] = True  # 64 voxels, none at another's side nor at the rim

    def enclosed(values: np.ndarray) -> float:
        nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "x.nii.gz")
        return digest_of(open_volume(tmp_path / "x.nii.gz")).enclosed

    assert enclosed(voxels) == 0
    assert enclosed(np.where(inside, np.float32(5), voxels)) == pytest.approx(64 / 8000)
    tail = np.where(inside, np.float32(5), voxels)
    tail[6, 5:15, 5:15] = 6
    assert enclosed(tail) == 0
