from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest

from data_prep.folds import read_folds
from data_prep.inputs import input_channels
from data_prep.problems import InputError
from search.home import Home
from search.material import Material, freeze_folds, prepare
from search.study_file import Study

MakeStudy = Callable[..., Study]


def test_a_second_preparation_opens_no_volume_and_gives_the_same(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, home = make_study(tmp_path), Home.at(tmp_path / "home")
    first = prepare(study, home, frozen=False)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a volume was opened")

    monkeypatch.setattr(nib, "load", refuse)
    monkeypatch.setattr(nib.Nifti1Image, "from_filename", refuse)
    assert prepare(study, home, frozen=False).hash == first.hash


def test_patches_are_cut_at_the_largest_radius_of_the_space_and_room_for_jitter(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    plain = prepare(make_study(tmp_path), Home.at(tmp_path / "home"), frozen=False)
    assert plain.patches.radius == 4
    spacing = float(plain.patches.voxel_mm.min())
    jittered = make_study(tmp_path, "input.augmentation=['jitter']", "input.registration_sd_mm=1.25")
    wider = prepare(jittered, Home.at(tmp_path / "home"), frozen=False)
    assert wider.patches.radius == 4 + math.ceil(2 * 1.25 / spacing)
    searched = make_study(tmp_path, "space.jitter=[0.0, 2.0]", "input.registration_sd_mm=1.25")
    widest = prepare(searched, Home.at(tmp_path / "home"), frozen=False)
    assert widest.patches.radius == 4 + math.ceil(2 * 2.5 / spacing)


def test_an_augmentation_that_changes_no_patch_is_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path, "space.jitter=[0.0, 0.01]", "space.channel_dropout=[1e-9]")
    with pytest.raises(InputError, match="jitter") as caught:
        prepare(study, Home.at(tmp_path / "home"), frozen=False)
    assert sorted(line.split(":")[1].strip() for line in caught.value.problems) == [
        "channel_dropout",
        "jitter x input.registration_sd_mm",
    ]


def test_a_studys_folds_are_frozen_once_it_exists(make_study: MakeStudy, tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    material = prepare(make_study(tmp_path), home, frozen=False)
    assert not home.study("toy").folds.exists()
    freeze_folds(material, home.study("toy"))
    other = make_study(tmp_path, "validation.seed=1")
    assert prepare(other, home, frozen=True).folds.hash == material.folds.hash
    assert read_folds(home.study("toy").folds).hash == material.folds.hash


def test_folds_that_a_failed_start_left_behind_are_made_anew(make_study: MakeStudy, tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    freeze_folds(prepare(make_study(tmp_path), home, frozen=False), home.study("toy"))
    material = prepare(make_study(tmp_path, "validation.folds=4"), home, frozen=False)
    assert material.folds.n_folds == 4
    freeze_folds(material, home.study("toy"))
    assert read_folds(home.study("toy").folds).n_folds == 4


def test_a_cohort_that_changed_under_frozen_folds_is_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    study, home = make_study(tmp_path), Home.at(tmp_path / "home")
    freeze_folds(prepare(study, home, frozen=False), home.study("toy"))
    table = tmp_path / "cohort" / "biopsies.tsv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(InputError, match=r"frozen for other biopsies \(36, now 35\)"):
        prepare(study, home, frozen=True)


def test_early_stopping_needs_two_participants_in_every_training_fold(
    make_cohort: Callable[..., Path], make_study: MakeStudy, tmp_path: Path
) -> None:
    make_cohort(tmp_path / "cohort", participants=2, biopsies=12)
    study = make_study(tmp_path, "validation.folds=2")
    with pytest.raises(InputError, match="at least 2 participants in every training fold, but got 1"):
        prepare(study, Home.at(tmp_path / "home"), frozen=False)
    alone = make_study(tmp_path, "validation.folds=2", "training.early_stopping=none")
    assert len(prepare(alone, Home.at(tmp_path / "home"), frozen=False).patches) == 12


@pytest.mark.parametrize(("missing", "channels"), [("zero", 3), ("mask", 4), ("mean", 3), ("drop", 3)])
def test_however_a_missing_sequence_is_shown_all_biopsies_are_scored(
    make_cohort: Callable[..., Path], make_study: MakeStudy, tmp_path: Path, missing: str, channels: int
) -> None:
    make_cohort(tmp_path / "cohort", missing={(2, "T2")})
    material = prepare(
        make_study(tmp_path, f"input.missing={missing}"), Home.at(tmp_path / "home"), frozen=False
    )
    assert (len(material.patches), int(material.complete.sum())) == (36, 33)
    assert sorted(row for split in material.folds.splits() for row in split.test) == list(range(36))
    assert len(input_channels(material.patches, missing)) == channels
    for split in material.folds.splits():
        learnable = material.learnable(split.train)
        lacking = set(split.train) - set(learnable)
        assert bool(lacking) == (missing == "drop" and "sub-002" not in owners(material, split.test))
        assert owners(material, sorted(lacking)) <= {"sub-002"}


def owners(material: Material, rows: Iterable[int]) -> set[str]:
    return {material.patches.participant_id[row] for row in rows}


def test_training_folds_of_incomplete_biopsies_alone_are_refused(
    make_cohort: Callable[..., Path], make_study: MakeStudy, tmp_path: Path
) -> None:
    make_cohort(tmp_path / "cohort", missing={(person, "T2") for person in range(11)})
    with pytest.raises(InputError, match="'drop' must leave biopsies of both labels to train on") as caught:
        prepare(make_study(tmp_path, "input.missing=drop"), Home.at(tmp_path / "home"), frozen=False)
    assert len(caught.value.problems) >= 1


def test_biopsies_without_expression_are_left_out_and_counted(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(tmp_path)
    table = tmp_path / "cohort" / "expression.tsv"
    table.write_text("\n".join(table.read_text().splitlines()[:-4]) + "\n")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    assert (len(material.patches), material.excluded["no_expression"]) == (32, 4)
    assert material.labels.label.sum() == 16


def test_a_cohort_without_expression_cannot_be_searched(
    make_cohort: Callable[..., Path], make_study: MakeStudy, tmp_path: Path
) -> None:
    make_cohort(tmp_path / "cohort", genes=())
    with pytest.raises(InputError, match=r"cohort\.toml: expression: a study needs an expression table"):
        prepare(make_study(tmp_path), Home.at(tmp_path / "home"), frozen=False)


def test_what_is_wrong_with_study_and_cohort_is_said_together(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study(
        tmp_path, "label.genes=['CD3X']", "input.sequences=['T1', 'T9']", "validation.folds=13"
    )
    (tmp_path / "cohort" / "sub-003" / "T1.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match="CD3X") as caught:
        prepare(study, Home.at(tmp_path / "home"), frozen=False)
    said = str(caught.value)
    assert "T9" in said
    assert "13 folds need as many participants" in said
    assert "sub-003/T1.nii.gz" in said
    assert not (tmp_path / "home" / "studies").exists()


def test_participants_are_numbered_in_order_of_appearance(make_study: MakeStudy, tmp_path: Path) -> None:
    material = prepare(make_study(tmp_path), Home.at(tmp_path / "home"), frozen=False)
    assert material.participant.tolist() == [k % 12 for k in range(36)]


@pytest.mark.parametrize("kept", [(0, 1, 2), (0, 12, 24)])  # of three participants, or all of one
@pytest.mark.parametrize("rule", [(), ("label.rule=above-quantile:0.5", "label.threshold_from=training")])
def test_a_further_label_that_a_training_fold_knows_nothing_of_is_refused(
    make_study: MakeStudy, tmp_path: Path, rule: tuple[str, ...], kept: tuple[int, ...]
) -> None:
    study = make_study(tmp_path, "label.genes=['CD3D', 'CD3E']", "label.combine=multi-label", *rule)
    table = tmp_path / "cohort" / "expression.tsv"
    head, *rows = [line.split("\t") for line in table.read_text().splitlines()]
    place = head.index("CD3E")
    for number, row in enumerate(rows):
        row[place] = row[place] if number in kept else "n/a"
    table.write_text("\n".join("\t".join(row) for row in (head, *rows)) + "\n")
    with pytest.raises(
        InputError, match="CD3E must be measured in training biopsies on both sides"
    ) as caught:
        prepare(study, Home.at(tmp_path / "home"), frozen=False)
    assert all("CD3D" not in line for line in caught.value.problems)
