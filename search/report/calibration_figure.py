"""Calibration: how often biopsies given a probability were positive, and which probabilities were given.

References:
    Van Calster B et al. (2019), "Calibration: the Achilles heel of predictive analytics", BMC Med 17.
    Korn EL, Graubard BI (1998), "Confidence intervals for proportions with small expected number of positive
    counts estimated from survey data", Surv Methodol 24: the effective sample size of clustered biopsies.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit, logit

from search.figures import TICKS
from search.metrics import PROBABILITY_FLOOR, Ints
from search.report.style import (
    BLUE,
    FAINT,
    INK,
    NEGATIVE,
    POSITIVE,
    SMALL,
    Handles,
    add_legend,
    draw_on,
    plain_axes,
    write,
)
from search.statistics.predictions import Outputs

Z: Final = 1.959963984540054  # 97.5 % quantile of the normal distribution
MOST_BINS, PER_BIN = 8, 12
BARS: Final = 20


class Bin(NamedTuple):
    """The biopsies whose probabilities lie next to each other.

    Attributes:
        probability: Their mean.
        positive: Share of positives among them.
        low: Of the 95 % interval of that share.
        high: The same.
        biopsies: How many there are, mean over the repeats.
    """

    probability: float
    positive: float
    low: float
    high: float
    biopsies: float


def calibration_figure(outputs: Outputs, slope: float | None, intercept: float | None) -> Figure:
    """Share of positives by probability above, the probabilities of either class below.

    Args:
        outputs: Of one model or ensemble, held out.
        slope: Of the logit of the probability in a logistic model of the label; None where it has none.
        intercept: Of the same model.
    """
    figure = draw_on(6.2, "Calibration: share of positive biopsies by predicted probability", width=5.2)
    above = plain_axes(figure, left=0.62, bottom=2.05, right=0.12, top=0.14)
    below = plain_axes(figure, left=0.62, bottom=0.55, right=0.12, top=4.5)
    ends = float(outputs.probability.min()), float(outputs.probability.max())
    _draw_shares(above, reliability(outputs), ends, slope, intercept)
    _draw_counts(below, outputs)
    return figure


def reliability(outputs: Outputs) -> list[Bin]:
    """Bins of about as many biopsies each, at least 12 and at most 8 bins, equal probabilities together."""
    label, probability = outputs.label.ravel(), outputs.probability.ravel()
    repeats = len(outputs.label)
    participant = np.tile(outputs.participant, repeats)
    wanted = int(np.clip(outputs.label.shape[1] // PER_BIN, 1, MOST_BINS))
    edges = np.quantile(probability, np.linspace(0, 1, wanted + 1)[1:-1])
    place = np.searchsorted(edges, probability, side="right")
    bins = []
    for index in np.unique(place):
        rows = place == index
        low, high = share_interval(label[rows], participant[rows])
        mean, share = float(probability[rows].mean()), float(label[rows].mean())
        bins.append(Bin(mean, share, low, high, float(rows.sum() / repeats)))
    return bins


def share_interval(label: Ints, participant: Ints) -> tuple[float, float]:
    """95 % interval of the share of positives among biopsies of which several may be one participant's.

    Wilson's, for as many independent biopsies as have the variance of these, the participants being the
    independent units; a share of 0 or 1, which has no variance, counts each participant once.

    Args:
        label: 0 or 1, shape (n,).
        participant: Of each, shape (n,).
    """
    n, share = len(label), float(label.mean())
    people, index = np.unique(participant, return_inverse=True)
    excess = np.bincount(index, weights=label - share)
    clusters = len(people)
    variance = clusters / max(clusters - 1, 1) * float(np.sum(excess**2)) / n**2
    size = min(n, share * (1 - share) / variance) if variance > 0 else clusters
    size = max(size, 1.0)
    middle = (share + Z**2 / (2 * size)) / (1 + Z**2 / size)
    half = Z / (1 + Z**2 / size) * np.sqrt(share * (1 - share) / size + Z**2 / (4 * size**2))
    return max(middle - float(half), 0.0), min(middle + float(half), 1.0)


def _draw_shares(
    axes: Axes, bins: list[Bin], ends: tuple[float, float], slope: float | None, intercept: float | None
) -> None:
    """The diagonal, the fitted line between the ends, and each bin with its interval."""
    handles: Handles = {"perfect": axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=":")[0]}
    if slope is not None and intercept is not None:
        first, last = logit(np.clip(ends, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR))
        given = expit(np.linspace(first, last, 100))
        name = f"slope {slope:.2f}, intercept {intercept:+.2f}"
        line = expit(intercept + slope * logit(given))
        handles[name] = axes.plot(given, line, color=BLUE, linewidth=2)[0]
    x, y = np.array([b.probability for b in bins]), np.array([b.positive for b in bins])
    spread = np.clip([[b.positive - b.low for b in bins], [b.high - b.positive for b in bins]], 0, None)
    name = f"{len(bins)} bins, 95 % intervals" if len(bins) > 1 else "one bin, 95 % interval"
    handles[name] = axes.errorbar(x, y, spread, fmt="o", color=INK, markersize=6, linewidth=1.4)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xticks=TICKS, yticks=TICKS)
    axes.set_ylabel("Share of positive biopsies")
    axes.tick_params(labelbottom=False)
    add_legend(axes, handles, loc="upper left", frameon=True, framealpha=0.85, edgecolor="none")


def _draw_counts(axes: Axes, outputs: Outputs) -> None:
    """Positives upwards, negatives downwards; over several repeats, the mean number."""
    edges = np.linspace(0, 1, BARS + 1)
    repeats, width = len(outputs.label), 1 / BARS
    highest = 0.0
    for side, sign, colour in ((1, 1, POSITIVE), (0, -1, NEGATIVE)):
        given = outputs.probability[outputs.label == side]
        counts = np.histogram(np.clip(given, 0, 1), edges)[0] / repeats
        axes.bar(
            edges[:-1], sign * counts, width, align="edge", color=colour, edgecolor="white", linewidth=0.5
        )
        highest = max(highest, float(counts.max()))
    axes.axhline(0, color=INK, linewidth=0.8)
    limit = 1.15 * max(highest, 1.0)
    axes.set(xlim=(-0.01, 1.01), ylim=(-limit, limit), xticks=TICKS)
    axes.set(xlabel="Predicted probability", ylabel="Biopsies")
    ticks = _ticks(highest)
    axes.set_yticks([*[-t for t in ticks[:0:-1]], *ticks], [f"{t}" for t in [*ticks[:0:-1], *ticks]])
    across = axes.get_xaxis_transform()
    left = outputs.probability.mean() > 0.5
    place, side_of = (0.0, "left") if left else (1.0, "right")
    for text, height, colour in (("positive", 0.93, POSITIVE), ("negative", 0.07, "#2b7cb0")):
        write(
            axes, place, height, text, ha=side_of, va="center", color=colour, transform=across, fontsize=SMALL
        )


def _ticks(highest: float) -> list[int]:
    """Zero and a round number of biopsies."""
    top = max(int(highest), 1)
    size = 10 ** (len(str(top)) - 1)
    return [0, top // size * size]
