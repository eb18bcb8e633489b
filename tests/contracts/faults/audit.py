"""A second pair of books: PostgreSQL itself notes each change of a trial's state and each fold booked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import sqlalchemy

from tests.contracts.faults.books import FOLD

# What is rolled back leaves no note. A state is noted in each transaction that leaves it changed.
NOTES = """
CREATE TABLE notes (id bigserial, at timestamptz DEFAULT clock_timestamp(), what text, trial int, said text);
CREATE FUNCTION note_state() RETURNS trigger AS $$ BEGIN
    IF TG_OP = 'INSERT' OR NEW.state IS DISTINCT FROM OLD.state THEN
        INSERT INTO notes (what, trial, said) VALUES ('state', NEW.trial_id, NEW.state::text);
    END IF;
    RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE FUNCTION note_fold() RETURNS trigger AS $$ BEGIN
    INSERT INTO notes (what, trial, said) VALUES (NEW.key, NEW.trial_id, md5(NEW.value_json));
    RETURN NULL;
END $$ LANGUAGE plpgsql;
CREATE TRIGGER note_state AFTER INSERT OR UPDATE ON trials FOR EACH ROW EXECUTE FUNCTION note_state();
CREATE TRIGGER note_fold AFTER INSERT OR UPDATE ON trial_system_attributes FOR EACH ROW
    WHEN (NEW.key ^@ 'radsearch:fold:') EXECUTE FUNCTION note_fold();
"""
SILENCE = """
SELECT extract(epoch FROM notes.at AT TIME ZONE 'UTC' - beats.heartbeat)
FROM notes JOIN trial_heartbeats AS beats ON beats.trial_id = notes.trial
WHERE notes.what = 'state' AND notes.said = 'FAIL' AND notes.trial = :trial
"""
ENDED = {"COMPLETE", "PRUNED", "FAIL"}


class Note(NamedTuple):
    """One change.

    Attributes:
        trial: Optuna's id of the trial.
        what: "state", or the attribute of a fold.
        said: The new state, or a digest of the fold.
    """

    trial: int
    what: str
    said: str


def install(url: str) -> None:
    """Have a database with Optuna's tables note changes from now on."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(NOTES)


def notes_of(url: str) -> list[Note]:
    """What a database has noted, in order."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT trial, what, said FROM notes ORDER BY id")
        return [Note(*row) for row in found]


def silence_before(url: str, trial_id: int) -> float:
    """Seconds between the last sign of life of a trial and its end, by the database's clock."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return float(connection.execute(sqlalchemy.text(SILENCE), {"trial": trial_id}).scalar_one())


def audit_amiss(url: str) -> Iterator[str]:
    """What cannot have happened to a trial: two ends, two owners, a fold booked otherwise or too late."""
    states: dict[int, list[str]] = {}
    folds: dict[tuple[int, str], str] = {}
    for trial, what, said in notes_of(url):
        before = states.setdefault(trial, [])
        if what == "state":
            before.append(said)
            continue
        if before[-1] in ENDED:
            yield f"trial id {trial}: {what.removeprefix(FOLD)} was booked when it had ended"
        if folds.setdefault((trial, what), said) != said:
            yield f"trial id {trial}: fold {what.removeprefix(FOLD)} was booked twice, and differently"
    for trial, path in states.items():
        # A trial that is added as waiting is written as running within its transaction.
        walked = path[1:] if path[:2] == ["RUNNING", "WAITING"] else path
        if walked not in (["RUNNING", end] for end in ENDED) and walked not in (
            ["WAITING", "RUNNING", end] for end in ENDED
        ):
            yield f"trial id {trial} went through {' -> '.join(path)}"
