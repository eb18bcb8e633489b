"""The held-out biopsies of a trial on one picture: patch, true label, predicted probability.

Drawn by Pillow: matplotlib takes 2 ms for each of the 120 lines of text, and half a second for the sheet. A
sheet names biopsies by the captions that the caller gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from search.figures import BLACK, GREY
from search.metrics import Doubles, Ints

RIGHT: Final = "#0072B2"
WRONG: Final = "#D55E00"
SHOWN: Final = 60

# In pixels.
MARGIN: Final = 12
PATCH: Final = 112
PITCH: Final = (124, 154)  # from one cell to the next, to the right and down
HEAD: Final = 84
LINE: Final = 18
TEXT, TITLE_TEXT = 11.5, 15.0
DASH, PERIOD = 12, 16


def heldout_sheet(
    patches: npt.NDArray[np.floating],
    label: Ints,
    probability: Doubles,
    captions: Sequence[str],
    sequence: str,
    title: str,
    predicted: Ints | None = None,
    limit: int = SHOWN,
) -> Image.Image:
    """Held-out biopsies in the order given: one sequence's patch in grey, true label, predicted probability.

    A thin blue frame is a right prediction, a thick broken vermilion one a wrong one. All patches share one
    grey window, the 1st to 99th percentile of those shown. Left is the participant's left, up is front.

    Args:
        patches: Patch of one sequence, shape (n, edge, edge); first axis left to right, second back to front.
            One of NaN is an absent sequence and says so.
        label: 0 or 1, shape (n,).
        probability: Out-of-fold, of label 1, shape (n,).
        captions: A short name for each biopsy, such as "B012 of P07".
        sequence: The name of the sequence drawn.
        title: Above the grid.
        predicted: 0 or 1 by each fold's own threshold, shape (n,); left out, probability above 0.5.
        limit: More biopsies than this are thinned out, evenly over the ranked probabilities, and counted.
    """
    rows = shown_rows(probability, limit)
    columns = int(np.clip(np.ceil(np.sqrt(1.6 * len(rows))), 6, 8))
    right = (probability > 0.5 if predicted is None else predicted == 1) == (label == 1)
    cut = "p > 0.5" if predicted is None else "its fold's threshold"
    size = 2 * MARGIN + columns * PITCH[0], HEAD + MARGIN + max(-(-len(rows) // columns), 1) * PITCH[1]
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    key = _heldout_key(sequence, len(rows), right, cut)
    _draw_head(draw, [title, *key], size[0])
    window = _grey_window(patches[rows])
    for place, row in enumerate(rows):
        corner = (MARGIN + place % columns * PITCH[0], HEAD + place // columns * PITCH[1])
        lines = captions[row], f"true {int(label[row])}  p {probability[row]:.3f}"
        _draw_cell(sheet, draw, corner, lines, _grey(patches[row], window))
        _draw_frame(draw, patch_box(corner), bool(right[row]))
    return sheet


def shown_rows(probability: Doubles, limit: int) -> Ints:
    """At most `limit` rows, evenly spaced over the ranked probabilities, in ascending row order.

    >>> shown_rows(np.array([0.9, 0.1, 0.5, 0.3, 0.7]), 3).tolist()
    [0, 1, 2]
    """
    n = len(probability)
    if n <= limit:
        return np.arange(n)
    ranks = np.round(np.linspace(0, n - 1, limit)).astype(np.int64)
    return np.sort(np.argsort(probability, kind="stable")[ranks])


def patch_box(corner: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (both within) of the patch of a cell: two lines of text stand above it."""
    left, top = corner[0], corner[1] + 2 * LINE - 2
    return left, top, left + PATCH - 1, top + PATCH - 1


def _heldout_key(sequence: str, shown: int, right: npt.NDArray[np.bool_], cut: str) -> tuple[str, str]:
    """What is shown of how many, and the key to the frames."""
    count = f"{len(right)} held-out biopsies"
    if shown < len(right):
        count = f"{shown} of {len(right)} held-out biopsies, evenly over their ranked probability"
    key = f"blue: right at {cut}, broken vermilion: wrong ({int(right.sum())} of {len(right)} right)"
    return f"{sequence}; {count}", key


def _grey_window(images: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Black and white level: 1st and 99th percentile of the patches that are there."""
    values = images[~np.isnan(images)]
    if not values.size:
        return 0.0, 1.0
    low, high = map(float, np.percentile(values, [1, 99]))
    return (low, high) if low < high else (low - 1.0, high + 1.0)


def _grey(image: npt.NDArray[np.floating], window: tuple[float, float]) -> Image.Image | None:
    """One patch with its first axis to the right and its second one up; None for an absent sequence."""
    if np.isnan(image).all():
        return None
    low, high = window
    # The vertical axis of a picture points down, so the patch is turned over to have the front on top.
    levels = np.clip(np.nan_to_num((image.T[::-1] - low) / (high - low)), 0, 1)
    grey = Image.fromarray(np.round(255 * levels).astype(np.uint8))
    return grey.resize((PATCH, PATCH), Image.Resampling.NEAREST)


def _draw_head(draw: ImageDraw.ImageDraw, lines: Sequence[str], width: int) -> None:
    """The lines of the title, centred, each as small as it must be to fit."""
    for index, line in enumerate(lines):
        size = TITLE_TEXT
        while size > 1 and _font(size).getlength(line) > width - 2 * MARGIN:
            size -= 0.5
        draw.text((width / 2, MARGIN + index * 22), line, BLACK, _font(size), anchor="ma")


def _draw_cell(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    corner: tuple[int, int],
    lines: tuple[str, str],
    patch: Image.Image | None,
) -> None:
    """The two lines of text of one biopsy and its patch, or the word that it is absent."""
    for index, (line, ink) in enumerate(zip(lines, (GREY, BLACK), strict=True)):
        draw.text((corner[0], corner[1] + index * (LINE - 2)), _fitted(line), ink, _font(TEXT))
    left, top, _, _ = box = patch_box(corner)
    if patch is None:
        draw.text((left + PATCH / 2, top + PATCH / 2), "absent", GREY, _font(TEXT), anchor="mm")
    else:
        sheet.paste(patch, box[:2])


def _fitted(line: str) -> str:
    """The line, or as much of its beginning as the cell is wide."""
    shown = line
    while _font(TEXT).getlength(shown) > PITCH[0] - MARGIN // 2 and len(shown) > 1:
        shown = f"{shown.removesuffix('…')[:-1]}…"
    return shown


def _draw_frame(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], right: bool) -> None:
    """The coloured frame of one biopsy: thin where right, thick and broken where wrong."""
    if right:
        draw.rectangle(box, outline=RIGHT, width=2)
        return
    left, top, far, low = box
    for start in range(0, PATCH, PERIOD):
        end = min(start + DASH, PATCH) - 1
        for edge in (top, low - 3):
            draw.rectangle((left + start, edge, left + end, edge + 3), fill=WRONG)
        for edge in (left, far - 3):
            draw.rectangle((edge, top + start, edge + 3, top + end), fill=WRONG)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont:
    """The font of the other pictures, which matplotlib brings along; laid out without its ligatures."""
    return ImageFont.truetype(findfont("DejaVu Sans"), size, layout_engine=ImageFont.Layout.BASIC)
