"""Writing the gallery: one self-contained page, or several where one would be too large for a browser."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from data_prep.check.findings import Finding
from data_prep.check.subject import Subject, Visited
from data_prep.files import whole_file
from data_prep.survey import Progress, in_parallel
from search.gallery.cards import Card, make_card
from search.gallery.page import Part, name_of, render

MOST_PICTURES: Final = 2000
"""On a page: 150 biopsies in 9 sequences stay on one, of 8 MB."""

_PART = re.compile(r"gallery-\d+\.html")


def write_gallery(
    subject: Subject, findings: Sequence[Finding], out: Path, progress: Progress | None = None
) -> Path:
    """Draw every participant and every biopsy, and write the page.

    Each page holds its pictures, so that it can be sent alone. Participants beyond `MOST_PICTURES` are on
    gallery-2.html and on; the first page links to all. A file that cannot be read is named where its pictures
    would be.

    Args:
        subject: The cohort, as `data_prep.check.reading.inspect` read it.
        findings: What is said of it, ranked.
        out: Folder; made where it is missing, other files in it are left alone.
        progress: Called with (done, total), a visit each.

    Returns:
        The first page, gallery.html.

    Raises:
        OSError: It cannot be written; the error names the file.
    """

    def draw(visit: tuple[int, Visited]) -> Card:
        return make_card(subject, visit[1], visit[0], findings)

    cards = in_parallel(draw, list(enumerate(subject.visits, start=1)), progress)
    parts = divided(cards)
    # The first page, which links to the others, comes last.
    for number in range(len(parts) - 1, -1, -1):
        with whole_file(out / name_of(number)) as path:
            path.write_text(render(subject, findings, parts, number), encoding="utf-8")
    _remove_others(out, {name_of(number) for number in range(len(parts))})
    return out / name_of(0)


def divided(cards: Sequence[Card], most: int = MOST_PICTURES) -> list[Part]:
    """The cards of each page: as many as fit, but at least one; one page where there are no cards."""
    parts: list[list[Card]] = [[]]
    for card in cards:
        held = sum(each.pictures for each in parts[-1])
        if parts[-1] and held + card.pictures > most:
            parts.append([])
        parts[-1].append(card)
    return [tuple(part) for part in parts]


def _remove_others(out: Path, kept: set[str]) -> None:
    """Later pages of an earlier, larger gallery, which nothing links to any more."""
    for path in out.glob("gallery-*.html"):
        if _PART.fullmatch(path.name) and path.name not in kept:
            path.unlink()
