"""A small sound world for suites that spoil it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.bad_input import STUDY


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
