"""Exchanging a sequence costs what it carries: nothing where nobody reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from data_prep.labels import UNKNOWN
from search.explaining.changed import exchanged
from search.explaining.held_out import HeldOut
from search.explaining.permutation import permute
from search.metrics import Scores, pooled_metrics
from tests.search.explaining.conftest import READ

Make = Callable[..., HeldOut]


def test_a_sequence_that_nobody_reads_costs_exactly_nothing(make_part: Make) -> None:
    (found,) = permute([make_part(0), make_part(1)], 19)
    assert found.roc_auc == 1.0
    for sequence, loss in enumerate(found.losses):
        if sequence != READ:
            assert (loss.drop, loss.error, loss.p_value) == (0.0, 0.0, 1.0)


def test_the_one_that_is_read_leaves_a_coin(make_part: Make) -> None:
    (found,) = permute([make_part(fold, count=40) for fold in range(3)], 60)
    loss = found.losses[READ]
    assert found.roc_auc is not None
    assert found.roc_auc - loss.drop == pytest.approx(0.5, abs=4 * loss.error + 1 / 40)
    assert loss.p_value == 1 / 61
    assert loss.error < 0.02


def test_the_loss_is_that_of_the_studys_own_metric(make_part: Make) -> None:
    parts, seed, draws = [make_part(0), make_part(1, count=7)], 5, 3
    (found,) = permute(parts, draws, seed=seed)

    def auc(draw: int | None) -> float:
        folds = []
        for part in parts:
            orders = np.random.default_rng([seed, part.fold])
            rows = [orders.permutation(len(part)) for _ in range(draws)]
            shown = part.patches if draw is None else exchanged(part.patches, READ, rows[draw][None])
            scores = part.logits(shown)[0, :, 0]
            folds.append(Scores(part.labels[:, 0], scores, part.participant, 0.0))
        value = pooled_metrics(folds)["roc_auc"]
        assert value is not None
        return value

    drops = [auc(None) - auc(draw) for draw in range(draws)]
    assert found.losses[READ].drop == pytest.approx(np.mean(drops))
    assert found.losses[READ].error == pytest.approx(np.std(drops, ddof=1) / np.sqrt(draws))


def test_biopsies_without_the_label_and_folds_of_one_class_make_no_pairs(make_part: Make) -> None:
    one, other = make_part(0), make_part(1)
    unknown = one.labels.copy()
    unknown[:3] = UNKNOWN
    single = np.ones_like(other.labels)
    found = permute([replace(one, labels=unknown), replace(other, labels=single)], 5)
    assert found[0].roc_auc == 1.0
    (none,) = permute([replace(other, labels=single)], 5)
    assert none.roc_auc is None
    assert none.losses == ()


def test_progress_counts_every_copy(make_part: Make) -> None:
    done: list[int] = []
    permute([make_part()], 4, done.append)
    assert sum(done) == 12 * 4 * 4
