"""The ladder of shallow models on phantoms whose truth is planted: what each rung can read, and cannot.

Cohorts are drawn from fixed seeds, one a kind, so that models on one cohort share its luck. An AUC on 160
biopsies without signal strays from .5 by about .05 (one standard error of the Mann-Whitney statistic), so
that .65 is three of them. 522 features of 128 biopsies ask logistic regression for more than the default of
regularisation.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep.phantom import PhantomSpec, write_phantom
from search.baseline import fit_shallow
from search.fold import Task, run_fold
from search.home import Home
from search.material import prepare
from search.metrics import pooled_metrics
from search.records import TrialConfig
from search.study_file import read_study

STUDY = Path(__file__).parents[2] / "studies" / "baselines.toml"

Score = Callable[..., float]


def scorer(folder: Path, **spec: object) -> Score:
    """The within-fold AUC of one trial of studies/baselines.toml on a phantom."""
    write_phantom(folder / "cohort", PhantomSpec(participants=32, biopsies=160, missing=0.0, **spec))  # type: ignore[arg-type]
    study, home = read_study(STUDY, cohort=folder / "cohort"), Home.at(folder / "home")
    material = prepare(study, home, frozen=False)

    def score(architecture: str, **params: object) -> float:
        settings = study.parameters.settings({"architecture": architecture, **params})  # type: ignore[dict-item]
        config = TrialConfig(settings, 0)
        tasks = [Task.of(material, study, config, split.index) for split in material.folds.splits()]
        folds = [run_fold(task, lambda task: fit_shallow(task, home.cache)) for task in tasks]
        auc = pooled_metrics([fold.scores for fold in folds])["roc_auc"]
        assert auc is not None
        return auc

    return score


@pytest.fixture(scope="module")
def easy(tmp_path_factory: pytest.TempPathFactory) -> Score:
    return scorer(tmp_path_factory.mktemp("easy"), signal="easy", seed=1)


@pytest.fixture(scope="module")
def texture(tmp_path_factory: pytest.TempPathFactory) -> Score:
    return scorer(tmp_path_factory.mktemp("texture"), signal="easy", kind="texture", seed=1)


def test_a_constant_tells_no_biopsy_from_another(easy: Score) -> None:
    assert easy("constant") == 0.5


@pytest.mark.parametrize("radius", [3, 5])
def test_means_read_a_field_that_adds_to_the_signal(easy: Score, radius: int) -> None:
    """The best of all readers expects .80."""
    assert easy("roi_means", patch_radius=radius) > 0.65


@pytest.mark.parametrize("model", ["texture_logistic", "texture_svm", "texture_forest", "texture_gp"])
def test_features_of_texture_have_the_means_among_them(easy: Score, model: str) -> None:
    assert easy(model, patch_radius=5, forest_trees=100) > 0.65


@pytest.mark.parametrize("radius", [2, 5, 8])
def test_means_read_nothing_of_a_texture(texture: Score, radius: int) -> None:
    assert abs(texture("roi_means", patch_radius=radius) - 0.5) < 0.1


@pytest.mark.parametrize("model", ["texture_logistic", "texture_svm", "texture_forest", "texture_gp"])
def test_features_of_texture_read_a_texture(texture: Score, model: str) -> None:
    assert texture(model, patch_radius=8, regularisation=100.0, forest_trees=100) > 0.65
