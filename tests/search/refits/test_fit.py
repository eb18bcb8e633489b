"""What a fit is: all of it is in its key, and what it depends on beside itself in the context."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.folds import Split
from search.home import Home
from search.material import prepare
from search.records import TrialConfig
from search.refits.fit import Fit, Shuffle, context_of
from search.study_file import Study
from search.versions import software_versions

FIT = Fit(
    config=TrialConfig({"architecture": "roi_means", "rate": 1e-3, "flip": True}, 5),
    seed=7,
    repeat=1,
    fold=2,
    split=5,
    train=(0, 1, 2, 3),
    test=(4, 5),
    order=(5, 4, 3, 2, 1, 0),
    shuffles=(Shuffle("T1", (5, 4)),),
    stop=(3,),
)
CHANGES: list[dict[str, Any]] = [
    {"config": TrialConfig({"architecture": "roi_means", "rate": 1e-3, "flip": False}, 5)},
    {"config": TrialConfig(FIT.config.settings, 6)},
    {"seed": 8},
    {"repeat": 0},
    {"fold": 1},
    {"split": 4},
    {"train": (0, 1, 2)},
    {"test": (5, 4)},
    {"order": None},
    {"order": (0, 1, 2, 3, 4, 5)},
    {"shuffles": ()},
    {"shuffles": (Shuffle("T2", (5, 4)),)},
    {"shuffles": (Shuffle("T1", (4, 5)),)},
    {"stop": None},
    {"scenes": ("second",)},
    {"scenes": ("second", "map-first:4")},
    {"epochs": 3},
    {"epochs": 4},
    {"keep": True},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_any_change_of_a_fit_changes_its_key(change: dict[str, Any]) -> None:
    assert replace(FIT, **change).key != FIT.key


@pytest.mark.parametrize("change", [{}, *CHANGES], ids=lambda change: next(iter(change), "none"))
def test_a_fit_that_went_through_json_is_the_same(change: dict[str, Any]) -> None:
    fit = replace(FIT, **change)
    back = Fit.from_json(json.loads(json.dumps(fit.as_json())))
    assert back == fit
    assert back.key == fit.key


def test_a_fit_without_what_came_later_has_the_key_that_it_had_before() -> None:
    """So that what was fitted then is not fitted again."""
    assert FIT.key == "dd7f4f5925dd2620d0da2f9cd0f2e35c"
    assert not FIT.as_json().keys() & {"scenes", "epochs", "keep"}


def test_the_key_does_not_depend_on_the_order_of_the_settings() -> None:
    turned = TrialConfig(dict(reversed(FIT.config.settings.items())), 5)
    assert replace(FIT, config=turned).key == FIT.key


def test_a_fit_of_a_split_has_the_seed_of_the_trials_own_fold() -> None:
    split = Split(7, 1, 2, np.array([0, 3]), np.array([1, 2]))
    fit = Fit.of(FIT.config, split)
    assert (fit.seed, fit.split, fit.repeat, fit.fold) == (FIT.config.fold_seed(7), 7, 1, 2)
    assert (fit.train, fit.test, fit.order, fit.shuffles, fit.stop) == ((0, 3), (1, 2), None, (), None)
    assert fit.scenes == ()


@pytest.fixture
def context(make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., str]:
    def of(*changes: str) -> str:
        study = make_study(tmp_path, *changes)
        return context_of(study, prepare(study, Home.at(tmp_path / "home"), frozen=False))

    return of


def test_the_context_is_what_would_change_a_result_and_nothing_else(context: Callable[..., str]) -> None:
    assert context() == context("search.trials=50", "validation.repeats=3", "validation.seed=4")
    others = ["label.genes=['CD3E']", "label.rule='above:1.0'", "training.epochs=3", "input.missing='zero'"]
    assert len({context(), *(context(change) for change in others)}) == 5


def test_second_scans_that_training_shows_are_part_of_the_context(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path)
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    patches = material.patches
    seen = {context_of(study, replace(material, second=one)) for one in (None, patches, patches.take([0]))}
    assert len(seen) == 3


@pytest.mark.parametrize("change", [{"numpy": "1.0"}, {"scikit-learn": "1.0"}, {"python": "4.0"}])
def test_other_software_is_another_context(
    change: dict[str, str], context: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refit that goes on after an upgrade would else mix the results of two versions."""
    before, versions = context(), software_versions()
    assert context() == before
    monkeypatch.setattr("search.refits.fit.software_versions", lambda: versions | change)
    assert context() != before
