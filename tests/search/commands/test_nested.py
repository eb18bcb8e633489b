"""Nested cross-validation through the command line, on a finished study and on a file that was never run."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from data_prep.folds import read_folds
from search.cli import main
from search.commands.nested import doubts, folds_table, remarks
from search.home import Home
from search.material import prepare
from search.opening import study_id
from search.recorded import recorded_study
from search.refits.nested import read_nested
from search.sections import LabelSection
from search.statistics.performance import Measured
from tests.search.refits.test_nested import NESTED


@pytest.fixture
def world(shallow: Path, tmp_path: Path) -> Path:
    """The finished study of baselines with a home that may be written to."""
    shutil.copytree(shallow / "home", tmp_path / "home")
    text = (shallow / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace('"cohort"', json.dumps(str(shallow / "cohort"))))
    return tmp_path


def nested(
    world: Path, *args: str, home: str = "home", capsys: pytest.CaptureFixture[str]
) -> tuple[Any, str]:
    capsys.readouterr()
    code = main(["nested", str(world / "study.toml"), "--home", str(world / home), *args, "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out), told.err


def test_a_studys_own_table_is_the_outer_one_and_the_result_is_kept(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, err = nested(world, "--configurations", "3", "--inner", "3", capsys=capsys)
    folder = Home.at(world / "home").study("shallow")
    kept = read_nested(folder)
    assert kept is not None
    assert json.loads(json.dumps(kept.record())) == told
    assert told["table"] == read_folds(folder.folds).hash
    recorded, study = recorded_study(Home.at(world / "home"), None, "shallow")
    material = prepare(study, Home.at(world / "home"), frozen=True)
    assert told["study_id"] == study_id(recorded)
    assert (told["labels"], told["patches"]) == (material.labels_hash, material.patches.hash)
    refitted = sum(len(fold["selected"]) for fold in told["folds"])  # equal configurations count once
    assert (len(told["folds"]), told["fits"], told["failed"]) == (3, 3 * 3 * 3 + refitted, 0)
    assert "shallow: up to 36 fits; training alone takes about" in err
    auc = told["performance"]["roc_auc"]
    assert auc["low"] < auc["value"] < auc["high"]


def test_a_validation_goes_on_where_it_ended_and_gives_the_same(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--configurations", "3", "--inner", "3")
    whole, _ = nested(world, *args, capsys=capsys)
    ledger = Home.at(world / "home").study("shallow").root / "refits" / "nested.jsonl"
    booked = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(booked[:20]) + booked[20][:50])  # killed in the middle of a line
    again, _ = nested(world, *args, "--workers", "2", capsys=capsys)
    assert {**again, "fit_seconds": 0} == {**whole, "fit_seconds": 0}
    assert len(ledger.read_bytes().splitlines()) == len(booked) == whole["fits"]


def test_a_file_that_was_never_run_gives_the_same_as_the_study(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--configurations", "3", "--inner", "3")
    told, _ = nested(world, *args, home="home", capsys=capsys)
    fresh, err = nested(world, *args, home="fresh", capsys=capsys)
    assert {**fresh, "fit_seconds": 0} == {**told, "fit_seconds": 0, "study_id": ""}
    assert "shallow: up to 36 fits, with 1 process" in err  # nothing tells how long one takes


def test_the_default_is_as_many_configurations_as_the_study_has_trials(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, _ = nested(
        world, "--set", "search.selection=argmax", "--inner", "2", "--repeats", "2", capsys=capsys
    )
    assert (told["configurations"], told["fits"], told["repeats"]) == (6, 6 * (6 * 2 + 1), 2)
    assert told["overrides"] == ["search.selection=argmax"]
    assert [len(fold["selected"]) for fold in told["folds"]] == [1] * 6


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ["--set", 'space.architecture=["small_cnn"]', "--set", "search.trials=21"],
            "--configurations: 21 configurations of networks .small_cnn.",
        ),
        (["--set", "label.rule=above:1"], "label.rule: must stay 'above-median', as study 'shallow'"),
        (
            ["--set", 'search.enqueue=[{ architecture = "roi_means", patch_radius = 4 }]'],
            r"search.enqueue: must stay \[\], with which study 'shallow' of this home began, but got \[\{",
        ),
        (["--set", "space.patch_radius=3"], "space.patch_radius: must stay .*'high': 4.*but got 3"),
        (["--set", "input.slices=3"], "input.slices: must stay 1"),
        (["--set", "validation.seed=1"], "validation.seed: must stay 0"),
        (["--set", "training.epoch=1"], "training.epoch: unknown key"),
        (["--inner", "9"], "outer fold 0: --inner: 9 folds need"),
    ],
)
def test_what_cannot_be_validated_is_refused_in_a_line(
    world: Path, args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["nested", str(world / "study.toml"), "--home", str(world / "home"), *args]) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if "fits" not in line]
    assert len(error) == 1
    assert re.search(told, error[0])


def test_what_is_put_in_line_by_running_a_study_again_is_not_what_it_began_with(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = ["--set", 'search.enqueue=[{ architecture = "roi_means", patch_radius = 4 }]']
    study = [str(world / "study.toml"), "--home", str(world / "home"), *best]
    assert main(["run", *study, "--set", "search.trials=7"]) == 0
    capsys.readouterr()
    assert main(["nested", *study, "--configurations", "1"]) == 1
    assert "search.enqueue: must stay [], with which study 'shallow'" in capsys.readouterr().err


def test_an_impossible_inner_search_is_refused_before_anything_is_forecast(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["nested", str(world / "study.toml"), "--home", str(world / "home"), "--inner", "9"]) == 1
    assert "up to" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (LabelSection(), "drawn through the whole cohort"),
        (LabelSection(genes=("A", "B"), rule="above:0"), "several genes are z-scored"),
        (LabelSection(genes=("A", "B"), threshold_from="training"), None),
        (LabelSection(rule="above:1.03"), None),
    ],
)
def test_labels_that_know_the_outer_fold_are_told(label: LabelSection, said: str | None) -> None:
    told = list(doubts(replace(NESTED, overrides=()), label, optuna.create_study()))
    assert len(told) == (said is not None)
    assert said is None or said in told[0]


def test_what_the_command_line_set_and_what_no_record_vouches_for_is_told() -> None:
    fixed, recorded = LabelSection(rule="above:1"), optuna.create_study()
    told = "\n".join(doubts(NESTED, fixed, None))
    assert "set on the command line, otherwise than in the file: training.epochs=2" in told
    assert "must not come from results on this cohort" in told
    assert "training.epochs=2" in str(folds_table(NESTED).title)
    recorded.set_user_attr("space_changes", [{"parameter": "patch_radius", "before": {}, "now": {}}])
    told = "\n".join(doubts(NESTED, fixed, recorded))
    assert "the space was changed after the search had begun (patch_radius)" in told
    assert "must not come from results on this cohort" not in told


def test_the_result_is_said_in_words() -> None:
    said = "\n".join(remarks(NESTED))
    assert "roc auc of the whole search, selection included: 0.550 (95 % interval 0.400 to 0.700)" in said
    assert "every outer fold selected the same" in said
    folds = (replace(NESTED.folds[0], selected=(2,)), *NESTED.folds[1:])
    undefined = {"roc_auc": Measured(None, None, None)}
    said = "\n".join(remarks(replace(NESTED, folds=folds, performance=undefined, failed=2)))
    assert "outer folds differ: mean overlap of two folds' selections 0.33" in said
    assert "selection included: - (95 % interval - to -)" in said
    assert said.endswith("2 of 54 fits failed")
    assert folds_table(NESTED).row_count == 3
