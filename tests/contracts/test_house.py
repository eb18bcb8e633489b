"""The laws of the house that no linter knows: one door for sampling, short functions, mirrored tests."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = ("data_prep", "mlflow_server", "models", "search")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LOCKS = [ROOT / "requirements" / f"{build}.txt" for build in ("cpu", "gpu")]  # the server needs less


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def body_length(function: ast.FunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or first.lineno) - first.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short_and_nothing_is_asserted_or_left_to_do(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert all(body_length(function) <= 50 for function in functions(path))
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", text)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_optuna_is_asked_for_values_in_one_module(path: Path) -> None:
    if path == ROOT / "search" / "suggest.py":
        return
    names = [node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    assert not [name for name in names if name.startswith("suggest_")]


PARTS = [
    *(f"data_prep/{part}" for part in ("check", "features", "importing", "phantom")),
    *(
        f"search/{part}"
        for part in (
            "audit",
            "deployment",
            "doctor",
            "explaining",
            "gallery",
            "launchers",
            "maps",
            "mlflow_store",
            "refits",
            "report",
            "retest",
            "statistics",
        )
    ),
]


@pytest.mark.parametrize("package", [*PACKAGES, *PARTS])
def test_every_module_has_a_test_file_of_its_name(package: str) -> None:
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests" / package).glob("test_*.py")}
    assert modules <= tests


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_belongs_to_radsearch_alone(package: str) -> None:
    """The names are short: another wheel could overwrite a folder, and `pip check` would not tell."""
    assert set(importlib.metadata.packages_distributions()[package]) == {"radsearch"}


def wanted() -> list[Requirement]:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split("\n")
    return [Requirement(line) for line in lines if line.strip()]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_the_pins_fit_the_bounds_and_name_no_host(lock: Path) -> None:
    lines = lock.read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[^\s@/]+( ;.*)?", line) for line in lines)
    pins = dict(line.split(" ;")[0].split("==") for line in lines)
    for requirement in wanted():
        assert pins[requirement.name] in requirement.specifier


def test_the_two_builds_differ_in_tensorflow_and_cuda_alone() -> None:
    cpu, gpu = ({*path.read_text().splitlines()} for path in LOCKS)
    assert all(line.startswith(("tensorflow", "nvidia")) for line in cpu ^ gpu)
    assert any(line.startswith("tensorflow-cpu==") for line in cpu)
    assert any(line.startswith("nvidia-cudnn") for line in gpu)
