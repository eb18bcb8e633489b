from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.journal_lines import (
    BLOCK,
    blank,
    cut_out,
    hold,
    parse,
    read_lines,
    tail_of,
    torn_line,
    undisturbed,
)

RECORD = b'{"op_code":1,"worker_id":"a","text":"%s"}'


def journal(folder: Path, *lines: bytes) -> Path:
    path = folder / "journal"
    path.write_bytes(b"".join(lines))
    return path


@given(torn=st.binary(max_size=60), cut=st.integers(1, len(RECORD) - 1))
def test_the_record_at_the_end_of_a_line_is_found_whatever_is_torn_before_it(torn: bytes, cut: int) -> None:
    before = RECORD[:cut] + torn.replace(b"\n", b"")
    record, skipped = parse(before + RECORD + b"\n")
    assert (record, skipped) == ({"op_code": 1, "worker_id": "a", "text": "%s"}, len(before))


@pytest.mark.parametrize(
    "text", [b"\n", b"12\n", b"[]\n", b"{}\n", b'{"op_code":1}\n', b"\xff\xfe\n", bytes(9)]
)
def test_what_is_no_record_of_optunas_is_none(text: bytes) -> None:
    assert parse(text) == (None, 0)


def test_lines_know_their_place_and_are_read_on_from_any(tmp_path: Path) -> None:
    path = journal(tmp_path, RECORD + b"\n", b"spoilt\n", b"to" + RECORD + b"\n", b"torn")
    lines = list(read_lines(path))
    assert [(line.number, line.record is None, line.torn) for line in lines] == [
        (1, False, 0),
        (2, True, 0),
        (3, False, 2),
        (4, True, 0),
    ]
    assert b"".join(line.text for line in lines) == path.read_bytes()
    assert list(read_lines(path, 2, lines[1].end)) == lines[2:]


@pytest.mark.parametrize("size", [0, 1, 50, BLOCK - 3, BLOCK, BLOCK + 7])
def test_the_tail_is_found_however_long_it_and_the_record_before_it_are(tmp_path: Path, size: int) -> None:
    for length in (10, BLOCK):
        record = RECORD % (b"x" * length) + b"\n"
        path = journal(tmp_path, RECORD + b"\n", record, b"\0" * size)
        start = len(RECORD) + 1 + len(record)
        assert tail_of(path) == torn_line(path) == (start, start + size)
        path = journal(tmp_path, record, b"\n" * size)
        assert tail_of(path) == (len(record), len(record) + size)
    assert tail_of(journal(tmp_path, b"z" * size)) == torn_line(path) == (0, size)


def test_blanks_take_the_place_of_what_stood_there(tmp_path: Path) -> None:
    path = journal(tmp_path, b"to" + RECORD + b"\n", b"tail")
    assert cut_out(path, 0, 2) == b"to"
    blank(path, 0, 2)
    assert cut_out(path, 0, 2) == b""
    assert path.read_bytes() == b"  " + RECORD + b"\ntail"
    assert parse(path.read_bytes().splitlines()[0])[1] == 0


def test_a_look_waits_for_a_writer_and_makes_no_lock(tmp_path: Path) -> None:
    path = journal(tmp_path)
    with undisturbed(path):
        assert [entry.name for entry in tmp_path.iterdir()] == ["journal"]
    looked = threading.Event()

    def look() -> None:
        with undisturbed(path):
            looked.set()

    with hold(path):
        thread = threading.Thread(target=look)
        thread.start()
        assert not looked.wait(0.2)
    assert looked.wait(10)
    thread.join()
