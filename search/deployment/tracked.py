"""What else is made of a model and logged: maps, each in a run of its own below the study's."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from data_prep.files import make_folders
from search.delivery import Outage, Rejected
from search.deployment.facts import ModelFacts
from search.deployment.registering import place_of
from search.home import Home
from search.log_values import curve_points
from search.mlflow_store.connecting import client_at, connecting
from search.mlflow_store.single_runs import SingleRuns
from search.tracking_uri import check_uri, without_password


def log_map(
    home: Home,
    tracking_uri: str | None,
    facts: ModelFacts,
    title: str,
    files: Mapping[str, Path],
    metrics: Mapping[str, float],
) -> str | None:
    """Log a map.

    Args:
        home: Where the study's MLflow is.
        tracking_uri: MLflow's; None for the database in the home.
        facts: Of the model that drew it.
        title: Of the run; whoever can read MLflow reads it, so no participant's own id.
        files: By the path under which each is shown there, likewise without ids, whatever it is called here.
        metrics: What is not a finite number is left out.

    Returns:
        The run's id; None where MLflow cannot be reached or refuses, which a line on stderr says.

    Raises:
        InputError: The tracking URI is none that is supported.
    """
    uri = tracking_uri or home.tracking_uri
    check_uri(uri)
    number = "" if facts.version is None else str(facts.version)
    tags = {
        "level": "map",
        "study": facts.study,
        "model": facts.name,
        "model_version": number,
        "intended_use": facts.intended_use,
    }
    finite = curve_points([metrics], 0).get(0, {})
    try:
        with connecting():
            make_folders(home.root)
            client = client_at(uri)
        runs = SingleRuns(client, place_of(home, uri, facts.study, facts.study_id))
        run = runs.start(title, tags, {"label": ",".join(facts.label_names)}, finite)
        runs.add_files(run, files)
        return runs.finish(run)
    except (Outage, Rejected) as error:
        what = "cannot be reached" if isinstance(error, Outage) else "refused"
        sys.stderr.write(f"MLflow at {without_password(uri)} {what}: {error}; the map is not logged\n")
        return None
