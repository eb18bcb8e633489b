from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from data_prep.plain_files import (
    MAX_DEPTH,
    check_values,
    is_plain,
    load_toml,
    parse_toml,
    read_plain,
    read_text,
)


@pytest.mark.parametrize("content", [b"a\nb", b"\xef\xbb\xbfa\nb", b"a\r\nb", b"a\rb"])
def test_text_is_read_whatever_editor_wrote_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_text(tmp_path / "a", 10) == "a\nb"


def test_a_file_of_the_limit_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    for size in (0, 70000):  # less and more than one piece
        (tmp_path / "a").write_bytes(bytes(size))
        assert read_plain(tmp_path / "a", size) == bytes(size)
    with pytest.raises(OSError, match="Larger than 69999 bytes"):
        read_plain(tmp_path / "a", 69999)


def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in (
        (tmp_path / "pipe", "a pipe"),
        (tmp_path, "a folder"),
        (Path("/dev/zero"), "a device"),
    ):
        with pytest.raises(OSError, match=f"Not a plain file but {kind}"):
            read_plain(path, 100)
        assert not is_plain(path)


def test_a_path_that_nothing_can_have_is_no_plain_file(tmp_path: Path) -> None:
    for name in ("a\0b", "a" * 300, "absent"):
        assert not is_plain(tmp_path / name)
        with pytest.raises(OSError, match=r"Not a legal file name|too long|No such file"):
            read_plain(tmp_path / name, 100)


@pytest.mark.parametrize(
    "text",
    [
        "[" + "a." * 30000 + "a]",
        "a." * 30000 + "a = 1",
        "x = " + "[" * 50000,
        "x = {" + "'a' . " * 9000 + "a = 1}",
    ],
)
def test_toml_without_end_is_refused_at_once(text: str) -> None:
    for parse in (load_toml, parse_toml):
        with pytest.raises(ValueError, match=f"at most {MAX_DEPTH} levels|line 1"):
            parse(text)


def test_a_whole_number_is_held_to_64_bits_where_its_table_is_complete() -> None:
    assert load_toml(f"a = {2**70}") == {"a": 2**70}
    with pytest.raises(ValueError, match="a: a whole number has at most 64 bits"):
        parse_toml(f"a = {2**70}")
    with pytest.raises(ValueError, match="digits"):
        load_toml("a = " + "1" * 5000)


def test_a_comment_may_have_as_many_dots_as_it_likes() -> None:
    assert parse_toml("# " + "." * 500 + "\na = [" + "0.5, " * 500 + "]")["a"] == [0.5] * 500


def test_levels_and_bits_have_a_limit_and_the_key_is_named() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = {"a": deep}
    check_values({"a": 2**63 - 1, "b": -(2**63)})
    check_values(deep)
    with pytest.raises(ValueError, match=f"at most {MAX_DEPTH} levels"):
        check_values({"a": deep})
    with pytest.raises(
        ValueError, match=r"search\.seeds\[1\]: a whole number has at most 64 bits, but got 64"
    ):
        check_values({"search": {"seeds": [1, 2**63]}})
