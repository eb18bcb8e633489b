from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from data_prep.phantom import PhantomSpec, write_phantom

TINY = PhantomSpec(participants=6, biopsies=24, size=24, missing=0.2, repeats=3, seed=1)


@dataclass(frozen=True)
class Written:
    folder: Path
    spec: PhantomSpec
    truth: dict[str, Any]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("phantom") / "tiny"
    return Written(folder, TINY, write_phantom(folder, TINY))
