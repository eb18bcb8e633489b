"""A home with the MLflow of a study, cheaper than a new database and apart from the original."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from search.home import Home


def home_with_mlflow(original: Home, root: Path) -> Home:
    """A home at `root` that has the runs of another and keeps artifacts of its own."""
    root.mkdir()
    shutil.copy(original.root / "mlflow.db", root)
    home = Home.at(root)
    with closing(sqlite3.connect(root / "mlflow.db")) as connection, connection:
        connection.execute(
            "UPDATE experiments SET artifact_location = ?", (home.tracking_artifacts.as_uri(),)
        )
    return home
