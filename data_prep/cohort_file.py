"""`cohort.toml`: where a cohort keeps its tables and images.

Links inside the cohort's folder are followed, those that lead out of it only with `follow_links = true` (see
`data_prep.places`).
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_prep.places import is_plain_name
from data_prep.plain_files import MAX_SETTINGS_BYTES, parse_toml, read_text
from data_prep.problems import InputError, Problems, nearest

FILE_NAME = "cohort.toml"
IMAGE_SUFFIXES = (".nii", ".nii.gz")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Coordinates(_Section):
    """How x, y, z of biopsies.tsv are meant.

    Attributes:
        space: "voxel": 0-based indices into the file as stored, halves allowed; "world": millimetres.
        convention: Of world coordinates: "RAS" (NIfTI) or "LPS" (DICOM, ITK, navigation systems).
    """

    space: Literal["voxel", "world"]
    convention: Literal["RAS", "LPS"] = "RAS"


class Masks(_Section):
    """Path templates of the masks; a mask is true where it is not zero."""

    brain: str | None = Field(default=None, min_length=1)
    tumor: str | None = Field(default=None, min_length=1)


class Repeats(_Section):
    """Path template of the same sites scanned again."""

    images: str = Field(min_length=1)


class CohortFile(_Section):
    """The content of a cohort.toml, checked but for what only the tables can tell.

    Attributes:
        name: Of the cohort.
        images: Path template: placeholders are columns of the biopsy table, and {sequence}.
        sequences: Names of the MR sequences, in channel order.
        biopsies: Path of the biopsy table.
        expression: Path of the expression table, None where there is none.
        coordinates: How positions are meant.
        masks: Path templates.
        repeats: Path template of the same sites scanned again.
        quantitative: The sequences whose intensities are in units of their own (FA, MD in mm2/s), so that one
            image may be compared with another's as they are; None for those that usually are, by their names
            (`data_prep.intensity.QUANTITATIVE`).
        follow_links: Whether a link may lead out of the cohort's folder.
    """

    name: str = Field(min_length=1)
    images: str = Field(min_length=1)
    sequences: tuple[str, ...] = Field(min_length=1, strict=False)
    biopsies: str = Field(min_length=1)
    expression: str | None = Field(default=None, min_length=1)
    coordinates: Coordinates
    masks: Masks = Masks()
    repeats: Repeats | None = None
    quantitative: tuple[str, ...] | None = Field(default=None, strict=False)
    follow_links: bool = False

    def templates(self) -> Iterator[tuple[str, str]]:
        """Key and text of every path template."""
        yield "images", self.images
        for mask in Masks.model_fields:
            if (template := getattr(self.masks, mask)) is not None:
                yield f"masks.{mask}", template
        if self.repeats is not None:
            yield "repeats.images", self.repeats.images


def read_cohort_file(path: Path) -> CohortFile:
    """Read and check a cohort.toml.

    Raises:
        InputError: One line for each key that is unknown, missing or has an illegal value.
    """
    try:
        content = parse_toml(read_text(path, MAX_SETTINGS_BYTES))
    except ValueError as error:
        raise InputError(f"{path.name}: TOML is needed, but got: {error}.") from error
    except OSError as error:
        raise InputError(f"{path}: the file must be readable, but got '{error.strerror}'.") from error
    problems = Problems()
    try:
        cohort = CohortFile.model_validate(content)
    except ValidationError as error:
        for detail in error.errors():
            _note(path.name, detail, problems)
        problems.raise_any()
        raise
    _check_values(path.name, cohort, content, problems)
    problems.raise_any()
    return cohort


def placeholders(template: str) -> tuple[str, ...]:
    """Names between the braces of a path template.

    Raises:
        InputError: The braces do not match, or hold anything but a plain name.

    >>> placeholders("{participant_id}/{sequence}.nii.gz")
    ('participant_id', 'sequence')
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"braces must hold a column name, but got '{template}': {error}.") from error
    names = [part for part in parts if part[1] is not None]
    for _, name, spec, conversion in names:
        if not name or spec or conversion or any(mark in name for mark in "[].") or name.isdigit():
            raise InputError(f"braces must hold a column name and nothing else, but got '{template}'.")
    return tuple(str(part[1]) for part in names)


def _note(file: str, detail: Any, problems: Problems) -> None:
    """Put one pydantic error in the words of the house."""
    location = [str(part) for part in detail["loc"]]
    where = f"{file}: {'.'.join(location)}"
    if detail["type"] == "extra_forbidden":
        hint = nearest(location[-1], _known_keys(location[:-1]))
        problems.add(where, f"unknown key '{location[-1]}'; {hint}.")
    elif detail["type"] == "missing":
        problems.add(where, "the key is required, but missing.")
    elif detail["type"] == "literal_error":
        problems.add(where, f"must be {detail['ctx']['expected']}, but got '{detail['input']}'.")
    elif detail["type"].endswith("too_short"):
        problems.add(where, f"must not be empty, but got {detail['input']!r}.")
    elif detail["type"] == "model_type":
        problems.add(where, f"a table [{'.'.join(location)}] is needed, but got {detail['input']!r}.")
    else:
        rule = detail["msg"].removeprefix("Input ").replace("tuple", "list")
        problems.add(where, f"{rule}, but got {detail['input']!r}.")


def _known_keys(location: Sequence[str]) -> list[str]:
    model: type[BaseModel] = CohortFile
    for part in location:
        annotation = model.model_fields[part].annotation
        candidates = (annotation, *get_args(annotation))
        model = next(kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)


def _check_values(file: str, cohort: CohortFile, content: Mapping[str, Any], problems: Problems) -> None:
    if cohort.coordinates.space == "voxel" and "convention" in content["coordinates"]:
        problems.add(
            f"{file}: coordinates.convention", "has a meaning only where space = 'world'. Remove it."
        )
    for key in ("name", "biopsies", "expression"):
        _check_printable(f"{file}: {key}", getattr(cohort, key) or "", problems)
    repeated = {name for name, times in Counter(cohort.sequences).items() if times > 1}
    for name in cohort.sequences:
        if name in repeated:
            problems.add(f"{file}: sequences", f"names must be unique, but got '{name}' repeatedly.")
        if not is_plain_name(name) or set("[]") & set(name):
            problems.add(
                f"{file}: sequences", f"plain names are needed, without / or brackets, but got '{name}'."
            )
    for name in cohort.quantitative or ():
        if name not in cohort.sequences:
            problems.add(
                f"{file}: quantitative", f"unknown sequence '{name}'; {nearest(name, cohort.sequences)}."
            )
    for key, template in cohort.templates():
        many = len(cohort.sequences) > 1 and key.endswith("images")
        _check_template(f"{file}: {key}", template, many, problems)


def _check_printable(where: str, text: str, problems: Problems) -> None:
    if not text.isprintable():
        problems.add(where, f"plain text is needed, without control characters, but got '{text}'.")


def _check_template(where: str, template: str, many: bool, problems: Problems) -> None:
    _check_printable(where, template, problems)
    if not template.endswith(IMAGE_SUFFIXES):
        problems.add(where, f"must end in {' or '.join(IMAGE_SUFFIXES)}, but got '{template}'.")
    try:
        names = placeholders(template)
    except InputError as error:
        problems.add(where, str(error))
        return
    if many and "sequence" not in names:
        problems.add(where, f"'{{sequence}}' must tell the sequences apart, but got '{template}'.")
