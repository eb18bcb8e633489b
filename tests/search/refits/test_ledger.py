"""Results of fits on the disk: what was finished is there after a kill, and nothing else is."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.errors import StudyStoppedError
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.refits.ledger import FitLedger

FIT = Fit(TrialConfig({"architecture": "constant"}, 1), 1, 0, 0, 0, (0, 1), (2, 3))
FITS = [replace(FIT, seed=seed) for seed in range(4)]


@pytest.fixture
def path(tmp_path: Path, make_fold: Callable[..., FoldResult]) -> Path:
    """A ledger with the results of fits 0 and 1, and the failure of fit 2."""
    path = tmp_path / "refits" / "some.jsonl"
    with FitLedger.open(path, "here") as ledger:
        for index, fit in enumerate(FITS[:2]):
            ledger.book(fit, make_fold(index))
        ledger.book(FITS[2], "failed: the loss must be finite")
    return path


def test_results_are_read_back_to_the_last_bit(path: Path, make_fold: Callable[..., FoldResult]) -> None:
    with FitLedger.open(path, "here") as ledger:
        assert [fit in ledger for fit in FITS] == [True, True, True, False]
        assert [ledger.result(fit) for fit in FITS[:3]] == [make_fold(0), make_fold(1), None]
        assert [ledger.failure(fit) for fit in FITS] == [None, None, "failed: the loss must be finite", None]
        with pytest.raises(KeyError):
            ledger.result(FITS[3])


def test_results_of_another_context_are_kept_but_not_seen(
    path: Path, make_fold: Callable[..., FoldResult]
) -> None:
    with FitLedger.open(path, "elsewhere") as ledger:
        assert not any(fit in ledger for fit in FITS)
        ledger.book(FIT, make_fold(error=0.4))
    with FitLedger.open(path, "here") as ledger:
        assert ledger.result(FITS[1]) == make_fold(1)
    with FitLedger.open(path, "elsewhere") as ledger:
        assert ledger.result(FIT) == make_fold(error=0.4)


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_is_written_over(
    path: Path, make_fold: Callable[..., FoldResult], kept: int
) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:kept])
    with FitLedger.open(path, "here") as ledger:
        assert [fit in ledger for fit in FITS] == [True, True, False, False]
        ledger.book(FITS[3], make_fold(3))
    assert path.read_bytes().splitlines(keepends=True)[:2] == lines[:2]
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 3
    with FitLedger.open(path, "here") as ledger:
        assert ledger.result(FITS[3]) == make_fold(3)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\0\0\0",
        "[]",
        "7",
        '"text"',
        '{"context": "here"}',
        '{"context": "here", "fit": "x", "result": 1}',
    ],
)
def test_a_line_that_nobody_can_read_is_skipped(path: Path, line: str) -> None:
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], line, *lines[1:]]) + "\n")
    with FitLedger.open(path, "here") as ledger:
        assert [fit in ledger for fit in FITS] == [True, True, True, False]


def test_a_fit_that_lacked_memory_is_run_again_by_the_next_start(path: Path) -> None:
    with FitLedger.open(path, "here") as ledger:
        ledger.book(FITS[3], "out of memory: no 3 GiB left")
        assert ledger.failure(FITS[3]) == "out of memory: no 3 GiB left"
    with FitLedger.open(path, "here") as ledger:
        assert [fit in ledger for fit in FITS] == [True, True, True, False]


def test_a_second_process_is_refused_and_the_lock_ends_with_its_holder(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from search.refits.ledger import FitLedger\n"
        "with FitLedger.open(Path(sys.argv[1]), 'here'):\n"
        "    print('open', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"open\n"
    with (
        pytest.raises(StudyStoppedError, match=r"some\.jsonl: another process is at work"),
        FitLedger.open(path, ""),
    ):
        pass
    other.kill()
    other.communicate()
    with FitLedger.open(path, "here") as ledger:
        assert FITS[0] in ledger


def test_a_disk_that_refuses_leaves_what_was_there(
    path: Path, make_fold: Callable[..., FoldResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def half(descriptor: int, content: bytes, offset: int) -> int:
        if offset > len(before):
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(descriptor, content[:10], offset)

    written = os.pwrite
    with FitLedger.open(path, "here") as ledger:
        with monkeypatch.context() as patch:
            patch.setattr("os.pwrite", half)
            with pytest.raises(OSError, match="No space left") as caught:
                ledger.book(FITS[3], make_fold(3))
        assert caught.value.filename == str(path)
        assert FITS[3] not in ledger
        assert path.read_bytes() == before
        ledger.book(FITS[3], make_fold(3))
    with FitLedger.open(path, "here") as ledger:
        assert ledger.result(FITS[3]) == make_fold(3)
