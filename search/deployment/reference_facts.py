"""The training patches of a fold as `model.json` has them: what places held out are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict

_STRICT: Final = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class ReferenceFacts:
    """The numbers of a `search.deployment.unlike.Reference` of C sequences.

    Attributes:
        known: Which sequences any biopsy has, as of `data_prep.fold_input.FoldInput`; shape (C,).
        location: As there, (C,).
        spread: As there, (C,).
        standard: As there, (C, landmarks).
        mean: As of `search.deployment.unlike.Gaussian`, (2 * C,).
        deviation: As there, (2 * C,).
        covariance: As there, (2 * C, 2 * C).
        cut: What is farther is unlike the training data.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    known: tuple[bool, ...]
    location: tuple[float, ...]
    spread: tuple[float, ...]
    standard: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    cut: float
