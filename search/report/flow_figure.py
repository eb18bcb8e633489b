"""How the biopsies of the cohort came to be analysed, as a flow diagram.

References:
    Bossuyt PM et al. (2015), "STARD 2015", BMJ 351: the diagram of the flow of participants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from search.report.phrases import counted
from search.report.style import FAINT, WIDTH, bare_axes, draw_on, fitted, printable, text_width, write

# In inches.
LINE: Final = 0.2
PAD, GAP, MARGIN = 0.11, 0.34, 0.06
MAIN: Final = 2.5  # width of the boxes of the left column
HALF: Final = (MAIN - 2 * PAD) / 2  # and of one of two beside each other
CENTRE: Final = MARGIN + MAIN / 2
ASIDE: Final = MARGIN + MAIN + 0.16  # where the right column begins


@dataclass(frozen=True)
class Flow:
    """What became of the biopsies of a cohort.

    Attributes:
        biopsies: In the cohort.
        participants: In the cohort; None where that is not known.
        excluded: Biopsies left out, by reason.
        analysed: Biopsies that every trial is scored on.
        analysed_participants: Their participants.
        positive: Analysed biopsies with label 1.
        negative: With label 0.
        folds: In which they are held out.
        repeats: How many tables of folds.
        rule: What makes a biopsy positive, such as "CD3D above 1.03 TPM"; may be left out.
    """

    biopsies: int
    participants: int | None
    excluded: Mapping[str, int]
    analysed: int
    analysed_participants: int
    positive: int
    negative: int
    folds: int
    repeats: int = 1
    rule: str = ""


def flow_figure(counts: Flow) -> Figure:
    """Cohort, left out by reason, analysed, positive and negative, folds: boxes from top to bottom."""
    boxes = (
        ["In the cohort", *_people(counts.biopsies, counts.participants)],
        ["Analysed", *_people(counts.analysed, counts.analysed_participants)],
        ["Positive", counted(counts.positive, "biopsy")],
        ["Held out by participant", _folds(counts)],
    )
    gone, rule = _left_out(counts), _wrapped(counts.rule) if counts.rule else []
    cohort = MARGIN
    aside = cohort + _height(boxes[0]) + GAP / 2
    analysed = max(cohort + _height(boxes[0]) + GAP, aside + _height(gone) + GAP / 2)
    classes = analysed + _height(boxes[1]) + GAP
    folds = classes + max(_height(boxes[2]) + GAP, LINE * len(rule) + 0.1)
    figure = draw_on(
        folds + _height(boxes[3]) + MARGIN, "Flow of biopsies and participants through the study"
    )
    axes = bare_axes(figure)
    for top, box in zip((cohort, analysed, folds), (boxes[0], boxes[1], boxes[3]), strict=True):
        _draw_box(axes, MARGIN, top, MAIN, box)
    _draw_arrow(axes, (CENTRE, cohort + _height(boxes[0])), (CENTRE, analysed))
    level = aside + _height(gone) / 2
    _draw_arrow(axes, (CENTRE, level), (ASIDE, level))
    _draw_box(axes, ASIDE, aside, WIDTH - MARGIN - ASIDE, gone)
    for place, (name, number) in enumerate((("Positive", counts.positive), ("Negative", counts.negative))):
        left = MARGIN + place * (HALF + 2 * PAD)
        _draw_arrow(axes, (left + HALF / 2, analysed + _height(boxes[1])), (left + HALF / 2, classes))
        _draw_arrow(axes, (left + HALF / 2, classes + _height(boxes[2])), (left + HALF / 2, folds))
        _draw_box(axes, left, classes, HALF, [name, counted(number, "biopsy")])
    for index, line in enumerate(rule):
        write(axes, ASIDE, classes + PAD + LINE * (index + 0.5), line, va="center", color=FAINT)
    return figure


def _people(biopsies: int, participants: int | None) -> list[str]:
    known = [] if participants is None else [counted(participants, "participant")]
    return [counted(biopsies, "biopsy"), *known]


def _folds(counts: Flow) -> str:
    folds = counted(counts.folds, "fold")
    return folds if counts.repeats == 1 else f"{folds}, {counts.repeats} times"


def _left_out(counts: Flow) -> list[str]:
    """How many biopsies were left out, and each reason with its number."""
    lines = [f"Left out: {counted(sum(counts.excluded.values()), 'biopsy')}"]
    for reason, number in counts.excluded.items():
        lines += _wrapped(f"{number} {reason}")
    return lines


def _wrapped(text: str) -> list[str]:
    """The text in lines as wide as the right column, a last one that does not fit cut."""
    room = WIDTH - MARGIN - ASIDE - 2 * PAD
    words, lines = printable(text).split(), [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fitted(line, room) for line in lines]


def _height(lines: Sequence[str]) -> float:
    return 2 * PAD + LINE * len(lines)


def _draw_box(axes: Axes, left: float, top: float, width: float, lines: Sequence[str]) -> None:
    """A frame with lines of text, the first one bold."""
    box = FancyBboxPatch(
        (left, top), width, _height(lines), boxstyle="round,pad=0,rounding_size=0.06", fc="white", ec=FAINT
    )
    axes.add_patch(box)
    for index, line in enumerate(lines):
        weight = "normal" if index else "bold"
        write(axes, left + PAD, top + PAD + LINE * (index + 0.5), line, va="center", weight=weight)


def _draw_arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 1}
    axes.annotate("", xy=end, xytext=start, arrowprops=arrow)
