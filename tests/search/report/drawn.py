"""What the tests of the figures share: outputs by hand, and what can be read back from a drawn figure."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from search.statistics.predictions import Outputs

HREF = "{http://www.w3.org/1999/xlink}href"
ODD = '<b>&"$x$ ' + "w" * 60


def outputs_of(n: int = 150, people: int = 45, repeats: int = 1, folds: int = 5, seed: int = 0) -> Outputs:
    """Biopsies with some signal, participants whole in their folds."""
    rng = np.random.default_rng(seed)
    participant = np.sort(np.concatenate([np.arange(people), rng.integers(0, people, n - people)]))
    label = (rng.normal(size=n) + 0.5 * rng.normal(size=people)[participant] > 0).astype(np.int64)
    fold = np.stack([rng.permutation(np.arange(people) % folds)[participant] for _ in range(repeats)])
    probability = 1 / (1 + np.exp(-(label - 0.5) - rng.normal(size=(repeats, n))))
    predicted = (probability > 0.5).astype(np.int64)
    return Outputs(np.tile(label, (repeats, 1)), participant, fold, probability, probability, predicted)


def constant(outputs: Outputs, probability: float = 0.47) -> Outputs:
    """The same biopsies, all given one probability."""
    given = np.full(outputs.probability.shape, probability)
    return Outputs(
        outputs.label, outputs.participant, outputs.fold, given, given, np.zeros_like(outputs.label)
    )


def of_one_class(outputs: Outputs) -> Outputs:
    """The same, every biopsy positive."""
    label = np.ones_like(outputs.label)
    return Outputs(
        label,
        outputs.participant,
        outputs.fold,
        outputs.score,
        outputs.probability,
        outputs.predicted,
    )


def shuffled(outputs: Outputs, order: np.ndarray) -> Outputs:
    """The same biopsies in another order."""
    return Outputs(
        outputs.label[:, order],
        outputs.participant[order],
        outputs.fold[:, order],
        outputs.score[:, order],
        outputs.probability[:, order],
        outputs.predicted[:, order],
    )


def texts(figure: Figure) -> list[str]:
    """Every text that the figure shows."""
    return [text.get_text() for text, _ in _boxes(figure)]


def outside(figure: Figure) -> list[str]:
    """The texts that reach beyond the canvas by more than a pixel."""
    width, height = figure.bbox.width, figure.bbox.height
    return [
        text.get_text()
        for text, box in _boxes(figure)
        if min(box.x0, box.y0) < -1 or box.x1 > width + 1 or box.y1 > height + 1
    ]


def overlapping(figure: Figure) -> list[tuple[str, str]]:
    """The pairs of texts that are written over each other."""
    boxes = [(text.get_text(), box.padded(-1.5)) for text, box in _boxes(figure)]
    return [
        (one, other)
        for index, (one, first) in enumerate(boxes)
        for other, second in boxes[:index]
        if Bbox.intersection(first, second) is not None
    ]


def _boxes(figure: Figure) -> list[tuple[Text, Bbox]]:
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    ticks = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _labels(axis)}
    drawn = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _in_view(axis)}
    kept = [text for text in found if text not in ticks or text in drawn]
    return [(text, text.get_window_extent(renderer)) for text in kept]


def _labels(axis):
    return [label for tick in (*axis.majorTicks, *axis.minorTicks) for label in (tick.label1, tick.label2)]


def _in_view(axis):
    """The tick labels that are drawn: not those of axes that are off, nor beyond their ends."""
    if not axis.axes.axison:
        return []
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    return [
        label
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
        if low - slack <= tick.get_loc() <= high + slack
    ]


def check_svg(markup: str) -> ElementTree.Element:
    """The parsed markup, which must be whole, of unique ids, and name nothing but itself."""
    root = ElementTree.fromstring(markup)  # noqa: S314 - of our own making
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(set(ids)) == len(ids)
    named = re.findall(r"url\(#([^)]+)\)", markup)
    named += [element.attrib[HREF][1:] for element in root.iter() if HREF in element.attrib]
    assert set(named) <= set(ids)
    assert not re.search(r"""(href|src)=["'](?!#|data:)|url\((?!#)|@import|<script""", markup)
    return root
