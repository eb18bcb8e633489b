"""How good a map is: its correlation with what was planted, beside the best that any map could reach.

Compared is the logit of the probability: the best posterior is a normal probability of a score that is linear
in the field's posterior mean, which the logit all but undoes, whereas a probability flattens towards 0 and 1.
The correlation of the probability itself stands beside it in the record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table
from scipy.special import logit

from data_prep.arrays import BoolArray, DoubleArray, FloatArray
from data_prep.geometry import Grid
from data_prep.patch_set import PatchRequest
from data_prep.phantom.map_bound import Reach
from data_prep.phantom.map_truth import Truth
from data_prep.problems import InputError
from search.maps.surrogates import (
    SURROGATES,
    correlation_length,
    effective_size,
    standardised,
    surrogate_p,
    thinned,
)
from search.tables import number

_SURE: Final = 1e-6  # probabilities count as no surer; single precision ends at 6e-8
_MOST: Final = 1 - 1e-9  # correlations count as no larger, so that their mean stays finite
_FEWEST: Final = 3  # voxels that have a correlation
_CLAIM: Final = 0.05


class Mapped(Protocol):
    """A map as `search.maps.drawing.Drawn` has it, canonical."""

    @property
    def labels(self) -> tuple[str, ...]:
        """K names."""

    @property
    def grid(self) -> Grid:
        """Whose voxels these are."""

    @property
    def region(self) -> BoolArray:
        """Where there is a map, shape (x, y, z)."""

    @property
    def probability(self) -> FloatArray:
        """Of each label, shape (x, y, z, K)."""


@dataclass(frozen=True)
class MapScore:
    """How well the map of one participant and label follows the truth.

    Attributes:
        participant: Whose map.
        label: Of what.
        correlation: Pearson's, of the logit of the probability; 0 of a map that is the same everywhere.
        of_probability: The same of the probability itself.
        p_value: By `surrogates` draws of the truth, in either direction.
        surrogates: How many.
        n_eff: To how many independent places the region amounts, at the planted correlation length.
        length_mm: The map's own correlation length; None where it cannot be told.
        own_n_eff: The effective size at that length.
        voxels: Compared.
        bound: The largest correlation that a map of such patches can have, over many voxels; None of a null
            phantom, and where the patch was not named.
    """

    participant: str
    label: str
    correlation: float
    of_probability: float
    p_value: float
    surrogates: int
    n_eff: float
    length_mm: float | None
    own_n_eff: float | None
    voxels: int
    bound: float | None


@dataclass(frozen=True)
class MapsScore:
    """How well the maps of several participants follow the truth.

    Attributes:
        label: Of what.
        mean: Of their correlations, by Fisher's transformation.
        se: Its standard error, from the participants' spread; None of one.
        bound: The mean of their bounds, likewise; None where one has none.
        ratio: The mean over the bound.
        ratio_se: Its standard error.
        significant: How many maps have a p-value of 5 % or less.
        scores: Of each participant.
    """

    label: str
    mean: float
    se: float | None
    bound: float | None
    ratio: float | None
    ratio_se: float | None
    significant: int
    scores: tuple[MapScore, ...]

    @property
    def is_nothing(self) -> bool | None:
        """Whether the mean lies within two standard errors of 0; None of one participant."""
        return None if self.se is None else abs(self.mean) <= 2 * self.se

    def as_json(self) -> dict[str, Any]:
        """The record as a document, with the numbers of each participant."""
        return asdict(self) | {
            "participants": len(self.scores),
            "within_two_se_of_zero": self.is_nothing,
            "scores": [asdict(score) for score in self.scores],
        }


def reach_of(request: PatchRequest, grid: Grid) -> Reach:
    """What patches of a request hold around a voxel of a grid."""
    x, y, z = grid.voxel_size.tolist()
    across = request.slice_mm or request.spacing_mm or z
    return Reach(request.radius * (request.spacing_mm or max(x, y)), request.slices // 2 * across)


def score_map(
    truth: Truth, participant: str, drawn: Mapped, label: int = 0, request: PatchRequest | None = None
) -> MapScore:
    """Hold a participant's map against the truth, where both are known.

    Args:
        truth: Of the phantom.
        participant: Their id.
        drawn: The map.
        label: Which of its labels.
        request: The patches of the model, at the largest radius that any member reads; for the bound.

    Raises:
        InputError: As `Truth.field`, or map and truth share fewer than three voxels.
    """
    planted, probability = truth.field(participant, drawn.grid), drawn.probability[..., label]
    known = drawn.region & np.isfinite(probability) & np.isfinite(planted)
    voxels, edges = int(known.sum()), drawn.grid.voxel_size
    if voxels < _FEWEST:
        raise InputError(
            f"{truth.folder}: a map must share {_FEWEST} voxels or more with the truth, but that of "
            f"{participant} shares {voxels}. Is it that of another cohort?"
        )
    score = _logit(np.where(known, probability, 0.5))
    near, length = thinned(known, edges, truth.length_mm), correlation_length(score, known, edges)
    volume = voxels * float(edges.prod())
    rng = np.random.default_rng(0)  # the same map has the same p-value
    return MapScore(
        participant=participant,
        label=drawn.labels[label],
        correlation=pearson(score[known], planted[known]),
        of_probability=pearson(probability[known], planted[known]),
        p_value=surrogate_p(score, planted, near, truth.alike, rng),
        surrogates=SURROGATES,
        n_eff=effective_size(volume, truth.length_mm),
        length_mm=length,
        own_n_eff=None if length is None else effective_size(volume, length),
        voxels=voxels,
        bound=None if request is None else truth.bound(participant, reach_of(request, drawn.grid)),
    )


def score_labels(truth: Truth, participant: str, drawn: Mapped, request: PatchRequest) -> list[MapScore]:
    """`score_map` of each label that follows what was planted."""
    return [
        score_map(truth, participant, drawn, number, request)
        for number, label in enumerate(drawn.labels)
        if truth.is_followed_by(label)
    ]


def summarise(scores: Sequence[MapScore]) -> MapsScore:
    """The mean over participants, one or more, of one label."""
    mean, se = fisher_mean([score.correlation for score in scores])
    bounds = [score.bound for score in scores if score.bound is not None]
    bound = fisher_mean(bounds)[0] if len(bounds) == len(scores) else None
    return MapsScore(
        label=scores[0].label,
        mean=mean,
        se=se,
        bound=bound,
        ratio=None if bound is None else mean / bound,
        ratio_se=None if bound is None or se is None else se / bound,
        significant=sum(score.p_value <= _CLAIM for score in scores),
        scores=tuple(scores),
    )


def pearson(one: FloatArray | DoubleArray, other: FloatArray | DoubleArray) -> float:
    """Pearson's correlation in double precision; 0 where one of the two does not vary."""
    return float(np.clip(standardised(one) @ standardised(other), -1, 1))


def fisher_mean(correlations: Sequence[float]) -> tuple[float, float | None]:
    """Mean of correlations, `tanh` of the mean `artanh`, and its standard error by the delta method.

    >>> fisher_mean([0.5, 0.5])
    (0.5, 0.0)
    """
    z = np.arctanh(np.clip(correlations, -_MOST, _MOST))
    mean = float(np.tanh(z.mean()))
    if len(z) < 2:
        return round(mean, 12), None
    return round(mean, 12), float((1 - mean**2) * z.std(ddof=1) / len(z) ** 0.5)


def _logit(probability: FloatArray) -> DoubleArray:
    clipped = np.clip(probability.astype(np.float64), _SURE, 1 - _SURE)
    return np.asarray(logit(clipped), np.float64)


def scores_table(found: MapsScore) -> Table:
    """A row a participant, and one of their mean."""
    table = Table(
        title=f"{found.label}: maps against what was planted",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        caption=_caption(found),
        caption_justify="left",
        show_footer=len(found.scores) > 1,
    )
    margin = "" if found.se is None else f" +- {2 * found.se:.3f}"
    table.add_column("participant", footer="mean +- 2 SE", no_wrap=True)
    table.add_column("correlation", footer=f"{found.mean:.3f}{margin}", justify="right", no_wrap=True)
    table.add_column("bound", footer=number(found.bound), justify="right")
    table.add_column("p", justify="right")
    table.add_column("n_eff", justify="right")
    table.add_column("voxels", justify="right")
    for score in found.scores:
        table.add_row(
            score.participant,
            number(score.correlation),
            number(score.bound),
            number(score.p_value),
            f"{score.n_eff:.1f}",
            f"{score.voxels:,}",
        )
    return table


def _caption(found: MapsScore) -> str:
    draws, maps = found.scores[0].surrogates, len(found.scores)
    lines = [
        f"p by {draws} draws of the truth: 5 % or less in {found.significant} of {maps}; n_eff at the "
        "planted correlation length."
    ]
    if found.ratio is not None:
        margin = "" if found.ratio_se is None else f" +- {2 * found.ratio_se:.2f} (2 SE)"
        lines.append(f"Of the best that patches of this size allow: {found.ratio:.2f}{margin}.")
    elif found.is_nothing is not None:
        lines.append(f"The mean is {'' if found.is_nothing else 'not '}within two standard errors of 0.")
    return " ".join(lines)
