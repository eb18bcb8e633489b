"""The model folder: whole or not at all, once for the same model, and nobody's id in it."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from data_prep.problems import InputError
from search.deployment.folder import build
from search.deployment.member import member_folder
from search.deployment.model import Model, hashes_of
from search.deployment.records import Shown
from search.home import Home
from search.refits.ledger import FitLedger
from tests.search.deployment.conftest import Refitted


@pytest.fixture
def home(refitted: Refitted, model_folder: Path, tmp_path: Path) -> Home:
    """A copy of the home with the first version of the model."""
    return Home.at(shutil.copytree(refitted.home.root, tmp_path / "home"))


@pytest.fixture
def make(refitted: Refitted, home: Home) -> Callable[..., Path]:
    """Build in the copy."""

    def run(plan: object = refitted.plan, **options: object) -> Path:
        with refitted.ledger() as ledger:
            return build(plan, ledger, refitted.recorded, home, "shallow", **options)  # type: ignore[arg-type]

    return run


def contents(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, and what is packed in it."""
    for path in filter(Path.is_file, folder.rglob("*")):
        yield path, path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                yield from ((path / name, packed.read(name)) for name in packed.namelist())


def test_it_says_of_the_training_biopsies_what_the_fits_did(refitted: Refitted, model_folder: Path) -> None:
    model = Model.open(model_folder)
    said = model.predictor().members_say(Shown(refitted.material.patches))
    for entry, fits, one in zip(model.facts.members_of(None), refitted.plan.final, said, strict=True):
        assert entry.fit == fits[0].key
        booked = refitted.booked(fits[0]).probabilities
        np.testing.assert_allclose(one.probability[:, 0], booked, rtol=1e-13)


def test_nobodys_id_and_no_place_of_this_machine_is_in_it(refitted: Refitted, model_folder: Path) -> None:
    patches = refitted.material.patches
    ids = {*patches.biopsy_id, *patches.participant_id}
    places = {str(refitted.home.root), str(refitted.cohort), str(Path.cwd()), tempfile.gettempdir() + "/"}
    found = dict(contents(model_folder))
    assert len(found) > 30
    for path, content in found.items():
        text = content.decode("latin-1")
        # Any three letters are found in some binary file.
        words = ids if path.suffix == ".json" else {word for word in ids if len(word) > 4}
        for word in words | places:
            assert not re.search(rf"(?<![0-9a-z]){re.escape(word)}(?![0-9a-z])", text), (path, word)


def test_the_same_model_is_not_written_twice(make: Callable[..., Path], home: Home) -> None:
    first = home.models / "shallow" / "1"
    before = (first / "model.json").read_bytes()
    assert make() == first
    assert [path.name for path in first.parent.iterdir()] == ["1"]
    assert (first / "model.json").read_bytes() == before


def test_what_is_added_is_sealed_with_it_and_asked_for_once(make: Callable[..., Path], home: Home) -> None:
    calls = []

    def furnish(root: Path, model: Model) -> None:
        calls.append(model.predictor(0).labels)
        assert model.folder == root
        (root / "README.md").write_text("a card")
        (root / "explanations").mkdir()
        (root / "explanations" / "explanations.json").write_text("{}")

    names = ("README.md", "explanations")
    second = make(furnish=furnish, furnishes=names)
    assert second == home.models / "shallow" / "2"
    facts = Model.open(second).facts
    assert {"README.md", "explanations/explanations.json"} < facts.files.keys()
    assert facts.version == 2
    assert make(furnish=furnish, furnishes=names) == second
    assert calls == [("CD3D",)]
    (second / "README.md").write_text("a card by somebody else")
    assert make(furnish=furnish, furnishes=names) == home.models / "shallow" / "3"


def test_without_the_folds_it_is_another_model_of_the_same_ensemble(
    refitted: Refitted, make: Callable[..., Path]
) -> None:
    bare = Model.open(make(replace(refitted.plan, folds=()))).facts
    whole = Model.open(refitted.home.models / "shallow" / "1").facts
    assert (bare.version, bare.folds, whole.folds) == (2, 0, 3)
    assert bare.ensemble == whole.ensemble
    assert not [name for name in bare.files if name.startswith("folds/")]
    assert bare.participants == whole.participants


def test_it_may_lie_anywhere_but_where_something_is(make: Callable[..., Path], tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "model"
    assert make(out=place) == place
    facts = Model.open(place).facts
    assert facts.version is None
    created = datetime.fromisoformat(facts.created)
    assert created.tzinfo == UTC
    assert abs((datetime.now(UTC) - created).total_seconds()) < 3600
    with pytest.raises(InputError, match="must be new or an empty folder"):
        make(out=place)


def test_after_an_error_nothing_is_left(make: Callable[..., Path], tmp_path: Path) -> None:
    def furnish(root: Path, model: Model) -> None:
        raise InputError("explanations: none")

    with pytest.raises(InputError, match="explanations: none"):
        make(out=tmp_path / "out" / "model", furnish=furnish)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_fit_without_a_model_is_told_by_its_place(
    refitted: Refitted, home: Home, tmp_path: Path, make: Callable[..., Path]
) -> None:
    with refitted.ledger() as whole, FitLedger.open(tmp_path / "few.jsonl", refitted.plan.context) as few:
        for fit in refitted.plan.fits[2:]:
            result = whole.result(fit)
            assert result is not None
            few.book(fit, result)
        few.book(refitted.plan.fits[0], "failed: the loss is not finite")
        with pytest.raises(InputError) as caught:
            build(refitted.plan, few, refitted.recorded, home, "shallow")
    trial = refitted.plan.trials[0]
    assert caught.value.problems == (
        f"folds/0/members/trial-{trial}: its model could not be fitted: failed: the loss is not finite",
        f"folds/1/members/trial-{trial}: its model must have been fitted, but was not",
    )
    shutil.rmtree(member_folder(home, "shallow", refitted.plan.final[0][0]))
    with pytest.raises(InputError, match="cannot be written"):
        make(out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_name_that_names_no_folder_is_refused(refitted: Refitted, home: Home) -> None:
    with refitted.ledger() as ledger, pytest.raises(InputError, match="--name: 100 letters"):
        build(refitted.plan, ledger, refitted.recorded, home, "../mine")


def test_progress_is_told_to_its_end(make: Callable[..., Path]) -> None:
    told: list[tuple[int, int]] = []
    make(progress=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(13)]


def test_the_facts_are_what_a_reader_of_json_gets(model_folder: Path) -> None:
    told = json.loads((model_folder / "model.json").read_text())
    assert told["format"] == 1
    assert told == Model.open(model_folder).facts.as_json()


@pytest.mark.parametrize(
    "change", [{"labels": ["CD8A"]}, {"task": "regression", "calibration": [[1.0, 0.0]]}]
)
def test_members_of_other_labels_or_another_task_are_refused(
    change: dict[str, object], model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder, tmp_path / "model")
    facts = Model.open(folder).facts
    path = folder / facts.members[0].folder / "member.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (folder / "model.json").write_text(replace(facts, files=hashes_of(folder)).to_json())
    with pytest.raises(InputError, match=r"labels and task .* are needed") as caught:
        Model.open(folder).predictor()
    assert len(caught.value.problems) == 1
