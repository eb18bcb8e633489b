"""What a worker takes of a node of a Ray cluster, and whether there is a node that has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from search.launchers.request import LaunchRequest, share_of

MEBIBYTE = 2**20
WORDS = {"CPU": ("{:g} CPU", "s"), "GPU": ("{:g} GPU", "s"), "memory": ("{:.4g} GiB of memory", "")}


def needs_of(request: LaunchRequest) -> dict[str, float]:
    """What one worker takes, by Ray's names; of a machine alone its share of the cores."""
    if request.address is None:
        needs = {"CPU": share_of(request), "GPU": request.gpus}
    else:
        needs = {"CPU": request.cpus, "GPU": request.gpus, "memory": request.memory_mb * MEBIBYTE}
    return {name: float(amount) for name, amount in needs.items() if amount}


def in_words(needs: Mapping[str, float]) -> str:
    """Resources as people say them.

    >>> in_words({"CPU": 4.0, "GPU": 1.0, "memory": 16.0 * 2**30})
    '4 CPUs, 1 GPU, 16 GiB of memory'
    """
    return ", ".join(_in_words(name, amount) for name, amount in needs.items())


def _in_words(name: str, amount: float) -> str:
    text, plural = WORDS[name]
    amount = amount / 2**30 if name == "memory" else amount
    return text.format(amount) + (plural if amount != 1 else "")


def shortage(nodes: Sequence[Mapping[str, Any]], needs: Mapping[str, float], workers: int) -> str | None:
    """What keeps workers waiting however long, unless the cluster grows.

    Args:
        nodes: As `ray.nodes()` has them.
        needs: Of one worker.
        workers: How many are to run at a time.

    Returns:
        A line; None where there is room for all, be it taken at the moment.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    room = sum(_room(there, needs) for there in alive)
    if room >= workers:
        return None
    if room:
        return f"the cluster has room for {room} of {workers} workers; the others wait until it grows"
    most = {name: max((there.get(name, 0.0) for there in alive), default=0.0) for name in needs}
    return (
        f"a worker needs a node with {in_words(needs)}, but the cluster has none; the workers wait until one "
        f"joins. The most that its {len(alive)} nodes have: {in_words(most)}"
    )


def _room(there: Mapping[str, float], needs: Mapping[str, float]) -> int:
    return min(int(there.get(name, 0.0) // amount) for name, amount in needs.items())
