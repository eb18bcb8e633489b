"""Study files: TOML read into one frozen record, every problem of it reported at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from data_prep.augmentation import AUGMENTATIONS
from data_prep.labels import LabelDefinition
from data_prep.problems import InputError, Problems, nearest
from models.spec import PRECISIONS, ComputeSpec
from search.metrics import DIRECTIONS
from search.space import Space, check_params, read_space

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


LAWS = {  # pydantic's types of error, in the words of a study file
    "tuple_type": "a list",
    "too_short": "a list that is not empty",
    "model_type": "a table",
    "dict_type": "a table",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
}


class Section(BaseModel):
    """A table of a study file: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _one_of(*names: str) -> AfterValidator:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError(f"unknown name {value!r}; {nearest(value, names)}")
        return value

    return AfterValidator(check)


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"must be odd (the site's slice and its neighbours), but got {value}")
    return value


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values) or not all(values):
        raise ValueError(f"names must differ and not be empty, but got {list(values)}")
    return values


def _sequences(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if value == "all" or (isinstance(value, tuple) and value and len(set(value)) == len(value)):
        return value
    raise ValueError(f'must be "all" or a list of different sequences, but got {value!r}')


def _spacing(value: str | float) -> str | float:
    if value == "native" or (not isinstance(value, str) and 0 < value < float("inf")):
        return value
    raise ValueError(f'must be "native" or millimetres above 0, but got {value!r}')


Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1), AfterValidator(_distinct)]


class LabelSection(Section):
    """What is predicted."""

    genes: Names = ("CD3D",)
    rule: str = "above-median"
    threshold_from: Annotated[str, _one_of("cohort", "training")] = "cohort"

    @property
    def definition(self) -> LabelDefinition:
        """The rule as `data_prep` knows it."""
        return LabelDefinition(self.genes, self.rule, self.threshold_from)  # type: ignore[arg-type]


class InputSection(Section):
    """What the network sees."""

    sequences: Annotated[
        str | Annotated[tuple[str, ...], Field(strict=False)], AfterValidator(_sequences)
    ] = "all"
    slices: Annotated[int, Field(ge=1), AfterValidator(_odd)] = 1
    spacing_mm: Annotated[str | float, AfterValidator(_spacing)] = "native"
    normalisation: Annotated[str, _one_of("zscore", "none")] = "zscore"
    missing: Annotated[str, _one_of("drop", "zero", "mask")] = "mask"
    augmentation: Annotated[
        tuple[Annotated[str, _one_of(*AUGMENTATIONS)], ...], Field(strict=False), AfterValidator(_distinct)
    ] = AUGMENTATIONS


class ValidationSection(Section):
    """How trials are scored: participant-grouped folds."""

    folds: Annotated[int, Field(ge=2)] = 5
    repeats: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class TrainingSection(Section):
    """How a fold trains."""

    epochs: Annotated[int, Field(ge=1)] = 50
    early_stopping: Annotated[str, _one_of("inner", "none")] = "inner"
    patience: Annotated[int, Field(ge=1)] = 8
    precision: Annotated[str, _one_of(*PRECISIONS)] = "float32"
    xla: bool = False
    deterministic: bool = False

    @property
    def compute(self) -> ComputeSpec:
        """Precision and compiler as `models` knows them."""
        return ComputeSpec(self.precision, self.xla, self.deterministic)


class SearchSection(Section):
    """How the space is searched."""

    trials: Annotated[int, Field(ge=1)] = 30
    metric: Annotated[str, _one_of(*DIRECTIONS)] = "roc_auc"
    sampler: Annotated[str, _one_of("tpe", "random", "gp")] = "tpe"
    pruner: Annotated[str, _one_of("paired", "median", "none")] = "paired"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    trial_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    enqueue: Annotated[tuple[dict[str, str | int | float], ...], Field(strict=False)] = ()


class Study(Section):
    """One study, complete: what a study file and the command line resolve to."""

    name: str
    cohort: str | None = None
    label: LabelSection = LabelSection()
    input: InputSection = InputSection()
    validation: ValidationSection = ValidationSection()
    training: TrainingSection = TrainingSection()
    search: SearchSection = SearchSection()
    space: dict[str, Any]

    @property
    def parameters(self) -> Space:
        """The search space."""
        return read_space(self.space, "study", Problems())

    def to_json(self) -> str:
        """The study as the home keeps it and the child reads it."""
        return self.model_dump_json(indent=2)

    @classmethod
    def from_json(cls, text: str) -> Study:
        """The study that `to_json` wrote."""
        return cls.model_validate_json(text)


def read_study(path: Path, overrides: Sequence[str] = (), cohort: Path | None = None) -> Study:
    """Read a study file.

    Precedence: `cohort` and `overrides` from the command line, then the file, then the defaults.

    Args:
        path: The TOML file; a relative cohort in it starts at its folder.
        overrides: `section.key=value`, the value in TOML; a bare word is a string.
        cohort: A folder to use in place of the file's.

    Raises:
        InputError: Anything in it is wrong; all problems at once.
    """
    problems = Problems()
    table = _read_toml(path)
    for override in overrides:
        _override(table, override, problems)
    _resolve_cohort(table, path, cohort)
    study = _validated(table, path.name, problems)
    _check_label(study, path.name, problems)
    space = table.get("space")
    if isinstance(space, Mapping):
        _check_enqueued(study, read_space(space, path.name, problems), path.name, problems)
    problems.raise_any()
    if study is None:
        raise InputError(f"{path.name}: not a study")
    return study


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: a study file is needed, but it cannot be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: a study file is UTF-8 text, but byte {error.start} is not") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error


def _override(table: dict[str, Any], override: str, problems: Problems) -> None:
    """Set one `section.key=value` in the table."""
    keys, equals, text = override.partition("=")
    names = [name.strip() for name in keys.split(".")]
    if not equals or not all(names):
        problems.add("--set", f"section.key=value is needed, but got {override!r}")
        return
    place: Any = table
    for name in names[:-1]:
        place = place.setdefault(name, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        problems.add("--set", f"{keys} does not name a key of a table")
        return
    place[names[-1]] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _resolve_cohort(table: dict[str, Any], path: Path, cohort: Path | None) -> None:
    if cohort is not None:
        table["cohort"] = str(cohort.absolute())
    elif isinstance(table.get("cohort"), str):
        table["cohort"] = str((path.absolute().parent / Path(table["cohort"]).expanduser()).resolve())


def _validated(table: Mapping[str, Any], where: str, problems: Problems) -> Study | None:
    name = table.get("name")
    if isinstance(name, str) and not NAME.fullmatch(name):
        problems.add(f"{where}: name", f"letters, digits, '.', '_' and '-' make a name, but got {name!r}")
    if "cohort" not in table:
        problems.add(f"{where}: cohort", "a cohort is needed: name its folder here or with --cohort")
    try:
        return Study.model_validate(table)
    except ValidationError as error:
        for item in error.errors():
            problems.add(*_translated(item, where))
        return None


def _translated(item: Any, where: str) -> tuple[str, str]:
    """One pydantic error as place and problem in the house's words."""
    loc = [part for part in item["loc"] if not (isinstance(part, str) and "[" in part)]
    loc = [part for part in loc if part not in ("str", "float", "int")]
    place = f"{where}: {'.'.join(map(str, loc))}"
    value = item.get("input")
    if item["type"] == "extra_forbidden":
        return place, f"unknown key; {nearest(str(loc[-1]), _keys_beside(loc))}"
    if item["type"] == "missing":
        return place, "this key is needed, but it is absent"
    if item["type"] == "value_error":
        return place, str(item["ctx"]["error"])
    law = LAWS.get(item["type"]) or item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return place, f"must be {law}, but got {value!r}"


def _keys_beside(loc: Sequence[Any]) -> list[str]:
    section = Study.model_fields[loc[0]].annotation if len(loc) > 1 else Study
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, Section) else []


def _check_label(study: Study | None, where: str, problems: Problems) -> None:
    """Label rules are `data_prep`'s own; it says what is wrong with one."""
    if study is not None:
        try:
            _ = study.label.definition
        except InputError as error:
            for line in error.problems:
                problems.add(where, line)


def _check_enqueued(study: Study | None, space: Space, where: str, problems: Problems) -> None:
    for index, params in enumerate(study.search.enqueue if study else ()):
        check_params(space, params, f"{where}: search.enqueue[{index}]", problems)
