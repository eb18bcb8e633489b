"""A card where there is room for a part of it alone: whole sections, those that matter most first."""

from __future__ import annotations

import re
from typing import Final

FIRST: Final = ("Intended use", "Quantitative analyses", "Caveats and recommendations")
"""The sections that nobody may do without: what it is for, how good it is, and what must be feared."""

_SECTION = re.compile(r"^(?=## )", re.MULTILINE)
_PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)\n+", re.MULTILINE)


def shortened(card: str, limit: int, place: str) -> str:
    """A card as it is where it fits; else as many of its sections as do, and where the rest stands.

    Pictures are left out, as they lie beside the card.

    Args:
        card: Markdown, as `search.deployment.card.card` writes it.
        limit: Characters that there is room for.
        place: Of the whole card, for whoever reads the short one.
    """
    bare = _PICTURE.sub("", card)
    if bare == card and len(card) <= limit:
        return card
    rest = f"The whole card, with its pictures, is `{place}`.\n"
    head, *sections = _SECTION.split(bare)
    kept, room = [head], limit - len(head) - len(rest)
    for section in sorted(sections, key=_rank):
        text = section.rstrip("\n") + "\n\n"
        if len(text) <= room:
            kept.append(text)
            room -= len(text)
    return "".join((*kept, rest))[:limit]


def _rank(section: str) -> int:
    """The place of a section among those that come first; the others stay in their order behind them."""
    title = section.split("\n", 1)[0].removeprefix("## ")
    return FIRST.index(title) if title in FIRST else len(FIRST)
