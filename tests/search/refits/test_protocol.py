from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search.home import Home
from search.material import Material, prepare
from search.refits.protocol import protocol_hash
from search.study_file import Study

Make = Callable[..., Study]


@pytest.fixture
def known(make_study: Make, tmp_path: Path) -> tuple[Study, Material]:
    study = make_study(tmp_path)
    return study, prepare(study, Home.at(tmp_path / "home"), frozen=False)


@pytest.mark.parametrize(
    "override", ["name=other", "search.trials=9", "search.sampler=tpe", "tracking.identifiers=original"]
)
def test_what_changes_no_result_does_not_count(
    make_study: Make, tmp_path: Path, known: tuple[Study, Material], override: str
) -> None:
    study, material = known
    other = make_study(tmp_path, override)
    assert protocol_hash(other, material, "t", seed=0) == protocol_hash(study, material, "t", seed=0)


@pytest.mark.parametrize(
    "override", ["training.epochs=9", "space.batch_size=[3]", "validation.seed=1", "search.enqueue=[]"]
)
def test_a_setting_that_changes_results_counts(
    make_study: Make, tmp_path: Path, known: tuple[Study, Material], override: str
) -> None:
    study, material = known
    other = make_study(tmp_path, override)
    assert protocol_hash(other, material, "t", seed=0) != protocol_hash(study, material, "t", seed=0)


def test_the_fold_table_and_what_was_asked_count(known: tuple[Study, Material]) -> None:
    study, material = known
    hashes = [protocol_hash(study, material, table, seed=seed) for table in ("t", "u") for seed in (0, 1)]
    assert len(set(hashes)) == 4
