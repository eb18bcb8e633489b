from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.volumes import open_volume, slabs
from search.audit.scans import CELLS, EDGE, Scans, around_head, detail_of, look_at, read_scans, usual_size


def written(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


def look(path: Path) -> tuple[str, bool, np.ndarray]:
    volume = open_volume(path)
    return look_at(volume, slabs(volume), usual_size([volume]))


def test_every_image_is_read_with_whose_it_is(scans: Scans) -> None:
    assert len(scans.scans) == 36
    assert {scan.participants for scan in scans.scans} == {(f"sub-{n:03}",) for n in range(12)}
    assert all(scan.detail.shape == (EDGE,) * 3 and not scan.flat for scan in scans.scans)
    assert len({scan.content for scan in scans.scans}) == 36


def test_blocks_are_means_over_slabs_and_the_hash_is_that_of_the_voxels(tmp_path: Path) -> None:
    """Against a plain second way, on a volume of several slabs whose edges the blocks do not divide."""
    data = np.random.default_rng(0).normal(size=(90, 70, 101)).astype(np.float32)
    content, flat, detail = look(written(tmp_path / "a.nii.gz", data))
    starts = [[i * size // CELLS for i in range(CELLS)] + [size] for size in data.shape]
    means = np.array(
        [
            [
                [
                    data[x0:x1, y0:y1, z0:z1].mean(dtype=np.float64)
                    for z0, z1 in zip(starts[2], starts[2][1:], strict=False)
                ]
                for y0, y1 in zip(starts[1], starts[1][1:], strict=False)
            ]
            for x0, x1 in zip(starts[0], starts[0][1:], strict=False)
        ]
    )
    blocks = around_head(means, [np.array(each, dtype=float) for each in starts], np.array(data.shape))
    np.testing.assert_allclose(detail, detail_of(blocks), atol=1e-4)
    head = hashlib.sha256(str((data.shape, "f")).encode())
    head.update(data.tobytes(order="F"))
    assert (content, flat) == (head.hexdigest(), False)


def test_compression_does_not_change_the_hash_and_a_voxel_does(tmp_path: Path) -> None:
    data = np.arange(8000, dtype=np.int16).reshape(20, 20, 20)
    packed, plain = look(written(tmp_path / "a.nii.gz", data)), look(written(tmp_path / "b.nii", data))
    data[3, 4, 5] += 1
    other = look(written(tmp_path / "c.nii", data))
    assert packed[0] == plain[0] != other[0]


def test_orders_of_storage_show_the_same_detail(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(size=(32, 32, 32)).astype(np.float32)
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 31
    one = look(written(tmp_path / "a.nii", data))
    other = look(written(tmp_path / "b.nii", data[::-1], flipped))
    np.testing.assert_allclose(one[2], other[2], atol=1e-5)


def ball(size: int, centre: tuple[float, ...]) -> np.ndarray:
    """A head of smooth texture that hangs on the place within the head alone."""
    x, y, z = (index - place for index, place in zip(np.indices((size,) * 3), centre, strict=True))
    inside = x**2 + y**2 + (z * 1.2) ** 2 < 12**2
    return inside * (100 + 20 * np.sin(x / 2 + y / 3) + 20 * np.cos(y / 2 - z / 3) + x)


@pytest.mark.parametrize("margin", [-4, 3, 8])
def test_a_crop_or_pad_leaves_the_head_in_the_same_blocks(tmp_path: Path, margin: int) -> None:
    volume = open_volume(written(tmp_path / "a.nii", ball(40, (19.0, 20.0, 21.0))))
    size, place = 40 + 2 * margin, [centre + margin for centre in (19.0, 20.0, 21.0)]
    other = open_volume(written(tmp_path / "b.nii", ball(size, tuple(place))))
    one, two = (look_at(each, slabs(each), usual_size([volume]))[2] for each in (volume, other))
    np.testing.assert_allclose(one, two, atol=1e-3)


def test_slices_of_another_thickness_show_nearly_the_same_detail(tmp_path: Path) -> None:
    data = ball(40, (19.0, 20.0, 21.0))
    volume = open_volume(written(tmp_path / "a.nii", data))
    thick = data.reshape(40, 40, 20, 2).mean(axis=3)
    affine = np.diag([1.0, 1, 2, 1])
    other = open_volume(written(tmp_path / "b.nii", thick, affine))
    one, two = (look_at(each, slabs(each), usual_size([volume]))[2] for each in (volume, other))
    assert two.shape == (EDGE,) * 3
    assert np.corrcoef(one.ravel(), two.ravel())[0, 1] > 0.9


def test_brightness_scale_and_offset_leave_detail_as_it_is() -> None:
    blocks = np.random.default_rng(0).normal(size=(16, 16, 16))
    np.testing.assert_allclose(detail_of(blocks), detail_of(3.5 * blocks + 100), atol=1e-5)
    assert not detail_of(np.full((16, 16, 16), 7.0)).any()


@pytest.mark.parametrize(("values", "flat"), [((0,), True), ((0, 1), True), ((0, 1, 2), False)])
def test_images_of_at_most_two_values_are_flat(tmp_path: Path, values: tuple[int, ...], flat: bool) -> None:
    rng = np.random.default_rng(0)
    data = rng.choice(values, size=(90, 90, 90)).astype(np.uint8)
    assert look(written(tmp_path / "a.nii", data))[1] is flat


def test_visits_without_a_biopsy_of_the_study_are_left_out(
    make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    cohort = read_cohort(make_cohort(tmp_path / "c", participants=4, biopsies=8, size=12))
    seen: list[tuple[int, int]] = []
    found = read_scans(cohort, ("T1",), ["b00", "b01"], lambda *step: seen.append(step))
    assert {scan.participants for scan in found.scans} == {("sub-000",), ("sub-001",)}
    assert seen == [(1, 2), (2, 2)]
