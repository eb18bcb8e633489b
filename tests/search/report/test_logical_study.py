from __future__ import annotations

import json

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search.booking import SETTINGS
from search.report.logical_study import completed, logical_study

OLD, NEW = CategoricalDistribution((9, 18)), CategoricalDistribution((9, 18, 45))


@pytest.fixture
def study() -> optuna.Study:
    study = optuna.create_study(direction="maximize")
    study.set_user_attr("metric", "roc_auc")
    return study


def add(study, value, params, distributions, **more) -> None:
    study.add_trial(optuna.create_trial(value=value, params=params, distributions=distributions, **more))


def test_the_names_of_a_list_that_grew_are_one_parameter(study) -> None:
    add(study, 0.5, {"batch_size": 9}, {"batch_size": OLD})
    add(study, 0.6, {"batch_size#2": 45}, {"batch_size#2": NEW})
    known = logical_study(study)
    assert [trial.params for trial in known.trials] == [{"batch_size": 9}, {"batch_size": 45}]
    assert known.trials[0].distributions["batch_size"].choices == (9, 18, 45)


def test_ranges_are_joined_and_an_int_stays_an_int(study) -> None:
    add(study, 0.5, {"patch_radius": 3}, {"patch_radius": IntDistribution(1, 8)})
    add(study, 0.6, {"patch_radius[14+]": 14}, {"patch_radius[14+]": IntDistribution(14, 16)})
    known = logical_study(study)
    assert known.trials[0].distributions["patch_radius"] == IntDistribution(1, 16)


def test_a_parameter_that_does_not_apply_is_left_out_of_that_trial(study) -> None:
    both = CategoricalDistribution(("sgd", "adam"))
    for value, momentum in ((0.5, 0.9), (0.55, 0.8)):
        params = {"optimizer": "sgd", "momentum": momentum}
        add(study, value, params, {"optimizer": both, "momentum": FloatDistribution(0, 1)})
    add(study, 0.6, {"optimizer": "adam"}, {"optimizer": both})
    assert [set(trial.params) for trial in logical_study(study).trials][-1] == {"optimizer"}


def test_what_never_varied_and_what_was_never_searched_is_left_out(study) -> None:
    for radius in (2, 3):
        settings = json.dumps({"patch_radius": radius, "dropout": radius / 10, "architecture": "a"})
        dist = {"patch_radius": IntDistribution(1, 8), "architecture": CategoricalDistribution(("a",))}
        params = {"patch_radius": radius, "architecture": "a"}
        add(study, 0.1 * radius, params, dist, system_attrs={SETTINGS: settings})
    assert [trial.params for trial in logical_study(study).trials] == [
        {"patch_radius": 2},
        {"patch_radius": 3},
    ]


def test_names_and_choices_are_escaped_for_plotly(study) -> None:
    choices = CategoricalDistribution(("<b>", 'a&"b"'))
    for value, choice in ((0.5, "<b>"), (0.6, 'a&"b"')):
        add(study, value, {"<i>": choice}, {"<i>": choices})
    assert [trial.params for trial in logical_study(study).trials] == [
        {"&lt;i&gt;": "&lt;b&gt;"},
        {"&lt;i&gt;": 'a&amp;"b"'},
    ]


def test_only_complete_trials_that_no_copy_replaces_are_kept_with_their_numbers(study) -> None:
    dist = {"x": FloatDistribution(0, 1)}
    add(study, 0.5, {"x": 0.1}, dist)
    study.add_trial(optuna.create_trial(state=TrialState.PRUNED, params={"x": 0.2}, distributions=dist))
    study.add_trial(
        optuna.create_trial(
            state=TrialState.FAIL, params={"x": 0.2}, distributions=dist, user_attrs={"fate": "requeue"}
        )
    )
    add(study, 0.6, {"x": 0.3}, dist)
    assert [trial.number for trial in completed(study)] == [0, 3]
    assert [trial.user_attrs["number"] for trial in logical_study(study).trials] == [0, 3]


def test_the_direction_is_kept() -> None:
    study = optuna.create_study(direction="minimize")
    assert logical_study(study).direction == study.direction
