"""What must agree before a process works on a study that another one opened."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest

from data_prep.folds import read_folds, write_folds
from data_prep.problems import InputError
from search import material as materials
from search.code_identity import CODE, code_identity
from search.home import Home
from search.joining import join_study, study_to_join
from search.material import prepare
from search.opening import open_study
from search.owner import Owner
from search.storage import open_storage
from search.study_file import Study, read_study

HERE = socket.gethostname()


@pytest.fixture
def home(shallow: Path, tmp_path: Path) -> Home:
    """The home of a finished study, with its journal."""
    return Home.at(shutil.copytree(shallow / "home", tmp_path / "home"))


@pytest.fixture
def cohort(shallow: Path, tmp_path: Path) -> Path:
    """Its cohort, as another machine has it."""
    return Path(shutil.copytree(shallow / "cohort", tmp_path / "mine"))


@pytest.fixture
def other(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "other")


def to_write(home: Home, name: str = "shallow") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=open_storage(None, home))


def refused(home: Home, name: str = "shallow", storage: str | None = None, cohort: str | None = None) -> list:
    with pytest.raises(InputError) as caught:
        study_to_join(name, storage, home, cohort)
    return list(caught.value.problems)


def test_a_study_is_joined_by_its_name_with_the_settings_that_its_storage_has(
    home: Home, shallow: Path, cohort: Path
) -> None:
    opened, study = study_to_join("shallow", None, home)
    assert study == read_study(shallow / "study.toml")
    assert len(opened.trials) == 6
    home.study("shallow").definition.unlink()
    assert study_to_join("shallow", None, home, str(cohort))[1].cohort == str(cohort)


def test_an_unknown_study_is_told_with_the_nearest_name(home: Home, other: Home) -> None:
    (line,) = refused(home, "shalow")
    assert line.startswith(f"STUDY: no study 'shalow' in {home.root}; did you mean 'shallow'?")
    assert refused(other) == [f"STUDY: no study 'shallow' in {other.root}; there is none yet"]


def test_sqlite_serves_no_second_process(home: Home, tmp_path: Path) -> None:
    (line,) = refused(home, storage=f"sqlite:///{tmp_path}/o.db")
    assert line.startswith("--storage: a worker needs postgresql://")
    assert not (tmp_path / "o.db").exists()


def test_a_journal_is_not_shared_with_another_machine(home: Home) -> None:
    study, here = to_write(home), Owner.of()
    study.ask().set_user_attr("owner", str(Owner(here.host, here.boot, here.pid, here.start)))
    study_to_join("shallow", None, home)
    study.ask().set_user_attr("owner", str(Owner("node7", "boot", 1, 1)))
    (line,) = refused(home)
    assert f"but node7 works on study 'shallow' and this is {HERE}" in line


def test_other_code_is_refused_before_anything_else_is_read(home: Home) -> None:
    to_write(home).set_user_attr(CODE, code_identity() | {"numpy": "1.0", "keras": "2.0"})
    lines = refused(home, cohort="/nowhere")
    assert [line.partition(", but ")[2].split()[:2] for line in lines] == [["keras", "2.0"], ["numpy", "1.0"]]


def test_a_cohort_that_is_not_on_this_machine_is_asked_for(home: Home, cohort: Path) -> None:
    shutil.rmtree(cohort)
    (line,) = refused(home, cohort=str(cohort))
    assert line.startswith(f"--cohort: the study's cohort is needed, but {HERE} has no {cohort}/cohort.toml")


@pytest.fixture
def with_own_files(make_study: Callable[..., Study], tmp_path: Path) -> Home:
    """The home of a study with a network and weights of its author's own."""
    (tmp_path / "net.py").write_text("def build(shape): ...\n")
    (tmp_path / "w.keras").write_bytes(b"weights")
    study = make_study(
        tmp_path,
        f"architectures.net.function='{tmp_path}/net.py:build'",
        "space.architecture=['net', 'resnet50']",
        f"space.weights=['none', '{tmp_path}/w.keras']",
        "search.enqueue=[]",
    )
    home = Home.at(tmp_path / "home")
    open_study(study, prepare(study, home, frozen=False), open_storage(None, home), home)
    return home


def test_the_authors_own_files_must_be_there_and_the_same(with_own_files: Home, tmp_path: Path) -> None:
    study_to_join("toy", None, with_own_files)
    (tmp_path / "net.py").unlink()
    (tmp_path / "w.keras").write_bytes(b"others")
    code, weights = refused(with_own_files, "toy")
    missing = f"but {HERE} has no {tmp_path}/net.py. Copy it there"
    assert code == f"architectures.net: the file of the study is needed, {missing}"
    assert weights.startswith(f"weights.{tmp_path}/w.keras: the file must be that of the study (sha256 ")
    assert f"but {tmp_path}/w.keras on {HERE} is another (sha256 " in weights


def join(home: Home, other: Home, cohort: Path) -> Path:
    _, study = study_to_join("shallow", None, home, str(cohort))
    join_study(study, open_storage(None, home), other)
    return other.study("shallow").root


def test_joining_furnishes_ones_own_home_alone(home: Home, other: Home, cohort: Path) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}

    before = content()
    root = join(home, other, cohort)
    assert content() == before
    assert {path.name for path in root.iterdir()} == {"study.json", "folds.tsv", "bank.tsv", "pseudonyms.tsv"}
    assert Study.from_json((root / "study.json").read_text()).cohort == str(cohort)
    join(home, home, cohort)
    assert content().keys() - before.keys() == set()


def test_another_cohort_is_refused_with_a_line_a_difference(home: Home, other: Home, cohort: Path) -> None:
    table = cohort / "expression.tsv"
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *(row.replace("\t", "\t9") for row in rows)]) + "\n")
    sites = cohort / "biopsies.tsv"
    head, _, *rows = sites.read_text().splitlines()
    sites.write_text("\n".join([head, *rows]) + "\n")
    _, study = study_to_join("shallow", None, home, str(cohort))
    with pytest.raises(InputError) as caught:
        join_study(study, open_storage(None, home), other)
    told = {line.split(": ")[1]: line for line in caught.value.problems}
    assert told.keys() == {"cohort.patches", "cohort.labels", "folds.hash"}
    for line in told.values():
        assert line.endswith(f"{HERE} read {cohort}: give the study's own cohort by --cohort")
    assert not other.study("shallow").root.exists()
    with pytest.raises(InputError, match=r"cohort\.patches: must stay"):
        join_study(study, open_storage(None, home), home)  # whose folds are frozen for the study's biopsies


def test_what_an_earlier_study_of_that_name_left_is_replaced(home: Home, other: Home, cohort: Path) -> None:
    root = join(home, other, cohort)
    table = read_folds(root / "folds.tsv")
    frozen = (root / "folds.tsv").read_bytes()
    write_folds(replace(table, fold=np.roll(table.fold, 9, axis=1)), root / "folds.tsv")
    settings = Study.from_json((root / "study.json").read_text())
    older = settings.model_copy(update={"search": settings.search.model_copy(update={"trials": 1})})
    (root / "study.json").write_text(older.to_json())
    join(home, other, cohort)
    assert (root / "folds.tsv").read_bytes() == frozen
    assert Study.from_json((root / "study.json").read_text()) == settings


def test_the_studys_own_folds_are_kept_where_others_would_be_made_today(
    home: Home, other: Home, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = materials.make_folds
    monkeypatch.setattr(materials, "make_folds", lambda *args: make(*args[:-1], args[-1] + 1))
    _, study = study_to_join("shallow", None, home, str(cohort))
    _, material = join_study(study, open_storage(None, home), home)
    assert material.folds.hash == read_folds(home.study("shallow").folds).hash
    with pytest.raises(InputError, match=r"folds\.hash: must stay"):
        join_study(study, open_storage(None, home), other)
