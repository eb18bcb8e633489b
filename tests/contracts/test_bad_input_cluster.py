"""Workers that do not belong to a study; databases and servers that are away, closed, or something else."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import optuna
import pytest
import sqlalchemy

from search.code_identity import CODE
from search.home import Home
from search.material import prepare
from search.opening import DEFINITION, IDENTITY, open_study
from search.owner import Owner
from search.storage import open_storage
from search.study_file import read_study
from search.tracked import TRACKING
from tests.contracts.bad_input import (
    KEPT,
    RUN,
    Answer,
    Case,
    answer,
    check_lines,
    check_refused,
    nothing,
    replaced,
    tree,
    written,
)
from tests.impostors import ELSE, mlflow_of, silent_server, web_server
from tests.postgresql import PASSWORD, Cluster

HERE = socket.gethostname()
JOIN = "worker toy --home {world}/home --cohort {world}/cohort"
SECRET = "s3cr3t-pass"  # noqa: S105
NOTES = "nvidia-smi lists no GPU"  # of a machine without
LEFT = rf"{KEPT}|home/optuna\.journal(\.lock)?$|home/studies(/toy(/\w+\.lock)?)?$"


@pytest.fixture(scope="session")
def opened_world(sound_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sound world whose study waits in the journal of a home for its workers."""
    world = tmp_path_factory.mktemp("opened") / "world"
    shutil.copytree(sound_world, world)
    study, home = read_study(world / "study.toml"), Home.at(world / "home")
    open_study(study, prepare(study, home, frozen=False), open_storage(None, home), home)
    return world


@pytest.fixture
def world(opened_world: Path, tmp_path: Path) -> Path:
    """A copy of that, to be spoilt."""
    return Path(shutil.copytree(opened_world, tmp_path / "world"))


def study_in(world: Path) -> optuna.Study:
    return optuna.load_study(study_name="toy", storage=open_storage(None, Home.at(world / "home")))


def booked(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Change what is booked with the study."""
    return lambda world: (study := study_in(world)).set_user_attr(name, change(study.user_attrs.get(name)))


def defined(change: Callable[[dict[str, Any], Path], object]) -> Callable[[Path], None]:
    """Change the study's settings, of which the storage has the only copy."""

    def spoil(world: Path) -> None:
        study = study_in(world)
        settings = json.loads(study._storage.get_study_system_attrs(study._study_id)[DEFINITION])
        change(settings, world)
        study._storage.set_study_system_attr(study._study_id, DEFINITION, json.dumps(settings))
        (world / "home/studies/toy/study.json").unlink()

    return spoil


def run_elsewhere(world: Path) -> None:
    study_in(world).ask().set_user_attr("owner", str(Owner("node7", "boot", 1, 1)))


def another_image(world: Path) -> None:
    path = min((world / "cohort").rglob("*T1*.nii.gz"))
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(image.get_fdata()[::-1].astype(np.float32), image.affine), path)


def another_expression(world: Path) -> None:
    table = world / "cohort/expression.tsv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *(row.replace("\t", "\t9") for row in rows)]) + "\n")


def own_network(settings: dict[str, Any], world: Path) -> None:
    settings["architectures"] = {"mine": {"function": f"{world}/mine.py:build"}}


def changed_network(world: Path) -> None:
    defined(own_network)(world)
    (world / "mine.py").write_text("def build(shape): ...\n")
    booked(IDENTITY, lambda identity: identity | {"architectures.mine (sha256)": "0" * 64})(world)


def one_biopsy_less(world: Path) -> None:
    table = world / "cohort/biopsies.tsv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]) + "\n")


def of_optuna(world: Path) -> None:
    with sqlite3.connect(world / "other.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('v3.2.0.a')")


def joins(name: str, spoil: Callable[[Path], object], says: str, more: str = "") -> Case:
    return Case(name, spoil, says, f"{JOIN} {more}".rstrip())


def typed(command: str, says: str, spoil: Callable[[Path], object] = nothing) -> Case:
    return Case(command, spoil, says, command)


CASES = [
    typed("worker", r"error: the following arguments are required: STUDY"),
    typed("worker toy --timeout 0", r"error: argument --timeout: a whole number from 1 on is needed"),
    typed("worker toy --leave-within -1", r"error: argument --leave-within: "),
    typed("worker toy --trials 3", r"error: unrecognized arguments: --trials 3"),
    typed("worker toy --home {world}/empty", r"STUDY: no study 'toy' in .*empty; there is none yet"),
    typed("worker toi --home {world}/home", r"STUDY: no study 'toi' in .*did you mean 'toy'\?"),
    typed("worker study.toml --home {world}/home", r"STUDY: no study 'study.toml' in .*Known: toy"),
    typed("worker toy --storage sqlite:///{world}/o.db", r"--storage: a worker needs postgresql://"),
    typed("worker toy --storage mysql://jo@h/x", r"--storage: postgresql://.* is needed, .*but got mysql"),
    typed("worker toy --storage nonsense", r"--storage: a database URL is needed"),
    typed("worker toy --home {world}/study.toml", r"--home: a folder is needed"),
    typed(
        "worker toy --home {world}/home --cohort {world}/nowhere", r"--cohort: the study's cohort is needed"
    ),
    typed("worker toy --home {world}/home --cohort {world}/study.toml", r"--cohort: the study's cohort"),
    typed(f"{JOIN} --workers 0", r"--workers: .* but got 0"),
    typed(f"{JOIN} --gpus 99", r"--gpus: must name GPUs of this machine"),
    typed(f"{JOIN} --gpus= --require-gpu", r"--require-gpu: a GPU is needed"),
    typed(f"{JOIN} --cache {{world}}/study.toml", r"study.toml: a folder must be there or be made"),
    typed(f"{JOIN} --tracking-uri nonsense", r"tracking URI: the scheme must be one of"),
    typed(f"{JOIN} --tracking-uri sqlite:///{{world}}/study.toml", r"tracking URI: an SQLite file is needed"),
    joins(
        "another image",
        another_image,
        r"study 'toy': cohort.patches: must stay .*\(images, masks and sites of the biopsies, sha256 \w+\), "
        rf"but differs .*{HERE} read \S+/cohort: give the study's own cohort by --cohort$",
    ),
    joins(
        "another expression",
        another_expression,
        r"study 'toy': cohort.labels: must stay .*\(expression and labels of the biopsies",
    ),
    joins("a biopsy less", one_biopsy_less, r"study 'toy': folds.hash: must stay .*who is held out together"),
    joins(
        "a cohort of another name",
        replaced("cohort/cohort.toml", 'name = "toy"', 'name = "other"'),
        r"study 'toy': cohort.name: must stay 'toy' .* but got 'other'",
    ),
    joins("a cohort that is none", written("cohort/cohort.toml", "name ="), r"cohort.toml: .*TOML"),
    joins(
        "another library",
        booked(CODE, lambda code: code | {"numpy": "1.26.4"}),
        rf"study 'toy': code: a worker's must be the study's, but numpy 1.26.4 there, {np.__version__} here",
    ),
    joins(
        "another source",
        booked(CODE, lambda code: code | {"source": "0" * 64}),
        r"radsearch's source files \(sha256 000000000000\) there, others \(sha256 \w{12}\) here",
    ),
    joins("a study of an older version", booked(CODE, lambda code: None), r"code: .* but none is booked"),
    joins(
        "a study logged into a file of another machine",
        booked(TRACKING, lambda tracking: tracking | {"host": "login1", "uri": "sqlite:////a/mlflow.db"}),
        rf"--tracking-uri: study 'toy' is logged to sqlite:////a/mlflow.db on login1, where {HERE} cannot",
    ),
    joins("a journal in use elsewhere", run_elsewhere, r"--storage: a journal serves .* but node7 works on"),
    joins(
        "a network whose file is not here",
        defined(own_network),
        rf"architectures.mine: the file of the study is needed, but {HERE} has no \S+/mine.py. Copy it there",
    ),
    joins(
        "a network whose file is another",
        changed_network,
        r"architectures.mine: the file must be that of the study \(sha256 000000000000\), but \S+/mine.py",
    ),
    joins(
        "settings that nobody can read",
        defined(lambda settings, world: settings.update(name=7)),
        r"study 'toy': its definition in the storage must be one of this version's",
    ),
    typed(f"{RUN} --tracking-uri http://:5000", r"tracking URI: http://HOST:PORT is needed"),
    typed(
        f"{RUN} --tracking-uri http://jo:{SECRET}@h:99999", r"HOST:PORT is needed, but got 'http://jo:\*\*\*@"
    ),
    typed(
        f"{RUN} --tracking-uri http://jo:s3/{SECRET}@h:5000",
        r"HOST:PORT is needed, but got 'http://jo:\*\*\*@",
    ),
    typed(f"{RUN} --tracking-uri sqlite:///{{world}}", r"tracking URI: \S+: a file must be there or be made"),
    typed(f"{RUN} --tracking-uri sqlite:///{{world}}/study.toml", r"tracking URI: an SQLite file is needed"),
    typed(
        f"{RUN} --tracking-uri sqlite:///{{world}}/other.db",
        r"tracking URI: a database with the tables of the MLflow .* but \S+/other.db has v3.2.0.a",
        of_optuna,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_does_not_belong_to_the_study_is_refused(case: Case, world: Path) -> None:
    check_refused(case, world, discreet, LEFT)


def discreet(argv: Sequence[str]) -> Answer:
    """The answer, in which no password may be."""
    found = answer(argv)
    for word in (SECRET, PASSWORD):
        assert word not in found.out + found.err
    return found


def told(found: Answer) -> str:
    """The one line that a command complains in, notes on the way aside."""
    check_lines(found)
    (line,) = [line for line in found.lines if not line.startswith(NOTES)]
    return line


AWAY = [
    (f"postgresql://jo:{SECRET}@127.0.0.1:1/x", r"^--storage: .*port 1 failed: Connection refused"),
    (f"postgresql://jo:{SECRET}@nobody.invalid/x", r"^--storage: .*nobody\.invalid.*not known"),
]


@pytest.mark.parametrize("command", [RUN, "worker toy", "show toy", "list"])
@pytest.mark.parametrize(("url", "says"), AWAY)
def test_a_storage_that_is_away_is_one_line(command: str, url: str, says: str, world: Path) -> None:
    before = tree(world)
    found = discreet([*command.format(world=world).split(), "--storage", url])
    assert found.code == 3
    assert re.search(says, told(found))
    assert tree(world) == before


@pytest.mark.parametrize("command", [RUN, JOIN])
def test_an_mlflow_that_is_away_is_one_line(
    command: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.preflight.ANSWER_SECONDS", 1.0)
    before = tree(world)
    with silent_server() as silent:
        for uri, says in (
            (f"http://jo:{SECRET}@127.0.0.1:1", "Connection refused"),
            (f"http://jo:{SECRET}@nobody.invalid:5000", r"not known"),
            (silent, "has not answered within 1 s"),
            (f"postgresql://jo:{SECRET}@127.0.0.1:1/x", "Connection refused"),
        ):
            found = discreet([*command.format(world=world).split(), "--tracking-uri", uri])
            assert found.code == 3
            assert re.search(rf"^tracking URI: MLflow at \S+ cannot be reached: .*{says}", told(found))
    assert tree(world) == before


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (mlflow_of("2.9.2"), r"must be of version \d+\.\d+ .* is of version 2\.9\.2"),
        ({ELSE: (200, "<html>welcome</html>")}, "an MLflow server is needed"),
        ({ELSE: (401, "who are you")}, "a user name and a password"),
        ({ELSE: (403, "not you")}, "must let us in"),
    ],
)
def test_a_server_that_is_no_mlflow_of_ours_is_refused(
    answers: Mapping[str, tuple[int, str]], says: str, world: Path
) -> None:
    before = tree(world)
    with web_server(answers) as uri:
        for command in (RUN, JOIN):
            address = uri.replace("//", f"//jo:{SECRET}@")
            found = discreet([*command.format(world=world).split(), "--tracking-uri", address])
            assert found.code == 1
            assert re.search(rf"^tracking URI: .*{says}", told(found))
    assert tree(world) == before


def sql(url: str, *statements: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()


def check_storage(url: str, world: Path, says: str, *commands: str) -> None:
    """Each command stops with one line, and nothing but patches is written."""
    before = tree(world)
    for command in commands:
        found = discreet([*command.format(world=world).split(), "--storage", url])
        assert found.code in (1, 3)
        assert re.search(f"^--storage: .*{says}", told(found))
    left = tree(world)
    assert {name: what for name, what in left.items() if name in before or not re.match(LEFT, name)} == before


def test_a_database_that_refuses_us_is_one_line(postgres: Cluster, database: str, world: Path) -> None:
    wrong = database.replace(PASSWORD, SECRET)
    check_storage(wrong, world, "password authentication failed", RUN, "worker toy", "show toy")
    none = postgres.url("no_such_database")
    check_storage(none, world, 'database "no_such_database" does not exist', RUN, "worker toy", "show toy")
    sql(database, f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'")
    guest = database.replace(f"radsearch:{PASSWORD}", f"guest:{SECRET}")
    check_storage(guest, world, "permission denied", RUN)
    found = discreet(["worker", "toy", "--storage", guest])
    assert (found.code, told(found).startswith("STUDY: no study 'toy' in postgresql://guest:***@")) == (
        1,
        True,
    )


def test_tables_of_something_else_are_one_line(database: str, world: Path) -> None:
    open_storage(database, Home.at(world / "home"))
    sql(database, "UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    check_storage(
        database, world, "no longer compatible with the table schema", RUN, "worker toy", "show toy"
    )
    found = discreet([*RUN.format(world=world).split(), "--tracking-uri", database])
    assert found.code == 1
    assert re.search(
        r"^tracking URI: a database with the tables of the MLflow .* has v2\.6\.0\.a", told(found)
    )
