from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from data_prep.check.findings import Finding
from data_prep.check.mixups import cohort_mixup, counted_from_one, mixup_findings, sign_test
from data_prep.check.reading import inspect
from tests.data_prep.check.heads import (
    AFFINE,
    CENTRES,
    SIZE,
    change_sites,
    read_sites,
    write_heads,
    write_sites,
)

Change = Callable[[np.ndarray], np.ndarray]


def said(folder: Path) -> list[Finding]:
    return list(mixup_findings(inspect(folder)))


@pytest.mark.parametrize("space", ["world", "voxel"])
@pytest.mark.parametrize("masks", [("brain", "tumor"), ("brain",), ()])
def test_sound_coordinates_are_left_alone(tmp_path: Path, space: str, masks: tuple[str, ...]) -> None:
    assert said(write_heads(tmp_path / "cohort", space, masks)) == []


WORLD: dict[str, Change] = {
    "world LPS": lambda site: site * [-1, -1, 1],
    "voxel": lambda site: site - AFFINE[:3, 3],
    "x flipped": lambda site: site * [-1, 1, 1],
    "y flipped": lambda site: site * [1, -1, 1],
    "z flipped": lambda site: site * [1, 1, -1],
    "order z, y, x": lambda site: site[[2, 1, 0]],
    "order y, z, x": lambda site: site[[1, 2, 0]],
    "order z, x, y": lambda site: site[[2, 0, 1]],
    "image mirrored": lambda site: np.array([SIZE - 1 + 2 * AFFINE[0, 3] - site[0], site[1], site[2]]),
}
VOXEL: dict[str, Change] = {
    "world RAS": lambda site: site + AFFINE[:3, 3],
    "world LPS": lambda site: (site + AFFINE[:3, 3]) * [-1, -1, 1],
    "x flipped": lambda site: np.array([SIZE - 1 - site[0], site[1], site[2]]),
}


@pytest.mark.parametrize(
    ("space", "name", "change"),
    [("world", *item) for item in WORLD.items()] + [("voxel", *item) for item in VOXEL.items()],
)
def test_a_mix_up_is_named_with_both_counts(tmp_path: Path, space: str, name: str, change: Change) -> None:
    folder = write_heads(tmp_path / "cohort", space)
    change_sites(folder, change)
    subject = inspect(folder)
    mixup = cohort_mixup(subject)
    assert mixup is not None
    assert (mixup.reading, mixup.part, mixup.other, mixup.sites) == (name, "tumor", 12, 12)
    (finding,) = mixup_findings(subject)
    assert finding.severity == "error"
    assert finding.code == (
        "left-right-flip" if name in ("x flipped", "image mirrored") else "coordinates-mixed-up"
    )
    assert f"{mixup.declared} of 12 do." in finding.what
    assert "12 do." in finding.what
    assert len(finding.biopsies) == 12


@pytest.mark.parametrize("masks", [("brain",), ()])
def test_without_a_tumour_mask_brain_or_head_tell_what_they_can(
    tmp_path: Path, masks: tuple[str, ...]
) -> None:
    folder = write_heads(tmp_path / "cohort", masks=masks)
    change_sites(folder, WORLD["world LPS"])
    (finding,) = said(folder)
    assert (finding.code, "millimetres in LPS" in finding.what) == ("coordinates-mixed-up", True)
    assert 'convention = "LPS"' in finding.advice


def test_a_count_from_one_shows_at_the_last_voxel_alone(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", "voxel")
    change_sites(folder, lambda site: site + 1)
    assert said(folder) == []
    change_sites(folder, lambda site: np.array([SIZE, *site[1:]]), who="sub-1")
    (finding,) = said(folder)
    assert (finding.code, finding.biopsies) == ("counted-from-one", ("b03", "b04", "b05"))


def test_tumours_of_many_sites_may_tell_a_count_from_one(tmp_path: Path) -> None:
    """Each site on the last voxel of its tumour along x: one more, and it lies beside it."""
    folder = write_heads(tmp_path / "cohort", "voxel")
    ends = {f"sub-{n}": np.add(centre, (5, 0, 0)) for n, centre in enumerate(CENTRES)}
    write_sites(folder, [[row[0], *ends[str(row[0])]] for row in read_sites(folder)])
    assert said(folder) == []
    write_sites(folder, [[row[0], *(ends[str(row[0])] + 1)] for row in read_sites(folder)])
    (finding,) = said(folder)
    assert (finding.severity, finding.code) == ("note", "counted-from-one")
    assert "0 of 12 sites lie in the tumour mask, but 12 would" in finding.what


@pytest.mark.parametrize("stranger", [0, SIZE + 1])
def test_a_count_from_one_is_not_said_where_an_index_contradicts_it(tmp_path: Path, stranger: int) -> None:
    folder = write_heads(tmp_path / "cohort", "voxel")
    change_sites(folder, lambda site: np.array([SIZE, *site[1:]]), who="sub-1")
    change_sites(folder, lambda site: np.array([site[0], stranger, site[2]]), who="sub-2")
    assert counted_from_one(inspect(folder)) == []


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (5, 0), (7, 3), (3, 7)])
def test_the_sign_test_is_that_of_scipy(won: int, lost: int) -> None:
    wanted = binomtest(won, won + lost, alternative="greater").pvalue if won + lost else 1.0
    assert sign_test(won, lost) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("who", "words"),
    [(1, "an index of 'b03' equals the number of voxels"), (3, "indices of 3 sites equal the number")],
)
def test_one_site_on_the_last_voxel_is_told_as_one(tmp_path: Path, who: int, words: str) -> None:
    folder = write_heads(tmp_path / "cohort", "voxel")
    change_sites(folder, lambda site: site + 1)
    rows = read_sites(folder)
    for row in rows[3 : 3 + who]:
        row[1] = SIZE
    write_sites(folder, rows)
    (finding,) = said(folder)
    assert (finding.code, len(finding.biopsies)) == ("counted-from-one", who)
    assert words in finding.what
