"""Fitted shallow models in a file that runs no code when it is read (skops, a ZIP of JSON and .npy)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from models.calibration import Calibration
from models.errors import ModelError
from models.shallow_fit import Fit, FittedBaseline
from models.soundness import check_sound

# Whatever a file names besides these is refused before anything of it is made. skops alone would trust every
# estimator of scikit-learn and every function of NumPy.
_PLAIN = frozenset(
    {
        "builtins.dict",
        "builtins.list",
        "builtins.str",
        "builtins.tuple",
        "numpy.dtype",
        "numpy.float64",
        "numpy.int64",
        "numpy.ndarray",
    }
)
_ESTIMATORS = frozenset(
    {
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._forest.RandomForestRegressor",
        "sklearn.gaussian_process._gpc.GaussianProcessClassifier",
        "sklearn.gaussian_process._gpr.GaussianProcessRegressor",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.linear_model._logistic.LogisticRegression",
        "sklearn.linear_model._ridge.Ridge",
        "sklearn.pipeline.Pipeline",
        "sklearn.preprocessing._data.StandardScaler",
        "sklearn.svm._classes.SVC",
        "sklearn.svm._classes.SVR",
        "sklearn.tree._classes.DecisionTreeClassifier",
        "sklearn.tree._classes.DecisionTreeRegressor",
    }
)
# Those that skops does not trust by itself. The nodes of a `Tree` are checked in `models.soundness`.
_PARTS = frozenset(
    {
        "models.nca.NcaSelector",
        "models.shallow_fit.PerFeature",
        "numpy.dtype",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.tree._tree.Tree",
    }
)
TRUSTED = _PLAIN | _ESTIMATORS | _PARTS
# The ways in which skops makes an object; none of these calls what a file names but for the types above.
_LOADERS = frozenset(
    {
        "DTypeNode",
        "DictNode",
        "JsonNode",
        "ListNode",
        "NdArrayNode",
        "ObjectNode",
        "TreeNode",
        "TupleNode",
        "TypeNode",
    }
)


def write_baselines(models: Sequence[FittedBaseline], path: Path) -> None:
    """Write shallow models, one a label, as a `.skops` file; it appears whole or not at all."""
    from skops import io  # takes seconds, as it loads whatever array libraries there are

    partial = path.with_name(f".{path.name}.partial")
    io.dump([_record(model) for model in models], partial, compression=ZIP_DEFLATED)
    partial.replace(path)


def read_baselines(path: Path) -> list[FittedBaseline]:
    """Read what `write_baselines` wrote; predictions are the same bit for bit with the same libraries.

    Raises:
        ModelError: The file names a type that is not in `TRUSTED` (nothing of it has been made then), is
            damaged, or is none of `write_baselines`; in one line.
    """
    from skops import io  # as above

    try:
        foreign = _first_foreign(path)
        if foreign is None:
            return [_model(record) for record in io.load(path, trusted=sorted(_PARTS))]
    except Exception as error:  # what a damaged file leads to is anybody's guess
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"{path}: shallow models as refit writes them are needed, but got: {reason}"
        ) from error
    raise ModelError(f"{path}: only the types of our own shallow models are read, but it names {foreign}")


def _record(model: FittedBaseline) -> dict[str, Any]:
    return {
        "task": model.task,
        "parameters": model.parameters,
        "columns": model.columns,
        "read": None if model.fit is None else model.fit.columns,
        "pipeline": None if model.fit is None else model.fit.pipeline,
        "constant": model.constant,
        "calibration": None
        if model.calibration is None
        else [model.calibration.slope, model.calibration.intercept],
        "mean": model.mean,
        "deviation": model.deviation,
    }


def _model(record: dict[str, Any]) -> FittedBaseline:
    """The model of a record.

    Raises:
        Exception: It is no such model; of any kind.
    """
    line = record["calibration"]
    model = FittedBaseline(
        task=str(record["task"]),
        parameters=int(record["parameters"]),
        columns=int(record["columns"]),
        fit=None if record["pipeline"] is None else Fit(record["read"], record["pipeline"]),
        constant=float(record["constant"]),
        calibration=None if line is None else Calibration(float(line[0]), float(line[1])),
        mean=float(record["mean"]),
        deviation=float(record["deviation"]),
    )
    check_sound(model)
    return model


def _first_foreign(path: Path) -> str | None:
    """The first type, or way of making an object, that a file names and that is not trusted."""
    with ZipFile(path) as file:
        schema = json.loads(file.read("schema.json"))
    for node in _nodes(schema):
        name = f"{node.get('__module__')}.{node.get('__class__')}"
        if name not in TRUSTED:
            return f"'{name}'"
        if node.get("__loader__") not in _LOADERS:
            return f"'{name}' as a {node.get('__loader__')}"
    return None


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Everything in a schema that stands for an object, outer ones first."""
    if isinstance(part, dict):
        if part.keys() & {"__class__", "__module__", "__loader__"}:
            yield part
        for inner in part.values():
            yield from _nodes(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _nodes(inner)
