"""Importance through real child processes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from search.home import Home
from search.placement import Placement
from search.recorded import material_of, recorded_study
from search.report import importance_run
from search.report.importance_run import leaning_trial, measured_importance


@pytest.fixture(scope="module")
def home(shallow: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("importance")
    shutil.copytree(shallow / "home", folder / "home")
    return Home.at(folder / "home")


def test_the_trial_is_fitted_as_it_was_and_only_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    study, definition = recorded_study(home, None, "shallow")
    material, ticks = material_of(definition, study, home), []

    def tick(done: int, total: int) -> None:
        ticks.append((done, total))

    found = measured_importance(study, definition, home, material, [Placement(1, None)], tick)
    assert found is not None
    assert found.trial == leaning_trial(study, definition)
    assert ticks[-1] == (3, 3)
    assert found.sequences == material.patches.sequences
    trial = next(trial for trial in study.get_trials() if trial.number == found.trial)
    assert found.roc_auc == pytest.approx(trial.value)
    assert all(len(drops) == 3 for drops in found.drops)

    monkeypatch.setattr(importance_run, "run_fits", lambda *_: pytest.fail("it was measured already"))
    assert measured_importance(study, definition, home, material, [Placement(1, None)], tick) == found
