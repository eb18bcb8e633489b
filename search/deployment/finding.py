"""A model by what a user calls it: a folder, a name in the home, or an address in MLflow."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from tempfile import mkdtemp

from data_prep.files import make_folders
from data_prep.problems import InputError, nearest
from search.delivery import Outage, Rejected
from search.deployment.facts import FILE
from search.deployment.model import Model, hash_of
from search.deployment.versions import latest_folder, names_of_models, version_folder, versions_of
from search.errors import StudyStoppedError
from search.home import Home
from search.mlflow_store.models import MlflowModels, Version
from search.sqlite_files import sqlite_file
from search.tracking_uri import check_uri, without_password

SCHEME = "models:/"
LAW = "a model folder, the name of a model in the home, or models:/NAME@ALIAS is needed"

_ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?P<wanted>@[^/@]+|/[0-9]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def find_model(text: str, home: Home, tracking_uri: str | None) -> Model:
    """Open a model.

    Args:
        text: A model folder; NAME or NAME/N of a model in the home; models:/NAME@ALIAS or models:/NAME/N.
        home: Where models are looked for, and where those of MLflow are kept once they were downloaded.
        tracking_uri: MLflow's; None for the database in the home.

    Raises:
        InputError: There is no such model, or its folder is not as it was written.
        StudyStoppedError: MLflow cannot be reached.
    """
    if text.startswith(SCHEME):
        return _registered(text, home, tracking_uri or home.tracking_uri)
    folder = _folder(text, home)
    if folder is None:
        raise InputError(f"MODEL: {LAW}, but got {text!r}; {_known(text, home)}")
    return Model.open(folder)


def _folder(text: str, home: Home) -> Path | None:
    """The folder that is meant, which need not be a model; None where there is none."""
    if not text:  # as a path it would be the folder that one is in
        return None
    folder = Path(text)
    try:
        if (folder / FILE).exists():
            return folder
        return _in_home(text, home) or (folder if folder.is_dir() else None)
    except OSError as error:  # too long for a path, or nobody may look there
        raise InputError(f"MODEL: {LAW}, but got '{error.strerror}' for {text!r}") from error


def _known(text: str, home: Home) -> str:
    """What there is instead: the versions of the model that is named, or the nearest name."""
    name, _, _ = text.partition("/")
    versions = versions_of(home, name)
    if versions:
        return f"versions of {name!r}: {', '.join(map(str, versions))}"
    return nearest(text, names_of_models(home))


def _in_home(text: str, home: Home) -> Path | None:
    """The model of a home that is called so: NAME, of which the latest is meant, or NAME/N."""
    name, _, number = text.partition("/")
    if not number:
        return latest_folder(home, name)
    there = number.isdecimal() and int(number) in versions_of(home, name)
    return version_folder(home, name, int(number)) if there else None


def _registered(text: str, home: Home, uri: str) -> Model:
    """The model at an address in MLflow."""
    check_uri(uri)
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise InputError(f"MODEL: models:/NAME@ALIAS or models:/NAME/NUMBER is needed, but got {text!r}")
    told = f"MLflow at {without_password(uri)}"
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        raise InputError(f"MODEL: no {text!r} in {told}: there is no such file. Is --home right?")
    try:
        shelf = MlflowModels(uri)
        version = shelf.find(match["name"], match["wanted"].removeprefix("/"))
        if version is None:
            raise InputError(f"MODEL: no {text!r} in {told}; {nearest(text, shelf.known())}")
        # It names a folder that is replaced, and whoever may write to MLflow chose it.
        if version.digest is None or not _SHA256.fullmatch(version.digest):
            raise InputError(f"MODEL: a model of `radsearch refit` is needed, but {text!r} in {told} is none")
        return _kept(version, version.digest, home, shelf)
    except Outage as error:
        raise StudyStoppedError(f"{told} cannot be reached: {error}") from error
    except Rejected as error:
        raise InputError(f"MODEL: {text!r}: {told} refused: {error}") from error


def _kept(version: Version, digest: str, home: Home, shelf: MlflowModels) -> Model:
    """A registered model: as downloaded before, or downloaded now."""
    folder = home.cache / "models" / digest
    try:
        return Model.open(folder)
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
    make_folders(folder.parent)
    partial = Path(mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        fetched = shelf.fetch(version, partial)
        if hash_of(fetched / FILE) != digest:
            raise InputError(
                f"models:/{version.name}/{version.number}: its {FILE} must have sha256 {digest}, as when it "
                "was registered, but has another. Register it again: radsearch refit"
            )
        _check(fetched, f"models:/{version.name}/{version.number}")
        try:
            fetched.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
            # Another process was faster; what is there is opened as any folder.
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Model.open(folder)


def _check(folder: Path, address: str) -> None:
    """Refuse what was changed before it has a name."""
    try:
        Model.open(folder)
    except InputError as error:
        raise InputError(line.replace(str(folder), address) for line in error.problems) from error
