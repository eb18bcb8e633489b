"""Joining a study that runs elsewhere: what is known of it from its storage, and what must agree with it."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import optuna
from optuna.storages import BaseStorage

from data_prep.folds import read_folds
from data_prep.problems import InputError, Problems, nearest
from search.booking import at_work
from search.code_identity import check_code
from search.database import SQLITE, backend_of
from search.home import Home, StudyFolder
from search.identity import OWN, check_identity
from search.material import Material, Progress, prepare
from search.opening import IDENTITY
from search.owner import Owner
from search.recorded import definition_of, furnish
from search.storage import all_studies, open_to_read
from search.study_file import Study
from search.tracking_uri import without_password


def study_to_join(
    name: str, storage: str | None, home: Home, cohort: str | None = None
) -> tuple[optuna.Study, Study]:
    """Look up a study that this process is to work on; nothing is written, and no volume is read.

    Args:
        name: Its name.
        storage: URL of its storage; None for the journal in the home.
        home: Of this process.
        cohort: Where the cohort is on this machine; None for where it was.

    Returns:
        What Optuna has of it, to be read, and its settings.

    Raises:
        InputError: There is no such study; or its storage cannot be shared, the code here is not the study's,
            or its cohort or another of its files is not here, or is not what it was.
    """
    if storage is not None and backend_of(storage) == SQLITE:
        raise InputError(
            "--storage: a worker needs postgresql://USER@HOST/DATABASE, or no URL for the journal of a home "
            "on its own machine, but got SQLite, which serves one process"
        )
    opened = _found(name, storage, home)
    if storage is None:
        _check_machine(opened)
    check_code(opened)
    study = definition_of(home, name, opened)
    if cohort is not None:
        study = study.model_copy(update={"cohort": str(Path(cohort).absolute())})
    _check_files(study, opened)
    return opened, study


def join_study(
    study: Study, storage: BaseStorage, home: Home, progress: Progress | None = None
) -> tuple[optuna.Study, Material]:
    """Check that this machine's cohort is the study's, and keep in the home what its processes read there.

    Args:
        study: Its settings, with the cohort of this machine.
        storage: Where it is.
        home: Of this process.
        progress: Called with participants done and in all while volumes are read.

    Raises:
        InputError: The cohort, or a setting, is another; a line a difference.
    """
    opened = optuna.load_study(study_name=study.name, storage=storage)
    identity, folder = opened.user_attrs[IDENTITY], home.study(study.name)
    material = _with_folds(
        prepare(study, home, frozen=False, progress=progress), folder, identity["folds.hash"]
    )
    advice = f"{socket.gethostname()} read {study.cohort}: give the study's own cohort by --cohort"
    check_identity(study, material, identity, home, advice)
    if not _is_furnished(study, folder):
        furnish(study, material, home)
    return opened, material


def _found(name: str, storage: str | None, home: Home) -> optuna.Study:
    readable = open_to_read(storage, home)
    studies = {study.study_name: study for study in all_studies(readable)} if readable else {}
    if name not in studies:
        where = str(home.root) if storage is None else without_password(storage)
        raise InputError(f"STUDY: no study {name!r} in {where}; {nearest(name, studies)}")
    return studies[name]


def _check_machine(opened: optuna.Study) -> None:
    """Refuse to share a journal with another machine: who is alive there cannot be seen from here."""
    here = socket.gethostname()
    others = sorted({Owner.parse(trial.user_attrs["owner"]).host for trial in at_work(opened)} - {here})
    if others:
        raise InputError(
            f"--storage: a journal serves the processes of one machine, but {others[0]} works on study "
            f"{opened.study_name!r} and this is {here}. Workers of several machines need postgresql://; "
            "`radsearch doctor --lost-host` gives up a machine that is gone"
        )


def _check_files(study: Study, opened: optuna.Study) -> None:
    """Refuse where the cohort, a user's code or weights are missing, before anything is read for long."""
    here, problems = socket.gethostname(), Problems()
    manifest = Path(study.cohort or "") / "cohort.toml"
    if not manifest.is_file():
        problems.add(
            "--cohort",
            f"the study's cohort is needed, but {here} has no {manifest}. Say where it is on this machine",
        )
    identity = opened.user_attrs[IDENTITY]
    own = {f"{OWN}{name}": entry.file for name, entry in study.catalogue.own.items()}
    for name, found in study.files.items():
        path, before = own.get(name) or name.removeprefix("weights."), identity.get(f"{name} (sha256)")
        if found is None:
            problems.add(name, f"the file of the study is needed, but {here} has no {path}. Copy it there")
        elif before not in (None, found):
            problems.add(
                name,
                f"the file must be that of the study (sha256 {before[:12]}), but {path} on {here} is another "
                f"(sha256 {found[:12]})",
            )
    problems.raise_any()


def _with_folds(material: Material, folder: StudyFolder, wanted: str) -> Material:
    """The material with the study's fold table, where this home has that already; else with one made alike.

    Another study of that name may have left a table.
    """
    if material.folds.hash == wanted or not folder.folds.exists():
        return material
    frozen, patches = read_folds(folder.folds), material.patches
    is_same = (frozen.biopsy_id, frozen.participant_id) == (patches.biopsy_id, patches.participant_id)
    return replace(material, folds=frozen) if is_same and frozen.hash == wanted else material


def _is_furnished(study: Study, folder: StudyFolder) -> bool:
    """Whether a home has the settings of the study as they are now, wherever its cohort is."""
    try:
        before = Study.from_json(folder.definition.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return before.model_copy(update={"cohort": study.cohort}) == study
