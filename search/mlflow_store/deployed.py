"""What MLflow is given of a model folder, and the MLflow model that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature


@dataclass(frozen=True)
class Tensor:
    """One named input or output of a model.

    Attributes:
        name: Its key.
        dtype: As NumPy calls it.
        shape: -1 for as many as there are places.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Deployed:
    """A model folder as MLflow shows it.

    Attributes:
        folder: The folder.
        digest: sha256 of its `model.json`, and with that of every file in it.
        loader: The module that opens it again, by name.
        inputs: What it is asked with.
        outputs: What it answers.
        example: Of the inputs.
        requirements: The packages that it needs, as pip takes them.
        description: Markdown.
        tags: Of the run, the logged model and the version.
        params: Of the run and the logged model.
        metrics: Of the run.
    """

    folder: Path
    digest: str
    loader: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    example: Mapping[str, npt.NDArray[Any]]
    requirements: tuple[str, ...]
    description: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


def save(model: Deployed, path: Path, record: Model | None = None) -> None:
    """Write an MLflow model with the folder inside: nothing is pickled, no code copied, nothing inferred.

    Args:
        model: What to write.
        path: A folder that is not there.
        record: What to complete; None for a new one.
    """
    import mlflow.pyfunc

    mlflow.pyfunc.save_model(
        str(path),
        loader_module=model.loader,
        data_path=str(model.folder),
        mlflow_model=record,
        signature=_signature(model),
        input_example=dict(model.example),
        pip_requirements=list(model.requirements),
    )


def _signature(model: Deployed) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs, outputs = (
        Schema([TensorSpec(np.dtype(one.dtype), one.shape, one.name) for one in tensors])
        for tensors in (model.inputs, model.outputs)
    )
    return ModelSignature(inputs=inputs, outputs=outputs)
