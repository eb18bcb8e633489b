"""A kept model says again what its fit booked, and is on the disk whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.features.location import location
from data_prep.problems import InputError
from models.errors import ModelError
from search.deployment.member import (
    Member,
    is_written,
    member_folder,
    members_folder,
    sweep,
    write_member,
)
from search.deployment.records import Shown
from search.home import Home
from search.material import Material, prepare
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit, context_of
from search.study_file import Study
from search.workshop import Workshop
from tests.search.deployment.conftest import Refitted


def test_members_say_what_their_fits_booked_to_the_last_bit(refitted: Refitted) -> None:
    patches = refitted.material.patches
    for fit in refitted.plan.fits:
        member, booked = refitted.member(fit), refitted.booked(fit)
        said = member.say(Shown(patches.take(fit.test)))
        assert tuple(said.probability[:, 0]) == booked.probabilities
        assert said.value is None
        assert member.facts.settings == fit.config.settings
        assert (member.facts.radius, member.facts.seed) == (
            fit.config.settings.get("patch_radius", 1),
            fit.seed,
        )
        assert (member.facts.kind, member.facts.labels) == ("baseline", ("CD3D",))
        assert not member.reads_location


def test_a_folder_names_no_participant_and_no_place(refitted: Refitted) -> None:
    for fit in refitted.plan.fits:
        for path in member_folder(refitted.home, "shallow", fit).iterdir():
            content = path.read_bytes()
            assert b"sub-0" not in content
            assert str(refitted.home.root).encode() not in content


Kept = tuple[Member, FoldResult, Fit, Material]


@pytest.fixture
def kept(
    make_cohort: Callable[..., Path], make_study: Callable[..., Study], tmp_path: Path
) -> Callable[..., Kept]:
    """The member of a fit of the first fold, made in this process; two participants lack T2."""

    def make(architecture: str, *changes: str, epochs: int | None = None, **settings: Any) -> Kept:
        if not (tmp_path / "cohort").exists():
            make_cohort(tmp_path / "cohort", missing={(1, "T2"), (4, "T2")})
        names = f"['{architecture}', 'texture_logistic']"  # the latter reads patches, as some of these do not
        space = ("space={}", f"space.architecture={names}", "space.patch_radius=[3]")
        study, home = make_study(tmp_path, "search.enqueue=[]", *space, *changes), Home.at(tmp_path / "home")
        material = prepare(study, home, frozen=False)
        own = study.parameters.settings({"architecture": architecture, "patch_radius": 3})
        members = members_folder(home, study.name)
        shop = Workshop(study, material, home.cache, None, members)
        fit = replace(
            Fit.of(TrialConfig({**own, **settings}, 3), material.folds.splits()[0]), keep=True, epochs=epochs
        )
        result = shop.fit(fit, lambda _: None)
        assert is_written(member_folder(home, study.name, fit), context_of(study, material))
        return Member.open(member_folder(home, study.name, fit)), result, fit, material

    return make


def shown(material: Material, rows: tuple[int, ...]) -> Shown:
    """Some biopsies, with where they are."""
    source = material.source
    where = {biopsy.biopsy_id: biopsy for biopsy in source.biopsies}
    patches = material.patches.take(rows)
    restricted = replace(source, biopsies=tuple(where[name] for name in patches.biopsy_id))
    return Shown(patches, location(restricted, patches.sequences))


LABELS = ("label.genes=['CD3D', 'CD3E']", "label.combine=multi-label")
SHALLOW = [
    ("constant", ()),
    ("location", ()),
    ("missingness", ("input.missing='mask'",)),
    ("roi_means", (*LABELS, "label.rule='log-tpm'", "input.normalisation='nyul'")),
    ("texture_forest", ("input.missing='mean'", *LABELS)),
]


@pytest.mark.parametrize(("architecture", "changes"), SHALLOW)
def test_any_shallow_model_says_again_what_was_booked_bit_for_bit(
    architecture: str, changes: tuple[str, ...], kept: Callable[..., Kept]
) -> None:
    member, booked, fit, material = kept(architecture, *changes, forest_trees=20)
    said = member.say(shown(material, fit.test))
    assert tuple(said.probability[:, 0]) == booked.probabilities
    for k, head in enumerate(booked.heads.values(), start=1):
        assert said.probability[:, k].tolist() == head["probabilities"]
    assert said.probability.shape[1] == len(member.facts.labels) == 1 + len(booked.heads)
    assert member.reads_location == (architecture == "location")
    assert (said.value is not None) == ("label.rule='log-tpm'" in changes)
    if said.value is not None:
        assert tuple(said.value[:, 0]) == booked.values
        assert said.value[:, 1].tolist() == booked.heads["CD3E"]["values"]


def test_a_model_that_reads_where_it_is_asks_for_that(kept: Callable[..., Kept]) -> None:
    member, _, fit, material = kept("location")
    with pytest.raises(InputError, match="a location for each of"):
        member.say(replace(shown(material, fit.test), location=None))


@pytest.mark.parametrize("rule", ["above-median", "log-tpm"])
def test_a_network_says_again_what_was_booked(rule: str, kept: Callable[..., Kept]) -> None:
    changes = (f"label.rule='{rule}'", "input.missing='mask'", "training.epochs=3")
    member, booked, fit, material = kept("small_cnn", *changes, *LABELS, epochs=2)
    said = member.say(Shown(material.patches.take(fit.test)))
    assert said.probability[:, 0] == pytest.approx(booked.probabilities, abs=1e-6)
    assert said.probability[:, 1] == pytest.approx(booked.heads["CD3E"]["probabilities"], abs=1e-6)
    assert (said.value is not None) == (rule == "log-tpm")
    if said.value is not None:
        assert said.value[:, 0] == pytest.approx(booked.values, abs=1e-5)
    assert len(set(booked.probabilities)) > 1
    assert (member.facts.epochs, member.facts.kind, member.facts.features) == (2, "network", "patches")
    assert (booked.best_epoch, len(booked.curves["loss"])) == (2, 2)
    assert "stop_loss" not in booked.curves  # all of its rows are learned from


OWN_CLASS = """
import keras


class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def network(input_shape):
    patch = keras.Input(input_shape)
    return keras.Model(patch, Twice()(patch))
"""


def test_a_network_of_a_class_of_its_own_is_refused_in_one_line_and_not_kept(
    kept: Callable[..., Kept], tmp_path: Path
) -> None:
    """To load it again would need, and run, its author's code."""
    (tmp_path / "networks.py").write_text(OWN_CLASS)
    own = ("architectures.mine.function=networks.py:network",)
    with pytest.raises(ModelError, match="Twice") as caught:
        kept("mine", *own, epochs=1)
    assert len(str(caught.value).splitlines()) == 1
    assert list(members_folder(Home.at(tmp_path / "home"), "toy").iterdir()) == []


def a_member(refitted: Refitted, tmp_path: Path) -> Path:
    fit = refitted.plan.firsts[0]
    return shutil.copytree(member_folder(refitted.home, "shallow", fit), tmp_path / "member")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_writer_that_fails_leaves_what_was_there_and_nothing_else(
    refitted: Refitted, tmp_path: Path
) -> None:
    folder = a_member(refitted, tmp_path)
    before, facts = files(folder), Member.open(folder).facts

    def broken(partial: Path) -> None:
        (partial / "input.npz").write_bytes(b"half")
        raise ModelError("a class of its own")

    with pytest.raises(ModelError, match="a class of its own"):
        write_member(folder, facts, broken)
    with pytest.raises(ModelError, match="a class of its own"):
        write_member(tmp_path / "new", facts, broken)
    assert files(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["member"]


def test_another_model_takes_the_place_of_an_earlier_one(refitted: Refitted, tmp_path: Path) -> None:
    folder = a_member(refitted, tmp_path)
    facts = replace(Member.open(folder).facts, context="another")
    before = files(folder)
    write_member(folder, facts, lambda partial: put(partial, before))
    assert Member.open(folder).facts == facts
    assert is_written(folder, "another")
    assert not is_written(folder, refitted.plan.context)
    assert [path.name for path in tmp_path.iterdir()] == ["member"]


def put(folder: Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        (folder / name).write_bytes(data)


def test_what_a_killed_writer_left_is_swept(refitted: Refitted, tmp_path: Path) -> None:
    folder = a_member(refitted, tmp_path)
    left = tmp_path / f".{folder.name}.0123.partial"
    left.mkdir()
    (left / "input.npz").write_bytes(b"half")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["member"]
    sweep(tmp_path / "absent")


@pytest.mark.parametrize("name", ["member.json", "input.npz", "baseline.skops"])
def test_a_lost_file_is_noticed(name: str, refitted: Refitted, tmp_path: Path) -> None:
    folder = a_member(refitted, tmp_path)
    assert is_written(folder, refitted.plan.context)
    (folder / name).unlink()
    assert not is_written(folder, refitted.plan.context)
    with pytest.raises((InputError, ModelError), match=name):
        Member.open(folder).say(Shown(refitted.material.patches))


@pytest.mark.parametrize("name", ["input.npz", "baseline.skops"])
def test_a_damaged_file_is_noticed(name: str, refitted: Refitted, tmp_path: Path) -> None:
    folder = a_member(refitted, tmp_path)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert not is_written(folder, refitted.plan.context)


def test_members_of_another_number_of_labels_are_refused(refitted: Refitted, tmp_path: Path) -> None:
    folder = a_member(refitted, tmp_path)
    path = folder / "member.json"
    told = json.loads(path.read_text())
    two = {name: told[name] * 2 for name in ("labels", "mean", "sd", "cuts")}
    path.write_text(json.dumps(told | two))
    with pytest.raises(ModelError, match="a model of each label, 2, is needed, but got 1"):
        Member.open(folder).say(Shown(refitted.material.patches))


def test_rows_beside_each_other_change_nothing(refitted: Refitted) -> None:
    """Every place is judged by itself."""
    member, patches = refitted.member(refitted.plan.firsts[0]), refitted.material.patches
    whole = member.say(Shown(patches)).probability
    alone = np.concatenate([member.say(Shown(patches.take([row]))).probability for row in range(5)])
    assert alone == pytest.approx(whole[:5], rel=1e-12)
