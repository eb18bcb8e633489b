from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from search.aftermath import mend_after_a_crash
from search.progress import Listener
from tests.search.doctor.doctoring import Patient, agreement


class Notes(list[str], Listener):
    """Keeps what it is told."""

    def note(self, text: str) -> None:
        self.append(text)


@pytest.fixture
def patient(make_cohort: Any, tmp_path: Path) -> Patient:
    make_cohort(tmp_path / "cohort")
    return Patient(tmp_path)


def a_writer_that_dies(spool: Path) -> None:
    """A process that is killed with all its events delivered."""
    code = f"""
from pathlib import Path
from search.spool import SpoolFile
SpoolFile.create(Path({str(spool)!r}))
__import__("os").kill(__import__("os").getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL


def test_a_run_that_was_told_in_optuna_and_not_in_mlflow_is_ended_at_the_next_start(patient: Patient) -> None:
    """The process was killed between the two."""
    for key in ("trial/1", "trial/1/fold/1", "study"):
        patient.client.update_run(patient.runs()[key].info.run_id, status="RUNNING")
    a_writer_that_dies(patient.folder.spool)
    notes = Notes()
    mend_after_a_crash(patient.study(), patient.home, None, None, notes)
    assert notes[0].startswith("an earlier run was cut off")
    assert notes[1:] == ["3 things mended that it left behind"]
    assert agreement(patient.home) == []


def test_where_every_process_ended_well_nothing_is_looked_at(patient: Patient) -> None:
    patient.client.update_run(patient.runs()["trial/1"].info.run_id, status="RUNNING")
    notes = Notes()
    mend_after_a_crash(patient.study(), patient.home, None, None, notes)
    assert notes == []
    assert patient.runs()["trial/1"].info.status == "RUNNING"


def test_an_mlflow_server_that_is_away_holds_up_no_study(patient: Patient) -> None:
    patient.dead_spool({"op": "tags", "key": "study", "tags": {"a": "b"}})
    notes = Notes()
    mend_after_a_crash(patient.study(), patient.home, None, "http://127.0.0.1:9", notes)
    assert len(notes) == 2
    assert "`radsearch doctor` tries again" in notes[1]


def test_the_command_line_mends_before_it_goes_on(patient: Patient) -> None:
    """A real run that is killed at a moment of its own; the next leaves nothing for the doctor."""
    folder = patient.home.root.parent
    command = [sys.executable, "-m", "search.cli", "run", str(folder / "study.toml"), "--workers", "1"]
    command += ["--home", str(patient.home.root), "--trials", "40"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    while "trial 5 " not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = subprocess.run([*command[:-1], "8"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "things mended that it left behind" in done.stderr
    # A picture that was being written when the kill came lies there until it is sure that nobody writes it.
    assert [line for line in agreement(patient.home) if not line.startswith("draft .")] == []
