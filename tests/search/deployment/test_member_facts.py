"""What a fitted model is: plain data that survives exactly, and nothing that cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.problems import InputError
from search.deployment.member_facts import MemberFacts, facts_of
from search.fold import Scored, Task
from search.records import TrialConfig
from search.refits.fit import Fit
from tests.search.deployment.conftest import Refitted

FACTS = MemberFacts(
    architecture="small_cnn",
    settings={"architecture": "small_cnn", "learning_rate": 0.1 + 0.2, "flip": True, "patch_radius": 4},
    seed=7,
    kind="network",
    features="patches",
    radius=4,
    labels=("CD3D", "CD3E"),
    task="regression",
    parameters=1234,
    epochs=5,
    mean=(1.5, 2.5),
    sd=(0.5, 2.0),
    cuts=(0.25, -1.0),
    calibration=((2.0, 0.5), (1.0, -0.5)),
    context="0123",
)
numbers = st.floats(-50, 50)


@given(st.lists(numbers, min_size=8, max_size=8), st.floats(1e-3, 1e3))
def test_numbers_survive_exactly(values: list[float], sd: float) -> None:
    facts = replace(
        FACTS,
        mean=tuple(values[:2]),
        sd=(sd, 1.0),
        cuts=tuple(values[2:4]),
        calibration=(tuple(values[4:6]), tuple(values[6:])),  # type: ignore[arg-type]
    )
    assert MemberFacts.from_json(facts.to_json()) == facts


def test_a_regressions_values_and_probabilities_by_hand() -> None:
    outputs = np.array([[1.0, 0.0], [-0.25, 3.0]])
    assert FACTS.value(outputs) == pytest.approx(outputs * [0.5, 2.0] + [1.5, 2.5])
    logit = np.array([[2.0 * 0.75 + 0.5, 1.0 - 0.5], [2.0 * -0.5 + 0.5, 4.0 - 0.5]])
    assert FACTS.probability(outputs) == pytest.approx(1 / (1 + np.exp(-logit)))


def test_a_classification_says_probabilities_and_no_values() -> None:
    facts = replace(FACTS, task="classification", calibration=())
    outputs = np.array([[0.25, 0.5]])
    assert np.array_equal(facts.probability(outputs), outputs)
    assert facts.value(outputs) is None


def test_of_a_file_that_training_began_with_the_name_alone_is_kept(refitted: Refitted) -> None:
    split, settings = refitted.plan.splits[0], {"architecture": "small_cnn", "patch_radius": 2}
    here = TrialConfig({**settings, "weights": "/home/somebody/brain.keras"}, 3)
    task = Task.of_fit(refitted.material, refitted.study, Fit.of(here, split))
    scored = Scored(np.empty((0, 1)), None, 9, 9, "CPU x1", best_epoch=4)
    facts = facts_of(task, scored, (), "0123")
    assert facts.settings == {**settings, "weights": "brain.keras"}
    assert (facts.kind, facts.features, facts.radius, facts.epochs) == ("network", "patches", 2, 4)
    assert (facts.seed, facts.labels, facts.context) == (task.seed, ("CD3D",), "0123")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "another format"),
        ({"kind": "program"}, "a known kind"),
        ({"features": "secret"}, "known features"),
        ({"task": "dreaming"}, "a known task"),
        ({"radius": -1}, "a radius"),
        ({"labels": ["CD3D"]}, "numbers for each label"),
        ({"calibration": []}, "a calibration of a regression"),
        ({"more": 1}, "more"),
        ({"mean": ["a", 1.0]}, "mean.0"),
        ({"mean": [float("nan"), 1.0]}, "JSON compliant"),
        ({"sd": [0.0, 1.0]}, "deviations above 0"),
        ({"labels": [1, 2]}, "labels.0"),
        ({"settings": 3}, "settings"),
        ({"radius": True}, "radius"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(change: dict[str, Any], words: str) -> None:
    told = json.loads(FACTS.to_json()) | change
    with pytest.raises(InputError, match=words) as caught:
        MemberFacts.from_json(json.dumps(told))
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "{}", '{"format": 1}', "[" * 100_000])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="a member's facts in format 1 are needed"):
        MemberFacts.from_json(text)
