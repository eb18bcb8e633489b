"""The plan of a phantom: who is there, with how many biopsies, which sequences and which scanner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from data_prep.arrays import BoolArray, DoubleArray, IntArray
from data_prep.phantom.scanners import Scanner, draw_scanners
from data_prep.phantom.sites import allocate
from data_prep.phantom.spec import SEQUENCES, PhantomSpec
from data_prep.phantom.streams import stream
from data_prep.phantom.weights import signal_weights

SESSIONS: Final = ("ses-1", "ses-2")


@dataclass(frozen=True)
class Plan:
    """What is drawn before any image.

    Attributes:
        spec: The phantom.
        participants: Ids, sub-001 on.
        counts: Biopsies of each participant, shape (participants,).
        present: Which sequences each has at the first session, shape (participants, 9).
        scanners: The scanners of the phantom.
        scanner: Index into `scanners` for both sessions, shape (participants, 2).
        sessions: How many sessions each has, shape (participants,).
        weights: What a unit of each field adds to each sequence's signal, shape (9, fields).
    """

    spec: PhantomSpec
    participants: tuple[str, ...]
    counts: IntArray
    present: BoolArray
    scanners: tuple[Scanner, ...]
    scanner: IntArray
    sessions: IntArray
    weights: DoubleArray

    def strength(self, participant: int) -> float:
        """W of the sequences that a participant has, for the first field."""
        return float((np.square(self.weights[:, 0]) * self.present[participant]).sum().round(12))

    def measured(self, participant: int, session: int) -> BoolArray:
        """Which sequences a session has: those of the first that its scanner measures, shape (9,)."""
        measured = np.array(self.present[participant], dtype=np.bool_)
        measured[list(self.scanners[self.scanner[participant, session]].lacks)] = False
        return measured

    def seen_weights(self, participant: int) -> tuple[float, ...]:
        """What a unit of the first field adds to each sequence's signal; 0 where a sequence is missing."""
        return tuple((self.weights[:, 0] * self.present[participant]).round(12).tolist())

    def shift(self, participant: int) -> float:
        """What the first session's scanner adds to the expression: h or -h if the phantom is confounded."""
        return self.spec.confounding * self.scanners[int(self.scanner[participant, 0])].half

    def carriers(self, participant: int) -> int:
        """How many of the sequences that show a field a participant has."""
        return int(self.present[participant, list(self.spec.carriers)].sum())


def make_plan(spec: PhantomSpec) -> Plan:
    """Draw the plan of a phantom; every second participant of the repeats changes the scanner."""
    rng = stream(spec.seed, "layout")
    scanners = draw_scanners(spec)
    people = np.arange(spec.participants)
    counts = allocate(spec.biopsies, spec.participants, rng)
    first = rng.integers(len(scanners), size=spec.participants)
    other = (first + rng.integers(1, len(scanners), size=spec.participants)) % len(scanners)
    return Plan(
        spec=spec,
        participants=tuple(f"sub-{number:03d}" for number in people + 1),
        counts=counts,
        present=_draw_present(spec, [scanners[index].lacks for index in first], rng),
        scanners=scanners,
        scanner=np.stack([first, np.where(people % 2 == 1, other, first)], axis=1),
        sessions=np.where(people < spec.repeats, 2, 1),
        weights=signal_weights(spec),
    )


def _draw_present(
    spec: PhantomSpec, lacking: Sequence[tuple[int, ...]], rng: np.random.Generator
) -> BoolArray:
    """Draw what is there, and give back what nobody can do without.

    A participant who would keep no sequence that shows the field gets one of them back; of two fields, both.
    """
    present = rng.random((spec.participants, len(SEQUENCES))) >= spec.missing
    for row, sequences in zip(present, lacking, strict=True):
        row[list(sequences)] = False
    carriers = list(spec.carriers)
    everywhere = [index for index in carriers if not any(index in sequences for sequences in lacking)]
    spared = rng.choice(everywhere, size=spec.participants)
    blind = ~present[:, carriers].any(axis=1)
    present[blind, spared[blind]] = True
    if spec.fields > 1:
        present[:, carriers] = True
    return present
