"""One model to be fitted outside the search: what it is, which rows it learns from, which it is scored on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from data_prep.folds import Split
from search.material import Material
from search.records import TrialConfig
from search.study_file import Study
from search.versions import software_versions

_LATER = ("scenes", "epochs", "keep")  # that fits of earlier versions do not have


@dataclass(frozen=True)
class Shuffle:
    """A copy of the held-out biopsies in which one sequence is other biopsies'.

    Attributes:
        sequence: Its name.
        rows: The row that each held-out biopsy takes the sequence from, and whether it is there at all.
    """

    sequence: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Fit:
    """One fit, complete: equal fits give equal results.

    Attributes:
        config: The settings of a trial.
        seed: Of weights, shuffling, augmentation, and of the inner split that stops early.
        repeat: Which fold table, for the result.
        fold: Which fold of it, for the result.
        split: A number over all repeats, for the result.
        train: Rows to learn from.
        test: Rows to score.
        order: The row whose expression each row is given, a permutation; None for its own.
        shuffles: Copies of the held-out rows to score too. The result then lists its rows 1 + len(shuffles)
            times, the unchanged ones first.
        stop: Rows beside `train` by which early stopping and the decision threshold are decided, and that no
            model learns from; not used where training does not stop early. None for a part of `train`, the
            inner split that a trial of the search would draw, which keeps participants whole.
        scenes: Other patches of the participants held out to score too, by name (`search.scenes`).
        epochs: A network learns from all of `train` for so many epochs, without rows to stop on; None for as
            many as training decides. A shallow model has no use for it.
        keep: Whether the fitted model is written (`search.deployment.member`), to be asked again.
    """

    config: TrialConfig
    seed: int
    repeat: int
    fold: int
    split: int
    train: tuple[int, ...]
    test: tuple[int, ...]
    order: tuple[int, ...] | None = None
    shuffles: tuple[Shuffle, ...] = ()
    stop: tuple[int, ...] | None = None
    scenes: tuple[str, ...] = ()
    epochs: int | None = None
    keep: bool = False

    @classmethod
    def of(cls, config: TrialConfig, split: Split, order: tuple[int, ...] | None = None) -> Fit:
        """The fit of one split of a fold table, with the seed that a trial of the search would have there."""
        train, test = tuple(map(int, split.train)), tuple(map(int, split.test))
        seed = config.fold_seed(split.index)
        return cls(config, seed, split.repeat, split.fold, split.index, train, test, order)

    @cached_property
    def key(self) -> str:
        """A hash of all that the fit is."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()[:32]

    def as_json(self) -> dict[str, Any]:
        """The fit as plain data; without what came later as it was before that, so that keys last."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        own = {name: value for name, value in own.items() if value or name not in _LATER}
        config = {"settings": dict(self.config.settings), "seed": self.config.seed}
        shuffles = [{"sequence": one.sequence, "rows": one.rows} for one in self.shuffles]
        return {**own, "config": config, "shuffles": shuffles}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Fit:
        """The fit that `as_json` wrote."""
        order, stop = told["order"], told["stop"]
        return cls(
            config=TrialConfig(told["config"]["settings"], told["config"]["seed"]),
            seed=told["seed"],
            repeat=told["repeat"],
            fold=told["fold"],
            split=told["split"],
            train=tuple(told["train"]),
            test=tuple(told["test"]),
            order=None if order is None else tuple(order),
            shuffles=tuple(Shuffle(one["sequence"], tuple(one["rows"])) for one in told["shuffles"]),
            stop=None if stop is None else tuple(stop),
            scenes=tuple(told.get("scenes", ())),
            epochs=told.get("epochs"),
            keep=told.get("keep", False),
        )


def context_of(study: Study, material: Material) -> str:
    """A hash of all that fits of a study depend on beside themselves.

    Data, label, training, the user's own code, and the versions of the software: results of other versions
    are fitted again, not mixed with those of these. The device is no part of it.
    """
    second = "" if material.second is None else material.second.hash
    return context_from(study, material.patches.hash, material.labels_hash, second)


def context_from(study: Study, patches: str, labels: str, second: str = "") -> str:
    """The same by hashes, where the cohort is not at hand.

    Args:
        study: Its settings.
        patches: Hash of the patches.
        labels: Hash of the labels.
        second: Hash of the patches of second scans; empty where training does not show them.
    """
    settings = study.model_dump(mode="json", include={"label", "input", "training", "architectures"})
    parts = (json.dumps(settings, sort_keys=True), patches, labels, *([second] if second else []))
    versions = json.dumps(software_versions(), sort_keys=True)
    return hashlib.sha256("\n".join((*parts, study.files_hash, versions)).encode()).hexdigest()
