"""Which model of the home is a study's, and what is taken of it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.deployment.facts import FILE
from search.deployment.model import hashes_of
from search.explaining.explanations import FOLDER, write_record
from search.facts import StudyFacts
from search.home import Home
from search.report.evidence import Evidence
from search.report.newest_model import newest_model
from tests.search.deployment.facts_by_hand import make_explanations, make_facts


class Shelf:
    """A home in which models of a study are put."""

    def __init__(self, root: Path, evidence: Evidence) -> None:
        self.home, self.study = Home.at(root), evidence.study
        own = StudyFacts.of(evidence.study)
        training = make_facts().training
        self.own: dict[str, Any] = {
            "study_id": evidence.study.user_attrs["id"],
            "training": replace(training, patches=own.patches, folds=own.fold_table),
        }

    def put(self, name: str, version: int, explained: bool = True, **changes: Any) -> Path:
        folder = self.home.models / name / str(version)
        folder.mkdir(parents=True)
        if explained:
            write_record(make_explanations(), folder / FOLDER)
        facts = make_facts(name=name, version=version, **(self.own | changes))
        (folder / FILE).write_text(replace(facts, files=hashes_of(folder)).to_json())
        return folder


@pytest.fixture
def shelf(tmp_path: Path, evidence: Evidence) -> Shelf:
    return Shelf(tmp_path / "home", evidence)


def test_without_models_there_is_none(shelf: Shelf) -> None:
    assert newest_model(shelf.study, shelf.home) is None


def test_the_one_made_last_counts_whatever_its_name(shelf: Shelf) -> None:
    shelf.put("b", 1, created="2026-01-01T00:00:00+00:00")
    shelf.put("a", 2, created="2026-03-01T00:00:00+00:00")
    shelf.put("a", 10, created="2026-02-01T00:00:00+00:00", explained=False)
    found = newest_model(shelf.study, shelf.home)
    assert found is not None
    assert found.title == "a, version 2"
    assert found.is_whole
    assert found.explanations is not None
    assert found.explanations.as_json() == make_explanations().as_json()


@pytest.mark.parametrize("other", ["study", "patches", "folds"])
def test_models_of_another_study_or_dataset_are_not_its_own(shelf: Shelf, other: str) -> None:
    changes: dict[str, Any] = {"study_id": "another"}
    if other != "study":
        changes = {"training": replace(shelf.own["training"], **{other: "ee"})}
    shelf.put("a", 1, **changes)
    assert newest_model(shelf.study, shelf.home) is None


def test_one_that_was_not_explained_is_told_apart_from_one_that_was_changed(shelf: Shelf) -> None:
    folder = shelf.put("a", 1, explained=False)
    found = newest_model(shelf.study, shelf.home)
    assert found is not None
    assert (found.explanations, found.is_whole) == (None, True)
    (folder / "more.txt").write_text("x")
    found = newest_model(shelf.study, shelf.home)
    assert found is not None
    assert (found.explanations, found.is_whole) == (None, False)


def test_what_is_no_model_is_passed_over(shelf: Shelf) -> None:
    folder = shelf.put("a", 1)
    (shelf.home.models / "b" / "1").mkdir(parents=True)
    (shelf.home.models / "c" / "1").mkdir(parents=True)
    (shelf.home.models / "c" / "1" / FILE).write_bytes(b"\xff{}")
    found = newest_model(shelf.study, shelf.home)
    assert found is not None
    assert found.title == "a, version 1"
    shutil.rmtree(folder / FOLDER)
    found = newest_model(shelf.study, shelf.home)
    assert found is not None
    assert not found.is_whole
