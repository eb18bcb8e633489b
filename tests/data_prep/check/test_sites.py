from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.sites import site_findings
from tests.data_prep.check.heads import AFFINE, CENTRES, read_sites, write_heads, write_sites

ORIGIN = AFFINE[:3, 3]


def moved(folder: Path, row: int, voxel: tuple[float, float, float], space: str = "world") -> list[Finding]:
    """What is said after one site was moved to a voxel."""
    rows = read_sites(folder)
    rows[row][1:] = (np.array(voxel) + (ORIGIN if space == "world" else 0)).tolist()
    write_sites(folder, rows)
    return list(site_findings(inspect(folder)))


def test_sound_sites_are_not_told(tmp_path: Path) -> None:
    assert list(site_findings(inspect(write_heads(tmp_path / "cohort")))) == []


@pytest.mark.parametrize(
    ("voxel", "masks", "told"),
    [
        ((40, 16, 16), ("brain", "tumor"), ("error", "site-outside-image")),
        ((1, 1, 1), ("brain", "tumor"), ("warning", "site-outside-brain")),
        ((1, 1, 1), ("tumor",), ("warning", "site-in-air")),
        ((1, 1, 1), (), ("warning", "site-in-air")),
        ((16, 27, 22), ("brain", "tumor"), ("warning", "site-outside-tumor")),
    ],
)
def test_a_site_is_told_once_by_the_worst_that_holds(
    tmp_path: Path, voxel: tuple[float, float, float], masks: tuple[str, ...], told: tuple[str, str]
) -> None:
    (finding,) = moved(write_heads(tmp_path / "cohort", masks=masks), 4, voxel)
    assert (finding.severity, finding.code) == told
    assert (finding.where, finding.participant, finding.biopsies) == (
        "biopsies.tsv: row 6",
        "sub-1",
        ("b04",),
    )


def test_sites_beside_the_brain_are_one_note_with_their_ids(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=("brain",))
    moved(folder, 4, (16, 31, 16))
    (finding,) = moved(folder, 7, (16, 16, 31))
    assert (finding.severity, finding.code, finding.biopsies) == (
        "note",
        "sites-beside-brain",
        ("b04", "b07"),
    )
    assert "2 of 12 lie beside it: b07 (2.0 mm), b04 (1.0 mm)" in finding.what


@pytest.mark.parametrize(("beside", "is_told"), [(1, True), (6, True), (7, False), (30, False)])
def test_sites_beside_the_tumour_are_a_note_where_they_are_exceptions(
    tmp_path: Path, beside: int, is_told: bool
) -> None:
    folder = write_heads(tmp_path / "cohort")
    at = np.array(CENTRES[0]) + ORIGIN
    rows: list[list[object]] = [["sub-0", *np.add(at, (0, 0, n / 100))] for n in range(48)]
    for n in range(beside):
        rows[n][1:] = np.add(at, (0, 8, n / 100)).tolist()
    write_sites(folder, rows)
    told = [f for f in site_findings(inspect(folder)) if f.code == "sites-beside-tumor"]
    assert [f.biopsies for f in told] == ([tuple(f"b{n:02}" for n in range(beside))] if is_told else [])


def test_a_site_outside_says_by_which_reading_it_would_lie_inside(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=("brain",))
    (finding,) = moved(folder, 4, tuple(-(np.array([26, 16, 16]) + ORIGIN) * [1, 1, -1] - ORIGIN))
    assert "in the brain mask if the coordinates are millimetres in LPS" in finding.what


def test_a_targeting_error_is_no_finding(tmp_path: Path) -> None:
    centre, radius = (22, 18, 17), 5
    assert moved(write_heads(tmp_path / "a"), 0, (centre[0], centre[1] - radius - 7, centre[2])) == []
    (finding,) = moved(write_heads(tmp_path / "b"), 0, (centre[0], centre[1] - radius - 8, centre[2]))
    assert "8.0 mm from it" in finding.what


def test_a_site_that_is_right_when_mirrored_is_told_so(tmp_path: Path) -> None:
    (finding,) = moved(write_heads(tmp_path / "cohort"), 0, (31 - 22, 18, 17))
    assert "inside the tumour mask if mirrored" in finding.what


def test_a_site_far_from_its_participants_others_is_a_note(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=())
    for path in folder.glob("sub-*/*.nii.gz"):
        _coarse(path)
    rows = read_sites(folder)
    for row in rows:
        row[1:] = (3 * (np.array(row[1:]) - ORIGIN)).tolist()
    write_sites(folder, rows)
    rows[0][1:] = (3 * np.array([8, 8, 12])).tolist()
    write_sites(folder, rows)
    (finding,) = site_findings(inspect(folder))
    assert (finding.severity, finding.code, finding.biopsies) == ("note", "site-far-from-others", ("b00",))


def _coarse(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.asarray(nib.load(path).dataobj), np.diag([3.0, 3.0, 3.0, 1.0])), path)


@pytest.mark.parametrize(("part", "code"), [(0.5, "half-voxels"), (0.3, "fractional-voxels")])
def test_indices_between_voxels_are_a_note(tmp_path: Path, part: float, code: str) -> None:
    folder = write_heads(tmp_path / "cohort", "voxel")
    (finding,) = moved(folder, 0, (22 + part, 18, 17), "voxel")
    assert (finding.severity, finding.code, finding.biopsies) == ("note", code, ("b00",))


def test_millimetres_need_not_be_whole(tmp_path: Path) -> None:
    assert moved(write_heads(tmp_path / "cohort"), 0, (22.5, 18.3, 17)) == []


def test_single_sites_are_not_told_where_all_coordinates_are_in_doubt(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    write_sites(folder, [[row[0], -row[1], -row[2], row[3]] for row in read_sites(folder)])
    assert list(site_findings(inspect(folder))) == []


@pytest.mark.parametrize(("sites", "is_said"), [(1, False), (2, False), (3, True)])
def test_another_reading_of_sites_beside_the_brain_is_said_of_several(
    tmp_path: Path, sites: int, is_said: bool
) -> None:
    """Of one site some reading brings it in by chance, which would make a reader doubt sound coordinates."""
    folder = write_heads(tmp_path / "cohort", masks=("brain",))
    for n in range(sites):
        findings = moved(folder, 3 * n, (15 + n, 31, 16))
    (finding,) = findings
    assert (finding.code, len(finding.biopsies)) == ("sites-beside-brain", sites)
    said = "They lie in it if the coordinates are mirrored front to back (y)"
    assert (said in finding.what) == ("if the coordinates" in finding.what) == is_said
