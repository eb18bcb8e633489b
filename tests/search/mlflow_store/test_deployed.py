from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlflow.models import Model
from mlflow.pyfunc import load_model
from mlflow.types import TensorSpec

from search.mlflow_store.deployed import Deployed, save


@pytest.fixture
def saved(empty_database: Path, deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "uv.lock").write_text("what lies in the folder one stands in")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    monkeypatch.chdir(tmp_path)
    save(deployed, tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_holds_the_folder_and_nothing_that_runs(saved: Path, deployed: Deployed) -> None:
    files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    own = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"}
    example = {"input_example.json", "serving_input_example.json"}
    assert files == own | example | {"data/1/model.json", "data/1/members/0/weights.bin"}
    assert (saved / "data/1/members/0/weights.bin").read_bytes() == bytes(range(256))
    assert (saved / "requirements.txt").read_text().split() == list(deployed.requirements)


def test_a_saved_model_says_how_it_is_asked(saved: Path) -> None:
    model = Model.load(saved)
    (asked,) = model.signature.inputs.inputs
    assert asked == TensorSpec(np.dtype("float32"), (-1, 5, 5, 2), "patches")
    (answered,) = model.signature.outputs.inputs
    assert answered == TensorSpec(np.dtype("float64"), (-1, 1), "probability")
    example = model.load_input_example(str(saved))
    np.testing.assert_array_equal(example["patches"], np.ones((1, 5, 5, 2)))
    assert model.flavors["python_function"]["loader_module"] == "search.deployment.pyfunc"
    assert not {"python_model", "cloudpickle_version", "code"} & {
        name for name, value in model.flavors["python_function"].items() if value is not None
    }


def test_the_loader_is_asked_for_the_folder_alone(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    class Served:
        def predict(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"probability": inputs["patches"].mean(axis=(1, 2, 3))[:, None].astype(float)}

    def load(data_path: str) -> Served:
        asked.append(Path(data_path))
        return Served()

    monkeypatch.setattr("search.deployment.pyfunc._load_pyfunc", load)
    loaded = load_model(str(saved))
    assert loaded.predict({"patches": np.full((2, 5, 5, 2), 3, dtype=np.float32)}) == {
        "probability": pytest.approx(np.full((2, 1), 3.0))
    }
    assert [path.relative_to(saved).as_posix() for path in asked] == ["data/1"]
