"""`radsearch ui`."""

from __future__ import annotations

import argparse
import os
import signal
import threading

from data_prep.problems import InputError
from mlflow_server.access import AccessError, read_access
from mlflow_server.launch import ServerError, free_port
from search.errors import StudyStoppedError
from search.home import Home
from search.storage import storage_told
from search.terminal import open_existing, say
from search.tracking_uri import check_uri
from search.ui import recorded_runs, serve


@storage_told()
def run(args: argparse.Namespace) -> int:
    """Serve optuna-dashboard and the MLflow UI until Ctrl-C or SIGTERM."""
    try:
        access = read_access(args.host, args.allowed_hosts, os.environ)
        free_port(host=access.host)
    except AccessError as error:
        raise InputError(error.problems) from error
    except ServerError as error:
        raise InputError(f"--host: {error}") from error
    home = Home.at(args.home)
    storage = open_existing(home, args.storage)
    if storage is None:
        raise InputError(f"--home: {home.root} holds no study yet: radsearch run STUDY.toml")
    uri = args.tracking_uri or home.tracking_uri
    check_uri(uri)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        serve(
            storage,
            home.artifacts,
            uri,
            home.tracking_artifacts,
            home.logs,
            dashboard_port=args.port,
            mlflow_port=args.mlflow_port,
            access=access,
            find_run=recorded_runs(home, uri),
            announce=say,
            stop=stop,
        )
    except ServerError as error:
        raise StudyStoppedError(str(error)) from error
    return 0
