"""From a model with members of every fold to what it looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from data_prep.features import FeatureTable
from data_prep.folds import Split
from data_prep.label_rules import LabelDefinition
from data_prep.labels import Labels
from data_prep.patch_set import PatchRequest, PatchSet
from data_prep.problems import InputError
from search.deployment.model import Model
from search.deployment.plan import RefitPlan
from search.deployment.records import Prediction, Shown
from search.explaining.effort import WAYS
from search.explaining.explain import explain, held_out_parts
from search.explaining.held_out import Speaker
from tests.search.explaining.conftest import READ, SEQUENCES

RADIUS = 4


@dataclass
class Members:
    """The members of a fold: the centre model, which notes whom it is asked about."""

    speaker: Speaker
    asked: set[str]
    reads_location: bool = False

    def say(self, shown: Shown) -> Prediction:
        self.asked |= set(shown.patches.biopsy_id)
        probability = self.speaker(shown)
        rest: Any = np.zeros(len(shown))
        return Prediction(probability, probability, probability > 0.5, rest, rest > 1)


class Fake:
    """A model of two folds over twelve biopsies whose patches have a margin that it does not read."""

    def __init__(self, patches: PatchSet, centre: Speaker, needed: tuple[str, ...] = ()) -> None:
        fold = np.arange(len(patches)) // 6
        tpm = np.random.default_rng(1).uniform(0, 2, (len(patches), 1))
        definition = LabelDefinition(("CD3D",), "above:1.0")
        labels = Labels(patches.biopsy_id, tpm, tpm[:, 0], (tpm[:, 0] > 1).astype(int), 1.0, definition)
        rows = np.arange(len(patches))
        self.splits = tuple(Split(f, 0, f, rows[fold != f], rows[fold == f]) for f in range(2))
        self.members = [Members(centre, set()), Members(centre, set())]
        self.plan = cast(
            RefitPlan,
            SimpleNamespace(
                splits=self.splits,
                material=SimpleNamespace(
                    patches=patches,
                    labels=labels,
                    participant=rows // 2,
                    source=None,
                    learnable=lambda some: some,
                ),
            ),
        )
        self.model = cast(
            Model,
            SimpleNamespace(
                folds=2,
                labels=("CD3D",),
                request=PatchRequest(SEQUENCES, RADIUS),
                facts=SimpleNamespace(name="cd3d", needed=needed),
                predictor=lambda fold: self.members[fold],
            ),
        )


@pytest.fixture
def fake(make_patches: Callable[..., PatchSet], centre: Speaker) -> Fake:
    return Fake(make_patches(radius=RADIUS + 2), centre)


def nothing(done: int, total: int) -> None:
    """No progress is shown."""


def test_only_the_members_that_never_learned_from_a_biopsy_are_asked_about_it(
    fake: Fake, tmp_path: Path
) -> None:
    found = explain(fake.model, fake.plan, tmp_path, nothing)
    names = fake.plan.material.patches.biopsy_id
    for split, members in zip(fake.splits, fake.members, strict=True):
        assert members.asked == {names[row] for row in split.test}
    assert sorted(found.occlusion.row) == list(range(12))
    np.testing.assert_array_equal(found.occlusion.fold, found.occlusion.row // 6)
    np.testing.assert_array_equal(found.occlusion.participant, found.occlusion.row // 2)


def test_what_is_read_is_found_and_the_margin_of_the_patches_is_left_out(fake: Fake, tmp_path: Path) -> None:
    found = explain(fake.model, fake.plan, tmp_path, nothing)
    assert found.occlusion.edges[-1] == 2 * RADIUS + 1
    assert found.chosen.effort == WAYS[0]
    sizes = found.whole(0).absolute
    assert np.argmax(sizes) == READ
    assert np.count_nonzero(sizes) == 1
    drops = [loss.drop for loss in found.permutation[0].losses]
    assert [drop for place, drop in enumerate(drops) if place != READ] == [0.0] * 3


def test_progress_ends_with_all_that_was_announced(fake: Fake, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = explain(fake.model, fake.plan, tmp_path, lambda *step: seen.append(step), limit=0.0)
    total = 12 * WAYS[-1].copies(4, 2 * RADIUS + 1)
    assert found.chosen.effort == WAYS[-1]
    assert (seen[0], seen[-1]) == ((0, total), (total, total))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_biopsies_of_which_the_model_says_nothing_are_left_out(
    make_patches: Callable[..., PatchSet], centre: Speaker, tmp_path: Path
) -> None:
    fake = Fake(make_patches(radius=RADIUS), centre, needed=("T1",))
    parts = list(held_out_parts(fake.model, fake.plan, tmp_path))
    assert [part.rows.tolist() for part in parts] == [[0, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert all(len(part.labels) == len(part) == len(part.neutral) for part in parts)


def test_members_that_read_locations_are_told_those_of_their_own_biopsies(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = FeatureTable(np.arange(12.0)[:, None], ("x",))
    monkeypatch.setattr("search.explaining.explain.load_features", lambda *_: told)
    fake.members[1].reads_location = True
    first, second = held_out_parts(fake.model, fake.plan, tmp_path)
    assert first.location is None
    assert second.location is not None
    assert second.location.values[:, 0].tolist() == second.rows.tolist()


def test_labels_are_those_of_the_folds_own_cuts(fake: Fake, tmp_path: Path) -> None:
    material = fake.plan.material
    for part, split in zip(held_out_parts(fake.model, fake.plan, tmp_path), fake.splits, strict=True):
        own, _ = material.labels.relabel(split.train)
        np.testing.assert_array_equal(part.labels[:, 0], own[split.test])


def test_a_model_without_the_folds_cannot_be_explained(fake: Fake, tmp_path: Path) -> None:
    fake.model.folds = 0  # type: ignore[misc]
    with pytest.raises(InputError, match="need the models of the folds"):
        explain(fake.model, fake.plan, tmp_path, nothing)
