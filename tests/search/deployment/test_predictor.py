"""What members say together: as the definitions have it, the same in any batches, and nothing of nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.features import FeatureTable
from data_prep.fold_input import FoldInput
from search.deployment import predictor as module
from search.deployment.ensemble import log_odds
from search.deployment.member import Member
from search.deployment.model import Model
from search.deployment.predictor import SharedInput
from search.deployment.records import Prediction, Shown
from search.deployment.unlike import read_reference
from tests.search.deployment.hand_made import CONFIGURATIONS, made, sample, training, where

PARTS = ("probability", "spread", "positive", "distance", "unlike")
LOCATED = (*CONFIGURATIONS[1:], ("location", "logistic", 1))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Of classification, two labels, two seeds a configuration, of which one reads where a place is."""
    return made(tmp_path_factory.mktemp("model"), labels=2, configurations=(CONFIGURATIONS[0], *LOCATED))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Of regression, two labels."""
    return made(tmp_path_factory.mktemp("numbers"), "regression", 2)


def shown(n: int, seed: int = 1) -> Shown:
    return Shown(sample(n, seed), where(n, seed))


def by_hand(model: Model, asked: Shown) -> Prediction:
    """Each member opened by itself, their answers put together by the definitions."""
    members = [Member.open(model.folder / entry.folder).say(asked) for entry in model.facts.members]
    scores = [log_odds(one.probability) if one.value is None else one.value for one in members]
    of = [entry.configuration for entry in model.facts.members]
    configurations = sorted(set(of))
    means = [
        np.mean([s for s, c in zip(scores, of, strict=True) if c == one], axis=0) for one in configurations
    ]
    ensemble = model.facts.ensemble
    alone = [
        np.stack([head.own[c](score[:, k]) for k, head in enumerate(ensemble.heads)], axis=1)
        for score, c in zip(scores, of, strict=True)
    ]
    reference = read_reference(model.folder)
    distance = reference.distance(asked.patches)
    probability = ensemble.probability(np.stack(means, axis=1))
    values = [one.value for one in members if one.value is not None]
    value = None
    if values:
        each = [
            np.mean([v for v, c in zip(values, of, strict=True) if c == one], axis=0)
            for one in configurations
        ]
        value = np.mean(each, axis=0)
    return Prediction(
        probability,
        np.std(alone, axis=0),
        probability > [head.threshold for head in ensemble.heads],
        distance,
        distance > reference.cut,
        value,
    )


@pytest.mark.parametrize("which", ["model", "numbers"])
def test_members_answer_together_as_the_definitions_have_it(
    which: str, request: pytest.FixtureRequest
) -> None:
    made_by_hand: Model = request.getfixturevalue(which)
    asked = shown(50)
    said, expected = made_by_hand.predictor().say(asked), by_hand(made_by_hand, asked)
    for part in PARTS:
        np.testing.assert_allclose(getattr(said, part), getattr(expected, part), rtol=1e-12, atol=1e-14)
    if expected.value is None:
        assert said.value is None
    else:
        np.testing.assert_allclose(said.value, expected.value, rtol=1e-12)
    assert said.probability.shape == (50, 2)
    assert (said.spread > 0).all()


def test_shallow_members_say_the_same_to_the_last_bit_whatever_else_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ("forest", "logistic", "svm", "gp")
    model = made(tmp_path, configurations=tuple(("roi_means", kind, 2) for kind in kinds))
    asked, predictor = sample(203), model.predictor()
    whole = predictor.say(Shown(asked))
    order = np.random.default_rng(0).permutation(203)
    monkeypatch.setattr(module, "BATCH_BYTES", 0)
    small = predictor.say(Shown(asked.take(order)))
    pieces = np.split(order[:40], [1, 3, 10])
    parts = [predictor.say(Shown(asked.take(piece))) for piece in pieces]
    for name in PARTS:
        expected = getattr(whole, name)
        np.testing.assert_array_equal(getattr(small, name), expected[order], err_msg=name)
        for piece, part in zip(pieces, parts, strict=True):
            np.testing.assert_array_equal(getattr(part, name), expected[piece], err_msg=name)


def test_a_place_without_a_needed_sequence_is_answered_by_nothing(model: Model) -> None:
    present = np.ones((6, 3), dtype=bool)
    present[1, 2] = present[2, 0] = present[4] = False  # the third was absent in training too
    said = model.predictor().say(Shown(sample(6, present=present), where(6)))
    assert model.facts.needed == ("T1", "T2")
    answered = np.array([True, True, False, True, False, True])
    for part in (said.probability, said.spread):
        assert (np.isnan(part) == ~answered[:, None]).all()
    assert (np.isnan(said.distance) == ~answered).all()
    assert said.unlike[~answered].all()
    assert not said.positive[~answered].any()
    alone = model.predictor().say(
        Shown(
            sample(6, present=present).take([0, 1, 3, 5]),
            FeatureTable(where(6).values[answered], where(6).names),
        )
    )
    np.testing.assert_array_equal(said.probability[answered], alone.probability)


def test_of_no_place_nothing_is_said(model: Model) -> None:
    said = model.predictor().say(Shown(sample(3).take([]), FeatureTable(np.empty((0, 3)), where(1).names)))
    assert said.probability.shape == said.spread.shape == (0, 2)
    assert said.distance.shape == said.unlike.shape == (0,)


def test_a_larger_patch_is_cut_to_what_is_read(model: Model) -> None:
    patches = sample(20)
    inner = patches.raw
    arrays = patches.arrays() | {
        "raw": np.pad(inner, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=9.0),
        "padding": np.pad(patches.padding, ((0, 0), (2, 2), (2, 2), (0, 0))),
    }
    larger = replace(patches, **arrays, request=replace(patches.request, radius=patches.radius + 2))
    one, other = (model.predictor().say(Shown(asked, where(20))) for asked in (patches, larger))
    for part in PARTS:
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_patches_of_another_request_and_missing_locations_are_refused(model: Model) -> None:
    patches = sample(4)
    assert model.predictor().reads_location
    with pytest.raises(ValueError, match="a location for each place is needed"):
        model.predictor().say(Shown(patches))
    other = replace(patches, **patches.arrays(), request=replace(patches.request, spacing_mm=1.0))
    with pytest.raises(ValueError, match="patches by PatchRequest"):
        model.predictor().say(Shown(other, where(4)))
    smaller = replace(patches, **patches.arrays(), request=replace(patches.request, radius=1))
    with pytest.raises(ValueError, match="patches by PatchRequest"):
        model.predictor().say(Shown(smaller, where(4)))


def test_members_of_one_input_share_what_they_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made(tmp_path)
    made_of: list[int] = []
    plain = FoldInput.normalised

    def counted(self: FoldInput, patches: object) -> object:
        made_of.append(self.radius)
        return plain(self, patches)  # type: ignore[arg-type]

    monkeypatch.setattr(FoldInput, "normalised", counted)
    predictor = model.predictor()
    predictor.members_say(Shown(sample(10)))
    # Two configurations of radius 2 and one of radius 1, each with two seeds.
    assert sorted(made_of) == [1, 2]
    predictor.members_say(Shown(sample(10)))
    assert sorted(made_of) == [1, 1, 2, 2]


def test_a_shared_input_is_the_input() -> None:
    patches = training()
    view = module_view()
    shared = SharedInput.of(view)
    images = shared.images(patches)
    np.testing.assert_array_equal(images, view.images(patches))
    assert shared.images(patches) is images
    assert shared.normalised(patches) is shared.normalised(patches)
    other = sample(5)
    np.testing.assert_array_equal(shared.images(other), view.images(other))
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    shared.forget()
    assert shared.images(patches) is not images


def module_view() -> FoldInput:
    from data_prep.fold_input import fit_input

    return fit_input(training(), np.arange(40), 2, "mean")
