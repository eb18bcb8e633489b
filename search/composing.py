"""What only building a network tells: a hypermodel's parameters, and whether a user's architecture works."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import optuna

from data_prep.problems import InputError
from search.child_process import Child
from search.code_identity import SOURCE, code_identity
from search.domains import Choice, Domain, Value
from search.errors import StudyStoppedError, TrialFailedError
from search.home import Home
from search.limits import TrialLimit
from search.material import Material
from search.placement import Placement
from search.probes import trials_to_probe
from search.progress import Listener
from search.study_file import Study
from search.suggest import suggest


def setup_of(study: Study, home: Home, material: Material) -> dict[str, str]:
    """What a child needs to prepare its data, as `search.child` reads it."""
    return {
        "study": study.to_json(),
        "home": str(home.root),
        "cache": str(home.cache),
        "material": material.hash,
        "files": study.files_hash,
        "source": code_identity()[SOURCE],
    }


def check_networks(
    study: Study, home: Home, material: Material, place: Placement, listener: Listener
) -> None:
    """Build the study's own architectures and load its weights once, before anything is trained.

    Raises:
        InputError: One cannot be built; a line a problem.
        StudyStoppedError: The process that builds them died.
    """
    if not any(True for _ in trials_to_probe(study)):
        return
    listener.note("building each of the study's own networks and loading each of its weights once")
    log = home.study(study.name).logs / "probe.log"
    child = Child(setup_of(study, home, material), place, log, threading.Event())
    try:
        problems = child.probe()
    except TrialFailedError as failure:
        raise StudyStoppedError(
            f"{failure}: {failure.details}" if failure.details else str(failure)
        ) from None
    finally:
        child.close()
    if problems:
        raise InputError(problems)


def compose(
    study: Study, trial: optuna.Trial, settings: Mapping[str, Value], child: Child, limit: TrialLimit
) -> dict[str, Value]:
    """The hyperparameters of a trial's hypermodel, asked of Optuna as it is built; none for other trials.

    Raises:
        TrialFailedError: It cannot be built, or an enqueued value is none that it takes.
    """
    name = str(settings["architecture"])
    own = study.catalogue.own.get(name)
    if own is None or own.kind != "hypermodel":
        return {}

    def answer(parameter: str, domain: Domain) -> Value:
        wanted = fixed.pop(f"{name}.{parameter}", None)
        if wanted is not None and wanted not in domain:
            illegal.append(f"{name}.{parameter} must be one of {domain}, but got {wanted!r}")
            return some_value(domain)  # the child waits for one
        try:
            return suggest(trial, f"{name}.{parameter}", domain)
        except ValueError:  # Optuna takes no list that differs from an earlier trial's
            illegal.append(
                f"{name}.{parameter} had other values in an earlier trial: ask for it under a "
                f"conditional_scope, or under another name, but it got {domain}"
            )
            return some_value(domain)

    fixed = {key: value for key, value in enqueued(trial).items() if key.startswith(f"{name}.")}
    illegal: list[str] = []
    asked = child.compose(settings, answer, limit)
    illegal += [f"{key} was enqueued, but the hypermodel did not ask for it" for key in fixed]
    if illegal:
        raise TrialFailedError("failed", "; ".join(illegal))
    return {f"{name}.{key}": value for key, value in asked.items()}


def some_value(domain: Domain) -> Value:
    """The first value of a domain."""
    return domain.options[0] if isinstance(domain, Choice) else domain.low


def enqueued(trial: optuna.Trial) -> dict[str, Value]:
    """The values that were fixed before the trial was sampled, by the names Optuna is asked by."""
    frozen = trial.storage.get_trial(trial._trial_id)
    return dict(frozen.system_attrs.get("fixed_params", {}))
