from __future__ import annotations

from pathlib import Path

from search.paths import resolve_files


def test_relative_files_start_at_the_study_files_folder(tmp_path: Path) -> None:
    table = {
        "architectures": {
            "mine": {"function": "nets/mine.py:net"},
            "theirs": {"hypermodel": "package.module:Net"},
        },
        "space": {"weights": ["none", "imagenet", "brain.keras"]},
        "search": {"enqueue": [{"weights": "brain.keras"}, {"weights": "none"}]},
    }
    resolve_files(table, tmp_path)
    brain = str(tmp_path / "brain.keras")
    assert table["architectures"]["mine"]["function"] == f"{tmp_path}/nets/mine.py:net"  # type: ignore[index]
    assert table["architectures"]["theirs"]["hypermodel"] == "package.module:Net"  # type: ignore[index]
    assert table["space"] == {"weights": ["none", "imagenet", brain]}
    assert table["search"] == {"enqueue": [{"weights": brain}, {"weights": "none"}]}


def test_choices_are_looked_into_and_an_absolute_path_stays(tmp_path: Path) -> None:
    table = {"space": {"weights": {"choices": ["none", "/elsewhere/brain.h5"], "when": {"stem": "paper"}}}}
    resolve_files(table, tmp_path)
    assert table["space"]["weights"]["choices"] == ["none", "/elsewhere/brain.h5"]
    assert table["space"]["weights"]["when"] == {"stem": "paper"}


def test_what_is_of_another_type_is_left_to_whoever_checks_it(tmp_path: Path) -> None:
    table = {"architectures": 3, "space": {"weights": 4}, "search": {"enqueue": "x"}}
    before = dict(table)
    resolve_files(table, tmp_path)
    assert table == before


def test_a_path_that_no_system_takes_is_left_to_the_check_of_its_file(tmp_path: Path) -> None:
    table = {"space": {"weights": ["~no-such-user/w.keras", "a\0b", ""]}}
    resolve_files(table, tmp_path)
    assert table["space"]["weights"] == [f"{tmp_path}/~no-such-user/w.keras", f"{tmp_path}/a\0b", ""]
