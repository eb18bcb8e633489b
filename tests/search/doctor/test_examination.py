from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from data_prep.problems import InputError
from mlflow_server.config import ServerConfig
from mlflow_server.launch import free_port, start
from search.doctor import lost_runs
from search.doctor.checkup import Report
from search.doctor.examination import DoctorOptions, examine, examine_study
from search.doctor.lost_runs import RunsCheck
from search.errors import StudyStoppedError
from search.home import Home
from search.mlflow_store.runs import MlflowRuns
from search.owner import Owner
from search.spool import SpoolFile
from search.storage import open_storage
from search.study_lock import exclusive
from tests.search.doctor.doctoring import (
    BREAKAGES,
    ELSEWHERE,
    Breakage,
    Patient,
    agreement,
    binned_experiment,
    dead_owner,
    fingerprint,
    no_database,
    no_fold_run,
    no_picture_anywhere,
    second_run,
    stray_run,
    study_left_running,
    torn_journal,
    trial_left_running,
)

ROOT = Path(__file__).parents[3]
# Of one run of the program, of MLflow's own, and those that hold ids.
VARYING = ("radsearch.opened", "mlflow.parentRunId")
COMBINED = [breakage for breakage in BREAKAGES if breakage not in (no_database, binned_experiment)]


def silent(_: str) -> None:
    """Nobody listens."""


def problems_of(patient: Patient, **options: object) -> set[str]:
    report = examine(patient.home, None, DoctorOptions(**options), silent)  # type: ignore[arg-type]
    assert report.dry_run or report.exit_code == 0, report.lines()
    return {finding.problem for finding in report.findings}


@pytest.fixture(scope="module")
def ward(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Patient:
    folder = tmp_path_factory.mktemp("ward")
    make_cohort(folder / "cohort")
    return Patient(folder)


@pytest.fixture
def patient(ward: Patient) -> Iterator[Patient]:
    yield ward
    ward.heal()


def test_a_sound_home_has_nothing_to_mend(patient: Patient) -> None:
    assert agreement(patient.home) == []
    assert problems_of(patient) == set()


@pytest.mark.parametrize(
    "breakage", [b for b in BREAKAGES if b is not no_database], ids=lambda breakage: breakage.__name__
)
def test_what_is_broken_is_found_and_mended_and_then_gone(breakage: Breakage, patient: Patient) -> None:
    breakage(patient)
    assert agreement(patient.home) != []
    before = fingerprint(patient.home.root)
    assert problems_of(patient, dry_run=True) >= BREAKAGES[breakage]
    assert fingerprint(patient.home.root) == before
    assert problems_of(patient) >= BREAKAGES[breakage]
    assert agreement(patient.home) == []
    assert problems_of(patient) == set()


@settings(max_examples=12)
@given(st.lists(st.sampled_from(COMBINED), min_size=3, max_size=8, unique=True))
def test_several_at_once_are_mended_at_once(ward: Patient, breakages: list[Breakage]) -> None:
    try:
        for breakage in sorted(breakages, key=COMBINED.index):
            breakage(ward)
        problems_of(ward)
        assert agreement(ward.home) == []
        assert problems_of(ward) == set()
    finally:
        ward.heal()


# A doctor in a process of its own, then what its user would see.
AFTERWARDS = """
import sys
from pathlib import Path
from search.cli import main
from search.home import Home
from tests.search.doctor.doctoring import agreement
code = main(["doctor", "--home", sys.argv[1]])
print(code, agreement(Home(Path(sys.argv[1]))))
"""


def python(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_lost_database_is_written_anew_from_optunas_record(patient: Patient) -> None:
    """In processes of their own: MLflow goes on with the file that it has open."""
    no_database(patient)
    before = fingerprint(patient.home.root)
    assert problems_of(patient, dry_run=True) == BREAKAGES[no_database]
    assert fingerprint(patient.home.root) == before
    home = str(patient.home.root)
    done = python("-m", "search.cli", "doctor", "toy", "--json", "--home", home)
    assert (done.returncode, done.stderr) == (0, "")
    assert {item["problem"] for item in json.loads(done.stdout)["findings"]} == BREAKAGES[no_database]
    again = python("-c", AFTERWARDS, home)
    assert (again.stdout, again.stderr) == ("nothing to mend\n0 []\n", "")


def test_what_was_published_again_is_what_was_there(patient: Patient) -> None:
    """Down to every point of every curve, and to the times of the trial."""
    before = contents(patient)
    for key in ("trial/0", "trial/0/fold/0", "trial/0/fold/1"):
        patient.erase(key, "metrics", "latest_metrics", "params", "tags", "runs")
    problems_of(patient)
    assert contents(patient) == before


def contents(patient: Patient) -> dict[str, object]:
    """What users see of the runs of trial 0."""
    seen: dict[str, object] = {}
    for key, run in patient.runs().items():
        if key.startswith("trial/0"):
            points = {
                name: [(p.step, p.value) for p in patient.client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            }
            tags = {name: text for name, text in run.data.tags.items() if name not in VARYING}
            files = fingerprint(patient.artifact(key, ""))
            seen[key] = (run.info.run_name, run.info.status, run.data.params, points, tags, files)
    return seen


def test_a_trial_of_a_living_process_is_let_be(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lost_runs, "UNOWNED_SECONDS", 0)  # the others may have ended a moment ago
    patient.lost_trial(str(Owner.of()))
    (run,) = [patient.fake_run("trial/2", "trial", trial="2")]
    report = examine(patient.home, "toy", DoctorOptions(), silent)
    assert report.notes == ["toy: let be, as somebody works on them or has a moment ago: trials 2"]
    assert "owner dead" not in {finding.problem for finding in report.findings}
    assert patient.study().get_trials()[2].state == TrialState.RUNNING
    assert patient.client.get_run(run.info.run_id).info.status == "RUNNING"


def test_a_trial_of_another_machine_is_named_and_taken_up_once_that_is_given_up(patient: Patient) -> None:
    patient.lost_trial(ELSEWHERE)
    report = examine(patient.home, None, DoctorOptions(), silent)
    assert "trial 2 runs on node7, which cannot be judged from here" in report.notes[0]
    assert report.exit_code == 0
    assert patient.study().get_trials()[2].state == TrialState.RUNNING
    given_up = DoctorOptions(lost_hosts=("node7",))
    assert "owner dead" in {f.problem for f in examine(patient.home, None, given_up, silent).findings}
    assert agreement(patient.home) == []
    assert examine(patient.home, None, given_up, silent).findings == []


def test_this_machine_is_not_given_up(patient: Patient) -> None:
    with pytest.raises(InputError, match="another machine is needed"):
        examine(patient.home, None, DoctorOptions(lost_hosts=(socket.gethostname(),)), silent)


def test_what_cannot_be_brought_back_is_said_and_left(patient: Patient, tmp_path: Path) -> None:
    no_picture_anywhere(patient)
    cohort = Path(str(patient.definition.cohort))
    cohort.rename(tmp_path / "elsewhere")
    try:
        report = examine(patient.home, None, DoctorOptions(), silent)
    finally:
        (tmp_path / "elsewhere").rename(cohort)
    assert report.exit_code == 1
    assert len(report.findings) == 2
    assert all("cannot be drawn again" in finding.action for finding in report.findings)
    assert report.lines()[-1] == "2 found, 0 mended"


def test_a_study_without_its_definition_is_left_to_a_run_that_writes_it(patient: Patient) -> None:
    patient.folder.definition.unlink()
    report = examine(patient.home, None, DoctorOptions(), silent)
    assert ([f.problem for f in report.findings], report.exit_code) == (["definition missing"], 1)


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_cannot_be_examined_is_said_with_all_that_was_done(dry_run: bool, patient: Patient) -> None:
    study = optuna.create_study(study_name="zoo", storage=open_storage(None, patient.home))
    study.set_user_attr("identity", {})  # of another version: it lacks the rest
    torn_journal(patient)
    options = DoctorOptions(tracking=f"http://127.0.0.1:{free_port()}", dry_run=dry_run)
    report = examine(patient.home, None, options, silent)
    found = [(finding.study, finding.problem, finding.mended) for finding in report.findings]
    assert found == [
        ("", "journal torn", not dry_run),
        ("toy", "not examined", False),
        ("zoo", "record not understood", False),
    ]
    assert (report.exit_code, "MLflow at http" in report.findings[1].action) == (3, True)


def test_a_run_that_begins_meanwhile_is_let_be(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first trial is younger than what the examination began with."""
    living: list[SpoolFile] = []
    runs: list[str] = []
    deliver = RunsCheck.deliver

    def then_a_run_begins(check: RunsCheck, report: Report) -> None:
        deliver(check, report)
        living.append(SpoolFile.create(patient.folder.spool))
        patient.study().ask().set_user_attr("owner", str(Owner.of()))
        study_left_running(patient)
        runs.extend(
            run.info.run_id for run in (patient.runs()["study"], patient.fake_run("trial/2", "trial"))
        )

    monkeypatch.setattr(RunsCheck, "deliver", then_a_run_begins)
    report = examine(patient.home, None, DoctorOptions(), silent)
    living[0].close()
    found = [patient.client.get_run(run_id).info for run_id in runs]
    assert [(run.status, run.lifecycle_stage) for run in found] == [("RUNNING", "active")] * 2
    assert "run without trial" not in {finding.problem for finding in report.findings}


def test_a_run_that_begins_amid_the_mending_is_let_be(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray_run(patient)
    study_left_running(patient)
    living: list[SpoolFile] = []
    delete = MlflowRuns.delete

    def then_a_run_begins(shelf: MlflowRuns, run_id: str) -> None:
        delete(shelf, run_id)
        living.append(SpoolFile.create(patient.folder.spool))

    monkeypatch.setattr(MlflowRuns, "delete", then_a_run_begins)
    report = examine(patient.home, None, DoctorOptions(), silent)
    for spool in living:
        spool.close()
    assert "run left running" not in {finding.problem for finding in report.findings}
    assert patient.runs()["study"].info.status == "RUNNING"


def test_one_at_a_time_mends_a_study(patient: Patient) -> None:
    study, report = patient.study(), Report("", dry_run=False)
    trial_left_running(patient)
    with exclusive(patient.folder.root / "doctor.lock"):
        with pytest.raises(StudyStoppedError, match="another process mends the study"):
            examine_study(study, patient.home, DoctorOptions(patience=0), report)
        assert problems_of(patient, dry_run=True) == {"run left running"}
    assert patient.runs()["trial/0"].info.status == "RUNNING"
    examine_study(study, patient.home, DoctorOptions(patience=60), report)
    assert patient.runs()["trial/0"].info.status == "FINISHED"


def test_a_definition_that_is_no_text_is_as_none(patient: Patient) -> None:
    patient.folder.definition.write_bytes(b"\xff{}")
    report = examine(patient.home, None, DoctorOptions(), silent)
    assert ([f.problem for f in report.findings], report.exit_code) == (["definition missing"], 1)


def test_a_home_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert examine(Home.at(tmp_path / "none"), None, DoctorOptions(), silent).findings == []
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match="no study 'toy'"):
        examine(Home.at(tmp_path / "none"), "toy", DoctorOptions(), silent)


@pytest.mark.slow
def test_a_server_is_mended_as_the_embedded_database_is(patient: Patient, tmp_path: Path) -> None:
    config = ServerConfig(patient.home.tracking_uri, tmp_path / "mlartifacts", port=free_port())
    server = start(config, tmp_path / "mlflow.log")
    try:
        for breakage in (no_fold_run, second_run, dead_owner):
            breakage(patient)
        options = DoctorOptions(tracking=server.url)
        found = {finding.problem for finding in examine(patient.home, None, options, silent).findings}
        assert found >= {"fold without run", "second run", "owner dead", "run id lost"}
        assert examine(patient.home, None, options, silent).findings == []
        assert agreement(patient.home) == []
    finally:
        server.stop()
