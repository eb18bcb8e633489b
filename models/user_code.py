"""Code that is not ours: loaded by its name, called, and its errors told in one line."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from models.errors import ModelError

_ESCAPE = re.compile(r"\x1b\[[\d;]*m")  # Keras prints its errors in bold
_LONGEST = 300  # characters of somebody else's message
_OUTPUTS = "outputs"  # the parameter of a user's function that receives their number
_loaded: dict[Path, tuple[int, ModuleType]] = {}


def load_object(source: str) -> Any:
    """What a source names.

    A file is loaded under a name that nothing imports, so that a user's `models.py` never stands in for ours.
    Its folder comes last on the path: what lies beside it can be imported, unless we have a module of that
    name. A file that has changed is loaded again.

    Args:
        source: `package.module:name` of an installed module, or `/path/to/file.py:name`.

    Raises:
        ModelError: There is no such file, module or name, or loading it raises.
    """
    place, _, name = source.rpartition(":")
    if not place or not name.isidentifier():
        raise ModelError(f"'package.module:name' or '/path/to/file.py:name' is needed, but got '{source}'")
    module = _file_module(Path(place)) if place.endswith(".py") else _installed_module(place)
    if not hasattr(module, name):
        public = [known for known in vars(module) if not known.startswith("_")]
        raise ModelError(f"{place} has no '{name}'{_nearest(name, public)}")
    return getattr(module, name)


def load_function(source: str) -> Callable[..., Any]:
    """The same, where something to call is wanted.

    Raises:
        ModelError: Also if it cannot be called.
    """
    found = load_object(source)
    if not callable(found):
        raise ModelError(f"{source}: a function is needed, but got {_a(found)}")
    return found  # type: ignore[no-any-return]


def check_function(source: str, params: Iterable[str], outputs: int = 1) -> list[str]:
    """What is wrong with calling a user's function by an input shape and by the parameters of a study.

    Args:
        source: As `load_object` takes it.
        params: Names of the parameters that the study gives.
        outputs: How many targets the network is to predict.

    Returns:
        One line a problem; none if the function can be called so.

    Raises:
        ModelError: The function cannot be loaded.
    """
    parameters = _parameters(load_function(source))
    if parameters is None:
        return []
    name, given = source.rpartition(":")[2], list(params)
    if not parameters or parameters[0].kind is inspect.Parameter.KEYWORD_ONLY:
        return [f"{name} must take the input shape as its first parameter, but takes none"]
    try:
        told = outputs_argument(source, given, outputs)
    except ModelError as error:
        return [str(error).removeprefix(f"{source}: ")]
    return _misfits(name, parameters[1:], [*given, *told])


def outputs_argument(source: str, params: Iterable[str], outputs: int) -> dict[str, int]:
    """What a user's function is told about the number of outputs.

    Args:
        source: As `load_object` takes it.
        params: Names of the parameters that the study gives.
        outputs: How many are wanted.

    Returns:
        `{"outputs": outputs}`, or nothing where one output is wanted and the function can be called without.

    Raises:
        ModelError: More than one is wanted, and the function has no parameter of that name, or the study
            gives it another meaning.
    """
    named = {each.name: each for each in (_parameters(load_function(source)) or [])[1:] if _is_named(each)}
    if outputs == 1:
        is_needed = _OUTPUTS in named and named[_OUTPUTS].default is inspect.Parameter.empty
        return {_OUTPUTS: 1} if is_needed and _OUTPUTS not in params else {}
    law = "multi-label heads need an architecture with K outputs"
    if _OUTPUTS not in named:
        raise ModelError(
            f"{source}: {law}: {source.rpartition(':')[2]} must take a parameter '{_OUTPUTS}' to return "
            f"{outputs} units, but has none"
        )
    if _OUTPUTS in params:
        raise ModelError(
            f"{source}: {law}: '{_OUTPUTS}' is the number of labels, {outputs}, but the study gives it too"
        )
    return {_OUTPUTS: outputs}


@contextmanager
def blamed(source: str) -> Iterator[None]:
    """Turn whatever a user's code raises into one line that says what and where.

    Exhausted memory passes: it is no fault of the code.

    Raises:
        ModelError: In place of any other exception.
    """
    try:
        yield
    except (ModelError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if type(error).__name__ == "ResourceExhaustedError":
            raise
        raise ModelError(f"{source}: {said(error)}{_where(error, source)}") from error


def said(error: BaseException) -> str:
    """Type and message of an exception in one line."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename or '?').name}:{error.lineno})"
    message = " ".join(_ESCAPE.sub("", str(error)).split())
    if len(message) > _LONGEST:
        message = f"{message[:_LONGEST]}..."
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _file_module(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file")
    changed = path.stat().st_mtime_ns
    if path not in _loaded or _loaded[path][0] != changed:
        _loaded[path] = changed, _executed(path)
    return _loaded[path][1]


def _executed(path: Path) -> ModuleType:
    name = f"_radsearch_user_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path}: a Python file is needed")
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module
    try:
        with blamed(str(path)):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _installed_module(name: str) -> ModuleType:
    with blamed(name):
        module = importlib.import_module(name)
    return module  # noqa: RET504  # to mypy, the block above may end without one


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """What a function takes; None where it is written in C, and only the call will tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        return None


def _is_named(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _misfits(name: str, parameters: list[inspect.Parameter], given: list[str]) -> list[str]:
    named = {parameter.name: parameter for parameter in parameters if _is_named(parameter)}
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    takes = " and ".join(filter(None, [", ".join(list(named)[:-1]), *list(named)[-1:]])) or "no parameters"
    unknown = [key for key in given if key not in named and not takes_any]
    missing = [key for key, p in named.items() if p.default is inspect.Parameter.empty and key not in given]
    return [
        f"{name} takes {takes}, but the study gives '{key}'{_nearest(key, set(named) - set(given))}"
        for key in unknown
    ] + [f"{name} needs '{key}', which the study does not give" for key in missing]


def _where(error: BaseException, source: str) -> str:
    """The deepest line of the user's own folder that led to an error; nothing where that cannot be told."""
    place = source.rpartition(":")[0] or source
    file = place if place.endswith(".py") else getattr(sys.modules.get(place), "__file__", None)
    if isinstance(error, SyntaxError) or file is None:
        return ""
    home = Path(file).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(home) and "site-packages" not in path.relative_to(home).parts:
            return f" ({path.name}:{frame.lineno})"
    return ""


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _a(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
