"""Members with their models in memory, no more of them at a time than a limit allows."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Final

from search.deployment.member import Member

MOST_BYTES: Final = 2**31
"""Of the files of all members that are in memory at a time: 22 networks of the size of a ResNet50, which take
3.4 GiB of memory."""


class Opened:
    """Members in groups, of which one is in memory at a time.

    Those that read the same input stand together, so that it is made once for them. Where all members fit the
    limit they are one group, and stay.

    Args:
        members: Opened, but not asked yet: copies of them are asked.
        sizes: Bytes of each one's files.
    """

    def __init__(self, members: Sequence[Member], sizes: Sequence[int]) -> None:
        self._members = tuple(members)
        self._groups = _groups(self._members, sizes)
        self._now: int | None = None
        self._open: dict[int, Member] = {}

    def turns(self) -> Iterator[Mapping[int, Member]]:
        """The members by their numbers, each once, group by group; what a group had is closed with its turn.

        The group that came last in one round comes first in the next: it is still open.
        """
        rest = [number for number in range(len(self._groups)) if number != self._now]
        for number in rest if self._now is None else [self._now, *rest]:
            if number != self._now:
                self._close()
                self._open |= {row: copy(self._members[row]) for row in self._groups[number]}
                self._now = number
            yield self._open

    def _close(self) -> None:
        """Let go of the open members; also of those of other predictors that nobody holds any more."""
        self._open.clear()
        gc.collect()  # networks are full of circles, and what they hold is not what Python counts


def _groups(members: Sequence[Member], sizes: Sequence[int]) -> list[list[int]]:
    """Numbers of members, as many to a group as fit, at least one."""
    views = {view: place for place, view in enumerate(dict.fromkeys(member.view for member in members))}
    groups: list[list[int]] = []
    held = 0
    for row in sorted(range(len(members)), key=lambda row: views[members[row].view]):
        if groups and held + sizes[row] <= MOST_BYTES:
            groups[-1].append(row)
            held += sizes[row]
        else:
            groups.append([row])
            held = sizes[row]
    return groups
