"""The child as a real process: what the owner hears when it fails, dies or must stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from data_prep.problems import InputError, Problems
from search.channel import Channel
from search.child_process import Child
from search.errors import TrialFailedError
from search.home import Home
from search.limits import TrialLimit
from search.material import prepare
from search.placement import Placement
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.space import read_space
from search.study_file import Study

SETTINGS = read_space({"architecture": ["small_cnn"], "patch_radius": [2]}, "s", Problems()).settings(
    {"architecture": "small_cnn", "patch_radius": 2}
)


@pytest.fixture(scope="module")
def setup(
    make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    folder = tmp_path_factory.mktemp("child")
    study, home = make_study(folder, "training.epochs=200", "training.early_stopping=none"), folder / "home"
    material = prepare(study, Home.at(home), frozen=False)
    return {
        "study": study.to_json(),
        "home": str(home),
        "cache": str(home / "cache"),
        "material": material.hash,
        "files": study.files_hash,
    }, folder


@pytest.fixture
def child(setup: tuple[dict[str, Any], Path]) -> Iterator[Child]:
    message, folder = setup
    child = Child(message, Placement(1, None), folder / "child.log", threading.Event())
    yield child
    child.close()


def when_training(action: Callable[[Any], None]) -> Callable[[Any], None]:
    """Do something at the third epoch of a fold."""

    def on_epoch(message: Any) -> None:
        if message["epoch"] == 3:
            action(message)

    return on_epoch


def test_a_child_killed_in_training_is_reported_and_replaced(child: Child) -> None:
    def kill(_: Any) -> None:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(TrialFailedError, match="the child process died \\(signal 9\\)") as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 0, when_training(kill))
    assert caught.value.cause == "child lost"
    epochs: list[int] = []
    fold = child.run_fold(TrialConfig(SETTINGS, 0), 1, lambda message: epochs.append(message["epoch"]))
    assert (fold.split, epochs[-1]) == (1, 200)


def test_a_child_that_the_kernel_killed_for_its_memory_ran_out_of_memory(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills = iter([3, 4, 4, 4])  # at its start, at its end
    monkeypatch.setattr("search.child_process.oom_kills", lambda: next(kills))

    def kill(_: Any) -> None:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(TrialFailedError, match="ran out of memory") as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 0, when_training(kill))
    assert caught.value.cause == "out of memory"


@pytest.mark.parametrize(
    ("after", "cause"), [(0.0, "interrupted"), (0.5, "interrupted"), (None, "child lost")]
)
def test_a_child_that_is_asked_to_end_is_lost_unless_its_owner_leaves_too(
    setup: tuple[dict[str, Any], Path],
    monkeypatch: pytest.MonkeyPatch,
    after: float | None,
    cause: str,
) -> None:
    """A cluster clears a node of all that runs; a guard of memory asks one process, again and again."""
    message, folder = setup
    seconds = 0.1 if after is None else 30.0
    monkeypatch.setattr("search.child_process.OWNER_SECONDS", seconds)
    monkeypatch.setattr("search.child_process.child_command", lambda end: ["sh", "-c", "kill -TERM $$"])
    stop, leaving = threading.Event(), threading.Event()
    child = Child(message, Placement(1, None), folder / "asked.log", stop, leaving)
    if after is not None:
        threading.Timer(after, leaving.set).start()
    with pytest.raises(TrialFailedError) as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 0, lambda _: None)
    assert caught.value.cause == cause


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "0" * 64}, r"code: the code changed while the study was running \(sha256 000000000000"),
        ({"material": "another"}, "the cohort changed while the study was running"),
    ],
)
def test_a_child_that_cannot_start_says_why(
    setup: tuple[dict[str, Any], Path], change: dict[str, str], says: str
) -> None:
    message, folder = setup
    child = Child(message | change, Placement(1, None), folder / "changed.log", threading.Event())
    with pytest.raises(InputError, match=says) as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 0, lambda _: None)
    assert len(caught.value.problems) == 1


def test_a_stop_ends_the_fold_within_seconds(setup: tuple[dict[str, Any], Path]) -> None:
    message, folder = setup
    stop = threading.Event()
    child = Child(message, Placement(1, None), folder / "stopped.log", stop)
    with pytest.raises(TrialFailedError, match="stopped") as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 0, when_training(lambda _: stop.set()))
    assert caught.value.cause == "interrupted"
    assert child.pid is None


def test_a_trial_over_time_ends_in_the_middle_of_a_fold_and_the_child_stays_warm(child: Child) -> None:
    whole = [child.run_fold(TrialConfig(SETTINGS, 0), split, lambda _: None) for split in (0, 1)][1]
    pid, epochs, limit = child.pid, list[int](), TrialLimit(10.0, spent=10.0 - whole.seconds / 3)

    with pytest.raises(TrialFailedError, match=r"a trial may take 10 s .* stopped after 10\.\d s") as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 1, lambda message: epochs.append(message["epoch"]), limit)
    assert caught.value.cause == "over time"
    assert 0 < len(epochs) < 200
    assert child.pid == pid is not None
    assert child.run_fold(TrialConfig(SETTINGS, 0), 1, lambda _: None).split == 1


def test_a_child_that_does_not_end_a_fold_over_time_by_itself_is_killed(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.child_process.GRACE_SECONDS", 0.5)

    def freeze(_: Any) -> None:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)

    with pytest.raises(TrialFailedError, match="a trial may take 20 s") as caught:
        child.run_fold(TrialConfig(SETTINGS, 0), 0, when_training(freeze), TrialLimit(20.0, spent=0.0))
    assert caught.value.cause == "over time"
    assert child.pid is None


def test_a_loss_that_is_not_finite_is_the_trials_own_fault(child: Child) -> None:
    config = TrialConfig(SETTINGS | {"optimizer": "sgd", "learning_rate": 1e30, "momentum": 0.9}, 0)
    with pytest.raises(TrialFailedError, match="finite") as caught:
        child.run_fold(config, 0, lambda _: None)
    assert caught.value.cause == "failed"
    assert child.pid is not None


def test_a_child_dies_with_its_owner(setup: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    message, _ = setup
    code = f"""
import json, threading
from pathlib import Path
from data_prep.problems import InputError, Problems
from search.child_process import Child
from search.placement import Placement
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.space import read_space
setup = json.loads({json.dumps(message)!r})
child = Child(setup, Placement(1, None), Path({str(tmp_path / "log")!r}), threading.Event())
child.run_fold(TrialConfig({SETTINGS!r}, 0), 0, lambda _: print(child.pid, flush=True))
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    child_pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{child_pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child_pid}").exists()


def test_a_child_past_its_memory_limit_is_replaced_after_the_fold(
    setup: tuple[dict[str, Any], Path],
) -> None:
    message, folder = setup
    child = Child(message, Placement(1, None, memory_mb=1.0), folder / "small.log", threading.Event())
    assert child.run_fold(TrialConfig(SETTINGS, 0), 0, lambda _: None).memory_mb > 1.0
    assert child.pid is None


def test_the_users_modules_cannot_take_the_place_of_ours(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models.py").write_text("raise SystemExit('the user has a models.py')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    child.close()
    assert child.run_fold(TrialConfig(SETTINGS, 0), 0, lambda _: None).split == 0


def test_a_fold_trains_in_mixed_precision_with_deterministic_kernels(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    options = ("training.precision=mixed_bfloat16", "training.deterministic=true", "training.epochs=1")
    study, home = make_study(tmp_path, *options), tmp_path / "home"
    material = prepare(study, Home.at(home), frozen=False)
    message = {
        "study": study.to_json(),
        "home": str(home),
        "cache": str(home / "cache"),
        "material": material.hash,
        "files": study.files_hash,
    }
    child = Child(message, Placement(1, None), tmp_path / "child.log", threading.Event())
    try:
        fold = child.run_fold(TrialConfig(SETTINGS, 1), 0, lambda message: None)
    finally:
        child.close()
    assert all(0 < probability < 1 for probability in fold.probabilities)


def test_an_owner_that_cannot_answer_throws_the_child_away(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the next request for the answer."""
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(child, "_channel", Channel(ours))
    Channel(theirs).send({"kind": "ask", "name": "width", "domain": {"choices": [1, 2]}})

    def answer(*_: Any) -> int:
        raise OSError("the storage is gone")

    with pytest.raises(OSError, match="the storage is gone"):
        child.compose({}, answer)
    assert child._channel is None


def test_a_fit_equals_the_fold_with_its_rows_and_a_failing_one_is_told(
    setup: tuple[dict[str, Any], Path], child: Child
) -> None:
    message, _ = setup
    material = prepare(Study.from_json(message["study"]), Home.at(message["home"]), frozen=True)
    config = TrialConfig(SETTINGS, 4)
    fit = Fit.of(config, material.folds.splits()[2])
    fold, again = child.run_fold(config, 2, lambda _: None), child.run_fit(fit.as_json())
    assert again.probabilities == fold.probabilities
    assert (again.split, again.curves, again.threshold) == (2, fold.curves, fold.threshold)
    wild = TrialConfig(SETTINGS | {"optimizer": "sgd", "learning_rate": 1e30, "momentum": 0.9}, 0)
    with pytest.raises(TrialFailedError, match="finite") as caught:
        child.run_fit(Fit.of(wild, material.folds.splits()[0]).as_json())
    assert caught.value.cause == "failed"


@pytest.mark.parametrize(("epochs", "stays"), [(0, True), (3, False)])
def test_only_networks_wear_a_child_out_by_their_number(
    epochs: int,
    stays: bool,
    child: Child,
    make_fold: Callable[..., FoldResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.child_process.FOLDS_PER_CHILD", 2)
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(child, "_channel", Channel(ours))
    other = Channel(theirs)
    for split in range(3):
        other.send({"kind": "fold", "result": make_fold(split, best_epoch=epochs).to_json()})
    kept = []
    for split in range(2):
        child.run_fold(TrialConfig(SETTINGS, 0), split, lambda _: None)
        kept.append(child._channel is not None)
    assert kept == [True, stays]
