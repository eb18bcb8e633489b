from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_to_output
from scipy.ndimage import distance_transform_edt

from data_prep.brain import read_brain
from data_prep.check.conventions import DECLARED
from data_prep.check.placing import place, roles
from data_prep.check.reading import inspect
from data_prep.check.subject import Placement
from data_prep.volumes import open_volume
from tests.data_prep.check.heads import (
    AFFINE,
    CENTRES,
    SIZE,
    ball,
    change_sites,
    resave,
    save,
    write_heads,
    write_sites,
)


def first(folder: Path) -> Placement:
    placement = inspect(folder).visits[0].placement
    assert placement is not None
    return placement


def test_sound_sites_fall_into_everything(tmp_path: Path) -> None:
    for visited in inspect(write_heads(tmp_path / "cohort")).visits:
        assert visited.placement is not None
        assert visited.placement.inside[DECLARED].all()
        assert set(visited.placement.regions) == {"brain", "tumor"}
        assert all(region.inside[DECLARED].all() for region in visited.placement.regions.values())
        assert all(not region.gap.any() for region in visited.placement.regions.values())
        assert visited.placement.spill == 0


@pytest.mark.parametrize("space", ["world", "voxel"])
def test_gaps_are_those_of_a_distance_transform(tmp_path: Path, space: str) -> None:
    folder = write_heads(tmp_path / "cohort", space)
    for path in folder.glob("sub-*/*.nii.gz"):  # anisotropic, from right to left
        image = nib.load(path)
        save(path, np.asarray(image.dataobj)[::-1], np.diag([-1.0, 0.7, 3.0, 1.0]))
    rng = np.random.default_rng(1)
    limits = np.array([-SIZE, 0.7 * SIZE, 3 * SIZE]) if space == "world" else np.full(3, SIZE)
    change_sites(folder, lambda _: rng.uniform(0, 0.97, 3) * limits)
    placement = first(folder)
    for mask in ("tumor", "brain"):
        image = nib.as_closest_canonical(nib.load(folder / "sub-0" / f"{mask}.nii.gz"))
        apart = distance_transform_edt(image.get_fdata() == 0, sampling=image.header.get_zooms())
        wanted = apart[tuple(placement.voxels.T)]
        assert np.allclose(placement.regions[mask].gap, wanted)
        assert np.array_equal(placement.regions[mask].inside[DECLARED], wanted == 0)


def test_a_mask_on_another_grid_is_looked_up_in_the_world(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    path = folder / "sub-0" / "tumor.nii.gz"
    fine = resample_to_output(nib.load(path), (0.5, 0.5, 0.5), order=0)
    nib.save(fine, path)
    placement = first(folder)
    assert placement.regions["tumor"].inside[DECLARED].all()
    assert placement.spill is None


def test_a_mask_on_another_grid_is_looked_up_as_patches_have_it(tmp_path: Path) -> None:
    """Just short of halfway between two of its voxels the nearer one counts, as in `BrainMask`."""
    folder = write_heads(tmp_path / "cohort")
    rng, path = np.random.default_rng(0), folder / "sub-0" / "brain.nii.gz"
    resave(path, lambda mask: rng.integers(0, 2, mask.shape).astype(np.uint8), shift=-0.4998)
    write_sites(folder, [["sub-0", *(voxel + AFFINE[:3, 3])] for voxel in rng.integers(1, SIZE - 1, (40, 3))])
    placement = first(folder)
    brain = read_brain(open_volume(path)).in_order_of(placement.grid)
    stored = brain.inside(0, SIZE).reshape((SIZE,) * 3, order="F")
    found = placement.regions["brain"].inside[DECLARED]
    assert np.array_equal(found, brain.grid.to_canonical(stored)[tuple(placement.voxels.T)])
    assert 0 < found.sum() < len(found)


def test_without_a_brain_mask_the_head_is_found(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=())
    placement = first(folder)
    assert set(placement.regions) == {"head"}
    assert placement.regions["head"].inside[DECLARED].all()


def test_a_site_in_the_air_is_as_far_from_the_head_as_from_the_brain(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=())
    change_sites(folder, lambda _: np.array([-10.0, -24.0, -5.0]))  # the first voxel
    brain = ball((16, 16, 16), (12, 14, 13))
    assert np.allclose(first(folder).regions["head"].gap, distance_transform_edt(~brain)[0, 0, 0], atol=1.5)


def test_what_a_brain_mask_leaves_of_the_tumour_is_counted(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    tumor = ball(CENTRES[0], (5, 5, 5))

    def cut(mask: np.ndarray) -> np.ndarray:
        mask = mask.copy()
        mask[:, 18:] = 0
        return mask

    resave(folder / "sub-0" / "brain.nii.gz", cut)
    assert first(folder).spill == pytest.approx(tumor[:, 18:].sum() / tumor.sum())


def test_a_mask_that_serves_as_a_sequence_has_the_role_of_its_name(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=())
    toml = folder / "cohort.toml"
    toml.write_text(toml.read_text().replace("'FLAIR'", "'t2lesion'"))
    (folder / "sub-0" / "tumor.nii.gz").rename(folder / "sub-0" / "t2lesion.nii.gz")
    visited = inspect(folder).visits[0]
    assert {role: file.name for role, file in roles(visited).items()} == {"tumor": "t2lesion"}


def test_without_a_readable_header_there_is_no_placement(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    for path in folder.glob("sub-0/*.nii.gz"):
        path.write_bytes(b"")
    subject = inspect(folder)
    assert subject.visits[0].placement is None
    assert place(subject.visits[0], subject.cohort.coordinates) is None


def test_the_nearest_voxel_may_lie_beyond_the_corner_that_is_found_first(tmp_path: Path) -> None:
    """A box around the site holds a voxel of the mask, but a nearer one lies outside the box."""
    folder = write_heads(tmp_path / "cohort")
    change_sites(folder, lambda _: AFFINE[:3, 3] + 2)
    mask = np.zeros((SIZE,) * 3, np.uint8)
    mask[17, 17, 17] = mask[19, 2, 2] = 1  # 15 * sqrt(3) and 17 mm away
    save(folder / "sub-0" / "tumor.nii.gz", mask)
    assert np.allclose(first(folder).regions["tumor"].gap, 17.0)


@pytest.mark.parametrize(("edge", "shift"), [(0.73, -1.3), (1.7, 2.2), (1.0, 0.7)])
def test_of_a_mask_on_another_grid_the_nearest_voxel_counts(
    tmp_path: Path, edge: float, shift: float
) -> None:
    rng, heads = np.random.default_rng(0), write_heads(tmp_path / "cohort")
    affine = np.diag([edge, edge, edge, 1.0])
    affine[:3, 3] = AFFINE[:3, 3] + shift
    mask = rng.random((40, 40, 40)) < 0.3
    save(heads / "sub-0" / "tumor.nii.gz", mask.astype(np.uint8), affine)
    write_sites(heads, [["sub-0", *(AFFINE[:3, 3] + at)] for at in rng.integers(6, 20, (40, 3))])
    placement = first(heads)
    inverse = np.linalg.inv(nib.load(heads / "sub-0" / "tumor.nii.gz").affine)
    at = nib.affines.apply_affine(inverse @ AFFINE, placement.voxels)
    wanted = mask[tuple(np.round(at).astype(int).T)]
    assert np.array_equal(placement.regions["tumor"].inside[DECLARED], wanted)


def test_the_head_of_a_fine_grid_lies_where_that_of_a_coarse_one_does(tmp_path: Path) -> None:
    """Each voxel is cut into eight: the blocks of the small volumes are the voxels of before."""
    rng = np.random.default_rng(0)
    folder = write_heads(tmp_path / "cohort", masks=())
    change_sites(folder, lambda _: AFFINE[:3, 3] + rng.uniform(0, SIZE - 1, 3))
    coarse = first(folder).regions["head"]
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1.0])
    fine[:3, 3] -= 0.25
    for path in folder.glob("sub-0/*.nii.gz"):
        voxels = np.asarray(nib.load(path).dataobj)
        save(path, voxels.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2), fine)
    assert coarse.gap.any()
    assert np.allclose(first(folder).regions["head"].gap, coarse.gap)


def test_an_image_that_lies_elsewhere_tells_nothing_of_the_head(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=())
    change_sites(folder, lambda _: AFFINE[:3, 3])
    before = first(folder).regions["head"].gap
    resave(folder / "sub-0" / "FLAIR.nii.gz", lambda voxels: np.roll(voxels, -4, axis=(0, 1, 2)), shift=4)
    assert np.array_equal(first(folder).regions["head"].gap, before)
