"""Creating a study or continuing it: what it is made of is frozen at its first start, and may only grow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage

from data_prep.files import whole_file
from data_prep.problems import Problems
from search.catalogue import Catalogue
from search.claims import ASKED
from search.code_identity import book_code, check_workers
from search.cohort_record import cohort_record
from search.hindsight import SlotStudy
from search.home import Home
from search.identity import check_identity, identity_of, own_before
from search.material import Material
from search.metrics import DIRECTIONS
from search.space import Space, read_space
from search.space_changes import Change, compare, recorded
from search.storage import make_pruner
from search.study_file import Study
from search.study_lock import exclusive, lock_of
from search.suggest import is_enqueued, stored_names
from search.tracked import book_tracking
from search.widening import CHANGES, SPACE, Lists

IDENTITY = "identity"
DEFINITION = "radsearch:definition"  # a system attribute, as optuna-dashboard prints user attributes whole


def open_study(
    study: Study,
    material: Material,
    storage: BaseStorage,
    home: Home,
    tracking: str | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> optuna.Study:
    """Create the study in the storage, or continue it.

    One process at a time. Whoever is killed in between leaves a study that the next start completes: a study
    counts once it has its identity; what is new is added there last, and to the space after its changes.

    Args:
        study: Its settings.
        material: Its dataset.
        storage: Where it is or will be.
        home: Where its files lie.
        tracking: MLflow's tracking URI; None for the database in the home.
        tell: Hears what a user wants to know of it.

    Raises:
        InputError: A study of that name exists and differs in what makes trials comparable, or others work on
            it by other code; one line a difference.
    """
    folder = home.study(study.name)
    with exclusive(lock_of(storage, folder)):
        opened = _created(study, storage)
        if IDENTITY in opened.user_attrs:
            check_workers(opened)
            identity = _grow(opened, study, material, home)
            _book(opened, study, home, tracking, tell)
        else:
            identity = identity_of(study, material)
            _describe(opened, study, material)
            _book(opened, study, home, tracking, tell)
            opened.set_user_attr(IDENTITY, identity)
        _enqueue(opened, study)
        with whole_file(folder.definition) as definition:
            definition.write_text(study.to_json(), encoding="utf-8")
        storage.set_study_system_attr(opened._study_id, DEFINITION, study.to_json())
        if identity != opened.user_attrs[IDENTITY]:
            opened.set_user_attr(IDENTITY, identity)
    return opened


def study_id(study: optuna.Study) -> str:
    """A name that no other study has, also where it is called the same in another home."""
    return str(study.user_attrs["id"])


def slot_study(study: Study, storage: BaseStorage, pruner: BasePruner | None = None) -> SlotStudy:
    """The study as one slot sees it; its sampler is set trial by trial.

    Args:
        study: Its settings.
        storage: Where it is.
        pruner: Shared with the other slots of the process; None for one of its own.
    """
    return SlotStudy(study.name, storage, study.parameters, pruner or make_pruner(study.search))


def _created(study: Study, storage: BaseStorage) -> optuna.Study:
    """The study, made if there is none; one that was left unfinished for another metric is made anew."""
    direction = DIRECTIONS[study.search.metric]
    sampler, pruner = optuna.samplers.RandomSampler(seed=study.search.seed), optuna.pruners.NopPruner()

    def create() -> optuna.Study:
        return optuna.create_study(
            study_name=study.name,
            storage=storage,
            direction=direction,
            sampler=sampler,
            pruner=pruner,
            load_if_exists=True,
        )

    opened = create()
    if IDENTITY not in opened.user_attrs and opened.direction.name != direction.upper():
        optuna.delete_study(study_name=study.name, storage=storage)
        opened = create()
    return opened


def _grow(opened: optuna.Study, study: Study, material: Material, home: Home) -> dict[str, Any]:
    """Check the study against what is recorded, and record what is new about its space.

    Returns:
        The identity to record.
    """
    attributes = opened.user_attrs
    identity = check_identity(study, material, attributes[IDENTITY], home)
    log: list[Change] = attributes.get(CHANGES, [])
    problems = Problems()
    before = _space_before(study, attributes)
    changes = compare(study.name, before, log, study.parameters, problems)
    problems.raise_any()
    if changes:
        opened.set_user_attr(CHANGES, [*log, *changes])
    space = recorded(study.space, attributes[SPACE], [*log, *changes])
    if space != attributes[SPACE]:
        opened.set_user_attr(SPACE, space)
    return identity


def _space_before(study: Study, attributes: Mapping[str, Any]) -> Space:
    """The space recorded, also where it names an architecture that the study file no longer has."""
    own = own_before(attributes[IDENTITY]).own | study.catalogue.own
    return read_space(attributes[SPACE], "study", Problems(), Catalogue(own), study.defaults)


def _enqueue(opened: optuna.Study, study: Study) -> None:
    """Put the study file's trials in line, unless they are or were."""
    lists = Lists(opened.user_attrs)
    for params in study.search.enqueue:
        if not is_enqueued(study.parameters, params, opened.get_trials(deepcopy=False)):
            opened.enqueue_trial(stored_names(study.parameters, params, lists))


def _book(
    opened: optuna.Study, study: Study, home: Home, tracking: str | None, tell: Callable[[str], None]
) -> None:
    """Book what every worker follows from now on, those that run included."""
    book_code(opened, tell)
    book_tracking(opened, tracking, home)
    if opened.user_attrs.get(ASKED) != study.search.trials:
        opened.set_user_attr(ASKED, study.search.trials)


def _describe(opened: optuna.Study, study: Study, material: Material) -> None:
    """Book what `radsearch show` says of cohort and folds."""
    opened.set_user_attr("cohort", cohort_record(material))
    opened.set_user_attr(
        "folds",
        {"n": material.folds.n_folds, "repeats": study.validation.repeats, "hash": material.folds.hash},
    )
    opened.set_user_attr("metric", study.search.metric)
    opened.set_metric_names([study.search.metric])
    opened.set_user_attr(SPACE, study.space)
    opened.set_user_attr("id", uuid.uuid4().hex)
