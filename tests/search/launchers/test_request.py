from __future__ import annotations

import sys
from pathlib import Path

import pytest

from search.launchers.request import mebibytes, share_of, write_privately
from tests.search.launchers.conftest import STORAGE, MakeRequest


@pytest.mark.parametrize(
    ("text", "size"),
    [("16G", 16384), ("16g", 16384), ("1T", 2**20), ("500", 500), ("500M", 500), ("4GB", 4096), ("1500K", 2)],
)
def test_sizes_are_read_as_slurm_reads_them_and_rounded_up(text: str, size: int) -> None:
    assert mebibytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "0G", "-4G", "lots", "16 G", "1.5G", "16G\n--wrap=x", "16P"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert mebibytes(text) is None


def test_a_worker_is_started_by_this_very_python_with_no_secret_on_its_command_line(
    make_request: MakeRequest,
) -> None:
    request = make_request()
    assert request.command[:4] == [sys.executable, "-P", "-m", "search.cli"]
    assert request.command[4:] == list(request.worker)
    assert STORAGE not in " ".join(request.command)


def test_a_request_that_is_printed_shows_no_secret(make_request: MakeRequest) -> None:
    assert "sesame-open" not in repr(make_request())


@pytest.mark.parametrize(("at_once", "cpus", "share"), [(3, 8, 3), (2, 2, 2), (20, 8, 1)])
def test_workers_of_one_machine_get_their_share_of_its_cores_and_no_more_than_asked_for(
    make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, at_once: int, cpus: int, share: int
) -> None:
    monkeypatch.setattr("search.launchers.request.cores", lambda: 10)
    assert share_of(make_request(at_once=at_once, cpus=cpus)) == share


def test_what_is_written_privately_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.touch(0o644)
    write_privately(path, "a\nb\n")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("a\nb\n", 0o600)
