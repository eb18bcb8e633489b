"""Lattices over the tumour: where sites lie, however they are written down, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.cohort import Cohort, read_cohort
from data_prep.map_sites import NEAR, REACH_MM, TUMOUR, MapSites, Spread, map_sites
from data_prep.patches import PatchRequest, extract_patches
from data_prep.problems import InputError
from data_prep.repeats import second_scans

EDGE = 24
TAIL = """[masks]
tumor = "{participant_id}/tumor.nii.gz"
[repeats]
images = "{participant_id}/again/{sequence}.nii.gz"
"""


def tumour() -> np.ndarray:
    """A ball of radius 6 that is no centre of the grid."""
    x, y, z = np.indices((EDGE,) * 3)
    return np.asarray((x - 10) ** 2 + (y - 12) ** 2 + (z - 9) ** 2 <= 36)


def scan_again(folder: Path, participant: str, mask: bool = True) -> None:
    own = folder / participant
    (own / "again").mkdir()
    for path in sorted(own.glob("T*.nii.gz")):
        image = nib.load(path)
        nib.save(image, own / "again" / path.name)
        if mask:
            nib.save(nib.Nifti1Image(tumour().astype(np.uint8), image.affine), own / "tumor.nii.gz")


@pytest.fixture
def make(make_cohort: Callable[..., Path], tmp_path: Path) -> Callable[..., Cohort]:
    """A cohort of 4 with second scans of sub-001 (with a mask) and of sub-002 (without)."""

    def build(name: str = "cohort", space: str = "world", convention: str | None = None) -> Cohort:
        folder = make_cohort(
            tmp_path / name, participants=4, biopsies=8, sequences=("T1", "T2"), size=EDGE, space=space
        )
        text = (folder / "cohort.toml").read_text()
        if convention == "LPS":
            text += 'convention = "LPS"\n'
            lines = (folder / "biopsies.tsv").read_text().splitlines()
            cells = [line.split("\t") for line in lines[1:]]
            turned = [[*c[:2], str(-float(c[2])), str(-float(c[3])), c[4]] for c in cells]
            (folder / "biopsies.tsv").write_text("\n".join([lines[0], *map("\t".join, turned)]) + "\n")
        (folder / "cohort.toml").write_text(text + TAIL)
        scan_again(folder, "sub-001")
        scan_again(folder, "sub-002", mask=False)
        return read_cohort(folder)

    return build


def laid(cohort: Cohort, stride: float = 3.0, most: int = 10_000, resample_to: str | None = None) -> MapSites:
    found = map_sites(cohort, ("T1", "T2"), Spread(stride, most, resample_to))
    assert found is not None
    return found


def nodes_of(sites: MapSites, participant: str) -> set[tuple[int, ...]]:
    """Of sites in voxel coordinates."""
    own = [site for site in sites.cohort.biopsies if site.participant_id == participant]
    return {tuple(map(int, site.position)) for site in own}


def test_sites_are_the_nodes_inside_the_tumour_or_near_the_biopsies(make: Callable[..., Cohort]) -> None:
    cohort = make(space="voxel")
    found = laid(cohort)
    assert found.region == {"sub-001": TUMOUR, "sub-002": NEAR}
    nodes = {node for node in np.ndindex(EDGE, EDGE, EDGE) if all(place % 3 == 1 for place in node)}
    inside = {node for node in nodes if tumour()[node]}
    assert nodes_of(found, "sub-001") == inside
    assert found.candidates["sub-001"] == len(inside) > 20
    sites = [biopsy.position for biopsy in cohort.biopsies if biopsy.participant_id == "sub-002"]
    near = {node for node in nodes if min(np.linalg.norm(np.subtract(node, s)) for s in sites) <= REACH_MM}
    assert nodes_of(found, "sub-002") == near
    assert len({site.biopsy_id for site in found.cohort.biopsies}) == len(inside) + len(near)
    assert found.cohort.expression is None


def test_around_biopsies_sites_lie_inside_the_brain(make: Callable[..., Cohort]) -> None:
    cohort = make(space="voxel")
    free = nodes_of(laid(cohort), "sub-002")
    toml = cohort.root / "cohort.toml"
    toml.write_text(
        toml.read_text().replace("[repeats]", 'brain = "{participant_id}/brain.nii.gz"\n[repeats]')
    )
    half = np.zeros((EDGE,) * 3, np.uint8)
    half[:12] = 1
    image = nib.load(cohort.root / "sub-002" / "T1.nii.gz")
    nib.save(nib.Nifti1Image(half, image.affine), cohort.root / "sub-002" / "brain.nii.gz")
    inside = nodes_of(laid(read_cohort(cohort.root)), "sub-002")
    assert inside == {node for node in free if node[0] < 12} != free


def test_sites_lie_on_the_grid_that_patches_are_resampled_to(make: Callable[..., Cohort]) -> None:
    """T2 has voxels of 2 mm, of which the first lies where that of T1 and of the mask does."""
    cohort = make(space="voxel")
    for path in cohort.root.glob("sub-*/**/T2.nii.gz"):
        image = nib.load(path)
        coarse = image.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::2, ::2, ::2], coarse), path)
    nodes = {node for node in np.ndindex(12, 12, 12) if all(place % 2 == 1 for place in node)}
    inside = {node for node in nodes if tumour()[tuple(2 * place for place in node)]}
    assert nodes_of(laid(cohort, stride=4.0, resample_to="T2"), "sub-001") == inside
    assert len(inside) > 8


def test_halfway_between_two_voxels_of_a_mask_the_upper_one_counts(make: Callable[..., Cohort]) -> None:
    """Edges of 0.9 and 1.8 mm, in single precision: each node of odd indices lies halfway along each axis."""
    cohort = make(space="voxel")
    fine, coarse = (np.diag([edge, edge, edge, 1.0]) for edge in (0.9, 1.8))
    fine[:3, 3] = coarse[:3, 3] = -33.3
    for path in cohort.root.glob("sub-001/**/T*.nii.gz"):
        nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), fine), path)
    mask = np.random.default_rng(0).integers(0, 2, (13, 13, 13)).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask, coarse), cohort.root / "sub-001" / "tumor.nii.gz")
    nodes = {node for node in np.ndindex(EDGE, EDGE, EDGE) if all(place % 2 == 1 for place in node)}
    inside = {node for node in nodes if mask[tuple((place + 1) // 2 for place in node)]}
    assert nodes_of(laid(cohort, stride=1.8), "sub-001") == inside


def test_voxels_and_world_in_either_convention_give_the_same_patches(make: Callable[..., Cohort]) -> None:
    request = PatchRequest(("T1", "T2"), 2)
    sets = []
    for name, space, convention in (("v", "voxel", None), ("r", "world", None), ("l", "world", "LPS")):
        sites = laid(make(name, space, convention)).cohort
        again = second_scans(sites)
        assert again is not None
        sets += [extract_patches(sites, request), extract_patches(again, request)]
    # The second scans are copies of the first: all six are the same to the last bit.
    assert len({patches.hash for patches in sets}) == 1
    assert set(sets[0].participant_id) == {"sub-001", "sub-002"}


def test_a_stride_is_in_millimetres_along_each_axis(make: Callable[..., Cohort]) -> None:
    cohort = make(space="voxel")
    for path in cohort.root.rglob("*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), np.diag([1.0, 2.0, 5.0, 1.0])), path)
    sites = [s.position for s in laid(cohort, stride=4.0).cohort.biopsies if s.participant_id == "sub-001"]
    gaps = [float(np.diff(np.unique(axis)).min()) for axis in np.transpose(sites)]
    assert gaps == [4.0, 2.0, 1.0]


def test_too_many_sites_are_thinned_out_the_same_way_each_time(make: Callable[..., Cohort]) -> None:
    cohort = make()
    whole, some, again = laid(cohort), laid(cohort, most=12), laid(cohort, most=12)
    ids = [site.biopsy_id for site in some.cohort.biopsies]
    assert len(ids) == 24
    assert ids == [site.biopsy_id for site in again.cohort.biopsies]
    every = [site.biopsy_id for site in whole.cohort.biopsies]
    assert set(ids) < set(every)
    assert ids[:12] != every[:12]  # drawn from the whole region, not cut off its first corner
    assert some.candidates == whole.candidates


def test_no_site_lies_where_the_second_scan_has_no_voxel(make: Callable[..., Cohort]) -> None:
    cohort = make()
    for path in cohort.root.glob("*/again/*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(image.get_fdata()[:9].astype(np.float32), image.affine), path)
    sites = laid(cohort).cohort.biopsies
    assert sites
    assert max(site.position[0] for site in sites) < 9 - EDGE / 2
    assert max(site.position[0] for site in laid(make("whole")).cohort.biopsies) > 9 - EDGE / 2


def test_without_second_scans_there_is_no_lattice(cohort_folder: Path) -> None:
    assert map_sites(read_cohort(cohort_folder), ("T1",), Spread(3.0, 10)) is None


def test_a_mask_that_cannot_be_read_is_named(make: Callable[..., Cohort]) -> None:
    cohort = make()
    path = cohort.root / "sub-001" / "tumor.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"sub-001/tumor.nii.gz: .*truncated or damaged"):
        laid(cohort)
