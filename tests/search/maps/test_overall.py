"""The bar over the maps of a cohort."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.maps import overall


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    monkeypatch.setattr(overall, "Console", lambda **_: console)
    return stream


def test_it_names_the_map_and_counts_its_voxels(terminal: io.StringIO) -> None:
    with overall.over_all(3) as begin:
        move = begin(1, "sub-[red]002")
        move(50, 200)
    told = terminal.getvalue()
    assert "drawing sub-[red]002, 2 of 3: voxel 50 of 200" in told


def test_where_there_is_no_terminal_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(overall, "Console", lambda **_: Console(file=stream))
    with overall.over_all(1) as begin:
        begin(0, "a")(1, 1)
    assert stream.getvalue() == ""
