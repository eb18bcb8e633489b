"""Recorded trials run again, through real children and the command line."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from data_prep.problems import InputError
from models.device import thread_counts
from search.booking import FOLD, VERSIONS
from search.cli import main
from search.home import Home
from search.identity import identity_of
from search.material import prepare
from search.opening import open_study
from search.records import FoldResult, TrialConfig
from search.replay import (
    FoldReplay,
    Recording,
    Replay,
    find_recording,
    placement,
    recorded_material,
    run_again,
)
from search.storage import open_storage
from search.study_file import Study
from search.versions import software_versions

BASELINE = """
name = "base"
cohort = "cohort"
[validation]
folds = 3
[search]
trials = 3
sampler = "random"
pruner = "none"
enqueue = [{ architecture = "roi_means", patch_radius = 3 }]
[space]
architecture = ["roi_means", "constant"]
patch_radius = { low = 2, high = 4 }
"""


@pytest.fixture(scope="module")
def baseline(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study of shallow baselines, its home and its cohort."""
    folder = tmp_path_factory.mktemp("baseline")
    make_cohort(folder / "cohort")
    (folder / "study.toml").write_text(BASELINE)
    assert main(["run", str(folder / "study.toml"), "--home", str(folder / "home")]) == 0
    return folder


@pytest.fixture
def copied(baseline: Path, tmp_path: Path) -> Path:
    """A home of its own with the same study, on the same cohort."""
    shutil.copytree(baseline / "home", tmp_path / "home")
    return tmp_path / "home"


def replay(home: Path, *args: str, study: str = "base", trial: int = 0) -> int:
    return main(["replay", study, str(trial), "--home", str(home), *args])


def rewrite(home: Path, change: Callable[[str, Any], Any]) -> None:
    """Change the system attributes of trials in a journal: `change` gets each key and value."""
    journal = Home(home).journal
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if "system_attr" in line and "trial_id" in line:
            line["system_attr"] = {key: change(key, value) for key, value in line["system_attr"].items()}
    journal.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def tree(home: Path) -> dict[str, str]:
    """The content of every file of a home, its cache aside."""
    return {
        str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(home.rglob("*"))
        if path.is_file() and "cache" not in path.relative_to(home).parts
    }


def test_a_baseline_comes_out_again_to_the_last_bit_and_nothing_is_written(
    baseline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(baseline / "home")
    capsys.readouterr()
    assert replay(baseline / "home") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "trial 0 of base: 3 folds equal to what was recorded, to the last bit"
    assert "largest difference of a held-out probability: 0" in said.out
    assert [line.split(" took")[0] for line in said.err.splitlines() if line.startswith("fold")] == [
        "fold 1 of 3",
        "fold 2 of 3",
        "fold 3 of 3",
    ]
    assert tree(baseline / "home") == before


def test_a_network_comes_out_again_to_the_last_bit(finished: Any, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert replay(finished.home.root, "--json", study="toy", trial=1) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["study"], record["trial"], record["equal"], record["tolerance"]) == ("toy", 1, True, 0.0)
    assert [fold["split"] for fold in record["folds"]] == [0, 1, 2]
    for fold in record["folds"]:
        assert fold["largest_probability_difference"] == 0.0
        assert all(metric["recorded"] == metric["again"] for metric in fold["metrics"].values())
        assert fold["device"]["recorded"] == fold["device"]["again"]
    assert record["versions"]["recorded"] == record["versions"]["now"] == software_versions()


def test_a_network_comes_out_again_to_the_last_bit_after_the_largest_radius_has_grown(
    finished: Any,
    make_study: Callable[..., Study],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = Home(shutil.copytree(finished.home.root, tmp_path / "home"))
    wider = make_study(finished.home.root.parent, "space.patch_radius={ low = 2, high = 7 }")
    opened = open_study(wider, prepare(wider, home, frozen=True), open_storage(None, home), home)
    assert opened.user_attrs["identity"]["space.patch_radius.high"] == 7
    capsys.readouterr()
    assert replay(home.root, study="toy", trial=1) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("equal to what was recorded, to the last bit")


@pytest.mark.parametrize("tolerance", [None, "0.5"])
def test_one_probability_that_was_changed_is_found_and_named(
    copied: Path, capsys: pytest.CaptureFixture[str], tolerance: str | None
) -> None:
    def change(key: str, value: Any) -> Any:
        if key != f"{FOLD}1":
            return value
        fold = json.loads(value)
        fold["probabilities"][2] += 1e-9
        return json.dumps(fold)

    rewrite(copied, change)
    capsys.readouterr()
    options = [] if tolerance is None else ["--tolerance", tolerance]
    code = replay(copied, *options)
    said = capsys.readouterr()
    complaints = [line for line in said.err.splitlines() if "differs" in line]
    if tolerance is None:
        assert code == 1
        (line,) = complaints
        assert line.startswith("trial 0 of base: fold 1 differs: ")
        assert "a probability differs by 1e-09" in line
        assert "brier was " in line
        assert said.out.splitlines()[-1].endswith("differs from what was recorded, in 1 of 3 folds: 1")
    else:
        assert (code, complaints) == (0, [])
        assert said.out.splitlines()[-1].endswith("3 folds equal to what was recorded, within 0.5")


def test_packages_of_another_version_are_named(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(key: str, value: Any) -> Any:
        return json.dumps(json.loads(value) | {"numpy": "1.0", "gone": "2"}) if key == VERSIONS else value

    rewrite(copied, change)
    capsys.readouterr()
    assert replay(copied) == 0
    said = capsys.readouterr().out
    assert f"numpy: 1.0 when recorded, {software_versions()['numpy']} now" in said
    assert "gone: 2 when recorded, not installed now" in said


def test_another_cohort_is_refused_and_the_same_one_elsewhere_is_not(
    baseline: Path,
    make_cohort: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    moved, other = tmp_path / "moved", make_cohort(tmp_path / "other", seed=1)
    shutil.copytree(baseline / "cohort", moved)
    assert replay(baseline / "home", "--cohort", str(moved)) == 0
    capsys.readouterr()
    assert replay(baseline / "home", "--cohort", str(other)) == 1
    said = capsys.readouterr()
    told = [line for line in said.err.splitlines() if line.startswith("study")]
    assert [line.split(": ")[1] for line in told] == ["cohort.patches", "cohort.labels"]
    assert all(line.endswith("A trial is replayed on what it ran on") for line in told)
    assert said.out == ""


@pytest.mark.parametrize(
    ("study", "trial", "line"),
    [
        ("bass", 0, "STUDY: no study 'bass' in .*; did you mean 'base'"),
        ("base", 9, "TRIAL: no trial 9 of study 'base': its trials are 0 to 2"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(baseline: Path, study: str, trial: int, line: str) -> None:
    with pytest.raises(InputError, match=line):
        find_recording(Home(baseline / "home"), None, study, trial, None)


def test_a_home_without_anything_is_left_without_anything(tmp_path: Path) -> None:
    assert replay(tmp_path / "home") == 1
    assert not (tmp_path / "home").exists()


def test_a_trial_without_a_finished_fold_is_refused(copied: Path) -> None:
    study = optuna.load_study(study_name="base", storage=open_storage(None, Home(copied)))
    study.enqueue_trial({"architecture": "constant"})
    with pytest.raises(InputError, match=r"trial 3 .* has no finished fold .* do: 0, 1, 2"):
        find_recording(Home(copied), None, "base", 3, None)


def test_a_trial_that_was_taken_up_again_is_replayed_with_the_seed_of_its_first_attempt(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folds are those of both attempts; here the last one is still to come."""
    home = Home(copied)
    study = optuna.load_study(study_name="base", storage=open_storage(None, home))
    first = study.get_trials()[1]
    study.add_trial(
        optuna.create_trial(
            state=TrialState.PRUNED,
            params=first.params,
            distributions=first.distributions,
            user_attrs={**first.user_attrs, "retry_of": 1, "key": 1},
            system_attrs={name: v for name, v in first.system_attrs.items() if name != f"{FOLD}2"},
        )
    )
    found = find_recording(home, None, "base", 3, None)
    assert found.config == find_recording(home, None, "base", 1, None).config
    assert found.config.seed != find_recording(home, None, "base", 0, None).config.seed
    assert [fold.split for fold in found.folds] == [0, 1]
    capsys.readouterr()
    assert replay(copied, trial=3) == 0
    assert "it took up trial 1 again, whose folds other versions may have run" in capsys.readouterr().out


def test_code_of_ones_own_that_was_changed_is_refused(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    code, home = tmp_path / "mine.py", Home(tmp_path / "home")
    code.write_text("def build(input_shape): ...\n")
    study = make_study(
        tmp_path, "architectures.mine.function='mine.py:build'", "space.architecture=['mine', 'small_cnn']"
    )
    identity = identity_of(study, prepare(study, home, frozen=False))
    recording = Recording(study, identity, 0, TrialConfig({}, 0), (), None)
    assert recorded_material(recording, home).cohort == "toy"
    code.write_text("def build(input_shape): return None\n")
    with pytest.raises(InputError, match=r"architectures\.mine \(sha256\): must stay .* what it ran on$"):
        recorded_material(recording, home)


def children_of(process: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_at_once_with_its_child(finished: Any, number: signal.Signals, code: int) -> None:
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # may be ignored here
    )
    program += "import sys; from search.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "replay", "toy", "0", "--home", str(finished.home.root)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (children := children_of(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (code, False)
    assert children
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, children))


def pair(make_fold: Callable[..., FoldResult], **changes: Any) -> FoldReplay:
    return FoldReplay(make_fold(0), make_fold(0, **changes))


def of(fold: FoldReplay, tolerance: float = 0.0, versions: Any = None) -> Replay:
    study = Study(name="s", space={"architecture": ["constant"]})
    recording = Recording(study, {}, 3, TrialConfig({}, 0), (fold.recorded,), versions)
    return Replay(recording, (fold,), tolerance)


def test_the_largest_difference_counts_and_the_tolerance_holds_for_metrics_too(
    make_fold: Callable[..., FoldResult],
) -> None:
    fold = pair(make_fold, error=0.21)
    assert fold.largest == pytest.approx(0.01)
    assert of(fold, 0.2).differing == {}
    assert not of(fold, 0.2).is_exact
    (lines,) = of(fold, 0.011).differing.values()
    assert [line.split(" was ")[0] for line in lines] == ["log_loss"]
    assert not of(fold).record()["equal"]


def test_other_biopsies_and_an_undefined_metric_are_differences(
    make_fold: Callable[..., FoldResult],
) -> None:
    other = pair(make_fold, rows=tuple(range(16, 32)))
    assert other.largest is None
    assert of(other, 1.0).differing == {0: ["other biopsies or labels were held out"]}
    assert of(other).largest is None
    one_class = pair(make_fold, labels=(1,) * 16)
    assert "roc_auc was 1.0, is None" in one_class.differences(10.0)
    assert of(FoldReplay(one_class.again, one_class.again)).is_exact


def test_versions_that_were_not_recorded_are_no_other_versions(make_fold: Callable[..., FoldResult]) -> None:
    assert of(pair(make_fold)).other_versions == {}
    assert of(pair(make_fold), versions=software_versions()).other_versions == {}


@pytest.mark.parametrize("threads", [1, 2])
def test_what_ran_on_the_cpu_is_run_again_with_as_many_threads(threads: int) -> None:
    where = placement(f"CPU x{threads}", None)
    assert (where.gpu, (where.threads, where.inter)) == (None, thread_counts(threads, 1))


@pytest.mark.parametrize(("gpus", "threads"), [(None, [1, 2, 1]), ("", [1])])
def test_each_fold_is_run_again_with_the_threads_that_ran_it(
    baseline: Path, make_fold: Callable[..., FoldResult], gpus: str | None, threads: list[int]
) -> None:
    devices = ["CPU x1", "CPU x1", "CPU x2", "CPU x1"]
    folds = tuple(make_fold(split, device=device) for split, device in enumerate(devices))
    recording = replace(find_recording(Home(baseline / "home"), None, "base", 0, None), folds=folds)
    ran: list[tuple[Any, list[int]]] = []

    class Fake:
        """In place of a child: keeps where it is and which folds it is asked for."""

        def __init__(self, setup: Any, where: Any, *_: Any) -> None:
            ran.append((where, []))

        def run_fold(self, config: TrialConfig, split: int, *_: Any) -> FoldResult:
            ran[-1][1].append(split)
            return folds[split]

        def close(self) -> None:
            pass

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("search.replay.Child", Fake)
        home = Home(baseline / "home")
        material = prepare(recording.study, home, frozen=True)
        assert len(list(run_again(recording, material, home, gpus))) == 4
    if gpus is None:
        assert [(where.threads, where.inter) for where, _ in ran] == [thread_counts(n, 1) for n in threads]
        assert [splits for _, splits in ran] == [[0, 1], [2], [3]]
    else:
        assert [splits for _, splits in ran] == [[0, 1, 2, 3]]


def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="--gpus: must name GPUs of this machine"):
        placement("CPU x1", "GPU-none")
