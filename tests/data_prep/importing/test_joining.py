"""Images and biopsies that belong together."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest

from data_prep.importing.joining import NO_SESSION, Joined, join, match_names
from data_prep.importing.records import BiopsyTable, Found, ImportOptions
from data_prep.problems import Problems

FoundFile = Callable[..., Found]
Join = Callable[..., Joined]


@pytest.fixture
def joined(options: Callable[..., ImportOptions], table_of: Callable[..., BiopsyTable]) -> Join:
    def run(files: list[Found], *rows: tuple[str, str, str | None], **flags: object) -> Joined:
        problems = Problems()
        result = join(files, table_of(*rows), options(**flags), problems)
        problems.raise_any()
        return result

    return run


def test_a_day_is_that_day_however_it_is_written_and_no_other() -> None:
    days = [datetime.date(2019, 1, 1) + datetime.timedelta(days=number) for number in range(730)]
    short = [f"{day.year}-{day.month}-{day.day}" for day in days]
    assert match_names(short, (f"{day:%Y%m%d}" for day in days)) == {
        name: f"{day:%Y%m%d}" for name, day in zip(short, days, strict=True)
    }


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        (["1"], ["sub-001"], {"1": "sub-001"}),
        (["SUB-01"], ["sub-01"], {"SUB-01": "sub-01"}),
        (["2019-03-01"], ["20190301", "20200301"], {"2019-03-01": "20190301"}),
        (["1"], ["01", "001"], {}),
        (["1", "01"], ["001"], {}),
        (["01", "1"], ["01", "1"], {"01": "01", "1": "1"}),
        (["10"], ["sub-01"], {}),
        (["2019-11-2"], ["2019-1-12"], {}),
        (["2019-11-2"], ["20191102", "2019-1-12"], {"2019-11-2": "20191102"}),
        (["P1-1"], ["P11"], {}),
        (["P1-01"], ["p1_1", "P11"], {"P1-01": "p1_1"}),
        (["2019112"], ["2019-11-2"], {}),
        (["2019-13-1"], ["2019131"], {}),
        (["Mü"], ["Mö"], {}),
    ],
)
def test_names_match_as_written_or_without_doubt(
    wanted: list[str], known: list[str], expected: dict[str, str]
) -> None:
    assert match_names(wanted, known) == expected


def test_those_without_the_other_are_listed_and_not_fatal(joined: Join, found: FoundFile) -> None:
    files = [found("sub-01", None, "T1"), found("sub-03", None, "T1")]
    result = joined(files, ("a", "1", None), ("b", "2", None))
    assert result.rows == {2: ("sub-01", None)}
    assert [(left.what, left.why) for left in result.left_out] == [
        ("biopsies.csv: row 3 (b)", "participant '2' has no images"),
        ("sub-03/T1.nii.gz", "sub-03 has no biopsies"),
    ]
    assert result.notes == ("participants that biopsies.csv names otherwise: '1' is sub-01",)


def test_names_that_may_be_one_participant_are_a_problem(joined: Join, found: FoundFile) -> None:
    files = [found("sub-01", None, "T1"), found("2", None, "T1"), found("02", None, "T1")]
    rows = (("a", "sub-01", None), ("b", "1", None), ("c", "sub-002", None))
    with pytest.raises(
        ValueError,
        match=r"(?s)one name, but '1', 'sub-01' may be sub-01\. .*one name, but 'sub-002' may be 02 or 2\.",
    ):
        joined(files, *rows)


def test_sessions_that_are_written_otherwise_are_noted_and_doubts_are_problems(
    joined: Join, found: FoundFile
) -> None:
    files = [found("p", "2019-1-12", "T1"), found("p", "2020", "T1"), found("q", None, "T1")]
    result = joined(files, ("a", "p", "20190112"), ("b", "p", "2019-11-2"), ("c", "q", "2020"))
    assert result.rows == {2: ("p", "2019-1-12"), 4: ("q", NO_SESSION)}
    assert result.notes == (
        f"sessions that were named otherwise: '20190112' is 2019-1-12, '2020' is {NO_SESSION}",
    )
    assert result.left_out[0].why == "p has no session '2019-11-2', but 2019-1-12, 2020"
    with pytest.raises(ValueError, match=r"row 2: a session needs one name, but 'ses-1' may be 01 or 1\."):
        joined([found("p", "1", "T1"), found("p", "01", "T1")], ("a", "p", "ses-1"))


def test_who_has_images_of_the_repeat_alone_is_left_out(joined: Join, found: FoundFile) -> None:
    files = [found("p", "s1", "T1"), found("p", "s2", "T1"), found("q", "s2", "T1")]
    result = joined(files, ("a", "p", None), ("b", "q", None), repeats="s2")
    assert result.rows == {2: ("p", "s1")}
    assert ("q", "s2") not in result.files
    assert [left.why for left in result.left_out] == [
        "q has images of the repeat s2 alone",
        "no biopsy of the session",
    ]


def test_a_session_that_changes_nothing_is_refused(joined: Join, found: FoundFile) -> None:
    with pytest.raises(ValueError, match="--session: no image has a session, but got 'nonsense'"):
        joined([found("p", None, "T1")], ("a", "p", None), session="nonsense")
    with pytest.raises(ValueError, match=r"--session: biopsies\.csv names the session of each biopsy"):
        joined([found("p", "s1", "T1")], ("a", "p", "s1"), session="s1")


def test_the_session_is_the_tables_or_the_only_one(joined: Join, found: FoundFile) -> None:
    files = [found("p", "2019", "T1"), found("p", "2020", "T1"), found("q", "2021", "T1")]
    rows = (("a", "p", "2020"), ("b", "q", ""), ("c", "p", "1999"))
    result = joined(files, *rows)
    assert result.rows == {2: ("p", "2020"), 3: ("q", "2021")}
    assert [left.why for left in result.left_out] == [
        "p has no session '1999', but 2019, 2020",
        "no biopsy of the session",
    ]
    assert set(result.files) == {("p", "2020"), ("q", "2021")}


def test_several_sessions_and_nothing_that_says_which_is_a_problem(joined: Join, found: FoundFile) -> None:
    files = [found("p", "s1", "T1"), found("p", "s2", "T1")]
    with pytest.raises(
        ValueError, match=r"row 2: the session of the biopsy must be known, but p has s1, s2. Say"
    ):
        joined(files, ("a", "p", None))
    assert joined(files, ("a", "p", None), session="s2").rows == {2: ("p", "s2")}


def test_a_repeat_is_no_session_of_a_biopsy(joined: Join, found: FoundFile) -> None:
    files = [found("p", "ses-1", "T1"), found("p", "ses-2", "T1"), found("q", "ses-1", "T1")]
    result = joined(files, ("a", "p", None), ("b", "q", None), repeats="2")
    assert result.rows == {2: ("p", "ses-1"), 3: ("q", "ses-1")}
    assert result.repeats == "ses-2"
    assert [file.label for file in result.files["p", "ses-2"]] == ["p/ses-2/T1.nii.gz"]
    assert result.files["q", "ses-2"] == ()
    with pytest.raises(ValueError, match="some image must be of 'ses-9', but sessions are ses-1, ses-2"):
        joined(files, ("a", "p", None), repeats="ses-9")


def test_what_has_no_session_is_of_each_that_lacks_its_own(joined: Join, found: FoundFile) -> None:
    shared, own = found("p", None, "brain", mask=True), found("p", "s2", "brain", mask=True, end="2.nii")
    files = [found("p", "s1", "T1"), found("p", "s2", "T1"), found("q", None, "T1"), shared, own]
    result = joined(files, ("a", "p", "s1"), ("b", "p", "s2"), ("c", "q", None))
    assert shared in result.files["p", "s1"]
    assert own in result.files["p", "s2"]
    assert shared not in result.files["p", "s2"]
    assert result.rows[4] == ("q", NO_SESSION)
    assert [file.name for file in result.files["q", NO_SESSION]] == ["T1"]


def test_an_image_without_a_session_is_not_that_of_the_repeat(joined: Join, found: FoundFile) -> None:
    """Nobody knows when it was scanned, and agreement of the first scan with itself measures nothing."""
    files = [found("p", "s1", "T1"), found("p", "s2", "T1"), found("p", None, "T2")]
    result = joined(files, ("a", "p", None), repeats="s2")
    assert [file.name for file in result.files["p", "s1"]] == ["T1", "T2"]
    assert [file.name for file in result.files["p", "s2"]] == ["T1"]
