from __future__ import annotations

import tempfile
from pathlib import Path

import optuna
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from search.booking import counts, key_of, place_in_line, requeue
from search.line import Line

Steps = list[tuple[str, int]]
STEPS = ["ask", "tell", "lose", "enqueue", "look"]


def do(study: optuna.Study, step: str, which: int, lock: Path) -> None:
    """A step of a study's life; `which` chooses among the trials that run."""
    running = [trial for trial in study.get_trials() if trial.state == TrialState.RUNNING]
    if step == "enqueue":
        study.enqueue_trial({"x": which})
    elif step == "ask":
        trial = study.ask()
        if which % 3:  # the process of a trial may die before it has booked its place
            place = trial.user_attrs.get("place", place_in_line(study.get_trials(), key_of(trial)))
            trial.set_user_attr("place", place)
    elif running and step == "tell":
        study.tell(running[which % len(running)].number, 0.5)
    elif running and step == "lose":
        requeue(study, running[which % len(running)], ("interrupted", "child lost")[which % 2], lock)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "tell", "lose", "enqueue", "look"]), st.integers(0, 11)),
        max_size=25,
    )
)
def test_what_is_counted_as_trials_end_is_what_counting_all_of_them_gives(steps: Steps) -> None:
    study, line = optuna.create_study(), Line()
    with tempfile.TemporaryDirectory() as folder:
        for step, which in [*steps, ("look", 0)]:
            do(study, step, which, Path(folder) / "lock")
            if step != "look":
                continue
            trials = study.get_trials(deepcopy=False)
            line.update(trials)
            waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
            assert line.handed_out == sum(map(counts, trials))
            assert line.place == place_in_line(trials)
            assert [trial.number for trial in line.waiting] == waiting
            assert line.is_owed == any("retry_of" in trials[number].user_attrs for number in waiting)
            assert (line.following.number if line.following else None) == min(waiting, default=None)
