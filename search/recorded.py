"""A study that was run before, by its name: its trials, its settings, its dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage

from data_prep.files import whole_file
from data_prep.problems import InputError, nearest
from search.bank import freeze_bank
from search.home import Home
from search.identity import check_identity
from search.material import Material, Progress, freeze_folds, prepare
from search.opening import DEFINITION, IDENTITY
from search.pseudonyms import write_key
from search.storage import all_studies
from search.study_file import Study
from search.terminal import open_existing

ADVICE = "Its trials are only comparable on what they ran on"


def recorded_study(
    home: Home, storage: str | None, name: str, cohort: str | None = None
) -> tuple[optuna.Study, Study]:
    """Look a study up; nothing is written.

    Args:
        home: Where it is.
        storage: URL of Optuna's storage; None for the journal in the home.
        name: Its name.
        cohort: Where the cohort is now; None for where it was.

    Returns:
        What Optuna has of it, to be read, and its settings as they were last run.

    Raises:
        InputError: There is no such study, or its definition cannot be read.
    """
    opened = open_existing(home, storage)
    studies = {study.study_name: study for study in all_studies(opened)} if opened else {}
    if name not in studies:
        raise InputError(f"STUDY: no study {name!r} in {home.root}; {nearest(name, studies)}")
    study = definition_of(home, name, studies[name])
    if cohort is not None:
        study = study.model_copy(update={"cohort": str(Path(cohort).absolute())})
    return studies[name], study


def definition_of(home: Home, name: str, opened: optuna.Study | None = None) -> Study:
    """The settings of a study as they were last run.

    A database has them for every home, while where the cohort is each home knows best. Beside a journal, the
    home's own file has them, or the journal where that is missing.

    Args:
        home: Where it is.
        name: Its name.
        opened: What Optuna has of it; None to look in the home alone.

    Raises:
        InputError: They are not there, or are not what a run writes.
    """
    path, stored = home.study(name).definition, _stored(opened)
    try:
        here = Study.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if stored is not None:
            return stored
        raise InputError(
            f"{path}: the study's definition is needed, but there is none in this home"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{path}: not a definition of a study; the next `radsearch run` writes it"
        ) from error
    if stored is None or (opened is not None and isinstance(opened._storage, JournalStorage)):
        return here
    return stored.model_copy(update={"cohort": here.cohort})


def _stored(opened: optuna.Study | None) -> Study | None:
    """The definition in the storage; None for a study older than that."""
    if opened is None:
        return None
    text = opened._storage.get_study_system_attrs(opened._study_id).get(DEFINITION)
    try:
        return None if text is None else Study.from_json(text)
    except ValueError as error:
        raise InputError(
            f"study {opened.study_name!r}: its definition in the storage must be one of this version's; the "
            "next `radsearch run` writes it"
        ) from error


def material_of(
    study: Study,
    recorded: optuna.Study | Mapping[str, Any],
    home: Home,
    progress: Progress | None = None,
    advice: str = ADVICE,
) -> Material:
    """The dataset that a study's trials ran on.

    A home that the study was not run from is furnished for it.

    Args:
        study: Its settings.
        recorded: What Optuna has of it, or its identity.
        home: Where it is.
        progress: Called with participants done and in all while volumes are read.
        advice: What to do where the cohort is another, as the end of each line.

    Raises:
        InputError: The cohort, or a file of code or weights, is not the recorded one; a line a difference.
    """
    identity = recorded.user_attrs[IDENTITY] if isinstance(recorded, optuna.Study) else recorded
    material = prepare(study, home, frozen=True, progress=progress)
    check_identity(study, material, identity, home, advice)
    if not home.study(study.name).definition.exists():
        furnish(study, material, home)
    return material


def furnish(study: Study, material: Material, home: Home) -> None:
    """Keep in a home that a study was not opened from what commands look for there; its settings last."""
    folder, patches = home.study(study.name), material.patches
    freeze_folds(material, folder)
    freeze_bank(material, study, folder)
    write_key(folder.pseudonyms, patches.biopsy_id, patches.participant_id)
    with whole_file(folder.definition) as draft:
        draft.write_text(study.to_json(), encoding="utf-8")
