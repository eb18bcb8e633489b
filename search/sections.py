"""The tables of a study file: each a frozen record with defaults and laws of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from data_prep.inputs import MISSING
from data_prep.intensity import AUTO, METHODS
from data_prep.label_rules import COMBINATIONS, LabelDefinition
from data_prep.patch_set import MOST_SLICES, SLICE_MM, SPACING_MM
from data_prep.problems import nearest
from models.spec import PRECISIONS, ComputeSpec
from search.catalogue import Own
from search.domains import Value
from search.metrics import DIRECTIONS
from search.pseudonyms import ORIGINAL, PSEUDONYMS

# What each name of `input.augmentation` sets, unless the space says otherwise. Strengths: judgement.
AUGMENTATIONS: dict[str, dict[str, Value]] = {
    "flip": {"flip": True},
    "rotate": {"rotation": "quarter"},
    "rotate-free": {"rotation": "free"},
    "jitter": {"jitter": 1.0},
    "intensity": {"intensity_scale": 0.1, "intensity_shift": 0.1},
    "channel-dropout": {"channel_dropout": 0.1},
}

# How the result of a search is chosen among its trials, the default first (search.statistics.selection).
SELECTIONS = ("rank-average", "one-se", "argmax")


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


def _one_rotation(values: tuple[str, ...]) -> tuple[str, ...]:
    if {"rotate", "rotate-free"} <= set(values):
        raise ValueError("'rotate' (quarter turns) or 'rotate-free' is needed, not both")
    return values


def _flat(table: Any) -> Any:
    """Nested tables as dotted names: `mine.width = 16` in an inline table means "mine.width"."""
    if not isinstance(table, Mapping):
        return table
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": deep for inner, deep in _flat(value).items()}
        else:
            flat[name] = value
    return flat


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values) or not all(values):
        raise ValueError(f"names must differ and not be empty, but got {list(values)}")
    return values


def _sequences(value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if value == "all" or (isinstance(value, tuple) and value and len(set(value)) == len(value)):
        return value
    raise ValueError(f'must be "all" or a list of different sequences, but got {value!r}')


def _methods(value: str | dict[str, str]) -> str | dict[str, str]:
    named = list(value.values()) if isinstance(value, Mapping) else [value]
    if not named:
        raise ValueError("a table needs a sequence at least, but got {}")
    for method in named:
        if method not in (AUTO, *METHODS):
            raise ValueError(f"unknown name {method!r}; {nearest(method, (AUTO, *METHODS))}")
    return value


def _millimetres(limits: tuple[float, float]) -> AfterValidator:
    def check(value: str | float) -> str | float:
        low, high = limits
        if value == "native" or (not isinstance(value, str) and low <= value <= high):
            return value
        raise ValueError(f'{low:g} to {high:g} mm are possible, or "native", but got {value!r}')

    return AfterValidator(check)


Params = Annotated[dict[str, bool | int | float | str], BeforeValidator(_flat)]


class LabelSection(Section):
    """What is predicted."""

    genes: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_distinct)] = ("CD3D",)
    column: Annotated[str, Field(min_length=1)] | None = None
    combine: Annotated[str, _one_of(*COMBINATIONS)] = COMBINATIONS[0]
    rule: str = "above-median"
    threshold_from: Annotated[str, _one_of("cohort", "training")] = "cohort"

    @property
    def definition(self) -> LabelDefinition:
        """The rule as `data_prep` knows it."""
        source: Literal["cohort", "training"] = "training" if self.threshold_from == "training" else "cohort"
        return LabelDefinition(self.genes, self.rule, source, self.column, self.combine)

    @model_validator(mode="before")
    @classmethod
    def _column_for_genes(cls, table: Any) -> Any:
        """A column stands in place of the default gene."""
        if isinstance(table, Mapping) and table.get("column") is not None and "genes" not in table:
            return {**table, "genes": ()}
        return table


class InputSection(Section):
    """What the network sees."""

    sequences: Annotated[
        str | Annotated[tuple[str, ...], Field(strict=False)], AfterValidator(_sequences)
    ] = "all"
    slices: Annotated[int, Field(ge=1, le=MOST_SLICES), AfterValidator(_odd)] = 1
    slice_mm: Annotated[str | float, _millimetres(SLICE_MM)] = "native"
    spacing_mm: Annotated[str | float, _millimetres(SPACING_MM)] = "native"
    resample_to: Annotated[str, Field(min_length=1)] | None = None
    normalisation: Annotated[str | dict[str, str], AfterValidator(_methods)] = AUTO
    missing: Annotated[str, _one_of(*MISSING)] = "mask"
    repeats: Annotated[str, _one_of("ignore", "augment")] = "ignore"
    augmentation: Annotated[
        tuple[Annotated[str, _one_of(*AUGMENTATIONS)], ...],
        Field(strict=False),
        AfterValidator(_distinct),
        AfterValidator(_one_rotation),
    ] = ("flip", "rotate", "jitter")
    registration_sd_mm: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.5

    @model_validator(mode="after")
    def _slices_apart(self) -> Self:
        if self.slice_mm != "native" and self.slices == 1:
            raise ValueError("`slice_mm` is the distance of several slices, but slices = 1")
        return self

    @property
    def augmented(self) -> dict[str, Value]:
        """The settings that the names of `augmentation` stand for."""
        return {key: value for name in self.augmentation for key, value in AUGMENTATIONS[name].items()}


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
    selection: Annotated[str, _one_of(*SELECTIONS)] = SELECTIONS[0]
    top: Annotated[int, Field(ge=1)] | None = None
    trial_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    enqueue: Annotated[tuple[Params, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _top_of_several(self) -> Self:
        if self.top is not None and self.selection != SELECTIONS[0]:
            raise ValueError(f"`top` is of selection '{SELECTIONS[0]}', but that is '{self.selection}'")
        return self


class TrackingSection(Section):
    """What of the cohort MLflow and the dashboard may show."""

    identifiers: Annotated[str, _one_of(PSEUDONYMS, ORIGINAL)] = PSEUDONYMS


class ArchitectureSection(Section):
    """An architecture of the user's own: a function, or a KerasTuner hypermodel."""

    function: str | None = None
    hypermodel: str | None = None
    smallest_radius: Annotated[int, Field(ge=1)] = 1
    arguments: dict[str, bool | int | float | str] = Field(default_factory=dict)
    fixed: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.function is None) == (self.hypermodel is None):
            raise ValueError("either `function` or `hypermodel` is needed")
        if self.function is not None and (self.arguments or self.fixed):
            raise ValueError("`arguments` and `fixed` belong to a hypermodel, but this is a function")
        source = self.function or self.hypermodel or ""
        module, _, name = source.rpartition(":")
        if not (module and name.isidentifier()):
            raise ValueError(f'"file.py:name" or "package.module:name" is needed, but got "{source}"')
        return self

    @property
    def own(self) -> Own:
        """The architecture as the catalogue has it."""
        kind = "function" if self.function else "hypermodel"
        source = self.function or self.hypermodel or ""
        return Own(kind, source, self.smallest_radius, self.arguments, self.fixed)
