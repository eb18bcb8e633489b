"""The permutation test through the command line, on a phantom without signal."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from search.cli import main
from search.commands.test import remarks, verdict
from search.commands.test import tests_table as table_of
from search.home import Home
from search.refits.permutation import read_permutation
from search.refits.permuting import p_value
from tests.search.refits.test_permutation import TEST

LOCATION = ({"architecture": "location"},)
STUDY = """
name = "null"
cohort = "cohort"
[validation]
folds = 3
[search]
trials = 4
sampler = "random"
pruner = "none"
enqueue = [{ architecture = "roi_means", patch_radius = 5 }]
[training]
early_stopping = "none"
[space]
architecture = ["constant", "location", "roi_means"]
patch_radius = { low = 2, high = 6 }
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished search on a phantom without signal."""
    folder = tmp_path_factory.mktemp("null")
    sizes = ["--participants", "12", "--biopsies", "36", "--size", "32", "--signal", "none"]
    assert main(["phantom", str(folder / "cohort"), *sizes]) == 0
    (folder / "study.toml").write_text(STUDY)
    assert main(["run", str(folder / "study.toml"), "--home", str(folder / "home")]) == 0
    return folder / "home"


def record(home: Path, *args: str, capsys: pytest.CaptureFixture[str]) -> tuple[Any, str]:
    capsys.readouterr()
    code = main(["test", "null", "--home", str(home), "--configurations", "3", *args, "--json"])
    told = capsys.readouterr()
    assert code == 0, told.err
    return json.loads(told.out), told.err


def lines(home: Path, what: str) -> int:
    path = Home.at(home).study("null").root / "refits" / f"permutation-{what}.jsonl"
    return len(path.read_text().splitlines())


def test_a_test_that_is_given_more_permutations_gives_what_it_would_have_given_at_once(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("parts", "whole"):
        shutil.copytree(searched, tmp_path / name)
    first, told = record(tmp_path / "parts", "--permutations", "2", capsys=capsys)
    assert "null, labels shuffled between participants: 27 fits; training alone takes about" in told
    assert (lines(tmp_path / "parts", "observed"), lines(tmp_path / "parts", "global")) == (9, 18)
    parts, told = record(tmp_path / "parts", "--permutations", "5", "--workers", "2", capsys=capsys)
    assert "54 fits, 27 of them kept from before" in told
    assert lines(tmp_path / "parts", "global") == lines(tmp_path / "parts", "within") == 45
    whole, _ = record(tmp_path / "whole", "--permutations", "5", capsys=capsys)
    for null in ("global", "within"):
        assert parts[null]["values"][:2] == first[null]["values"]
        assert [one["p_value"] for one in parts[null]["earlier"]] == [first[null]["p_value"]]
        assert {**parts[null], "fit_seconds": 0, "earlier": []} == {**whole[null], "fit_seconds": 0}


def test_the_test_is_kept_in_the_studys_folder_and_another_seed_is_another_test(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(searched, tmp_path / "home")
    told, _ = record(tmp_path / "home", "--permutations", "2", "--null", "within", capsys=capsys)
    folder = Home.at(tmp_path / "home").study("null")
    kept = read_permutation(folder, "within")
    assert set(told) == {"study", "within"}
    assert kept is not None
    assert json.loads(json.dumps(kept.record())) == told["within"]
    assert read_permutation(folder) is None
    other, _ = record(
        tmp_path / "home", "--permutations", "2", "--null", "within", "--seed", "1", capsys=capsys
    )
    assert other["within"]["values"] != told["within"]["values"]
    assert other["within"]["protocol"] != told["within"]["protocol"]


def test_a_reduction_is_declared_and_made(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(searched, tmp_path / "home")
    reduction = ("--set", "space.architecture=constant")
    told, _ = record(tmp_path / "home", "--permutations", "3", "--null", "global", *reduction, capsys=capsys)
    assert told["global"]["reductions"] == [
        "space.architecture=constant",
        "space.patch_radius: means nothing in the smaller space",
        "search.enqueue: 1 of 1 are not in the smaller space",
    ]
    assert told["global"]["declared_after"] is True
    assert told["global"]["selected"][0]["architecture"] == "constant"
    # A constant ranks nothing: each permutation reaches it, and none can be told from the others.
    assert (told["global"]["observed"], told["global"]["p_value"]) == (0.5, 1.0)


def test_the_tables_say_what_was_found_in_words(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(searched, tmp_path / "home")
    capsys.readouterr()
    assert main(["test", "null", "--permutations", "1", "--home", str(tmp_path / "home")]) == 0
    out = capsys.readouterr().out
    assert "between participants" in out
    assert "within participants" in out
    assert "no p below 0.05 is possible with fewer than 19 permutations" in out
    assert "each search: 20 configurations, selection rank-average" in out
    assert "participants have" in out  # the phantom's 36 biopsies are not 3 of each
    assert "test number" not in out
    reduction = ["--set", "space.patch_radius={ low = 3, high = 4 }"]
    again = ["test", "null", "--permutations", "1", "--seed", "1", "--null", "global"]
    assert main([*again, *reduction, "--home", str(tmp_path / "home")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "But the reduction of the space was declared after the search: this p-value is not valid" in out
    assert "test number 2 of this null on this study" in out
    assert "1 permutations, 20 configurations, seed 0" in out


def test_a_study_run_again_with_its_best_trial_in_line_is_tested_as_it_began(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The search of one configuration that was chosen by results would be no test of anything."""
    shutil.copytree(searched, tmp_path / "home")
    args = ("--permutations", "1", "--null", "global", "--configurations", "1")
    before, _ = record(tmp_path / "home", *args, capsys=capsys)
    best = 'search.enqueue=[{ architecture = "roi_means", patch_radius = 2 }]'
    study = ["run", str(searched.parent / "study.toml"), "--home", str(tmp_path / "home")]
    assert main([*study, "--set", best, "--set", "search.trials=5"]) == 0
    after, _ = record(tmp_path / "home", *args, capsys=capsys)
    assert before["global"]["selected"][0]["patch_radius"] == 5
    for key in ("selected", "observed", "values", "protocol"):
        assert after["global"][key] == before["global"][key]
    assert after["global"]["reductions"] == [
        "search.enqueue: 1 put in line after the search had begun are left out"
    ]
    assert after["global"]["declared_after"] is False


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (
            ["null", "--without-refits"],
            "17 % of cohorts without any.*valid is: radsearch test null --permutations 199",
        ),
        (["nul"], "no study 'nul'.*null"),
        (["null", "--set", "label.rule=above:2"], "--set: only .* may be reduced, but got label.rule"),
        (["null", "--set", "search.enqueue=[]"], "--set: only .* may be reduced, but got search.enqueue"),
        (["null", "--set", "space.architecture=resnet51"], "unknown name 'resnet51'"),
        (["null", "--workers", "0"], "--workers: 1 to"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_a_line(
    searched: Path, args: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["test", *args, "--home", str(searched)]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(told, error)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            (0.5,) * 99,
            "0 of 99 searches .* reach 0.610 .p = 0.010.: at the 5 % level the images tell the label",
        ),
        ((0.7,) * 10 + (0.5,) * 89, "10 of 99 .*: at the 5 % level this can be chance"),
        ((None,) + (0.5,) * 17, "1 of 18 .*: no p below 0.05 is possible"),
    ],
)
def test_a_test_is_said_in_a_sentence(values: tuple[float | None, ...], said: str) -> None:
    test = replace(TEST, values=values, permutations=len(values), p_value=p_value(TEST.observed, values))
    assert re.match(said, verdict(test))


def test_a_claim_that_rests_on_no_image_does_not_name_the_images() -> None:
    test = replace(TEST, values=(0.5,) * 99, permutations=99, p_value=0.01, selected=LOCATION)
    assert "something beside the images (location) tells the label of a biopsy" in verdict(test)
    within = replace(test, null="within")
    assert "(location) tells the biopsies of one participant apart" in verdict(within)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(table_of([test]))
    assert "location" in shown.get()


@pytest.mark.parametrize(
    ("null", "participant", "said"),
    [("global", [0, 0, 1], 1), ("global", [0, 0, 1, 1], 0), ("within", [0, 0, 1], 0)],
)
def test_a_test_that_is_not_exact_says_so(null: str, participant: list[int], said: int) -> None:
    told = remarks([replace(TEST, null=null)], np.array(participant))
    assert sum("participants have 1 to 2 biopsies" in line for line in told) == said


def test_less_training_is_told_from_a_smaller_space() -> None:
    power = "to reduce training and folds costs power alone"
    assert any(power in line for line in remarks([TEST], np.zeros(1, int)))
    late = replace(TEST, reductions=("space.patch_radius=5",), declared_after=True)
    assert not any(power in line for line in remarks([late], np.zeros(1, int)))
    assert "not valid as evidence" in verdict(late)
    assert "not valid as evidence" not in verdict(TEST)
