"""A recorded study as its search began, and made cheaper to repeat by what its user declares."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from data_prep.plain_files import load_toml
from data_prep.problems import Problems
from search.domains import Value
from search.feasible import logical_name
from search.known import resolve
from search.space import Space, check_params
from search.study_file import Study, read_study
from search.widening import CHANGES

# What may be reduced; all else is what the claim is about. What is enqueued is not for who has seen results.
REDUCIBLE = ("space", "training", "input", "validation.folds", "validation.repeats")
ENQUEUE, ARCHITECTURE = "search.enqueue", "space.architecture"


def as_begun(study: Study, recorded: optuna.Study) -> tuple[Study, tuple[str, ...]]:
    """The study as whoever had not seen a result made it, as far as that can be had back.

    Args:
        study: As it was last run, which may have been after its results were looked at.
        recorded: What Optuna has of it.

    Returns:
        The study, which enqueues what stood in line first, and a line for all that was changed later.
    """
    first = first_in_line(recorded.get_trials(deepcopy=False), study.parameters)
    kept = [params for params in first if _fits(study.parameters, params)]
    changed = dict.fromkeys(change["parameter"] for change in recorded.user_attrs.get(CHANGES, ()))
    told = [f"space.{name}: was changed after the search had begun" for name in changed]
    if late := sum(params not in first for params in study.search.enqueue):
        told.append(f"{ENQUEUE}: {late} put in line after the search had begun are left out")
    if dropped := len(first) - len(kept):
        told.append(f"{ENQUEUE}: {dropped} of {len(first)} are not in the space any more")
    return study.model_copy(update={"search": _enqueueing(study, kept)}), tuple(told)


def first_in_line(trials: Iterable[FrozenTrial], space: Space) -> tuple[dict[str, Value], ...]:
    """What was enqueued before the search drew its first trial, in order; the names are the space's.

    What was put in line later can have been chosen by results. The line thus ends before the first trial that
    was drawn or that is the copy of a lost one. Of each trial that stood in it only the values that were
    enqueued count: the sampler, which drew the others, may have known results.
    """
    line = itertools.takewhile(
        lambda trial: "fixed_params" in trial.system_attrs and "retry_of" not in trial.user_attrs,
        sorted(trials, key=lambda trial: trial.number),
    )
    return tuple(
        {
            own if (own := logical_name(name)) in space else name: value
            for name, value in trial.system_attrs["fixed_params"].items()
        }
        for trial in line
    )


def reduced(study: Study, overrides: Sequence[str]) -> tuple[Study, tuple[str, ...]]:
    """The study with some settings changed, read as a study file is.

    Parameters that mean nothing for the architectures that are left, and enqueued trials that a smaller space
    does not have, are left out.

    Args:
        study: As recorded.
        overrides: `section.key=value`, as of `search.study_file.read_study`.

    Returns:
        The study, and what was changed, a line each.

    Raises:
        InputError: An override is none of `REDUCIBLE`, or the result is no sound study; a line a problem.
    """
    problems = Problems()
    for override in overrides:
        key = override.partition("=")[0].strip()
        if "=" in override and not any(f"{key}.".startswith(f"{part}.") for part in REDUCIBLE):
            problems.add(
                "--set", f"only {', '.join(REDUCIBLE)} may be reduced, but got {key}: that is another claim"
            )
    problems.raise_any()
    if not overrides:
        return study, ()
    keys = {override.partition("=")[0].strip() for override in overrides}
    meaningless = [name for name in _meaningless(study, overrides) if f"space.{name}" not in keys]
    space = {name: entry for name, entry in study.space.items() if name not in meaningless}
    bare = study.model_copy(update={"space": space, "search": _enqueueing(study, ())})
    smaller = _read_again(bare, overrides)
    told = [*overrides, *(f"space.{name}: means nothing in the smaller space" for name in meaningless)]
    kept = [params for params in study.search.enqueue if _fits(smaller.parameters, params)]
    dropped = len(study.search.enqueue) - len(kept)
    if dropped:
        told.append(f"{ENQUEUE}: {dropped} of {len(study.search.enqueue)} are not in the smaller space")
    return smaller.model_copy(update={"search": _enqueueing(smaller, kept)}), tuple(told)


def _meaningless(study: Study, overrides: Sequence[str]) -> list[str]:
    """Parameters of the space that apply to none of the architectures that an override leaves."""
    values = [
        text for key, _, text in (one.partition("=") for one in overrides) if key.strip() == ARCHITECTURE
    ]
    if not values:
        return []
    offered = [name for name in _names(values[-1]) if name in study.catalogue.names]
    known = resolve(study.catalogue, offered, (), study.defaults)
    return [
        name
        for name in study.space
        if (name in known and known[name].applies.get("architecture") == ())
        or (name in study.catalogue.own and name not in offered)
    ]


def _names(text: str) -> list[str]:
    """The names in an override's value: a bare word, text, a list, or a table of choices."""
    try:
        value = load_toml(f"value = {text.strip()}")["value"]
    except ValueError:
        return [text.strip()]
    value = value.get("choices", []) if isinstance(value, Mapping) else value
    return [str(name) for name in (value if isinstance(value, list) else [value])]


def _enqueueing(study: Study, trials: Iterable[Mapping[str, Value]]) -> Any:
    return study.search.model_copy(update={"enqueue": tuple(trials)})


def _fits(space: Space, params: Mapping[str, Value]) -> bool:
    problems = Problems()
    check_params(space, params, ENQUEUE, problems)
    return not problems


def _read_again(study: Study, overrides: Sequence[str]) -> Study:
    with tempfile.TemporaryDirectory(prefix="radsearch-") as folder:
        path = Path(folder) / f"{study.name}.toml"
        table = study.model_dump(mode="json", exclude_none=True)
        path.write_text("".join(f"{_key(k)} = {toml_value(v)}\n" for k, v in table.items()), encoding="utf-8")
        return read_study(path, overrides)


def toml_value(value: Any) -> str:
    """A value of a JSON document in TOML; tables on one line.

    >>> toml_value({"low": 1e-05, "log": True, "when": {"optimizer": ["sgd"]}})
    '{"low" = 1e-05, "log" = true, "when" = {"optimizer" = ["sgd"]}}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {toml_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
