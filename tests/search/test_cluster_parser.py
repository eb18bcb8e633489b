from __future__ import annotations

import argparse

import pytest

from search.parser import build_parser


def parsed(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(arguments)


SUBMIT = ("submit", "study.toml", "--launcher")


def test_a_submission_says_what_starts_the_workers_and_how_many_of_a_kind() -> None:
    args = parsed(*SUBMIT, "slurm", "--gpus", "8", "--time", "12:00:00", "--partition", "gpu", "--dry-run")
    assert (args.launcher, args.gpus, args.workers, args.dry_run) == ("slurm", 8, None, True)
    assert parsed(*SUBMIT, "local", "--workers", "2").gpus is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("submit", "study.toml", "--gpus", "1"),
        (*SUBMIT, "slurm"),
        (*SUBMIT, "pbs", "--gpus", "1"),
        (*SUBMIT, "slurm", "--gpus", "1", "--workers", "1"),
        (*SUBMIT, "slurm", "--gpus", "0"),
        (*SUBMIT, "slurm", "--gpus", "0,2"),
        (*SUBMIT, "slurm", "--gpus", "1", "--notice", "0"),
    ],
)
def test_a_submission_that_leaves_that_open_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed(*arguments)


def test_lines_and_options_for_slurm_add_up() -> None:
    args = parsed(
        *SUBMIT,
        "slurm",
        "--gpus",
        "1",
        "--setup",
        "a b",
        "--setup",
        "c",
        "--sbatch=--qos=long",
        "--sbatch=-x n1",
    )
    assert (args.setup, args.sbatch) == (["a b", "c"], ["--qos=long", "-x n1"])


@pytest.mark.parametrize("name", ["storage", "tracking_uri"])
def test_where_everything_is_may_come_from_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RADSEARCH_{name.upper()}", "http://from.environment")
    for arguments in (("worker", "toy"), (*SUBMIT, "local", "--workers", "1")):
        assert getattr(parsed(*arguments), name) == "http://from.environment"
        flag = f"--{name.replace('_', '-')}"
        assert getattr(parsed(*arguments, flag, "http://from.flag"), name) == "http://from.flag"


def test_a_worker_is_told_the_study_and_how_to_leave() -> None:
    args = parsed("worker", "toy", "--leave-within", "0", "--timeout", "60", "--cache", "/scratch")
    assert (args.study, args.leave_within, args.timeout, args.cache) == ("toy", 0, 60, "/scratch")
    assert (parsed("worker", "toy").leave_within, parsed("worker", "toy").workers) == (90, None)
    for arguments in (
        (),
        ("toy", "--leave-within", "-1"),
        ("toy", "--timeout", "0"),
        ("toy", "--trials", "1"),
    ):
        with pytest.raises(SystemExit, match="2"):
            parsed("worker", *arguments)
