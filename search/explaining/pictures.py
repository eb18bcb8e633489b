"""What a model looks at, as two figures: patches coloured by what each block adds, and a bar a sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from data_prep.arrays import DoubleArray
from search.explaining.explanations import FOLDER, Explanations, write_record
from search.explaining.permutation import Loss
from search.figures import add_axes, save_figure
from search.report.phrases import decimal
from search.report.style import (
    BLUE,
    FAINT,
    INK,
    SMALL,
    TEXT,
    WIDTH,
    draw_on,
    fitted,
    plain_axes,
    text_width,
    write,
)

OCCLUSION, PERMUTATION = "occlusion.png", "permutation.png"
ALL: Final = "all at once"
COLOURS: Final = "RdBu_r"

# In inches.
SIDE, GAP, HEAD, LEFT, FOOT, BAR = 0.92, 0.12, 0.26, 0.62, 0.4, 0.92
LINE, TITLE, AXIS, MARGIN, WIDEST_NAME = 0.3, 0.34, 0.55, 0.15, 1.9
COLUMNS: Final = 4


def write_explanations(folder: Path, found: Explanations) -> list[Path]:
    """Write record, arrays and both pictures into a model's folder.

    Raises:
        OSError: They cannot be written.
    """
    place = folder / FOLDER
    write_record(found, place)
    save_figure(occlusion_figure(found), place / OCCLUSION)
    save_figure(permutation_figure(found), place / PERMUTATION)
    return sorted(place.iterdir())


def occlusion_figure(found: Explanations) -> Figure:
    """What each block adds to the log-odds of each label, mean over biopsies, in colours around 0.

    A panel for all sequences at once and one for each sequence, the one that costs most when exchanged first;
    where blocks were not covered in each sequence, bars for whole sequences in their place. The number beside
    a sequence is the mean size of the change with the whole of it covered, whichever way it goes: changes up
    in some biopsies and down in others leave no colour.
    """
    whole = found.occlusion.cells is None
    panels = 1 if whole else 1 + len(found.sequences)
    rows = -(-panels // COLUMNS)
    tall = rows * (SIDE + HEAD + GAP)
    if whole:
        tall = max(tall, LINE * len(found.sequences))
    each = TITLE + tall + FOOT
    height = len(found.labels) * each + BAR
    figure = draw_on(
        height, "What each part of a patch adds to the log-odds, mean over the biopsies held out"
    )
    norm = _scale(found)
    for label, name in enumerate(found.labels):
        top = height - label * each
        _heading(figure, fitted(name, WIDTH - 0.4, TEXT), top)
        _panels(figure, found, label, top - TITLE, norm)
        if whole:
            _sequences(figure, found, label, top - TITLE, tall)
    _colour_bar(figure, norm, numbers=not whole)
    return figure


def permutation_figure(found: Explanations) -> Figure:
    """One bar a sequence for each label: the AUC lost when it is exchanged, and its error over exchanges."""
    count = len(found.sequences)
    each = TITLE + LINE * count + AXIS
    height = each * len(found.labels)
    figure = draw_on(height, "Loss of AUC when each sequence is exchanged between biopsies")
    names = [fitted(name, WIDEST_NAME) for name in found.sequences]
    left = MARGIN + 0.1 + max(text_width(name) for name in names)
    right = MARGIN + text_width("+0.000  p 0.000", SMALL) + 0.1
    for label, permuted in enumerate(found.permutation):
        top = label * each
        auc = "undefined" if permuted.roc_auc is None else f"{permuted.roc_auc:.2f}"
        _heading(figure, fitted(f"{found.labels[label]}, AUC {auc}", WIDTH - 0.4, TEXT), height - top)
        axes = plain_axes(figure, left, height - top - each + AXIS, right, top + TITLE)
        _bars(axes, [names[place] for place in found.order(label)])
        for row, place in enumerate(found.order(label)):
            if permuted.losses:
                _loss(axes, row, permuted.losses[place])
        axes.set_xlabel("Loss of AUC when exchanged between biopsies")
    return figure


def _scale(found: Explanations) -> Normalize:
    """One scale of colours for all panels, 0 in its middle."""
    parts = [found.blocks(label).mean for label in range(len(found.labels))]
    for label in range(len(found.labels)):
        cells = found.cells(label)
        parts += [] if cells is None else [cells.mean]
    known = np.concatenate([part.ravel() for part in parts])
    reach = float(np.abs(known[~np.isnan(known)]).max(initial=0.0)) or 1.0
    return Normalize(-reach, reach)


def _heading(figure: Figure, text: str, top: float) -> None:
    height = figure.get_size_inches()[1]
    figure.text(
        MARGIN / WIDTH,
        (top - 0.08) / height,
        text,
        fontsize=TEXT,
        color=INK,
        va="top",
        weight="bold",
        parse_math=False,
    )


def _panels(figure: Figure, found: Explanations, label: int, top: float, norm: Normalize) -> None:
    """The panels of one label, row after row below `top` inches."""
    cells = found.cells(label)
    shown: list[tuple[str, str, DoubleArray]] = [(ALL, "", found.blocks(label).mean)]
    if cells is not None:
        sizes = [f"{size:.2f}" if np.isfinite(size) else "none" for size in found.whole(label).absolute]
        order = found.order(label)
        shown += [(found.sequences[place], sizes[place], cells.mean[place]) for place in order]
    height = figure.get_size_inches()[1]
    for number, (name, size, values) in enumerate(shown):
        row, column = divmod(number, COLUMNS)
        left = LEFT + column * (SIDE + 2 * GAP)
        bottom = top - (row + 1) * (SIDE + HEAD + GAP) + GAP
        axes = add_axes(figure, left, bottom, WIDTH - left - SIDE, height - bottom - SIDE)
        _panel(axes, values, found.edges_mm(), norm)
        first = column == 0 and (row == (len(shown) - 1) // COLUMNS)
        room = SIDE + GAP - text_width(f"  {size}", SMALL)
        _mark(axes, f"{fitted(name, room, SMALL)}  {size}".rstrip(), found.edges_mm()[-1], first)


def _panel(axes: Axes, values: DoubleArray, edges: list[float], norm: Normalize) -> None:
    """One patch, its first axis to the right, its second upwards; grey where nobody has the sequence."""
    axes.set_facecolor("#d9d9d9")
    shown = np.ma.masked_invalid(values.T)
    axes.pcolormesh(edges, edges, shown, cmap=COLOURS, norm=norm, edgecolors="face", linewidth=0.2)
    for colour, width in (("white", 2.6), (INK, 0.9)):  # seen on any colour
        axes.plot(0, 0, marker="+", color=colour, markersize=5.5, markeredgewidth=width)
    axes.set(aspect="equal", xlim=(edges[0], edges[-1]), ylim=(edges[0], edges[-1]))


def _mark(axes: Axes, name: str, reach: float, ticks: bool) -> None:
    """Name a panel, and give one of them its axes."""
    write(axes, 0.5, 1.05, name, transform=axes.transAxes, ha="center", va="bottom", fontsize=SMALL)
    axes.spines[:].set_color(FAINT)
    axes.spines[:].set_linewidth(0.7)
    axes.tick_params(labelsize=SMALL - 1, colors=INK, length=2.5, pad=2)
    axes.set(xticks=[], yticks=[])
    if not ticks:
        return
    places = [-reach, 0.0, reach]
    axes.set(xticks=places, yticks=places)
    labels = [f"{place:.3g}" for place in places]
    axes.set_xticklabels(labels)
    axes.set_yticklabels(labels)
    axes.set_xlabel("left to right, mm", fontsize=SMALL - 1, labelpad=1)
    axes.set_ylabel("back to front, mm", fontsize=SMALL - 1, labelpad=1)


def _sequences(figure: Figure, found: Explanations, label: int, top: float, tall: float) -> None:
    """Bars of whole sequences beside the panel of all."""
    height = figure.get_size_inches()[1]
    names = [fitted(name, 1.1, SMALL) for name in found.sequences]
    left = LEFT + SIDE + 2 * GAP + 0.3 + max(text_width(name, SMALL) for name in names)
    axes = plain_axes(figure, left, top - tall, MARGIN, height - top + 0.05)
    told, order = found.whole(label), found.order(label)
    _bars(axes, [names[place] for place in order], SMALL)
    for row, place in enumerate(order):
        if told.count[place]:
            _bar(axes, row, float(told.mean[place]), float(told.error[place]))
    axes.set_xlabel("a whole sequence, in log-odds", fontsize=SMALL)


def _bars(axes: Axes, names: list[str], size: float = TEXT) -> None:
    """Axes for a bar a name, with their zero."""
    axes.set(ylim=(len(names) - 0.4, -0.6), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    inches = axes.get_position().width * WIDTH
    for row, name in enumerate(names):
        across = axes.get_yaxis_transform()
        write(axes, -0.1 / inches, row, name, transform=across, ha="right", va="center", fontsize=size)


def _bar(axes: Axes, row: int, value: float, error: float) -> None:
    axes.barh(row, value, height=0.6, color=BLUE, alpha=0.5, linewidth=0)
    if np.isfinite(error):
        axes.errorbar(value, row, xerr=error, color=INK, linewidth=1.0, capsize=2.5, capthick=1.0)


def _loss(axes: Axes, row: int, loss: Loss) -> None:
    _bar(axes, row, loss.drop, loss.error)
    inches = axes.get_position().width * WIDTH
    told = f"{decimal(loss.drop, 3, sign=True)}  p {loss.p_value:.2g}"
    across = axes.get_yaxis_transform()
    write(axes, 1 + 0.12 / inches, row, told, transform=across, va="center", fontsize=SMALL)


def _colour_bar(figure: Figure, norm: Normalize, numbers: bool) -> None:
    """What the colours mean, below everything."""
    height = figure.get_size_inches()[1]
    axes = add_axes(figure, LEFT, 0.66, MARGIN + 0.3, height - 0.8)
    bar: Any = figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=SMALL, colors=INK, length=2.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    lines = ["added to the log-odds: below 0 against the label, above 0 for it"]
    if numbers:
        lines.append("numbers: mean size of the change, the whole sequence covered")
    axes.set_xlabel("\n".join(lines), fontsize=SMALL)
