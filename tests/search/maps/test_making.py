"""The maps of a participant by a real model: values, places, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.problems import InputError
from search.deployment.model import Model, hash_of
from search.deployment.predicting import predict
from search.deployment.showing import shown_sites
from search.maps import making
from search.maps.asking import Asking, Predictors
from search.maps.making import Made, Telling, check_free, make_maps


@pytest.fixture
def asking(modelled: Any, tmp_path: Path) -> Asking:
    """Within a box around the first two biopsies of sub-000."""
    cohort = read_cohort(modelled.cohort)
    image = nibabel.load(modelled.cohort / "sub-000" / "T1.nii.gz")
    mask = np.zeros(image.shape, np.uint8)
    sites = [np.array(b.position) + 12 for b in cohort.biopsies if b.participant_id == "sub-000"][:2]
    low, high = np.min(sites, axis=0).astype(int), np.max(sites, axis=0).astype(int)
    mask[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = 1
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), tmp_path / "mask.nii.gz")
    return Asking(Model.open(Path(modelled.model)), cohort, mask=tmp_path / "mask.nii.gz")


def made(asking: Asking, out: Path, fold: int | None = None) -> Made:
    return make_maps(asking, Predictors(asking).of(fold), "sub-000", fold, out, Telling())


def at_sites(asking: Asking, made: Made) -> tuple[np.ndarray, np.ndarray]:
    """The map at the voxels of the first two biopsies, and what is predicted of them."""
    sites = [one for one in asking.cohort.biopsies if one.participant_id == "sub-000"][:2]
    shown = shown_sites(asking.model, asking.cohort, sites, None)
    folds = {"sub-000": made.record["fold"]} if asking.out_of_fold else None
    said = predict(asking.model, sites, shown, folds, lambda *_: None).prediction
    drawn = made.scenes[0].drawn
    voxels = tuple((np.array([one.position for one in sites]) + 12).astype(int).T)
    assert drawn.region[voxels].all()
    np.testing.assert_array_equal(drawn.spread[voxels], said.spread.astype(np.float32))
    np.testing.assert_array_equal(drawn.unlike[voxels], said.unlike)
    np.testing.assert_array_equal(drawn.above[voxels], said.positive)
    return drawn.probability[voxels], said.probability


def test_the_map_at_a_biopsy_is_what_is_predicted_of_it(asking: Asking, tmp_path: Path) -> None:
    one = made(asking, tmp_path / "maps")
    drawn, predicted = at_sites(asking, one)
    np.testing.assert_array_equal(drawn, predicted.astype(np.float32))
    stored = nibabel.load(one.folder / "sub-000_CD3D_probability.nii.gz").get_fdata()
    probability = one.scenes[0].drawn
    np.testing.assert_array_equal(probability.grid.to_canonical(stored), probability.probability[..., 0])


def test_it_is_so_out_of_fold_as_well_and_the_answer_is_another(asking: Asking, tmp_path: Path) -> None:
    fold = 1
    out = replace(asking, out_of_fold=True)
    one, whole = made(out, tmp_path / "out", fold), made(asking, tmp_path / "all", fold)
    drawn, predicted = at_sites(out, one)
    np.testing.assert_array_equal(drawn, predicted.astype(np.float32))
    region = one.scenes[0].drawn.region
    assert (one.scenes[0].drawn.probability[region] != whole.scenes[0].drawn.probability[region]).any()
    assert (one.record["out_of_fold"], one.record["fold"]) == (True, fold)
    assert (whole.record["out_of_fold"], whole.record["in_training"]) == (False, True)


def test_a_stride_keeps_what_was_asked(asking: Asking, tmp_path: Path) -> None:
    whole = made(asking, tmp_path / "whole").scenes[0].drawn
    coarse = made(replace(asking, stride=3), tmp_path / "coarse").scenes[0].drawn
    assert coarse.asked < whole.asked
    same = coarse.probability == whole.probability
    assert same[whole.region].sum() >= coarse.asked
    assert np.isfinite(coarse.probability[whole.region]).all()


def test_the_folder_holds_what_map_json_lists(asking: Asking, tmp_path: Path) -> None:
    one = made(asking, tmp_path / "maps")
    told = json.loads((one.folder / "map.json").read_text())
    assert told == json.loads(json.dumps(one.record))
    assert {path.name for path in one.folder.iterdir()} == {"map.json", *told["maps"][0]["files"]}
    assert told["model"]["hash"] == hash_of(asking.model.folder / "model.json")
    assert told["participant"] == "sub-000"
    assert told["maps"][0]["region"]["voxels"] == one.scenes[0].drawn.region.sum()
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["sub-000"]


def test_a_map_that_fails_leaves_nothing(
    asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise InputError("no page")

    monkeypatch.setattr(making, "write_page", fail)
    with pytest.raises(InputError, match="no page"):
        made(asking, tmp_path / "maps")
    assert not any((tmp_path / "maps").iterdir())


def test_maps_that_are_there_are_refused_and_stay(asking: Asking, tmp_path: Path) -> None:
    (tmp_path / "maps" / "sub-000").mkdir(parents=True)
    check_free(tmp_path / "maps", ["sub-000"])
    (tmp_path / "maps" / "sub-000" / "mine.txt").write_text("kept")
    with pytest.raises(InputError, match="maps of sub-000 must be new") as caught:
        check_free(tmp_path / "maps", ["sub-000", "sub-001"])
    assert len(caught.value.problems) == 1
    with pytest.raises(InputError, match="must be new"):
        made(asking, tmp_path / "maps")
    assert (tmp_path / "maps" / "sub-000" / "mine.txt").read_text() == "kept"


def test_each_visit_has_a_map_of_its_own(
    modelled: Any, asking: Asking, two_visits: Callable[[], Path], tmp_path: Path
) -> None:
    cohort = read_cohort(two_visits())
    one = made(replace(asking, cohort=cohort), tmp_path / "maps")
    names = [told["name"] for told in one.record["maps"]]
    assert len(names) == 2
    assert all((one.folder / f"{name}.html").is_file() for name in names)
    pages = [told["files"][0] for told in one.record["maps"]]
    assert pages == [f"{name}.html" for name in names]


@pytest.fixture
def two_visits(modelled: Any, tmp_path: Path) -> Callable[[], Path]:
    """The cohort with a second visit of sub-000: the images of sub-001."""

    def write() -> Path:
        folder = tmp_path / "visits"
        folder.mkdir()
        text = (modelled.cohort / "cohort.toml").read_text()
        (folder / "cohort.toml").write_text(
            text.replace('"{participant_id}/', '"{visit}/').replace('expression = "expression.tsv"\n', "")
        )
        for number in (0, 1):
            (folder / f"ses-{number}").mkdir()
            for image in (modelled.cohort / f"sub-00{number}").iterdir():
                (folder / f"ses-{number}" / image.name).write_bytes(image.read_bytes())
        rows = ["biopsy_id\tparticipant_id\tvisit\tx\ty\tz"]
        rows += [f"b{n}\tsub-000\tses-{n}\t0\t0\t0" for n in (0, 1)]
        (folder / "biopsies.tsv").write_text("\n".join(rows) + "\n")
        return folder

    return write
