"""What was selected, in words: by which models, and whether these look at the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from models.registry import BASELINES
from search.catalogue import Catalogue

Settings = Sequence[Mapping[str, Any]]


def selected_text(settings: Settings) -> str:
    """What was selected, in short.

    >>> selected_text(({"architecture": "roi_means"}, {"architecture": "location"}))
    'roi_means, location'
    """
    counts = Counter(str(one["architecture"]) for one in settings)
    return ", ".join(f"{count} x {name}" if count > 1 else name for name, count in counts.items())


def teller(settings: Settings) -> str:
    """Subject and verb of a claim that rests on what was selected: it need not have read any image.

    >>> teller(({"architecture": "location"},))
    'something beside the images (location) tells'
    """
    names = list(dict.fromkeys(str(one["architecture"]) for one in settings))
    beside = [name for name in names if not _reads_patches(name)]
    if len(beside) == len(names):
        return f"something beside the images ({', '.join(names)}) tells"
    telling = [name for name in beside if BASELINES[name].features != "none"]
    return f"the images, or {', '.join(telling)} beside them, tell" if telling else "the images tell"


def _reads_patches(name: str) -> bool:
    """A study's own architectures all do."""
    return name not in BASELINES or "patch" in Catalogue().traits(name)
