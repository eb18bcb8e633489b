"""What the commands that judge a study refuse, and that they then leave everything as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search.cli import main
from tests.contracts.bad_input import KEPT, Case, check_refused, nothing, replaced

HOME = " --home {world}/home"
# Beside the patches: locks, whose content is nothing; logs of children; and the ledger of fits, which may be
# opened before a fit is refused.
LEFT = KEPT + r"|home/(reaper|doctor)\.lock$|home/studies/toy(/logs|/refits)?(/[\w-]+\.(log|jsonl))?$"


@pytest.fixture(scope="session")
def judged_world(sound_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound world with its study run, and a second one of other folds."""
    folder = tmp_path_factory.mktemp("judged") / "world"
    shutil.copytree(sound_world, folder)
    for changes in ((), ("--set", "name=other", "--set", "validation.seed=5")):
        assert main(["run", str(folder / "study.toml"), "--home", str(folder / "home"), *changes]) == 0
    return folder


@pytest.fixture
def world(judged_world: Path, tmp_path: Path) -> Path:
    """A copy of it, at the place where it was made: a study names its cohort by its path."""
    copy = tmp_path / "world"
    shutil.copytree(judged_world, copy)
    definition = copy / "home/studies/toy/study.json"
    definition.write_text(definition.read_text().replace(str(judged_world), str(copy)))
    return copy


def typed(command: str, says: str, spoil: Callable[[Path], object] = nothing) -> Case:
    return Case(command.replace("{world}", "")[:70], spoil, says, command + HOME)


JUDGING = ("rescore {}", "test {}", "audit {}", "report {} --out {{world}}/out")
UNKNOWN = [typed(command.format("nope"), r"STUDY: no study 'nope' in .*toy") for command in JUDGING]
MOVED = [
    typed(command.format("toy"), r"cohort.toml: the file must be readable", lambda world: _moved(world))
    for command in JUDGING[:-1]  # a report without its cohort leaves out the pictures of patches
]
CHANGED = [
    typed(
        command.format("toy"),
        r"cohort.labels: must stay as at the study's start",
        lambda world: _other_expression(world),
    )
    for command in JUDGING
]
CASES = [
    *UNKNOWN,
    *MOVED,
    *CHANGED,
    typed("compare toy", r"STUDY: two or more are needed to compare, but got 1"),
    typed("compare toy nope", r"no study 'nope'"),
    typed("compare toy toy:99", r"no trial '99'"),
    typed("compare toy toy:x", r"'?x'?"),
    typed("compare toy other", r"identical fold|same fold"),
    typed("compare toy toy:0 --metric rocauc", r"roc_auc"),
    typed("test toy --without-refits", r"--without-refits: .*17 % of cohorts"),
    typed("test toy --set search.metric=brier", r"--set: .*search.metric"),
    typed("test toy --set training.epochs=0", r"training.epochs: must be .* but got 0"),
    typed("test toy --set space.architecture=['nope']", r"space.architecture.*'nope'"),
    typed("test toy --workers 0", r"--workers: .* but got 0"),
    typed("test toy --gpus 7", r"--gpus: must name GPUs of this machine"),
    typed("test toy --permutations 0", r"error: argument --permutations: a whole number from 1 on"),
    typed("rescore toy --workers -1", r"--workers: .* but got -1"),
    typed("rescore toy --scheme biopsy", r"error: argument --scheme: invalid choice"),
    typed("rescore toy --top x", r"error: argument --top: a whole number from 1 on is needed, but got x"),
    typed("nested {world}/nothing.toml", r"nothing.toml: a study file is needed"),
    typed("nested {world}/study.toml --set a.b=1", r"study.toml: a: unknown key"),
    typed("nested {world}/study.toml --inner 50", r"inner|folds"),
    typed("report toy --out {world}/cohort", r"--out: "),
    typed("report toy --out {world}/study.toml", r"--out: "),
    typed("report toy", r"error: the following arguments are required: --out"),
    typed(
        "audit toy",
        r"folds.tsv: row 1: folds are frozen, but the rows below have sha256",
        replaced("home/studies/toy/folds.tsv", "\t0\n", "\t1\n"),
    ),
]


def _moved(world: Path) -> None:
    (world / "cohort").rename(world / "elsewhere")


def _other_expression(world: Path) -> None:
    table = world / "cohort/expression.tsv"
    header, *rows = table.read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    turned = ["\t".join((row[0], *other[1:])) for row, other in zip(cells, cells[::-1], strict=True)]
    table.write_text("\n".join((header, *turned)) + "\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_judging_command_refuses_what_is_wrong_and_changes_nothing(case: Case, world: Path) -> None:
    check_refused(case, world, left=LEFT)
