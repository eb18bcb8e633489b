"""Which maps of an earlier call may stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from search.deployment.model import Model
from search.maps.asking import Asking, Predictors
from search.maps.kept import kept_maps
from search.maps.making import Telling, make_maps

WHO = "sub-000"


@pytest.fixture(scope="module")
def drawn(modelled: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Asking, Path]:
    """Two voxels out of fold, and the folder with their map."""
    folder = tmp_path_factory.mktemp("kept")
    image = nibabel.load(modelled.cohort / WHO / "T1.nii.gz")
    mask = np.zeros(image.shape, np.uint8)
    mask[12, 12, 12:14] = 1
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), folder / "mask.nii.gz")
    asking = Asking(
        Model.open(Path(modelled.model)),
        read_cohort(modelled.cohort),
        mask=folder / "mask.nii.gz",
        out_of_fold=True,
    )
    make_maps(asking, Predictors(asking).of(0), WHO, 0, folder / "maps", Telling())
    return asking, folder / "maps"


def test_the_same_is_kept_with_all_that_it_said(drawn: tuple[Asking, Path]) -> None:
    asking, out = drawn
    (one,) = kept_maps(asking, [WHO, "sub-001"], out)
    assert (one.participant, one.folder) == (WHO, out / WHO)
    assert one.record == json.loads((out / WHO / "map.json").read_text())


def test_another_mask_stride_region_or_model_is_not(drawn: tuple[Asking, Path], tmp_path: Path) -> None:
    asking, out = drawn
    image = nibabel.load(asking.mask)  # type: ignore[arg-type]
    nibabel.save(nibabel.Nifti1Image(1 - image.get_fdata(), image.affine), tmp_path / "other.nii.gz")
    model = shutil.copytree(asking.model.folder, tmp_path / "model")
    (model / "model.json").write_text((model / "model.json").read_text() + "\n")
    for changes in (
        {"mask": tmp_path / "other.nii.gz"},
        {"mask": None},
        {"stride": 2},
        {"out_of_fold": False},
        {"model": Model.open(model)},
        {"cohort": replace(asking.cohort, name="other")},
    ):
        assert kept_maps(replace(asking, **changes), [WHO], out) == [], changes


def test_images_that_were_changed_are_drawn_again(drawn: tuple[Asking, Path], tmp_path: Path) -> None:
    asking, out = drawn
    root = shutil.copytree(asking.cohort.root, tmp_path / "cohort")
    assert kept_maps(replace(asking, cohort=read_cohort(root)), [WHO], out)
    image = nibabel.load(root / WHO / "T1.nii.gz")
    nibabel.save(nibabel.Nifti1Image(image.get_fdata() + 1, image.affine), root / WHO / "T1.nii.gz")
    assert kept_maps(replace(asking, cohort=read_cohort(root)), [WHO], out) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "map.json").write_text("{}"),
        lambda folder: (folder / "map.json").write_text("["),
        lambda folder: (folder / f"{WHO}.html").unlink(),
        lambda folder: (folder / "map.json").write_text(
            (folder / "map.json").read_text().replace('"labels"', '"lables"')
        ),
    ],
    ids=["empty", "no JSON", "a file is gone", "other keys"],
)
def test_what_is_not_whole_is_not_kept(
    drawn: tuple[Asking, Path], damage: Callable[[Path], None], tmp_path: Path
) -> None:
    asking, out = drawn
    damage(shutil.copytree(out, tmp_path / "maps") / WHO)
    assert kept_maps(asking, [WHO], tmp_path / "maps") == []


def test_a_link_is_not_followed(drawn: tuple[Asking, Path], tmp_path: Path) -> None:
    asking, out = drawn
    (tmp_path / WHO).symlink_to(out / WHO)
    assert kept_maps(asking, [WHO], tmp_path) == []
