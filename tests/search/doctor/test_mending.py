from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from search.doctor.mending import complete, publish, put_back
from tests.search.doctor.runs_by_hand import Recorder, found, record, tools

BEGAN, ENDED = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)


def test_a_run_is_published_whole_and_ends(tmp_path: Path) -> None:
    wanted, recorder = record(started=BEGAN, ended=ENDED), Recorder()
    publish("trial/3", wanted, tools(tmp_path, recorder))
    assert recorder.calls == [
        ("start_run", "trial/3", "trial 3", wanted.tags, wanted.params, "study", BEGAN),
        ("log_curves", "trial/3", [{"roc_auc": 0.7}, {"loss": 0.5}, {"loss": 0.25}], 0),
        ("log_text", "trial/3", "a\tb\n", "out_of_fold.tsv"),
        ("end_run", "trial/3", "FINISHED", ENDED),
        ("log_artifact", "trial/3", Path("/home/roc.png")),
    ]


def test_a_picture_that_is_nowhere_keeps_no_run_from_being_published(tmp_path: Path) -> None:
    def nowhere(path: Path) -> Path:
        raise LookupError(path)

    recorder = Recorder()
    publish("trial/3", record(points={}), tools(tmp_path, recorder, nowhere))
    assert [name for name, *_ in recorder.calls] == ["start_run", "log_text", "end_run"]


def test_of_a_curve_the_missing_points_are_logged_and_the_last_in_any_case(tmp_path: Path) -> None:
    recorder, curve = Recorder(at={1, 2, 5}), {1: 0.5, 2: 0.4, 4: 0.3, 5: 0.2}
    complete("trial/3", found(), {"loss": curve}, tools(tmp_path, recorder))
    assert recorder.calls == [("log_curves", "trial/3", [{"loss": 0.3}, {"loss": 0.2}], 4)]


def test_an_artifact_is_a_text_of_the_record_or_a_file_that_is_brought_back(tmp_path: Path) -> None:
    recorder = Recorder()
    mend = tools(tmp_path, recorder, lambda path: tmp_path / path.name)
    for name in ("out_of_fold.tsv", "roc.png"):
        put_back("trial/3", name, record(), mend)
    assert recorder.calls == [
        ("log_text", "trial/3", "a\tb\n", "out_of_fold.tsv"),
        ("log_artifact", "trial/3", tmp_path / "roc.png"),
    ]
