from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data_prep.problems import InputError
from search.audit.looks import FILE, changes, look, look_at, protocol_hash, read_looks
from search.audit.subject import Subject
from search.home import Home, StudyFolder


@pytest.fixture
def folder(audited: Subject, tmp_path: Path) -> StudyFolder:
    return StudyFolder(shutil.copytree(audited.home.study("shallow").root, tmp_path / "study"))


def test_looks_are_appended_and_read_in_order(folder: StudyFolder) -> None:
    assert read_looks(folder) == ()
    (folder.root / FILE).touch()
    assert read_looks(folder) == ()
    first = look(folder, "report", 6)
    before = (folder.root / FILE).read_bytes()
    second = look(folder, "test", 7)
    assert (folder.root / FILE).read_bytes().startswith(before)
    assert read_looks(folder) == (first, second)
    assert (first.command, first.trials, first.protocol) == ("report", 6, protocol_hash(folder))


def test_half_a_line_of_whoever_was_killed_is_no_look_and_in_nobodys_way(folder: StudyFolder) -> None:
    path, looks = folder.root / FILE, [look(folder, "report", 6), look(folder, "test", 7)]
    whole = path.read_bytes()
    ends = [end + 1 for end, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        kept = looks[: max(0, sum(end <= size for end in ends) - 1)]
        assert list(read_looks(folder)) == kept
        assert [*kept, look(folder, "run", 8)] == list(read_looks(folder))


def test_looks_at_the_same_time_are_all_counted(folder: StudyFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: look(folder, "report", n), range(40)))
    assert sorted(one.trials for one in read_looks(folder)) == list(range(40))


@pytest.mark.parametrize(
    ("section", "key"), [("search", "metric"), ("label", "rule"), ("validation", "seed")]
)
def test_the_protocol_is_what_is_fixed_beforehand(folder: StudyFolder, section: str, key: str) -> None:
    before = protocol_hash(folder)
    definition = json.loads(folder.definition.read_text())
    definition["cohort"], definition["tracking"] = "/elsewhere", {"identifiers": "original"}
    folder.definition.write_text(json.dumps(definition))
    assert protocol_hash(folder) == before
    definition[section][key] = "another"
    folder.definition.write_text(json.dumps(definition))
    assert protocol_hash(folder) != before


def test_other_folds_are_another_protocol(folder: StudyFolder) -> None:
    before = protocol_hash(folder)
    folder.folds.write_bytes(folder.folds.read_bytes() + b"x")
    assert protocol_hash(folder) != before
    folder.folds.unlink()
    with pytest.raises(InputError, match="definition and folds are needed"):
        look(folder, "report", 1)


def test_what_became_of_a_study_after_a_look(folder: StudyFolder) -> None:
    looks = [look(folder, "report", 6)]
    now = protocol_hash(folder)
    assert changes(looks, 6, now) == []
    assert changes(looks, 7, now) == ["trials were added"]
    assert changes(looks, 7, "x") == ["trials were added", "its protocol was changed"]
    assert changes([], 7, "x") == []


def test_a_look_at_a_study_counts_the_trials_that_were_handed_out(audited: Subject, tmp_path: Path) -> None:
    home = Home(shutil.copytree(audited.home.root, tmp_path / "home"))
    folder = home.study("shallow")
    before = len(read_looks(folder))
    look_at(audited.opened, home, "test")
    new = read_looks(folder)[before:]
    assert [(one.command, one.trials) for one in new] == [("test", 6)]


@pytest.mark.parametrize("text", ["\n", "a\tb\n", "time\tcommand\ttrials\tprotocol\n1\t2\tmany\t4\n"])
def test_a_table_that_was_changed_by_hand_is_refused(folder: StudyFolder, text: str) -> None:
    (folder.root / FILE).write_text(text)
    with pytest.raises(InputError, match="columns time, command, trials, protocol are needed"):
        read_looks(folder)
