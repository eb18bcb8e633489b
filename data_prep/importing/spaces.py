"""Spaces of images: those of the participants themselves, and all others, in which no site was recorded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

_STATES = ("individual", "orig", "original", "native", "fsnative", "subject", "scanner", "anat", "func")
_SEQUENCES = (
    *("t1", "t1w", "t1n", "t1c", "t1gd", "t1ce", "t1post", "t1pre", "t1wgd", "t1map", "mprage", "inplanet1"),
    *("t2", "t2w", "t2f", "t2star", "t2starw", "t2map", "pd", "pdw", "flair", "swi", "fa", "md", "adc"),
    *("dwi", "dti", "b0", "epi", "bold", "perf", "asl", "dsc", "dce", "pet", "ct"),
)
_OWN: Final = frozenset((*_STATES, *_SEQUENCES))


def own_spaces(spaces: Iterable[str], sequences: Collection[str]) -> list[str]:
    """The spaces that are a participant's own by their names; templates have too many names to list.

    Args:
        spaces: Values of the entity `space`.
        sequences: Names that the sequences of the cohort have.

    >>> own_spaces(["T1Gd", "space", "MNI152NLin6Asym", "mni152", "fsnative"], ["FLAIR"])
    ['T1Gd', 'fsnative']
    """
    known = _OWN | {name.lower() for name in sequences}
    return [space for space in spaces if space.lower() in known]
