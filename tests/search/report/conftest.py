"""A finished study of shallow models, and what its report is written from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from search.home import Home
from search.recorded import material_of, recorded_study
from search.report.evidence import Evidence, gather


@pytest.fixture(scope="session")
def evidence(shallow: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """All that is known of the study, without importance, audit and refits."""
    folder = tmp_path_factory.mktemp("evidence")
    shutil.copytree(shallow / "home", folder / "home")
    home = Home.at(folder / "home")
    study, definition = recorded_study(home, None, "shallow")
    return gather(study, definition, home, material_of(definition, study, home))
