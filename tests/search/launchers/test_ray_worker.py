from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Iterator

import pytest

from search.launchers import ray_worker
from search.launchers.ray_worker import LINES, Echo, claim_cores, work


@pytest.fixture
def affinity() -> Iterator[list[int]]:
    """The cores of this thread, given back afterwards."""
    before = sorted(os.sched_getaffinity(0))
    yield before
    os.sched_setaffinity(0, before)


def test_the_command_line_gets_the_environment_and_its_exit_code_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", "before")

    def main(arguments: list[str]) -> int:
        sys.stderr.write(f"{os.environ['SECRET']} {' '.join(arguments)}\n")
        return 3

    monkeypatch.setattr(ray_worker, "main", main)
    end = work(["worker", "toy"], {"SECRET": "sesame"}, 99)
    assert (end.code, end.host, end.said) == (3, socket.gethostname(), "sesame worker toy")
    assert capsys.readouterr().err == "sesame worker toy\n"


def test_wrong_usage_is_an_exit_code_and_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    end = work(["worker", "--nonsense"], {}, 99)
    assert end.code == 2
    assert "the following arguments are required: STUDY" in end.said


def test_the_last_lines_are_kept_and_all_are_passed_on() -> None:
    stream = io.StringIO()
    echo = Echo(stream)
    for number in range(LINES + 3):
        echo.write("line ")
        echo.write(f"{number}\n\n")
    echo.write("and a half")
    kept = echo.said.split("\n")
    assert kept == [*(f"line {number}" for number in range(3, LINES + 3)), "and a half"]
    assert stream.getvalue().count("line") == LINES + 3


def test_no_two_workers_of_a_node_have_a_core_in_common(affinity: list[int]) -> None:
    if len(affinity) < 2:
        pytest.skip("one core cannot be shared out")
    first = claim_cores(1)
    assert sorted(os.sched_getaffinity(0)) == affinity[:1]
    os.sched_setaffinity(0, affinity)
    second = claim_cores(1)
    assert first is not None
    assert second is not None
    assert sorted(os.sched_getaffinity(0)) == affinity[1:2]
    os.sched_setaffinity(0, affinity)
    first.close()
    third = claim_cores(1)
    assert third is not None
    assert sorted(os.sched_getaffinity(0)) == affinity[:1]
    second.close()
    third.close()


def test_where_there_are_no_more_cores_than_asked_for_all_are_used(affinity: list[int]) -> None:
    assert claim_cores(len(affinity)) is None
    assert sorted(os.sched_getaffinity(0)) == affinity
