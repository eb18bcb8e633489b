"""What `mlflow.pyfunc` loads of a registered model. MLflow calls it; nothing of MLflow is imported here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from search.deployment.model import Model
from search.deployment.tensors import Arrays, answers_of, shown_of


class Served:
    """A model that is asked with arrays.

    Args:
        model: The model; its members that learned from all biopsies answer.
    """

    def __init__(self, model: Model) -> None:
        self._facts, self._predictor = model.facts, model.predictor()

    def predict(self, inputs: Arrays, params: dict[str, Any] | None = None) -> dict[str, npt.NDArray[Any]]:
        """What the model says of n places.

        Args:
            inputs: The arrays that the signature names, as `search.deployment.tensors` describes them.
            params: There are none; MLflow passes them to every model.

        Returns:
            `Prediction`, name by name.

        Raises:
            InputError: An array is absent, of another shape, or partly NaN.
        """
        shown = shown_of(inputs, self._facts, self._predictor.reads_location)
        return answers_of(self._predictor.say(shown))


def _load_pyfunc(data_path: str) -> Served:
    """MLflow's way in.

    Args:
        data_path: The model folder.
    """
    return Served(Model.open(Path(data_path)))
