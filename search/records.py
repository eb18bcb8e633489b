"""The frozen records that pass between owner and child, and into the storage: plain JSON, never pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from search.domains import Value
from search.metrics import Scores

_OPTIONAL = ("heads", "values", "scenes", "gpu")  # that few results have


@dataclass(frozen=True)
class TrialConfig:
    """What one trial is.

    Attributes:
        settings: Every parameter in force, sampled or default.
        seed: From it come the seeds of the folds.
    """

    settings: Mapping[str, Value]
    seed: int

    def fold_seed(self, split: int) -> int:
        """The seed of one fold's weights, shuffling and augmentation, in [0, 2**31)."""
        return int(np.random.SeedSequence([self.seed, split]).generate_state(1)[0] % 2**31)


@dataclass(frozen=True)
class FoldResult:
    """One finished fold: the score of every held-out biopsy, the curves, the cost.

    Biopsies and participants are indices into the study's dataset, so that no identifier leaves it.

    Attributes:
        split: Position in the fold table's splits, 0-based.
        repeat: Which of the repeated fold tables.
        fold: Which fold of that table.
        rows: The held-out biopsies.
        participants: The participant of each.
        labels: Their labels, 0 or 1.
        probabilities: Their out-of-fold probabilities of label 1.
        threshold: The cut between the predicted labels, from inner data.
        label_threshold: The cut that made the labels, in the label's unit.
        curves: Per epoch, by name.
        best_epoch: The epoch whose weights scored, 1-based.
        seconds: Wall-clock time of the fold.
        parameters: Parameters of the network.
        trainable_parameters: Those that an optimizer moves.
        device: Where it ran.
        memory_mb: Peak resident memory of the child so far.
        dead_parameters: Trainable ones that no patch of this radius reaches: no gradient ever moves them.
        heads: Of each further label: "labels" (-1 where unknown), "probabilities", "threshold" and
            "label_threshold" as above; of a regression "values" too.
        values: Of a regression: what it says of each held-out biopsy's score, a gene's as log2(TPM + 1).
        scenes: Of other patches of the participants held out, by name: "probabilities", as above.
        gpu: What was read of its GPU meanwhile, as metrics: mean utilisation in percent, and the most memory
            in use, by all on that GPU, in megabytes.
    """

    split: int
    repeat: int
    fold: int
    rows: tuple[int, ...]
    participants: tuple[int, ...]
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]
    threshold: float
    label_threshold: float
    curves: Mapping[str, Sequence[float | None]]
    best_epoch: int
    seconds: float
    parameters: int
    trainable_parameters: int
    device: str
    memory_mb: float
    dead_parameters: int = 0
    heads: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    values: tuple[float, ...] = ()
    scenes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gpu: Mapping[str, float] = field(default_factory=dict)

    @property
    def scores(self) -> Scores:
        """The fold as the metrics take it."""
        return Scores(
            np.array(self.labels, dtype=np.int64),
            np.array(self.probabilities, dtype=np.float64),
            np.array(self.participants, dtype=np.int64),
            self.threshold,
        )

    def to_json(self) -> str:
        """One line of JSON; numbers survive exactly."""
        table = asdict(self)
        return json.dumps({k: v for k, v in table.items() if v or k not in _OPTIONAL}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> FoldResult:
        """The result that `to_json` wrote."""
        fields = dict(json.loads(text) if isinstance(text, str) else text)
        for name in ("rows", "participants", "labels", "probabilities", "values"):
            fields[name] = tuple(fields.get(name, ()))
        return cls(**fields)
