"""The course of the search: every trial is in the ledger, every second in the cost."""

from __future__ import annotations

from dataclasses import replace

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from search.booking import finished_folds
from search.report.blocks import Command, Live, Picture, Table, Text
from search.report.evidence import Evidence
from search.report.importance import Importance
from search.report.search_run import (
    cost_table,
    curves_section,
    ending,
    importance_section,
    search_section,
    trials_section,
    trials_table,
)


def lost(trial: FrozenTrial, number: int, **attributes: object) -> FrozenTrial:
    """A copy of a trial that failed."""
    made = optuna.create_trial(
        state=TrialState.FAIL, user_attrs=trial.user_attrs | attributes, system_attrs=trial.system_attrs
    )
    made.number = number
    return made


def test_the_ledger_has_every_trial_also_those_that_failed(evidence: Evidence) -> None:
    failed = lost(evidence.trials[0], 90, ending="failed", error="loss is NaN\tand more", key=90)
    replaced = lost(evidence.trials[0], 91, fate="requeue", key=91)
    found = replace(evidence, trials=(*evidence.trials, failed, replaced))
    table = trials_table(found)
    assert len(table.rows) == 8
    rows = {row[0]: row for row in table.rows}
    assert rows[90][1] == "failed"
    assert rows[91][1] == ending(replaced) == "taken up by a copy"
    assert "loss is NaN and more" in next(line for line in table.lines() if line.startswith("90\t"))
    told = next(block for block in trials_section(found).blocks if isinstance(block, Text)).text
    assert told.startswith("7 trials counted as handed out")
    assert "6 complete, 1 failed, 1 taken up by a copy" in told


def test_complete_trials_stand_in_order_of_value(evidence: Evidence) -> None:
    values = [row[3] for row in trials_table(evidence).rows]
    assert values == sorted(values, key=lambda value: -float(value or 0))


def test_the_cost_is_the_sum_of_all_folds(evidence: Evidence) -> None:
    rows = cost_table(evidence).rows
    seconds = sum(f.seconds for t in evidence.trials for f in finished_folds(t).values())
    assert sum(float(row[4]) * 3600 for row in rows) == pytest.approx(seconds)
    assert sum(int(row[3]) for row in rows) == 18
    assert {row[1] for row in rows} == {"CPU"}


def test_the_search_is_shown_alive_and_says_so_on_paper(evidence: Evidence) -> None:
    blocks = search_section(evidence).blocks
    assert {"history", "parallel", "slices"} <= {block.name for block in blocks if isinstance(block, Live)}
    assert [block for block in blocks if isinstance(block, Text) and block.kind == "print"]


def test_the_line_of_chance_says_under_what_it_holds_and_that_it_is_no_test(evidence: Evidence) -> None:
    shown = [block for block in search_section(evidence).blocks if isinstance(block, Live)]
    said = "if trials and biopsies were independent; not a test"
    assert [block.name for block in shown if said in block.caption] == ["history"]


def test_models_without_epochs_have_no_curves(evidence: Evidence) -> None:
    (block,) = curves_section(evidence).blocks
    assert isinstance(block, Text)


def test_importance_is_shown_for_the_selected_trials_alone(evidence: Evidence) -> None:
    assert evidence.best is not None
    assert isinstance(importance_section(evidence).blocks[0], Command)
    number = evidence.best.number
    found = Importance(number, 0, 10, "", 0.7, ("T1", "T2"), ((0.0, 0.01), (0.1, 0.3)), (0.005, 0.2))
    picture, table = importance_section(replace(evidence, importance=found)).blocks
    assert isinstance(picture, Picture)
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["T2", "T1"]
    assert table.rows[0][1:] == (0.2, 0.1, 0.3)
    bars = sorted(picture.drawing.axes[0].patches, key=lambda bar: bar.get_y())
    assert [bar.get_width() for bar in bars] == [row[1] for row in table.rows]
    other = replace(found, trial=99)
    assert isinstance(importance_section(replace(evidence, importance=other)).blocks[0], Command)
    alone = replace(found, roc_auc=None, drops=((), ()), total=(None, None))
    _, table = importance_section(replace(evidence, importance=alone)).blocks
    assert table.rows == (("T1", None, None, None), ("T2", None, None, None))
    nothing = replace(found, drops=((0.0,), (0.0,)), total=(0.0, 0.0))
    assert "takes no notice" in str(importance_section(replace(evidence, importance=nothing)).blocks[0])
