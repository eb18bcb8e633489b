"""How trials end: the one table, and the one function that reads it."""

from __future__ import annotations

from dataclasses import dataclass

MOST_RETRIES = 2


@dataclass(frozen=True)
class Ending:
    """What becomes of a trial.

    Attributes:
        cause: Why it ended; shown to the user.
        state: Its state in Optuna: COMPLETE, PRUNED or FAIL.
        run_status: The status of its MLflow run: FINISHED, KILLED or FAILED.
        retry: Whether a copy with its finished folds waits for the next free slot.
        constraint: The constraint it violated, which the sampler learns from.
    """

    cause: str
    state: str
    run_status: str
    retry: bool = False
    constraint: str | None = None


# What a trial costs too much of, memory or time, is told as PRUNED: TPE never reads a failed trial, and would
# propose the same region again.
ENDINGS: dict[str, Ending] = {
    "complete": Ending("complete", "COMPLETE", "FINISHED"),
    "pruned": Ending("pruned", "PRUNED", "KILLED"),
    "out of memory": Ending("out of memory", "PRUNED", "KILLED", constraint="oom"),
    "over time": Ending("over time", "PRUNED", "KILLED", constraint="over_time"),
    "failed": Ending("failed", "FAIL", "FAILED"),
    "child lost": Ending("child lost", "FAIL", "FAILED", retry=True),
    "owner lost": Ending("owner lost", "FAIL", "FAILED", retry=True),
    "interrupted": Ending("interrupted", "FAIL", "KILLED", retry=True),
}
UNBOUNDED = frozenset({"interrupted"})  # a user may stop and continue as often as they like


def decide(cause: str, retries: int) -> Ending:
    """How a trial ends.

    Args:
        cause: A key of `ENDINGS`.
        retries: How often the trial was lost to a dead process before.

    Returns:
        The ending; a lost trial is retried at most `MOST_RETRIES` times.
    """
    ending = ENDINGS[cause]
    if ending.retry and cause not in UNBOUNDED and retries >= MOST_RETRIES:
        return Ending(ending.cause, ending.state, ending.run_status)
    return ending
