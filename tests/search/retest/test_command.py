"""`radsearch retest` as a user meets it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_prep.problems import InputError
from search.cli import main
from search.home import Home
from search.retest.record import FILE


def test_a_second_call_fits_nothing_and_says_the_same(
    retested: SimpleNamespace,
    command: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = Home.at(shutil.copytree(retested.home.root, tmp_path / "home"))
    before = json.loads((again.study("again").root / FILE).read_text())
    monkeypatch.setattr("search.refits.crew.Child", None)  # no process is needed any more
    assert command("again", again, "--stride", "3", "--json") == 0
    out, err = capsys.readouterr()
    fits = 3 * len(before["trials"])
    assert f"{fits} fits, {fits} of them kept from before" in err
    assert json.loads(out) == before


def test_every_probability_is_of_a_model_that_never_saw_the_participant(
    retested: SimpleNamespace,
) -> None:
    """The fits in the ledger, held against whom each scored in its scenes."""
    record = json.loads((retested.home.study("again").root / FILE).read_text())
    lines = (retested.home.study("again").root / "refits" / "retest.jsonl").read_text().splitlines()
    results = [json.loads(line)["result"] for line in lines]
    assert len(results) == 3 * len(record["trials"])
    per_fold = {
        r["split"]: (set(r["participants"]), len(r["scenes"]["second"]["probabilities"])) for r in results
    }
    assert sum(count for _, count in per_fold.values()) == record["scanned_twice"]["biopsies"]
    everybody = [who for people, _ in per_fold.values() for who in people]
    assert len(everybody) == len(set(everybody)) == 12
    # Toy participant i has biopsies i, i + 12, i + 24, and those below 8 were scanned twice.
    for people, count in per_fold.values():
        assert count == 3 * sum(who < 8 for who in people)


def test_one_trial_without_maps(
    home: Home, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("again", home, "--trial", "1", "--skip-maps") == 0
    out = capsys.readouterr().out
    assert "constant (trial 1)" in out
    assert "No ICC of the biopsies: no fold's model tells its sites apart." in out
    assert "too narrow" not in out
    assert "reads no intensities" in out
    record = json.loads((home.study("again").root / FILE).read_text())
    assert (record["rule"], record["maps"]) == ("named", None)
    assert record["features"]["each"] == []
    assert record["probabilities"]["flips"]["flips"] == 0
    assert record["probabilities"]["icc"]["A"]["value"] is None


def test_a_cohort_without_second_scans_is_one_clear_line(
    twice: Path, home: Home, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(twice / "cohort", tmp_path / "cohort")
    for again in folder.glob("*/again"):
        shutil.rmtree(again)
    with pytest.raises(InputError, match=r"repeats\.images: second scans are needed, but no file fits"):
        command("again", home, "--cohort", str(folder))
    text = (folder / "cohort.toml").read_text()
    (folder / "cohort.toml").write_text(text[: text.index("[repeats]")])
    with pytest.raises(InputError, match=r"second scans are needed: declare \[repeats\]") as caught:
        command("again", home, "--cohort", str(folder))
    assert len(caught.value.problems) == 1
    capsys.readouterr()
    assert main(["retest", "again", "--home", str(home.root), "--cohort", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1


def test_two_biopsies_scanned_twice_have_no_icc_and_the_reason_is_said(
    twice: Path, home: Home, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(twice / "cohort", tmp_path / "cohort")
    lines = (folder / "biopsies.tsv").read_text().splitlines()
    days = ["day", *("again" if line[:3] in ("b01", "b02") else "n/a" for line in lines[1:])]
    rows = [f"{line}\t{day}" for line, day in zip(lines, days, strict=True)]
    (folder / "biopsies.tsv").write_text("\n".join(rows) + "\n")
    text = (folder / "cohort.toml").read_text().replace("/again/", "/{day}/")
    (folder / "cohort.toml").write_text(text)
    assert command("again", home, "--cohort", str(folder), "--trial", "0", "--skip-maps") == 0
    assert "at least 3 sites scored on both scans are needed, but there are 2" in capsys.readouterr().out
