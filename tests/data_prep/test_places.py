"""Where files lie; what a user is told of it is in tests/contracts/test_bad_input_links.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_prep.places import Places, is_plain_name

TEMPLATE = "{participant_id}/T1.nii"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cohort/sub-1").mkdir(parents=True)
    (tmp_path / "cohort/sub-1/T1.nii").write_bytes(b"1")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/T1.nii").write_bytes(b"2")
    return tmp_path / "cohort"


def test_a_file_that_is_there_is_usable_and_an_absent_one_no_problem(root: Path) -> None:
    places = Places(root, follow_links=False)
    assert places.at(root / "sub-1/T1.nii", TEMPLATE).usable
    absent = places.at(root / "sub-2/T1.nii", TEMPLATE)
    assert not absent.usable
    assert absent.problem is None


def test_a_file_that_came_or_went_is_noticed(root: Path) -> None:
    places = Places(root, follow_links=False)
    assert not places.at(root / "sub-1/T2.nii", TEMPLATE).usable
    (root / "sub-1/T1.nii").rename(root / "sub-1/T2.nii")
    assert places.at(root / "sub-1/T2.nii", TEMPLATE).usable
    assert not places.at(root / "sub-1/T1.nii", TEMPLATE).usable


@pytest.mark.parametrize("template", ["{p}/../../other/T1.nii", "../other/{sequence}.nii", "../other/T1.nii"])
def test_where_the_template_leads_out_no_link_does(root: Path, template: str) -> None:
    path = root / template.format(p="sub-1", sequence="T1")
    assert Places(root, follow_links=False).at(path, template).usable


def test_dots_behind_a_link_start_where_the_link_leads(root: Path) -> None:
    """As the kernel reads them: "link/../T1.nii" lies beside what the link leads to."""
    (root.parent / "other/deep").mkdir()
    (root / "link").symlink_to("../other/deep")
    place = Places(root, follow_links=False).at(root / "link/../T1.nii", "link/../T1.nii")
    assert not place.usable
    assert f"a link leads to {root.parent}/other/T1.nii" in str(place.problem)


def test_a_root_with_dots_behind_a_link_lies_where_the_kernel_says(root: Path) -> None:
    """What lies in it is inside, whatever else the letters of its path name."""
    (root.parent / "real/deep").mkdir(parents=True)
    root.rename(root.parent / "real/cohort")
    (root.parent / "link").symlink_to("real/deep")
    given = root.parent / "link/../cohort"
    places = Places(given, follow_links=False)
    assert places.at(given / "sub-1/T1.nii", TEMPLATE).usable
    (given / "sub-1/T2.nii").symlink_to(root.parent / "other/T1.nii")
    assert f"must lie in {root.parent}/real/cohort, but" in str(
        places.at(given / "sub-1/T2.nii", "{p}/T2.nii").problem
    )


def test_dots_that_were_spelt_out_behind_a_link_are_no_link(root: Path) -> None:
    """The base is read as the file's own path is."""
    (root.parent / "real/deep").mkdir(parents=True)
    (root.parent / "link").symlink_to("real/deep")
    (root.parent / "other").rename(root.parent / "real/other")
    template = "../link/../other/{sequence}.nii"
    assert Places(root, follow_links=False).at(root / template.format(sequence="T1"), template).usable


@pytest.mark.parametrize("name", ["sub-001", "ä b", "..a", "a..", "x" * 255, "%2e%2e", "~", "-"])
def test_names_that_stay_in_their_folder_are_plain(name: str) -> None:
    assert is_plain_name(name)
