from __future__ import annotations

import optuna
from hypothesis import given
from hypothesis import strategies as st

from search.news import Reader


@given(st.lists(st.tuples(st.sampled_from(["ask", "tell", "look"]), st.integers(0, 9)), max_size=30))
def test_each_trial_is_told_once_when_it_has_ended_and_until_then_it_is_among_the_others(
    steps: list[tuple[str, int]],
) -> None:
    study, reader = optuna.create_study(), Reader()
    running: list[optuna.Trial] = []
    told: list[int] = []
    for step, which in [*steps, ("look", 0)]:
        if step == "ask":
            running.append(study.ask())
        elif step == "tell" and running:
            study.tell(running.pop(which % len(running)), 0.5)
        elif step == "look":
            news = reader.news(study.get_trials(deepcopy=False))
            told += [trial.number for trial in news.ended]
            assert [t.number for t in news.others] == sorted(t.number for t in running)
    ended = {trial.number for trial in study.get_trials() if trial.state.is_finished()}
    assert sorted(told) == sorted(ended)


def test_those_known_to_have_ended_are_not_looked_at_again() -> None:
    study, reader = optuna.create_study(), Reader()
    for _ in range(20):
        study.tell(study.ask(), 0.5)
    late = study.ask()
    study.tell(study.ask(), 0.5)
    reader.news(study.get_trials())

    class Watched(list[optuna.trial.FrozenTrial]):
        def __getitem__(self, place: slice) -> list[optuna.trial.FrozenTrial]:  # type: ignore[override]
            looked.append(place.start)
            return super().__getitem__(place)

    looked: list[int] = []
    news = reader.news(Watched(study.get_trials()))
    assert (looked, [trial.number for trial in news.others]) == ([20], [late.number])
