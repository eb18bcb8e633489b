from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from data_prep.problems import InputError
from search.refits.reduction import as_begun, reduced, toml_value
from search.study_file import Study
from search.suggest import stored_names

RUNNING = TrialState.RUNNING
MakeStudy = Callable[..., Study]
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8)
values = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_in_toml_is_read_as_it_was(value: Any) -> None:
    plain = json.loads(json.dumps(value))
    assert tomllib.loads(f"value = {toml_value(plain)}")["value"] == plain


def test_a_study_without_reductions_is_itself(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    assert reduced(study, ()) == (study, ())


def test_a_setting_is_reduced_and_nothing_else_changes(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    smaller, told = reduced(study, ["training.epochs=1"])
    assert told == ("training.epochs=1",)
    assert smaller == study.model_copy(update={"training": study.training.model_copy(update={"epochs": 1})})


def test_enqueued_trials_that_a_smaller_space_lacks_are_left_out_and_counted(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    smaller, told = reduced(make_study(tmp_path), ["space.patch_radius=2"])
    assert smaller.search.enqueue == ()
    assert told == ("space.patch_radius=2", "search.enqueue: 1 of 1 are not in the smaller space")


@pytest.mark.parametrize(
    "value", ["roi_means", '["roi_means"]', '{ choices = ["roi_means"] }', '"roi_means"']
)
def test_parameters_that_mean_nothing_without_networks_are_left_out_and_told(
    make_study: MakeStudy, tmp_path: Path, value: str
) -> None:
    smaller, told = reduced(make_study(tmp_path), [f"space.architecture={value}"])
    assert set(smaller.space) == {"architecture", "patch_radius"}
    assert [line.partition(":")[0] for line in told[1:]] == [
        *(f"space.{name}" for name in ("optimizer", "learning_rate", "batch_size", "momentum")),
        "search.enqueue",
    ]


def test_what_is_asked_for_and_means_nothing_is_still_an_error(make_study: MakeStudy, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"space\.batch_size: means nothing here"):
        reduced(make_study(tmp_path), ["space.architecture=roi_means", "space.batch_size=9"])


def in_line(study: Study, *trials: Mapping[str, Any] | None, copied: int | None = None) -> optuna.Study:
    """A study whose trials were enqueued with some parameters, or drawn (None); one is a lost one's copy."""
    recorded = optuna.create_study()
    for number, params in enumerate(trials):
        fixed = None if params is None else {"fixed_params": stored_names(study.parameters, params)}
        user = {"retry_of": 0, "key": 0} if number == copied else None
        recorded.add_trial(optuna.create_trial(state=RUNNING, system_attrs=fixed, user_attrs=user))
    return recorded


OWN = {"optimizer": "sgd", "learning_rate": 0.01, "patch_radius": 3, "momentum": 0.5}
BEST = {"optimizer": "adam", "learning_rate": 0.02, "patch_radius": 4}


@pytest.mark.parametrize(("between", "copied"), [(None, None), (OWN, 1)])
def test_what_was_put_in_line_after_the_search_began_is_not_of_the_repeated_search(
    make_study: MakeStudy, tmp_path: Path, between: Mapping[str, Any] | None, copied: int | None
) -> None:
    """`radsearch run --set search.enqueue=[best]` rewrites the study's definition, not its trials."""
    study = make_study(
        tmp_path, "search.enqueue=[{ optimizer = 'adam', learning_rate = 0.02, patch_radius = 4 }]"
    )
    begun, told = as_begun(study, in_line(study, OWN, between, BEST, copied=copied))
    assert begun.search.enqueue == (OWN,)
    assert told == ("search.enqueue: 1 put in line after the search had begun are left out",)


def test_a_study_that_nobody_changed_is_as_it_began(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    assert as_begun(study, in_line(study, OWN, None, None)) == (study, ())


def test_a_space_that_was_changed_later_is_told_and_what_it_lacks_is_left_out(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    study = make_study(tmp_path, "space.patch_radius={ low = 4, high = 5 }", "search.enqueue=[]")
    recorded = in_line(study, OWN, None)
    change = {"parameter": "patch_radius", "before": {}, "now": {}}
    recorded.set_user_attr("space_changes", [change, change])
    begun, told = as_begun(study, recorded)
    assert begun.search.enqueue == ()
    assert told == (
        "space.patch_radius: was changed after the search had begun",
        "search.enqueue: 1 of 1 are not in the space any more",
    )


@pytest.mark.parametrize(
    "key",
    ["label.rule", "search.trials", "search.selection", "search.enqueue", "validation.seed", "cohort"],
)
def test_what_the_claim_is_about_cannot_be_reduced(make_study: MakeStudy, tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=f"--set: only .* may be reduced, but got {key}"):
        reduced(make_study(tmp_path), [f"{key}=1"])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.epochs=0", "training.epochs: must be"),
        ("training.epoch=3", "training.epoch: unknown key; .*epochs"),
        ("training", "--set: section.key=value is needed"),
        ('space.architecture=["resnet51"]', "space.architecture: unknown name 'resnet51'"),
    ],
)
def test_mistakes_are_told_as_in_a_study_file(
    make_study: MakeStudy, tmp_path: Path, override: str, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        reduced(make_study(tmp_path), [override])
