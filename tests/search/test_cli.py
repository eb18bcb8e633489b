"""The command line as a user meets it: exit codes, one line a problem, nothing else on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from search.cli import build_parser, main
from search.study_file import Study

MakeCohort = Callable[..., Path]


def run(*args: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main([str(arg) for arg in args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from search.cli import main
try:
    main(["--help"])
except SystemExit as end:
    heavy = {"numpy", "optuna", "mlflow", "tensorflow", "keras", "nibabel", "rich"} & set(sys.modules)
    sys.exit(f"loaded: {heavy}" if heavy else end.code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("phantom", "patches", "run", "list", "show", "ui"):
        assert command in done.stdout


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("radsearch 0.")


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["fly"],
        ["run"],
        ["patches", "cohort"],
        ["run", "s.toml", "--trials", "x"],
        ["run", "s.toml", "--timeout", "-3"],
        ["run", "s.toml", "--timeout", "nan"],
        ["ui", "--port", "99999"],
    ],
)
def test_wrong_usage_exits_with_2(args: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build_parser().parse_args(args)


def test_patches_have_the_promised_arrays(
    make_cohort: MakeCohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort, out = make_cohort(tmp_path / "cohort"), tmp_path / "patches.npz"
    options = ("--radius", "3", "--slices", "3", "--home", tmp_path / "home", "--out", out)
    assert run("patches", cohort, *options, capsys=capsys)[0] == 0
    with np.load(out) as arrays:
        assert arrays["patches"].shape == (36, 7, 7, 9)
        assert arrays["patches"].dtype == np.float32
        assert arrays["channel"][:4].tolist() == ["T1[-1]", "T1Gd[-1]", "T2[-1]", "T1"]
        assert arrays["label"].sum() == 18
        assert {"tpm", "biopsy_id", "participant_id"} <= set(arrays.files)
        assert arrays["present"].all()
        assert arrays["present"].shape == (36, len(arrays["sequence"]))
        assert arrays["padded"].shape == (36,)


def test_raw_patches_are_normalised_by_one_mean_and_one_deviation_an_image(
    make_cohort: MakeCohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    for name, extra in (("raw.npz", ["--raw"]), ("plain.npz", [])):
        run(
            "patches",
            cohort,
            "--radius",
            "2",
            "--home",
            tmp_path,
            "--out",
            tmp_path / name,
            *extra,
            capsys=capsys,
        )
    raw, plain = np.load(tmp_path / "raw.npz")["patches"], np.load(tmp_path / "plain.npz")["patches"]
    x, y = raw[0, ..., 0].ravel().astype(float), plain[0, ..., 0].ravel().astype(float)
    slope, offset = np.polyfit(x, y, 1)
    assert y == pytest.approx(slope * x + offset, abs=1e-4)
    assert slope > 0


def test_a_cohort_to_predict_on_gives_patches_without_labels(
    make_cohort: MakeCohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = make_cohort(tmp_path / "cohort", genes=())
    run("patches", cohort, "--radius", "2", "--home", tmp_path, "--out", tmp_path / "p.npz", capsys=capsys)
    with np.load(tmp_path / "p.npz") as arrays:
        assert set(arrays["label"].tolist()) == {-1}
        assert np.isnan(arrays["tpm"]).all()


def test_patches_at_another_spacing_cover_more_or_less_of_the_brain(
    make_cohort: MakeCohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    for name, spacing in (("one.npz", "1.0"), ("two.npz", "2.0")):
        options = (
            "--radius",
            "2",
            "--home",
            tmp_path,
            "--raw",
            "--spacing",
            spacing,
            "--out",
            tmp_path / name,
        )
        assert run("patches", cohort, *options, capsys=capsys)[0] == 0
    one, two = np.load(tmp_path / "one.npz")["patches"], np.load(tmp_path / "two.npz")["patches"]
    assert one.shape == two.shape
    assert not np.allclose(one, two)


def set_cell(path: Path, row: int, column: int, text: str) -> None:
    """Change one cell of a table, rows counted as in an editor."""
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    rows[row - 1][column] = text
    path.write_text("\n".join("\t".join(cells) for cells in rows) + "\n")


def rewrite_image(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image = nib.load(path)
    nib.save(nib.Nifti1Image(change(image.get_fdata(dtype=np.float32)), image.affine), path)


def with_nan(data: np.ndarray) -> np.ndarray:
    data[3, 4, 5] = np.nan
    return data


def one_slice_less(data: np.ndarray) -> np.ndarray:
    return data[:-1]


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (lambda c: (c / "cohort.toml").unlink(), ["cohort.toml"]),
        (lambda c: set_cell(c / "biopsies.tsv", 1, 1, "who"), ["biopsies.tsv: row 1, column participant_id"]),
        (lambda c: set_cell(c / "biopsies.tsv", 4, 2, "left"), ["biopsies.tsv: row 4, column x", "left"]),
        (lambda c: set_cell(c / "biopsies.tsv", 5, 0, "b00"), ["biopsies.tsv: row 5, column biopsy_id"]),
        (
            lambda c: set_cell(c / "biopsies.tsv", 6, 4, "400"),
            ["biopsies.tsv: row 6", "z", "inside the grid"],
        ),
        (lambda c: set_cell(c / "expression.tsv", 7, 1, "high"), ["expression.tsv: row 7, column CD3D"]),
        (lambda c: (c / "sub-001" / "T1.nii.gz").write_bytes(b"\x1f\x8bxx"), ["sub-001/T1.nii.gz"]),
        (lambda c: os.truncate(c / "sub-002" / "T2.nii.gz", 5000), ["sub-002/T2.nii.gz"]),
        (lambda c: rewrite_image(c / "sub-003" / "T1.nii.gz", with_nan), ["sub-003/T1.nii.gz", "finite"]),
        (lambda c: rewrite_image(c / "sub-004" / "T2.nii.gz", one_slice_less), ["sub-004/T2.nii.gz", "grid"]),
    ],
)
def test_bad_input_exits_with_1_and_leaves_no_file(
    make_cohort: MakeCohort,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], Any],
    lines: list[str],
) -> None:
    cohort = make_cohort(tmp_path / "cohort")
    change(cohort)
    code, out, err = run(
        "patches",
        cohort,
        "--radius",
        "2",
        "--home",
        tmp_path / "h",
        "--out",
        tmp_path / "p.npz",
        capsys=capsys,
    )
    assert (code, out) == (1, "")
    assert any(all(part in problem for part in lines) for problem in err.splitlines())
    assert len(err.splitlines()) <= 3  # a lacking column may be missed in more than one place
    assert "Traceback" not in err
    assert not (tmp_path / "p.npz").exists()
    assert not list(tmp_path.glob(".p.npz*"))


def test_all_problems_of_a_study_come_one_a_line(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)
    overrides = ["--set", "validation.folds=99", "--set", "label.genes=['CD3X']"]
    code, _, err = run("run", tmp_path / "study.toml", "--home", tmp_path / "h", *overrides, capsys=capsys)
    told = ("reading volumes", "nvidia-smi lists no GPU")  # progress, and where slots run
    lines = [line for line in err.splitlines() if not line.startswith(told)]
    assert code == 1
    assert len(lines) == 2
    assert not (tmp_path / "h" / "optuna.journal").exists()


def test_a_wrong_tracking_uri_is_refused_before_the_study_is_made(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)
    options = ("--tracking-uri", "mlruns", "--home", tmp_path / "h")
    code, _, err = run("run", tmp_path / "study.toml", *options, capsys=capsys)
    assert (code, "but got 'mlruns'" in err) == (1, True)
    assert not (tmp_path / "h").exists()


def test_sqlite_with_two_workers_is_refused(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)
    options = ("--workers", "2", "--storage", f"sqlite:///{tmp_path}/t.db", "--home", tmp_path / "h")
    code, _, err = run("run", tmp_path / "study.toml", *options, capsys=capsys)
    assert (code, "SQLite serves one slot" in err) == (1, True)


def test_show_prints_one_json_document_and_list_names_the_study(
    finished: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run("show", "toy", "--json", "--home", finished.home.root, capsys=capsys)
    assert (code, json.loads(out)["study"]) == (0, "toy")
    code, out, _ = run("list", "--json", "--home", finished.home.root, capsys=capsys)
    assert [(study["study"], study["trials"]) for study in json.loads(out)["studies"]] == [("toy", 2)]


def test_the_human_views_name_the_best_trial(finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, _ = run("show", "toy", "--home", finished.home.root, capsys=capsys)
    assert "* best: trial" in shown
    _, listed, _ = run("list", "--home", finished.home.root, capsys=capsys)
    assert "toy" in listed


def test_an_unknown_study_names_the_nearest(finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("show", "tyo", "--home", finished.home.root, capsys=capsys)
    assert (code, "did you mean 'toy'" in err) == (1, True)


def test_looking_at_an_empty_home_makes_no_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("list", "--home", tmp_path / "h", capsys=capsys)
    assert (code, "no study in" in out) == (0, True)
    assert run("ui", "--home", tmp_path / "h", capsys=capsys)[0] == 1
    assert not (tmp_path / "h").exists()


def test_a_phantom_is_written_and_says_its_ceiling(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = ("--participants", "3", "--biopsies", "6", "--size", "32")
    code, out, _ = run("phantom", tmp_path / "ph", *size, capsys=capsys)
    assert (code, "best possible AUC" in out) == (0, True)
    assert (tmp_path / "ph" / "truth" / "answers.json").exists()
    code, _, err = run("phantom", tmp_path / "ph", *size, capsys=capsys)
    assert (code, len(err.strip().splitlines())) == (1, 1)


def test_a_home_that_cannot_be_written_is_one_line(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_study(tmp_path)
    (tmp_path / "file").write_text("in the way")
    code, _, err = run("run", tmp_path / "study.toml", "--home", tmp_path / "file" / "home", capsys=capsys)
    lines = [line for line in err.splitlines() if "reading volumes" not in line]
    assert code == 1
    assert len(lines) == 1
    assert "home" in lines[0]
