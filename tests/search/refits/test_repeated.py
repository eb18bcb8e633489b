"""Folds of a search fitted again: the same to the last bit here, told where they need not be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.problems import InputError
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.refits.repeated import Repeated, compare_repeated
from search.study_file import Study
from search.versions import software_versions

FIT = Fit(TrialConfig({"architecture": "constant"}, 1), 1, 0, 0, 0, (0, 1), (2, 3))


class Ledger:
    def __init__(self, result: FoldResult | None) -> None:
        self._result = result

    def result(self, _: Fit) -> FoldResult | None:
        return self._result

    def failure(self, _: Fit) -> str | None:
        return None if self._result else "failed: no luck"


Compare = Callable[..., list[str]]


@pytest.fixture
def compare(
    make_fold: Callable[..., FoldResult], make_study: Callable[..., Study], tmp_path: Path
) -> Compare:
    study = make_study(tmp_path)

    def run(again: FoldResult | None, versions: dict[str, str] | None = None, **options: Any) -> list[str]:
        one = Repeated(4, make_fold(), FIT, versions or software_versions())
        ledger: Any = Ledger(again)
        return compare_repeated([one], ledger, study, "Do better", **options)

    return run


def shifted(fold: FoldResult) -> FoldResult:
    return replace(fold, probabilities=tuple(np.nextafter(p, 1.0) for p in fold.probabilities))


def test_the_same_is_nothing_to_tell(compare: Compare, make_fold: Callable[..., FoldResult]) -> None:
    assert compare(make_fold()) == []
    assert compare(replace(make_fold(), seconds=9.0, memory_mb=1.0)) == []


def test_a_bit_that_differs_is_refused(compare: Compare, make_fold: Callable[..., FoldResult]) -> None:
    with pytest.raises(
        InputError, match=r"trial 4: fold 0: .*must come out again.*the same versions. Do better"
    ):
        compare(shifted(make_fold()), other_software=True)
    with pytest.raises(InputError, match=r"the threshold was 0\.5, is 0\.4"):
        compare(replace(make_fold(), threshold=0.4))
    with pytest.raises(InputError, match="it failed: failed: no luck"):
        compare(None, other_software=True)


def test_other_software_is_refused_or_told_as_is_asked(
    compare: Compare, make_fold: Callable[..., FoldResult]
) -> None:
    then = software_versions() | {"numpy": "1.0"}
    with pytest.raises(InputError, match=r"numpy was 1\.0, is "):
        compare(shifted(make_fold()), then)
    (remark,) = compare(shifted(make_fold()), then, other_software=True)
    assert "trial 4: fold 0 differs" in remark
    assert "numpy was 1.0" in remark


def test_another_device_is_told(compare: Compare, make_fold: Callable[..., FoldResult]) -> None:
    (remark,) = compare(replace(shifted(make_fold()), device="CPU x9"))
    assert "ran on CPU, and now on CPU x9, and differs: " in remark
    assert "a probability differs by" in remark
