from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np

from data_prep.check.findings import Finding
from data_prep.check.reading import inspect
from data_prep.check.subject import Subject, Visited
from search.gallery.cards import PATCH_PIXELS, make_card, presence, title
from tests.data_prep.check.heads import AFFINE, CENTRES, read_sites, resave, save, write_heads, write_sites
from tests.data_prep.check.subjects import biopsy, cohort, visit

Look = Callable[[], Subject]


def test_a_card_shows_three_planes_and_every_biopsy_in_every_sequence(looked_at: Look) -> None:
    subject = looked_at()
    visit = subject.visits[1]
    card = make_card(subject, visit, 2, [])
    assert (card.anchor, card.title) == ("p2", "sub-001")
    assert [plane.alt.split(",")[1].split()[0] for plane in card.planes] == ["axial", "coronal", "sagittal"]
    assert all(len(plane.marks) == len(visit.biopsies) for plane in card.planes)
    assert [site.biopsy_id for site in card.sites] == [biopsy.biopsy_id for biopsy in visit.biopsies]
    for site in card.sites:
        assert [seen.sequence for seen in site.seen] == ["T1", "T2"]
        assert all(seen.slice and seen.patch and site.biopsy_id in seen.slice.alt for seen in site.seen)
    assert card.pictures == 3 + 2 * len(visit.biopsies)


def test_an_absent_an_unreadable_and_a_far_site_say_why(cohort_folder: Path, looked_at: Look) -> None:
    (cohort_folder / "sub-000" / "T1.nii.gz").write_bytes(b"no image at all")
    (cohort_folder / "sub-001" / "T2.nii.gz").unlink()
    table = cohort_folder / "biopsies.tsv"
    lines = table.read_text().splitlines()
    lines[3] = "\t".join([*lines[3].split("\t")[:2], "900", "0", "0"])
    table.write_text("\n".join(lines) + "\n")
    subject = looked_at()
    cards = [make_card(subject, visit, n, []) for n, visit in enumerate(subject.visits)]
    assert "NIfTI" in cards[0].sites[0].seen[0].why
    assert cards[0].planes, "the other sequence is shown"
    assert cards[1].sites[0].seen[1].why == "absent"
    assert "outside" in cards[2].sites[0].seen[0].why
    assert len(cards[2].planes[0].marks) == len(cards[2].sites) - 1


def test_a_participant_without_a_readable_image_still_has_a_card(
    cohort_folder: Path, looked_at: Look
) -> None:
    for path in (cohort_folder / "sub-003").iterdir():
        path.write_bytes(b"")
    subject = looked_at()
    card = make_card(subject, subject.visits[3], 4, [])
    assert card.planes == ()
    assert all("empty" in seen.why for site in card.sites for seen in site.seen)


def test_findings_stand_where_they_belong(looked_at: Look) -> None:
    subject = looked_at()
    findings = [
        Finding("note", "a", "w", "x", "y"),
        Finding("note", "b", "w", "x", "y", "sub-001"),
        Finding("note", "c", "w", "x", "y", "sub-001", ("b05",)),
        Finding("note", "d", "w", "x", "y", "sub-002", ("b02",)),
    ]
    card = make_card(subject, subject.visits[1], 1, findings)
    assert card.findings == (2, 3)
    assert {site.biopsy_id: site.findings for site in card.sites} == {"b01": (), "b05": (3,)}


def test_the_table_of_what_is_there(cohort_folder: Path, looked_at: Look) -> None:
    (cohort_folder / "sub-001" / "T2.nii.gz").unlink()
    rows = presence(looked_at())
    assert [(row[0], row[1]) for row in rows] == [(f"sub-00{n}", 2) for n in range(4)]
    assert [[file is not None for file in row[2].values()] for row in rows] == [
        [True, True],
        [True, False],
        [True, True],
        [True, True],
    ]


def test_a_lesion_that_serves_as_a_sequence_is_outlined(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", masks=())
    for path in folder.glob("sub-*/tumor.nii.gz"):
        path.rename(path.with_name("lesion.nii.gz"))
    toml = (folder / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(toml.replace("'FLAIR']", "'lesion']"))
    subject = inspect(folder)
    card = make_card(subject, subject.visits[0], 1, [])
    assert [len(plane.outlines) for plane in card.planes] == [1, 1, 1]


def test_a_site_beside_a_mask_says_how_far(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    rows = read_sites(folder)
    rows[1][1:] = (np.array([16.0, 31, 16]) + AFFINE[:3, 3]).tolist()
    write_sites(folder, rows)
    subject = inspect(folder)
    sites = make_card(subject, subject.visits[0], 1, []).sites
    assert "1.0 mm beside the brain mask" in sites[1].where
    assert "beside" not in sites[0].where


def test_a_voxel_is_that_of_the_grid_that_most_images_share(tmp_path: Path) -> None:
    """As findings count it, though the first image lies on a grid of its own."""
    folder = write_heads(tmp_path / "cohort")
    path = folder / "sub-0" / "T1.nii.gz"
    save(path, np.asarray(nib.load(path).dataobj)[::2, ::2, ::2], AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0]))
    subject = inspect(folder)
    (first, *_) = make_card(subject, subject.visits[0], 1, []).sites
    assert first.where == f"(12, -6, 12) mm RAS, voxel {CENTRES[0]} in RAS order"


def test_a_mask_that_lies_elsewhere_has_no_outline(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")
    before = inspect(folder)
    assert [len(p.outlines) for p in make_card(before, before.visits[0], 1, []).planes] == [2, 2, 2]
    resave(folder / "sub-0" / "brain.nii.gz", lambda mask: mask, shift=1)
    after = inspect(folder)
    assert [len(p.outlines) for p in make_card(after, after.visits[0], 1, []).planes] == [1, 1, 1]


def test_visits_of_one_participant_are_told_apart_by_what_differs() -> None:
    def seen(name: str, who: str, **columns: str) -> Visited:
        mine = biopsy(name, who, (1, 1, 1), 2)
        return visit([replace(mine, columns=mine.columns | columns)], {})

    visits = (
        seen("a", "sub-1", session="s1", date="2019"),
        seen("b", "sub-1", session="s2", date="2019"),
        seen("c", "sub-2", session="s1", date="2020"),
    )
    subject = Subject(cohort([each.biopsies[0] for each in visits]), (), visits)
    assert [title(subject, each) for each in visits] == ["sub-1, s1", "sub-1, s2", "sub-2"]


def test_a_patch_is_true_to_millimetres(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort", "voxel")
    for path in folder.glob("sub-0/*.nii.gz"):
        save(path, np.asarray(nib.load(path).dataobj), np.diag([0.5, 2.0, 3.0, 1.0]))
    subject = inspect(folder)
    (first, *_) = make_card(subject, subject.visits[0], 1, []).sites
    sizes = {(seen.patch.width, seen.patch.height) for seen in first.seen if seen.patch is not None}
    assert sizes == {(PATCH_PIXELS // 4, PATCH_PIXELS)}


def test_the_planes_show_grey_values_where_there_are_any(tmp_path: Path) -> None:
    folder = write_heads(tmp_path / "cohort")

    def shown() -> str:
        subject = inspect(folder)
        return make_card(subject, subject.visits[0], 1, []).shown

    assert shown() == "FLAIR"
    for name, others in (("FLAIR", "T2"), ("T2", "T1"), ("T1", "FLAIR")):
        shutil.copyfile(folder / "sub-0" / "tumor.nii.gz", folder / "sub-0" / f"{name}.nii.gz")
        assert shown() == others
