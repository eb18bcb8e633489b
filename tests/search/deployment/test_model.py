"""A model folder opens only where every file is there, unchanged, and no other beside them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_prep.problems import InputError
from search.deployment.model import Model, check_files, hash_of, hashes_of
from search.deployment.records import Shown
from search.deployment.unlike import fit_reference, read_reference
from search.metrics import add_pairs, count_pairs
from tests.search.deployment.conftest import Refitted
from tests.search.deployment.hand_made import made, sample, seal

SKOPS = "members/0-1/baseline.skops"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; to be copied first."""
    model = made(tmp_path_factory.mktemp("model") / "m", configurations=(("roi_means", "logistic", 2),))
    seal(model)
    return model.folder


@pytest.fixture
def folder(sealed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(sealed, tmp_path / "model")


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        Model.open(folder)
    return [problem.removeprefix(str(folder)) for problem in caught.value.problems]


def test_a_copy_of_a_folder_opens_elsewhere_and_says_the_same(sealed: Path, folder: Path) -> None:
    one, other = Model.open(sealed), Model.open(folder)
    assert other.labels == ("gene0",)
    assert other.request == one.facts.request
    said = [model.predictor().say(Shown(sample(9))).probability for model in (one, other)]
    np.testing.assert_array_equal(said[0], said[1])


def test_a_changed_file_is_named_with_both_hashes(folder: Path) -> None:
    before = hash_of(folder / SKOPS)
    with (folder / SKOPS).open("ab") as file:
        file.write(b"\0")
    assert problems_of(folder) == [
        f"/{SKOPS}: it has sha256 {hash_of(folder / SKOPS)}, but model.json says {before}. "
        "Bring the file back, or make the model again"
    ]


def test_everything_that_is_wrong_is_told_at_once(folder: Path) -> None:
    (folder / "reference.npz").unlink()
    (folder / SKOPS).write_bytes(b"")
    (folder / "members" / "notes.txt").write_text("mine")
    (folder / "evil.py").symlink_to("/etc/passwd")
    os.mkfifo(folder / "members" / "pipe")
    found = problems_of(folder)
    assert found[0].startswith("/evil.py: files of a model folder lie in it, but this is a link")
    assert found[1].startswith("/members/pipe: plain files are needed, but got a pipe")
    assert found[2].startswith("/members/notes.txt: model.json does not list it")
    assert found[3].startswith("/reference.npz: model.json lists it, but it is missing")
    assert found[4].startswith(f"/{SKOPS}: it has sha256 e3b0c442")
    assert len(found) == 5


@pytest.mark.parametrize("name", ["members", SKOPS, "model.json"])
def test_a_link_is_refused_also_to_the_same_content(folder: Path, tmp_path: Path, name: str) -> None:
    """What a link leads to may be another thing by the time it is read."""
    shutil.move(folder / name, tmp_path / "moved")
    (folder / name).symlink_to(tmp_path / "moved")
    assert any("link" in line for line in problems_of(folder))


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "absent", Path(__file__)):
        with pytest.raises(
            InputError, match=r"a model folder has a plain model\.json, but there is none"
        ) as caught:
            Model.open(place)
        assert len(caught.value.problems) == 1


def test_a_wrong_model_json_names_the_folder(folder: Path) -> None:
    told = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(told | {"format": 99}))
    assert problems_of(folder) == [
        ": model.json: format: this version of radsearch knows 1, but got 99. Use the version that wrote it"
    ]
    (folder / "model.json").write_bytes(b"\xff\xfe")
    assert problems_of(folder)[0].startswith("/model.json: it must be readable, but got")


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../b", "model.json", "./reference.npz"])
def test_a_list_of_files_cannot_lead_out_of_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(InputError, match="a place in the folder and a sha256 are needed"):
        check_files(folder, hashes_of(folder) | {name: "0" * 64})


def test_a_member_of_somebody_else_is_only_read(folder: Path, tmp_path: Path) -> None:
    """Whoever seals a folder of their own gets it opened; what is in it still runs nothing."""
    facts = Model.open(folder).facts
    (folder / SKOPS).write_bytes(f"cos\nsystem\n(S'touch {tmp_path}/ran'\ntR.".encode())
    seal(Model(folder, facts))
    with pytest.raises(
        InputError, match=r"^members/0-1: the member must answer, but: .* shallow models as refit"
    ):
        Model.open(folder).predictor().say(Shown(sample(3)))
    assert not (tmp_path / "ran").exists()
    (folder / "members/0-0/member.json").write_text("{}")
    seal(Model(folder, facts))
    with pytest.raises(InputError, match=r"0-0/member\.json: a member's facts in format 1 are needed"):
        Model.open(folder).predictor()


def test_members_of_a_fold_answer_for_it_alone(refitted: Refitted, model_folder: Path) -> None:
    model = Model.open(model_folder)
    assert model.folds == 3
    for fold in (None, 0, 1, 2):
        predictor = model.predictor(fold)
        assert {entry.fold for entry in predictor.entries} == {fold}
        assert [entry.configuration for entry in predictor.entries] == [0, 1, 2]
    for fold in (3, -1):
        with pytest.raises(
            InputError, match=f"members of fold {fold} are needed, but it has those of folds 0 to 2"
        ):
            model.predictor(fold)
    with pytest.raises(InputError, match="members of fold 0 are needed, but it has none of any fold"):
        Model(model_folder, replace(model.facts, fold_ensembles=())).predictor(0)


def test_out_of_fold_it_says_what_its_training_said(refitted: Refitted, model_folder: Path) -> None:
    """The members of a fold, asked about those held out, are by their ensemble what the facts report."""
    model, material = Model.open(model_folder), refitted.material
    pairs = []
    for split in refitted.plan.splits:
        said = model.predictor(split.fold).say(Shown(material.patches.take(split.test))).probability[:, 0]
        pairs.append(count_pairs(material.labels.label[split.test], said))
        for entry, fits in zip(model.facts.members_of(split.fold), refitted.plan.folds, strict=True):
            assert entry.fit == fits[split.fold].key
    assert add_pairs(pairs).auc == model.facts.labels[0].out_of_fold.roc_auc


def test_those_held_out_are_measured_against_the_others(refitted: Refitted, model_folder: Path) -> None:
    """A biopsy is near to a training set that it is in: the members of its fold must not count that."""
    model, material = Model.open(model_folder), refitted.material
    for split in refitted.plan.splits:
        shown = Shown(material.patches.take(split.test))
        said = model.predictor(split.fold).say(shown)
        rows = np.setdiff1d(np.arange(len(material.patches)), split.test)
        others = fit_reference(material.patches, rows, model.request.radius, material.missing)
        np.testing.assert_array_equal(said.distance, others.distance(shown.patches))
        np.testing.assert_array_equal(said.unlike, said.distance > others.cut)
        whole, answer = read_reference(model_folder), model.predictor().say(shown)
        np.testing.assert_array_equal(answer.distance, whole.distance(shown.patches))
        assert said.distance.mean() > answer.distance.mean()


def test_a_wrong_reference_of_a_fold_is_named(model_folder: Path) -> None:
    model = Model.open(model_folder)
    first, *others = model.facts.fold_references
    wrong = replace(first, covariance=tuple((1.0,) * len(row) for row in first.covariance))
    changed = Model(model_folder, replace(model.facts, fold_references=(wrong, *others)))
    with pytest.raises(InputError, match=r"model\.json: fold_references\.0: the training patches of a fold"):
        changed.predictor(0)
    changed.predictor(1)
