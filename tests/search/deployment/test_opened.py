"""No more members are in memory than fit, what they say stays the same, and what is closed is gone."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from search.deployment import member as member_module
from search.deployment import opened
from search.deployment import predictor as predictor_module
from search.deployment.member import Member
from search.deployment.model import Model
from search.deployment.opened import Opened
from search.deployment.predictor import SharedInput
from search.deployment.records import Said, Shown
from tests.search.deployment.hand_made import CONFIGURATIONS, SEEDS, made, sample

COUNT = len(CONFIGURATIONS) * SEEDS


class Held(list[Any]):
    """A member's models, in a circle as networks are."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, models: list[Any], size: int) -> None:
        super().__init__(models)
        self.size, self.circle = size, self


class Watch:
    """Counts members whose models are in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alive: weakref.WeakSet[Held] = weakref.WeakSet()
        self.reads, self.most, self.most_bytes = 0, 0, 0
        plain = member_module.read_baselines

        def read(path: Path) -> Held:
            held = Held(plain(path), bytes_of(path.parent))
            self.alive.add(held)
            self.reads, self.most = self.reads + 1, max(self.most, len(self.alive))
            self.most_bytes = max(self.most_bytes, sum(one.size for one in self.alive))
            return held

        monkeypatch.setattr(member_module, "read_baselines", read)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Three configurations, two seeds each."""
    return made(tmp_path_factory.mktemp("model"))


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_where_all_fit_they_are_opened_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, predictor = Watch(monkeypatch), model.predictor()
    for seed in range(3):
        predictor.say(Shown(sample(5, seed)))
    assert (watch.reads, watch.most) == (COUNT, COUNT)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_under_a_limit_no_more_are_open_and_they_say_the_same(
    share: float, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Shown(sample(200))
    expected = model.predictor().say(asked)
    limit = int(share * sum(bytes_of(model.folder / entry.folder) for entry in model.facts.members))
    monkeypatch.setattr(opened, "MOST_BYTES", limit)
    monkeypatch.setattr(predictor_module, "BATCH_BYTES", 0)  # four batches
    watch, predictor = Watch(monkeypatch), model.predictor()
    for _ in range(2):
        said = predictor.say(asked)
        for name in ("probability", "spread", "positive", "distance", "unlike"):
            np.testing.assert_array_equal(getattr(said, name), getattr(expected, name))
    if share:
        assert 1 < watch.most < COUNT
        assert watch.most_bytes <= limit
    else:  # each alone is larger: read once a call whatever its batches, the last one stays for the next
        assert watch.most == 1
        assert watch.reads == 2 * COUNT - 1


def test_members_of_one_input_stand_together_as_far_as_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [Member.open(made(tmp_path).folder / f"members/{c}-{s}") for s in range(2) for c in range(3)]
    views = [SharedInput.of(member.view) for member in members[:3]]
    shared = [Member(tmp_path, one.facts, views[i % 3]) for i, one in enumerate(members)]
    monkeypatch.setattr(opened, "MOST_BYTES", 20)
    groups = Opened(shared, [10, 10, 10, 10, 10, 25])
    assert [sorted(turn) for turn in groups.turns()] == [[0, 3], [1, 4], [2], [5]]
    assert [sorted(turn) for turn in groups.turns()] == [[5], [0, 3], [1, 4], [2]]


def test_asking_nothing_opens_nothing(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch)
    model.predictor().say(Shown(sample(3).take([])))
    assert watch.reads == 0


def test_networks_are_asked_with_all_threads(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shallow members are asked with one; that limit must not hold for others."""
    seen: dict[str, set[int]] = {"baseline": set(), "network": set()}

    def say(self: Member, shown: Shown) -> Said:
        seen[self.facts.kind].update(one["num_threads"] for one in threadpoolctl.threadpool_info())
        return Said(np.full((len(shown.patches), 1), 0.5))

    monkeypatch.setattr(Member, "say", say)
    predictor = model.predictor()
    for entry, member in zip(predictor.entries[::2], predictor._members[::2], strict=True):
        object.__setattr__(member.facts, "kind", "network" if entry.seed == 0 else "baseline")
    before = {one["num_threads"] for one in threadpoolctl.threadpool_info()}
    predictor.say(Shown(sample(3)))
    assert seen == {"baseline": {1}, "network": before}
