"""`model.json`: the same facts when it is read, and one line for each thing that is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data_prep.patch_set import PatchRequest
from data_prep.problems import InputError
from search.deployment.ensemble import Ensemble, fit_ensemble
from search.deployment.facts import (
    LabelFacts,
    MemberEntry,
    ModelFacts,
    OutOfFold,
    SeenParticipant,
    TrainingFacts,
)
from tests.search.deployment.facts_by_hand import make_reference


def ensemble(configurations: int, labels: int, seed: int = 0) -> Ensemble:
    rng = np.random.default_rng(seed)
    label = np.tile([[0], [1]], (10, labels))
    return fit_ensemble(rng.normal(size=(20, configurations, labels)) + label[:, None, :], label)


def model_facts(**changes: Any) -> ModelFacts:
    """Facts of a model of two configurations, two labels and two folds."""
    entries = [(f"members/{c}-{s}", c, s, None) for c in range(2) for s in range(2)]
    entries += [(f"folds/{f}/members/{c}", c, 0, f) for f in range(2) for c in range(2)]
    fields: dict[str, Any] = {
        "name": "glioma",
        "version": 3,
        "created": "2030-01-01T00:00:00+00:00",
        "study": "toy",
        "study_id": "abc",
        "rule": "rank-average",
        "metric": "roc_auc",
        "trials": (4, 7),
        "configurations": (
            {"architecture": "roi_means", "patch_radius": 3, "flip": True, "learning_rate": 0.1},
            {"architecture": "small_cnn", "patch_radius": 5},
        ),
        "epochs": (None, 12),
        "task": "classification",
        "labels": tuple(
            LabelFacts(name, f"{name} above 1.03", 1.03, "TPM", 0.4, OutOfFold(20, 10, 0.7, 0.21))
            for name in ("CD3D", "CD3E")
        ),
        "request": PatchRequest(("T1", "T2"), 5, 3, 1.0, normalisation=("zscore", "nyul")),
        "needed": ("T1",),
        "missing": "mask",
        "voxel_mm": (0.9, 1.0),
        "members": tuple(MemberEntry(*entry, fit="f" * 32) for entry in entries),
        "ensemble": ensemble(2, 2),
        "fold_ensembles": (ensemble(2, 2, 1), ensemble(2, 2, 2)),
        "fold_references": (make_reference(2),) * 2,
        "participants": (SeenParticipant(("a" * 64, "b" * 64), 0), SeenParticipant(("c" * 64,), 1)),
        "training": TrainingFacts("toy", 2, 20, 10, "p", "l", "f", "c"),
        "honest": {"estimate": 0.61, "ci95": [0.5, None], "permutation": {"reductions": []}},
        "software": {"numpy": "2.4.6"},
        "device": "CPU x1",
        "files": {"reference.npz": "0" * 64},
    }
    return ModelFacts(**(fields | changes))


def test_facts_are_read_as_they_were_written() -> None:
    facts = model_facts()
    again = ModelFacts.from_json(facts.to_json())
    assert again == facts
    assert [type(value) for value in again.configurations[0].values()] == [str, int, bool, float]
    assert again.request.methods == ("zscore", "nyul")
    new = np.random.default_rng(3).normal(size=(5, 2, 2))
    np.testing.assert_array_equal(again.ensemble.probability(new), facts.ensemble.probability(new))
    assert again.label_names == ("CD3D", "CD3E")
    assert (again.folds, again.is_regression) == (2, False)
    assert [one.folder for one in again.members_of(1)] == ["folds/1/members/0", "folds/1/members/1"]


def test_a_person_reads_first_what_it_is_and_what_it_is_not_for() -> None:
    first = list(json.loads(model_facts().to_json()).items())[:2]
    assert first[0] == ("format", 1)
    assert first[1][0] == "intended_use"
    assert first[1][1].startswith("research use only")


def test_when_and_as_what_it_was_written_is_no_part_of_what_it_is() -> None:
    facts = model_facts()
    later = replace(facts, created="2031", version=None, files={"other": "1" * 64})
    assert later.content == facts.content
    assert replace(facts, device="GPU").content != facts.content


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (lambda d: d.update(format=2), ["format: this version of radsearch knows 1, but got 2."]),
        (lambda d: d.update(format="1"), ["format: this version of radsearch knows 1, but got '1'."]),
        (lambda d: d.update(format=True), ["format: this version of radsearch knows 1, but got True."]),
        (lambda d: d.pop("format"), ["what `radsearch refit` writes is needed, but there is no 'format'"]),
        (
            lambda d: (d.pop("labels"), d.pop("trials")),
            ["trials: the key is required", "labels: the key is required"],
        ),
        (lambda d: d.update(label=1), ["label: unknown key; did you mean 'labels'?"]),
        (lambda d: d["labels"][1].update(cut="1"), ["labels.1.cut: should be a valid number, but got '1'"]),
        (lambda d: d["labels"][0].update(colour=1), ["labels.0.colour: unknown key"]),
        (lambda d: d.update(version=1.5), ["version: should be a valid integer"]),
        (lambda d: d["request"].update(radius=-1), ["request: patch radius: 0 to 256 voxels are possible"]),
        (lambda d: d.update(task="both"), ["task: should be 'classification' or 'regression'"]),
        (lambda d: d.update(needed=["FA"]), ["needed: a subset of the sequences is needed"]),
        (lambda d: d["members"].pop(), ["members of fold_ensembles.1: a member of each configuration"]),
        (lambda d: d["members"][0].update(configuration=9), ["members of ensemble: a member of each config"]),
        (lambda d: d["members"][0].update(folder="../other"), ["members: a place in the folder for each"]),
        (lambda d: d.update(files={"/etc/passwd": "0" * 64}), ["files: a place in the folder for each"]),
        (lambda d: d["ensemble"]["heads"][0]["scores"][1].clear(), ["ensemble: a part for each label"]),
        (lambda d: d["fold_ensembles"][0]["heads"].pop(), ["fold_ensembles.0: a part for each label"]),
        (lambda d: d["ensemble"]["heads"][0]["own"].pop(), ["ensemble: a part for each label and configur"]),
        (lambda d: d["fold_references"].pop(), ["fold_references: a reference for each fold is needed"]),
        (lambda d: d["fold_references"][1].pop("cut"), ["fold_references.1.cut: the key is required"]),
        (lambda d: d.update(epochs=[1], trials=[1]), ["trials: a trial for each", "epochs: a number for"]),
    ],
)
def test_each_thing_that_is_wrong_is_a_line(change: Change, lines: list[str]) -> None:
    told = model_facts().as_json()
    change(told)
    with pytest.raises(InputError) as caught:
        ModelFacts.from_json(json.dumps(told))
    assert len(caught.value.problems) == len(lines)
    for problem, line in zip(caught.value.problems, lines, strict=True):
        assert problem.startswith(f"model.json: {line}")


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", '{"format": NaN}', "[" * 100_000, '{"format": [[1]]}', "\x00"]
)
def test_what_is_no_model_json_is_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^model\.json: ") as caught:
        ModelFacts.from_json(text)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    text = model_facts().to_json()
    first = repr(model_facts().ensemble.heads[0].scores[0][0])
    with pytest.raises(
        InputError, match=f"JSON is needed, but got: numbers must be finite, but got {number}"
    ):
        ModelFacts.from_json(text.replace(first, number, 1))
