"""One file of a kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from data_prep.importing.records import Found
from data_prep.importing.singles import keep_one_each
from data_prep.problems import Problems


def test_two_files_that_mean_the_same_are_both_named(found: Callable[..., Found]) -> None:
    one, other = found("p1", "s1", "T1"), found("p1", "s1", "T1", end="_run-2.nii")
    kept = (found("p1", "s2", "T1"), found("p1", "s1", "T1", mask=True))
    problems = Problems()
    assert set(keep_one_each([one, other, *kept], "Do this.", problems)) == {one, *kept}
    with pytest.raises(
        ValueError, match=r"p1/s1/T1_run-2.nii: T1 of p1 of s1 .* but p1/s1/T1.nii.gz .* Do this."
    ):
        problems.raise_any()


def test_of_two_the_first_by_its_path_is_kept_whatever_the_order(found: Callable[..., Found]) -> None:
    files = [found("p1", None, "T1", end=end) for end in ("_c.nii", "_a.nii", "_b.nii")]
    problems = Problems()
    assert keep_one_each(files, "", problems) == (files[1],)
    with pytest.raises(ValueError, match=r"(?s)^p1/T1_b\.nii: .* p1/T1_a\.nii .*\np1/T1_c\.nii: .* p1/T1_a"):
        problems.raise_any()
