"""Looks at a server's database before MLflow does, and makes MLflow's tables in an empty one.

`python -m mlflow_server.tables` does it for MLFLOW_BACKEND_STORE_URI, in a process that is gone before the
server starts: progress on standard error, and on standard output the one line that says what is in the way.
MLflow itself would try for minutes, then print a traceback.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from importlib.metadata import version

import sqlalchemy
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

REFUSED, AWAY = 1, 3

# PostgreSQL's words, through libpq, for what does not mend itself. In another language it counts as away.
_WRONG = re.compile(
    r"authentication failed|no password supplied|does not exist|permission denied|no pg_hba.conf entry"
    r"|not a database|readonly database|unable to open"
)
_PROXIED = "mlflow-artifacts:"
_OPTUNA = "studies"
_STEPS = 10  # between two lines about the progress, where it is not shown in place


class TablesError(RuntimeError):
    """The database cannot be served.

    Attributes:
        code: `REFUSED` where somebody must change something, `AWAY` where it may be there later.
    """

    def __init__(self, line: str, code: int) -> None:
        self.code = code
        super().__init__(line)


def provide_tables(uri: str) -> list[str]:
    """Check the database, and make MLflow's tables where there are none.

    Args:
        uri: For SQLAlchemy, without a password.

    Returns:
        What whoever starts the server should know, a line each.

    Raises:
        TablesError: It does not answer, does not let us in, or holds other tables than this MLflow's.
    """
    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    try:
        return _provide(engine)
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split()).partition(" LINE ")[0]
        if isinstance(error, DBAPIError) and _WRONG.search(reason):
            raise TablesError(f"the database must let MLflow in, but it says: {reason}", REFUSED) from error
        what = "does not answer" if isinstance(error, OperationalError) else "failed"
        raise TablesError(f"the database {what}: {reason}", AWAY) from error
    finally:
        engine.dispose()


def _provide(engine: sqlalchemy.Engine) -> list[str]:
    tables = set(sqlalchemy.inspect(engine).get_table_names())  # before the seconds that MLflow takes to load
    from mlflow.store.db import utils  # noqa: TID251 - this is the server's side
    from mlflow.store.tracking.dbmodels.initial_models import Base  # noqa: TID251 - the same

    found = utils._get_schema_version(engine) if tables else None  # type: ignore[no-untyped-call]
    expected = utils._get_latest_schema_revision()  # type: ignore[no-untyped-call]
    # Its first version's tables without a revision are what a server leaves that was killed as it made them.
    if found is None and tables <= set(Base.metadata.tables) | {"alembic_version"}:
        _make(engine)
        return []
    if found != expected:
        raise TablesError(_other(tables, found, str(expected)), REFUSED)
    return _notes(engine)


def _other(tables: set[str], found: str | None, expected: str) -> str:
    """Why the tables that are there will not do."""
    ours = f"MLflow {version('mlflow')} (revision {expected})"
    if _OPTUNA in tables:
        return f"a database of its own is needed for the tables of {ours}, but this one holds Optuna's"
    if found is None:
        others = ", ".join(sorted(tables)[:3])
        return (
            f"a database of its own is needed for the tables of {ours}, but this one holds others: {others}"
        )
    return (
        f"the tables of {ours} are needed, but the database has those of another version (revision {found});"
        " after a backup, `mlflow db upgrade URI` renews those of an older MLflow"
    )


def _make(engine: sqlalchemy.Engine) -> None:
    from alembic.script import ScriptDirectory
    from mlflow.store.db import utils  # noqa: TID251 - the same

    began = time.monotonic()
    config = utils._get_alembic_config("")  # type: ignore[no-untyped-call]
    steps = sum(1 for _ in ScriptDirectory.from_config(config).walk_revisions())
    _Progress(steps).follow()
    utils._initialize_tables(engine)  # type: ignore[no-untyped-call]
    _tell(f"MLflow's tables are made ({time.monotonic() - began:.0f} s)", last=True)


class _Progress(logging.Handler):
    """Counts MLflow's migrations, as Alembic logs them."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps, self._done = steps, 0

    def follow(self) -> None:
        """Listen instead of whoever else does."""
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logger = logging.getLogger("alembic")
        logger.handlers, logger.propagate = [self], False
        logger.setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """See the base class."""
        if record.getMessage().startswith("Running upgrade"):
            self._done += 1
            if sys.stderr.isatty() or self._done % _STEPS == 1:
                _tell(f"a new database: MLflow makes its tables, step {self._done} of {self._steps}")


def _tell(line: str, last: bool = False) -> None:
    """A line of progress; on a terminal it takes the place of the one before."""
    in_place = sys.stderr.isatty()
    sys.stderr.write(f"\r{line:<70}" if in_place else line)
    sys.stderr.write("\n" if last or not in_place else "")
    sys.stderr.flush()


def _notes(engine: sqlalchemy.Engine) -> list[str]:
    """Experiments that were made by others than a server, with artifacts where a client would look itself."""
    query = sqlalchemy.text(
        "SELECT count(*), min(artifact_location) FROM experiments WHERE artifact_location NOT LIKE :ours"
    )
    with engine.connect() as connection:
        count, example = connection.execute(query, {"ours": f"{_PROXIED}%"}).one()
    if not count:
        return []
    return [
        f"{count} experiments of this database keep their artifacts at places of their own, such as"
        f" {example}: clients on other machines cannot reach those"
    ]


def main() -> int:
    """Provide the tables of the database that the environment names; 0, `REFUSED` or `AWAY`."""
    try:
        notes = provide_tables(os.environ["MLFLOW_BACKEND_STORE_URI"])
    except TablesError as error:
        sys.stdout.write(f"{error}\n")
        return error.code
    sys.stderr.writelines(f"{note}\n" for note in notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
