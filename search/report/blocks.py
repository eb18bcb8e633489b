"""What a page is made of, before it is HTML: sections of text, tables, pictures, live plots and commands."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from itertools import groupby

from markupsafe import escape
from matplotlib.figure import Figure
from PIL.Image import Image

from data_prep.problems import one_line
from search.figures import DPI
from search.report.phrases import decimal
from search.report.style import svg

MISSING = "n/a"  # in TSV, as BIDS has it
PRINTED_COLUMNS = 12  # as of the style sheet
SHOWN_ROWS = 60  # of a table on the page; the file has them all


@dataclass(frozen=True)
class Link:
    """A link to another place of the page."""

    anchor: str
    text: str


Cell = str | int | float | bool | None | tuple[Link, ...]


@dataclass(frozen=True)
class Table:
    """A table, on the page and as a file.

    Attributes:
        name: Of the file, without suffix.
        caption: What it shows.
        columns: Their headings.
        rows: The cells; the first of each names its row.
        note: What must be known to read it.
        digits: Decimals on the page.
        shown: Rows on the page at most; the file has all.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    digits: int = 3
    shown: int = SHOWN_ROWS

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.name}: every row needs {len(self.columns)} cells")

    @property
    def is_wide(self) -> bool:
        """Whether it has more columns than fit on paper."""
        return len(self.columns) > PRINTED_COLUMNS

    @property
    def left_out(self) -> int:
        """Rows that the page does not show."""
        return max(0, len(self.rows) - self.shown)

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers alone."""
        cells = [row[column] for row in self.rows if row[column] is not None]
        return bool(cells) and all(isinstance(c, int | float) and not isinstance(c, bool) for c in cells)

    def text(self, cell: Cell) -> str:
        """A cell as the page shows it.

        >>> table = Table("t", "", ("a",), ())
        >>> [table.text(cell) for cell in (0.61249, None, True, 1200, "x")]
        ['0.612', '-', 'yes', '1,200', 'x']
        """
        if cell is None:
            return "-"
        if isinstance(cell, bool):
            return "yes" if cell else "no"
        if isinstance(cell, int):
            return f"{cell:,}"
        if isinstance(cell, float):
            return decimal(cell, self.digits)
        return cell if isinstance(cell, str) else ", ".join(link.text for link in cell)

    def links(self, cell: Cell) -> tuple[Link, ...]:
        """The links that a cell is made of; none of any other cell."""
        return cell if isinstance(cell, tuple) else ()

    def lines(self) -> Iterator[str]:
        """The file, line by line; numbers in full."""
        yield "\t".join(map(one_line, self.columns))
        for row in self.rows:
            yield "\t".join(_written(cell) for cell in row)


def _written(cell: Cell) -> str:
    if isinstance(cell, tuple):
        return " ".join(f"#{link.anchor}" for link in cell) or MISSING
    return MISSING if cell is None else one_line(str(cell))


@dataclass(frozen=True)
class Text:
    """A paragraph; `kind` is "", "lead", "warning" or "note"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Command:
    """What to type to know more."""

    why: str
    line: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure.

    Attributes:
        name: Of its file, without suffix.
        drawing: The figure; pixels of images stay pixels.
        caption: Below it.
        alt: What a screen reader says of it; a figure of ours brings its own.
    """

    name: str
    drawing: Figure | Image
    caption: str
    alt: str = ""

    @property
    def is_vector(self) -> bool:
        """Whether it is made of lines and letters."""
        return isinstance(self.drawing, Figure)

    @cached_property
    def markup(self) -> str:
        """As inline SVG, or as an image with its data."""
        if isinstance(self.drawing, Figure):
            return svg(self.drawing, self.name)
        data = b64encode(self.png).decode()
        return f'<img src="data:image/png;base64,{data}" alt="{escape(self.alt)}">'

    @cached_property
    def png(self) -> bytes:
        """As a PNG file."""
        stream = BytesIO()
        if isinstance(self.drawing, Figure):
            self.drawing.savefig(stream, format="png", dpi=2 * DPI)
        else:
            self.drawing.save(stream, format="png", optimize=True)
        return stream.getvalue()


@dataclass(frozen=True)
class Live:
    """A plot that reacts to the mouse: `markup` with its own script."""

    name: str
    markup: str
    caption: str


Block = Table | Text | Command | Picture | Live


@dataclass(frozen=True)
class Section:
    """A chapter of the page; an empty one is left out."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def groups(self) -> list[list[Block]]:
        """The blocks in order, pictures that follow each other together: they stand side by side."""
        return [list(group) for _, group in groupby(self.blocks, key=_stands_beside)]

    @property
    def answers(self) -> bool:
        """Whether it shows anything: a table, a figure, or more than what to type for it."""
        return any(isinstance(block, Table | Picture | Live) or _is_lead(block) for block in self.blocks)

    @classmethod
    def of(cls, anchor: str, title: str, *blocks: Block | None) -> Section:
        """A section of the blocks that are there."""
        return cls(anchor, title, tuple(block for block in blocks if block is not None))


def _stands_beside(block: Block) -> object:
    return "pictures" if isinstance(block, Picture) and block.is_vector else block


def _is_lead(block: Block) -> bool:
    return isinstance(block, Text) and block.kind == "lead"
