"""`radsearch predict` as a user meets it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.cohort import read_cohort
from data_prep.folds import read_folds
from search.cli import main
from search.deployment.model import Model
from search.deployment.predicting import COLUMNS
from search.deployment.records import Shown
from search.deployment.showing import shown_sites
from tests.search.deployment.conftest import Refitted


@pytest.fixture(scope="module")
def world(refitted: Refitted, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a `cohort` and a `home` with a model of it; not to be written to."""
    folder = tmp_path_factory.mktemp("predict")
    shutil.copytree(refitted.cohort, folder / "cohort")
    shutil.copytree(refitted.home.root, folder / "home")
    return folder


@pytest.fixture
def predict(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[dict[str, Any], list[list[str]], list[str]]]:
    """Runs the command with `--json`; returns its document, the table's rows and what it said on stderr."""

    def run(*options: str, model: str = "shallow", cohort: Path | None = None) -> Any:
        out = tmp_path / "said.tsv"
        command = ["predict", model, str(cohort or world / "cohort"), "--out", str(out), "--json"]
        assert main([*command, "--home", str(world / "home"), *options]) == 0
        told, err = capsys.readouterr()
        lines = [line.split("\t") for line in out.read_text().splitlines()]
        assert tuple(lines[0]) == COLUMNS
        return json.loads(told), lines[1:], err.splitlines()

    return run


def test_the_table_says_what_the_model_says(predict: Any, world: Path) -> None:
    record, rows, err = predict()
    model, cohort = Model.open(world / "home/models/shallow/1"), read_cohort(world / "cohort")
    said = model.predictor().say(shown_sites(model, cohort, cohort.biopsies))
    assert [row[0] for row in rows] == [site.biopsy_id for site in cohort.biopsies]
    np.testing.assert_array_equal([float(row[6]) for row in rows], said.probability[:, 0])
    np.testing.assert_array_equal([float(row[7]) for row in rows], said.spread[:, 0])
    np.testing.assert_array_equal([float(row[9]) for row in rows], said.distance)
    assert [row[8] + row[10] for row in rows] == [
        f"{int(positive)}{int(unlike)}"
        for positive, unlike in zip(said.positive[:, 0], said.unlike, strict=True)
    ]
    assert record["rows"][3]["probability"] == said.probability[3, 0]
    assert (record["cohort"], record["out_of_fold"], record["model"]["name"]) == ("toy", False, "shallow")
    assert record["sites"] == {"all": 36, "predicted": 36, "unlike": int(said.unlike.sum())}
    assert record["participants"] == {"all": 12, "in_training": 12}
    assert any(line.startswith("12 of 12 participants were in the training set:") for line in err)
    assert any("use --out-of-fold" in line for line in err)


def test_out_of_fold_each_participant_is_told_by_members_that_never_saw_them(
    predict: Any, world: Path
) -> None:
    record, rows, err = predict("--out-of-fold")
    model, cohort = Model.open(world / "home/models/shallow/1"), read_cohort(world / "cohort")
    shown = shown_sites(model, cohort, cohort.biopsies)
    table = read_folds(world / "home/studies/shallow/folds.tsv")
    fold = dict(zip(table.biopsy_id, table.fold[0].tolist(), strict=True))
    for row, site in enumerate(cohort.biopsies):
        alone = model.predictor(fold[site.biopsy_id]).say(Shown(shown.patches.take([row])))
        assert float(rows[row][6]) == alone.probability[0, 0]
    assert record["out_of_fold"] is True
    assert not [line for line in err if "were in the training set" in line]


def test_other_sites_are_told_as_biopsies_there_would_be(predict: Any, world: Path, tmp_path: Path) -> None:
    header, first, *_ = (world / "cohort/biopsies.tsv").read_text().splitlines()
    (tmp_path / "sites.tsv").write_text(f"{header}\nnew{first[3:]}\nother\tsub-004\t0\t0\t0\n")
    record, rows, _ = predict("--sites", str(tmp_path / "sites.tsv"))
    assert [row[0] for row in rows] == ["new", "other"]
    assert rows[0][5:] == predict()[1][0][5:]
    assert record["sites"]["all"] == 2


def test_what_lacks_a_needed_sequence_is_not_available_and_counted(
    predict: Any, world: Path, tmp_path: Path
) -> None:
    cohort = shutil.copytree(world / "cohort", tmp_path / "cohort")
    (cohort / "sub-002/T2.nii.gz").unlink()
    record, rows, err = predict(cohort=cohort)
    lacking = [row for row in rows if row[1] == "sub-002"]
    assert len(lacking) == 3
    assert all(row[6:] == ["n/a"] * 5 for row in lacking)
    assert all("n/a" not in row for row in rows if row[1] != "sub-002")
    assert record["sites"]["predicted"] == 33
    (line,) = [line for line in err if line.startswith("nothing can be said of")]
    assert line.startswith("nothing can be said of 3 of 36 sites: a sequence that everybody in the training")
    assert line.endswith("(T2); they are n/a (sub-002)")


def test_new_participants_are_told_by_members_that_learned_from_all(
    predict: Any, make_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    cohort = make_cohort(tmp_path / "new", participants=3, biopsies=6, seed=9, genes=())
    _, plain, err = predict(cohort=cohort)
    assert not [line for line in err if "training set:" in line]
    _, rows, err = predict("--out-of-fold", cohort=cohort)
    assert rows == plain
    assert any(line.startswith("3 of 3 participants were not in the training set") for line in err)


def test_a_reader_without_json_gets_a_summary(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "said.tsv"
    command = ["predict", str(world / "home/models/shallow/1"), str(world / "cohort"), "--out", str(out)]
    assert main([*command, "--home", str(world / "home")]) == 0
    told = capsys.readouterr().out
    assert "CD3D" in told
    assert "research use only" in told
    assert told.splitlines()[-1] == f"wrote {out}"


def test_an_earlier_table_is_replaced_whole_and_stays_where_there_is_something_wrong(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cohort = tmp_path / "said.tsv", shutil.copytree(world / "cohort", tmp_path / "cohort")
    out.write_text("mine")
    damaged = cohort / "sub-003/T1.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    home = ["--home", str(world / "home")]
    assert main(["predict", "shallow", str(cohort), "--out", str(out), *home]) == 1
    assert "sub-003/T1.nii.gz" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert main(["predict", "shallow", str(world / "cohort"), "--out", str(out), *home]) == 0
    capsys.readouterr()
    assert out.read_text().startswith("biopsy_id\t")
    for wrong, says in (("said.csv", "--out: a name that ends in .tsv"), ("said.tsv/more.tsv", "--out: ")):
        assert main(["predict", "shallow", str(cohort), "--out", str(tmp_path / wrong), *home]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--out", "said.csv"), "--out: a name that ends in .tsv is needed"),
        (("--out", "said.tsv", "--tracking-uri", "nonsense"), "tracking URI: the scheme must be one of"),
    ],
)
def test_a_wrong_flag_is_told_before_anything_heavy_is_loaded(options: tuple[str, ...], says: str) -> None:
    code = (
        "import sys; from search.cli import main; code = main();"
        "print(*{'scipy', 'sklearn', 'mlflow', 'skops', 'nibabel'} & set(sys.modules)); sys.exit(code)"
    )
    command = [sys.executable, "-P", "-c", code, "predict", "shallow", "cohort", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "\n")
    assert says in done.stderr
