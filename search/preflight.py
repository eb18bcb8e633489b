"""What is looked at before a study begins: whether MLflow is where it is said to be, and takes us."""

from __future__ import annotations

import threading

from data_prep.problems import InputError
from search.delivery import Outage
from search.errors import StudyStoppedError
from search.home import Home
from search.mlflow_store.checking import check_store
from search.mlflow_store.connecting import prepare
from search.run_ids import EXPERIMENT, RunIds
from search.sqlite_files import sqlite_file
from search.tracking_uri import check_uri, without_password

ANSWER_SECONDS = 15.0  # in all; looking up a host name alone may take longer


def check_tracking(uri: str | None, home: Home, study: str, must_answer: bool | None = None) -> None:
    """Refuse an MLflow that cannot be logged to, before anything else is done.

    An address that nothing answers at may be mistyped. Where MLflow has taken something of the study from
    this home before, it is not: it is away, which is ridden out.

    Args:
        uri: Tracking URI; None for the database in the home.
        home: Where it is logged from.
        study: Its name.
        must_answer: Whether no answer is refused; None where MLflow was never heard of from this home.

    Raises:
        InputError: No MLflow is there, one of another version or schema, or it refuses user and password.
        StudyStoppedError: Nothing answers.
    """
    chosen = uri or home.tracking_uri
    check_uri(chosen)
    file = sqlite_file(chosen)
    if file is not None and not file.exists():
        return  # it will be made
    prepare()
    try:
        _within(ANSWER_SECONDS, chosen)
    except Outage as outage:
        if must_answer is None:
            must_answer = RunIds(home.study(study).spool, chosen, study).get(EXPERIMENT) is None
        if must_answer:
            raise StudyStoppedError(
                f"tracking URI: MLflow at {without_password(chosen)} cannot be reached: {outage}"
            ) from outage


def _within(seconds: float, uri: str) -> None:
    """Check a store, for so long at most.

    Raises:
        Outage: It takes longer, or as `check_store`.
        InputError: As `check_store`.
    """
    found: list[Exception] = []

    def check() -> None:
        try:
            check_store(uri)
        except (InputError, Outage) as error:
            found.append(error)
        except Exception as error:
            found.append(Outage(without_password(" ".join(f"{type(error).__name__}: {error}".split()))))

    thread = threading.Thread(target=check, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise Outage(f"it has not answered within {seconds:.0f} s")
    if found:
        raise found[0]
