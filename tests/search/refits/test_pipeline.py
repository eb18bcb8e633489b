from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data_prep.problems import InputError
from search.metrics import pooled_metrics
from search.refits.pipeline import table_of
from search.sections import ValidationSection
from search.statistics.selection import Rule
from tests.search.refits.stand_in import chooser, toy

COHORT = toy(0)


def test_the_choice_is_the_best_configuration_by_a_plain_look_at_all() -> None:
    search, splits = chooser(), COHORT.table().splits()
    fits = search.fits(splits)
    values = []
    for config in search.configs:
        own = [COHORT.fit(fit).scores for fit in fits if fit.config == config]
        values.append(pooled_metrics(own)["roc_auc"] or 0.0)
    chosen = search.choose([COHORT.fit(fit) for fit in fits])
    assert chosen is not None
    assert chosen.members == (int(np.argmax(values)),)


def test_each_fit_has_the_seed_that_a_trial_of_the_search_would_have() -> None:
    search, splits = chooser(), COHORT.table().splits()
    fits = search.fits(splits)
    expected = [config.fold_seed(split.index) for config in search.configs for split in splits]
    assert [fit.seed for fit in fits] == expected


def test_an_order_changes_labels_and_nothing_else() -> None:
    search, splits = chooser(), COHORT.table().splits()
    order = np.arange(30)[::-1]
    for own, permuted in zip(search.fits(splits), search.fits(splits, order), strict=True):
        assert permuted == replace(own, order=tuple(order.tolist()))


def test_a_configuration_that_failed_on_a_fold_is_not_chosen_and_none_is_no_choice() -> None:
    search = chooser(rule=Rule("rank-average", top=4))
    fits = search.fits(COHORT.table().splits())
    results = [COHORT.fit(fit) for fit in fits]
    some = search.choose([None if place == 1 else result for place, result in enumerate(results)])
    assert some is not None
    assert sorted(some.members) == [1, 2, 3]
    assert search.choose([None] * len(results)) is None


def test_folds_of_permuted_labels_are_those_a_study_with_such_labels_would_have() -> None:
    order = np.random.default_rng(0).permutation(30)
    validation = ValidationSection(folds=3)
    made = table_of(COHORT.material, validation, order)
    relabelled = replace(COHORT, label=COHORT.label[order])
    assert made.hash == table_of(relabelled.material, validation).hash
    assert made.hash != table_of(COHORT.material, validation).hash


def test_labels_that_leave_a_fold_without_a_class_have_no_table() -> None:
    lonely = replace(COHORT, label=(np.arange(30) == 0).astype(np.int64))
    with pytest.raises(InputError, match="both classes"):
        table_of(lonely.material, ValidationSection(folds=3))
