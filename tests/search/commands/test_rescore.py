"""`radsearch rescore` as a user meets it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from search.bank import read_bank
from search.booking import FOLD
from search.cli import main
from search.commands.rescore import notes, scores_table
from search.home import Home
from search.metrics import DIRECTIONS
from search.refits.forecast import duration
from search.refits.rescored import Finalist, SchemeScores, read_rescored
from search.storage import open_storage

SMALL = ("--top", "2", "--seeds", "2", "--tables", "2")


@pytest.fixture
def home(shallow: Path, tmp_path: Path) -> Home:
    return Home.at(shutil.copytree(shallow / "home", tmp_path / "home"))


def rescore(home: Home, *options: str) -> int:
    return main(["rescore", "shallow", "--home", str(home.root), *options])


def test_finalists_are_scored_once_and_the_result_lies_with_the_study(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rescore(home, *SMALL, "--workers", "2") == 0
    out, err = capsys.readouterr()
    found = read_rescored(home.study("shallow"))
    assert found is not None
    scores = found["bank"]
    count = len(scores.finalists)
    assert f"{12 * count} fits ({count} finalists x 6 folds x 2 seeds), 0 of them kept from before" in err
    assert "fold bank, 2 x 3 folds" in out
    assert "regression to the mean" in out
    assert "0 (default)" in out
    for finalist in scores.finalists:
        assert f"{finalist.mean('roc_auc'):.3f}" in out
    assert len(read_bank(home.study("shallow")).fold) == 10

    monkeypatch.setattr("search.refits.crew.Child", None)  # no process is needed any more
    assert rescore(home, *SMALL, "--json") == 0
    out, err = capsys.readouterr()
    assert "all of them kept from before" in err
    record = json.loads(out)
    assert (record["study"], record["scheme"], record["metric"]) == ("shallow", "bank", "roc_auc")
    for told, finalist in zip(record["finalists"], scores.finalists, strict=True):
        assert told["mean"] == finalist.mean("roc_auc")
        assert told["own_minus_mean"] == finalist.regression("roc_auc")
        assert told["tables"] == list(finalist.tables)
        assert "folds" not in told


def test_another_scheme_is_kept_beside_and_marked(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert rescore(home, "--scheme", "random", "--top", "1", "--seeds", "1", "--tables", "2") == 0
    assert "random 60/20/20 split (shares participants: too good)" in capsys.readouterr().out
    assert rescore(home, "--scheme", "participant", "--top", "1", "--seeds", "1") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "leave-one-participant-out (AUC pooled over participants: biased below 0.5" in out
    found = read_rescored(home.study("shallow"))
    assert found is not None
    assert sorted(found) == ["participant", "random"]


def test_a_search_by_other_software_is_refused_before_all_is_fitted(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = open_storage(None, home)
    trials = storage.get_all_trials(storage.get_study_id_from_name("shallow"))
    for trial in trials:
        fold = json.loads(trial.system_attrs[f"{FOLD}0"])
        fold["probabilities"][0] /= 2
        # Optuna lets no attribute of a finished trial be changed, so its line in the journal is.
        before = json.dumps(trial.system_attrs[f"{FOLD}0"])
        text = home.journal.read_text()
        assert before in text
        home.journal.write_text(text.replace(before, json.dumps(json.dumps(fold))))
    assert rescore(home, *SMALL) == 1
    err = capsys.readouterr().err
    assert "fold 0: the search's own fold must come out again, but" in err
    assert "a probability differs by" in err
    assert read_rescored(home.study("shallow")) is None
    ledger = home.study("shallow").root / "refits" / "rescore.jsonl"
    assert len(ledger.read_text().splitlines()) < 30


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_keep_what_is_finished_and_the_same_command_goes_on(
    how: signal.Signals, code: int, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--top", "1", "--seeds", "50", "--tables", "2")
    program = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # else ignored here
        "from search.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "rescore", "shallow", "--home", str(home.root), *options]
    ledger = home.study("shallow").root / "refits" / "rescore.jsonl"
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (ledger.exists() and ledger.read_bytes().count(b"\n") > 5) and time.monotonic() < deadline:
        time.sleep(0.02)
    owner.send_signal(how)
    _, err = owner.communicate(timeout=60)
    assert owner.returncode == code
    assert "stopped; what is finished is kept, and the same command goes on there" in err
    assert read_rescored(home.study("shallow")) is None
    kept = ledger.read_bytes().count(b"\n")
    assert kept > 5
    assert rescore(home, *options) == 0
    assert f", {kept} of them kept from before" in capsys.readouterr().err
    assert list(read_rescored(home.study("shallow")) or ()) == ["bank"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--tables", "99"), "--tables: 1 to 10 are in the study's bank, but got 99"),
        (("--scheme", "participant", "--tables", "3"), "--tables: leaving each participant out is one table"),
        (("--cohort", "nowhere"), "nowhere"),
        (("--workers", "0"), "--workers: 1 to 1024 are possible, but got 0"),
    ],
)
def test_what_cannot_be_is_one_line(
    home: Home, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], told: str
) -> None:
    assert rescore(home, *options) == 1
    assert told in capsys.readouterr().err


def scores_by(
    metric: str, values: dict[int, tuple[float | None, ...]], scheme: str = "random"
) -> SchemeScores:
    finalists = tuple(
        Finalist(
            trial, trial == 0, {"architecture": "roi_means"}, 0.7, tuple({metric: v} for v in each), (), ()
        )
        for trial, each in values.items()
    )
    return SchemeScores(scheme, "a title that says it", True, False, metric, "", "", None, 2, 1, 9, finalists)


def test_a_table_names_the_scheme_and_the_default_best_first(console_text: Callable[[object], str]) -> None:
    scores = scores_by("roc_auc", {3: (0.5, 0.6), 0: (0.6, 0.8)})
    lines = console_text(scores_table(scores, "toy")).splitlines()
    assert "a title that says it" in lines[1]
    rows = [line.split() for line in lines if "roi_means" in line]
    assert rows == [
        ["0", "(default)", "roi_means", "0.700", "0.141", "0.600", "0.800", "0.700", "+0.000"],
        ["3", "roi_means", "0.550", "0.071", "0.500", "0.600", "0.700", "+0.150"],
    ]


@pytest.mark.parametrize("metric", DIRECTIONS)
def test_the_best_is_on_top_whichever_way_the_metric_goes_and_what_has_no_value_last(
    metric: str, console_text: Callable[[object], str]
) -> None:
    scores = scores_by(metric, {4: (None, None), 3: (0.5, 0.6), 1: (0.1, 0.2), 2: (0.0, 0.0)})
    rows = [
        line.split()[0]
        for line in console_text(scores_table(scores, "toy")).splitlines()
        if "roi_means" in line
    ]
    assert rows == (["3", "1", "2", "4"] if DIRECTIONS[metric] == "maximize" else ["2", "1", "3", "4"])


@pytest.mark.parametrize("metric", DIRECTIONS)
def test_luck_lies_on_the_better_side_of_the_mean(metric: str) -> None:
    (line,) = notes(None, scores_by(metric, {0: (0.5,)}, "bank"))
    side = "above" if DIRECTIONS[metric] == "maximize" else "below"
    assert f"What it has {side} the mean was luck" in line


@pytest.fixture
def console_text() -> Callable[[object], str]:
    from rich.console import Console

    def text(what: object) -> str:
        console = Console(width=80)
        with console.capture() as captured:
            console.print(what)
        return captured.get()

    return text


def test_a_duration_has_one_unit() -> None:
    assert [duration(seconds) for seconds in (0.2, 89, 90, 5399, 5400)] == [
        "0 s",
        "89 s",
        "2 min",
        "90 min",
        "1.5 h",
    ]
