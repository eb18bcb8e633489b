from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.sites import site_findings
from data_prep.check.some_sites import some_findings
from tests.data_prep.check.heads import AFFINE, SIZE, change_sites, resave, write_heads, write_sites

Change = Callable[[np.ndarray], np.ndarray]


def turned(site: np.ndarray) -> np.ndarray:
    return site * [-1, -1, 1]


def to_voxels(site: np.ndarray) -> np.ndarray:
    return site - 90 - AFFINE[:3, 3]


def mirrored(site: np.ndarray) -> np.ndarray:
    return np.array([SIZE - 1 + 2 * AFFINE[0, 3] - site[0], site[1], site[2]])


def said(folder: Path) -> list[Finding]:
    return list(some_findings(inspect(folder)))


def in_a_corner(folder: Path) -> Path:
    """The heads far from the world's origin, as where a scanner's origin is a corner of the image."""
    for path in folder.glob("sub-*/*.nii.gz"):
        resave(path, lambda voxels: voxels, shift=90)
    change_sites(folder, lambda site: site + 90)
    return folder


@pytest.mark.parametrize("masks", [("brain", "tumor"), ("brain",), ()])
def test_sound_coordinates_are_left_alone(tmp_path: Path, masks: tuple[str, ...]) -> None:
    assert said(in_a_corner(write_heads(tmp_path / "cohort", masks=masks))) == []


def test_one_participant_mirrored_is_named(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    change_sites(folder, mirrored, who="sub-2")
    (finding,) = said(folder)
    assert (finding.severity, finding.code, finding.participant) == ("warning", "left-right-flip", "sub-2")


@pytest.mark.parametrize("masks", [("brain", "tumor"), ("brain",), ()])
@pytest.mark.parametrize(
    ("change", "words"),
    [(turned, "millimetres in LPS"), (to_voxels, "voxel indices")],
    ids=["LPS", "voxels"],
)
def test_one_participant_is_named_without_a_tumour_mask_too(
    tmp_path: Path, masks: tuple[str, ...], change: Change, words: str
) -> None:
    folder = in_a_corner(write_heads(tmp_path / "cohort", masks=masks))
    change_sites(folder, change, who="sub-1")
    (finding,) = said(folder)
    assert (finding.severity, finding.code, finding.participant) == ("error", "coordinates-mixed-up", "sub-1")
    assert finding.biopsies == ("b03", "b04", "b05")
    assert words in finding.what
    assert list(site_findings(inspect(folder))) == [], "one cause is told once"


def test_a_participant_whose_tumour_was_drawn_elsewhere_is_not_called_mirrored(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    resave(folder / "sub-2" / "tumor.nii.gz", lambda mask: np.roll(mask, 12, axis=1))
    assert said(folder) == []


INSIDE_BY_BOTH = (1.5, -1.5, 11.0)
BY_LPS_ALONE = ((10.0, -7.0, 11.0), (10.0, -7.0, 12.0), (10.0, -7.0, 10.0))


@pytest.mark.parametrize("masks", [("brain",), ()])
@pytest.mark.parametrize(("outside", "is_named"), [(3, True), (2, False), (1, False)])
def test_a_few_sites_outside_that_return_by_one_reading_name_it(
    tmp_path: Path, masks: tuple[str, ...], outside: int, is_named: bool
) -> None:
    """All are written as LPS; the head holds most of them by RAS as well."""
    folder = write_heads(tmp_path / "cohort", masks=masks)
    rows = [[f"sub-{n % 4}", *np.add(INSIDE_BY_BOTH, (0, 0, 0.1 * n))] for n in range(12)]
    for n in range(outside):
        rows[n][1:] = BY_LPS_ALONE[n]
    write_sites(folder, [[who, -x, -y, z] for who, x, y, z in rows])
    subject = inspect(folder)
    if not is_named:
        assert list(some_findings(subject)) == []
        told = list(site_findings(subject))
        assert sorted(name for f in told if f.code != "site-far-from-others" for name in f.biopsies) == [
            f"b{n:02}" for n in range(outside)
        ]
        assert all("millimetres in LPS" in f.what for f in told)
        return
    (finding,) = some_findings(subject)
    assert (finding.severity, finding.code) == ("warning", "coordinates-mixed-up")
    assert finding.biopsies == ("b00", "b01", "b02")
    assert "millimetres in LPS, all 12 do" in finding.what
    assert 'convention = "LPS"' in finding.advice
    assert list(site_findings(subject)) == []


def cut_in_front(folder: Path, who: str = "*") -> Path:
    """Brains that end at y = 20; with x and y exchanged, voxel (6, y, 16) is (y - 14, 20, 16), in them."""
    for path in folder.glob(f"sub-{who}/brain.nii.gz"):
        resave(path, lambda mask: mask * (np.arange(SIZE) <= 20)[:, None])
    return folder


@pytest.mark.parametrize(("far", "is_named"), [(0, False), (1, False), (2, True)])
def test_of_three_sites_outside_two_must_lie_beyond_a_targeting_error(
    tmp_path: Path, far: int, is_named: bool
) -> None:
    folder = cut_in_front(write_heads(tmp_path / "cohort", masks=("brain",)))
    rows = [[f"sub-{n % 4}", *(AFFINE[:3, 3] + (6, 20, 16 + 0.1 * n))] for n in range(12)]
    for n in range(3):
        rows[n][2] = AFFINE[1, 3] + (29 if n < far else 22)
    write_sites(folder, rows)
    assert [f.biopsies for f in said(folder)] == ([("b00", "b01", "b02")] if is_named else [])


@pytest.mark.parametrize(("gap", "is_named"), [(7, False), (8, True)])
def test_a_participants_sites_may_all_lie_beside_the_brain_by_a_targeting_error(
    tmp_path: Path, gap: int, is_named: bool
) -> None:
    folder = cut_in_front(write_heads(tmp_path / "cohort", masks=("brain",)), "1")
    change_sites(folder, lambda _: AFFINE[:3, 3] + (6, 20 + gap, 16), who="sub-1")
    told = [(f.participant, f.severity) for f in said(folder)]
    assert told == ([("sub-1", "warning")] if is_named else [])
