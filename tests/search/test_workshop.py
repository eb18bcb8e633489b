"""What building a study's own networks tells before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.home import Home
from search.material import Material, prepare
from search.records import TrialConfig
from search.refits.fit import Fit, Shuffle
from search.scenes import map_scenes
from search.study_file import Study
from search.workshop import Workshop, first
from tests.search.scanned_again import scan_again

NETWORKS = """
import keras
import keras_tuner
from keras import layers


def network(input_shape, width=4):
    patch = keras.Input(input_shape)
    return keras.Model(patch, layers.Conv2D(width, 3)(patch))


def hyper(hp, input_shape):
    patch = keras.Input(input_shape)
    return keras.Model(patch, layers.Conv2D(hp.Int("width", 2, 8), 1)(patch))
"""


@pytest.fixture
def workshop(make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., Workshop]:
    def make(*changes: str) -> Workshop:
        (tmp_path / "networks.py").write_text(NETWORKS)
        study = make_study(tmp_path, "search.enqueue=[]", *changes)
        home = Home.at(tmp_path / "home")
        return Workshop(study, prepare(study, home, frozen=False), home.cache, None)

    return make


MINE = ("architectures.mine.function=networks.py:network", "space.architecture=['mine']")
HYPER = ("architectures.hyper.hypermodel=networks.py:hyper", "space.architecture=['hyper']")


@pytest.mark.parametrize("changes", [MINE, (*MINE, "space.mine.width=[2, 8]"), HYPER])
def test_networks_that_work_have_no_problems(
    changes: tuple[str, ...], workshop: Callable[..., Workshop]
) -> None:
    assert workshop(*changes).probe() == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((*MINE, "space.mine.widht=[8]"), ("networks.py:network", "widht", "width")),
        ((*MINE, "space.mine.width=[0]"), ("networks.py", "filters")),
        ((*HYPER, "architectures.hyper.fixed.depth=3"), ("no hyperparameter 'depth'", "width")),
        (
            (*MINE, "space.patch_radius={low=1, high=4}", "architectures.mine.function=networks.py:nework"),
            ("nework",),
        ),
    ],
)
def test_what_does_not_work_is_one_line(
    changes: tuple[str, ...], words: tuple[str, ...], workshop: Callable[..., Workshop]
) -> None:
    problems = workshop(*changes).probe()
    assert len(problems) == 1
    assert all(word in problems[0] for word in words)


def test_weights_that_are_not_there_are_said_before_any_trial(workshop: Callable[..., Workshop]) -> None:
    changes = ("space.architecture=['resnet50']", "space.weights=['brain.keras']")
    (problem,) = workshop(*changes).probe()
    assert "brain.keras" in problem


def test_the_first_value_of_a_domain_is_legal() -> None:
    assert first({"choices": ["a", "b"]}) == "a"
    assert first({"low": 2, "high": 3}) == 2


@pytest.fixture
def fitting(
    make_study: Callable[..., Study], tmp_path: Path
) -> Callable[..., tuple[Material, Workshop, TrialConfig]]:
    """A study of one architecture on patches of radius 2, its workshop and a trial of it."""

    def make(architecture: str, *changes: str, again: Iterable[str] = ()) -> Any:
        space = ("space={}", f"space.architecture=['{architecture}']", "space.patch_radius=[2]")
        study, home = make_study(tmp_path, "search.enqueue=[]", *space, *changes), Home.at(tmp_path / "home")
        if again:
            scan_again(tmp_path / "cohort", again)
        material = prepare(study, home, frozen=False)
        settings = study.parameters.settings({"architecture": architecture, "patch_radius": 2})
        return material, Workshop(study, material, home.cache, None), TrialConfig(settings, 3)

    return make


@pytest.mark.parametrize("architecture", ["small_cnn", "roi_means"])
def test_a_fit_is_the_trials_fold_and_scores_copies_beside(
    architecture: str, fitting: Callable[..., tuple[Material, Workshop, TrialConfig]]
) -> None:
    """With a single sequence, a biopsy that takes it from another is that other one."""
    material, shop, config = fitting(architecture, "input.sequences=['T1']")
    fold = shop.fold(config, 1, lambda _: None)
    fit = Fit.of(config, material.folds.splits()[1])
    again = shop.fit(fit, lambda _: None)
    assert (again.rows, again.labels, again.probabilities) == (fold.rows, fold.labels, fold.probabilities)
    assert (again.threshold, again.curves) == (fold.threshold, fold.curves)
    shuffled = shop.fit(replace(fit, shuffles=(Shuffle("T1", fit.test[::-1]),)), lambda _: None)
    assert shuffled.rows == fold.rows * 2
    expected = (*fold.probabilities, *fold.probabilities[::-1])
    assert shuffled.probabilities == pytest.approx(expected, rel=1e-6)
    assert len(set(fold.probabilities)) > 1


@pytest.mark.parametrize("architecture", ["small_cnn", "roi_means"])
def test_a_fit_scores_the_second_scans_of_those_held_out(
    architecture: str, fitting: Callable[..., tuple[Material, Workshop, TrialConfig]]
) -> None:
    """Second scans that are copies of the first are scored the same, and so is a lattice over them."""
    material, shop, config = fitting(architecture, again=[f"sub-{k:03}" for k in range(0, 12, 2)])
    fit = replace(Fit.of(config, material.folds.splits()[1]), scenes=("second", *map_scenes(8.0)))
    result = shop.fit(fit, lambda _: None)
    scanned = [int(material.patches.participant_id[row][-3:]) % 2 == 0 for row in fit.test]
    again = [p for p, twice in zip(result.probabilities, scanned, strict=True) if twice]
    assert 0 < len(again) < len(fit.test)
    assert result.scenes["second"] == {"probabilities": pytest.approx(again, rel=1e-6)}
    one, other = (result.scenes[name]["probabilities"] for name in map_scenes(8.0))
    assert one == pytest.approx(other, rel=1e-6)
    assert len(one) > len(again)
    plain = shop.fit(replace(fit, scenes=()), lambda _: None)
    assert (plain.probabilities, plain.scenes) == (result.probabilities, {})
