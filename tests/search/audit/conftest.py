"""A finished study of baselines on the toy cohort, as an audit sees it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from search.audit.scans import Scans, read_scans
from search.audit.subject import Subject
from search.home import Home
from search.recorded import material_of, recorded_study


@pytest.fixture(scope="session")
def audited(shallow: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    home = Home(shutil.copytree(shallow / "home", tmp_path_factory.mktemp("audited") / "home"))
    opened, study = recorded_study(home, None, "shallow")
    return Subject(opened, study, home, material_of(study, opened, home))


@pytest.fixture(scope="session")
def scans(audited: Subject) -> Scans:
    patches = audited.material.patches
    return read_scans(audited.material.source, patches.sequences, patches.biopsy_id)
