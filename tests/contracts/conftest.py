"""A small sound world for suites that spoil it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contracts.bad_input import STUDY
from tests.contracts.faults.ward import Ward, opened
from tests.postgresql import Cluster, cluster


@pytest.fixture(scope="session")
def sound_world(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort of 4 participants, 8 biopsies, T1 and T2, and a study of it."""
    folder = tmp_path_factory.mktemp("sound")
    make_cohort(folder / "cohort", participants=4, biopsies=8, sequences=("T1", "T2"), size=12)
    (folder / "study.toml").write_text(STUDY)
    return folder


@pytest.fixture
def world(sound_world: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    shutil.copytree(sound_world, tmp_path / "world")
    return tmp_path / "world"


@pytest.fixture(scope="session")
def fault_cohort(make_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cohort of the studies that are disturbed."""
    folder = tmp_path_factory.mktemp("faults") / "cohort"
    return make_cohort(folder, participants=12, biopsies=36, sequences=("T1", "T2"), size=12)


@pytest.fixture(scope="session")
def embedded(fault_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """Studies in a journal each."""
    with opened(tmp_path_factory.mktemp("embedded"), fault_cohort) as found:
        yield found


@pytest.fixture(scope="session")
def mortal() -> Iterator[Cluster]:
    """A PostgreSQL server that may be killed."""
    with cluster() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed: its initdb and postgres are looked for on the path")
        yield server


@pytest.fixture(scope="session")
def clustered(
    mortal: Cluster, fault_cohort: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ward]:
    """Studies in a database each."""
    with opened(tmp_path_factory.mktemp("clustered"), fault_cohort, mortal) as found:
        yield found
