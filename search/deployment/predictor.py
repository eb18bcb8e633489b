"""What the members of a model say together of any places, in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from data_prep.arrays import DoubleArray, FloatArray, IntArray
from data_prep.features import FeatureTable
from data_prep.fold_input import FoldInput
from data_prep.patch_set import PatchSet
from data_prep.problems import InputError
from models.errors import ModelError
from search.deployment.ensemble import Ensemble, log_odds
from search.deployment.facts import MemberEntry, ModelFacts
from search.deployment.member import Member
from search.deployment.opened import Opened
from search.deployment.records import Prediction, Said, Shown
from search.deployment.unlike import Reference

BATCH_BYTES: Final = 2**26
"""Of a batch's images as a network sees them; normalising and describing them takes a few times as much."""

_BLOCK: Final = 64
"""Rows that shallow members are asked at a time, or a multiple of them. Products of matrices add up otherwise
in a block of rows that is not full, and last bits would hang on what else is asked."""


@dataclass(frozen=True, eq=False)
class SharedInput(FoldInput):
    """An input that several members read: what they are shown of a batch is made once, until `forget`.

    Attributes:
        made: By kind, the batch and what was made of it.
    """

    made: dict[str, tuple[PatchSet, PatchSet | FloatArray]] = field(default_factory=dict)

    @classmethod
    def of(cls, view: FoldInput) -> SharedInput:
        """The same input, shared."""
        return cls(**{part.name: getattr(view, part.name) for part in fields(FoldInput)})

    def normalised(self, patches: PatchSet) -> PatchSet:
        """As `FoldInput.normalised`; the same object for the same batch."""
        kept = self.made.get("normalised")
        if kept is not None and kept[0] is patches and isinstance(kept[1], PatchSet):
            return kept[1]
        normal = super().normalised(patches)
        self.made["normalised"] = patches, normal
        return normal

    def images(self, patches: PatchSet) -> FloatArray:
        """As `FoldInput.images`; the same array, read-only, for the same batch."""
        kept = self.made.get("images")
        if kept is not None and kept[0] is patches and isinstance(kept[1], np.ndarray):
            return kept[1]
        images = super().images(patches)
        images.flags.writeable = False
        self.made["images"] = patches, images
        return images

    def forget(self) -> None:
        """Let go of the batch."""
        self.made.clear()


class Predictor:
    """Members that answer together; get one by `Model.predictor`.

    Args:
        facts: Of the model.
        entries: The members that answer.
        members: The same, opened.
        sizes: Bytes of each one's files. Those that are in memory at a time have `opened.MOST_BYTES` in all:
            where there are more, each call opens members again, and should ask about many places at once.
        ensemble: How they answer together.
        reference: The training patches, of a fold without its biopsies.
    """

    def __init__(
        self,
        facts: ModelFacts,
        entries: Sequence[MemberEntry],
        members: Sequence[Member],
        sizes: Sequence[int],
        ensemble: Ensemble,
        reference: Reference,
    ) -> None:
        self.facts, self._ensemble, self._reference = facts, ensemble, reference
        self._entries, self._members = tuple(entries), tuple(members)
        self._opened = Opened(self._members, sizes)
        self._needed = [facts.request.sequences.index(name) for name in facts.needed]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the K labels."""
        return self.facts.label_names

    @property
    def entries(self) -> tuple[MemberEntry, ...]:
        """The members, in the order of `members_say`."""
        return self._entries

    @property
    def reads_location(self) -> bool:
        """Whether `Shown.location` is needed."""
        return any(member.reads_location for member in self._members)

    def say(self, shown: Shown) -> Prediction:
        """What the model says of n places.

        Of a place that lacks a sequence which every training biopsy had, nothing was learned: its
        probability, spread, value and distance are NaN, it is not positive, and unlike the training data.

        Args:
            shown: Patches by the model's request or with a larger radius; locations where `reads_location`.

        Raises:
            ValueError: The patches are of another request, or locations are missing.
            InputError: A member cannot be asked: its file is none of ours, or memory is short.
        """
        said = self.members_say(shown)
        members = np.stack([self._score(one) for one in said], axis=1)
        probability = self._ensemble.probability(self._by_configuration(members))
        alone = self._ensemble.alone(members, [entry.configuration for entry in self._entries])
        distance = np.full(len(shown), np.nan)
        for rows in self._batches(shown):
            distance[rows] = self._reference.distance(shown.patches.take(rows))
        values = [one.value for one in said if one.value is not None]
        return Prediction(
            probability=probability,
            spread=alone.std(axis=1),
            positive=probability > self._ensemble.thresholds,
            distance=distance,
            unlike=self._reference.unlike(distance),
            value=self._by_configuration(np.stack(values, axis=1)).mean(axis=1) if values else None,
        )

    def members_say(self, shown: Shown) -> list[Said]:
        """What each member says by itself, before any calibration; arguments, errors and NaN as of `say`."""
        self._check(shown)
        count = len(self.labels)
        said = [_nothing(len(shown), count, self.facts.is_regression) for _ in self._members]
        batches = list(self._batches(shown))
        for members in self._opened.turns() if batches else ():
            for rows in batches:
                part = _rows_of(shown, self._in_blocks(rows))
                for number, told in self._answers(members, part):
                    whole = said[number]
                    whole.probability[rows] = told.probability[: len(rows)]
                    if whole.value is not None and told.value is not None:
                        whole.value[rows] = told.value[: len(rows)]
        return said

    def _answers(self, members: Mapping[int, Member], part: Shown) -> Iterator[tuple[int, Said]]:
        """What some members say of one batch; those that read the same input one after the other."""
        for view in dict.fromkeys(member.view for member in members.values()):
            for number, member in members.items():
                if member.view is view:
                    yield number, _answer(member, part, self._entries[number].folder)
            if isinstance(view, SharedInput):
                view.forget()

    def _in_blocks(self, rows: IntArray) -> IntArray:
        """Rows with the last one repeated until shallow members have whole blocks of them."""
        if all(member.facts.kind == "network" for member in self._members):
            return rows
        return np.pad(rows, (0, -len(rows) % _BLOCK), mode="edge")

    def _score(self, said: Said) -> DoubleArray:
        """By which a member's answers are ranked, shape (n, K)."""
        return log_odds(said.probability) if said.value is None else said.value

    def _by_configuration(self, members: DoubleArray) -> DoubleArray:
        """Mean over the members of each of C configurations, from shape (n, members, K) to (n, C, K)."""
        of = np.array([entry.configuration for entry in self._entries])
        means = [members[:, of == one].mean(axis=1) for one in range(len(self.facts.configurations))]
        return np.stack(means, axis=1)

    def _check(self, shown: Shown) -> None:
        """Refuse patches that were cut in another way: the caller is wrong, not the user."""
        asked, got = self.facts.request, shown.patches.request
        if replace(got, radius=asked.radius) != asked or got.radius < asked.radius:
            raise ValueError(f"patches by {asked} are needed, but got {got}")
        if self.reads_location and shown.location is None:
            raise ValueError("a location for each place is needed, but got none")

    def _batches(self, shown: Shown) -> Iterator[IntArray]:
        """Rows of which something can be said, so many at a time as fit `BATCH_BYTES`."""
        rows = np.flatnonzero(shown.patches.present[:, self._needed].all(axis=1))
        edge, channels = 2 * shown.patches.radius + 1, len(shown.patches.channel_names)
        size = max(_BLOCK, BATCH_BYTES // (4 * edge * edge * channels))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]


def _answer(member: Member, part: Shown, place: str) -> Said:
    # On matrices of features threads cost more than they gain, and last bits would hang on their number.
    with threadpool_limits(1 if member.facts.kind == "baseline" else None):
        try:
            return member.say(part)
        except ModelError as error:
            raise InputError(f"{place}: the member must answer, but: {error}") from error


def _nothing(places: int, labels: int, regression: bool) -> Said:
    """An answer that has not been given."""
    unknown = np.full((places, labels), np.nan)
    return Said(unknown, unknown.copy() if regression else None)


def _rows_of(shown: Shown, rows: IntArray) -> Shown:
    location = shown.location
    if location is not None:
        location = FeatureTable(location.values[rows], location.names)
    return Shown(shown.patches.take(rows), location)
