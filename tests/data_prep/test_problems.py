import pytest

from data_prep.problems import InputError, Problems, named, nearest


def test_all_problems_are_raised_together_one_line_each():
    problems = Problems()
    problems.add("a.tsv: row 2, column x", "a number is needed, but got 'q'.")
    problems.add("b.nii", "unreadable:\n  two lines")
    with pytest.raises(InputError, match="a number is needed") as caught:
        problems.raise_any()
    assert caught.value.problems == (
        "a.tsv: row 2, column x: a number is needed, but got 'q'.",
        "b.nii: unreadable: two lines",
    )
    assert str(caught.value).count("\n") == 1


def test_no_problem_raises_nothing():
    problems = Problems()
    problems.raise_any()
    assert len(problems) == 0


def test_repeated_problems_are_kept_once():
    problems = Problems()
    problems.add("a", "b")
    problems.add("a", "b")
    problems.extend(InputError(["a: b", "c: d"]))
    assert len(problems) == 2


def test_an_input_error_is_a_value_error_of_one_or_many_lines():
    assert InputError("one").problems == ("one",)
    assert isinstance(InputError(["one", "two"]), ValueError)
    assert InputError(line for line in ("one", "two")).problems == ("one", "two")


def test_the_nearest_name_is_suggested_and_all_are_listed():
    assert nearest("bipsies", ["images", "biopsies"]) == "did you mean 'biopsies'? Known: biopsies, images"
    assert nearest("zzz", ["images", "biopsies"]) == "Known: biopsies, images"


def test_what_a_file_holds_cannot_reach_the_terminal_as_a_command():
    text = "row 2: got 'a\x1b[2J\u202eb\u2028c\x85d\x00\ud800'"
    assert InputError(text).problems == (r"row 2: got 'a\x1b[2J\u202eb c d\x00\ud800'",)


def test_a_long_line_keeps_its_ends():
    (line,) = InputError("place: " + "x" * 10**6 + " the end").problems
    assert len(line) < 1600
    assert line.startswith("place: xxx")
    assert line.endswith("xxx the end")


def test_of_many_names_some_are_listed():
    hint = nearest("gene77777", (f"gene{number:05d}" for number in range(10**5)))
    assert hint.endswith("gene00059 and 99940 others")


def test_long_lists_are_cut_and_counted():
    assert named([str(n) for n in range(7)]) == "0, 1, 2, 3, 4 and 2 more"
    assert named([str(n) for n in range(5)]) == "0, 1, 2, 3, 4"
    assert named(["a"]) == "a"
    assert named([]) == ""
