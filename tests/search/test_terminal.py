from __future__ import annotations

import sys
from pathlib import Path

import optuna
import pytest

from data_prep.problems import InputError
from search.home import Home
from search.storage import open_storage
from search.terminal import counting, open_existing, placed, read_record, say


def test_say_is_one_line_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    say("done")
    assert capsys.readouterr() == ("done\n", "")


def test_a_command_that_fits_on_the_cpu_for_want_of_a_gpu_says_so_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (slot,) = placed(1, None, None, False)
    assert slot.gpu is None
    assert capsys.readouterr() == ("", "")  # a script reads problems there, one a line
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    placed(1, None, None, False)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("CUDA_VISIBLE_DEVICES='' names no GPU of this machine: one slot runs on the CPU")
    placed(1, "", None, False)
    assert capsys.readouterr().err == ""


def test_progress_stays_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("reading") as progress:
        progress(1, 3)
        progress(3, 3)
    assert capsys.readouterr().out == ""


def test_a_home_without_a_study_is_not_created_by_looking(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    assert open_existing(home, None) is None
    assert not home.root.exists()
    open_storage(None, home)
    assert open_existing(home, None) is not None


def test_a_record_that_is_not_this_versions_is_named_with_what_it_lacks(
    empty_study: optuna.Study, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"study 's': its record .* KeyError: 'metric'"):
        read_record(empty_study, Home.at(tmp_path), None)
    empty_study.set_user_attr("metric", "roc_auc")
    empty_study.set_user_attr("cohort", {"name": "toy"})
    with pytest.raises(InputError, match=r"'biopsies', 'excluded', 'hash'"):
        read_record(empty_study, Home.at(tmp_path), None)
