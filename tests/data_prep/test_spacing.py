from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.geometry import Grid
from data_prep.patches import PatchRequest, extract_patches
from data_prep.problems import InputError
from data_prep.spacing import in_plane_mm, in_plane_spacing

BOTH = ("T1", "T2")


def with_edges(folder: Path, participant: int, edges: list[float]) -> None:
    """Stored backwards and with the slices first, so that stored edges are not canonical ones."""
    for path in (folder / f"sub-{participant:03}").glob("*.nii.gz"):
        image = nib.load(path)
        affine = np.diag([*edges, 1.0])
        affine[:3, 3] = np.multiply(edges, -6)
        stored = nib.Nifti1Image(np.asarray(image.dataobj), affine)
        nib.save(stored.as_reoriented(np.array([[1, -1], [2, 1], [0, 1]])), path)


@pytest.fixture
def cohort(tmp_path, make_cohort):
    """Sites near the centre stay inside the grid of finer voxels."""
    folder = make_cohort(tmp_path, participants=3, biopsies=6, sequences=BOTH, size=12, missing={(2, "T1")})
    table = folder / "biopsies.tsv"
    header, *lines = table.read_text().splitlines()
    rows = ["\t".join([*line.split("\t")[:2], "0", "0", "0"]) for line in lines]
    table.write_text("\n".join([header, *rows]) + "\n")
    with_edges(folder, 1, [0.9, 0.75, 0.4])
    with_edges(folder, 2, [2.0, 1.5, 3.0])
    return read_cohort(folder)


def test_the_smallest_in_plane_edge_is_that_of_the_finest_patch(cohort):
    assert in_plane_spacing(cohort, BOTH, None) == pytest.approx(0.75, abs=1e-6)
    patches = extract_patches(cohort, PatchRequest(BOTH, 1))
    edges = [[1.0, 1.0], [0.9, 0.75], [2.0, 1.5]]
    assert patches.voxel_mm == pytest.approx(np.array(edges * 2), abs=1e-6)
    assert patches.voxel_mm.min() == in_plane_spacing(cohort, BOTH, None)
    assert np.array_equal(patches.take([2, 1]).voxel_mm, patches.voxel_mm[[2, 1]])


def test_a_spacing_that_is_asked_for_needs_no_header(cohort):
    for path in cohort.root.glob("sub-*/*.nii.gz"):
        path.write_bytes(b"")
    assert in_plane_spacing(cohort, BOTH, 0.5) == 0.5


def test_resampled_patches_say_so(cohort):
    patches = extract_patches(cohort, PatchRequest(BOTH, 1, spacing_mm=0.5))
    assert np.array_equal(patches.voxel_mm, np.full((6, 2), 0.5))


def test_all_ways_to_store_a_tilted_grid_have_the_same_edges():
    tilt = nib.eulerangles.euler2mat(0.1, 0.2, 0.3) * [0.7, 0.8, 1.3]
    expected = in_plane_mm(None, Grid((4, 5, 6), nib.affines.from_matvec(tilt)))
    assert expected == pytest.approx([0.7, 0.8])
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        image = nib.Nifti1Image(np.zeros((4, 5, 6), np.float32), nib.affines.from_matvec(tilt))
        turned = image.as_reoriented(np.array(list(zip(axes, signs, strict=True))))
        grid = Grid(turned.shape, np.float64(np.float32(turned.affine)))
        assert np.array_equal(in_plane_mm(None, grid), expected)


def test_what_is_wrong_with_some_images_is_left_to_the_extraction(cohort):
    (cohort.root / "sub-001" / "T1.nii.gz").write_bytes(b"")
    assert in_plane_spacing(cohort, BOTH, None) == 1.0


def test_a_cohort_without_a_readable_header_is_refused(cohort):
    for path in cohort.root.glob("sub-00[01]/*.nii.gz"):
        path.write_bytes(b"")
    (cohort.root / "sub-002" / "T2.nii.gz").unlink()
    with pytest.raises(InputError, match="at least one image of the biopsy must exist") as caught:
        in_plane_spacing(cohort, BOTH, None)
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "sub-000/T1.nii.gz",
        "sub-001/T1.nii.gz",
        "biopsies.tsv",
    ]
