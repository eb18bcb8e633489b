"""`radsearch map`, as a user calls it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from search.cli import main
from search.maps import several


@pytest.fixture
def calling(modelled: Any, tmp_path: Path) -> Callable[..., int]:
    """Maps within the middle of the cubes, without MLflow."""
    image = nibabel.load(modelled.cohort / "sub-000" / "T1.nii.gz")
    mask = np.zeros(image.shape, np.uint8)
    mask[9:15, 9:15, 9:15] = 1
    nibabel.save(nibabel.Nifti1Image(mask, image.affine), tmp_path / "mask.nii.gz")

    def call(*words: str, cohort: Path = modelled.cohort, tracking: bool = False) -> int:
        common = [
            "map",
            "shallow",
            str(cohort),
            "--out",
            str(tmp_path / "maps"),
            "--home",
            str(modelled.home),
        ]
        skip = [] if tracking else ["--skip-tracking"]
        within = [] if {"--mask", "--within"} & set(words) else ["--mask", str(tmp_path / "mask.nii.gz")]
        return main([*common, *within, *skip, *words])

    return call


def test_one_participant(
    calling: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calling("--participant", "sub-003") == 0
    told = capsys.readouterr()
    assert f"wrote {tmp_path / 'maps' / 'sub-003'}" in told.out.replace("\n", "")
    assert "research use only" in told.out
    assert "warning: the model learned from sub-003" in told.err
    assert (tmp_path / "maps" / "sub-003" / "sub-003.html").is_file()
    assert not (tmp_path / "maps" / "index.html").exists()


def test_json_is_one_document_and_out_of_fold_needs_no_warning(
    calling: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert calling("--participant", "sub-003", "--out-of-fold", "--stride", "2", "--json") == 0
    told = capsys.readouterr()
    record = json.loads(told.out)
    assert "warning" not in told.err
    (one,) = record["maps"]
    assert (one["participant"], one["out_of_fold"], one["stride"]) == ("sub-003", True, 2)
    assert Path(one["folder"], "map.json").is_file()
    assert record["failed"] == {}


def test_all_leaves_out_who_fails_and_ties_the_others_together(
    calling: Callable[..., int],
    make_cohort: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cohort = make_cohort(tmp_path / "other", participants=3, biopsies=6, seed=5, missing=[(1, "T2")])
    assert calling("--all", cohort=cohort) == 1
    told = capsys.readouterr()
    assert "no map of sub-001: participant sub-001" in told.err
    assert "T2" in told.err
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "index.html",
        "sub-000",
        "sub-002",
        "summary.tsv",
    ]
    with (tmp_path / "maps" / "summary.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["participant_id"] for row in rows] == ["sub-000", "sub-002"]
    assert {row["training"] for row in rows} == {"no"}


def test_maps_that_are_there_are_refused_before_any_work(
    calling: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "maps" / "sub-001" / "mine.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("kept")
    assert calling("--all") == 1
    assert "maps of sub-001 must be new" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["sub-001"]


def test_all_keeps_the_maps_of_before_and_draws_the_others(
    calling: Callable[..., int],
    make_cohort: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cohort = make_cohort(tmp_path / "other", participants=2, biopsies=4, seed=5)
    assert calling("--participant", "sub-001", "--stride", "2", cohort=cohort) == 0
    page = tmp_path / "maps" / "sub-001" / "sub-001.html"
    before = page.stat().st_mtime_ns
    capsys.readouterr()
    assert calling("--all", "--stride", "2", "--json", cohort=cohort) == 0
    told = capsys.readouterr()
    assert "kept 1 map from before" in told.err
    assert [one["participant"] for one in json.loads(told.out)["maps"]] == ["sub-000", "sub-001"]
    assert page.stat().st_mtime_ns == before
    with (tmp_path / "maps" / "summary.tsv").open(newline="") as file:
        assert [row["participant_id"] for row in csv.DictReader(file, delimiter="\t")] == [
            "sub-000",
            "sub-001",
        ]
    assert calling("--all", "--stride", "2", cohort=cohort) == 0
    assert "kept 2 maps from before" in capsys.readouterr().err
    assert calling("--all", "--stride", "3", cohort=cohort) == 1
    assert "maps of sub-000 must be new" in capsys.readouterr().err
    assert calling("--participant", "sub-001", "--stride", "2", cohort=cohort) == 1
    assert "maps of sub-001 must be new" in capsys.readouterr().err


def test_mlflow_that_is_gone_is_tried_once(
    calling: Callable[..., int],
    make_cohort: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried: list[str] = []
    monkeypatch.setattr(several, "publish", lambda made, *_: tried.append(made.participant))
    cohort = make_cohort(tmp_path / "other", participants=3, biopsies=6, seed=5)
    assert calling("--all", "--stride", "3", cohort=cohort, tracking=True) == 0
    assert tried == ["sub-000"]
    assert "the 2 after it are not logged either" in capsys.readouterr().err


def test_wrong_flags_are_refused_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; from search.cli import main; code = main(sys.argv[1:]); "
        "print(code, {'numpy', 'tensorflow', 'scipy', 'matplotlib', 'mlflow', 'optuna'} & set(sys.modules))"
    )
    words = ["map", "m", "c", "--all", "--out", str(tmp_path), "--truth", "x"]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 set()"
    assert "--truth: it is read with --score alone" in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--participant", "sub-03"), "did you mean 'sub-003'?"),
        (("--participant", "sub-003", "--truth", "x"), "--truth: it is read with --score alone"),
        (("--participant", "sub-003", "--score"), "truth"),
        (("--participant", "sub-003", "--tracking-uri", "nonsense"), "tracking URI"),
        (("--participant", "sub-003", "--mask", "no.nii.gz"), "no.nii.gz"),
    ],
)
def test_wrong_input_is_a_line_and_leaves_nothing(
    calling: Callable[..., int],
    words: tuple[str, ...],
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert calling(*words) == 1
    told = capsys.readouterr()
    assert line in told.err
    assert "Traceback" not in told.err
    assert told.out == ""
    assert not (tmp_path / "maps").exists() or not any((tmp_path / "maps").iterdir())


def test_a_mask_of_another_grid_is_refused(
    calling: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)), tmp_path / "small.nii.gz")
    assert calling("--participant", "sub-003", "--mask", str(tmp_path / "small.nii.gz")) == 1
    assert "small.nii.gz" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_refused(
    modelled: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    words = [
        "--participant",
        "sub-000",
        "--out",
        str(tmp_path / "file" / "maps"),
        "--home",
        str(modelled.home),
    ]
    assert main(["map", "shallow", str(modelled.cohort), *words]) == 1
    assert "--out" in capsys.readouterr().err
