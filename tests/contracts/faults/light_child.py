"""A child that trains nothing: it starts in milliseconds and speaks as `search.child` does.

What it answers follows from settings, seed and split alone, so that anybody can work it out again, except for
`device`, which names the training itself. Each training leaves two lines in a trace, one when it starts and
one before its result is sent: so the trace tells which fold was trained, when, and how often. While there is
a file TRACE.hold-SPLIT, a training of that split does not end.

Run as `python -I -S light_child.py SOCKET PARENT TRACE SPLITS SECONDS`; it imports nothing of ours.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def fold_of(split: Record, settings: Record, seed: int, training: str) -> Record:
    """The result of one fold, as the JSON of a `search.records.FoldResult`.

    Args:
        split: What the splits file holds of it: index, repeat, fold, rows, participants, labels.
        settings: Of the trial. A learning rate near 0.01 ranks best.
        seed: Of the trial.
        training: Names this training among all.
    """
    known = {name: split[name] for name in ("repeat", "fold", "rows", "participants", "labels")}
    signal_part = 0.3 / (1 + abs(math.log10(settings["learning_rate"]) + 2))
    noise = [_uniform(settings, seed, split["index"], row) for row in split["rows"]]
    return {
        **known,
        "split": split["index"],
        "probabilities": [
            round(0.35 + signal_part * (label - 0.5) + 0.3 * u, 6)
            for label, u in zip(split["labels"], noise, strict=True)
        ],
        "threshold": 0.5,
        "label_threshold": 1.0,
        "curves": {"loss": [_uniform(settings, seed, split["index"], -1), None]},
        "best_epoch": 1,
        "seconds": 1.0,
        "parameters": 10,
        "trainable_parameters": 9,
        "dead_parameters": 0,
        "device": training,
        "memory_mb": 1.0,
    }


def _uniform(settings: Record, seed: int, split: int, row: int) -> float:
    """In [0, 1)."""
    text = json.dumps([settings, seed, split, row], sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def main(descriptor: int, parent: int, trace: str, splits: str, seconds: float) -> None:
    """Answer requests until the owner hangs up."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the owner died before its child was up")
    known = json.loads(Path(splits).read_text())
    log = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with socket.socket(fileno=descriptor) as end, end.makefile("rw") as channel:
        channel.readline()  # the setup
        for count, line in enumerate(channel):
            request = json.loads(line)
            fold = {"seed": request["seed"], "split": request["split"], "training": f"{os.getpid()}-{count}"}
            _say(channel, {"kind": "started"})
            _note(log, {"event": "start", **fold})
            time.sleep(seconds * _uniform(request["settings"], request["seed"], request["split"], -2))
            while Path(f"{trace}.hold-{request['split']}").exists():
                time.sleep(0.02)
            result = fold_of(known[request["split"]], request["settings"], request["seed"], fold["training"])
            _note(log, {"event": "end", **fold})
            _say(channel, {"kind": "fold", "result": json.dumps(result)})


def _say(channel: Any, message: Record) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def _note(log: int, record: Record) -> None:
    os.write(log, json.dumps(record).encode() + b"\n")


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
    except (BrokenPipeError, ConnectionResetError):
        sys.exit(0)
