"""KerasTuner's own tests for oracles, hyperparameters and tuners, with our oracle in the place of its own.

The source distribution of 1.4.8 has no tests; that of 1.3.5 is the last one that has. To run them (minutes):

    pip download --no-deps --no-binary :all: keras-tuner==1.3.5 && tar xzf keras-tuner-1.3.5.tar.gz
    export KERAS_TUNER_TESTS=$PWD/keras-tuner-1.3.5/keras_tuner
    pytest tests/search/test_keras_tuner_upstream.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = os.environ.get("KERAS_TUNER_TESTS")
ROOT = Path(__file__).parents[2]


def passed(tests: Path, oracle: str) -> set[str]:
    """Names of the tests that pass with "stock" or "optuna" as the oracle."""
    options = ["-q", "-rp", "-p", "tests.search.keras_tuner_suite", "-p", "no:cacheprovider"]
    environment = os.environ | {"ORACLE": oracle, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "pytest", *options, "--import-mode=importlib", "engine", "tuners"]
    run = subprocess.run(command, cwd=tests, env=environment, capture_output=True, text=True, check=False)
    return set(re.findall(r"^PASSED (.+)$", run.stdout, flags=re.MULTILINE))


@pytest.mark.slow
@pytest.mark.skipif(FOLDER is None, reason="KERAS_TUNER_TESTS names no folder with KerasTuner's tests")
def test_what_passes_with_keras_tuners_oracles_passes_with_ours(tmp_path: Path) -> None:
    source = Path(str(FOLDER))
    # The tests alone: the sources beside them would shadow what is installed.
    for path in (source / "conftest.py", *source.rglob("*_test.py")):
        copy = tmp_path / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    stock = passed(tmp_path, "stock")
    assert {"engine/oracle_test.py", "tuners/randomsearch_test.py"} <= {name.split("::")[0] for name in stock}
    assert stock - passed(tmp_path, "optuna") == set()
