"""What is said of a model that was made, as a record and as tables."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from search.deployment.made import made_record, made_tables
from search.deployment.model import Model
from search.deployment.registering import Registered
from search.deployment.verification import Verification

VERIFIED = Verification(3, 36, 0.0, 1e-5)


def printed(record: dict[str, object]) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    for table in made_tables(record):
        console.print(table)
    return console.export_text()


def test_the_record_is_plain_data_and_says_what_the_folder_says(model_folder: Path) -> None:
    model = Model.open(model_folder)
    record = made_record(model, VERIFIED, Registered("shallow", 4, "run"))
    assert json.loads(json.dumps(record, allow_nan=False)) == json.loads(json.dumps(record))
    assert record["model"]["name"] == model.facts.name == "shallow"
    assert record["labels"][0]["threshold"] == model.facts.labels[0].threshold
    assert record["honest"] == dict(model.facts.honest)
    assert record["registered"] == {
        "name": "shallow",
        "version": 4,
        "run_id": "run",
        "uri": "models:/shallow@champion",
    }
    assert made_record(model, VERIFIED, None)["registered"] is None


def test_the_tables_tell_labels_thresholds_and_the_honest_estimate(model_folder: Path) -> None:
    model = Model.open(model_folder)
    text = printed(made_record(model, VERIFIED, Registered("shallow", 4, "run")))
    label = model.facts.labels[0]
    assert f"{label.threshold:.3f}" in text
    assert "CD3D" in text
    assert "models:/shallow@champion, version 4" in text
    assert f"roc auc {model.facts.honest['estimate']:.3f} (95 % interval" in text
    assert "3 of all biopsies, 9 of the 3 folds" in text


@pytest.mark.parametrize("reason", ["repeats differ", None])
def test_a_study_without_an_estimate_says_why(model_folder: Path, reason: str | None) -> None:
    model = Model.open(model_folder)
    none = {**model.facts.honest, "estimate": None, "reason": reason}
    text = printed(made_record(Model(model_folder, replace(model.facts, honest=none)), VERIFIED, None))
    assert f"none: {reason or 'it has no value'}" in text
