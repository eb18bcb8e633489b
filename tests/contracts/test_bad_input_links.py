"""Links, pipes and other things that are no files, where a cohort's files should be."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.cohort import read_cohort
from data_prep.problems import InputError
from tests.contracts.bad_input import (
    PATCHES,
    RUN,
    Case,
    answer,
    both,
    check_refused,
    in_place_of,
    replaced,
    spawned,
)

T1 = "cohort/sub-001/T1.nii.gz"
BIOPSIES = "cohort/biopsies.tsv"
TOML = "cohort/cohort.toml"
MASK = '[masks]\nbrain = "{participant_id}/brain.nii.gz"\n'
ANNEXED = ".git/annex/objects/Xq/7v/SHA256E-s7--ab/SHA256E-s7--ab.nii.gz"


def outside(file: str) -> Callable[[Path], None]:
    """Move a file out of the cohort and leave a link to it."""

    def spoil(world: Path) -> None:
        (world / "elsewhere").mkdir(exist_ok=True)
        target = world / "elsewhere" / Path(file).name
        (world / file).rename(target)
        (world / file).symlink_to(target)

    return spoil


def outside_folder(folder: str) -> Callable[[Path], None]:
    """The same of a folder."""

    def spoil(world: Path) -> None:
        (world / folder).rename(world / "elsewhere")
        (world / folder).symlink_to("../elsewhere")

    return spoil


def link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the address of a socket has 107 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def masked(world: Path) -> None:
    """Give everybody a brain mask: the image itself is one."""
    with (world / "cohort/cohort.toml").open("a") as file:
        file.write(MASK)
    for folder in (world / "cohort").glob("sub-*"):
        (folder / "brain.nii.gz").write_bytes((folder / "T1.nii.gz").read_bytes())


def repeated(world: Path) -> None:
    with (world / "cohort/cohort.toml").open("a") as file:
        file.write('[repeats]\nimages = "{participant_id}/again/{sequence}.nii.gz"\n')
    (world / "cohort/sub-001/again").mkdir()
    (world / "cohort/sub-001/again/T1.nii.gz").symlink_to(world / "study.toml")


def chained(world: Path) -> None:
    (world / "cohort/one").symlink_to("two")
    (world / "cohort/two").symlink_to(world / "study.toml")


def annexed(file: Path, repository: Path, objects: str = ".git/annex/objects") -> None:
    """Put a file under git-annex."""
    target = repository / objects / "Xq/7v" / file.name / file.name
    target.parent.mkdir(parents=True)
    file.rename(target)
    file.symlink_to(os.path.relpath(target, file.parent))


LEADS_OUT = r"T1.nii.gz: must lie in \S+/cohort, but a link leads to \S+\. .*set follow_links = true"
CASES = [
    Case("an image that leads out", outside(T1), LEADS_OUT),
    Case("an image that leads out, in a study", outside(T1), LEADS_OUT, RUN),
    Case("a folder that leads out", outside_folder("cohort/sub-001"), LEADS_OUT),
    Case("a link to a link that leads out", both(chained, in_place_of(T1, link_to("../one"))), LEADS_OUT),
    Case("a cohort.toml that leads out", outside(TOML), r"cohort.toml: must lie in \S+/cohort, but a link"),
    Case(
        "a cohort.toml that leads out, in a study",
        outside(TOML),
        r"cohort.toml: must .* set follow_links = true",
        RUN,
    ),
    Case("a table that leads out", outside(BIOPSIES), r"biopsies.tsv: must lie in \S+/cohort, but"),
    Case("expression that leads out", outside("cohort/expression.tsv"), r"expression.tsv: must lie in"),
    Case(
        "a mask that leads out",
        both(masked, outside("cohort/sub-002/brain.nii.gz")),
        r"brain.nii.gz: must lie",
    ),
    Case("a repeat that leads out", repeated, r"again/T1.nii.gz: must lie in"),
    Case(
        "an annexed file that is not there",
        in_place_of(T1, link_to(f"../{ANNEXED}")),
        r"T1.nii.gz: a link must lead to something, but \S+ is not there. .*datalad get",
    ),
    Case(
        "an annexed table that is not there",
        in_place_of(BIOPSIES, link_to(ANNEXED)),
        r"biopsies.tsv: .*git annex get",
    ),
    Case(
        "an unlocked annexed file that is not there",
        in_place_of(T1, lambda path: path.write_text("/annex/objects/SHA256E-s7--ab.nii.gz\n")),
        r"T1.nii.gz: .*git annex get",
    ),
    Case(
        "a file under git-lfs that is not there",
        in_place_of(T1, lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n")),
        r"T1.nii.gz: .*git lfs pull",
    ),
    Case(
        "a link to nothing",
        in_place_of(T1, link_to("nowhere.nii.gz")),
        r"T1.nii.gz: .* nowhere.nii.gz is not there. Mend",
    ),
    Case(
        "a folder that leads nowhere",
        lambda world: (
            (world / "cohort/sub-001").rename(world / "gone")
            and (world / "cohort/sub-001").symlink_to("nowhere")
        ),
        r"sub-001: a link must lead to something",
    ),
    Case("a link to itself", in_place_of(T1, link_to("T1.nii.gz")), r"T1.nii.gz: .*goes in a circle"),
    Case(
        "a table that is a link to itself",
        in_place_of(BIOPSIES, link_to("biopsies.tsv")),
        r"biopsies.tsv: .*goes in a circle",
    ),
    Case(
        "a cohort.toml that is a link to itself",
        in_place_of("cohort/cohort.toml", link_to("cohort.toml")),
        r"cohort.toml: .*symbolic links",
    ),
    Case(
        "a study file that is a link to itself",
        in_place_of("study.toml", link_to("study.toml")),
        r"study.toml: .*symbolic links",
        RUN,
    ),
    Case(
        "a pipe for an image",
        in_place_of(T1, os.mkfifo),
        r"T1.nii.gz: a plain file is needed, but got a pipe",
    ),
    Case(
        "a pipe for biopsies",
        in_place_of(BIOPSIES, os.mkfifo),
        r"biopsies.tsv: a plain file is needed, but got a pipe",
    ),
    Case(
        "a pipe for expression",
        in_place_of("cohort/expression.tsv", os.mkfifo),
        r"expression.tsv: a plain file .* a pipe",
    ),
    Case(
        "a pipe for cohort.toml",
        in_place_of("cohort/cohort.toml", os.mkfifo),
        r"cohort.toml: .*[Nn]ot a plain file",
    ),
    Case(
        "a pipe for the study",
        in_place_of("study.toml", os.mkfifo),
        r"study.toml: .*[Nn]ot a plain file",
        RUN,
    ),
    Case(
        "a pipe for a mask",
        both(masked, in_place_of("cohort/sub-002/brain.nii.gz", os.mkfifo)),
        r"brain.nii.gz: a plain file",
    ),
    Case(
        "a socket for an image",
        in_place_of(T1, a_socket),
        r"T1.nii.gz: a plain file is needed, but got a socket",
    ),
    Case(
        "a device for an image",
        in_place_of(T1, link_to("/dev/zero")),
        r"T1.nii.gz: a plain file is needed, but got a device",
    ),
    Case(
        "a device for a table",
        in_place_of(BIOPSIES, link_to("/dev/zero")),
        r"biopsies.tsv: a plain file is needed, but got a device",
    ),
    Case(
        "a folder for an image",
        in_place_of(T1, Path.mkdir),
        r"T1.nii.gz: a plain file is needed, but got a folder",
    ),
    Case(
        "a folder for a table",
        in_place_of(BIOPSIES, Path.mkdir),
        r"biopsies.tsv: a plain file is needed, but got a folder",
    ),
    Case("a folder for cohort.toml", in_place_of("cohort/cohort.toml", Path.mkdir), r"cohort.toml: "),
    Case("a folder for the study", in_place_of("study.toml", Path.mkdir), r"study.toml: ", RUN),
    Case(
        "a file for a participant's folder",
        lambda world: (
            (world / "cohort/sub-001").rename(world / "gone") and (world / "cohort/sub-001").write_text("")
        ),
        r"sub-001/T1.nii.gz: .*Not a directory",
    ),
    Case(
        "a link below a path that was spelt out",
        both(
            replaced("cohort/cohort.toml", '"biopsies.tsv"', '"../tables/biopsies.tsv"'),
            lambda world: (
                (world / "tables").mkdir()
                or outside(BIOPSIES)(world)
                or (world / "tables/biopsies.tsv").symlink_to("../elsewhere/biopsies.tsv")
            ),
        ),
        r"tables/biopsies.tsv: must lie in \S+/tables, but",
    ),
    Case(
        "follow_links that is no switch",
        replaced("cohort/cohort.toml", "name =", 'follow_links = "yes"\nname ='),
        r"follow_links: .*valid boolean",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_no_file_of_the_cohort_is_refused(case: Case, world: Path) -> None:
    check_refused(case, world)


HANGING = [
    case
    for case in CASES
    if case.name in ("a pipe for an image", "a pipe for biopsies", "a pipe for the study")
]


@pytest.mark.parametrize("case", HANGING, ids=lambda case: case.name)
def test_a_pipe_hangs_no_process(case: Case, world: Path) -> None:
    check_refused(case, world, spawned)


def allow_links(world: Path) -> None:
    replaced("cohort/cohort.toml", "name =", "follow_links = true\nname =")(world)


@pytest.mark.parametrize(
    "spoil", [outside(T1), outside_folder("cohort/sub-001"), outside(BIOPSIES), outside(TOML)]
)
def test_links_that_lead_out_are_followed_where_the_cohort_says_so(world: Path, spoil: Callable) -> None:
    expected = read_cohort(world / "cohort")
    spoil(world)
    with pytest.raises(InputError, match="follow_links = true"):
        read_cohort(world / "cohort")
    allow_links(world)
    cohort = read_cohort(world / "cohort")
    assert cohort.biopsies == expected.biopsies
    assert set(cohort.images(cohort.biopsies[1], ("T1", "T2"))) == {"T1", "T2"}


@pytest.mark.parametrize("put", [os.mkfifo, link_to("nowhere"), link_to("T1.nii.gz"), link_to("/dev/zero")])
def test_what_is_no_file_stays_refused_where_links_may_lead_out(world: Path, put: Callable) -> None:
    allow_links(world)
    in_place_of(T1, put)(world)
    with pytest.raises(InputError, match=r"sub-001/T1\.nii\.gz: a "):
        read_cohort(world / "cohort")


def test_links_inside_the_cohort_are_followed_as_git_annex_makes_them(world: Path) -> None:
    expected = read_cohort(world / "cohort")
    annexed(world / T1, world / "cohort")
    annexed(world / TOML, world / "cohort")
    annexed(world / BIOPSIES, world / "cohort")
    (world / "cohort/sub-002").rename(world / "cohort/derived")
    (world / "cohort/sub-002").symlink_to("derived")
    cohort = read_cohort(world / "cohort")
    for biopsy in expected.biopsies:
        assert cohort.images(biopsy, ("T1", "T2")) == expected.images(biopsy, ("T1", "T2"))


@pytest.mark.parametrize("absolute", [True, False])
def test_a_path_that_the_author_spelt_out_is_no_link(world: Path, absolute: bool) -> None:
    place = str(world / "raw") if absolute else "../raw"
    (world / "raw").mkdir()
    for folder in (world / "cohort").glob("sub-*"):
        folder.rename(world / "raw" / folder.name)
    replaced("cohort/cohort.toml", '"{participant_id}', f'"{place}/{{participant_id}}')(world)
    cohort = read_cohort(world / "cohort")
    assert set(cohort.images(cohort.biopsies[0], ("T1", "T2"))) == {"T1", "T2"}
    (world / "raw/sub-001/T1.nii.gz").rename(world / "T1.nii.gz")
    (world / "raw/sub-001/T1.nii.gz").symlink_to(world / "T1.nii.gz")
    with pytest.raises(InputError, match=r"must lie in \S+/raw, but a link leads to \S+/T1\.nii\.gz\."):
        read_cohort(world / "cohort")


def test_a_cohort_may_itself_be_reached_through_a_link(world: Path) -> None:
    (world / "link").symlink_to("cohort")
    cohort = read_cohort(world / "link")
    assert set(cohort.images(cohort.biopsies[0], ("T1", "T2"))) == {"T1", "T2"}


@pytest.mark.parametrize("objects", [".git/annex/objects", ".git/modules/raw/annex/objects"])
def test_a_cohort_in_a_sub_folder_of_a_datalad_data_set_is_told_what_is_safe(
    world: Path, objects: str
) -> None:
    expected = read_cohort(world / "cohort").biopsies
    for file in (T1, TOML, BIOPSIES):
        annexed(world / file, world, objects)
    with pytest.raises(InputError) as caught:
        read_cohort(world / "cohort")
    names = ("cohort.toml", "biopsies.tsv")  # without the table no image is known
    assert [line.partition(":")[0] for line in caught.value.problems] == list(names)
    for line in caught.value.problems:
        assert f"The cohort lies in the DataLad or git-annex data set {world}, which" in line
        assert line.endswith("set follow_links = true in cohort.toml, which is safe here.")
    allow_links(world)
    assert read_cohort(world / "cohort").biopsies == expected


def test_the_annex_of_another_data_set_is_not_called_safe(world: Path) -> None:
    annexed(world / T1, world / "elsewhere")
    with pytest.raises(InputError, match=r"If that is meant, set follow_links = true") as caught:
        read_cohort(world / "cohort")
    assert "safe" not in str(caught.value)


@pytest.mark.parametrize("images", ["", "../raw/", "{participant_id}/../../raw/"])
def test_dots_behind_a_link_to_a_cohort_are_read_as_the_kernel_does(world: Path, images: str) -> None:
    """`link/../cohort` where the link leads elsewhere: the cohort lies beside its target."""
    (world / "real/deep").mkdir(parents=True)
    (world / "link").symlink_to("real/deep")
    (world / "cohort").rename(world / "real/cohort")
    if images:
        (world / "real/raw").mkdir()
        for folder in (world / "real/cohort").glob("sub-*"):
            shutil.copytree(folder, world / "real/raw" / folder.name)
        replaced("real/cohort/cohort.toml", '"{participant_id}', f'"{images}{{participant_id}}')(world)
    cohort = read_cohort(world / "link/../cohort")
    for biopsy in cohort.biopsies:
        assert set(cohort.images(biopsy, ("T1", "T2"))) == {"T1", "T2"}
    found = answer(PATCHES.replace("{world}/cohort", "{world}/link/../cohort").format(world=world).split())
    assert (found.code, found.lines) == (0, [])
