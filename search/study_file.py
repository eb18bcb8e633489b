"""Study files: TOML read into one frozen record, every problem of it reported at once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from data_prep.plain_files import MAX_SETTINGS_BYTES, check_values, load_toml, parse_toml, read_text
from data_prep.problems import InputError, Problems, nearest
from search.catalogue import Catalogue, file_hash
from search.domains import Choice, largest
from search.known import KNOWN
from search.paths import PRETRAINED, absolute, resolve_files
from search.sections import (
    ArchitectureSection,
    InputSection,
    LabelSection,
    SearchSection,
    Section,
    TrackingSection,
    TrainingSection,
    ValidationSection,
)
from search.space import Space, check_params, read_space

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # it names folders too


LAWS = {  # pydantic's types of error, in the words of a study file
    "tuple_type": "a list",
    "too_short": "a list that is not empty",
    "model_type": "a table",
    "dict_type": "a table",
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "string_too_short": "text that is not empty",
}


class Study(Section):
    """One study, complete: what a study file and the command line resolve to."""

    name: str
    cohort: str | None = None
    label: LabelSection = LabelSection()
    input: InputSection = InputSection()
    validation: ValidationSection = ValidationSection()
    training: TrainingSection = TrainingSection()
    search: SearchSection = SearchSection()
    tracking: TrackingSection = TrackingSection()
    architectures: dict[str, ArchitectureSection] = Field(default_factory=dict)
    space: dict[str, Any]

    @property
    def catalogue(self) -> Catalogue:
        """The architectures that the study can name."""
        return Catalogue({name: section.own for name, section in self.architectures.items()})

    @property
    def defaults(self) -> dict[str, Any]:
        """What a trial's settings are where the space does not name them, and it differs from everyone's."""
        return dict(self.input.augmented)

    @cached_property
    def parameters(self) -> Space:
        """The search space."""
        return read_space(self.space, "study", Problems(), self.catalogue, self.defaults)

    @property
    def files(self) -> dict[str, str | None]:
        """sha256 of each file that the study names besides its cohort, by what names it; None for no file."""
        own = {f"architectures.{name}": o.hash for name, o in self.catalogue.own.items() if o.file}
        weights = self.parameters.domain("weights")
        named = weights.options if isinstance(weights, Choice) else ()
        return own | {f"weights.{n}": file_hash(Path(str(n))) for n in named if n not in PRETRAINED}

    @property
    def files_hash(self) -> str:
        """One hash over `files`."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()

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
    resolve_files(table, path.absolute().parent)
    study = _validated(table, path.name, problems)
    _check_label(study, path.name, problems)
    _check_files(study, path.name, problems)
    space = table.get("space")
    if isinstance(space, Mapping):
        catalogue, defaults = (study.catalogue, study.defaults) if study else (None, None)
        read = read_space(space, path.name, problems, catalogue, defaults)
        _check_enqueued(study, read, path.name, problems)
        if study is not None:
            _check_use(study, read, path.name, problems)
    problems.raise_any()
    if study is None:
        raise InputError(f"{path.name}: not a study")
    return study


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return parse_toml(read_text(path, MAX_SETTINGS_BYTES))
    except OSError as error:
        raise InputError(
            f"{path}: a study file is needed, but it cannot be read: {error.strerror}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: a study file is UTF-8 text, but byte {error.start} is not") from error
    except ValueError as error:
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
    try:
        check_values(table)
    except ValueError as error:
        problems.add("--set", str(error))
        del place[names[-1]]


def _toml_value(text: str) -> Any:
    try:
        return load_toml(f"value = {text}")["value"]
    except ValueError:  # not TOML, or more of it than can be read
        return text


def _resolve_cohort(table: dict[str, Any], path: Path, cohort: Path | None) -> None:
    if cohort is not None:
        table["cohort"] = str(cohort.absolute())
    elif isinstance(table.get("cohort"), str):
        table["cohort"] = absolute(table["cohort"], path.absolute().parent)


def _check_files(study: Study | None, where: str, problems: Problems) -> None:
    """Names of the study's own architectures must be free, and their files must be there."""
    for name, section in (study.architectures if study else {}).items():
        here = f"{where}: architectures.{name}"
        if not NAME.fullmatch(name) or "." in name or name in Catalogue().names or name in KNOWN:
            problems.add(here, "a name of letters, digits, '_' and '-' that is not taken is needed")
        file = section.own.file
        if file is not None and not file.is_file():
            problems.add(here, f"a file is needed, but there is none: {file}")


def _validated(table: Mapping[str, Any], where: str, problems: Problems) -> Study | None:
    name = table.get("name")
    if isinstance(name, str) and not NAME.fullmatch(name):
        problems.add(f"{where}: name", f"100 letters, digits, '.', '_' and '-' make a name, but got {name!r}")
    if "cohort" not in table:
        problems.add(f"{where}: cohort", "a cohort is needed: name its folder here or with --cohort")
    try:
        return Study.model_validate(table)
    except ValidationError as error:
        seen = set()
        for item in error.errors():
            place, law = _translated(item, where)
            if place not in seen:  # a value of several legal types has a line for each
                problems.add(place, law)
            seen.add(place)
        return None


def _translated(item: Any, where: str) -> tuple[str, str]:
    """One pydantic error as place and problem in the house's words."""
    if item["type"] == "extra_forbidden":  # its key is the user's own, whatever it looks like
        keys = list(item["loc"])
        return (
            f"{where}: {'.'.join(map(str, keys))}",
            f"unknown key; {nearest(str(keys[-1]), _keys_beside(keys))}",
        )
    loc = [part for part in item["loc"] if not (isinstance(part, str) and "[" in part)]
    several = loc[-1:] == ["bool"]  # the first of the scalar types
    loc = [part for part in loc if part not in ("str", "float", "int", "bool")]
    place = f"{where}: {'.'.join(map(str, loc))}"
    value = item.get("input")
    if item["type"] == "missing":
        return place, "this key is needed, but it is absent"
    if item["type"] == "value_error":
        return place, str(item["ctx"]["error"])
    if several:
        return place, f"must be a name, a number, or true or false, but got {value!r}"
    law = LAWS.get(item["type"]) or item["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return place, f"must be {law}, but got {value!r}"


def _keys_beside(loc: Sequence[Any]) -> list[str]:
    section = Study.model_fields[loc[0]].annotation if len(loc) > 1 else Study
    section = ArchitectureSection if loc[0] == "architectures" else section
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


def _check_use(study: Study, space: Space, where: str, problems: Problems) -> None:
    """Settings that would do nothing with this label and these architectures."""
    networks = any("network" in space.catalogue.traits(name) for name in space.architectures)
    if study.input.repeats == "augment" and not networks:
        problems.add(f"{where}: input.repeats", "'augment' is for networks, but the space offers none")
    smoothing = space.domain("label_smoothing")
    if _learns_values(study) and largest(smoothing) != 0:
        problems.add(
            f"{where}: space.label_smoothing",
            f"only labels can be smoothed, but rule '{study.label.rule}' learns values",
        )


def _learns_values(study: Study) -> bool:
    """Whether the label is a legal one that is learned by regression."""
    try:
        return study.label.definition.is_regression
    except InputError:
        return False
