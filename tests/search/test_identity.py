from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.augmentation import epoch_generator
from data_prep.cache import FORMAT
from data_prep.features.simple import roi_means
from data_prep.features.texture import texture
from data_prep.fold_input import fit_input
from data_prep.problems import InputError
from search.fold import Task
from search.home import Home
from search.identity import SEARCHED, check_identity, identity_of, own_before, searched_label
from search.material import Material, prepare
from search.records import TrialConfig
from search.specs import augment_spec
from search.study_file import Study
from tests.search.scanned_again import scan_again

MakeStudy = Callable[..., Study]


@pytest.fixture
def made(make_study: MakeStudy, tmp_path: Path) -> Callable[..., tuple[Study, Material]]:
    def make(*overrides: str) -> tuple[Study, Material]:
        study = make_study(tmp_path, *overrides)
        return study, prepare(study, Home.at(tmp_path / "home"), frozen=False)

    return make


def test_the_identity_changes_with_what_makes_trials_comparable(made: Any) -> None:
    assert identity_of(*made()) == identity_of(*made("search.trials=9", "search.sampler=tpe"))
    assert identity_of(*made()) != identity_of(*made("training.patience=2"))


def test_what_is_checked_is_what_is_recorded_from_then_on(made: Any, tmp_path: Path) -> None:
    before = identity_of(*made())
    assert check_identity(*made(), before, Home.at(tmp_path / "home")) == before


@pytest.mark.parametrize("key", ["search.seed", "default.dropout", "cohort.patches.radius", SEARCHED])
def test_an_identity_of_an_earlier_version_gains_what_it_lacks(made: Any, tmp_path: Path, key: str) -> None:
    now = identity_of(*made())
    before = {name: value for name, value in now.items() if name != key}
    assert check_identity(*made(), before, Home.at(tmp_path / "home")) == now


def test_another_default_of_what_is_not_sampled_is_refused(made: Any, tmp_path: Path) -> None:
    before = identity_of(*made()) | {"default.dropout": 0.5}
    with pytest.raises(InputError, match=r"default\.dropout: must stay 0\.5 .* but got 0\.0\. Leave it$"):
        check_identity(*made(), before, Home.at(tmp_path / "home"), "Leave it")


def test_data_are_named_only_where_no_setting_explains_their_difference(made: Any, tmp_path: Path) -> None:
    before = identity_of(*made()) | {"cohort.labels": "0" * 64, SEARCHED: "0" * 64}
    with pytest.raises(InputError, match=r"cohort\.labels: must stay .* sha256 000000000000\)") as caught:
        check_identity(*made(), before, Home.at(tmp_path / "home"))
    assert len(caught.value.problems) == 1
    with pytest.raises(InputError, match=r"training\.epochs: must stay") as caught:
        check_identity(*made("training.epochs=3"), before, Home.at(tmp_path / "home"))
    assert len(caught.value.problems) == 1


def test_patches_that_another_version_cut_otherwise_are_refused(made: Any, tmp_path: Path) -> None:
    before = identity_of(*made())
    law = f"patches.format: the way patches are cut must stay {FORMAT - 1}, but this version has {FORMAT}"
    with pytest.raises(InputError, match=law):
        check_identity(*made(), before | {"cohort.patches.format": FORMAT - 1}, Home.at(tmp_path / "home"))
    older = {key: value for key, value in before.items() if key != "cohort.patches.format"}
    with pytest.raises(InputError, match=f"must stay that of an earlier version, .* has {FORMAT}"):
        check_identity(*made(), older, Home.at(tmp_path / "home"))


def test_other_second_scans_are_refused_where_training_shows_them(
    made: Any, make_study: MakeStudy, tmp_path: Path
) -> None:
    make_study(tmp_path)
    scan_again(tmp_path / "cohort", ("sub-000", "sub-001"))
    shown, home = "input.repeats=augment", Home.at(tmp_path / "home")
    plain, before = identity_of(*made()), identity_of(*made(shown))
    assert check_identity(*made(shown), before, home) == before
    again = tmp_path / "cohort" / "sub-000" / "again"
    shutil.copy(again / "T2.nii.gz", again / "T1.nii.gz")
    with pytest.raises(InputError, match=r"cohort\.second: must stay .* \(images of the second") as caught:
        check_identity(*made(shown), before, home)
    assert len(caught.value.problems) == 1
    assert identity_of(*made()) == plain


def test_the_label_searched_for_is_the_same_with_further_labels_beside_it(made: Any) -> None:
    one, several, other = (
        identity_of(*made(f"label.genes={genes}", f"label.combine={combine}"))
        for genes, combine in (
            (["CD3D"], "mean-z"),
            (["CD3D", "CD3E"], "multi-label"),
            (["CD3E"], "mean-z"),
        )
    )
    assert searched_label(one) == searched_label(several) != searched_label(other)
    assert one["cohort.labels"] != several["cohort.labels"]
    older = {key: value for key, value in one.items() if key != SEARCHED}
    assert searched_label(older) == searched_label(one)


def test_patches_cut_out_larger_are_compared_where_the_recorded_ones_reach(made: Any, tmp_path: Path) -> None:
    study, material = made("space.jitter=[0.0, 1.5]")
    before = identity_of(*made("space.jitter=0.0"))
    assert before["cohort.patches"] != material.patches.hash
    kept = check_identity(study, material, before, Home.at(tmp_path / "home"))
    assert kept["cohort.patches"] == before["cohort.patches"]


def test_a_larger_radius_is_refused_where_one_bit_of_a_voxel_would_change(made: Any, tmp_path: Path) -> None:
    """As a spline does that resamples more of an image, in one voxel of a few hundred thousand."""
    before, home = identity_of(*made()), Home.at(tmp_path / "home")
    study, material = made("space.patch_radius={ low = 2, high = 6 }")
    assert check_identity(study, material, before, home)["space.patch_radius.high"] == 6
    raw = material.patches.raw.copy()
    raw[3, 6, 6, 0] *= np.float32(1 + 1e-6)
    other = replace(material, patches=replace(material.patches, raw=raw))
    with pytest.raises(InputError, match=r"high: must stay 4 unless no voxel .* but got 6\. ") as caught:
        check_identity(study, other, before, home)
    assert len(caught.value.problems) == 1


def test_a_larger_radius_changes_neither_folds_nor_what_a_smaller_one_trains_on(
    made: Any, tmp_path: Path
) -> None:
    augmented = "input.augmentation=['flip', 'rotate-free', 'jitter', 'intensity', 'channel-dropout']"
    seen = []
    for largest in (4, 8):
        study, material = made(augmented, f"space.patch_radius={{ low = 2, high = {largest} }}")
        assert material.patches.radius > largest
        params = {"architecture": "small_cnn", "patch_radius": 3, "learning_rate": 0.01, "batch_size": 9}
        settings = study.parameters.settings({**params, "optimizer": "adam"})
        task = Task.of(material, study, TrialConfig(settings, 7), 0)
        view = fit_input(material.patches, task.train, 3, material.missing)
        augment = view.augmenter(augment_spec(study, settings), material.patches, task.fit)
        epochs = [augment(epoch_generator(task.seed, epoch)).tobytes() for epoch in range(1, 9)]
        images = view.images(material.patches).tobytes()
        features = [
            texture(material.patches, 3).values.tobytes(),
            roi_means(material.patches, 3).values.tobytes(),
        ]
        rows = [task.fit.tobytes(), task.stop.tobytes(), task.split.test.tobytes()]
        seen.append((material.folds.hash, material.labels_hash, images, epochs, features, rows))
    assert seen[0] == seen[1]


def test_architectures_of_ones_own_are_read_back() -> None:
    section = {"function": "mine.py:build", "smallest_radius": 3, "hypermodel": None}
    own = own_before({"architectures.mine": section, "architectures.mine (sha256)": "0"}).own
    assert (list(own), own["mine"].smallest_radius) == (["mine"], 3)
