from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.material import prepare
from search.opening import identity_of, open_study, slot_study, study_id
from search.pruner import PairedParticipantPruner
from search.storage import open_storage
from search.study_file import Study


@pytest.fixture
def opened(make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., optuna.Study]:
    home = Home.at(tmp_path / "home")

    def run(*overrides: str) -> optuna.Study:
        study = make_study(tmp_path, *overrides)
        return open_study(study, prepare(study, home, frozen=False), open_storage(None, home), home)

    return run


def test_the_direction_follows_the_metric(opened: Callable[..., optuna.Study]) -> None:
    assert opened().direction == optuna.study.StudyDirection.MAXIMIZE
    assert opened("name=b", "search.metric=brier").direction == optuna.study.StudyDirection.MINIMIZE


def test_enqueued_trials_wait_once_however_often_the_study_is_opened(
    opened: Callable[..., optuna.Study],
) -> None:
    opened()
    assert [trial.state.name for trial in opened().get_trials()] == ["WAITING"]


def test_a_trial_enqueued_later_is_added(opened: Callable[..., optuna.Study]) -> None:
    opened()
    assert len(opened("search.enqueue=[{ optimizer = 'adam', learning_rate = 0.002 }]").get_trials()) == 2


def test_the_definition_is_kept_in_the_home(opened: Callable[..., optuna.Study], tmp_path: Path) -> None:
    opened()
    text = Home.at(tmp_path / "home").study("toy").definition.read_text()
    assert Study.from_json(text).search.trials == 2


def test_a_wider_range_may_continue_a_study_and_another_list_may_not(
    opened: Callable[..., optuna.Study],
) -> None:
    opened()
    opened(
        "space.patch_radius={ low = 2, high = 4 }",
        "space.learning_rate={ low = 1e-5, high = 1e-1, log = true }",
    )
    with pytest.raises(InputError, match=r"space\.batch_size: must stay 9 as at"):
        opened("space.batch_size=[9, 18]")


def test_another_cohort_under_the_same_name_is_refused(
    opened: Callable[..., optuna.Study], tmp_path: Path, make_cohort: Callable[..., Path]
) -> None:
    opened()
    other = make_cohort(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"study .toy.: cohort\.patches: must stay"):
        opened(f"cohort='{other}'")


@pytest.mark.parametrize(
    "override",
    [
        "space.learning_rate={ low = 1e-3, high = 1e-1 }",
        "space.batch_size={ choices = [18] }",
        "space.patch_radius=[2, 3, 4]",
    ],
)
def test_a_parameter_keeps_its_scale_and_its_values(
    opened: Callable[..., optuna.Study], override: str
) -> None:
    opened()
    with pytest.raises(InputError, match=r"must stay .* as at the study's start"):
        opened(override)


def test_each_study_has_an_id_of_its_own_and_keeps_it(opened: Callable[..., optuna.Study]) -> None:
    first = study_id(opened())
    assert study_id(opened()) == first
    assert study_id(opened("name=b")) != first


def test_the_identity_changes_with_what_makes_trials_comparable(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    def identity(*overrides: str) -> dict[str, Any]:
        study = make_study(tmp_path, *overrides)
        return identity_of(study, prepare(study, Home.at(tmp_path / "home"), frozen=False))

    assert identity() == identity("search.trials=9", "search.sampler=tpe")
    assert identity() != identity("training.patience=2")


def test_a_slot_prunes_as_the_study_says(
    opened: Callable[..., optuna.Study], make_study: Any, tmp_path: Path
) -> None:
    opened()
    storage = open_storage(None, Home.at(tmp_path / "home"))
    study = make_study(tmp_path, "search.pruner=paired", "search.trials=30")
    assert isinstance(slot_study(study, storage).pruner, PairedParticipantPruner)


def test_a_setting_younger_than_the_study_counts_as_its_default(
    opened: Callable[..., optuna.Study], tmp_path: Path
) -> None:
    study = opened()
    identity = dict(study.user_attrs["identity"])
    del identity["training.precision"]
    study.set_user_attr("identity", identity)
    opened()
    with pytest.raises(InputError, match=r"training\.precision: must stay 'float32'"):
        opened('training.precision="mixed_bfloat16"')
