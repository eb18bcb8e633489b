from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelError, NonFiniteLoss, OutOfMemory
from models.spec import ComputeSpec
from search import child
from search.channel import Channel
from search.home import Home
from search.material import prepare
from search.records import FoldResult, TrialConfig
from search.refits.fit import Fit
from search.study_file import Study


def test_a_child_whose_owner_is_already_gone_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "search.child", "0", "1"], capture_output=True, text=True, check=False
    )
    assert "the owner died before its child was up" in done.stderr
    assert done.returncode == 1


def test_an_owner_that_hangs_up_before_the_setup_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=child.serve_until_closed, args=(theirs,))
    thread.start()
    ours.close()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_importing_the_child_loads_no_tensorflow() -> None:
    code = "import sys, search.child; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0


def fold_of(architecture: str) -> dict[str, Any]:
    settings = {"architecture": architecture}
    return {"kind": "fold", "settings": settings, "seed": 0, "split": 0, "seconds_left": None}


def test_a_precision_that_the_device_lacks_is_a_problem_of_the_study(
    make_study: Callable[..., Study], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(compute: ComputeSpec) -> None:
        raise ModelError(f"precision: {compute.precision} needs another GPU")

    monkeypatch.setattr("models.runtime.configure", refuse)
    study = make_study(tmp_path, "training.precision=mixed_bfloat16")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=child.serve_until_closed, args=(theirs,))
    thread.start()
    channel = Channel(ours)
    channel.send(
        {
            "study": study.to_json(),
            "home": str(tmp_path / "home"),
            "cache": str(tmp_path / "home" / "cache"),
            "material": material.hash,
            "files": study.files_hash,
        }
    )
    channel.send(fold_of("small_cnn"))
    assert channel.receive(120) == {"kind": "started"}
    reply = channel.receive(120)
    ours.close()
    thread.join(timeout=10)
    assert reply == {"kind": "input", "problems": ["training.precision: mixed_bfloat16 needs another GPU"]}


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        (OutOfMemory("no 3 GiB left"), "out of memory", "no 3 GiB left"),
        (MemoryError(), "out of memory", "MemoryError"),
        (
            NonFiniteLoss("the loss must be finite, but got nan"),
            "failed",
            "the loss must be finite, but got nan",
        ),
    ],
)
def test_what_a_fold_fails_of_is_told_to_the_owner(
    make_study: Callable[..., Study], tmp_path: Path, error: Exception, cause: str, message: str
) -> None:
    class Failing:
        def fold(self, *_: Any) -> None:
            raise error

    study = make_study(tmp_path)
    ours, _ = socket.socketpair()
    reply = child._answer(fold_of("constant"), Failing(), study, Channel(ours))  # type: ignore[arg-type]
    assert reply == {"kind": "failure", "cause": cause, "message": message}


def test_a_study_of_baselines_never_loads_tensorflow(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path, "search.enqueue=[]", "space={}", "space.architecture=['constant']")
    material = prepare(study, Home.at(tmp_path / "home"), frozen=False)
    code = (
        "import sys, socket, threading; from search import child\n"
        "from search.channel import Channel\n"
        "ours, theirs = socket.socketpair(); channel = Channel(ours)\n"
        "threading.Thread(target=child.serve_until_closed, args=(theirs,), daemon=True).start()\n"
        "for line in sys.stdin: channel.send(__import__('json').loads(line))\n"
        "kinds = [channel.receive(60)['kind'] for _ in range(2)]\n"
        "print(kinds, 'tensorflow' in sys.modules)"
    )
    setup = {
        "study": study.to_json(),
        "home": str(tmp_path / "home"),
        "cache": str(tmp_path / "home" / "cache"),
        "material": material.hash,
        "files": study.files_hash,
    }
    lines = "\n".join(map(json.dumps, (setup, fold_of("constant"))))
    done = subprocess.run(
        [sys.executable, "-c", code], input=lines, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['started', 'fold'] False"


def test_a_fit_that_is_asked_for_is_answered_like_a_fold(
    make_study: Callable[..., Study], tmp_path: Path, make_fold: Callable[..., FoldResult]
) -> None:
    asked: list[Fit] = []

    class Fitting:
        def fit(self, fit: Fit, report: Callable[[dict[str, Any]], None]) -> FoldResult:
            asked.append(fit)
            report({"kind": "epoch", "epoch": 1})
            return make_fold(2)

    study, fit = (
        make_study(tmp_path),
        Fit(TrialConfig({"rate": 0.1}, 1), 2, 0, 1, 1, (0, 1), (2,), order=(2, 1, 0)),
    )
    ours, theirs = socket.socketpair()
    message = json.loads(json.dumps({"kind": "fit", "fit": fit.as_json()}))
    reply = child._answer(message, Fitting(), study, Channel(ours))  # type: ignore[arg-type]
    assert asked == [fit]
    assert reply == {"kind": "fold", "result": make_fold(2).to_json()}
    assert Channel(theirs).receive(10) == {"kind": "epoch", "epoch": 1}
