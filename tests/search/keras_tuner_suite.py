"""A pytest plugin: KerasTuner's own tests on the KerasTuner installed, with our oracle in place of its own.

The tests have the layout of version 1.3, whose modules are found under `keras_tuner.src` since 1.4.
With ORACLE=optuna in the environment `Oracle` (in `engine.oracle`), `RandomSearchOracle`, `RandomSearch`
and, where PyTorch is, the exported `BayesianOptimizationOracle` are ours; else everything is stock. The last
has the sampler of its kind, "gp": a test wants the optimum of a smooth function within 50 trials.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
import sys
import types
from typing import Any

import keras_tuner
import keras_tuner.oracles
import keras_tuner.src
import keras_tuner.tuners


def alias(name: str, **replaced: Any) -> None:
    """Let `keras_tuner.NAME` be `keras_tuner.src.NAME`, or a copy of it with some names replaced."""
    module = importlib.import_module(f"keras_tuner.src.{name}")
    if replaced:
        copy = types.ModuleType(module.__name__)
        copy.__dict__.update(module.__dict__ | replaced)
        module = copy
    parent, _, leaf = f"keras_tuner.{name}".rpartition(".")
    sys.modules[f"keras_tuner.{name}"] = module
    setattr(importlib.import_module(parent), leaf, module)


def alias_all() -> None:
    """Every module of version 1.4 under its name in version 1.3, save the two packages that export names."""
    for found in pkgutil.iter_modules(keras_tuner.src.__path__):
        walk(found.name, found.ispkg)


def walk(name: str, is_package: bool) -> None:
    """Alias a module, and what is in it; distributed search needs gRPC, which may be absent."""
    if name == "distribute":
        return
    module = importlib.import_module(f"keras_tuner.src.{name}")
    if name not in ("oracles", "tuners"):
        alias(name)
    if is_package:
        for found in pkgutil.iter_modules(module.__path__):
            walk(f"{name}.{found.name}", found.ispkg)


alias_all()
if os.environ.get("ORACLE") == "optuna":
    from search.keras_tuner_oracle import OptunaOracle, OptunaSearch

    alias("engine.oracle", Oracle=OptunaOracle)
    alias("tuners.randomsearch", RandomSearchOracle=OptunaOracle, RandomSearch=OptunaSearch)
    keras_tuner.RandomSearch = keras_tuner.tuners.RandomSearch = OptunaSearch
    keras_tuner.oracles.RandomSearchOracle = OptunaOracle
    if importlib.util.find_spec("torch") is not None:
        keras_tuner.oracles.BayesianOptimizationOracle = functools.partial(OptunaOracle, sampler="gp")
