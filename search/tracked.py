"""Where a study is logged to, booked with it for those who join it from elsewhere."""

from __future__ import annotations

import socket
from pathlib import Path

import optuna
from optuna.storages import JournalStorage

from data_prep.problems import InputError
from search.home import Home
from search.links import is_server, public_address
from search.sqlite_files import sqlite_file
from search.tracking_uri import without_password

TRACKING = "tracking"  # the user attribute of a study


def book_tracking(study: optuna.Study, uri: str | None, home: Home) -> None:
    """Book where a study is logged to.

    Args:
        study: The study.
        uri: Tracking URI, whose password is not kept; None for the database in the home.
        home: From where it is opened.
    """
    chosen = uri or home.tracking_uri
    shown = public_address(chosen) if is_server(chosen) else without_password(chosen)
    booked = {"uri": shown, "host": socket.gethostname(), "home": str(home.root)}
    if study.user_attrs.get(TRACKING) != booked:
        study.set_user_attr(TRACKING, booked)


def tracking_of(study: optuna.Study, given: str | None, home: Home) -> str:
    """Where whoever works on a study from another home logs to: what is given, else where it was opened.

    Args:
        study: The study.
        given: Tracking URI of the command line.
        home: Of whoever asks; one that holds the study's journal has its own database, wherever it was moved.

    Raises:
        InputError: It cannot be reached from here, or not without a password.
    """
    booked = study.user_attrs.get(TRACKING)
    if given is not None or booked is None:
        return given or home.tracking_uri
    uri, host, here = str(booked["uri"]), booked["host"], socket.gethostname()
    if is_server(uri):
        return uri
    if isinstance(study._storage, JournalStorage) and uri == Home(Path(booked["home"])).tracking_uri:
        return home.tracking_uri
    law = f"--tracking-uri: study {study.study_name!r} is logged to {uri}"
    file = sqlite_file(uri)
    if host != here:
        raise InputError(
            f"{law} on {host}, where {here} cannot write: a study of several machines needs a server. Start "
            "`radsearch server`, and give its http:// address here and to `radsearch run`"
        )
    if file is not None and not file.exists():
        raise InputError(f"{law}, which is not there: say where it is now")
    if "***" in uri:
        raise InputError(f"{law}; its password is not kept: give the whole URI")
    return uri


def artifacts_of(study: optuna.Study, uri: str, home: Home) -> Path | None:
    """Where artifacts go beside a database: to the home whose database it is, else to one's own.

    A server keeps artifacts itself; beside a database MLflow would put them into the working directory.
    """
    if is_server(uri):
        return None
    opener = Home(Path((study.user_attrs.get(TRACKING) or {}).get("home", home.root)))
    return opener.tracking_artifacts if opener.tracking_uri == uri else home.tracking_artifacts
