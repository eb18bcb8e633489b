"""What samplers see of trials that were made before the space was widened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from data_prep.problems import Problems
from search.booking import SETTINGS, book_settings
from search.claims import Claims
from search.hindsight import SlotStudy, retold
from search.sections import SearchSection
from search.space import Space, read_space
from search.storage import make_sampler
from search.study_file import read_study
from search.suggest import sample
from search.widening import Lists

SEARCH = Path(__file__).parents[2] / "studies" / "search.toml"
NARROW: dict[str, Any] = {
    "architecture": ["small_cnn", "resnet50"],
    "optimizer": ["adam", "sgd"],
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": [3, 9],
    "momentum": {"low": 0.0, "high": 0.9, "when": {"optimizer": "sgd"}},
}
WIDE = {**NARROW, "architecture": ["small_cnn", "resnet50", "resnet152"], "batch_size": [3, 9, 18]}
CHANGES = [
    {"parameter": "architecture", "before": ["small_cnn", "resnet50"], "now": WIDE["architecture"]},
    {"parameter": "batch_size", "before": [3, 9], "now": [3, 9, 18]},
]
ARCHITECTURE_WORTH = {"small_cnn": 0.7, "resnet50": 0.6, "resnet152": 0.65}


def space(table: dict[str, Any]) -> Space:
    return read_space(table, "s", Problems())


def slot_study(name: str, storage: Any, table: dict[str, Any]) -> SlotStudy:
    return SlotStudy(name, storage, space(table), optuna.pruners.NopPruner())


def worth(params: dict[str, Any]) -> float:
    return ARCHITECTURE_WORTH[params["architecture"]] - abs(params["batch_size"] - 9) / 100


def run(study: SlotStudy, table: dict[str, Any], seed: int, sampler: str) -> dict[str, Any]:
    """One trial, as a slot runs it."""
    study.sampler = make_sampler(SearchSection(sampler=sampler), 1, seed)  # type: ignore[arg-type]
    trial = study.ask()
    params = sample(trial, space(table))
    book_settings(trial, space(table).settings(params))
    study.tell(trial, worth(params))
    return params


def widened(sampler: str, trials: int) -> SlotStudy:
    """A study of narrow trials that has been widened since."""
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="grown", storage=storage, direction="maximize")
    narrow = slot_study("grown", storage, NARROW)
    narrow.set_user_attr("space", NARROW)
    for seed in range(trials):
        run(narrow, NARROW, seed, sampler)
    narrow.set_user_attr("space_changes", CHANGES)
    return slot_study("grown", storage, WIDE)


def always_wide(grown: SlotStudy) -> SlotStudy:
    """The same trials in a study whose lists were that long from the start."""
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="wide", storage=storage, direction="maximize")
    wide = slot_study("wide", storage, WIDE)
    for trial in grown.get_trials():
        params = json.loads(trial.system_attrs[SETTINGS])
        wide.enqueue_trial({name: params[name] for name in trial.params})
        asked = wide.ask()
        book_settings(asked, space(WIDE).settings(sample(asked, space(WIDE))))
        wide.tell(asked, trial.value)
    return wide


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_proposals_are_those_of_a_study_whose_lists_were_that_long_from_the_start(sampler: str) -> None:
    if sampler == "gp":
        pytest.importorskip("torch")
    grown = widened(sampler, 14)
    wide = always_wide(grown)
    for seed in range(100, 104):
        assert run(grown, WIDE, seed, sampler) == run(wide, WIDE, seed, sampler)
    assert {trial.value for trial in grown.get_trials()} == {trial.value for trial in wide.get_trials()}


def test_without_hindsight_the_proposals_would_forget_the_earlier_trials() -> None:
    """The check above must be able to fail: what Optuna itself sees of the trials leads elsewhere."""
    grown = widened("tpe", 14)
    plain = optuna.load_study(study_name="grown", storage=grown._storage, pruner=optuna.pruners.NopPruner())
    drawn: dict[str, list[Any]] = {"grown": [], "plain": []}
    for seed in range(100, 104):
        for name, study in (("grown", grown), ("plain", plain)):
            study.sampler = make_sampler(SearchSection(), 1, seed)
            trial = study.ask()
            drawn[name].append(sample(trial, space(WIDE)))
            study.tell(trial, state=TrialState.FAIL)
    assert drawn["grown"] != drawn["plain"]


def test_a_process_that_began_before_goes_on_and_its_trials_count_for_the_new() -> None:
    grown = widened("tpe", 12)
    old = slot_study("grown", grown._storage, NARROW)
    for seed in range(200, 206):
        assert run(old, NARROW, seed, "tpe")["batch_size"] in (3, 9)
        assert run(grown, WIDE, seed, "tpe")["batch_size"] in (3, 9, 18)
    grown.ask()
    seen = [trial for trial in grown._get_trials(deepcopy=False) if trial.state.is_finished()]
    assert len(seen) == 24
    assert all({"architecture#2", "batch_size#2"} <= trial.params.keys() for trial in seen)
    assert "batch_size#2" not in old.get_trials()[-3].params


def test_everybody_but_samplers_sees_the_trials_as_they_are() -> None:
    grown = widened("tpe", 3)
    grown.ask()
    before = optuna.load_study(study_name="grown", storage=grown._storage).get_trials()
    assert grown.get_trials() == before
    assert grown._get_trials() != before


def trial_of(params: dict[str, Any], table: dict[str, Any], booked: bool = True) -> FrozenTrial:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial(params)
    trial = study.ask()
    sampled = sample(trial, space(table))
    if booked:
        book_settings(trial, space(table).settings(sampled))
    return study.get_trials()[0]


def test_a_parameter_that_was_added_had_its_default_before() -> None:
    before = trial_of({"optimizer": "sgd"}, NARROW)
    told = retold(before, space({**NARROW, "dropout": {"low": 0.0, "high": 0.5}}), Lists())
    assert told.params["dropout"] == 0.0
    assert "dropout" not in retold(before, space({**NARROW, "dropout": [0.25, 0.5]}), Lists()).params


def test_a_range_that_moved_keeps_the_trials_inside_it() -> None:
    before = trial_of({"learning_rate": 1e-3}, NARROW)
    wider = {**NARROW, "learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}}
    narrower = {**NARROW, "learning_rate": {"low": 5e-3, "high": 1e-2, "log": True}}
    told = retold(before, space(wider), Lists())
    assert (told.params["learning_rate"], told.distributions["learning_rate"].low) == (1e-3, 1e-5)
    assert "learning_rate" not in retold(before, space(narrower), Lists()).params


def test_a_trial_that_is_not_booked_yet_has_what_it_has_sampled_and_no_more() -> None:
    before = trial_of({"batch_size": 9}, NARROW, booked=False)
    grown = {"space": NARROW, "space_changes": CHANGES}
    told = retold(before, space({**WIDE, "dropout": [0.0, 0.5]}), Lists(grown))
    assert told.params["batch_size#2"] == 9
    assert "dropout" not in told.params


def test_what_a_hypermodel_asked_for_stays_as_it_is() -> None:
    before = trial_of({}, NARROW)
    before.params["hyper.units[kind=cnn]"] = 8
    before.distributions["hyper.units[kind=cnn]"] = optuna.distributions.IntDistribution(1, 9)
    before = optuna.create_trial(
        params=before.params,
        distributions=before.distributions,
        system_attrs=before.system_attrs,
        value=0.5,
    )
    assert retold(before, space(WIDE), Lists()).params["hyper.units[kind=cnn]"] == 8


def older(**table: Any) -> SlotStudy:
    """A process that began before another start added the radius 16."""
    storage = optuna.storages.InMemoryStorage()
    optuna.create_study(study_name="grown", storage=storage, direction="maximize")
    narrow = {**NARROW, "patch_radius": [4, 8], **table}
    study = slot_study("grown", storage, narrow)
    study.set_user_attr("space", narrow)
    study.set_user_attr("space_changes", [{"parameter": "patch_radius", "before": [4, 8], "now": [4, 8, 16]}])
    return study


@pytest.mark.parametrize(
    ("fixed", "is_left"),
    [
        ({"patch_radius#2": 16}, True),
        ({"patch_radius#2": 8}, False),
        ({"patch_radius": 99}, False),  # an error of whoever enqueued it
        ({"optimizer": "sgd"}, False),
        ({"architecture#2": "densenet201"}, True),
        ({"architecture#2": "densenet201", "stem": "small"}, False),
        ({"architecture#2": "densenet201", "patch_radius#2": 16}, True),
        ({"architecture": "constant"}, False),
        ({"architecture": "nobody's"}, True),
    ],
)
def test_a_trial_that_waits_for_a_larger_radius_is_left_to_others(
    fixed: dict[str, Any], is_left: bool, tmp_path: Path
) -> None:
    study = older()
    study.enqueue_trial(fixed)
    assert study.is_foreign(study.get_trials()[0]) == is_left
    handed_out = Claims(SearchSection(trials=9), 1, tmp_path / "lock")(study)
    assert (handed_out is None) == is_left


def test_a_lost_trials_copy_of_a_larger_radius_is_left_to_others() -> None:
    copy = optuna.create_trial(
        state=TrialState.WAITING,
        system_attrs={SETTINGS: json.dumps({"architecture": "small_cnn", "patch_radius": 16})},
    )
    assert older().is_foreign(copy)
    assert not older(patch_radius=[4, 8, 16]).is_foreign(copy)


@settings(max_examples=40)
@given(st.integers(0, 2**31))
def test_nothing_changes_of_trials_that_were_sampled_from_the_present_space(seed: int) -> None:
    whole = read_study(SEARCH, cohort=Path()).parameters
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    book_settings(trial, whole.settings(sample(trial, whole)))
    (frozen,) = study.get_trials()
    told = retold(frozen, whole, Lists())
    assert (told.params, told.distributions) == (frozen.params, frozen.distributions)
