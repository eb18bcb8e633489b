"""KerasTuner's hypermodels, whose hyperparameters somebody else decides."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

from models.errors import ModelError
from models.spec import CustomSpec, Setting
from models.user_code import blamed, load_object

Shape = tuple[int, int, int]
Conditions = tuple[tuple[str, tuple[Setting, ...]], ...]


@dataclass(frozen=True)
class Question:
    """One hyperparameter that wants a value, as plain data.

    Attributes:
        name: The hyperparameter's, and for a conditional one its conditions: `units[kind=cnn|mlp]`. In
            KerasTuner one name may have another domain under each condition; this name has one.
        domain: `{"choices": [...]}`, or `{"low", "high", "step", "log", "integer"}`: both ends are included,
            `high` lies on the grid of steps, and a `step` of None is any value between.
        hyperparameter: The name in KerasTuner.
        default: What KerasTuner takes unasked, where that lies in the domain; else the domain's first value.
        conditions: It exists where each of these hyperparameters has one of those values.
    """

    name: str
    domain: dict[str, Any]
    hyperparameter: str
    default: Setting
    conditions: Conditions = ()


Ask = Callable[[Question], Setting]


class AskingHyperParameters(keras_tuner.HyperParameters):  # type: ignore[misc]  # has no type information
    """Hyperparameters that are asked for when a build first needs them.

    Only active ones are asked for; a `Fixed` one has its value. What a build sees is what was answered.

    Args:
        given: Values known beforehand, by the name of the question or of the hyperparameter.
        ask: Answers the others.

    Attributes:
        asked: The answers, by the name of the question.
    """

    def __init__(self, given: Mapping[str, Setting], ask: Ask) -> None:
        super().__init__()
        self.asked: dict[str, Setting] = {}
        self._given, self._ask = given, ask

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        is_new = overwrite or hyperparameter.name not in self.values
        if is_new and not isinstance(hyperparameter, kinds.Fixed) and self.is_active(hyperparameter):
            self.values[hyperparameter.name] = self._answer(question_of(hyperparameter))
            overwrite = False
        return super()._register(hyperparameter, overwrite)

    def _answer(self, question: Question) -> Setting:
        for name in (question.name, question.hyperparameter):
            if name in self._given:
                return _legal(self._given[name], question)
        self.asked[question.name] = _legal(self._ask(question), question)
        return self.asked[question.name]


def compose(spec: CustomSpec, input_shape: Shape, ask: Ask) -> dict[str, Setting]:
    """Build a hypermodel once, asking for its hyperparameters; the network is thrown away.

    Args:
        spec: The hypermodel; its `params` are the hyperparameters that are not asked for.
        input_shape: Patch (height, width, channels).
        ask: Answers one question; what it raises comes through.

    Returns:
        The answers, by the name of the question; with `params` they are all that `hypermodel_network` needs.

    Raises:
        ModelError: The hypermodel cannot be built, or a value lies outside its domain.
    """
    hp = AskingHyperParameters(dict(spec.params), _undisguised(ask))
    try:
        _build(spec, input_shape, hp)
    except _UnansweredError as stop:
        raise stop.error from None
    return hp.asked


def hypermodel_network(spec: CustomSpec, input_shape: Shape) -> Any:
    """What a hypermodel builds from the values in the spec's `params`, compiled or not.

    Its own `fit`, if it has one, is never called, and the optimizer and loss of a compiled model are left
    out: hyperparameters that only they read decide nothing, and are best named in `fixed`.

    Raises:
        ModelError: The hypermodel cannot be built, or a value is missing or outside its domain.
    """

    def refuse(question: Question) -> Setting:
        raise ModelError(f"{spec.source}: hyperparameter '{question.name}' has no value in this trial")

    return _build(spec, input_shape, AskingHyperParameters(dict(spec.params), refuse))


def discover(spec: CustomSpec, input_shape: Shape) -> tuple[Question, ...]:
    """The hyperparameters of a hypermodel, found by building it as KerasTuner does.

    It is built with the defaults, and once more for each conditional scope that has not been active yet.
    What a build only asks for under an `if` of its own, outside of any conditional scope, is not found.

    Args:
        spec: The hypermodel; its `params` are left out.
        input_shape: Patch (height, width, channels).

    Raises:
        ModelError: The hypermodel cannot be built, or has no hyperparameter of the name of one of `params`.
    """
    found: dict[str, Question] = {}
    waiting: list[dict[str, Setting]] = [{}]
    tried: list[Any] = []
    for forced in waiting:  # grows below
        hp = AskingHyperParameters(dict(spec.params), _by_default(forced))
        _build(spec, input_shape, hp)
        tried += [scope for scope in hp.active_scopes if scope not in tried]
        questions = [question_of(each) for each in hp.space if not isinstance(each, kinds.Fixed)]
        found |= {question.name: question for question in questions if question.name not in found}
        for scope in [scope for scope in hp.inactive_scopes if scope not in tried]:
            tried.append(scope)
            waiting.append({condition.name: condition.values[0] for condition in scope})
    names = {name for each in found.values() for name in (each.name, each.hyperparameter)}
    for name, _ in spec.params:
        if name not in names:
            known = ", ".join(sorted(names))
            raise ModelError(f"{spec.source} has no hyperparameter '{name}' to fix; it has {known}")
    given = dict(spec.params)
    return tuple(q for q in found.values() if q.name not in given and q.hyperparameter not in given)


def question_of(hyperparameter: Any) -> Question:
    """The question that a hyperparameter of KerasTuner puts.

    Raises:
        ModelError: It is of a kind, or has a sampling, that Optuna does not know.
    """
    conditions: Conditions = tuple((each.name, tuple(each.values)) for each in hyperparameter.conditions)
    scope = "".join(f"[{parent}={'|'.join(map(str, values))}]" for parent, values in conditions)
    name, domain = hyperparameter.name, _domain(hyperparameter)
    default = domain["choices"][0] if "choices" in domain else domain["low"]
    found = _in_domain(hyperparameter.default, domain)
    return Question(f"{name}{scope}", domain, name, default if found is None else found, conditions)


def _domain(hp: Any) -> dict[str, Any]:
    if isinstance(hp, kinds.Boolean):
        return {"choices": [True, False]}
    if isinstance(hp, kinds.Choice):
        return {"choices": list(dict.fromkeys(map(_native, hp.values)))}
    if not isinstance(hp, kinds.Int | kinds.Float):
        raise ModelError(f"hyperparameter '{hp.name}': a {type(hp).__name__} cannot be searched")
    if hp.sampling == "reverse_log":
        raise ModelError(
            f"hyperparameter '{hp.name}': sampling must be 'linear' or 'log', but got 'reverse_log'"
        )
    if not (math.isfinite(hp.min_value) and math.isfinite(hp.max_value)):
        raise ModelError(
            f"hyperparameter '{hp.name}': finite ends are needed, but got {hp.min_value} to {hp.max_value}"
        )
    kind = int if isinstance(hp, kinds.Int) else float
    if hp.sampling == "log" and hp.step is not None:
        # A logarithmic step multiplies. Twelve digits: 0.1, where the powers give 0.10000000000000002.
        return {"choices": [kind(float(f"{value:.12g}")) for value in hp.values]}
    return {
        "low": kind(hp.min_value),
        "high": kind(hp.max_value if hp.step is None else _last(hp.min_value, hp.max_value, hp.step)),
        "step": None if hp.step is None else kind(hp.step),
        "log": hp.sampling == "log",
        "integer": kind is int,
    }


def _last(low: float, high: float, step: float) -> float:
    """The last value of a grid, in decimal arithmetic: in binary, 0.6 // 0.1 is 5.

    >>> _last(0.0, 0.6, 0.1), _last(6, 13, 3)
    (0.6, 12.0)
    """
    start, end, width = (Decimal(str(number)) for number in (low, high, step))
    return float(start + (end - start) // width * width)


def _native(value: Any) -> Setting:
    for kind in (bool, int, float):  # a bool is an int
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _legal(value: Setting, question: Question) -> Setting:
    """The value in the type of its domain.

    Raises:
        ModelError: It lies outside.
    """
    found, domain = _in_domain(value, question.domain), question.domain
    if found is not None:
        return found
    if "choices" in domain:
        law = f"one of {', '.join(map(str, domain['choices']))}"
    else:
        step = f" in steps of {domain['step']}" if domain["step"] is not None else ""
        law = (
            f"a {'whole ' if domain['integer'] else ''}number from {domain['low']} to {domain['high']}{step}"
        )
    raise ModelError(f"hyperparameter '{question.name}': {law} is needed, but got {value!r}")


def _in_domain(value: Setting, domain: Mapping[str, Any]) -> Setting | None:
    if "choices" in domain:
        return next((choice for choice in domain["choices"] if _is_same(choice, value)), None)
    if not _is_within(value, domain):
        return None
    return int(value) if domain["integer"] else float(value)


def _is_same(choice: Setting, value: Setting) -> bool:
    if isinstance(choice, float) and not isinstance(value, str):
        return math.isclose(choice, value)
    return choice == value


def _is_within(value: Setting, domain: Mapping[str, Any]) -> bool:
    if isinstance(value, bool | str) or (domain["integer"] and value % 1):
        return False
    step = domain["step"]
    steps = 0.0 if step is None else (value - domain["low"]) / step
    slack = 1e-9 * max(abs(domain["low"]), abs(domain["high"]))
    on_grid = math.isclose(steps, round(steps), abs_tol=1e-6)
    return on_grid and domain["low"] - slack <= value <= domain["high"] + slack


def _build(spec: CustomSpec, input_shape: Shape, hp: AskingHyperParameters) -> Any:
    thing = load_object(spec.source)
    with blamed(spec.source):
        return _builder(spec, thing, input_shape)(hp)


def _builder(spec: CustomSpec, thing: Any, input_shape: Shape) -> Callable[[AskingHyperParameters], Any]:
    """What builds the network: a hypermodel's `build`, or the user's build function itself.

    A class, a factory or a build function is called with what it takes and the study does not name: the
    `input_shape`, two `classes`, and no top of the hypermodel's own (`include_top`), which would come with an
    optimizer that nothing uses.
    """
    arguments = dict(spec.arguments)
    if isinstance(thing, keras_tuner.HyperModel):
        if arguments:
            raise ModelError(f"{spec.source} is a hypermodel already and takes no arguments: name its class")
        return thing.build  # type: ignore[no-any-return]
    if not callable(thing) or (inspect.isclass(thing) and not issubclass(thing, keras_tuner.HyperModel)):
        raise ModelError(
            f"{spec.source}: a keras_tuner.HyperModel or a function build(hp) is needed, but got {thing!r}"
        )
    takes = inspect.signature(thing).parameters
    offered = {"input_shape": input_shape, "classes": 2, "include_top": False}
    given = {name: value for name, value in offered.items() if name in takes} | arguments
    named = [name for name, each in takes.items() if _is_wanted(each) and name not in given]
    if inspect.isclass(thing) or not named:
        return _hypermodel(spec, thing(**given)).build  # type: ignore[no-any-return]
    if len(named) > 1:
        raise ModelError(
            f"{spec.source}: a build function takes hp and at most input_shape, but this one needs "
            f"{', '.join(named)}"
        )
    return lambda hp: thing(**given, **{named[0]: hp})


def _is_wanted(parameter: inspect.Parameter) -> bool:
    is_named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return is_named and parameter.default is parameter.empty


def _hypermodel(spec: CustomSpec, made: Any) -> Any:
    if not isinstance(made, keras_tuner.HyperModel):
        raise ModelError(
            f"{spec.source}: without a parameter hp, a keras_tuner.HyperModel must be returned, "
            f"but got {type(made).__name__}"
        )
    return made


class _UnansweredError(BaseException):
    """Carries what `ask` raised through the user's code, whose `except Exception` is not meant for it."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _undisguised(ask: Ask) -> Ask:
    def asked(question: Question) -> Setting:
        try:
            return ask(question)
        except Exception as error:
            raise _UnansweredError(error) from error

    return asked


def _by_default(forced: Mapping[str, Setting]) -> Ask:
    """Answers with what a scope needs, where its hyperparameter can have it; else with the default."""

    def answer(question: Question) -> Setting:
        wanted = forced.get(question.hyperparameter, question.default)
        return question.default if _in_domain(wanted, question.domain) is None else wanted

    return answer
