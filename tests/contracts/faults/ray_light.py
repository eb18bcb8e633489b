"""A worker in a process of Ray that trains nothing: its child is the light one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

import search.child_process
from search.launchers import ray_worker
from search.launchers.ray_worker import End


def work(arguments: Sequence[str], environment: Mapping[str, str], cores: int) -> End:
    """The worker itself; LIGHT in its environment is the command of the child, as JSON."""
    command = json.loads(environment["LIGHT"])
    search.child_process.child_command = lambda end: [*command[:4], str(end), str(os.getpid()), *command[4:]]
    return ray_worker.work(arguments, environment, cores)
