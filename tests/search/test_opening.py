from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from data_prep.problems import InputError
from search.claims import ASKED
from search.cli import main
from search.code_identity import CODE, code_identity
from search.home import Home
from search.material import prepare
from search.opening import DEFINITION, open_study, slot_study, study_id
from search.owner import Owner
from search.pruner import PairedParticipantPruner
from search.storage import open_storage
from search.study_file import Study
from search.tracked import TRACKING


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


def test_ranges_may_move_and_choices_may_be_added(opened: Callable[..., optuna.Study]) -> None:
    opened()
    opened(
        "space.patch_radius={ low = 2, high = 4 }",
        "space.learning_rate={ low = 1e-5, high = 1e-1, log = true }",
        "space.batch_size=[18, 9]",
    )
    with pytest.raises(InputError, match=r"space\.batch_size: must keep 18 of its choices 9, 18, but got 9"):
        opened("space.learning_rate={ low = 1e-5, high = 1e-1, log = true }")


@pytest.mark.parametrize(
    ("before", "after"),
    [("{ low = 2, high = 4 }", "{ low = 2, high = 7 }"), ("[2, 3, 4]", "[2, 3, 4, 7]")],
)
def test_the_largest_radius_may_grow_again_and_again_and_not_shrink(
    opened: Callable[..., optuna.Study], before: str, after: str
) -> None:
    first = opened(f"space.patch_radius={before}").user_attrs["identity"]
    grown = opened(f"space.patch_radius={after}").user_attrs["identity"]
    changed = {key for key in grown if grown[key] != first[key]}
    assert changed == {"cohort.patches", "cohort.patches.radius", "space.patch_radius.high"}
    wider = after.replace("7", "7, 9") if "[" in after else after.replace("7", "9")
    opened(f"space.patch_radius={wider}")
    with pytest.raises(InputError, match=r"patch_radius\.high: must stay at least 9, .* but got 7"):
        opened(f"space.patch_radius={after}")


def test_another_cohort_is_named_also_where_the_largest_radius_grows(
    opened: Callable[..., optuna.Study], tmp_path: Path, make_cohort: Callable[..., Path]
) -> None:
    opened()
    other = make_cohort(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"cohort\.patches: must stay") as caught:
        opened(f"cohort='{other}'", "space.patch_radius={ low = 2, high = 6 }")
    assert not any("patch_radius" in line for line in caught.value.problems)


def test_another_cohort_under_the_same_name_is_refused(
    opened: Callable[..., optuna.Study], tmp_path: Path, make_cohort: Callable[..., Path]
) -> None:
    opened()
    other = make_cohort(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=r"study .toy.: cohort\.patches: must stay"):
        opened(f"cohort='{other}'")


@pytest.mark.parametrize(
    ("override", "law"),
    [
        ("space.learning_rate={ low = 1e-3, high = 1e-1 }", "must stay .* as at the study's start"),
        ("space.batch_size={ choices = [18] }", "must keep 9 of its choices"),
        ("space.patch_radius=[2, 3, 4]", "must stay .* as at the study's start"),
        (
            "space.momentum={ low = 0.0, high = 0.9, when = { optimizer = 'sgd', patch_radius = 3 } }",
            "when: ",
        ),
        ("input.augmentation=['flip']", r"input\.augmentation: must stay \[\]"),
        ("search.seed=1", r"search\.seed: must stay 0"),
    ],
)
def test_a_parameter_keeps_its_scale_and_its_values(
    opened: Callable[..., optuna.Study], override: str, law: str
) -> None:
    opened()
    with pytest.raises(InputError, match=law) as caught:
        opened(override)
    assert len(caught.value.problems) == 1


def test_each_study_has_an_id_of_its_own_and_keeps_it(opened: Callable[..., optuna.Study]) -> None:
    first = study_id(opened())
    assert study_id(opened()) == first
    assert study_id(opened("name=b")) != first


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


class Killed(BaseException):
    """In place of a kill between two writes."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Lets so many writes to the journal through and ends the process at the next; None lets all through."""
    left: list[int | None] = [None]
    write = JournalFileBackend.append_logs

    def append_logs(self: JournalFileBackend, logs: Any) -> None:
        if left[0] is not None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
        write(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", append_logs)
    return lambda count: left.__setitem__(0, count)


def contents(study: optuna.Study) -> Any:
    """What is recorded of a study, times, its own id and its home aside."""
    attributes = dict(study.user_attrs)
    attributes.pop("id")
    assert attributes.pop(TRACKING)["home"]
    changes = [{**c, "time": ""} for c in attributes.pop("space_changes", [])]
    waiting = [trial.system_attrs["fixed_params"] for trial in study.get_trials()]
    definition = study._storage.get_study_system_attrs(study._study_id)[DEFINITION]
    return study.direction, study.metric_names, attributes, changes, waiting, definition


WIDER = (
    "space.batch_size=[18, 9]",
    "space.optimizer=['amsgrad', 'sgd', 'adam']",
    "space.weight_decay=[0.0, 0.1]",
    "search.enqueue=[{ optimizer = 'amsgrad', batch_size = 18 }]",
)


@pytest.mark.parametrize("before", [None, ()])
@pytest.mark.parametrize("overrides", [(), WIDER])
def test_a_start_that_is_killed_between_any_two_writes_is_completed_by_the_next(
    make_study: Callable[..., Study], tmp_path: Path, cut: Any, before: Any, overrides: tuple[str, ...]
) -> None:
    """Killed at the first write, at the second, and so on, each in a home of its own."""

    def start(home: Home, *changes: str) -> optuna.Study:
        study = make_study(tmp_path, *changes)
        return open_study(study, prepare(study, home, frozen=True), open_storage(None, home), home)

    def begin(home: Home) -> None:
        if before is not None:
            start(home, *before)

    undisturbed = Home.at(tmp_path / "undisturbed")
    begin(undisturbed)
    expected = contents(start(undisturbed, *overrides))
    writes = 0
    while True:
        home = Home.at(tmp_path / f"home{writes}")
        begin(home)
        cut(writes)
        try:
            start(home, *overrides)
            break
        except Killed:
            writes += 1
        finally:
            cut(None)
        assert contents(start(home, *overrides)) == expected
        assert contents(start(home, *overrides)) == expected
    assert writes >= (0 if (before, overrides) == ((), ()) else 4)


def test_a_start_that_was_killed_is_made_anew_for_another_metric(
    opened: Callable[..., optuna.Study], cut: Any
) -> None:
    cut(2)
    with pytest.raises(Killed):
        opened()
    cut(None)
    study = opened("search.metric=brier")
    assert (study.direction.name, study.metric_names) == ("MINIMIZE", ["brier"])


def test_what_was_added_is_recorded_in_order_of_time(opened: Callable[..., optuna.Study]) -> None:
    assert "space_changes" not in opened().user_attrs
    opened("space.batch_size=[18, 9]")
    study = opened("space.batch_size=[27, 9, 18]", "space.optimizer=['amsgrad', 'sgd', 'adam']")
    changes = study.user_attrs["space_changes"]
    assert [(c["parameter"], c["before"], c["now"]) for c in changes] == [
        ("batch_size", [9], [9, 18]),
        ("optimizer", ["adam", "sgd"], ["adam", "sgd", "amsgrad"]),
        ("batch_size", [9, 18], [9, 18, 27]),
    ]
    assert [c["time"] for c in changes] == sorted(c["time"] for c in changes)
    assert study.user_attrs["space"]["batch_size"] == [9, 18, 27]


def test_two_that_widen_at_the_same_time_agree_or_the_second_is_refused(
    opened: Callable[..., optuna.Study], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    opened()
    home = Home.at(tmp_path / "home")
    studies = [make_study(tmp_path, f"space.batch_size={listed}") for listed in ([9, 18], [9, 18], [9, 27])]
    material = prepare(studies[0], home, frozen=True)

    def start(study: Study) -> str:
        try:
            open_study(study, material, open_storage(None, home), home)
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(start, studies))
    (change,) = opened(f"space.batch_size={[9, 18] if not said[0] else [9, 27]}").user_attrs["space_changes"]
    assert change["now"] in ([9, 18], [9, 27])
    refused = [line for line in said if line]
    assert len(refused) in (1, 2)
    assert all("must keep" in line for line in refused)


def test_a_trial_is_not_enqueued_again_because_its_list_grew(opened: Callable[..., optuna.Study]) -> None:
    enqueue = "search.enqueue=[{ optimizer = 'sgd', batch_size = 9 }]"
    opened(enqueue)
    assert len(opened(enqueue, "space.batch_size=[9, 18]").get_trials()) == 1
    more = "search.enqueue=[{ optimizer = 'sgd', batch_size = 18 }]"
    assert len(opened(more, "space.batch_size=[9, 18]").get_trials()) == 2
    assert len(opened(more, "space.batch_size=[9, 18, 27]").get_trials()) == 2


MINE = """
import keras
def build(input_shape, width=4):
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
"""


def test_an_architecture_of_ones_own_may_be_added_and_then_not_changed(
    opened: Callable[..., optuna.Study], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    opened()
    added = ("architectures.mine.function='mine.py:build'", "space.architecture=['mine', 'small_cnn']")
    study = opened(*added)
    assert study.user_attrs["identity"]["architectures.mine (sha256)"]
    opened(*added, "space.mine.width=[4, 8]")
    (tmp_path / "mine.py").write_text(MINE + "# another\n")
    with pytest.raises(InputError, match=r"architectures\.mine \(sha256\): must stay '[0-9a-f]{64}'"):
        opened(*added, "space.mine.width=[4, 8]")
    with pytest.raises(
        InputError, match=r"space\.architecture: must keep mine of its choices small_cnn, mine"
    ):
        opened()


def test_a_choice_that_makes_augmentation_reach_further_may_be_added(
    opened: Callable[..., optuna.Study], tmp_path: Path
) -> None:
    """Patches are cut out larger for it; those of earlier trials lie within."""
    opened("space.jitter=0.0")
    wider = "space.jitter=[0.0, 1.5]"
    assert opened(wider).user_attrs["space_changes"][-1]["now"] == [0.0, 1.5]
    opened(wider)
    image = next((tmp_path / "cohort").rglob("T2.nii.gz"))
    image.write_bytes(next((tmp_path / "cohort").rglob("T1.nii.gz")).read_bytes())
    with pytest.raises(InputError, match=r"cohort\.patches: must stay as at the study's start \(images"):
        opened(wider)


BASELINE = """
name = "toy"
cohort = "cohort"
[validation]
folds = 3
[search]
trials = 2
sampler = "tpe"
pruner = "none"
enqueue = [{ architecture = "constant" }]
[space]
architecture = ["constant"]
"""


@pytest.fixture
def run_cli(make_cohort: Callable[..., Path], tmp_path: Path) -> Callable[..., int]:
    """`radsearch run` of a study of shallow baselines, with `--set`."""
    make_cohort(tmp_path / "cohort")
    (tmp_path / "study.toml").write_text(BASELINE)

    def run(*sets: str) -> int:
        options = [part for each in sets for part in ("--set", each)]
        return main(["run", str(tmp_path / "study.toml"), "--home", str(tmp_path / "home"), *options])

    return run


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("label.genes=['CD3E']", ["label.genes: must stay ['CD3D'] as it was at the study's start, but got"]),
        (
            "search.selection='argmax'",
            ["search.selection: must stay 'rank-average' as it was at the study's start, but got 'argmax'"],
        ),
        ("search.top=2", ["search.top: must stay None as it was at the study's start, but got 2"]),
        ("validation.folds=4", ["validation.folds: must stay 3 as it was at the study's start, but got 4"]),
        (
            "cohort='{other}'",
            [
                "cohort.patches: must stay as at the study's start (images, masks and sites of the biopsies",
                "cohort.labels: must stay as at the study's start (expression and labels of the biopsies",
            ],
        ),
        (
            "cohort='{renamed}'",
            ["cohort.name: must stay 'toy' as it was at the study's start, but got 'new'"],
        ),
    ],
)
def test_another_study_of_the_same_name_is_refused_line_by_line(
    run_cli: Callable[..., int],
    make_cohort: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    override: str,
    lines: list[str],
) -> None:
    assert run_cli("search.trials=1") == 0
    other, renamed = make_cohort(tmp_path / "other", seed=1), make_cohort(tmp_path / "renamed")
    toml = renamed / "cohort.toml"
    toml.write_text(toml.read_text().replace('name = "toy"', 'name = "new"'))
    capsys.readouterr()
    assert run_cli(override.format(other=other, renamed=renamed)) == 1
    said = capsys.readouterr().err.splitlines()
    told = [line for line in said if line.startswith("study 'toy': ")]
    assert len(told) == len(lines)
    for line, expected in zip(told, lines, strict=True):
        assert line.startswith(f"study 'toy': {expected}")
        assert line.endswith("Use another name or --home for a new study")


def test_a_study_that_is_widened_goes_on_and_shows_one_name_a_parameter(
    run_cli: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli() == 0
    enqueue = (
        "search.enqueue=[{ architecture = 'constant' }, { architecture = 'roi_means', patch_radius = 3 }]"
    )
    wider = "space.architecture=['roi_means', 'constant']"
    radius = "space.patch_radius={ low = 2, high = 8 }"
    assert run_cli(wider, radius, enqueue, "search.trials=5") == 0
    assert run_cli(wider, radius, enqueue, "search.trials=5") == 0
    capsys.readouterr()
    assert main(["show", "toy", "--json", "--home", str(tmp_path / "home")]) == 0
    trials = json.loads(capsys.readouterr().out)["trials"]
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 5
    assert [trial["params"]["architecture"] for trial in trials[:3]] == ["constant", "constant", "roi_means"]
    assert trials[2]["params"]["patch_radius"] == 3
    assert not any("#" in name for trial in trials for name in trial["params"])


def test_what_every_worker_follows_is_booked_with_the_study(
    opened: Callable[..., optuna.Study], tmp_path: Path
) -> None:
    study = opened()
    home = Home.at(tmp_path / "home")
    assert study.user_attrs[CODE] == code_identity()
    assert study.user_attrs[TRACKING]["uri"] == home.tracking_uri
    assert study.user_attrs[ASKED] == 2
    stored = study._storage.get_study_system_attrs(study._study_id)[DEFINITION]
    assert stored == home.study("toy").definition.read_text()
    assert opened("search.trials=5").user_attrs[ASKED] == 5


def test_a_study_that_others_run_by_other_code_is_left_as_it_is(
    opened: Callable[..., optuna.Study],
) -> None:
    study = opened()
    study.set_user_attr(CODE, code_identity() | {"keras": "2.15.0"})
    study.ask().set_user_attr("owner", str(Owner("node7", "boot", 1, 1)))
    before = study.user_attrs
    with pytest.raises(InputError, match=r"must be that of its workers on node7, but keras 2\.15\.0 there"):
        opened("search.trials=5", "space.momentum={ low = 0.0, high = 0.99, when = { optimizer = 'sgd' } }")
    assert study.user_attrs == before
