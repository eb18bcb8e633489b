from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.home import StudyFolder
from search.refits.history import FILE, Past, add_test, read_tests

FIRST = Past("2026-01-01T00:00:00+00:00", "0f", "global", 0.1, 19, 20, 0, ("space.patch_radius=5",), "ab")


def test_every_test_stays_on_record_and_the_next_is_told_of_those_before(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "s")
    second = replace(FIRST, seed=1, protocol="cd", p_value=0.04)
    assert read_tests(folder) == ()
    assert add_test(folder, FIRST) == ()
    assert add_test(folder, second) == (FIRST,)
    assert add_test(folder, replace(second, seed=2, protocol="ef")) == (FIRST, second)
    assert read_tests(folder)[:2] == (FIRST, second)


def test_a_test_run_again_as_it_was_is_no_other_and_more_permutations_are_another_look(
    tmp_path: Path,
) -> None:
    folder = StudyFolder(tmp_path)
    add_test(folder, FIRST)
    assert add_test(folder, replace(FIRST, time="2026-01-02T00:00:00+00:00")) == ()
    assert add_test(folder, replace(FIRST, permutations=199, p_value=0.06)) == (FIRST,)
    assert len(read_tests(folder)) == 3


@pytest.mark.parametrize("other", [{"null": "within"}, {"study_id": "aa"}])
def test_another_null_and_an_earlier_study_of_the_name_do_not_count(
    tmp_path: Path, other: dict[str, str]
) -> None:
    add_test(StudyFolder(tmp_path), replace(FIRST, protocol="cd", **other))
    assert add_test(StudyFolder(tmp_path), FIRST) == ()


def test_a_line_that_lost_its_end_is_left_out_and_written_over(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    add_test(folder, FIRST)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"time": "2026')
    second = replace(FIRST, protocol="cd")
    assert add_test(folder, second) == (FIRST,)
    assert read_tests(folder) == (FIRST, second)


@pytest.mark.parametrize("line", ["3", "{}", "[", '{"reductions": 3}'])
def test_another_file_is_refused_by_its_name_and_left_alone(tmp_path: Path, line: str) -> None:
    (tmp_path / FILE).write_text(line + "\n")
    with pytest.raises(InputError, match=r"permutation-tests\.jsonl: the permutation tests"):
        add_test(StudyFolder(tmp_path), FIRST)
    assert (tmp_path / FILE).read_text() == line + "\n"
