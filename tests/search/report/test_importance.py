"""Permutation importance: the exchanges, the losses against a plain second implementation, the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from data_prep.folds import make_folds
from search.records import FoldResult, TrialConfig
from search.report.importance import (
    exchanges,
    importance_fits,
    measure,
    read_importance,
    write_importance,
)

MakeFold = Callable[..., FoldResult]
SEQUENCES = ("T1", "T2")


def stacked(make_fold: MakeFold, split: int, copies: int, seed: int) -> FoldResult:
    """A fold whose rows come once as they are and once for each exchange, with scores of their own."""
    rng = np.random.default_rng(seed)
    fold = make_fold(split)
    times = 1 + copies * len(SEQUENCES)
    fields = {name: getattr(fold, name) * times for name in ("rows", "participants", "labels")}
    return make_fold(split, **fields, probabilities=tuple(rng.random(len(fold.rows) * times).round(2)))


def test_an_exchange_permutes_the_held_out_rows_alike_for_every_sequence() -> None:
    found = exchanges((3, 5, 8, 9), SEQUENCES, 3, seed=1)
    assert [one.sequence for one in found] == ["T1"] * 3 + ["T2"] * 3
    assert all(sorted(one.rows) == [3, 5, 8, 9] for one in found)
    assert [one.rows for one in found[:3]] == [one.rows for one in found[3:]]
    assert found == exchanges((3, 5, 8, 9), SEQUENCES, 3, seed=1)
    assert found != exchanges((3, 5, 8, 9), SEQUENCES, 3, seed=2)


def test_the_fits_are_those_of_the_trial_with_the_exchanges_beside() -> None:
    people = [f"p{row // 2}" for row in range(24)]
    table = make_folds([f"b{row}" for row in range(24)], people, np.tile([0, 1], 12), 3, 2, 0)
    config = TrialConfig({"architecture": "roi_means"}, 5)
    fits = importance_fits(config, table, SEQUENCES, copies=4)
    assert [fit.seed for fit in fits] == [config.fold_seed(split) for split in range(6)]
    assert all(len(fit.shuffles) == 8 for fit in fits)
    assert all(set(fit.shuffles[0].rows) == set(fit.test) for fit in fits)
    assert len({fit.shuffles[0].rows for fit in fits}) == 6


def test_the_losses_are_those_of_plain_sums(make_fold: MakeFold) -> None:
    copies, results = 3, [stacked(make_fold, split, 3, split) for split in range(2)]
    found = measure(results, SEQUENCES, trial=7, context="c", copies=copies)
    n = len(make_fold(0).rows)
    for place, _ in enumerate(SEQUENCES):
        losses, before, after = [], [], []
        for result in results:
            label, score = np.array(result.labels[:n]), np.array(result.probabilities)
            auc = [roc_auc_score(label, score[n * k : n * (k + 1)]) for k in range(1 + copies * 2)]
            changed = auc[1 + place * copies : 1 + (place + 1) * copies]
            losses.append(auc[0] - np.mean(changed))
            before.append(auc[0])
            after.append(np.mean(changed))
        assert found.drops[place] == pytest.approx(losses)
        assert found.total[place] == pytest.approx(np.mean(before) - np.mean(after))  # folds of equal pairs
    assert found.roc_auc == pytest.approx(np.mean(before))
    assert found.order[0] == int(np.argmax([value or 0 for value in found.total]))


def test_a_sequence_that_says_nothing_costs_nothing(make_fold: MakeFold) -> None:
    fold = make_fold(0)
    fields = {name: getattr(fold, name) * 3 for name in ("rows", "participants", "labels", "probabilities")}
    found = measure([make_fold(0, **fields)], SEQUENCES, 0, "", copies=1)
    assert found.drops == ((0.0,), (0.0,))
    assert found.total == (0.0, 0.0)


def test_a_fold_of_one_class_has_no_loss(make_fold: MakeFold) -> None:
    fold = stacked(make_fold, 0, 1, 0)
    alone = stacked(make_fold, 1, 1, 1)
    fields = alone.__dict__ | {"labels": tuple(0 for _ in alone.labels)}
    found = measure([fold, FoldResult(**fields)], SEQUENCES, 0, "", copies=1)
    assert [len(drops) for drops in found.drops] == [1, 1]


def test_another_number_of_copies_is_refused(make_fold: MakeFold) -> None:
    with pytest.raises(ValueError, match="7 copies"):
        measure([make_fold(0)], SEQUENCES, 0, "", copies=3)


def test_the_file_gives_back_what_was_written(make_fold: MakeFold, tmp_path: Path) -> None:
    found = measure([stacked(make_fold, 0, 2, 0)], SEQUENCES, 1, "c", copies=2)
    write_importance(found, tmp_path)
    assert read_importance(tmp_path) == found
    (tmp_path / "importance.json").write_text('{"trial": 1}')
    assert read_importance(tmp_path) is None
    assert read_importance(tmp_path / "nowhere") is None
