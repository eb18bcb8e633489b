import itertools
import json
import subprocess
import sys

from search.run_ids import RunIds

NOTE_TWENTY = """
import sys
from pathlib import Path
from search.run_ids import RunIds
ids = RunIds(Path(sys.argv[1]), "sqlite:////a", "study")
for number in range(20):
    with ids.locked() as note:
        note(f"trial/{sys.argv[2]}/{number}", "run")
"""


def test_a_noted_run_is_known_to_the_next_process_and_to_a_running_one(tmp_path):
    early = RunIds(tmp_path, "sqlite:////a", "study")
    assert early.get("trial/3") is None
    with RunIds(tmp_path, "sqlite:////a", "study").locked() as note:
        note("trial/3", "abc")
    assert early.get("trial/3") == "abc"
    assert RunIds(tmp_path, "sqlite:////a", "study").get("trial/3") == "abc"


def test_another_store_or_experiment_has_runs_of_its_own(tmp_path):
    ids = RunIds(tmp_path, "sqlite:////a", "study")
    with ids.locked() as note:
        note("trial/3", "abc")
    assert RunIds(tmp_path, "sqlite:////b", "study").get("trial/3") is None
    assert RunIds(tmp_path, "sqlite:////a", "other").get("trial/3") is None


def test_a_password_in_the_uri_does_not_reach_the_disk(tmp_path):
    with RunIds(tmp_path, "https://jo:secret@mlflow.example", "study").locked() as note:
        note("study", "abc")
    assert "secret" not in (tmp_path / "runs.json").read_text()


def test_processes_noting_at_once_lose_nothing(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-P", "-c", NOTE_TWENTY, str(tmp_path), name]) for name in "abc"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    ids = RunIds(tmp_path, "sqlite:////a", "study")
    assert all(ids.get(f"trial/{name}/{number}") == "run" for name in "abc" for number in range(20))


def test_notes_of_the_first_version_are_still_known(tmp_path):
    """It kept one object without a line break."""
    ids = RunIds(tmp_path, "sqlite:////a", "study")
    (tmp_path / "runs.json").write_text(json.dumps({ids._target: {"trial/0": "old", "trial/1": "kept"}}))
    assert ids.get("trial/0") == "old"
    with ids.locked() as note:
        note("trial/0", "new")
    assert (ids.get("trial/0"), ids.get("trial/1")) == ("new", "kept")
    assert RunIds(tmp_path, "sqlite:////a", "study").get("trial/0") == "new"


def test_half_a_line_of_a_writer_that_died_hides_no_other_note(tmp_path):
    ids = RunIds(tmp_path, "sqlite:////a", "study")
    with ids.locked() as note:
        note("trial/0", "abc")
    with (tmp_path / "runs.json").open("a") as stream:
        stream.write('\n{"unfinished": {"tri')
    assert ids.get("trial/0") == "abc"
    with ids.locked() as note:
        note("trial/1", "def")
    assert [ids.get(f"trial/{number}") for number in range(2)] == ["abc", "def"]


def test_what_one_note_writes_does_not_grow_with_their_number(tmp_path):
    ids, sizes = RunIds(tmp_path, "sqlite:////a", "study"), []
    with ids.locked() as note:
        for number in range(100, 200):
            note(f"trial/{number}", "abc")
            sizes.append((tmp_path / "runs.json").stat().st_size)
    assert len({after - before for before, after in itertools.pairwise(sizes)}) == 1


def test_a_file_that_was_removed_is_known_as_gone(tmp_path):
    ids = RunIds(tmp_path, "sqlite:////a", "study")
    with ids.locked() as note:
        note("trial/0", "abc")
    assert ids.get("trial/0") == "abc"
    (tmp_path / "runs.json").unlink()
    assert ids.get("trial/0") is None
