"""Which fits are made: of what was selected or named, on folds that hold out somebody scanned twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.recorded import material_of, recorded_study
from search.refits.fit import Fit
from search.retest.plan import Plan, plan_of
from search.scenes import SECOND, Scenes, map_scenes
from search.statistics.predictions import predictions_of
from search.statistics.selection import Rule, select


@pytest.fixture
def planned(twice: Path, home: Home) -> Callable[..., Plan]:
    def plan(trial: int | None = None, stride: float | None = None, cohort: Path | None = None) -> Plan:
        recorded, study = recorded_study(home, None, "again", str(cohort or twice / "cohort"))
        material = material_of(study, recorded, home)
        return plan_of(recorded, study, material, Scenes(material, 3, home.cache), trial, stride)

    return plan


def test_what_the_study_selects_is_fitted_on_its_own_folds(planned: Callable[..., Plan], home: Home) -> None:
    plan = planned(stride=4.0)
    recorded, _ = recorded_study(home, None, "again")
    predictions = predictions_of(recorded)
    assert predictions is not None
    members = select(Rule(), predictions, "roc_auc")
    assert plan.trials == tuple(predictions.trials[member] for member in members)
    assert plan.rule == "rank-average"
    assert plan.names == (SECOND, *map_scenes(4.0))
    assert len(plan.fits) == len(plan.trials) * 3
    for fit in plan.fits:
        split = plan.material.folds.splits()[fit.split]
        own = Fit.of(fit.config, split)
        assert (fit.seed, fit.train, fit.test, fit.scenes) == (own.seed, own.train, own.test, plan.names)
    # Those of a fold follow each other, as they share what is shown to them.
    assert [fit.split for fit in plan.fits] == sorted(fit.split for fit in plan.fits)


def test_one_trial_can_be_named(planned: Callable[..., Plan]) -> None:
    plan = planned(trial=1)
    assert (plan.trials, plan.rule, plan.names, plan.maps) == ((1,), "named", (SECOND,), None)
    assert plan.configs[0].settings["architecture"] == "constant"
    assert set(plan.booked[0]) == {0, 1, 2}
    with pytest.raises(
        InputError, match="--trial: a trial of study 'again' that was run is needed, but got 77"
    ):
        planned(trial=77)


def test_of_repeated_folds_the_first_table_is_fitted(twice: Path, home: Home) -> None:
    recorded, study = recorded_study(home, None, "again", str(twice / "cohort"))
    once = material_of(study, recorded, home)
    fold = np.concatenate([once.folds.fold, (once.folds.fold + 1) % 3])
    material = replace(once, folds=replace(once.folds, fold=fold))
    plan = plan_of(recorded, study, material, Scenes(material, 3, home.cache), trial=0)
    assert len(material.folds.splits()) == 6
    assert [(split.index, split.repeat) for split in plan.splits] == [(0, 0), (1, 0), (2, 0)]


def test_a_fold_with_nobody_scanned_twice_is_not_fitted(
    planned: Callable[..., Plan], twice: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(twice / "cohort", tmp_path / "cohort")
    table = planned().material.folds
    kept = {table.participant_id[row] for row in table.splits()[1].test}
    for path in folder.glob("*/again"):
        if path.parent.name not in kept:
            shutil.rmtree(path)
    plan = planned(cohort=folder)
    assert [split.index for split in plan.splits] == [1]


def test_another_second_scan_is_another_context(
    planned: Callable[..., Plan], twice: Path, tmp_path: Path
) -> None:
    """So that what was kept of earlier fits is not taken for what the files now show."""
    folder = shutil.copytree(twice / "cohort", tmp_path / "cohort")
    before = planned(cohort=folder).context
    assert planned(cohort=folder).context == before
    path = folder / "sub-002" / "again" / "T1.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image((image.get_fdata() + np.arange(24)).astype(np.float32), image.affine), path)
    assert planned(cohort=folder).context != before
