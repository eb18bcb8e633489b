from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from search.cli import main
from search.commands.compare import remarks, table_of, verdict
from search.comparing import Compared, Rival, compare, find_contenders
from search.home import Home
from search.refits.rescored import SchemeScores
from search.statistics.comparison import Comparison


def compared(shallow: Path, *names: str) -> Compared:
    return compare(find_contenders(Home.at(shallow / "home"), None, names), "roc_auc")


def test_the_table_has_a_row_each_and_the_verdict_in_full(
    shallow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["compare", "shallow:2", "shallow:1", "--home", str(shallow / "home")]) == 0
    said = capsys.readouterr()
    found = compared(shallow, "shallow:2", "shallow:1")
    (rival,), (test,) = found.rivals, found.tests
    title, head, _, reference, row = [line for line in said.out.splitlines() if line.strip()][:5]
    assert title.strip() == "roc auc, compared with shallow:2"
    assert head.split() == ["study", "value", "difference", "95", "%", "interval", "p", "verdict"]
    assert reference.split() == ["shallow:2", f"{found.value:.3f}"]
    assert row.split()[:3] == ["shallow:1", f"{rival.value:.3f}", f"{test.difference:+.3f}"]
    assert f"{test.p:.3f}  indistinguishable" in row
    assert all(line in said.out.splitlines() for line in remarks(found))
    assert said.err == ""


def test_what_was_selected_is_shown_and_not_tested(
    shallow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ["shallow", "shallow:0", "shallow:1"]
    assert main(["compare", *names, "--home", str(shallow / "home")]) == 0
    out = capsys.readouterr().out
    assert [" ".join(line.split()) for line in out.splitlines()].count("folds: not tested") == 2
    assert out.count("selected on these \n") == 2
    assert "better" not in out
    assert "indistinguishable" not in out
    found = compared(shallow, *names)
    selection, top, folds, luck, honest = remarks(found)
    trials = ", ".join(map(str, found.first.trials))
    assert selection == f"shallow: rank-average of trials {trials}"
    assert top == "shallow:0: the best of 6 trials"
    assert folds.startswith("means over 3 folds of the search")
    assert luck.startswith("shallow, shallow:0 did best on the folds that are compared here")
    difference = found.rivals[0].honest
    assert difference is not None
    assert honest == (
        f"shallow minus shallow:0, on participants that had no part in selecting: {difference.estimate:+.3f} "
        f"(95 % {difference.low:+.3f} to {difference.high:+.3f})"
    )


def test_what_could_have_been_told_is_said(shallow: Path) -> None:
    found = compared(shallow, "shallow:2", "shallow:1", "shallow:4")
    folds, margin, named, several = remarks(found)
    assert folds.startswith("means over 3 folds of the search")
    assert margin.startswith("the smallest difference that could have been told apart: ")
    assert all(f"{test.margin:.3f}" in margin for test in found.tests)
    assert named == "p is of trials that were named before anyone saw how they did"
    assert several == "p is corrected for 2 comparisons (Holm), each interval is of one"
    assert len(remarks(compared(shallow, "shallow:2", "shallow:1"))) == 3


@pytest.mark.parametrize("p", [0.5, 0.0001])
@pytest.mark.parametrize(
    "note", [None, "selected on these folds: not tested", "selected on these biopsies: not tested"]
)
@pytest.mark.parametrize("name", ["signal6:0", "a-study-of-21-letters:117", "b" * 60 + ":3"])
def test_at_80_columns_nothing_is_cut(name: str, note: str | None, p: float, shallow: Path) -> None:
    """A name is in one line where there is room for it, and in several else."""
    found = compared(shallow, "shallow:2", "shallow:1")
    contender = replace(found.first, name=name)
    test = Comparison(-0.055, -0.102, 0.008, p, 0.02, 50)
    rivals = [Rival(contender, 0.536, -0.055, test, p, None if p > 0.05 else "shallow:2")]
    if note:
        rivals.append(Rival(contender, 0.536, -0.055, note=note))
    lines = text(table_of(replace(found, rivals=tuple(rivals)), 80))
    assert all(len(line) <= 80 for line in lines)
    whole = " ".join(" ".join(lines).split())
    said = ["-0.102 to +0.008", "-0.055", "0.536", "0.500" if p > 0.05 else "< 0.001"]
    said += ["indistinguishable" if p > 0.05 else "worse", *(["selected on these"] if note else [])]
    assert all(one in whole for one in said)
    assert not note or any(line.rstrip().endswith(note.removeprefix("selected on these ")) for line in lines)
    assert "\u2026" not in whole
    if len(name) < 11:
        assert any(line.split()[:1] == [name] for line in lines)
    assert "".join(line[1 : 1 + len(name)].split(" ")[0] for line in lines).count(name) >= 1


def text(what: object) -> list[str]:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(what)
    return captured.get().splitlines()


def test_what_was_not_tested_is_not_in_bold(shallow: Path) -> None:
    found = compared(shallow, "shallow", "shallow:0", "shallow:1")
    assert not any(row.style for row in table_of(found, 80).rows)


def test_the_better_one_alone_is_in_bold(shallow: Path) -> None:
    found = compared(shallow, "shallow:1", "shallow:2")
    for better, style in (("shallow:2", "bold green"), ("shallow:1", "")):
        rivals = (replace(found.rivals[0], better=better),)
        assert table_of(replace(found, rivals=rivals), 80).rows[1].style == style


@pytest.mark.parametrize(
    ("left_out", "told"),
    [
        (0, "means over 30 folds of 10 fold tables, 3 seeds averaged"),
        (
            1,
            "means over 30 folds of 9 fold tables, 3 seeds averaged, without the search's own, "
            "which selected",
        ),
        (
            9,
            "means over 30 folds of 1 fold table, 3 seeds averaged, without the search's own, which selected",
        ),
    ],
)
def test_the_tables_that_count_are_told(left_out: int, told: str, shallow: Path) -> None:
    found = compared(shallow, "shallow:2", "shallow:1")
    bank = SchemeScores("bank", "", False, False, "roc_auc", "", "", "", 10, 3, 6, ())
    assert remarks(replace(found, bank=bank, left_out=left_out, folds=30, used=30))[0] == told


def test_json_is_one_document_with_every_number(shallow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "compare",
        "shallow:2",
        "shallow:1",
        "--json",
        "--metric",
        "brier",
        "--home",
        str(shallow / "home"),
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert (record["metric"], said.err) == ("brier", "")
    assert (record["folds"]["n"], record["folds"]["bank"], len(record["folds"]["hash"])) == (3, False, 64)
    assert {**record["reference"], "value": 0} == {
        "name": "shallow:2",
        "study": "shallow",
        "trials": [2],
        "rule": None,
        "selected": False,
        "value": 0,
    }
    (other,) = record["comparisons"]
    assert other["difference"] == pytest.approx(other["value"] - record["reference"]["value"])
    assert other["ci95"][1] - other["difference"] == pytest.approx(other["smallest_difference"])
    assert other["indistinguishable"] == (other["p"] >= 0.05) == (other["better"] is None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["shallow"], "STUDY: two or more are needed"),
        (["shallow:2", "deep"], "STUDY: no study 'deep'"),
        (["shallow:2", "shallow:77"], "STUDY: shallow:77: no trial '77'"),
        (["shallow:2", "shallow:1", "--metric", "auc"], "--metric: unknown name 'auc'"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_1(
    shallow: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert main(["compare", *words, "--home", str(shallow / "home")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith(told)


def test_nothing_is_written(shallow: Path) -> None:
    home = shallow / "home"
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    assert main(["compare", "shallow:2", "shallow:1", "--home", str(home)]) == 0
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_home_without_studies_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "a", "b", "--home", str(tmp_path / "none")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not (tmp_path / "none").exists()


def test_the_verdict_is_of_the_row_compared_with_the_first(shallow: Path) -> None:
    contender = compared(shallow, "shallow:1", "shallow:2").first
    found = Comparison(0.1, 0.05, 0.15, 0.01, 0.02, 50)
    rival = Rival(contender, 0.7, 0.1, found, 0.01, "shallow:1")
    assert verdict(rival) == "better"
    assert verdict(replace(rival, better="shallow:2")) == "worse"
    assert verdict(replace(rival, better=None)) == "indistinguishable"
