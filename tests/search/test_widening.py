from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import Problems
from search.booking import book_settings, requeue
from search.composing import enqueued
from search.domains import Choice, Value
from search.feasible import feasible, logical_name
from search.space import Space, read_space
from search.suggest import sample, stored_names
from search.widening import Lists, stored_name

NARROW = {"architecture": ["resnet50", "densenet201"], "patch_radius": [2, 14, 16], "batch_size": 9}
WIDE = {**NARROW, "patch_radius": [15, 16, 2, 14], "batch_size": [18, 9]}
CHANGES = [
    {"parameter": "patch_radius", "before": [2, 14, 16], "now": [2, 14, 16, 15]},
    {"parameter": "batch_size", "before": [9], "now": [9, 18]},
]
GROWN: dict[str, Any] = {"space": NARROW, "space_changes": CHANGES}


def space(table: dict[str, Any]) -> Space:
    return read_space(table, "s", Problems())


def asked(table: dict[str, Any], name: str, settings: dict[str, Value], attributes: Any) -> tuple[str, Any]:
    parameter = Lists(attributes).asked(space(table), space(table)[name], settings)
    return parameter.name, parameter.domain


SMALL, LARGE = {"architecture": "resnet50"}, {"architecture": "densenet201"}


def test_each_list_has_a_name_of_its_own_and_keeps_its_order() -> None:
    assert asked(NARROW, "patch_radius", SMALL, GROWN) == ("patch_radius", Choice((2, 14, 16)))
    assert asked(WIDE, "patch_radius", SMALL, GROWN) == ("patch_radius#2", Choice((2, 14, 16, 15)))
    assert asked(NARROW, "patch_radius", LARGE, GROWN) == ("patch_radius[14+]", Choice((14, 16)))
    assert asked(WIDE, "patch_radius", LARGE, GROWN) == ("patch_radius#2[14+]", Choice((14, 16, 15)))
    assert asked(WIDE, "batch_size", SMALL, GROWN) == ("batch_size#2", Choice((9, 18)))
    assert asked(WIDE, "architecture", {}, GROWN) == ("architecture", Choice(("resnet50", "densenet201")))


def test_another_order_of_the_same_list_is_no_other_list() -> None:
    turned = {**NARROW, "patch_radius": [16, 2, 14]}
    assert asked(turned, "patch_radius", SMALL, {"space": NARROW}) == ("patch_radius", Choice((2, 14, 16)))


def test_a_list_that_is_recorded_nowhere_takes_nobodys_name() -> None:
    other = {**NARROW, "batch_size": [9, 45]}
    assert asked(other, "batch_size", SMALL, GROWN) == ("batch_size#3", Choice((9, 45)))


def study_of(attributes: Any) -> optuna.Study:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for name, value in attributes.items():
        study.set_user_attr(name, value)
    return study


WANTED = [
    {"architecture": "densenet201", "patch_radius": 16, "batch_size": 9},
    {"patch_radius": 14},
    {"architecture": "resnet50", "patch_radius": 2},
]


@pytest.mark.parametrize("wanted", WANTED)
def test_a_trial_that_waits_keeps_its_values_whichever_list_it_was_enqueued_under(
    wanted: dict[str, Value],
) -> None:
    for made, run in ((NARROW, WIDE), (WIDE, NARROW), (NARROW, NARROW), (WIDE, WIDE)):
        study = study_of(GROWN)
        study.enqueue_trial(stored_names(space(made), wanted, Lists(GROWN)))
        for _ in range(3):
            study.enqueue_trial(stored_names(space(made), wanted, Lists(GROWN)))
            assert wanted.items() <= sample(study.ask(), space(run)).items()


def test_a_process_that_began_before_runs_a_trial_with_a_choice_that_it_does_not_have() -> None:
    study = study_of(GROWN)
    study.enqueue_trial(stored_names(space(WIDE), {"batch_size": 18}, Lists(GROWN)))
    assert sample(study.ask(), space(NARROW))["batch_size"] == 18


def test_old_and_new_sample_side_by_side_in_one_study() -> None:
    study = study_of(GROWN)
    seen = [sample(study.ask(), space((NARROW, WIDE)[turn % 2])) for turn in range(40)]
    assert {params["batch_size"] for params in seen[::2]} == {9}
    assert {params["batch_size"] for params in seen[1::2]} == {9, 18}


@pytest.mark.parametrize("booked", [False, True])
def test_a_lost_trial_is_taken_up_again_with_what_it_had(booked: bool, tmp_path: Path) -> None:
    """Its process died before the study was widened: after it had booked the trial, or while it sampled."""
    study = study_of({"space": NARROW})
    study.enqueue_trial(stored_names(space(NARROW), {"batch_size": 9, "patch_radius": 16}))
    trial = study.ask()
    first = sample(trial, space(NARROW) if booked else space(NARROW).only(["architecture"]))
    if booked:
        book_settings(trial, space(NARROW).settings(first))
    requeue(study, study.get_trials()[0], "interrupted", tmp_path / "lock")
    study.set_user_attr("space_changes", CHANGES)
    study.sampler = optuna.samplers.RandomSampler(seed=0)  # as whoever hands it out seeds it: by its place
    copy = study.ask()
    again = space(WIDE).only(enqueued(copy)) if booked else space(WIDE)
    params = sample(copy, again)
    assert (params["batch_size"], params["patch_radius"]) == (9, 16)
    assert first.items() <= {**params, "architecture": first["architecture"]}.items()
    assert copy.params["architecture"] == first["architecture"]
    assert not any("#" in name for name in copy.params)


@given(
    st.sampled_from([NARROW, WIDE]),
    st.sampled_from(["patch_radius", "batch_size", "architecture"]),
    st.sampled_from([SMALL, LARGE]),
)
def test_the_name_of_a_list_leads_back_to_its_parameter(table: Any, name: str, settings: Any) -> None:
    found, domain = asked(table, name, settings, GROWN)
    assert logical_name(found) == name
    assert set(domain.options) == set(feasible(space(table), space(table)[name], settings).domain.options)


def test_names_sort_as_the_parameters_do() -> None:
    """Samplers draw in the order of names: a longer list must not change the draws of the others."""
    names = ["mine.width", "mine.width2", "rotation", "rotation_degrees", "stem", "patch_radius"]
    plain = sorted(names)
    assert [logical_name(n) for n in sorted(stored_name(name, 2) for name in names)] == plain
    for turned in names:
        mixed = sorted(stored_name(name, 2) if name == turned else name for name in names)
        assert [logical_name(name) for name in mixed] == plain
