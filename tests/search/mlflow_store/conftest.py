"""An MLflow of nothing, made once, and a folder to put there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from search.mlflow_store.connecting import client_at
from search.mlflow_store.deployed import Deployed, Tensor
from search.mlflow_store.single_runs import Place
from search.run_ids import RunIds


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with its tables, to be copied."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client_at(f"sqlite:///{path}")
    return path


@pytest.fixture
def place(empty_database: Path, tmp_path: Path) -> Place:
    """A copy of it, and an experiment that is not there yet."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    return Place(uri, tmp_path / "artifacts", "toy", RunIds(tmp_path / "spool", uri, "toy"), "0f")


@pytest.fixture
def deployed(tmp_path: Path) -> Deployed:
    """A folder that looks like a model's."""
    folder = tmp_path / "home" / "models" / "toy" / "1"
    (folder / "members" / "0").mkdir(parents=True)
    (folder / "model.json").write_text('{"format": 1}')
    (folder / "members" / "0" / "weights.bin").write_bytes(bytes(range(256)))
    return Deployed(
        folder=folder,
        digest="ab" * 32,
        loader="search.deployment.pyfunc",
        inputs=(Tensor("patches", "float32", (-1, 5, 5, 2)),),
        outputs=(Tensor("probability", "float64", (-1, 1)),),
        example={"patches": np.ones((1, 5, 5, 2), dtype=np.float32)},
        requirements=("mlflow==3.17.2", "numpy==2.4.6"),
        description="A card. " * 1000,
        tags={"level": "refit", "intended_use": "research use only"},
        params={"architectures": "small_cnn," * 700, "trials": "1,2"},
        metrics={"honest.estimate": 0.66},
    )
