"""What hypermodels ask for, found in a process of its own: TensorFlow loads nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from data_prep.problems import InputError
from models.device import child_environment
from search.domains import Parameter, Value, domain_from
from search.study_file import Study

COMMAND = (sys.executable, "-P", "-m", "models.discovery")
SEQUENCES = 9  # the report's, where the study takes all: its cohort's are known once that was read


def discover(study: Study, names: Sequence[str]) -> dict[str, list[Parameter]]:
    """The parameters of a study's hypermodels, with the conditions under which each is asked for.

    They are built on the largest patch of the study; no cohort is read, so that a study of all sequences
    counts as one of `SEQUENCES`, without presence channels.

    Args:
        study: The study.
        names: Of the hypermodels.

    Raises:
        InputError: One cannot be built.
    """
    if not names:
        return {}
    side = 2 * study.parameters.largest_radius + 1
    sequences = SEQUENCES if study.input.sequences == "all" else len(study.input.sequences)
    channels = sequences * study.input.slices
    own = {name: study.catalogue.own[name] for name in names}
    request = {
        "shape": [side, side, channels],
        "hypermodels": {
            name: {"source": o.source, "params": dict(o.fixed or {}), "arguments": dict(o.arguments or {})}
            for name, o in own.items()
        },
    }
    reply = _ask(request)
    if "error" in reply:
        raise InputError(reply["error"])
    return {name: _parameters(name, reply["questions"][name]) for name in names}


def _ask(request: dict[str, Any]) -> dict[str, Any]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | child_environment(1, None)
    done = subprocess.run(
        COMMAND, input=json.dumps(request), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise InputError(lines[-1] if lines else f"{' '.join(COMMAND[1:])} ended with {done.returncode}")
    reply: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return reply


def _parameters(architecture: str, questions: Sequence[dict[str, Any]]) -> list[Parameter]:
    names = {question["hyperparameter"]: f"{architecture}.{question['name']}" for question in questions}
    found = []
    for question in questions:
        when: dict[str, tuple[Value, ...]] = {
            names.get(parent, f"{architecture}.{parent}"): tuple(values)
            for parent, values in question["conditions"]
        }
        name = f"{architecture}.{question['name']}"
        found.append(
            Parameter(name, domain_from(question["domain"]), {"architecture": (architecture,)} | when)
        )
    return found
